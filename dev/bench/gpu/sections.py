"""The rows of --gpu in order of value; a section that fails costs no other its rows."""

import time
from collections.abc import Iterator
from importlib import import_module
from typing import TYPE_CHECKING

from chexnet.errors import ConfigError
from dev.bench.rows import Row, Skipped

if TYPE_CHECKING:  # torch takes seconds to import
    from dev.bench.gpu.steps import GpuSetting

SECTIONS = {
    "the strong recipe's hour": "dev.bench.gpu.speed.hour",
    "the compiled step": "dev.bench.gpu.speed.compiled",
    "waits": "dev.bench.gpu.speed.waits",
    "the plain loop": "dev.bench.gpu.plain.plain",
}


def measure(
    setting: "GpuSetting", minutes: float, sections: dict[str, str] = SECTIONS
) -> Iterator[Row | Skipped]:
    """Yield each row when it is measured, and what was not.

    Args:
        setting: of the run.
        minutes: after which no section is begun.
        sections: in order of value: what it measures, and the function's whole name.

    Raises:
        ConfigError: no CUDA GPU.
    """
    import torch

    if setting.device == "cuda" and not torch.cuda.is_available():  # a CPU tries the code
        raise ConfigError(
            "--gpu: found no CUDA GPU, expected one. Leave --gpu out to measure the CPU's rows."
        )
    deadline = time.monotonic() + 60 * minutes
    for work, function in sections.items():
        if time.monotonic() > deadline:
            yield Skipped(work, f"{minutes:g} minutes were over")
            continue
        module, _, name = function.rpartition(".")
        try:
            yield from getattr(import_module(module), name)(setting)
        except Exception as error:  # of whatever kind: the others are measured all the same
            said = " ".join(str(error).split())[:300]
            yield Skipped(work, f"failed: {type(error).__name__}: {said}")
