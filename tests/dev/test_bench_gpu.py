"""The GPU's bench, its code tried on a CPU at a tiny size: no figure of it means anything here."""

import os
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from typer.testing import CliRunner

from chexnet.errors import ConfigError
from dev.bench.__main__ import app
from dev.bench.floors import Floors
from dev.bench.gpu import checks, plain, speed, steps
from dev.bench.gpu.sections import SECTIONS, Section, measure
from dev.bench.gpu.speed import StepRow
from dev.bench.gpu.steps import EPOCHS, NIH_IMAGES, GpuSetting, steps_in
from dev.bench.rows import Skipped
from tests.conftest import ROOT
from tests.sections import endless, good, killed, wrong

pytestmark = pytest.mark.slow


@pytest.fixture
def tiny(tmp_path, monkeypatch) -> GpuSetting:
    monkeypatch.setattr(speed, "WARM", 1)
    monkeypatch.setattr(checks, "SHOWN", 2)
    sizes = {"size": 64, "phantom_size": 64, "side": 96, "batches": (2,), "images": 4}
    counts = {"hour_steps": 5, "repeats": 1, "seconds": 0.001, "pictures": 4, "workers": 0}
    return GpuSetting(tmp_path, "cpu", **sizes, **counts, patients=24, epochs=1)


def test_without_a_gpu_it_refuses_in_one_message_and_writes_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    done = CliRunner().invoke(app, ["--gpu", "--out", str(tmp_path / "out")])
    assert done.exit_code == 1
    assert isinstance(done.exception, ConfigError)
    assert str(done.exception).startswith("--gpu: found no CUDA GPU, expected one.")
    assert not (tmp_path / "out").exists()


def test_every_section_has_its_function_and_its_limit():
    for section in SECTIONS:
        module, _, name = section.function.rpartition(".")
        assert callable(getattr(sys.modules[module], name))
        assert 0 < section.least < section.seconds


