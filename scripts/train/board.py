"""What `fit` tells, also written for TensorBoard."""

from importlib.util import find_spec
from typing import TYPE_CHECKING

from chexnet.config import TrainConfig
from chexnet.errors import ConfigError
from chexnet.evaluation.summary import Summary
from chexnet.metadata import DataInfo
from chexnet.training.callbacks import Callbacks
from chexnet.training.optim import learning_rate

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter


class Board(Callbacks):
    """Passes everything on, and writes it into the run's folder `tensorboard`.

    A resumed run has TensorBoard drop what was logged after its checkpoint.
    """

    def __init__(self, inner: Callbacks, config: TrainConfig) -> None:
        """Nothing is written before the first epoch begins.

        Raises:
            ConfigError: TensorBoard is not installed.
        """
        if find_spec("tensorboard") is None:
            raise ConfigError("--tensorboard: it is not installed. Run: pip install tensorboard")
        self._inner, self._config = inner, config
        self._writer: SummaryWriter | None = None
        self._before = self._steps = 0

    def close(self) -> None:
        if self._writer:
            self._writer.close()

    def opened(self, facts: DataInfo) -> None:
        self._inner.opened(facts)

    def note(self, text: str) -> None:
        self._inner.note(text)

    def uploading(self, done: int, total: int) -> None:
        self._inner.uploading(done, total)

    def epoch_started(self, epoch: int, epochs: int, done: int, steps: int) -> None:
        self._inner.epoch_started(epoch, epochs, done, steps)
        self._before, self._steps = (epoch - 1) * steps, steps
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter  # takes seconds to import

            first = self._before + done + 1
            self._writer = SummaryWriter(self._config.out / "tensorboard", purge_step=first)

    def step(self, step: int, loss: float) -> None:
        self._inner.step(step, loss)
        number = self._before + step
        self._write("loss/train", loss, number)
        self._write("lr", learning_rate((number - 1) / self._steps, self._config), number)

    def validating(self, done: int, total: int) -> None:
        self._inner.validating(done, total)

    def epoch_ended(self, epoch: int, summary: Summary, best: bool) -> None:
        self._inner.epoch_ended(epoch, summary, best)
        number = epoch * self._steps
        self._write("loss/validation", summary.loss, number)
        self._write("auroc/mean of the findings", summary.findings.value, number)
        for name, value in zip(summary.classes, summary.auroc, strict=True):
            self._write(f"auroc/{name}", value, number)
        if self._writer:
            self._writer.flush()

    def _write(self, name: str, value: float, number: int) -> None:
        if self._writer:
            self._writer.add_scalar(name, value, number)
