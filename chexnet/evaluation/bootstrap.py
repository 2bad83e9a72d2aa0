"""Intervals from a bootstrap over patients.

Images of one patient are alike, so patients are drawn, not images (cluster bootstrap: Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). A replicate is a weight for
each patient; the weighted AUROC needs no new sorting, which makes a replicate of 25,596 images
and 14 classes a matter of half a millisecond.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from scipy.sparse import csr_array

from chexnet.evaluation.metrics import Scores
from chexnet.labels import FINDINGS
from chexnet.rng import keyed_generator

REPLICATES = 1000
MIN_PATIENTS = 5
"""Positive (and negative) patients under which an interval would be an accident."""


@dataclass(frozen=True)
class Interval:
    """A 95 % interval of percentiles.

    Attributes:
        low: 2.5th percentile, NaN where there is no interval.
        high: 97.5th percentile.
        left_out: replicates without a positive or without a negative.
    """

    low: float
    high: float
    left_out: int = 0

    @property
    def known(self) -> bool:
        """False where the interval is `n/a`."""
        return not np.isnan(self.low)


NO_INTERVAL = Interval(float("nan"), float("nan"))
"""Where there were too few patients for one."""


def interval_of(values: np.ndarray) -> Interval:
    """The interval of replicates (R,), NaN left out and counted; `n/a` where none is left."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return NO_INTERVAL
    low, high = np.percentile(kept, [2.5, 97.5])
    return Interval(float(low), float(high), int(len(values) - len(kept)))


class PatientBootstrap:
    """The draws of a bootstrap over patients, made once for all figures of the same images.

    A draw of patients is a multinomial weight for each of them, so the counts behind a figure are,
    for all draws at once, one product of matrices.
    """

    def __init__(self, patients: list[str], replicates: int = REPLICATES, seed: int = 0) -> None:
        """Draw `replicates` times from the patients of N images; 0 times for no interval at all."""
        self._unit = np.unique(patients, return_inverse=True)[1]
        self._count = int(self._unit.max()) + 1
        random = keyed_generator("bootstrap", seed, "counts")
        even = np.full(self._count, 1 / self._count)
        self._weights = random.multinomial(self._count, even, size=replicates).astype(np.float32)

    def intervals(
        self, counts: np.ndarray, formulas: Mapping[str, Callable[[np.ndarray], np.ndarray]]
    ) -> dict[str, Interval]:
        """95 % intervals of figures that are functions of counts.

        Args:
            counts: (K, N), what each image adds to each of K counts.
            formulas: name to a function of counts (K, ...) to values (...), NaN for none.

        Returns:
            Name to interval; `n/a` with fewer than 5 patients.
        """
        if self._count < MIN_PATIENTS:
            return {name: NO_INTERVAL for name in formulas}
        each = np.stack([np.bincount(self._unit, row, self._count) for row in counts])
        drawn = self._weights @ each.T.astype(np.float32)
        values = drawn.T.astype(np.float64)
        return {name: interval_of(formula(values)) for name, formula in formulas.items()}

    def mean(self, values: np.ndarray) -> Interval:
        """95 % interval of the mean of one value an image, float (N,)."""
        counts = np.stack([values, np.ones(len(values))])
        return self.intervals(counts, {"mean": lambda drawn: drawn[0] / drawn[1]})["mean"]

    def share(self, hits: np.ndarray) -> Interval:
        """The same of a share, 0 or 1 an image: see `clopper_pearson_extreme`
        for where all are hits, or none."""
        found = self.mean(hits)
        if found.known and np.min(hits) == np.max(hits):
            return clopper_pearson_extreme(bool(hits[0]), self._count)
        return found


def clopper_pearson_extreme(hit: bool, patients: int) -> Interval:
    """Clopper and Pearson's 95 % interval where all patients are hits, or none is.

    No draw of them could show a doubt there.
    """
    least = 0.025 ** (1 / patients)
    return Interval(least, 1.0) if hit else Interval(0.0, 1 - least)


BLOCK = 64
"""Draws that are held at once: 0.7 MB of weights for the patients of NIH's test list."""


@dataclass(frozen=True)
class Intervals:
    """The intervals of each class's AUROC, of both means, and of each average precision."""

    classes: dict[str, Interval]
    findings: Interval
    all_classes: Interval
    average_precision: dict[str, Interval]


