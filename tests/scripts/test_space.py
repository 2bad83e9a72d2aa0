"""The folder of a Space runs as it stands, with the small list alone, open to whoever comes."""

import os
import socket
import subprocess
import sys
import time

import httpx
import pytest
from gradio_client import Client, handle_file
from typer.testing import CliRunner

from chexnet.errors import CheckpointError, ConfigError
from chexnet.inference.predictor import Predictor
from demo.examples import EXAMPLES
from scripts.space import app
from tests.conftest import ROOT, answers, needs_signals

RUN = (
    "import runpy, sys; from tests.demo.serving import Hiding; sys.path.remove({root!r}); "
    "[sys.modules.pop(name) for name in list(sys.modules) if name.startswith('tests')]; "
    "sys.meta_path.insert(0, Hiding.all_but_the_small_list()); "
    "runpy.run_path('app.py', run_name='__main__')"
)


@pytest.fixture(scope="module")
def space(exported, tmp_path_factory):
    out = tmp_path_factory.mktemp("space") / "out"
    done = CliRunner().invoke(app, [str(out), "--weights", str(exported)])
    assert done.exit_code == 0, done.output
    assert f"hf upload USER/NAME {out}" in done.output
    return out


@needs_signals
def test_the_app_answers_at_the_spaces_own_host_within_the_hubs_page(space, exported):
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    own = {"host": "somebody-chexnet.hf.space", "origin": "https://somebody-chexnet.hf.space"}
    place = {"SYSTEM": "spaces", "SPACE_ID": "somebody/chexnet", "SPACE_HOST": own["host"]}
    env = {**os.environ, **place, "PORT": str(port), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", RUN.format(root=str(ROOT))]
    process = subprocess.Popen(command, cwd=space, env=env)
    try:
        url = f"http://127.0.0.1:{port}"
        deadline = time.monotonic() + 240
        while True:
            assert process.poll() is None
            assert time.monotonic() < deadline
            try:
                page = httpx.get(url, headers=own, timeout=30)
                break
            except httpx.HTTPError:
                time.sleep(0.2)
        assert page.status_code == 200
        policy = page.headers["content-security-policy"]
        assert policy.endswith("frame-ancestors 'self' https://huggingface.co")
        assert httpx.get(f"{url}/config", headers=own).status_code == 200, "no login is asked"
        assert httpx.get(f"{url}/lecturer", headers=own).status_code == 404
        picture = EXAMPLES[2].path
        answer = Client(url, verbose=False).predict(handle_file(picture), api_name="/predict")
        [expected] = answers(Predictor(exported), [picture])
        assert answer["probabilities"] == pytest.approx(expected.probabilities, abs=1e-5)
    finally:
        process.terminate()
        assert process.wait(30) == 0


def test_the_folder_is_whole_in_itself_and_pins_what_it_installs(space):
    head = (space / "README.md").read_text().split("---")[1]
    lines = (space / "requirements.txt").read_text().split()
    assert all("==" in line for line in lines)
    version = next(line for line in lines if line.startswith("gradio==")).partition("==")[2]
    assert f"\nsdk: gradio\nsdk_version: {version}\n" in head
    assert "torch" not in "".join(lines)
    assert not list(space.rglob("*.pth"))


@pytest.mark.parametrize(
    ("weights", "error"), [("none.onnx", CheckpointError), ("none.pth", CheckpointError)]
)
def test_what_cannot_be_written_leaves_nothing(tmp_path, space, weights, error):
    done = CliRunner().invoke(app, [str(tmp_path / "out"), "--weights", str(tmp_path / weights)])
    assert isinstance(done.exception, error)
    assert not (tmp_path / "out").exists()
    assert isinstance(CliRunner().invoke(app, [str(space)]).exception, ConfigError)
