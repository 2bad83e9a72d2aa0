"""Rows of scripts.bench: a training step, beside one that reads nothing and beside a plain loop."""

import csv
import itertools
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from chexnet.config import TrainConfig
from chexnet.data.datasets import Batch, PackedDataSet
from chexnet.data.loader import batch_loader, default_workers
from chexnet.errors import ChexnetError
from chexnet.model import build
from chexnet.training.step import TrainStep
from scripts.bench.floors import floors
from scripts.bench.rows import Row, Skipped, in_turn
from scripts.bench.served import ROOT
from scripts.bench.setting import Setting, kind_of
from scripts.bench.tutorial import whole_transform

BATCH, LARGE = 12, 256
"""Images a step: the plain recipe's, and one that fills a large GPU."""
PLAIN_WORKERS = 8


def rows(setting: Setting) -> Iterator[Row | Skipped]:
    """The CPU's row, the GPU's rows where there is one, and two processes beside one."""
    data = setting.packed()
    yield _held(setting, data, torch.device("cpu"), BATCH, "at least 0.95x")
    if torch.cuda.is_available():
        yield from _gpu(setting, data)
    else:
        yield Skipped(f"a training step on a GPU, {setting.size} px", "no GPU")
    yield _ranks(setting)


def _held(
    setting: Setting, data: PackedDataSet, device: torch.device, batch: int, target: str
) -> Row:
    """The whole step from the pack, beside the same step on one batch held in memory."""
    train_step = _train_step(setting, data, device, batch)
    read = _endless(data, batch, device)
    held = _on(next(read), device)
    mine, theirs = in_turn(
        lambda: _steps(train_step, read, batch, setting.steps, device),
        lambda: _steps(train_step, itertools.repeat(held), batch, setting.steps, device),
        setting.repeats,
    )
    return Row(
        work=f"training step from a pack, {_name(device)}, batch {batch}, {setting.size} px",
        unit="ms a step",
        ours=[1000 * t / setting.steps for t in mine],
        other=[1000 * t / setting.steps for t in theirs],
        beside="the same step on one batch held in memory",
        target=target,
    )


def _gpu(setting: Setting, data: PackedDataSet) -> Iterator[Row]:
    device = torch.device("cuda", 0)
    torch.cuda.init()  # there are no statistics to reset before
    torch.cuda.reset_peak_memory_stats(device)
    yield _held(setting, data, device, LARGE, "at least 0.9x")
    peak = torch.cuda.max_memory_allocated(device) / 1e9
    train_step = _train_step(setting, data, device, LARGE)
    ours, plain = _endless(data, LARGE, device), _plain_loop(setting, data, device)
    mine, theirs = in_turn(
        lambda: _steps(train_step, ours, LARGE, setting.steps, device), plain, setting.repeats
    )
    yield Row(
        work=f"training, {_name(device)}, bfloat16, batch {LARGE}, {setting.size} px, "
        f"peak {peak:.1f} GB; {floors(setting.size, _name(device))}",
        unit="ms an image",
        ours=[1000 * t / setting.steps / LARGE for t in mine],
        other=[1000 * t / setting.steps / BATCH for t in theirs],
        beside=f"the plain loop: float32, batch {BATCH}, {PLAIN_WORKERS} PIL workers, "
        f"a {kind_of(list(setting.pictures(setting.images).values()))}",
        target="at least 10x",
    )


def _train_step(
    setting: Setting, data: PackedDataSet, device: torch.device, batch: int
) -> TrainStep:
    config = TrainConfig(
        data=setting.folder.root, init="none", size=setting.size, batch_size=batch, augment="strong"
    )
    train_step = TrainStep(build(data.classes, "none", 0).model, config, data.preprocessing, device)
    train_step.begin_epoch(0, len(data))
    return train_step


def _endless(data: PackedDataSet, batch: int, device: torch.device) -> Iterator[Batch]:
    random = np.random.default_rng(0)
    cuda = device.type == "cuda"
    while True:
        order = [random.integers(0, len(data), batch) for _ in range(64)]
        yield from batch_loader(data, order, default_workers(data) if cuda else 0, pin=cuda)


def _on(batch: Batch, device: torch.device) -> Batch:
    images, targets, indices = batch
    return images.to(device), targets.to(device), indices


def _steps(
    train_step: TrainStep, batches: Iterator[Batch], size: int, count: int, device: torch.device
) -> None:
    for batch in itertools.islice(batches, count):
        train_step(batch, size, 1.0)
    if device.type == "cuda":
        torch.cuda.synchronize(device)


class _Files(Dataset):
    """Pictures as tutorials read them, each again and again."""

    def __init__(self, paths: list[Path], targets: np.ndarray, size: int) -> None:
        self.paths, self.targets, self.transform = paths, targets, whole_transform(size)

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        place = index % len(self.paths)
        with Image.open(self.paths[place]) as picture:
            return self.transform(picture.convert("RGB")), torch.from_numpy(self.targets[place])


def _plain_loop(setting: Setting, data: PackedDataSet, device: torch.device) -> Callable[[], None]:
    paths = list(setting.pictures(setting.images).values())
    files = _Files(paths, data.targets.astype(np.float32), setting.size)
    loader = iter(DataLoader(files, BATCH, num_workers=PLAIN_WORKERS))
    model = build(data.classes, "none", 0).model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run() -> None:
        for _ in range(setting.steps):
            images, targets = (part.to(device) for part in next(loader))
            loss = F.binary_cross_entropy_with_logits(model(images), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # for the progress bar that every tutorial has
        torch.cuda.synchronize(device)

    return run


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


def _name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"
