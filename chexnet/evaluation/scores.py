"""A network's answers for some images, and the truth.

Shapes: N images, D classes. Probabilities are float64 in [0, 1], targets 0, 1 or `UNKNOWN`, which
is one that the label table does not say. Every figure leaves such targets out: a class is scored on
the images where it is labelled; one that is labelled nowhere has no figure.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

UNKNOWN = -1
Figures = Mapping[str, Any]
"""Figures under the keys of the JSON files; `files.plain` makes plain values of them."""


@dataclass(frozen=True)
class Scores:
    """The network's answers for some images, and the truth.

    Attributes:
        images: file names.
        patients: patient of each image.
        classes: label of each column.
        probabilities: float64 (N, D).
        targets: int8 (N, D), 0, 1 or `UNKNOWN`.
    """

    images: list[str]
    patients: list[str]
    classes: list[str]
    probabilities: np.ndarray
    targets: np.ndarray

    @property
    def labelled(self) -> np.ndarray:
        """Images of which the table says something, of each class, int64 (D,)."""
        count: np.ndarray = (self.targets != UNKNOWN).sum(axis=0)
        return count

    def columns(self) -> list[tuple[str, np.ndarray, np.ndarray]]:
        """Each class's name, probabilities (N,) and targets (N,)."""
        return list(zip(self.classes, self.probabilities.T, self.targets.T, strict=True))

    def take(self, rows: np.ndarray, classes: list[str] | None = None) -> "Scores":
        """The same of some images, by number and in this order, and of some classes."""
        names = self.classes if classes is None else classes
        columns = [self.classes.index(name) for name in names]
        return Scores(
            images=[self.images[row] for row in rows],
            patients=[self.patients[row] for row in rows],
            classes=list(names),
            probabilities=self.probabilities[rows][:, columns],
            targets=self.targets[rows][:, columns],
        )


def joined(parts: Sequence[Scores]) -> Scores:
    """The scores of several lots of images, with the same classes, as one."""
    return Scores(
        images=[name for part in parts for name in part.images],
        patients=[name for part in parts for name in part.patients],
        classes=parts[0].classes,
        probabilities=np.concatenate([part.probabilities for part in parts]),
        targets=np.concatenate([part.targets for part in parts]),
    )


def as_targets(wanted: np.ndarray) -> np.ndarray:
    """Targets of a data set, float32 with NaN for unknown, as int8 with `UNKNOWN`."""
    return np.where(np.isnan(wanted), UNKNOWN, wanted).astype(np.int8)


def labelled_only(*values: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
    """The values, and last the targets, where a target is known.

    Args:
        values: each of the shape of the targets.
        targets: any shape.

    Returns:
        The same arrays where everything is labelled; else flat ones without the others.
    """
    known = targets != UNKNOWN
    if known.all():
        return (*values, targets)
    return tuple(each[known] for each in (*values, targets))
