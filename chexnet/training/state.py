"""The state of a run: how it starts or goes on, its checkpoint `last.pth`, and its refusals."""

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout

from chexnet import compute
from chexnet.checkpoint import load_sealed, previous_of, save_sealed
from chexnet.config import BF16, TrainConfig
from chexnet.data.datamodule import DataModule
from chexnet.data.loader import AnyDataSet, default_workers
from chexnet.data.resident import move_to_device
from chexnet.data.splits import name_hashes, refuse_trained
from chexnet.errors import CheckpointError, ChexnetError, ConfigError
from chexnet.evaluation.holdout import refuse_other_names
from chexnet.files import sweep, writing
from chexnet.labels import class_to_index
from chexnet.metadata import DataInfo, Metadata
from chexnet.model import build
from chexnet.training.log import EPOCHS, STEPS, RunLog
from chexnet.training.step import TrainStep

BEST, LAST = "best_chexnet_params.pth", "last.pth"
CHECKPOINT_VERSION = 3
"""2: each image's augmentation had a generator of its own. A run without it is the same in both."""


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

    def epochs_done(self, steps: int) -> float:
        """Epochs done, with the fraction of this one, which has `steps` steps."""
        return self.epoch + self.step / steps

    def end_epoch(self) -> None:
        """Stand at the beginning of the next epoch."""
        self.epoch, self.step, self.loss_sum = self.epoch + 1, 0, 0.0


@dataclass
class TrainState:
    """A run between two steps.

    Attributes:
        config: of the run.
        facts: of its data; leaky also where the start had seen them.
        train: the images that it trains on.
        val: the images that choose the best epoch.
        workers: processes that read them, 0 for none.
        steps: optimiser steps of an epoch.
        origin: a sentence on where its first weights came from.
        trained: hashes of all images and of all patients that the network was ever trained on.
        train_step: network, averaged network and optimiser.
        progress: where it stands.
        log: `steps.csv` and `epochs.csv`.
        waited: seconds of this epoch without a batch to compute on.
        saved_at: when the last checkpoint was written, or the run began, on `time.monotonic`.
    """

    config: TrainConfig
    facts: DataInfo
    train: AnyDataSet
    val: AnyDataSet
    workers: int
    steps: int
    origin: str
    trained: tuple[np.ndarray, np.ndarray]
    train_step: TrainStep
    progress: Progress
    log: RunLog
    waited: float = 0.0
    saved_at: float = field(default_factory=lambda: monotonic())