class _RankedClass:
    """One class's scores, sorted once.

    With n_j the weight of negatives below a score, ties counted half, the weighted AUROC is
    sum_i p_i n_i / (sum p * sum n): the Mann-Whitney form. Weights are counts, so that everything
    but the last division is exact. Only the scores of positives matter as borders between
    negatives; a sparse matrix adds up what lies between two of them, for many draws at once.
    """

    def __init__(
        self, scores: np.ndarray, targets: np.ndarray, unit: np.ndarray, units: int
    ) -> None:
        positive = targets == 1
        order = np.argsort(scores[~positive], kind="stable")
        negatives = scores[~positive][order]
        below = np.searchsorted(negatives, scores[positive], side="left")
        upto = np.searchsorted(negatives, scores[positive], side="right")
        borders = np.unique(np.concatenate([[0], below, upto, [len(negatives)]]))
        self._between = csr_array(
            (np.ones(len(negatives), np.int32), unit[~positive][order], borders),
            shape=(len(borders) - 1, units),
        )
        self._below, self._upto = np.searchsorted(borders, below), np.searchsorted(borders, upto)
        self._positive_unit = unit[positive]

    def values(self, weights: np.ndarray) -> np.ndarray:
        """The AUROC under each of K weightings of the units, int32 (units, K) -> float64 (K,)."""
        # int32 holds the sum of any data set's weights, and is twice as quick as int64.
        cumulative = np.zeros((self._between.shape[0] + 1, weights.shape[1]), np.int32)
        np.cumsum(self._between @ weights, axis=0, out=cumulative[1:])
        positive = weights[self._positive_unit]
        pairs = cumulative[-1] * positive.sum(axis=0, dtype=np.int64)
        won = cumulative[self._below]
        won += cumulative[self._upto]
        won = np.einsum("pk,pk->k", won, positive, dtype=np.int64)
        return np.divide(won, 2 * pairs, out=np.full(len(pairs), np.nan), where=pairs > 0)


def exact_auroc(scores: np.ndarray, targets: np.ndarray) -> float:
    """AUROC of one class in float64, ties counted half; NaN without positives or negatives."""
    unit = np.arange(len(scores))
    weights = np.ones((len(scores), 1), np.int32)
    return float(_RankedClass(scores, targets, unit, len(scores)).values(weights)[0])


def bootstrap_auroc(
    scores: Scores, replicates: int = REPLICATES, seed: int = 0, *, by_image: bool = False
) -> Intervals:
    """95 % intervals of every class's AUROC and of the means.

    Args:
        scores: at least two patients.
        replicates: number of bootstrap.
        seed: of the bootstrap.
        by_image: draw images instead of patients; too narrow, kept for comparison.

    Returns:
        `n/a` (NaN) for a class with fewer than 5 positive or negative patients. A replicate's mean
        is over the classes that have an AUROC in the data; a replicate in which one of them has
        no positive or no negative is averaged over the others, and counted.
    """
    values = replicate_aurocs(scores, replicates, seed, by_image=by_image)
    has_value = np.array([0 < t.sum() < len(t) for t in scores.targets.T])
    classes = {
        name: interval_of(values[:, column]) if enough_patients(scores, column) else NO_INTERVAL
        for column, name in enumerate(scores.classes)
    }
    is_finding = np.array([name in FINDINGS for name in scores.classes])
    return Intervals(
        classes,
        _mean_interval(values, has_value & is_finding),
        _mean_interval(values, has_value),
        _precision_intervals(scores, replicates, seed, by_image),
    )


def replicate_aurocs(
    scores: Scores,
    replicates: int,
    seed: int,
    *,
    by_image: bool = False,
    groups: Sequence[np.ndarray] | None = None,
) -> np.ndarray:
    """The AUROC of every class in every replicate.

    Args:
        scores: N images.
        replicates: R bootstrap.
        seed: of the bootstrap.
        by_image: draw images instead of patients.
        groups: masks (N,); each draw is then scored once for each group's images alone, so that
            two groups can be compared although patients stand in both.

    Returns:
        float64 (R, D), or (R, groups, D); NaN where there is no AUROC.
    """
    unit = _units(scores, by_image)
    units = int(unit.max()) + 1  # of all: a group may lack some of them
    masks = [np.ones(len(unit), bool)] if groups is None else groups
    ranked = [
        [
            _RankedClass(given[mask], truth[mask], unit[mask], units)
            for given, truth in zip(scores.probabilities.T, scores.targets.T, strict=True)
        ]
        for mask in masks
    ]

    figures = [one.values for group in ranked for one in group]
    values = _replicated(figures, unit, replicates, seed)
    return values if groups is None else values.reshape(replicates, len(masks), len(scores.classes))


