"""The bench's rows of a GPU, tried on a CPU at a tiny size; they say nothing of any speed here."""

import os
import re
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from chexnet.errors import ConfigError
from dev.bench.__main__ import app
from dev.bench.gpu import plain, speed, steps
from dev.bench.gpu.sections import SECTIONS, measure
from dev.bench.gpu.steps import EPOCHS, NIH_IMAGES, GpuSetting, steps_in
from dev.bench.rows import Skipped
from tests.conftest import ROOT


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> GpuSetting:
    monkeypatch.setattr(speed, "WARM", 1)
    sizes = {"size": 64, "side": 96, "batches": (2,), "images": 4}
    counts = {"hour_steps": 5, "repeats": 1, "seconds": 0.001, "pictures": 4, "workers": 0}
    return GpuSetting(tmp_path, "cpu", **sizes, **counts)


def test_without_a_gpu_it_refuses_in_one_message_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(app, ["--gpu", "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("--gpu: found no CUDA GPU, expected one.")
    assert not (tmp_path / "out").exists()


def test_the_hour_is_extrapolated_from_steps_epoch_starts_and_validations(tiny, monkeypatch):
    taken = []
    inner = speed.take_steps
    monkeypatch.setattr(
        speed,
        "take_steps",
        lambda step, batches, count: taken.append(inner(step, batches, count)) or taken[-1],
    )
    [training] = speed.hour(tiny)
    start = float(re.search(r"start of ([\d.]+) s", training.work)[1])
    per_step = -(-NIH_IMAGES // 2)
    counted = taken[1:]  # but for the first call, in which nothing is warm
    expected = [EPOCHS * (per_step * seconds_a_step + start) / 60 for seconds_a_step in counted]
    assert training.ours == pytest.approx(expected, rel=1e-3)
    assert len(counted) == 5
    assert training.limit == 60
    assert training.ratio_text.endswith("% of the limit")
    assert "75 epochs x 86,524 images, 64 px, batch 2" in training.work
    assert "from 5 steps" in training.work


def test_the_hours_rows_count_at_least_200_steps():
    assert GpuSetting(Path("out")).hour_steps >= 200


def test_steps_are_watched_for_waiting(tiny):
    assert [row.ours for row in speed.waits(tiny)] == [[0.0], [0.0]]


@pytest.mark.parametrize("said", ["called a synchronizing CUDA operation", "out of memory"])
def test_a_step_that_waits_is_counted_and_another_error_is_none(tiny, monkeypatch, said):
    def step(batch: object, count: int, progress: float) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(speed, "make_step", lambda *_: step)
    monkeypatch.setattr(speed, "endless", lambda *_: iter([[[1]]]))
    monkeypatch.setattr(speed, "take_steps", lambda *_: 0.0)
    given = (tiny, torch.device("cpu"), 2, "resident", None)
    if "synchronizing" not in said:
        with pytest.raises(RuntimeError, match="out of memory"):
            speed._waits(*given)
        return
    row = speed._waits(*given)
    assert row.ours == [1.0]
    assert said in row.work


def test_under_the_debug_mode_torch_raises_and_afterwards_no_more(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.raises(InterruptedError), speed._no_waiting(torch.device("cuda", 0)):
        raise InterruptedError
    assert modes == ["error", "default"]


def test_the_gpus_memory_is_measured_only_once_cuda_is_there(monkeypatch):
    """Its statistics cannot be reset before: the first GPU row would have ended the bench."""
    called = []
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(steps.compute, "pick_device", lambda name: gpu)
    monkeypatch.setattr(steps, "set_up_cuda", lambda deterministic: None)
    for name in ("init", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: called.append(name))
    steps.forget_peak(steps.open_device(GpuSetting(Path("out"))))
    assert called == ["init", "empty_cache", "reset_peak_memory_stats"]


@pytest.mark.parametrize(("seconds", "expected"), [(0.1, 10), (5.0, 2), (1e-4, 200)])
def test_a_call_takes_about_a_second(seconds, expected):
    assert steps_in(1.0, seconds) == expected


def test_a_section_that_fails_or_has_no_time_is_named_and_the_others_are_measured(monkeypatch):
    def wrong(setting: object):
        yield "before"
        raise ValueError("a reason\nin two lines")

    monkeypatch.setattr(speed, "hour", wrong)
    monkeypatch.setattr(plain, "plain", lambda setting: ["measured"])
    planned = {name: SECTIONS[name] for name in ("the strong recipe's hour", "the plain loop")}
    before, failed, row = measure(SimpleNamespace(device="cpu"), 5, planned)
    assert (before, row) == ("before", "measured")
    reason = "failed: ValueError: a reason in two lines"
    assert failed == Skipped("the strong recipe's hour", reason)
    late = measure(SimpleNamespace(device="cpu"), -1, planned)
    assert [skipped.reason for skipped in late] == ["-1 minutes were over"] * 2


@pytest.mark.slow
def test_the_compiled_step_gives_the_hour_once_more(tiny, monkeypatch):
    inner = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: inner(module, backend="eager"))
    step, row = speed.compiled(tiny)
    assert (step.beside, step.target) == ("the same step, eager", "at least 1.5x")
    assert "compiled (the first step took" in row.work


def test_the_plain_loop_stands_beside_ours(tiny):
    [row] = plain.plain(tiny)
    assert "a 96x96 PNG" in row.beside
    assert len(row.other) >= plain.ROUNDS


@pytest.mark.slow
def test_it_runs_where_only_the_core_is_installed(tmp_path):
    """Everything else is made to look absent, as on a bare machine with a GPU."""
    absent = "gradio gradio_client pytorch_grad_cam kornia_rs imagecodecs onnxruntime onnx "
    absent += "onnxscript platformdirs pooch cv2 matplotlib sklearn pydicom httpx tenacity"
    (tmp_path / "sitecustomize.py").write_text(
        "import importlib.machinery as m\n"
        "found = m.PathFinder.find_spec\n"
        f"absent = set({absent.split()})\n"
        "m.PathFinder.find_spec = staticmethod(lambda name, path=None, target=None: None\n"
        "    if name.split('.')[0] in absent else found(name, path, target))\n"
    )
    command = [sys.executable, "-m", "dev.bench", "--gpu", "--device", "cpu"]
    command += ["--minutes", "-1", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bench.json", "bench.md"]
    assert done.stdout.count("-1 minutes were over") == 2 * len(SECTIONS)
