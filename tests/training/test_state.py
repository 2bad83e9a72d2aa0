"""Being stopped, killed, and going on: the rest of the run is the same."""

import os
import random
import shutil
import signal
import time
from functools import partial
from pathlib import Path

import pytest
import torch

from chexnet.checkpoint import load_sealed, save_sealed
from chexnet.config import TrainConfig
from chexnet.errors import CheckpointError, ChexnetError
from chexnet.training.loop import fit
from tests import jobs
from tests.conftest import needs_signals
from tests.processes import start, start_ranks, wait, wait_for, wait_for_change
from tests.runs import Recorder, equal, rows, tensors


def test_a_finished_run_says_so_and_trains_no_more(trained, tiny_options):
    before = (trained / "last.pth").read_bytes()
    result = fit(TrainConfig(**tiny_options, out=trained))
    assert result.state == "was finished"
    assert (trained / "last.pth").read_bytes() == before


def test_more_epochs_go_on_where_the_schedule_is_constant(copied, tiny_options):
    told = Recorder()
    result = fit(TrainConfig(**{**tiny_options, "epochs": 3}, out=copied), told)
    assert result.epoch == 3
    assert [epoch for epoch, _, _ in told.epochs] == [3]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"lr": 3e-4}, r"lr: found 0.0003, expected 0.0001"),
        ({"batch_size": 4, "seed": 3}, r"batch_size: found 4, expected 8; seed: found 3, exp"),
        ({"epochs": 1}, "epochs: found 1, expected 2"),
    ],
)
def test_a_checkpoint_of_another_configuration_is_refused_field_by_field(
    trained, tiny_options, changed, told
):
    with pytest.raises(CheckpointError, match=told):
        fit(TrainConfig(**{**tiny_options, **changed}, out=trained))


def test_fields_without_arithmetic_may_differ(trained, tiny_options):
    options = {**tiny_options, "save_every": 9, "workers": 1}
    assert fit(TrainConfig(**options, out=trained)).state == "was finished"


def as_release(version: int | None, out: Path) -> dict:
    """Rewrite a checkpoint in the middle of its run as an earlier release wrote it."""
    saved = load_sealed(out / "last.pth")
    saved["at"] |= {"epoch": 1, "step": 0, "loss_sum": 0.0}
    if version is None:
        del saved["arithmetic"]
    else:
        saved["arithmetic"] = version
        saved["config"]["bf16"] = {"fp32": "off", "bf16": "on"}[saved["config"].pop("precision")]
    save_sealed(out / "last.pth", saved)
    return saved


def test_a_run_of_an_earlier_release_goes_on_where_it_computes_the_same(copied, tiny_options):
    as_release(2, copied)
    assert fit(TrainConfig(**tiny_options, out=copied)).state == "finished"


def test_auto_is_stored_as_the_device_and_the_precision_that_it_stands_for(trained):
    config = load_sealed(trained / "last.pth")["config"]
    assert (config["device"], config["precision"]) == ("cpu", "fp32")


@pytest.mark.parametrize("version", [None, 2])
def test_a_run_of_an_earlier_release_is_refused_where_it_would_change(
    copied, tiny_options, version
):
    saved = as_release(version, copied)
    options = {**tiny_options, "out": copied}
    if version is not None:
        options["augment"] = saved["config"]["augment"] = "strong"
        save_sealed(copied / "last.pth", saved)
    with pytest.raises(CheckpointError, match=r"earlier release, which computed otherwise"):
        fit(TrainConfig(**options))
    saved["at"]["epoch"] = 2
    save_sealed(copied / "last.pth", saved)
    if version is None:  # of before 0.1.0
        with pytest.raises(CheckpointError, match="earlier release"):
            fit(TrainConfig(**options))
    else:
        assert fit(TrainConfig(**options)).state == "was finished"


def test_a_bfloat16_run_of_an_earlier_release_does_not_go_on_in_float32(copied, tiny_options):
    saved = as_release(2, copied)
    saved["config"]["bf16"] = "on"
    save_sealed(copied / "last.pth", saved)
    with pytest.raises(CheckpointError, match=r"precision: found 'fp32', expected 'bf16'"):
        fit(TrainConfig(**tiny_options, out=copied))


@pytest.mark.usefixtures("tiny_network")
def test_a_float16_run_resumes_bit_for_bit_with_its_scale_and_its_overflow(
    tiny_options, tmp_path, monkeypatch
):
    """The scale begins so high that the first steps overflow; the stop lies behind some."""
    scaler = partial(torch.amp.GradScaler, init_scale=2.0**26)
    monkeypatch.setattr(torch.amp, "GradScaler", scaler)
    options = {**tiny_options, "epochs": 1, "precision": "fp16", "ema_decay": 0.9}
    fit(TrainConfig(**options, out=tmp_path / "whole"))
    told = Recorder()
    config = TrainConfig(**options, out=tmp_path / "stopped")
    fit(config, told, stop=lambda: len(told.losses) >= 3)
    before = load_sealed(config.out / "last.pth")["state"]["scaler"]
    assert before["scale"] < 2.0**26  # a step was left out
    assert fit(config).state == "finished"
    ends = [load_sealed(tmp_path / run / "last.pth") for run in ("whole", "stopped")]
    assert ends[0]["state"]["scaler"] == ends[1]["state"]["scaler"]
    assert equal(*(end["state"]["model"] for end in ends))
    assert equal(*(end["state"]["average"] for end in ends))
    assert equal(
        *(
            {str(k): v["exp_avg"] for k, v in end["state"]["optimizer"]["state"].items()}
            for end in ends
        )
    )