def test_the_hour_is_extrapolated_from_steps_epoch_starts_and_validations(tiny, monkeypatch):
    taken = []
    inner = speed.take_steps
    monkeypatch.setattr(
        speed,
        "take_steps",
        lambda step, batches, count: taken.append(inner(step, batches, count)) or taken[-1],
    )
    training, validation = speed.hour(tiny)
    start = training.details["epoch_start_s"]
    per_step = -(-NIH_IMAGES // 2)
    counted = taken[1:]  # but for the first call, in which nothing is warm
    expected = [EPOCHS * (per_step * one + start) / 60 for one in counted]
    assert training.ours == pytest.approx(expected)
    assert len(counted) == 5
    assert training.limit == 60
    assert training.ratio_text.endswith("% of the hour")
    assert "75 epochs x 86,524 images, 64 px, batch 2" in training.work
    assert "from 5 steps" in training.work
    assert all(one > 0 for one in validation.ours)


def test_a_row_tells_speed_memory_waiting_and_how_near_the_floors_are(tiny, monkeypatch):
    monkeypatch.setattr(speed, "floors_of", lambda *_: Floors(1e9, 1e9, 1e4, 2e3))
    monkeypatch.setattr(speed, "peak_gb", lambda device: 20.04)
    details = speed._details(tiny, torch.device("cpu"), 100, 0.1) | {"waiting_share": 0.034}
    row = StepRow("work", "ms a step", [100.0], [96.6], "held", "shown", details)
    assert row.work_text == (
        "work: 1,000 images/s, peak 20.0 GB, 3 % waiting, 10 % of the arithmetic floor, "
        "50 % of the memory floor"
    )


def test_the_hours_rows_count_at_least_200_steps():
    assert GpuSetting(Path("out")).hour_steps >= 200


def test_waits_and_heatmaps_are_looked_at(tiny):
    held, packed, heatmaps, logits = checks.exactness(tiny)
    assert [one.ours for one in (held, packed)] == [[0.0], [0.0]]
    assert heatmaps.limit == logits.limit == 1e-3
    assert heatmaps.ours == [0.0]  # a CPU beside itself


@pytest.mark.parametrize("said", ["called a synchronizing CUDA operation", "out of memory"])
def test_a_step_that_waits_is_counted_and_another_error_is_none(tiny, monkeypatch, said):
    def step(batch: object, count: int, progress: float) -> None:
        raise RuntimeError(said)

    monkeypatch.setattr(checks, "make_step", lambda *_: step)
    monkeypatch.setattr(checks, "endless", lambda *_: iter([[[1]]]))
    monkeypatch.setattr(checks, "take_steps", lambda *_: 0.0)
    given = (tiny, torch.device("cpu"), 2, "resident", None)
    if "synchronizing" not in said:
        with pytest.raises(RuntimeError, match="out of memory"):
            checks._waits(*given)
        return
    row = checks._waits(*given)
    assert row.ours == [1.0]
    assert said in row.work


def test_under_the_debug_mode_torch_raises_and_afterwards_no_more(monkeypatch):
    modes = []
    monkeypatch.setattr(torch.cuda, "set_sync_debug_mode", modes.append)
    with pytest.raises(InterruptedError), checks._no_waiting(torch.device("cuda", 0)):
        raise InterruptedError
    assert modes == ["error", "default"]


def test_the_gpus_memory_is_measured_only_once_cuda_is_there(monkeypatch):
    """Its statistics cannot be reset before: the first GPU row would have ended the bench."""
    called = []
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(steps.distributed, "pick_device", lambda name: gpu)
    monkeypatch.setattr(steps, "set_up_cuda", lambda deterministic: None)
    for name in ("init", "empty_cache", "reset_peak_memory_stats"):
        monkeypatch.setattr(torch.cuda, name, lambda *_, name=name: called.append(name))
    steps.forget_peak(steps.open_device(GpuSetting(Path("out"))))
    assert called == ["init", "empty_cache", "reset_peak_memory_stats"]


@pytest.mark.parametrize(("one", "expected"), [(0.1, 10), (5.0, 2), (1e-4, 200)])
def test_a_call_takes_about_a_second(one, expected):
    assert steps_in(1.0, one) == expected


# --- sections, each in a process of its own ----------------------------------------------------


def section(function, seconds: float = 60, least: float = 0) -> Section:
    return Section(function.__name__, f"tests.sections.{function.__name__}", seconds, least)


def test_a_section_that_fails_dies_or_hangs_is_named_and_the_others_are_measured():
    planned = (section(wrong), section(killed), section(endless, 0.2), section(good))
    before, failed, died, hung, row = measure(SimpleNamespace(device="cpu"), 5, planned)
    assert before.ours == [2.0]  # what was measured until then is kept
    assert failed == Skipped("wrong", "failed: ValueError: a reason in two lines")
    assert died == Skipped("killed", "its process ended with exit code 7")
    assert hung == Skipped("endless", "ended after 0 s, its limit")
    assert row.ours == [1.0]


def test_a_section_that_no_time_is_left_for_is_named():
    [row] = measure(SimpleNamespace(device="cpu"), 0.5, (section(good, least=31),))
    assert row == Skipped("good", "30 s were left of 0.5 minutes")


def test_resident_and_packed_steps_stand_beside_a_held_batch(tiny):
    found = list(speed.variants(tiny))
    assert len(found) == 4
    assert ["no average" in row.work for row in found] == [False, True] * 2
    assert all(0 <= row.details["waiting_share"] < 1 for row in found)


def test_the_compiled_step_stands_beside_the_eager_one(tiny, monkeypatch):
    inner = torch.compile
    monkeypatch.setattr(torch, "compile", lambda module: inner(module, backend="eager"))
    hour, averaged, plain_weights = speed.compiled(tiny)
    assert "compiled (the first step took" in hour.work
    assert averaged.beside == plain_weights.beside == "the same, eager"


def test_the_plain_loop_stands_beside_ours(tiny):
    [row] = plain.plain(tiny)
    assert "a 96x96 PNG" in row.beside
    assert len(row.other) >= plain.ROUNDS


def test_bfloat16_stands_beside_float32_and_leaves_no_weights(tiny):
    trained, scored = checks.precision(tiny)
    assert trained.limit == scored.limit == 2e-3
    assert "the same weights" in scored.work
    assert not list(tiny.out.rglob("best_chexnet_params.pth"))


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
    command += ["--minutes", "0.1", "--out", str(tmp_path / "out")]
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "No plot (not installed: matplotlib" in done.stdout
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["bench.json", "bench.md"]
    assert done.stdout.count("were left of 0.1 minutes") == 2 * len(SECTIONS)
