"""What a training run tells its caller, who may draw it."""

from dataclasses import dataclass
from pathlib import Path

from chexnet.evaluation.summary import Summary
from chexnet.metadata import DataInfo


class Callbacks:
    """What `fit` tells while it works; every method does nothing until it is overridden."""

    def opened(self, facts: DataInfo) -> None:
        """The data are open."""

    def note(self, text: str) -> None:
        """A sentence that the user should read."""

    def epoch_started(self, epoch: int, epochs: int, done: int, steps: int) -> None:
        """An epoch (from 1) begins, or goes on after `done` of its `steps`."""

    def uploading(self, done: int, total: int) -> None:
        """`done` of `total` images of the pack are copied to the training device."""

    def step(self, step: int, loss: float) -> None:
        """An optimiser step (from 1) is done; `loss` is the batch's mean."""

    def validating(self, done: int, total: int) -> None:
        """`done` of this process's `total` validation images are scored."""

    def epoch_ended(self, epoch: int, summary: Summary, best: bool) -> None:
        """An epoch (from 1) was scored; `best` when its weights were written."""


@dataclass(frozen=True)
class FitResult:
    """How a call of `fit` ended.

    Attributes:
        weights: the best weights file.
        best: mean AUROC over the findings of the best epoch, NaN where none has an AUROC.
        epoch: epochs that are done.
        state: `finished`, `stopped` (by the caller, with a checkpoint), or `was finished` when
            there was nothing to do.
    """

    weights: Path
    best: float
    epoch: int
    state: str
