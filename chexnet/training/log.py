"""A run's log: `steps.csv` (a row a step), `epochs.csv` (a row an epoch), and `curves.png`."""

import csv
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexnet.files import replacing, writing

STEPS, EPOCHS = "steps.csv", "epochs.csv"
STEP_FIELDS = ("epoch", "step", "loss", "lr")
# Okabe and Ito's colours, told apart by colour-blind readers as well.
BLUE, ORANGE, GRAY = "#0072B2", "#D55E00", "#8a8a8a"
FLUSH_EVERY = 20
"""Steps between two writes, so that a reader can follow and a fast GPU is not held up."""


class RunLog:
    """Appends rows; after a crash it is cut back to where the checkpoint stands."""

    def __init__(self, folder: Path) -> None:
        """Log into `folder`, which is made when the first row is written."""
        self.folder = folder
        self._steps: list[dict[str, Any]] = []

    def cut_back(self, epoch: int, step: int) -> None:
        """Drop the rows after `step` steps of `epoch` (both as numbers done, epoch from 0)."""
        self._cut(STEPS, lambda row: (int(row["epoch"]) - 1, int(row["step"])) <= (epoch, step))
        self._cut(EPOCHS, lambda row: int(row["epoch"]) <= epoch)

    def step(self, epoch: int, step: int, loss: float, lr: float) -> None:
        """Add an optimiser step; both numbers from 1."""
        self._steps.append(dict(zip(STEP_FIELDS, (epoch, step, repr(loss), lr), strict=True)))
        if len(self._steps) >= FLUSH_EVERY:
            self.flush()

    def epoch(self, row: dict[str, Any]) -> None:
        """Add an epoch; the same fields each time."""
        self.flush()
        self._append(EPOCHS, [row], tuple(row))

    def flush(self) -> None:
        """Write the steps that wait."""
        self._append(STEPS, self._steps, STEP_FIELDS)
        self._steps = []

    def _append(self, name: str, rows: list[dict[str, Any]], fields: tuple[str, ...]) -> None:
        if not rows:
            return
        path = self.folder / name
        fresh = not path.exists()
        # On Windows it cannot be written while a spreadsheet shows it.
        with writing(path), path.open("a", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, fields)
            if fresh:
                writer.writeheader()
            writer.writerows(rows)

    def _cut(self, name: str, keep: Callable[[dict[str, str]], bool]) -> None:
        path = self.folder / name
        if not path.exists():
            return
        with path.open(newline="", encoding="utf-8") as file:
            reader = csv.DictReader(file)
            fields = reader.fieldnames or ()
            # A kill can leave half a row at the end; it lies after the checkpoint in any case.
            kept = [row for row in reader if None not in row.values() and keep(row)]
        with (
            replacing(path) as temporary,
            temporary.open("w", newline="", encoding="utf-8") as file,
        ):
            writer = csv.DictWriter(file, fields)
            writer.writeheader()
            writer.writerows(kept)


def plot_curves(run: Path, stamp: str = "") -> None:
    """Draw `curves.png` in the folder of a run from its log: losses and validation AUROC."""
    if not (run / STEPS).exists():
        return
    from matplotlib.figure import Figure  # takes half a second to import

    steps = pd.read_csv(run / STEPS)
    per_epoch = max(1, int(steps["step"].max()))
    at = steps["epoch"] - 1 + steps["step"] / per_epoch
    figure = Figure((10, 4), dpi=130, layout="constrained")
    left, right = figure.subplots(1, 2)
    left.plot(at, steps["loss"], color=GRAY, alpha=0.4, linewidth=0.7, label="batch")
    smooth = steps["loss"].rolling(max(1, len(steps) // 50), min_periods=1).mean()
    left.plot(at, smooth, color=BLUE, label="training, moving average")
    if (run / EPOCHS).exists():
        epochs = pd.read_csv(run / EPOCHS)
        left.plot(epochs["epoch"], epochs["val_loss"], "o-", color=ORANGE, label="validation")
        right.plot(epochs["epoch"], epochs["mean_auroc_findings"], "o-", color=ORANGE)
    low, high = np.nanpercentile(smooth, [0, 98])
    left.set(xlabel="epoch", ylabel="loss (nats)", ylim=(max(0, low * 0.8), high * 1.3))
    left.legend(frameon=False)
    right.set(xlabel="epoch", ylabel="mean validation AUROC of the findings")
    right.axhline(0.5, color=GRAY, linewidth=0.8, linestyle=":")
    if stamp:
        figure.suptitle(stamp, color=ORANGE)
    with replacing(run / "curves.png") as temporary:
        figure.savefig(temporary, format="png")
