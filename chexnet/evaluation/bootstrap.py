"""Intervals from a bootstrap over patients.

Images of one patient are alike, so patients are drawn, not images (cluster bootstrap: Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). A replicate is a weight for
each patient; the weighted AUROC needs no new sorting, which makes a replicate of 25,596 images
and 14 classes a matter of half a millisecond.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np

from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.weighted import RankedAuroc, RankedPrecision, nan_where_zero
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

    def as_dict(self) -> dict[str, float | int | None]:
        """The same for JSON, in every file; None for NaN."""
        low, high = (self.low, self.high) if self.known else (None, None)
        return {"low": low, "high": high, "draws_left_out": self.left_out}


NO_INTERVAL = Interval(float("nan"), float("nan"))
"""Where there were too few patients for one."""


def read_interval(found: Interval | Mapping[str, Any] | Sequence[float] | None) -> Interval:
    """An interval of a JSON file: `Interval.as_dict`, or `[low, high]` and None of older files."""
    if isinstance(found, Interval):
        return found
    if isinstance(found, Mapping):
        found = None if found["low"] is None else (found["low"], found["high"])
    return Interval(float(found[0]), float(found[1])) if found else NO_INTERVAL


def interval_of(values: np.ndarray) -> Interval:
    """The interval of replicates (R,), NaN left out and counted; `n/a` where none is left."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return NO_INTERVAL
    low, high = np.percentile(kept, [2.5, 97.5])
    return Interval(float(low), float(high), int(len(values) - len(kept)))


def smallest_shown(interval: Interval) -> float:
    """The smallest true difference that such data would show four times out of five.

    By the normal approximation it is 1.96 + 0.84 = 2.80 standard errors at 5 % (two-sided) and
    80 % power, and a 95 % interval is 3.92 of them wide.

    Returns:
        NaN where there is no interval.
    """
    return (1.96 + 0.84) / (2 * 1.96) * (interval.high - interval.low)


BLOCK = 64
"""Draws that are worked on at once: 0.7 MB of weights for the patients of NIH's test list."""


class PatientBootstrap:
    """The draws of a bootstrap over patients: one for every figure of the same images.

    A draw takes as many patients as there are, with repetition, and so weights each by how often
    it was taken. Draw k of a seed is the same for every figure, so that figures can be compared
    draw by draw; it depends on the seed, on k and on the number of patients alone.

    Shapes: N images, U units (patients), R replicates, K draws of a block.

    Attributes:
        unit: number of the unit of each image, int (N,).
        units: U.
        replicates: R.
    """

    def __init__(
        self,
        patients: Sequence[str],
        replicates: int = REPLICATES,
        seed: int = 0,
        *,
        by_image: bool = False,
    ) -> None:
        """Prepare draws of the patients of N images.

        Args:
            patients: patient of each image, at least one.
            replicates: draws; 0 for no interval at all.
            seed: of the draws.
            by_image: draw images instead of patients; too narrow, kept for comparison.
        """
        owner = np.unique(patients, return_inverse=True)[1]
        self.unit: np.ndarray = np.arange(len(owner)) if by_image else owner
        self.units = int(self.unit.max()) + 1
        self.replicates = replicates
        self._seed = seed

    @cached_property
    def blocks(self) -> list[np.ndarray]:
        """The weights, drawn once: int32 (U, K), K = 64 but for the last block."""
        return [
            np.stack([self._draw(k) for k in range(start, min(start + BLOCK, self.replicates))], 1)
            for start in range(0, self.replicates, BLOCK)
        ]

    @cached_property
    def _matrix(self) -> np.ndarray:
        """All weights, float32 (U, R); one product is many times as quick as one a block."""
        empty = np.empty((self.units, 0), np.float32)
        return np.concatenate([empty, *self.blocks], axis=1, dtype=np.float32)

    def _draw(self, number: int) -> np.ndarray:
        """One draw's weights, int32 (U,)."""
        random = keyed_generator("bootstrap", self._seed, number)
        drawn = random.integers(0, self.units, self.units)
        return np.bincount(drawn, minlength=self.units).astype(np.int32)

    def replicate(self, figures: Sequence[Callable[[np.ndarray], np.ndarray]]) -> np.ndarray:
        """Figures under each draw.

        Args:
            figures: functions of weights, int32 (U, K), to values, float64 (K,).

        Returns:
            float64 (R, figures).
        """
        values = np.empty((self.replicates, len(figures)))
        for number, weights in enumerate(self.blocks):
            rows = slice(number * BLOCK, (number + 1) * BLOCK)
            for column, figure in enumerate(figures):
                values[rows, column] = figure(weights)
        return values

    def intervals(
        self, counts: np.ndarray, formulas: Mapping[str, Callable[[np.ndarray], np.ndarray]]
    ) -> dict[str, Interval]:
        """95 % intervals of figures that are functions of counts.

        Args:
            counts: (C, N), what each image adds to each of C counts.
            formulas: name to a function of counts (C, ...) to values (...), NaN for none.

        Returns:
            Name to interval; `n/a` with fewer than 5 patients.
        """
        if self.units < MIN_PATIENTS:
            return dict.fromkeys(formulas, NO_INTERVAL)
        each = np.stack([np.bincount(self.unit, row, self.units) for row in counts])  # (C, U)
        values = self.totals(each)  # (C, R)
        return {name: interval_of(formula(values)) for name, formula in formulas.items()}

    def totals(self, each: np.ndarray) -> np.ndarray:
        """Sums under each draw of what every unit adds, (..., U) -> float64 (..., R)."""
        summed: np.ndarray = each.astype(np.float32) @ self._matrix
        return summed.astype(np.float64)

    def mean(self, values: np.ndarray) -> Interval:
        """95 % interval of the mean of one value an image, float (N,)."""
        counts = np.stack([values, np.ones(len(values))])
        return self.intervals(counts, {"mean": lambda drawn: drawn[0] / drawn[1]})["mean"]

    def share(self, hits: np.ndarray) -> Interval:
        """The same of a share, 0 or 1 an image: see `clopper_pearson_extreme`
        for where all are hits, or none."""
        found = self.mean(hits)
        if found.known and np.min(hits) == np.max(hits):
            return clopper_pearson_extreme(bool(hits[0]), self.units)
        return found


