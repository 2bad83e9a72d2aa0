"""The bench: which way its ratios go, and that it says nothing of wrong answers. No time limits."""

import json
import os
import signal
import statistics
import subprocess
import threading
from pathlib import Path
from typing import ClassVar

import pytest
from typer.testing import CliRunner

import dev
from chexnet.errors import ChexnetError, DataError
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS
from dev.bench import demo as demo_rows
from dev.bench import evaluation as evaluation_rows
from dev.bench import explaining as explaining_rows
from dev.bench import rows as bench_rows
from dev.bench import served as bench_served
from dev.bench.__main__ import app
from dev.bench.rows import CostRow, Group, LimitRow, Row, Skipped, in_turn, table
from dev.bench.setting import Setting
from tests.conftest import BEST, answers, needs_signals
from tests.processes import start, wait, wait_for

REPEATS = 3


def tiny(phantoms: Path, out: Path, **more: object) -> Setting:
    return Setting(out, phantoms, images=12, size=64, repeats=REPEATS, **more)


class Recorded(subprocess.Popen):
    """Remembers every process that was started."""

    started: ClassVar[list[subprocess.Popen]] = []

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)
        self.started.append(self)


@pytest.fixture(scope="module")
def ran(phantoms, real_weights, tmp_path_factory):
    """The folder of a run of the command, and what it said."""
    out = tmp_path_factory.mktemp("bench")
    options = ["--data", phantoms, "--out", out, "--size", 64, "--images", 12]
    options += ["--repeats", REPEATS, "--weights", real_weights]
    options += ["--only", "reading", "--only", "explaining", "--only", "demo"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subprocess, "Popen", Recorded)
        for group in (demo_rows, explaining_rows):
            patch.setattr(group, "MORE", 1)
        done = CliRunner().invoke(app, list(map(str, options)))
    assert done.exit_code == 0, (done.output, done.exception)
    return out, done.output


@pytest.fixture(scope="module")
def rows(ran) -> dict[str, dict]:
    """Its rows, by work and what stands beside it."""
    content = json.loads((ran[0] / "bench.json").read_text())
    assert content["skipped"] == {}
    return {f"{row['work']} / {row['beside']}": row for row in content["rows"]}


def row_of(rows: dict[str, dict], *words: str) -> dict:
    [name] = [name for name in rows if all(word in name for word in words)]
    return rows[name]


def test_the_ratio_says_how_many_times_as_fast_ours_is_or_what_it_costs():
    sides = ([1.0, 2.0, 6.0], [10.0, 20.0, 90.0])
    assert Row("w", "s", *sides, "b", "t").ratio_text == "10.00x as fast"
    assert CostRow("w", "s", *sides, "b", "t").ratio_text == "0.10x the time"
    limited = LimitRow("w", "GB", sides[0], [], "b", "t", limit=4.0)
    assert (limited.ratio_text, limited.other_text) == ("50 % of the limit", "4 GB")


def test_the_table_shows_median_spread_ratio_target_and_what_was_left_out():
    row = Row("reading", "ms", [2.0, 1.0, 3.0], [4000.0, 3000.0, 5000.0], "PIL", "under 5 ms")
    told = table([row], [Skipped("the demo", "not installed: gradio")])
    assert (
        "| reading | 2 (1-3) ms | PIL: 4,000 (3,000-5,000) ms | 2,000x as fast | under 5 ms |"
        in told
    )
    assert told.endswith("Not measured: the demo (not installed: gradio).")


def test_both_sides_run_in_turn_and_the_first_call_of_each_is_not_counted():
    called = []
    mine, theirs = in_turn(lambda: called.append("A"), lambda: called.append("B"), 3)
    assert "".join(called) == "ABABABAB"
    assert len(mine) == len(theirs) == 3


@pytest.mark.parametrize("group", Group)
def test_each_group_has_its_file(group):
    assert (Path(dev.__file__).parent / "bench" / f"{group}.py").is_file()


@pytest.mark.slow
def test_every_row_is_made_of_its_two_sides(rows):
    for row in rows.values():
        ours = statistics.median(row["ours"])
        other = row["limit"] if "limit" in row else statistics.median(row["other"])
        assert min(*row["ours"], *row["other"]) > 0
        cost = "as fast" not in row["ratio_text"]
        assert row["ratio"] == pytest.approx(ours / other if cost else other / ours)


