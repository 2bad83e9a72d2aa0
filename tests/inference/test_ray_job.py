"""Many machines: a cluster of two nodes on this one, by Ray's own test utility."""

import csv
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from chexnet.errors import ConfigError
from chexnet.inference import ray_job
from chexnet.inference.predictor import Predictor
from tests.conftest import ROOT
from tests.inference.test_job import draw

CLUSTER = """
import sys
from ray.cluster_utils import Cluster
head = {"num_cpus": 1, "include_dashboard": False, "include_log_monitor": False, "no_monitor": True}
cluster = Cluster(initialize_head=True, head_node_args=head)
cluster.add_node(num_cpus=1)
cluster.wait_for_nodes()
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_enable_metrics_collection": "0"}
"""Without what Ray counts and reports of itself, in processes of its own."""


@pytest.fixture
def cluster(monkeypatch) -> Iterator[str]:
    """The address of two nodes of a core each: an actor can take one of them only."""
    pytest.importorskip("ray", reason="Ray is not installed")
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)
    command = [sys.executable, "-c", CLUSTER]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, text=True, cwd=ROOT) as started:
        yield started.stdout.readline().strip()
        started.stdin.close()


def test_two_nodes_predict_every_picture_once_and_in_order(cluster, tmp_path):
    """Run as a user runs it; the numbers are the predictor's."""
    files = draw(tmp_path / "pictures", 12, damaged=(3,))
    out, starter = tmp_path / "out", ROOT / "weights" / "starter.onnx"
    command = [sys.executable, "-m", "scripts.predict", tmp_path / "pictures", "--batch-size", "4"]
    command += ["--weights", starter, "--out", out, "--ray", cluster]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    assert "1 of the 12 could not be read" in done.stderr
    assert "Traceback" not in done.stderr
    predictor = Predictor(starter, "cpu")
    expected = [result for result in predictor.stream(map(Path, files), 4) if result.prediction]
    with (out / "predictions.csv").open(newline="") as opened:
        header, *rows = csv.reader(opened)
    assert header[3:-1] == predictor.classes
    assert [row[0] for row in rows] == [str(result.path) for result in expected]
    for row, result in zip(rows, expected, strict=True):
        given = list(result.prediction.probabilities.values())
        assert [float(cell) for cell in row[3:-1]] == pytest.approx(given, abs=1e-5)
    with (out / "errors.csv").open(newline="") as opened:
        assert [row[0] for row in list(csv.reader(opened))[1:]] == [files[3]]


def test_without_ray_the_package_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(ray_job, "installed", lambda *_: False)
    with pytest.raises(ConfigError, match=r"--ray: Ray is not installed.*ray\[data\]"):
        ray_job.predict_on_ray("local", ["a.png"], tmp_path / "w.pth", tmp_path, ["Mass"])


def test_a_cluster_that_is_not_there_is_one_line(monkeypatch, tmp_path):
    ray = pytest.importorskip("ray", reason="Ray is not installed")

    def refuse(*_: object, **__: object) -> None:
        assert os.environ["RAY_USAGE_STATS_ENABLED"] == "0"  # nothing is reported to its makers
        raise ConnectionError("Could not connect.\nIs it there?")

    monkeypatch.setenv("RAY_USAGE_STATS_ENABLED", "")
    monkeypatch.delenv("RAY_USAGE_STATS_ENABLED")
    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ConfigError, match=r"found no cluster at 'a:1' \(Could not connect. Is it"):
        ray_job.predict_on_ray("a:1", ["a.png"], tmp_path / "w.pth", tmp_path, ["Mass"])
