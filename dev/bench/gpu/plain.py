"""Rows of --gpu: the loop that tutorials write, beside ours."""

import itertools
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch.nn import functional as F
from torch.utils.data import DataLoader, Dataset

from chexnet.data.resident import ResidentDataSet
from chexnet.model import build
from dev.bench.gpu.steps import (
    GpuSetting,
    Noise,
    endless,
    forget_peak,
    make_step,
    name_of,
    open_device,
    steps_in,
    take_steps,
    wait_for,
)
from dev.bench.rows import Row
from dev.bench.setting import kind_of, phantoms
from dev.bench.tutorial import whole_transform

CLASSES = 15
ROUNDS = 2
"""Counted rounds at least: in each, every worker gives one batch."""
ROUND_SECONDS = 5.0
"""Rounds are counted until so much time is over."""


def plain(setting: GpuSetting) -> Iterator[Row]:
    """Pillow, torchvision, float32, the loss read in each step; ours resident, in bfloat16."""
    device = open_device(setting)
    drawn = phantoms(setting.out, setting.pictures, setting.side)
    paths = sorted(drawn.rglob("*.png"))[: setting.pictures]
    noise = Noise(setting.images, setting.size)
    for batch in setting.batches:
        theirs = _plain_loop(setting, paths, device, batch)
        forget_peak(device)
        data = ResidentDataSet(noise, device)
        step = make_step(setting, data, device, batch)
        batches = endless(data, batch, device)
        count = steps_in(setting.seconds, take_steps(step, batches, 4) / 4)
        ours = [take_steps(step, batches, count) / count for _ in range(setting.repeats)]
        yield Row(
            work=f"training, {name_of(device)}, batch {batch}, {setting.size} px, resident, eager, "
            "with augmentation and averaged weights",
            unit="ms an image",
            ours=[1000 * t / batch for t in ours],
            other=[1000 * t / batch for t in theirs],
            beside=f"the plain loop: float32 (TF32 convolutions, torch's default), "
            f"{setting.workers} PIL workers, a {kind_of(paths)}, neither augmentation nor average",
            target="at least 10x",
        )


class Files(Dataset[tuple[torch.Tensor, torch.Tensor]]):
    """Pictures as tutorials read them, each again and again."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths, self.transform = paths, whole_transform(size)
        self.targets = (np.random.default_rng(0).random((len(paths), CLASSES)) < 0.1).astype("f4")

    def __len__(self) -> int:
        return 10**6

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor]:
        place = index % len(self.paths)
        with Image.open(self.paths[place]) as picture:
            return self.transform(picture.convert("RGB")), torch.from_numpy(self.targets[place])


@contextmanager
def _as_torch_starts() -> Iterator[None]:
    """cuDNN's flags as no tutorial changes them; ours again behind it."""
    flags = torch.backends.cudnn
    ours, flags.benchmark, flags.allow_tf32 = flags.benchmark, False, True
    try:
        yield
    finally:
        flags.benchmark, flags.allow_tf32 = ours, False


def _plain_loop(
    setting: GpuSetting, paths: list[Path], device: torch.device, batch: int
) -> list[float]:
    """Seconds of a step, one value a round.

    By itself, not in turn with ours: its workers would read ahead while ours runs.
    """
    loader = iter(DataLoader(Files(paths, setting.size), batch, num_workers=setting.workers))
    model = build({str(n): n for n in range(CLASSES)}, "none", 0).model.to(device).train()
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)

    def run(steps: int) -> float:
        began = time.perf_counter()
        for images, targets in itertools.islice(loader, steps):
            loss = F.binary_cross_entropy_with_logits(model(images.to(device)), targets.to(device))
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            loss.item()  # for the progress bar that every tutorial has
        wait_for(device)
        return (time.perf_counter() - began) / steps

    seconds: list[float] = []
    steps = max(1, setting.workers)
    with _as_torch_starts():
        run(steps)
        began = time.perf_counter()
        while (
            len(seconds) < ROUNDS or time.perf_counter() - began < ROUND_SECONDS * setting.seconds
        ):
            seconds.append(run(steps))
    return seconds
