"""Training: `fit(config)` is the whole loop, readable from top to bottom.

Shapes: B batch, D classes, H W pixels.
"""

import math
import time
from collections.abc import Callable, Collection, Iterator
from contextlib import nullcontext

import numpy as np
import torch

from chexnet import compute
from chexnet.config import TrainConfig
from chexnet.data.datamodule import DataModule, open_datamodule
from chexnet.data.datasets import Batch, epoch_order
from chexnet.data.formats import DataRequest
from chexnet.data.loader import batch_loader
from chexnet.data.splits import LEAKY
from chexnet.errors import ChexnetError
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.scoring import score
from chexnet.evaluation.summary import Summary, summarise
from chexnet.model import save_weights
from chexnet.training.callbacks import Callbacks, FitResult
from chexnet.training.describe import describe
from chexnet.training.optim import learning_rate
from chexnet.training.state import (
    BEST,
    Progress,
    TrainState,
    checkpoint_due,
    run_folder,
    start_or_resume,
    write_checkpoint,
)
from chexnet.training.step import performance_warning, rank_shares, resolved, set_up_cuda
from chexnet.transforms import Preprocessing

READ_EVERY = 20
"""Steps between two readings of the loss on a GPU; reading it makes the GPU wait."""


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
        callbacks: told what happens (on the first process).
        stop: asked after each step; when True, a checkpoint is written and `fit` returns.
        restart: begin again; the old run is removed once the new one is ready to begin.

    Raises:
        ChexnetError: data, configuration, checkpoint or disk; the message says what to do.
    """
    callbacks = callbacks if callbacks and compute.is_main() else Callbacks()
    device = compute.pick_device(config.device)
    config = resolved(config, device)
    if device.type == "cuda":
        set_up_cuda(config.deterministic)
    with (
        compute.process_group(device),
        nullcontext(_open_data(config)) as datamodule,  # refused data leave no folder behind
        run_folder(config.out),
    ):
        callbacks.opened(datamodule.facts)
        notes = [performance_warning(config, device), compute.backend_note(device)]
        for text in filter(None, [*datamodule.notes, *notes]):
            callbacks.note(text)
        state = start_or_resume(
            config, datamodule, device, restart=restart, on_upload=callbacks.uploading
        )
        progress, train_step, steps = state.progress, state.train_step, state.steps
        if progress.epoch >= config.epochs:
            return _result(state, "was finished")
        callbacks.note(_starting_note(state))

        while progress.epoch < config.epochs:
            callbacks.epoch_started(progress.epoch + 1, config.epochs, progress.step, steps)
            began, state.waited = time.perf_counter(), 0.0
            train_step.begin_epoch(progress.epoch, len(state.train))
            losses: list[torch.Tensor] = []  # on the device, not read yet
            read_every = 1 if device.type == "cpu" else READ_EVERY

            for batch, size, cells in _batches_left(state):
                done = progress.epochs_done(steps)
                losses.append(train_step(batch, size, done, cells=cells))
                progress.step += 1
                stopping, saving = compute.any_rank_each(stop(), checkpoint_due(state))
                if saving or stopping or len(losses) >= read_every:
                    _record(losses, state, callbacks)
                if saving or stopping:
                    write_checkpoint(state)
                if stopping:
                    return _result(state, "stopped")
            _record(losses, state, callbacks)

            scores = _evaluate(state, callbacks, stop)
            if scores is None:  # asked to stop
                write_checkpoint(state)
                return _result(state, "stopped")
            summary, seconds = summarise(scores), time.perf_counter() - began
            _log_epoch(state, summary, seconds)
            best = _is_better(summary, progress)
            if best:
                _keep_best(state, scores, summary, datamodule.drawn)
            progress.end_epoch()
            write_checkpoint(state)
            callbacks.epoch_ended(progress.epoch, summary, best)
        return _result(state, "finished")


def _open_data(config: TrainConfig) -> DataModule:
    request = DataRequest(
        config.data,
        table=config.table,
        format=config.format,
        mapping=config.mapping,
        uncertain=config.uncertain,
        labels=config.labels,
        split=config.split,
        seed=config.seed,
        fold=(config.fold, config.folds) if config.folds else None,
        packs=config.packs,
    )
    preprocessing = Preprocessing(config.crop, config.size)
    return open_datamodule(request, preprocessing, allow_leak=config.allow_leak)


def _starting_note(state: TrainState) -> str:
    epoch, step = state.progress.epoch, state.progress.step
    where = f"epoch {epoch + 1}, step {step}" if epoch or step else "new run"
    return f"Starting from {state.origin}; {where}; {state.steps:,} steps an epoch."


def _batches_left(state: TrainState) -> Iterator[tuple[Batch, int, int | None]]:
    """This rank's share of each batch that the epoch still has, and of the whole batch its size
    and its labelled targets, None where the table labels everything."""
    config, progress = state.config, state.progress
    order = epoch_order(len(state.train), config.seed, progress.epoch)
    starts = range(progress.step * config.batch_size, len(order), config.batch_size)
    batches = [order[start : start + config.batch_size] for start in starts]
    known = ~np.isnan(state.train.targets)
    labelled = None if known.all() else known.sum(axis=1)  # of each image, on the host
    pin = state.train_step.device.type == "cuda"
    loader = batch_loader(state.train, rank_shares(batches), state.workers, pin=pin)
    began = time.perf_counter()
    for batch, whole in zip(loader, batches, strict=True):
        state.waited += time.perf_counter() - began
        cells = None if labelled is None else int(labelled[whole].sum())
        yield batch, len(whole), cells
        began = time.perf_counter()


def _record(losses: list[torch.Tensor], state: TrainState, callbacks: Callbacks) -> None:
    """Read the losses of the last steps, add them up over the ranks, log them, and clear them."""
    if not losses:
        return
    progress = state.progress
    values = compute.all_reduce_sum(torch.stack(losses).tolist())
    for step, value in enumerate(values, start=progress.step - len(values) + 1):
        if not math.isfinite(value):
            raise ChexnetError(
                f"The loss became {value} in epoch {progress.epoch + 1}, step {step}. "
                "Lower --lr, or add --warmup-epochs; the last checkpoint is from before."
            )
        progress.loss_sum += value
        if compute.is_main():
            lr = learning_rate(progress.epoch + (step - 1) / state.steps, state.config)
            state.log.step(progress.epoch + 1, step, value, lr)
        callbacks.step(step, value)
    losses.clear()


def _evaluate(state: TrainState, callbacks: Callbacks, stop: Callable[[], bool]) -> Scores | None:
    """Score the validation part, shared out over the ranks; None when asked to stop.

    In float32 however it is trained: these scores choose thresholds and calibration, and float32
    is what answers later.
    """
    state.train_step.sync_buffers()
    return score(
        state.train_step.eval_model,
        state.val,
        workers=state.workers,
        on_progress=callbacks.validating,
        stop=stop,
    )


def _log_epoch(state: TrainState, summary: Summary, seconds: float) -> None:
    if not compute.is_main():
        return
    row = {
        "epoch": state.progress.epoch + 1,
        "train_loss": state.progress.loss_sum / state.steps,
        "val_loss": summary.loss,
        "mean_auroc_findings": summary.findings.value,
        "mean_auroc_rows": summary.all_classes.value,
        "seconds": round(seconds, 1),
        "waiting_share": round(state.waited / seconds, 4),
        "split": state.facts.split + (f" {LEAKY}" if state.facts.leaky else ""),
    }
    pairs = zip(summary.classes, summary.auroc, strict=True)
    state.log.epoch(row | {f"auroc_{name}": value for name, value in pairs})


def _is_better(summary: Summary, progress: Progress) -> bool:
    if summary.findings.n_defined and not np.isnan(progress.best):
        return summary.findings.value > progress.best
    # Without any AUROC (a tiny validation part) the loss has to choose.
    return bool(summary.findings.n_defined) or summary.loss < progress.best_loss


def _keep_best(state: TrainState, scores: Scores, summary: Summary, drawn: Collection[str]) -> None:
    """Note the epoch's figures as the best, and write its weights."""
    state.progress.best, state.progress.best_loss = summary.findings.value, summary.loss
    if not compute.is_main():
        return
    metadata = describe(
        state.train.preprocessing,
        scores,
        trained=state.trained,
        facts=state.facts,
        config=state.config.numerical_options(),
        origin=state.origin,
        epoch=state.progress.epoch + 1,
        drawn=drawn,
    )
    save_weights(state.config.out / BEST, state.train_step.eval_model, metadata)


def _result(state: TrainState, how: str) -> FitResult:
    progress = state.progress
    return FitResult(state.config.out / BEST, progress.best, progress.epoch, how)
