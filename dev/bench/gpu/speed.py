"""Rows of --gpu: how fast a training step is, and what the strong recipe would take on NIH."""

import itertools
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median
from typing import Any

import torch

from chexnet.data.datasets import Batch
from chexnet.data.loader import AnyDataSet
from chexnet.evaluation.scoring import score
from chexnet.training.step import TrainStep
from dev.bench.gpu.steps import (
    EPOCHS,
    NIH_IMAGES,
    GpuSetting,
    Noise,
    endless,
    floors_of,
    forget_peak,
    held_batch,
    make_step,
    name_of,
    open_device,
    peak_gb,
    resident,
    steps_in,
    take_steps,
    wait_for,
)
from dev.bench.rows import LimitRow, Row, in_turn

WARM = 5
"""Steps before any is counted; cuDNN tries its algorithms in the first ones."""
VALIDATION = 0.1
"""Of the images validate after each epoch."""
HOUR = 60.0


@dataclass(frozen=True)
class StepRow(Row):
    """Milliseconds of a step, beside another way to take it.

    Attributes:
        details: images a second, share of waiting, peak of memory, shares of the two floors.
    """

    details: dict[str, Any] = field(default_factory=dict)

    @property
    def work_text(self) -> str:
        return f"{self.work}: {_told(self.details)}"


@dataclass(frozen=True)
class HourRow(LimitRow):
    """Minutes that were extrapolated, with an hour as their limit. Details as in `StepRow`."""

    details: dict[str, Any] = field(default_factory=dict)

    @property
    def ratio_text(self) -> str:
        return f"{100 * self.ratio:.0f} % of the hour"

    @property
    def work_text(self) -> str:
        return f"{self.work}; {_told(self.details)}" if self.details else self.work


@dataclass(frozen=True)
class Sides:
    """What is measured in turn: where the batches of each side come from, and its name."""

    ours: Iterator[Batch]
    kind: str
    other: Iterator[Batch]
    beside: str
    target: str


def hour(setting: GpuSetting) -> Iterator[Row]:
    """The strong recipe's 75 epochs, from steps on resident images, and their validation."""
    device = open_device(setting)
    packed = Noise(setting.images, setting.size)
    for number, batch in enumerate(setting.batches):
        forget_peak(device)
        data = resident(packed, device)
        step = make_step(setting, data, device, batch)
        yield _hour(setting, step, data, batch, "eager")
        if number == 0:
            yield _validation(setting, step, data)