def _replicated(
    figures: Sequence[Callable[[np.ndarray], np.ndarray]],
    unit: np.ndarray,
    replicates: int,
    seed: int,
) -> np.ndarray:
    """The figures under each draw of units, which gives every unit a weight: (R, figures)."""
    count = int(unit.max()) + 1
    values = np.empty((replicates, len(figures)))
    for start in range(0, replicates, BLOCK):
        block = range(start, min(start + BLOCK, replicates))
        drawn_units = [
            keyed_generator("bootstrap", seed, number).integers(0, count, count) for number in block
        ]
        counts = [np.bincount(drawn, minlength=count) for drawn in drawn_units]
        weights = np.stack(counts, axis=1).astype(np.int32)
        for column, figure in enumerate(figures):
            values[start : start + BLOCK, column] = figure(weights)
    return values


class _RankedPrecision:
    """One class's scores for average precision, sorted once, the greatest first.

    sum over distinct scores of precision times the gain in recall (scikit-learn's definition), with
    a weight for each image.
    """

    def __init__(self, scores: np.ndarray, targets: np.ndarray, unit: np.ndarray) -> None:
        order = np.argsort(-scores, kind="stable")
        self.unit, self.positive = unit[order], targets[order] == 1
        falling = scores[order]
        self.ends = np.append(np.flatnonzero(np.diff(falling)), len(falling) - 1)

    def values(self, weights: np.ndarray) -> np.ndarray:
        """The figure under each of K weightings of the units, int32 (units, K) -> float64 (K,)."""
        return np.array([self._value(one) for one in weights.T.copy()])

    def _value(self, weights: np.ndarray) -> float:
        each = weights[self.unit]
        found = np.cumsum(each * self.positive)[self.ends]
        if not found[-1]:
            return float("nan")
        shown = np.cumsum(each)[self.ends]
        gained = np.diff(found, prepend=0)
        return float((gained * found / np.maximum(shown, 1)).sum() / found[-1])


def _precision_intervals(
    scores: Scores, replicates: int, seed: int, by_image: bool
) -> dict[str, Interval]:
    unit = _units(scores, by_image)
    columns = [c for c in range(len(scores.classes)) if enough_patients(scores, c)]
    ranked = [
        _RankedPrecision(scores.probabilities[:, c], scores.targets[:, c], unit) for c in columns
    ]
    values = _replicated([one.values for one in ranked], unit, replicates, seed)
    found = dict.fromkeys(scores.classes, NO_INTERVAL)
    return found | {scores.classes[c]: interval_of(values[:, i]) for i, c in enumerate(columns)}


def _units(scores: Scores, by_image: bool) -> np.ndarray:
    if by_image:
        return np.arange(len(scores.images))
    return np.unique(scores.patients, return_inverse=True)[1]


def enough_patients(scores: Scores, column: int) -> bool:
    """Whether a class has at least 5 positive and 5 negative patients."""
    patients = np.asarray(scores.patients)
    target = scores.targets[:, column]
    return all(len(set(patients[target == value])) >= MIN_PATIENTS for value in (0, 1))


def row_means(values: np.ndarray) -> np.ndarray:
    """Means over the classes that have a value, (R, D) -> (R,); NaN where none has."""
    have = ~np.isnan(values)
    count = have.sum(axis=1)
    sums = np.where(have, values, 0).sum(axis=1)
    return np.divide(sums, count, out=np.full(len(values), np.nan), where=count > 0)


def _mean_interval(values: np.ndarray, chosen: np.ndarray) -> Interval:
    picked = values[:, chosen]
    fewer = int(np.isnan(picked).any(axis=1).sum())
    return replace(interval_of(row_means(picked)), left_out=fewer)
