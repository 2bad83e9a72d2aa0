"""Training: `fit(config)` is the whole loop, readable from top to bottom.

Shapes: B batch, D classes, H W pixels.
"""

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict

import numpy as np
import torch

from chexnet import distributed
from chexnet.config import TrainConfig
from chexnet.data.datamodule import DataModule, open_datamodule
from chexnet.data.datasets import Batch, batch_loader, default_workers, epoch_order
from chexnet.data.splits import LEAKY, name_hashes, refuse_trained
from chexnet.errors import ChexnetError, ConfigError
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.scoring import score
from chexnet.evaluation.summary import Summary, summarise
from chexnet.labels import class_to_index
from chexnet.metadata import Metadata
from chexnet.model import build, save_weights
from chexnet.training.callbacks import Callbacks, FitResult
from chexnet.training.describe import describe
from chexnet.training.log import EPOCHS, STEPS, RunLog
from chexnet.training.optim import learning_rate
from chexnet.training.state import (
    Progress,
    clear_run,
    read_checkpoint,
    run_folder,
    write_checkpoint,
)
from chexnet.training.step import Stepper, performance_warning, rank_shares
from chexnet.transforms import Preprocessing

BEST = "best_chexnet_params.pth"
REPORT_EVERY = 20
"""Steps between two readings of the loss on CUDA; reading it makes the GPU wait."""


def fit(
    config: TrainConfig,
    callbacks: Callbacks | None = None,
    stop: Callable[[], bool] = lambda: False,
    *,
    restart: bool = False,
) -> FitResult:
    """Train, or go on training where the checkpoint in `config.out` stands.

    Under torchrun every process calls it; the first one writes.

    Args:
        config: the run.
        callbacks: is callbacks what happens (on the first process).
        stop: asked after each step; when True, a checkpoint is written and `fit` returns.
        restart: begin again; the old run is removed once the new one is ready to begin.

    Raises:
        ChexnetError: data, configuration, checkpoint or disk; the message says what to do.
    """
    callbacks = callbacks if callbacks and distributed.is_main() else Callbacks()
    device = distributed.pick_device(config.device)
    with distributed.process_group(device), run_folder(config.out):
        datamodule = open_datamodule(
            config.data,
            Preprocessing(config.crop, config.size),
            labels=config.labels,
            split=config.split,
            seed=config.seed,
            fold=(config.fold, config.folds) if config.folds else None,
            allow_leak=config.allow_leak,
            packs=config.packs,
        )
        callbacks.opened(datamodule.facts)
        for text in filter(None, [*datamodule.notes, performance_warning(config, device)]):
            callbacks.note(text)
        return _Run(config, datamodule, device, callbacks, stop, restart).run()


