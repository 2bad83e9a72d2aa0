"""The figures of a multi-label classifier, class by class.

What is reported once comes from torchmetrics; the weighted forms are for the bootstrap, which asks
thousands of times, and the tests hold them to the same values.

Shapes: N images, D classes, U units (patients, or images) that are weighted, K weightings.
Probabilities are float64 in [0, 1], targets 0, 1 or `UNKNOWN`, which counts for nothing. A class
without a positive or without a negative has no AUROC: its value is NaN, shown as `n/a` and left out
of every mean (torchmetrics gives 0.0 there and folds it into the mean).
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from scipy.sparse import csr_array
from scipy.special import expit

from chexnet.evaluation.scores import labelled_only
from chexnet.labels import FINDINGS

CURVE_POINTS = 101
"""Points that are kept of an operating curve; a plot shows no more."""
BINS = 15


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


def sigmoid(logits: np.ndarray) -> np.ndarray:
    """Probabilities in float64: up to a logit of 20, no two float32 logits become one."""
    return expit(np.asarray(logits, np.float64))


class WeightedAuroc:
    """One class's scores, sorted once, for the AUROC under many weightings.

    With n_j the weight of negatives below a score, ties counted half, the weighted AUROC is
    sum_i p_i n_i / (sum p * sum n): the Mann-Whitney form. Weights are counts, so that everything
    but the last division is exact. Only the scores of positives matter as borders between
    negatives; a sparse matrix adds up what lies between two of them, for many draws at once.
    """

    def __init__(
        self, scores: np.ndarray, targets: np.ndarray, unit: np.ndarray, units: int
    ) -> None:
        """Sort the scores (N,) of images with a target (N,), each of a unit (N,) below `units`."""
        positive, negative = targets == 1, targets == 0
        order = np.argsort(scores[negative], kind="stable")
        negatives = scores[negative][order]
        below = np.searchsorted(negatives, scores[positive], side="left")
        upto = np.searchsorted(negatives, scores[positive], side="right")
        borders = np.unique(np.concatenate([[0], below, upto, [len(negatives)]]))
        self._between = csr_array(
            (np.ones(len(negatives), np.int32), unit[negative][order], borders),
            shape=(len(borders) - 1, units),
        )
        self._below, self._upto = np.searchsorted(borders, below), np.searchsorted(borders, upto)
        self._positive_unit = unit[positive]

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """The AUROC under each of K weightings, int32 (units, K) -> float64 (K,), NaN for none."""
        # int32 holds the sum of any data set's weights, and is twice as quick as int64.
        cumulative = np.zeros((self._between.shape[0] + 1, weights.shape[1]), np.int32)
        np.cumsum(self._between @ weights, axis=0, out=cumulative[1:])
        positive = weights[self._positive_unit]
        pairs = cumulative[-1] * positive.sum(axis=0, dtype=np.int64)
        won = cumulative[self._below]
        won += cumulative[self._upto]
        won = np.einsum("pk,pk->k", won, positive, dtype=np.int64)
        return nan_where_zero(won, 2 * pairs)


class WeightedPrecision:
    """One class's scores, the greatest first, for the average precision under many weightings.

    sum over distinct scores of precision times the gain in recall (scikit-learn's definition), with
    a weight for each image. Only scores that a positive has can gain; two sparse matrices add up
    what lies between two of them, all images and positive ones, for many draws at once.
    """

    def __init__(
        self, scores: np.ndarray, targets: np.ndarray, unit: np.ndarray, units: int
    ) -> None:
        """Sort the scores (N,) of images with a target (N,), each of a unit (N,) below `units`."""
        labelled = (targets == 0) | (targets == 1)
        scores, targets, unit = scores[labelled], targets[labelled], unit[labelled]
        order = np.argsort(-scores, kind="stable")
        falling, owner, positive = scores[order], unit[order], targets[order] == 1
        ends = np.append(np.flatnonzero(np.diff(falling)) + 1, len(falling))
        upto = np.append(0, np.cumsum(positive))[ends]  # positives with such a score or a greater
        gaining = np.diff(upto, prepend=0) > 0
        self._units = units
        self._shown = self._between(owner, np.append(0, ends[gaining]))
        self._gained = self._between(owner[positive], np.append(0, upto[gaining]))

    def _between(self, owner: np.ndarray, borders: np.ndarray) -> csr_array:
        held = np.ones(borders[-1], np.int32)
        shape = (len(borders) - 1, self._units)
        return csr_array((held, owner[: borders[-1]], borders), shape=shape)

    def __call__(self, weights: np.ndarray) -> np.ndarray:
        """The figure under each of K weightings, int32 (units, K) -> float64 (K,), NaN for none."""
        if not self._gained.shape[0]:
            return np.full(weights.shape[1], np.nan)
        gained = self._gained @ weights
        reached = np.cumsum(gained, axis=0)
        shown = np.cumsum(self._shown @ weights, axis=0)
        summed = np.einsum("pk,pk->k", gained, reached / np.maximum(shown, 1))
        return nan_where_zero(summed, reached[-1])


def nan_where_zero(values: np.ndarray, by: np.ndarray) -> np.ndarray:
    """Quotients (...), NaN where the divisor is 0."""
    divided = np.full(np.shape(by), np.nan)
    np.divide(values, by, out=divided, where=by > 0)
    return divided


def auroc(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Exact area under the ROC curve of each class (torchmetrics, `thresholds=None`).

    Returns:
        float64 (D,), NaN where a class lacks positives or negatives.
    """
    return _per_class("binary_auroc", probabilities, targets)


def average_precision(probabilities: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """Average precision of each class, float64 (D,), NaN as in `auroc`."""
    return _per_class("binary_average_precision", probabilities, targets)


def exact(
    figure: type[WeightedAuroc] | type[WeightedPrecision],
    probabilities: np.ndarray,
    targets: np.ndarray,
) -> np.ndarray:
    """A weighted figure of each class with every image counted once, float64 (D,), NaN as `auroc`.

    torchmetrics divides in float32. A difference of two figures, or one beside the bootstrap's own
    draws, is not to be the rounding's.
    """
    values = np.full(targets.shape[1], np.nan)
    together, once = np.zeros(len(targets), np.intp), np.ones((1, 1), np.int32)
    for column, truth in enumerate(targets.T):
        if (truth == 0).any() and (truth == 1).any():
            values[column] = figure(probabilities[:, column], truth, together, 1)(once)[0]
    return values


def log_loss(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean binary cross-entropy over images and classes, in nats; NaN where nothing is labelled."""
    probabilities, targets = labelled_only(probabilities, targets=targets)
    if not targets.size:
        return float("nan")
    kept = np.clip(probabilities, 1e-15, 1 - 1e-15)
    return float(-np.where(targets == 1, np.log(kept), np.log1p(-kept)).mean())


def brier(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean squared difference of probability and truth (Brier 1950), in [0, 1]; or NaN."""
    probabilities, targets = labelled_only(probabilities, targets=targets)
    return float(np.mean((probabilities - targets) ** 2)) if len(targets) else float("nan")


def mean_of(values: np.ndarray, classes: Iterable[str], *, findings_only: bool) -> Mean:
    """Mean over the classes that have a value: over all rows, or over the 14 findings alone."""
    names = list(classes)
    chosen = np.array([not findings_only or name in FINDINGS for name in names])
    kept = values[chosen]
    have = ~np.isnan(kept)
    value = float(kept[have].mean()) if have.any() else float("nan")
    return Mean(value, int(have.sum()), len(kept))


def roc(
    probabilities: np.ndarray, targets: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray] | None:
    """False and true positive rates and thresholds of one class (torchmetrics), or None.

    Returns:
        Each float64, one value a distinct score, the greatest first; before them the point that
        calls nothing, with threshold 1.
    """
    probabilities, targets = labelled_only(probabilities, targets=targets)
    if not 0 < targets.sum() < len(targets):
        return None
    import torch
    from torchmetrics.functional.classification import binary_roc

    curves = binary_roc(torch.from_numpy(probabilities), torch.from_numpy(targets).int())
    fpr, tpr, thresholds = (curve.numpy() for curve in curves)
    return fpr, tpr, thresholds


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
    return {name: values[kept].tolist() for name, values in zip(names, full, strict=True)}


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


@dataclass(frozen=True)
class Reliability:
    """Bins of equal mass, each float or int (bins,).

    Attributes:
        probability: mean probability.
        observed: share of positives.
        count: images.
    """

    probability: np.ndarray
    observed: np.ndarray
    count: np.ndarray


def reliability(probabilities: np.ndarray, targets: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort labelled images by probability into bins of (nearly) equal count; no bin without any."""
    probabilities, targets = labelled_only(probabilities, targets=targets)
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return Reliability(
        np.array([probabilities[part].mean() for part in parts]),
        np.array([targets[part].mean() for part in parts]),
        np.array([len(part) for part in parts]),
    )


def expected_calibration_error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """ECE over bins of equal mass (Nguyen and O'Connor, EMNLP 2015), in [0, 1].

    The mean over images of |mean probability - share of positives| of the image's bin. Bins of
    equal width would put nearly all images of a rare finding into the first one. NaN where nothing
    is labelled.
    """
    bins = reliability(probabilities, targets)
    if not len(bins.count):
        return float("nan")
    return float(np.average(np.abs(bins.probability - bins.observed), weights=bins.count))