def test_checkpoints_within_an_epoch_come_by_the_clock(tiny_options, tmp_path, monkeypatch):
    """Every fourth step: the clock goes on by four minutes after each, and ten are asked for."""
    told, written, now = Recorder(), [], [0.0]
    monkeypatch.setattr("chexnet.training.state.monotonic", lambda: now[0])
    monkeypatch.setattr(
        "chexnet.training.loop.write_checkpoint",
        lambda state: (
            written.append((state.progress.epoch, state.progress.step))
            or setattr(state, "saved_at", now[0])
        ),
    )
    told.step = lambda step, loss: now.__setitem__(0, now[0] + 240)
    options = {**tiny_options, "epochs": 1, "batch_size": 4, "save_every": 0}
    fit(TrainConfig(**options, out=tmp_path / "run"), told)
    within = [step for epoch, step in written if epoch == 0]
    assert within == list(range(4, within[-1] + 1, 4))
    assert written[-1] == (1, 0)  # and always at an epoch's end


def test_a_checkpoint_of_other_pictures_is_refused(trained, tiny_options, tmp_path):
    data = tmp_path / "grown"
    shutil.copytree(tiny_options["data"], data)
    table = data / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("No Finding", "Mass"))
    with pytest.raises(CheckpointError, match="train images: found"):
        fit(TrainConfig(**{**tiny_options, "data": data}, out=trained))


def test_restart_begins_again_and_touches_nothing_else(copied, tiny_options):
    (copied / "mine.txt").write_text("mine")
    told = Recorder()
    options = {**tiny_options, "epochs": 1, "lr": 5e-4}
    fit(TrainConfig(**options, out=copied), told, restart=True)
    assert "new run" in told.notes[0]
    assert [row["epoch"] for row in rows(copied / "epochs.csv")] == ["1"]
    assert (copied / "mine.txt").read_text() == "mine"


@pytest.mark.parametrize("wrong", [{"data": Path("nowhere")}, {"init": "nowhere.pth"}])
def test_a_restart_that_cannot_begin_costs_nothing(copied, tiny_options, wrong):
    before = {path.name: path.stat().st_size for path in copied.iterdir()}
    with pytest.raises(ChexnetError):
        fit(TrainConfig(**{**tiny_options, **wrong}, out=copied), restart=True)
    assert {path.name: path.stat().st_size for path in copied.iterdir()} == before


def test_a_lost_last_checkpoint_names_the_previous_one(copied, tiny_options):
    (copied / "last.pth").unlink()
    with pytest.raises(CheckpointError, match=r"previous\.pth.*Rename.*--restart"):
        fit(TrainConfig(**tiny_options, out=copied))


def check_resume(options: dict, folder: Path, *, kills: int, ranks: int, workers: int) -> None:
    """Kill a run again and again; its end must be that of a run that nobody touched.

    Each kill comes after the run has gone on from the one before, within a step or a save.
    """
    options = {**options, "workers": workers}
    chance = random.Random(ranks * 10 + workers)

    def launch(out: Path, save_every: int = 1000) -> list:
        given = {**options, "out": out, "save_every": save_every}
        return [start(jobs.train, given)] if ranks == 1 else start_ranks(jobs.train, given)

    quiet, killed = folder / "quiet", folder / "killed"
    assert wait(launch(quiet), 600) == [0] * ranks
    seen = None
    for _ in range(kills):
        processes = launch(killed, save_every=1)
        seen = wait_for_change(killed / "last.pth", seen, processes)
        time.sleep(chance.uniform(0.0, 0.1))
        assert any(process.is_alive() for process in processes), "it ended before it was killed"
        for process in processes:
            process.kill()
        wait(processes)
        seen = (killed / "last.pth").stat().st_mtime_ns
    assert wait(launch(killed), 600) == [0] * ranks
    assert equal(tensors(quiet), tensors(killed))
    assert equal(
        tensors(quiet, "best_chexnet_params.pth"), tensors(killed, "best_chexnet_params.pth")
    )
    assert rows(quiet / "steps.csv") == rows(killed / "steps.csv")


@pytest.mark.parametrize(("ranks", "workers"), [(1, 2), (2, 0)])
def test_a_killed_run_ends_with_the_weights_of_one_that_was_not(
    tiny_options, tmp_path, ranks, workers
):
    options = {**tiny_options, "epochs": 4, "ema_decay": 0.9, "augment": "strong"}
    check_resume(options, tmp_path, kills=2, ranks=ranks, workers=workers)


@pytest.mark.slow
@pytest.mark.parametrize("ranks", [1, 2])
@pytest.mark.parametrize("workers", [0, 2])
def test_twenty_kills_change_no_bit(tiny_options, tmp_path, ranks, workers):
    options = {**tiny_options, "epochs": 40, "ema_decay": 0.9, "augment": "strong"}
    check_resume(options, tmp_path, kills=20, ranks=ranks, workers=workers)


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_saves_ends_with_its_code_and_the_rest_is_the_same(
    tiny_options, trained, tmp_path, number
):
    out, there = tmp_path / "run", tmp_path / "third-step"
    options = {**tiny_options, "out": out, "save_every": 1000}
    process = start(jobs.train_until_signal, options, there)
    wait_for(there, [process])
    assert not (out / "last.pth").exists()
    os.kill(process.pid, number)
    began = time.monotonic()
    assert wait([process], 60) == [128 + number]
    assert time.monotonic() - began < 30  # the promise is 10 s; a shared machine can be slow
    assert load_sealed(out / "last.pth")["at"]["step"] == 4  # the one that it was about to take
    assert wait([start(jobs.train, options)]) == [0]
    assert equal(tensors(out), tensors(trained))
