"""Rows of --gpu: what the strong recipe would take on NIH, and that no step waits for the GPU."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median

import torch

from chexnet.data.loader import AnyDataSet
from chexnet.data.resident import ResidentDataSet
from chexnet.training.step import TrainStep
from dev.bench.gpu.steps import (
    EPOCHS,
    NIH_IMAGES,
    GpuSetting,
    Noise,
    endless,
    forget_peak,
    make_step,
    name_of,
    open_device,
    peak_gb,
    take_steps,
    wait_for,
)
from dev.bench.rows import LimitRow, Row

WARM = 5
"""Steps before any is counted; cuDNN tries its algorithms in the first ones."""
HOUR = 60.0
CHECKED = 3
"""Steps in which nothing may wait."""


def hour(setting: GpuSetting) -> Iterator[Row]:
    """The strong recipe's 75 epochs, from steps on resident images."""
    device = open_device(setting)
    packed = Noise(setting.images, setting.size)
    for batch in setting.batches:
        forget_peak(device)
        data = ResidentDataSet(packed, device)
        step = make_step(setting, data, device, batch)
        yield _hour(setting, step, data, batch, "eager")


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
    speed = f"{batch / median(seconds):,.0f} images/s, peak {peak_gb(device):.1f} GB"
    return LimitRow(
        work=f"strong recipe, {EPOCHS} epochs x {NIH_IMAGES:,} images, {setting.size} px, batch "
        f"{batch}, {how}, resident, {name_of(device)}: training, from {count * parts} steps and an "
        f"epoch's start of {start:.3f} s; {speed}",
        unit="min",
        ours=[EPOCHS * (steps * step_s + start) / 60 for step_s in seconds],
        other=[],
        beside="an hour",
        target="under 60 min",
        limit=HOUR,
    )


def compiled(setting: GpuSetting) -> Iterator[Row]:
    """A compiled step beside an eager one, and the hour once more with compiled steps.

    timm's published inference tables have DenseNet-121 1.7 to 1.9 times as fast when compiled.
    """
    device, batch = open_device(setting), setting.batches[0]
    data = ResidentDataSet(Noise(setting.images, setting.size), device)
    eager = make_step(setting, data, device, batch)
    step = make_step(setting, data, device, batch, compile=True)
    batches = endless(data, batch, device)
    first = take_steps(step, batches, 1)
    take_steps(step, batches, WARM)
    take_steps(eager, batches, WARM)
    count = max(1, setting.hour_steps // 10)
    pairs = [[take_steps(way, batches, count) / count for way in (step, eager)] for _ in range(3)]
    ours, other = ([1000 * seconds for seconds in times] for times in zip(*pairs, strict=True))
    yield Row(
        work=f"compiled training step, {setting.size} px, batch {batch}, {name_of(device)}",
        unit="ms a step",
        ours=ours,
        other=other,
        beside="the same step, eager",
        target="at least 1.5x",
    )
    yield _hour(setting, step, data, batch, f"compiled (the first step took {first:.0f} s)")


def waits(setting: GpuSetting) -> Iterator[Row]:
    """Steps on resident pictures and from the pack."""
    device = open_device(setting)
    packed = Noise(setting.images, setting.size)
    batch = min(setting.batches)
    for kind, data in (("resident", ResidentDataSet(packed, device)), ("from the pack", packed)):
        yield _waits(setting, device, batch, kind, data)


def _waits(
    setting: GpuSetting, device: torch.device, batch: int, kind: str, data: AnyDataSet
) -> Row:
    step = make_step(setting, data, device, batch)
    batches = endless(data, batch, device)
    take_steps(step, batches, 2)
    first_wait = ""
    try:
        with _no_waiting(device):
            for _ in range(CHECKED):
                taken = next(batches)
                step(taken, len(taken[0]), 1.0)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        first_wait = f"; the first: {str(error).splitlines()[0][:200]}"
    return LimitRow(
        work=f'training step, {name_of(device)}, {kind}: waits under set_sync_debug_mode("error"), '
        f"{CHECKED} steps{first_wait}",
        unit="waits",
        ours=[float(bool(first_wait))],
        other=[],
        beside="the limit",
        target="none",
        limit=1.0,
    )


@contextmanager
def _no_waiting(device: torch.device) -> Iterator[None]:
    """Make torch raise where a call waits for the GPU."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")
