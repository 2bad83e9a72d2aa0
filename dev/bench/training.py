"""Rows of dev.bench: a training step on a CPU, beside one that reads nothing; two ranks."""

import csv
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator

import numpy as np
import torch

from chexnet.config import TrainConfig
from chexnet.data.datasets import Batch, PackedDataSet
from chexnet.data.loader import batch_loader
from chexnet.errors import ChexnetError
from chexnet.model import build
from chexnet.training.step import TrainStep
from dev.bench.rows import Row, Skipped, in_turn
from dev.bench.served import ROOT
from dev.bench.setting import Setting

BATCH = 12
"""Images a step: the plain recipe's."""


def rows(setting: Setting) -> Iterator[Row | Skipped]:
    """A step on the CPU, and two processes beside one. A GPU's rows: --gpu."""
    yield _held(setting, setting.packed())
    yield _ranks(setting)


def _held(setting: Setting, data: PackedDataSet) -> Row:
    """The whole step from the pack, beside the same step on one batch held in memory."""
    train_step = _train_step(setting, data)
    read = _endless(data)
    held = itertools.repeat(next(read))
    mine, theirs = in_turn(
        lambda: _steps(train_step, read, setting.steps),
        lambda: _steps(train_step, held, setting.steps),
        setting.repeats,
    )
    return Row(
        work=f"training step from a pack, CPU, batch {BATCH}, {setting.size} px",
        unit="ms a step",
        ours=[1000 * t / setting.steps for t in mine],
        other=[1000 * t / setting.steps for t in theirs],
        beside="the same step on one batch held in memory",
        target="at least 0.95x",
    )


def _train_step(setting: Setting, data: PackedDataSet) -> TrainStep:
    config = TrainConfig(data=setting.folder.root, init="none", size=setting.size, augment="strong")
    model = build(data.classes, "none", 0).model
    train_step = TrainStep(model, config, data.preprocessing, torch.device("cpu"))
    train_step.begin_epoch(0, len(data))
    return train_step


def _endless(data: PackedDataSet) -> Iterator[Batch]:
    random = np.random.default_rng(0)
    while True:
        order = [random.integers(0, len(data), BATCH) for _ in range(64)]
        yield from batch_loader(data, order, 0)


def _steps(train_step: TrainStep, batches: Iterator[Batch], count: int) -> None:
    for batch in itertools.islice(batches, count):
        train_step(batch, BATCH, 1.0)


def _ranks(setting: Setting) -> Row | Skipped:
    """An epoch by one process and by two, with the same global batch."""
    gpus = torch.cuda.device_count()
    if gpus == 1:
        return Skipped("two torchrun ranks beside one", "one GPU")
    device = "cuda" if gpus else "cpu"
    where = "a GPU each" if gpus else f"{os.cpu_count()} CPU cores shared"
    return Row(
        work=f"an epoch by two torchrun ranks, {where}, {setting.size} px",
        unit="s",
        ours=_epochs(setting, device, 2),
        other=_epochs(setting, device, 1),
        beside="one rank, same global batch",
        target="at least 1.8x" if gpus else "shown",
    )


def _epochs(setting: Setting, device: str, ranks: int) -> list[float]:
    """Seconds of each epoch but the first, of a run of the command itself."""
    out = setting.out / f"ranks-{device}-{ranks}"
    command = [sys.executable, "-m"]
    if ranks > 1:
        command += ["torch.distributed.run", "--standalone", "--nproc-per-node", str(ranks), "-m"]
    command += ["scripts.train", "--data", setting.folder.root.resolve(), "--out", out.resolve()]
    command += ["--packs", (setting.out / "packs").resolve(), "--size", setting.size, "--restart"]
    command += ["--init", "none", "--device", device, "--batch-size", 16, "--workers", 0]
    command += ["--split", "patient", "--epochs", setting.repeats]
    done = subprocess.run(
        [str(part) for part in command],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": str(max(1, (os.cpu_count() or 1) // ranks))},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise ChexnetError(f"The run by {ranks} ranks failed: {done.stderr.strip()[-300:]}")
    with (out / "epochs.csv").open(newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    shutil.rmtree(out)  # the demo would open its weights as those of the newest run
    return seconds[1:]