def start_or_resume(
    config: TrainConfig,
    datamodule: DataModule,
    device: torch.device,
    *,
    restart: bool = False,
    on_upload: Callable[[int, int], None] = lambda done, total: None,
) -> TrainState:
    """The state of a new run, or of the one whose checkpoint stands in `config.out`.

    Args:
        config: the run.
        datamodule: its data.
        device: to train on.
        restart: begin again; the old run is removed when everything else has succeeded.
        on_upload: called with images copied to the device and in all, see `move_to_device`.

    Raises:
        ChexnetError: see `DataModule.data_set`, `read_checkpoint`, `build`, `refuse_trained` and
            `move_to_device`; or the processes are not about to do the same.
    """
    classes = class_to_index(datamodule.folder.table["labels"])
    parts = [datamodule.data_set(part, classes) for part in ("train", "val")]
    saved = None if restart else read_checkpoint(config.out, config, datamodule.facts)
    progress, content = saved or (Progress(), None)
    start = build(classes, "none" if content else config.init, config.seed)
    if content:
        origin, leaky = content["origin"], content["leaky"]
        trained = content["trained_images"].numpy(), content["trained_patients"].numpy()
    else:
        origin, trained = start.origin, _trained(config, datamodule, start.metadata)
        leaky = datamodule.facts.leaky
        if start.metadata:  # its training may have seen what is validation or test here
            allow = config.allow_leak
            hidden = refuse_other_names(datamodule.folder, start.metadata, allow_leak=allow)
            leaky = _has_seen(trained, datamodule, allow_leak=allow) or hidden or leaky
    facts = dataclasses.replace(datamodule.facts, leaky=leaky)
    _check_ranks_agree(facts, config, progress)
    # A run that is finished reads no image any more.
    choice = config.resident if progress.epoch < config.epochs else "off"
    train, val = move_to_device(parts, choice, device, on_upload)
    if restart and compute.is_main():
        clear_run(config.out)
    train_step = TrainStep(start.model, config, train.preprocessing, device)
    if content:
        train_step.restore(content)
    log = RunLog(config.out)
    if compute.is_main():
        log.cut_back(progress.epoch, progress.step)
    return TrainState(
        config=config,
        facts=facts,
        train=train,
        val=val,
        workers=config.workers if config.workers >= 0 else default_workers(train),
        steps=-(-len(train) // config.batch_size),
        origin=origin,
        trained=trained,
        train_step=train_step,
        progress=progress,
        log=log,
    )


def _trained(
    config: TrainConfig, datamodule: DataModule, metadata: Metadata | None
) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the images and of the patients that are trained on here, or were before."""
    table = datamodule.folder.table.iloc[datamodule.rows("train")]
    images, patients = name_hashes(table["image"]), name_hashes(table["patient"])
    if metadata is None:
        return images, patients
    if metadata.trained_hashes is None:
        raise CheckpointError(
            f"--init: {config.init} does not say what it was trained on, so nobody could score "
            "honestly what comes of it. Pass weights that python -m scripts.train wrote."
        )
    images_before, patients_before = metadata.trained_hashes
    return np.union1d(images, images_before), np.union1d(patients, patients_before)


def _has_seen(
    trained: tuple[np.ndarray, np.ndarray], datamodule: DataModule, *, allow_leak: bool
) -> bool:
    """True when validation or test hold what was trained on; refused unless it is allowed."""
    table = datamodule.folder.table
    parts = (datamodule.rows(part) for part in ("val", "test"))
    return any([refuse_trained(table, rows, *trained, allow_leak=allow_leak) for rows in parts])


def _check_ranks_agree(facts: DataInfo, config: TrainConfig, progress: Progress) -> None:
    """Every rank must be about to do the same, or they would wait for each other for ever."""
    about = {"data": facts, "config": config.numerical_options(), "position": progress}
    wrong = compute.mismatched({name: repr(value) for name, value in about.items()})
    if wrong:
        raise ConfigError(
            f"The processes differ in {' and '.join(wrong)}. All machines need the same data "
            "and options, and --out on a disk that they share."
        )


def checkpoint_due(state: TrainState) -> bool:
    """Whether this process would write a checkpoint now, within an epoch.

    By the clock of the first process: so many steps would be minutes on one machine and days on
    another, and each checkpoint makes a GPU wait for a second or two.
    """
    config, step = state.config, state.progress.step
    if not compute.is_main() or step >= state.steps:
        return False
    by_time = monotonic() - state.saved_at >= 60 * config.save_minutes
    return by_time or bool(config.save_every and step % config.save_every == 0)


def write_checkpoint(state: TrainState) -> None:
    """Write `last.pth`, keeping the one before it as `previous.pth`; the first process does it.

    Of the configuration only what decides the run's numbers is kept.
    """
    if not compute.is_main():
        return
    state.log.flush()
    content = {
        "arithmetic": CHECKPOINT_VERSION,
        "config": state.config.numerical_options(),
        "processes": compute.world(),
        "fingerprints": state.facts.fingerprints,
        "at": dataclasses.asdict(state.progress),
        "state": {
            "origin": state.origin,
            "trained_images": torch.from_numpy(state.trained[0].copy()),
            "trained_patients": torch.from_numpy(state.trained[1].copy()),
            "leaky": state.facts.leaky,
            **state.train_step.state(),
        },
    }
    save_sealed(state.config.out / LAST, content, keep_previous=True)
    state.saved_at = monotonic()


def read_checkpoint(
    out: Path, config: TrainConfig, facts: DataInfo
) -> tuple[Progress, dict[str, Any]] | None:
    """Read `last.pth` if there is one.

    Raises:
        CheckpointError: damaged, missing beside a `previous.pth`, or of another configuration or
            other data, where every field that differs is named; or of an earlier release that
            computed something otherwise.
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
    version, progress = saved.get("arithmetic", 1), Progress(**saved["at"])
    augmented = saved["config"].get("augment") != "none" and progress.epoch < config.epochs
    if version < 2 or (version < CHECKPOINT_VERSION and augmented):
        raise CheckpointError(
            f"{path} was written by an earlier release, which computed otherwise: what followed "
            "would not be the same run. Finish it with that release, or pass --restart."
        )
    asked, expected = config.numerical_options(), dict(saved["config"])
    if "bf16" in expected:  # of before there was a precision
        expected["precision"] = BF16.get(expected.pop("bf16"))
    if config.schedule == "constant" and config.epochs > expected.get("epochs", 0):
        expected["epochs"] = config.epochs  # more of the same changes nothing that was done
    asked["processes"], expected["processes"] = compute.world(), saved["processes"]
    for part in ("train", "val"):
        asked[f"{part} images"] = facts.fingerprints[part]
        expected[f"{part} images"] = saved["fingerprints"][part]
    wrong = [key for key in asked if asked[key] != expected.get(key)]
    if wrong:
        both = "; ".join(f"{k}: found {asked[k]!r}, expected {expected.get(k)!r}" for k in wrong)
        raise CheckpointError(
            f"{path} belongs to another configuration: {both}. Use its values, another --out, "
            "or --restart."
        )
    return progress, saved["state"]


def clear_run(out: Path) -> None:
    """Remove what an earlier run wrote into `out`, and nothing else."""
    for name in (LAST, previous_of(out / LAST).name, BEST, STEPS, EPOCHS):
        with writing(out / name):
            (out / name).unlink(missing_ok=True)


@contextmanager
def run_folder(out: Path) -> Iterator[None]:
    """Hold `out` for one run at a time; the first process does it for all.

    Args:
        out: folder of the run; made where it is missing.

    Raises:
        ChexnetError: another run holds it, or it cannot be written.
    """
    if not compute.is_main():
        compute.barrier()
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
        compute.barrier()
        yield
    finally:
        lock.release()