class _Run:
    """The loop and what it holds."""

    def __init__(
        self,
        config: TrainConfig,
        datamodule: DataModule,
        device: torch.device,
        callbacks: Callbacks,
        stop: Callable[[], bool],
        restart: bool,
    ) -> None:
        self.config, self.datamodule, self.device = config, datamodule, device
        self.callbacks, self.stop = callbacks, stop
        self.facts = dict(datamodule.facts)
        self.classes = class_to_index(datamodule.folder.table["labels"])
        self.train = datamodule.data_set("train", self.classes)
        self.val = datamodule.data_set("val", self.classes)
        self.workers = config.workers if config.workers >= 0 else default_workers(self.train)
        self.steps = -(-len(self.train) // config.batch_size)
        self.log = RunLog(config.out)
        self.waited = 0.0  # seconds of this epoch without a batch to compute on

        saved = None if restart else read_checkpoint(config.out, config, self.facts)
        self.progress, state = saved or (Progress(), None)
        start = build(self.classes, "none" if state else config.init, config.seed)
        self.origin, self.trained = start.origin, _trained(datamodule, start.metadata)
        if state:
            self.origin = state["origin"]
            self.trained = tuple(state[f"trained_{of}"].numpy() for of in ("images", "patients"))
            self.facts["leaky"] = state["leaky"]
        elif start.metadata:
            for part in ("val", "test"):
                leaky = refuse_trained(
                    datamodule.folder.table,
                    datamodule.rows(part),
                    *self.trained,
                    allow_leak=config.allow_leak,
                )
                self.facts["leaky"] = self.facts["leaky"] or leaky
        self._check_ranks_agree()
        if restart and distributed.is_main():
            clear_run(config.out, (BEST, STEPS, EPOCHS))
        self.stepper = Stepper(start.model, config, self.train.preprocessing, device)
        if state:
            self.stepper.restore(state)
        if distributed.is_main():
            self.log.cut_back(self.progress.epoch, self.progress.step)

    def _check_ranks_agree(self) -> None:
        """Every rank must be about to do the same, or they would wait for each other for ever."""
        facts = {
            "data": self.facts,
            "config": self.config.arithmetic(),
            "position": asdict(self.progress),
        }
        wrong = distributed.differing({name: repr(value) for name, value in facts.items()})
        if wrong:
            raise ConfigError(
                f"The processes differ in {' and '.join(wrong)}. All machines need the same data "
                "and options, and --out on a disk that they share."
            )

    def run(self) -> FitResult:
        if self.progress.epoch >= self.config.epochs:
            return self._result("was finished")
        where = (
            f"epoch {self.progress.epoch + 1}, step {self.progress.step}"
            if self._has_begun()
            else "new run"
        )
        self.callbacks.note(f"Starting from {self.origin}; {where}; {self.steps:,} steps an epoch.")
        while self.progress.epoch < self.config.epochs:
            self.callbacks.epoch_started(
                self.progress.epoch + 1, self.config.epochs, self.progress.step, self.steps
            )
            began = time.perf_counter()
            if not self._train_epoch():
                return self._stopped()
            scores = self._validate()
            if scores is None:
                return self._stopped()
            self._close_epoch(scores, time.perf_counter() - began)
        return self._result("finished")

    def _train_epoch(self) -> bool:
        """Train to the end of the epoch; False when it was asked to stop before."""
        order = epoch_order(len(self.train), self.config.seed, self.progress.epoch)
        size = self.config.batch_size
        batches = [order[start : start + size] for start in range(0, len(order), size)]
        self.stepper.begin_epoch()
        losses: list[torch.Tensor] = []
        waiting = iter(self._timed_batches(batches[self.progress.step :]))
        for batch, whole in zip(waiting, batches[self.progress.step :], strict=True):
            epoch_progress = self.progress.epoch + self.progress.step / self.steps
            losses.append(self.stepper.step(batch, len(whole), self.progress.epoch, epoch_progress))
            self.progress.step += 1
            ending = distributed.any_rank(self.stop())
            saving = (
                self.progress.step % self.config.save_every == 0 and self.progress.step < self.steps
            )
            wanted = REPORT_EVERY if self.device.type == "cuda" else 1
            if saving or ending or len(losses) >= wanted:
                self._report(losses)
            if ending:
                return False
            if saving:
                self._save()
        self._report(losses)
        return True

    def _timed_batches(self, batches: list[np.ndarray]) -> Iterator[Batch]:
        shares = rank_shares(batches)
        loader = batch_loader(self.train, shares, self.workers, pin=self.device.type == "cuda")
        began = time.perf_counter()
        for batch in loader:
            self.waited += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    def _validate(self) -> Scores | None:
        self.stepper.sync_buffers()
        return score(
            self.stepper.eval_model,
            self.val,
            workers=self.workers,
            bf16=self.stepper.bf16,
            on_progress=self.callbacks.validating,
            stop=self.stop,
        )

    def _close_epoch(self, scores: Scores, seconds: float) -> None:
        summary = summarise(scores)
        mean_loss, waited = self.progress.loss_sum / self.steps, self.waited
        better = _is_better(summary, self.progress)
        if better:
            self.progress.best, self.progress.best_loss = summary.findings.value, summary.loss
        self.progress.epoch, self.progress.step, self.progress.loss_sum, self.waited = (
            self.progress.epoch + 1,
            0,
            0.0,
            0.0,
        )
        if distributed.is_main():
            row = {
                "epoch": self.progress.epoch,
                "train_loss": mean_loss,
                "val_loss": summary.loss,
                "mean_auroc_findings": summary.findings.value,
                "mean_auroc_rows": summary.all_classes.value,
                "seconds": round(seconds, 1),
                "waiting_share": round(waited / seconds, 4),
                "split": self.facts["split"] + (f" {LEAKY}" if self.facts["leaky"] else ""),
            }
            pairs = zip(summary.classes, summary.auroc, strict=True)
            self.log.epoch(row | {f"auroc_{name}": value for name, value in pairs})
            if better:
                metadata = describe(
                    self.train.preprocessing,
                    scores,
                    trained=self.trained,
                    facts=self.facts,
                    config=self.config.arithmetic(),
                    origin=self.origin,
                    epoch=self.progress.epoch,
                )
                save_weights(self.config.out / BEST, self.stepper.eval_model, metadata)
        self._save()
        self.callbacks.epoch_ended(self.progress.epoch, summary, better)

    def _save(self) -> None:
        if not distributed.is_main():
            return
        self.log.flush()
        state = {
            "origin": self.origin,
            "trained_images": torch.from_numpy(self.trained[0].copy()),
            "trained_patients": torch.from_numpy(self.trained[1].copy()),
            "leaky": self.facts["leaky"],
            **self.stepper.state(),
        }
        write_checkpoint(self.config.out, self.config, self.facts, self.progress, state)

    def _report(self, losses: list[torch.Tensor]) -> None:
        if not losses:
            return
        values = distributed.totals(torch.stack(losses).tolist())
        first = self.progress.step - len(values) + 1
        for step, value in enumerate(values, start=first):
            if not math.isfinite(value):
                raise ChexnetError(
                    f"The loss became {value} in epoch {self.progress.epoch + 1}, step {step}. "
                    "Lower --lr, or add --warmup-epochs; the last checkpoint is from before."
                )
            self.progress.loss_sum += value
            lr = learning_rate(self.progress.epoch + (step - 1) / self.steps, self.config)
            if distributed.is_main():
                self.log.step(self.progress.epoch + 1, step, value, lr)
            self.callbacks.step(step, value)
        losses.clear()

    def _stopped(self) -> FitResult:
        self._save()
        return self._result("stopped")

    def _result(self, state: str) -> FitResult:
        return FitResult(self.config.out / BEST, self.progress.best, self.progress.epoch, state)

    def _has_begun(self) -> bool:
        return bool(self.progress.epoch or self.progress.step)


def _trained(datamodule: DataModule, metadata: Metadata | None) -> tuple[np.ndarray, np.ndarray]:
    """Hashes of the images and of the patients that are trained on here, or were before."""
    table = datamodule.folder.table.iloc[datamodule.rows("train")]
    hashes = name_hashes(table["image"]), name_hashes(table["patient"])
    if metadata is None:
        return hashes
    before = (metadata.provenance[f"trained_{of}"].numpy() for of in ("images", "patients"))
    return tuple(np.union1d(now, then) for now, then in zip(hashes, before, strict=True))


def _is_better(summary: Summary, progress: Progress) -> bool:
    if summary.findings.n_defined and not np.isnan(progress.best):
        return summary.findings.value > progress.best
    # Without any AUROC (a tiny validation part) the loss has to choose.
    return bool(summary.findings.n_defined) or summary.loss < progress.best_loss
