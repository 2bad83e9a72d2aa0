"""What the rows of --gpu are measured with: pictures of noise, training steps, their time.

Shapes: N images, H W pixels.
"""

import gc
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chexnet import compute
from chexnet.config import TrainConfig
from chexnet.data.datasets import Batch, PackedDataSet
from chexnet.data.loader import AnyDataSet, batch_loader
from chexnet.labels import FINDINGS, NO_FINDING
from chexnet.model import build
from chexnet.training.loop import READ_EVERY
from chexnet.training.step import TrainStep, set_up_cuda
from chexnet.transforms import Preprocessing

NIH_IMAGES, EPOCHS = 86_524, 75
"""Of NIH's official train_val list, and of the strong recipe."""


@dataclass(frozen=True)
class GpuSetting:
    """One run of --gpu.

    Attributes:
        out: folder of the run.
        device: `cuda`; `cpu` tries the code at a tiny size, and says nothing of any speed.
        size: side of the network's input, in pixels.
        batches: images a step.
        images: pictures of noise that steps are timed on.
        hour_steps: counted steps behind the hour, at each batch.
        repeats: counted calls of each side of the other rows.
        seconds: that one such call shall take.
        pictures, side: phantoms that the plain loop reads, and their side as files.
        workers: processes of the plain loop.
    """

    out: Path
    device: str = "cuda"
    size: int = 224
    batches: tuple[int, ...] = (256, 32)
    images: int = 8192
    hour_steps: int = 200
    repeats: int = 3
    seconds: float = 1.0
    pictures: int = 64
    side: int = 1024
    workers: int = 8


class Noise(PackedDataSet):
    """Pictures of noise, as a pack has them: they cost the same time as radiographs."""

    def __init__(self, images: int, size: int) -> None:
        random = np.random.default_rng(0)
        names = (*FINDINGS, NO_FINDING)
        self.images = [f"{number}.png" for number in range(images)]
        self.patients = [str(number) for number in range(images)]
        self.classes = {name: index for index, name in enumerate(names)}
        self.targets = (random.random((images, len(names))) < 0.1).astype(np.float32)
        self.preprocessing, self.inverted = Preprocessing(size=size), np.zeros(images, bool)
        self._rows = np.arange(images)
        self._pixels = random.integers(0, 256, (images, size, size), np.uint8)


def open_device(setting: GpuSetting) -> torch.device:
    """The device, set up as training sets it up."""
    device = compute.pick_device(setting.device)
    if device.type == "cuda":
        set_up_cuda(deterministic=False)
        torch.cuda.init()  # there are no statistics to reset before
    return device


def name_of(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "CPU"


def wait_for(device: torch.device) -> None:
    """Until the device has done all that it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def forget_peak(device: torch.device) -> None:
    """Give back what nobody holds, and count the peak from here."""
    gc.collect()
    if device.type == "cuda":
        torch.cuda.empty_cache()
        torch.cuda.reset_peak_memory_stats(device)


def peak_gb(device: torch.device) -> float:
    """The peak of allocated memory in GB, with the resident pictures; 0 without a GPU."""
    return torch.cuda.max_memory_allocated(device) / 1e9 if device.type == "cuda" else 0.0


def make_step(
    setting: GpuSetting, data: AnyDataSet, device: torch.device, batch: int, **options: object
) -> TrainStep:
    """The strong recipe's step on random weights, at another batch."""
    given = {"data": setting.out, "recipe": "strong", "init": "none", "size": setting.size}
    config = TrainConfig.from_recipe({**given, "batch_size": batch, **options})
    step = TrainStep(build(data.classes, "none", 0).model, config, data.preprocessing, device)
    step.begin_epoch(0, len(data))
    return step


def endless(data: AnyDataSet, batch: int, device: torch.device) -> Iterator[Batch]:
    """Batches as an epoch gives them, without its end."""
    random, pin = np.random.default_rng(0), device.type == "cuda"
    while True:
        yield from batch_loader(
            data, [random.integers(0, len(data), batch) for _ in range(64)], 0, pin=pin
        )


def take_steps(step: TrainStep, batches: Iterator[Batch], count: int) -> float:
    """Seconds of so many steps, with the loss read as the training loop reads it."""
    losses: list[torch.Tensor] = []
    wait_for(step.device)
    began = time.perf_counter()
    for _ in range(count):
        batch = next(batches)
        losses.append(step(batch, len(batch[0]), 1.0))
        if len(losses) == READ_EVERY:
            torch.stack(losses).tolist()
            losses.clear()
    wait_for(step.device)
    return time.perf_counter() - began


def steps_in(seconds: float, step_seconds: float) -> int:
    """How many steps take about so long, when one takes `one` seconds; at least 2."""
    return max(2, min(200, round(seconds / step_seconds)))
