"""The rows of --gpu in order of value, each section in a process of its own with a time limit.

A section that crashes, hangs or finds no time is named, and costs no other section its rows.
"""

import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from multiprocessing.connection import Connection
from typing import TYPE_CHECKING

from chexnet.errors import ConfigError
from chexnet.parallel import end_with_parent
from dev.bench.rows import Row, Skipped

if TYPE_CHECKING:  # torch takes seconds to import, and the parent does without it
    from dev.bench.gpu.steps import GpuSetting


@dataclass(frozen=True)
class Section:
    """Rows that one process measures.

    Attributes:
        work: what they are, for a reader who does not get them.
        function: where it stands, `package.module.name`; of a GpuSetting.
        seconds: after which it is ended; what it gave until then is kept.
        least: with fewer left it is not begun.
    """

    work: str
    function: str
    seconds: float
    least: float


SECTIONS = (
    Section("the strong recipe's hour", "dev.bench.gpu.speed.hour", 110, 40),
    Section("waits and heatmaps", "dev.bench.gpu.checks.exactness", 60, 20),
    Section("bfloat16 beside float32 on phantoms", "dev.bench.gpu.checks.precision", 150, 60),
    Section("a training step, resident and from the pack", "dev.bench.gpu.speed.variants", 150, 40),
    Section("the plain loop", "dev.bench.gpu.plain.plain", 90, 40),
    Section("the compiled step", "dev.bench.gpu.speed.compiled", 180, 60),
)


def measure(
    setting: "GpuSetting", minutes: float, sections: tuple[Section, ...] = SECTIONS
) -> Iterator[Row | Skipped]:
    """Yield each row when it is measured, and what was not.

    Args:
        setting: of the run.
        minutes: for all sections together.
        sections: in order of value.

    Raises:
        ConfigError: no CUDA GPU.
    """
    refuse_without_gpu(setting.device)
    deadline = time.monotonic() + 60 * minutes
    for section in sections:
        left = deadline - time.monotonic()
        if left < section.least:
            yield Skipped(section.work, f"{max(left, 0):.0f} s were left of {minutes:g} minutes")
            continue
        yield from _alone(section, setting, min(section.seconds, left))


def refuse_without_gpu(device: str) -> None:
    """Raise where there is no CUDA GPU, unless the code is tried on a CPU."""
    import torch

    if device == "cuda" and not torch.cuda.is_available():
        raise ConfigError(
            "--gpu: found no CUDA GPU, expected one. Leave --gpu out to measure the CPU's rows."
        )


def _alone(section: Section, setting: "GpuSetting", seconds: float) -> Iterator[Row | Skipped]:
    context = multiprocessing.get_context("spawn")
    receiving, sending = context.Pipe(duplex=False)
    process = context.Process(target=_run, args=(section, setting, sending))
    process.start()
    sending.close()
    deadline, finished = time.monotonic() + seconds, False
    try:
        while not finished and receiving.poll(max(0.0, deadline - time.monotonic())):
            given = receiving.recv()
            finished = given is None
            if given is not None:
                yield given
        if not finished:
            yield Skipped(section.work, f"ended after {seconds:.0f} s, its limit")
    except EOFError:
        process.join()
        yield Skipped(section.work, f"its process ended with exit code {process.exitcode}")
    finally:
        process.kill()
        process.join()


def _run(section: Section, setting: "GpuSetting", sending: Connection) -> None:
    end_with_parent()
    module, _, name = section.function.rpartition(".")
    try:
        for row in getattr(import_module(module), name)(setting):
            sending.send(row)
    except Exception as error:  # of whatever kind: the other sections are measured all the same
        said = " ".join(str(error).split())[:300]
        sending.send(Skipped(section.work, f"failed: {type(error).__name__}: {said}"))
    sending.send(None)