@pytest.mark.slow
def test_the_promised_rows_are_there_with_their_targets(ran, rows):
    heatmaps = "15 heatmaps and probabilities of a picture, CPU, 64 px"
    for words, target in (
        ((f"{heatmaps} / one forward pass",), "at most 1.3x"),
        ((heatmaps, "grad-cam package, class by class"), "at least 30x"),
        (("served (ONNX Runtime)",), "at least 1.8x"),
        (("decoding and packing a 96x96 PNG",), "at least 1.2x"),
        (("reading an epoch up to the item",), "at least 500x"),
        (("the page's upload of a 96x96 PNG, probabilities and every heatmap",), "under 250 ms"),
        (("the same by the named API, with one heatmap drawn",), "under 250 ms"),
        (("another finding's heatmap",), "under 100 ms"),
    ):
        assert row_of(rows, *words)["target"] == target
    assert not [name for name in rows if "bootstrap" in name]  # nobody asked for it
    out, said = ran
    assert (out / "bench.md").read_text() in said


@pytest.mark.slow
def test_the_demo_of_the_bench_is_stopped(ran):
    [demo] = [process for process in Recorded.started if "demo" in process.args]
    assert demo.returncode == 0


def test_the_bootstrap_is_measured_beside_the_loop(phantoms, tmp_path, monkeypatch):
    monkeypatch.setattr(evaluation_rows, "IMAGES", 5000)
    monkeypatch.setattr(evaluation_rows, "REPLICATES", 20)
    monkeypatch.setattr(evaluation_rows, "LIBRARY_DRAWS", 2)
    [row] = evaluation_rows.rows(tiny(phantoms, tmp_path))
    assert row.work == "bootstrap, 20 draws x 5,000 images x 14"
    assert len(row.ours) == len(row.other) == REPEATS


def test_without_a_package_its_group_alone_is_skipped(phantoms, tmp_path, monkeypatch):
    def rows(setting: Setting) -> None:
        raise ModuleNotFoundError("No module named 'gradio_client'")

    monkeypatch.setattr(demo_rows, "rows", rows)
    monkeypatch.setattr(evaluation_rows, "rows", lambda setting: ["measured"])
    groups = [Group.DEMO, Group.EVALUATION]
    skipped, row = bench_rows.measure(tiny(phantoms, tmp_path), groups)
    assert skipped.reason == "No module named 'gradio_client'; pip install -r requirements.txt"
    assert row == "measured"


def test_too_few_pictures_are_told_with_what_to_change(phantoms, tmp_path):
    with pytest.raises(DataError, match=r"expected at least 4000\. .*--images"):
        tiny(phantoms, tmp_path).pictures(4000)


@pytest.mark.slow
def test_a_demo_that_does_not_start_is_told_in_its_own_words(tmp_path):
    log = tmp_path / "demo.log"
    with (
        pytest.raises(ChexnetError, match=r"did not start; it said: Error: .*demo\.log"),
        bench_served.served(tmp_path / "none.pth", log),
    ):
        pass


def serve_until_ended(weights: Path, out: Path) -> None:
    """Serve as the bench does; tells the demo's process when it is served."""
    subprocess.Popen = Recorded
    with bench_served.served(weights, out / "demo.log"):
        (out / "ready.tmp").write_text(str(Recorded.started[-1].pid))
        (out / "ready.tmp").rename(out / "ready")
        threading.Event().wait()


@pytest.mark.slow
@needs_signals
def test_a_bench_that_is_ended_from_outside_leaves_no_demo(real_weights, tmp_path):
    process = start(serve_until_ended, real_weights, tmp_path)
    wait_for(tmp_path / "ready", [process])
    process.terminate()
    assert wait([process]) == [128 + signal.SIGTERM]
    with pytest.raises(ProcessLookupError):
        os.kill(int((tmp_path / "ready").read_text()), 0)


@pytest.mark.usefixtures("tiny_network")
def test_a_wrong_answer_of_the_demo_is_noticed(phantoms, trained):
    predictor = Predictor(trained / BEST, "cpu", engine="torch")
    [expected, other] = answers(predictor, sorted(phantoms.rglob("*.png"))[:2])
    finding = FINDINGS[0]
    right = {
        "probabilities": dict(expected.probabilities),
        "finding": finding,
        "heatmap": expected.heatmap(finding).tolist(),
    }
    demo_rows.refuse_wrong(right, expected, finding)
    for wrong in (
        {"probabilities": dict(other.probabilities)},
        {"heatmap": expected.heatmap(FINDINGS[1]).tolist()},
        {"finding": FINDINGS[1]},
    ):
        with pytest.raises(ChexnetError, match="No speed is reported"):
            demo_rows.refuse_wrong(right | wrong, expected, finding)
