"""A run's checkpoint `last.pth`: everything that the next step depends on, and its refusals."""

import dataclasses
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chexnet import distributed
from chexnet.checkpoint import load_sealed, previous_of, save_sealed
from chexnet.config import TrainConfig
from chexnet.errors import CheckpointError, ChexnetError
from chexnet.files import sweep

LAST = "last.pth"


@dataclass
class Progress:
    """Where a run stands.

    Attributes:
        epoch: epochs done.
        step: optimiser steps done in the next one.
        loss_sum: of these steps.
        best: mean AUROC over the findings of the best epoch, NaN before there is one.
        best_loss: validation loss of that epoch.
    """

    epoch: int = 0
    step: int = 0
    loss_sum: float = 0.0
    best: float = float("nan")
    best_loss: float = float("inf")


def write_checkpoint(
    out: Path, config: TrainConfig, facts: dict[str, Any], progress: Progress, state: dict[str, Any]
) -> None:
    """Write `last.pth`, keeping the one before it as `previous.pth`.

    Args:
        out: folder of the run.
        config: of the run; only what decides its numbers is kept.
        facts: of its data, see `DataModule.facts`.
        progress: where it stands.
        state: state dicts and other plain values, given back by `read_checkpoint`.
    """
    content = {
        "config": config.arithmetic(),
        "processes": distributed.world(),
        "fingerprints": facts["fingerprints"],
        "at": dataclasses.asdict(progress),
        "state": state,
    }
    save_sealed(out / LAST, content, keep_previous=True)


def read_checkpoint(
    out: Path, config: TrainConfig, facts: dict[str, Any]
) -> tuple[Progress, dict[str, Any]] | None:
    """Read `last.pth` if there is one.

    Raises:
        CheckpointError: damaged, missing beside a `previous.pth`, or of another configuration or
            other data; every field that differs is named.
    """
    path = out / LAST
    if not path.exists():
        if previous_of(path).exists():
            raise CheckpointError(
                f"Found {previous_of(path)} but no {LAST}. Rename it to {LAST} to go on from "
                "there, or pass --restart to start over."
            )
        return None
    saved = load_sealed(path)
    if not {"config", "processes", "fingerprints", "at", "state"} <= set(saved):
        raise CheckpointError(f"{path} is no checkpoint of a run. Pass --restart to start over.")
    found, expected = config.arithmetic(), dict(saved["config"])
    if config.schedule == "constant" and config.epochs > expected.get("epochs", 0):
        expected["epochs"] = config.epochs  # more of the same changes nothing that was done
    found["processes"], expected["processes"] = distributed.world(), saved["processes"]
    for part in ("train", "val"):
        found[f"{part} images"] = facts["fingerprints"][part]
        expected[f"{part} images"] = saved["fingerprints"][part]
    wrong = [key for key in found if found[key] != expected.get(key)]
    if wrong:
        both = "; ".join(f"{k}: found {found[k]!r}, expected {expected.get(k)!r}" for k in wrong)
        raise CheckpointError(
            f"{path} belongs to another configuration: {both}. Use its values, another --out, "
            "or --restart."
        )
    return Progress(**saved["at"]), saved["state"]


def clear_run(out: Path, names: Iterable[str]) -> None:
    """Remove what an earlier run wrote into `out`, and nothing else."""
    for name in (LAST, previous_of(out / LAST).name, *names):
        (out / name).unlink(missing_ok=True)


@contextmanager
def run_folder(out: Path) -> Iterator[None]:
    """Hold `out` for one run at a time; the first process does it for all.

    Args:
        out: folder of the run; made where it is missing.

    Raises:
        ChexnetError: another run holds it, or it cannot be written.
    """
    if not distributed.is_main():
        distributed.barrier()
        yield
        return
    lock = FileLock(out / ".lock", timeout=0)
    try:
        out.mkdir(parents=True, exist_ok=True)
        lock.acquire()
        sweep(out)
    except Timeout as error:
        raise ChexnetError(
            f"Another training is running in {out}. Wait for it, or pass another --out."
        ) from error
    except OSError as error:
        raise ChexnetError(
            f"Could not use {out}: {error.strerror or error}. Pass a writable --out."
        ) from error
    try:
        distributed.barrier()
        yield
    finally:
        lock.release()