def clopper_pearson_extreme(hit: bool, patients: int) -> Interval:
    """Clopper and Pearson's 95 % interval where all patients are hits, or none is.

    No draw of them could show a doubt there.
    """
    least = 0.025 ** (1 / patients)
    return Interval(least, 1.0) if hit else Interval(0.0, 1 - least)


@dataclass(frozen=True)
class Intervals:
    """The intervals of each class's AUROC, of both means, and of each average precision."""

    classes: dict[str, Interval]
    findings: Interval
    all_classes: Interval
    average_precision: dict[str, Interval]


def bootstrap_auroc(scores: Scores, bootstrap: PatientBootstrap) -> Intervals:
    """95 % intervals of every class's AUROC and average precision, and of the means.

    Args:
        scores: at least two patients.
        bootstrap: of these images' patients.

    Returns:
        `n/a` (NaN) for a class with fewer than 5 positive or negative patients, and for a mean in
        which there is no other class. A replicate's mean is over the classes that have an AUROC in
        the data; a replicate in which one of them has no positive or no negative is averaged over
        the others, and counted.
    """
    values = replicate_aurocs(scores, bootstrap)
    has_value = np.array([(t == 0).any() and (t == 1).any() for t in scores.targets.T])
    classes = {
        name: interval_of(values[:, column]) if enough_patients(scores, column) else NO_INTERVAL
        for column, name in enumerate(scores.classes)
    }
    is_finding = np.array([name in FINDINGS for name in scores.classes])
    known = np.array([classes[name].known for name in scores.classes])
    return Intervals(
        classes,
        _mean_interval(values, has_value & is_finding)
        if (known & is_finding).any()
        else NO_INTERVAL,
        _mean_interval(values, has_value) if known.any() else NO_INTERVAL,
        _precision_intervals(scores, bootstrap),
    )


def replicate_aurocs(
    scores: Scores, bootstrap: PatientBootstrap, *, groups: Sequence[np.ndarray] | None = None
) -> np.ndarray:
    """The AUROC of every class in every replicate.

    Args:
        scores: N images.
        bootstrap: of these images' patients; the same one for scores that are compared.
        groups: masks (N,); each draw is then scored once for each group's images alone, so that
            two groups can be compared although patients stand in both.

    Returns:
        float64 (R, D), or (R, groups, D); NaN where there is no AUROC.
    """
    unit, units = bootstrap.unit, bootstrap.units  # of all: a group may lack some of them
    masks = [np.ones(len(unit), bool)] if groups is None else groups
    ranked = [
        RankedAuroc(given[mask], truth[mask], unit[mask], units)
        for mask in masks
        for given, truth in zip(scores.probabilities.T, scores.targets.T, strict=True)
    ]
    values = bootstrap.replicate(ranked)
    if groups is None:
        return values
    return values.reshape(bootstrap.replicates, len(masks), len(scores.classes))


def _precision_intervals(scores: Scores, bootstrap: PatientBootstrap) -> dict[str, Interval]:
    columns = [c for c in range(len(scores.classes)) if enough_patients(scores, c)]
    ranked = [
        RankedPrecision(scores.probabilities[:, c], scores.targets[:, c], bootstrap.unit)
        for c in columns
    ]
    values = bootstrap.replicate(ranked)
    found = dict.fromkeys(scores.classes, NO_INTERVAL)
    return found | {scores.classes[c]: interval_of(values[:, i]) for i, c in enumerate(columns)}


def enough_patients(scores: Scores, column: int) -> bool:
    """Whether a class has at least 5 positive and 5 negative patients."""
    return fewest_patients(scores, column) >= MIN_PATIENTS


def fewest_patients(scores: Scores, column: int) -> int:
    """A class's positive patients or its negative ones, whichever are fewer."""
    patients = np.asarray(scores.patients)
    target = scores.targets[:, column]
    return min(len(set(patients[target == value].tolist())) for value in (0, 1))


def row_means(values: np.ndarray) -> np.ndarray:
    """Means over the classes that have a value, (R, D) -> (R,); NaN where none has."""
    have = ~np.isnan(values)
    count = have.sum(axis=1)
    sums = np.where(have, values, 0).sum(axis=1)
    return nan_where_zero(sums, count)


def _mean_interval(values: np.ndarray, chosen: np.ndarray) -> Interval:
    picked = values[:, chosen]
    fewer = int(np.isnan(picked).any(axis=1).sum())
    return replace(interval_of(row_means(picked)), left_out=fewer)
