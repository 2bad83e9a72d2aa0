"""How the training command draws what `fit` tells, and how it answers signals."""

import ctypes
import signal
import sys
from pathlib import Path

from chexnet.data.splits import LEAKY
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.report.sentences import facts_text
from chexnet.evaluation.report.terminal import mapping_text, validation_text
from chexnet.evaluation.summary import Summary
from chexnet.metadata import DataInfo
from chexnet.parallel import INTERRUPTS
from chexnet.training.callbacks import Callbacks
from chexnet.training.log import plot_curves
from scripts.cli import counting_bar

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # of glibc's malloc.h


def keep_memory() -> None:
    """Have glibc keep the memory that a step gave back, for the next one.

    By default every large array goes back to the system and is fetched again, page by page: a
    training step on a CPU takes 1.15 times as long (batch 12, 224 px, two cores; one core: 1.36).
    The peak is the same. Does nothing where the C library is another one.
    """
    if sys.platform == "linux" and hasattr(library := ctypes.CDLL(None), "mallopt"):
        library.mallopt(M_MMAP_MAX, 0)
        library.mallopt(M_TRIM_THRESHOLD, -1)  # never


class Signals:
    """Remembers that it was asked to end, so that training can save and end after its step.

    By SIGTERM, or from the keyboard: Ctrl-C, and on Windows Ctrl-Break.
    """

    def __init__(self) -> None:
        self._seen = 0
        for number in (*INTERRUPTS, signal.SIGTERM):
            signal.signal(number, self._note)

    def received(self) -> bool:
        return bool(self._seen)

    @property
    def exit_code(self) -> int:
        """What a shell expects of a process that ended by this signal; 0 without one."""
        return 128 + self._seen if self._seen else 0

    def _note(self, number: int, frame: object) -> None:
        if self._seen == number in INTERRUPTS:  # asked twice: no more patience
            signal.signal(number, signal.SIG_DFL)
            signal.raise_signal(number)
        self._seen = number


class Console(Callbacks):
    """A progress bar with the loss of each batch, and the validation table of each epoch."""

    def __init__(self, out: Path) -> None:
        self.out, self.stamp = out, ""
        self._bar = counting_bar("{task.fields[note]}")
        self._task = self._bar.add_task("", total=None, note="", start=False)

    def __enter__(self) -> "Console":
        return self

    def __exit__(self, *exception: object) -> None:
        self._bar.stop()

    def opened(self, facts: DataInfo) -> None:
        self.stamp = f"{LEAKY}. " if facts.leaky else ""
        about = ScoringInfo.of_data(facts)
        print("\n".join(filter(None, [facts_text(about), mapping_text(about)])), flush=True)

    def note(self, text: str) -> None:
        print(text, flush=True)

    def uploading(self, done: int, total: int) -> None:
        self._bar.start()
        self._bar.update(
            self._task, description="Copying", completed=done, total=total, note="images"
        )
        if done == total:
            self._bar.stop()  # what is printed next goes to standard output again

    def epoch_started(self, epoch: int, epochs: int, done: int, steps: int) -> None:
        self._bar.start()
        self._bar.reset(
            self._task, description=f"Epoch {epoch}/{epochs}", total=steps, completed=done, note=""
        )

    def step(self, step: int, loss: float) -> None:
        self._bar.update(self._task, completed=step, note=f"loss {loss:.4f}")

    def validating(self, done: int, total: int) -> None:
        self._bar.update(
            self._task, description="Validating", completed=done, total=total, note="images"
        )

    def epoch_ended(self, epoch: int, summary: Summary, best: bool) -> None:
        self._bar.stop()
        print(f"\n{self.stamp}Epoch {epoch}{' (best so far, weights written)' if best else ''}")
        print(validation_text(summary), flush=True)
        plot_curves(self.out, self.stamp)