def _hour(
    setting: GpuSetting, step: TrainStep, data: AnyDataSet, batch: int, how: str, parts: int = 5
) -> Row:
    """Minutes of the whole run, from `hour_steps` steps in five parts."""
    device, batches = step.device, endless(data, batch, step.device)
    take_steps(step, batches, WARM)
    began = time.perf_counter()
    step.begin_epoch(0, NIH_IMAGES)  # draws the augmentation of as many images
    wait_for(device)
    start = time.perf_counter() - began
    count = -(-setting.hour_steps // parts)
    seconds = [take_steps(step, batches, count) / count for _ in range(parts)]
    steps = -(-NIH_IMAGES // batch)
    return HourRow(
        work=f"strong recipe, {EPOCHS} epochs x {NIH_IMAGES:,} images, {setting.size} px, batch "
        f"{batch}, {how}, resident, {name_of(device)}: training, from {count * parts} steps",
        unit="min",
        ours=[EPOCHS * (steps * one + start) / 60 for one in seconds],
        other=[],
        beside="an hour",
        target="under 60 min",
        limit=HOUR,
        details=_details(setting, device, batch, median(seconds)) | {"epoch_start_s": start},
    )


def _validation(setting: GpuSetting, step: TrainStep, data: AnyDataSet) -> Row:
    """Minutes of all validations, in float32 as thresholds are chosen."""
    device = step.device
    score(step.eval_model, data)
    seconds = []
    for _ in range(2):
        wait_for(device)
        began = time.perf_counter()
        score(step.eval_model, data)
        seconds.append(time.perf_counter() - began)
    images = VALIDATION * NIH_IMAGES
    return HourRow(
        work=f"its {EPOCHS} validations of {images:,.0f} images, {setting.size} px, float32, "
        f"{name_of(device)}, from {len(data):,} images: on top of training",
        unit="min",
        ours=[EPOCHS * one * images / len(data) / 60 for one in seconds],
        other=[],
        beside="an hour",
        target="shown",
        limit=HOUR,
    )


def variants(setting: GpuSetting) -> Iterator[Row]:
    """From the pack and resident, with and without averaged weights, beside a held batch."""
    device = open_device(setting)
    packed = Noise(setting.images, setting.size)
    for batch in setting.batches:
        for kind in ("resident", "from the pack"):
            forget_peak(device)
            data = resident(packed, device) if kind == "resident" else packed
            step = make_step(setting, data, device, batch)
            batches = endless(data, batch, device)
            held = itertools.repeat(held_batch(packed, batch, device))
            take_steps(step, batches, WARM)
            beside = "the same step on one batch held on the device"
            sides = Sides(batches, f"{kind}, eager", held, beside, "at least 0.95x")
            for average in (True, False):
                if not average:
                    step.average = None
                yield _beside(setting, step, batch, sides)


def compiled(setting: GpuSetting) -> Iterator[Row]:
    """Compiled beside eager, both resident; and the hour once more."""
    device = open_device(setting)
    packed = Noise(setting.images, setting.size)
    for number, batch in enumerate(setting.batches):
        torch._dynamo.reset()  # else the second batch would get a network for any batch
        forget_peak(device)
        data = resident(packed, device)
        eager = make_step(setting, data, device, batch)
        batches = endless(data, batch, device)
        take_steps(eager, batches, WARM)
        forget_peak(device)
        step = make_step(setting, data, device, batch, compile=True)
        began = time.perf_counter()
        take_steps(step, batches, 1)
        first = time.perf_counter() - began
        take_steps(step, batches, WARM)
        how = f"compiled (the first step took {first:.0f} s)"
        if number == 0:
            yield _hour(setting, step, data, batch, how)
        for average in (True, False):
            if not average:
                step.average = eager.average = None
            sides = Sides(batches, f"resident, {how}", batches, "the same, eager", "shown")
            yield _beside(setting, step, batch, sides, eager)


def _beside(
    setting: GpuSetting,
    step: TrainStep,
    batch: int,
    sides: Sides,
    other: TrainStep | None = None,
) -> Row:
    """Both sides in turn; `other` takes the other side's steps, by default the same one."""
    device = step.device
    count = steps_in(setting.seconds, take_steps(step, sides.ours, 2) / 2)
    forget_peak(device)
    take_steps(step, sides.ours, 2)
    peak = peak_gb(device)
    mine, theirs = in_turn(
        lambda: take_steps(step, sides.ours, count),
        lambda: take_steps(other or step, sides.other, count),
        setting.repeats,
    )
    mine, theirs = ([1000 * t / count for t in side] for side in (mine, theirs))
    details = _details(setting, device, batch, median(mine) / 1000) | {"peak_gb": peak}
    if other is None:
        details["waiting_share"] = max(0.0, 1 - median(theirs) / median(mine))
    average = "averaged weights" if step.average else "no average"
    return StepRow(
        work=f"training step, {name_of(device)}, batch {batch}, {setting.size} px, {sides.kind}, "
        f"{average}",
        unit="ms a step",
        ours=mine,
        other=theirs,
        beside=sides.beside,
        target=sides.target,
        details=details,
    )


def _details(
    setting: GpuSetting, device: torch.device, batch: int, seconds: float
) -> dict[str, float]:
    """Of a step that takes so long: speed, memory, and how near the floors are."""
    floor, speed = floors_of(setting, device), batch / seconds
    found = {"images_a_second": speed, "peak_gb": peak_gb(device)}
    if floor.arithmetic and floor.memory:
        found["share_of_arithmetic_floor"] = speed / floor.arithmetic
        found["share_of_memory_floor"] = speed / floor.memory
    return found


def _told(details: dict[str, float]) -> str:
    told = [f"{details['images_a_second']:,.0f} images/s", f"peak {details['peak_gb']:.1f} GB"]
    if "waiting_share" in details:
        told.append(f"{100 * details['waiting_share']:.0f} % waiting")
    for name in ("arithmetic", "memory"):
        if f"share_of_{name}_floor" in details:
            told.append(f"{100 * details[f'share_of_{name}_floor']:.0f} % of the {name} floor")
    return ", ".join(told)
