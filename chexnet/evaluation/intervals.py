"""Intervals from a bootstrap over patients.

Images of one patient are alike, so patients are drawn, not images (cluster bootstrap: Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). A replicate is a weight for
each patient; the weighted AUROC needs no new sorting, which makes a replicate of 25,596 images
and 14 classes a matter of milliseconds.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from chexnet.evaluation.metrics import Scores
from chexnet.labels import FINDINGS
from chexnet.randomness import keyed_generator

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


@dataclass(frozen=True)
class Intervals:
    """The intervals of each class and of both means."""

    classes: dict[str, Interval]
    findings: Interval
    rows: Interval


class _RankedClass:
    """One class's scores, sorted once.

    With n_j the weight of negatives below a score, ties counted half, the weighted AUROC is
    sum_i p_i n_i / (sum p * sum n): the Mann-Whitney form. Weights are counts, so that everything
    but the last division is exact; summing integers is also five times as fast as summing floats.
    """

    def __init__(self, scores: np.ndarray, targets: np.ndarray, unit: np.ndarray) -> None:
        positive = targets == 1
        order = np.argsort(scores[~positive], kind="stable")
        negatives = scores[~positive][order]
        self.negative_unit = unit[~positive][order]
        self.positive_unit = unit[positive]
        self.below = np.searchsorted(negatives, scores[positive], side="left")
        self.upto = np.searchsorted(negatives, scores[positive], side="right")

    def auroc(self, weights: np.ndarray) -> float:
        cumulative = np.zeros(len(self.negative_unit) + 1, np.int64)
        np.cumsum(weights[self.negative_unit], out=cumulative[1:])
        positive = weights[self.positive_unit]
        pairs = int(cumulative[-1]) * int(positive.sum())
        if not pairs:
            return float("nan")
        won = cumulative[self.below] + cumulative[self.upto]
        return int(positive @ won) / (2 * pairs)


def exact_auroc(scores: np.ndarray, targets: np.ndarray) -> float:
    """AUROC of one class in float64, ties counted half; NaN without positives or negatives."""
    unit = np.arange(len(scores))
    return _RankedClass(scores, targets, unit).auroc(np.ones(len(scores), np.int64))


def bootstrap_auroc(
    scores: Scores, replicates: int = REPLICATES, seed: int = 0, *, by_image: bool = False
) -> Intervals:
    """95 % intervals of every class's AUROC and of the means.

    Args:
        scores: at least two patients.
        replicates: number of draws.
        seed: of the draws.
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
        classes, _mean_interval(values, has_value & is_finding), _mean_interval(values, has_value)
    )


def bootstrap_mean(
    values: np.ndarray, patients: list[str], replicates: int = REPLICATES, seed: int = 0
) -> Interval:
    """95 % interval of a mean over images (or boxes), by drawing patients.

    Args:
        values: float (N,), for example 0 and 1 for a share.
        patients: the patient of each value.
        replicates: number of draws.
        seed: of the draws.

    Returns:
        `n/a` with fewer than 5 patients.
    """
    if not replicates:
        return NO_INTERVAL
    counts = np.stack([values, np.ones(len(values))])
    mean = {"mean": lambda drawn: drawn[0] / drawn[1]}
    return PatientDraws(patients, replicates, seed).intervals(counts, mean)["mean"]


def bootstrap_share(
    hits: np.ndarray, patients: list[str], replicates: int = REPLICATES, seed: int = 0
) -> Interval:
    """The same for a share: where all are hits, or none is, no draw can show a doubt.

    There the interval is Clopper and Pearson's, with patients as trials.

    Args:
        hits: 0 or 1 each, (N,).
        patients: the patient of each.
        replicates: number of draws.
        seed: of the draws.
    """
    found = bootstrap_mean(hits, patients, replicates, seed)
    if found.known and np.min(hits) == np.max(hits):
        return certain(bool(hits[0]), len(set(patients)))
    return found


def certain(hit: bool, patients: int) -> Interval:
    """Clopper and Pearson's 95 % interval where all patients are hits, or none is."""
    least = 0.025 ** (1 / patients)
    return Interval(least, 1.0) if hit else Interval(0.0, 1 - least)


class PatientDraws:
    """The draws of a bootstrap over patients, made once for all figures of the same images.

    A draw of patients is a multinomial weight for each of them, so the counts behind a figure are,
    for all draws at once, one product of matrices.
    """

    def __init__(self, patients: list[str], replicates: int = REPLICATES, seed: int = 0) -> None:
        """Draw `replicates` times from the patients of N images."""
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
        replicates: R draws.
        seed: of the draws.
        by_image: draw images instead of patients.
        groups: masks (N,); each draw is then scored once for each group's images alone, so that
            two groups can be compared although patients stand in both.

    Returns:
        float64 (R, D), or (R, groups, D); NaN where there is no AUROC.
    """
    unit = _units(scores, by_image)
    count = int(unit.max()) + 1
    masks = [np.ones(len(unit), bool)] if groups is None else groups
    ranked = [
        [
            _RankedClass(given[mask], truth[mask], unit[mask])
            for given, truth in zip(scores.probabilities.T, scores.targets.T, strict=True)
        ]
        for mask in masks
    ]

    def replicate(number: int) -> list[list[float]]:
        drawn = keyed_generator("bootstrap", seed, number).integers(0, count, count)
        weights = np.bincount(drawn, minlength=count)
        return [[one.auroc(weights) for one in group] for group in ranked]

    # One after the other: each array is so short that threads cost twice what they save.
    values = np.array([replicate(number) for number in range(replicates)])
    return values[:, 0] if groups is None else values


def _units(scores: Scores, by_image: bool) -> np.ndarray:
    if by_image:
        return np.arange(len(scores.images))
    return np.unique(scores.patients, return_inverse=True)[1]


def enough_patients(scores: Scores, column: int) -> bool:
    """Whether a class has at least 5 positive and 5 negative patients."""
    patients = np.asarray(scores.patients)
    target = scores.targets[:, column]
    return all(len(set(patients[target == value])) >= MIN_PATIENTS for value in (0, 1))


def interval_of(values: np.ndarray) -> Interval:
    """The interval of replicates (R,), NaN left out and counted; `n/a` where none is left."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return NO_INTERVAL
    low, high = np.percentile(kept, [2.5, 97.5])
    return Interval(float(low), float(high), int(len(values) - len(kept)))


def _mean_interval(values: np.ndarray, chosen: np.ndarray) -> Interval:
    picked = values[:, chosen]
    have = ~np.isnan(picked)
    counts = have.sum(axis=1)
    if not chosen.any() or not counts.any():
        return NO_INTERVAL
    means = np.where(have, picked, 0).sum(axis=1)[counts > 0] / counts[counts > 0]
    low, high = np.percentile(means, [2.5, 97.5])
    return Interval(float(low), float(high), int((counts < chosen.sum()).sum()))
