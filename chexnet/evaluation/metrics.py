"""The figures of a multi-label classifier, class by class.

Shapes: N images, D classes. Probabilities are float64 in [0, 1], targets 0 or 1. A class without
a positive or without a negative has no AUROC: its value is NaN, shown as `n/a` and left out of
every mean (torchmetrics gives 0.0 there and folds it into the mean).

A target of -1 (`UNKNOWN`) is one that the label table does not say. Every figure leaves such cells
out: a class is scored on the images where it is labelled; one that is labelled nowhere has none.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from scipy.special import expit

from chexnet.labels import FINDINGS

UNKNOWN = -1
CURVE_POINTS = 101
"""Points that are kept of an operating curve; a plot shows no more."""


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


@dataclass(frozen=True)
class Mean:
    """A mean AUROC: over `n_defined` of `n_classes` classes, those that have one."""

    value: float
    n_defined: int
    n_classes: int

    def __str__(self) -> str:
        """For example `0.8791`, or `0.8791 (12 of 15 classes; the others have no AUROC)`."""
        if not self.n_defined:
            return "n/a (no class has an AUROC)"
        note = (
            ""
            if self.n_defined == self.n_classes
            else f" ({self.n_defined} of {self.n_classes} classes, others n/a)"
        )
        return f"{self.value:.4f}{note}"


def as_targets(wanted: np.ndarray) -> np.ndarray:
    """Targets of a data set, float32 with NaN for unknown, as int8 with `UNKNOWN`."""
    return np.where(np.isnan(wanted), UNKNOWN, wanted).astype(np.int8)


def labelled_only(*values: np.ndarray, targets: np.ndarray) -> tuple[np.ndarray, ...]:
    """The values, and last the targets, of the cells that are labelled.

    Args:
        values: each of the shape of the targets.
        targets: any shape.

    Returns:
        The same arrays where everything is labelled; else flat ones without the other cells.
    """
    known = targets != UNKNOWN
    if known.all():
        return (*values, targets)
    return tuple(one[known] for one in (*values, targets))


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities in float64: up to a logit of 20, no two float32 logits become one."""
    return expit(np.asarray(logits, np.float64))


def auroc(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Exact area under the ROC curve of each class (torchmetrics, `thresholds=None`).

    Returns:
        float64 (D,), NaN where a class lacks positives or negatives.
    """
    return _per_class("binary_auroc", probabilities, targets)


def average_precision(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Average precision of each class, float64 (D,), NaN as in `auroc`."""
    return _per_class("binary_average_precision", probabilities, targets)


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean binary cross-entropy over images and classes, in nats; NaN where nothing is labelled."""
    probabilities, targets = labelled_only(probabilities, targets=targets)
    if not targets.size:
        return float("nan")
    kept = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return float(-np.where(targets == 1, np.log(kept), np.log1p(-kept)).mean())


def mean_of(values: np.ndarray, classes: Iterable[str], *, findings_only: bool) -> Mean:
    """Mean over the classes that have a value: over all rows, or over the 14 findings alone."""
    names = list(classes)
    chosen = np.array([not findings_only or name in FINDINGS for name in names])
    kept = values[chosen]
    have = ~np.isnan(kept)
    value = float(kept[have].mean()) if have.any() else float("nan")
    return Mean(value, int(have.sum()), len(kept))


def operating_curve(
    probabilities: np.ndarray, targets: np.ndarray
) -> dict[str, list[float]] | None:
    """The ROC curve of one class, thinned for storing.

    Args:
        probabilities: (N,).
        targets: (N,).

    Returns:
        `fpr`, `tpr` and `threshold` of at most 101 points, or None where there is no curve.
    """
    full = roc(probabilities, targets)
    if full is None:
        return None
    kept = np.unique(np.linspace(0, len(full[0]) - 1, CURVE_POINTS).round().astype(int))
    names = ("fpr", "tpr", "threshold")
    return {
        name: [float(v) for v in values[kept]] for name, values in zip(names, full, strict=True)
    }


def roc(
    probabilities: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """False and true positive rates and thresholds of one class, or None without a curve."""
    probabilities, targets = labelled_only(probabilities, targets=targets)
    if not 0 < targets.sum() < len(targets):
        return None
    import torch
    from torchmetrics.functional.classification import binary_roc

    curves = binary_roc(torch.from_numpy(probabilities), torch.from_numpy(targets).int())
    fpr, tpr, thresholds = (curve.numpy() for curve in curves)
    return fpr, tpr, thresholds


def _per_class(metric: str, probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    # Imported here: whoever only predicts needs neither package, which take seconds to import.
    import torch
    from torchmetrics.functional import classification

    formula = getattr(classification, metric)
    # Column by column: what torchmetrics' multilabel form computes, which refuses one column.
    values = np.full(targets.shape[1], np.nan)
    for column, whole in enumerate(targets.T):
        answers, truth = labelled_only(probabilities[:, column], targets=whole)
        if 0 < truth.sum() < len(truth):
            given = torch.from_numpy(np.ascontiguousarray(answers))
            values[column] = float(formula(given, torch.from_numpy(truth.astype(np.int64))))
    return values
