"""Intervals from a bootstrap over patients, and the one rule for where one is shown.

Images of one patient are alike, so patients are drawn, not images (cluster bootstrap: Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8). A replicate is a weight for
each patient; the weighted AUROC needs no new sorting, which makes a replicate of 25,596 images
and 14 classes a matter of half a millisecond.

Shapes: N images, U units (patients), R replicates, K draws of a block, D classes.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import numpy as np

from chexnet.evaluation.metrics import WeightedAuroc, WeightedPrecision, nan_where_zero
from chexnet.evaluation.scores import Scores
from chexnet.labels import FINDINGS
from chexnet.rng import keyed_generator

REPLICATES = 1000
MIN_PATIENTS = 5
"""Positive (and negative) patients under which there is no interval: too few to estimate one."""
BLOCK = 64
"""Draws that are worked on at once: 0.7 MB of weights for the patients of NIH's test list."""


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
    left_out: int = field(default=0, metadata={"json": "draws_left_out"})

    @property
    def known(self) -> bool:
        """False where the interval is `n/a`."""
        return not np.isnan(self.low)


NO_INTERVAL = Interval(float("nan"), float("nan"))
"""Where there were too few patients for one."""


def read_interval(stored: Interval | Mapping[str, Any] | Sequence[float] | None) -> Interval:
    """An interval, also of a JSON file: `plain`, or `[low, high]` and None of older files."""
    if isinstance(stored, Interval):
        return stored
    if isinstance(stored, Mapping):
        stored = None if stored["low"] is None else (stored["low"], stored["high"])
    return Interval(float(stored[0]), float(stored[1])) if stored else NO_INTERVAL


def bounds_of(
    drawn: np.ndarray, patients: np.ndarray, proportions: np.ndarray | None = None
) -> np.ndarray:
    """95 % intervals of several figures: the one rule for where an interval is shown.

    There is one from five patients on. A proportion of which no draw shows a doubt, because every
    image is a hit or none is, has the exact interval of Clopper and Pearson over patients; any
    other proportion that is the same in every draw has none.

    Args:
        drawn: each figure under each draw, (figures, R); NaN is left out.
        patients: whose figure each is, the positive or the negative ones where that are fewer,
            int (figures,).
        proportions: the figures themselves where they are proportions, (figures,), NaN for none
            of which an exact interval is known; None for other figures.

    Returns:
        float64 (figures, 2), NaN for no interval.
    """
    bounds = np.full((len(drawn), 2), np.nan)
    if not drawn.shape[1]:
        return bounds
    missing = np.isnan(drawn)
    whole = ~missing.any(axis=1)
    bounds[whole] = np.percentile(drawn[whole], [2.5, 97.5], axis=1).T
    for row in np.flatnonzero(~whole & ~missing.all(axis=1)):
        bounds[row] = np.percentile(drawn[row, ~missing[row]], [2.5, 97.5])
    if proportions is not None:
        flat = ~(bounds[:, 0] < bounds[:, 1])
        bounds[flat] = np.nan
        least = 0.025 ** (1 / np.maximum(patients, 1))
        for extreme, low, high in ((1, least, np.ones(len(least))), (0, 0 * least, 1 - least)):
            rows = flat & (proportions == extreme)
            bounds[rows] = np.stack([low, high], axis=1)[rows]
    bounds[np.asarray(patients) < MIN_PATIENTS] = np.nan
    return bounds


def interval_of(drawn: np.ndarray, patients: int, proportion: float | None = None) -> Interval:
    """The interval of one figure's draws (R,), with the number of those left out.

    Args:
        drawn: see `bounds_of`; so are the others.
        patients: whose figure it is.
        proportion: the figure itself, where it is one.
    """
    own = None if proportion is None else np.array([proportion])
    low, high = bounds_of(drawn[None], np.array([patients]), own)[0].tolist()
    if np.isnan(low):
        return NO_INTERVAL
    # An exact interval leaves no draw out: it needs none.
    return Interval(low, high, 0 if proportion in (0, 1) else int(np.isnan(drawn).sum()))


def minimum_detectable(interval: Interval) -> float:
    """The minimum detectable difference at such data, with 80 % power.

    By the normal approximation it is 1.96 + 0.84 = 2.80 standard errors at 5 % (two-sided) and
    80 % power, and a 95 % interval is 3.92 of them wide.

    Returns:
        NaN where there is no interval.
    """
    return (1.96 + 0.84) / (2 * 1.96) * (interval.high - interval.low)


def patients_behind(truth: np.ndarray, unit: np.ndarray) -> tuple[int, float]:
    """How many patients an AUROC rests on: positive ones, or negative ones where they are fewer.

    Args:
        truth: 0, 1 or `UNKNOWN`, (N,).
        unit: number of each image's patient, int (N,).

    Returns:
        Their count, and the same of effective patients; NaN where the count is 0.
    """
    images = [np.unique(unit[truth == value], return_counts=True)[1] for value in (0, 1)]
    fewest = min(len(each) for each in images)
    if not fewest:
        return 0, float("nan")
    return fewest, min(float(each.sum() ** 2 / (each**2).sum()) for each in images)


class PatientBootstrap:
    """The draws of a bootstrap over patients: one for every figure of the same images.

    A draw takes as many patients as there are, with repetition, and so weights each by how often
    it was taken. Draw k of a seed is the same for every figure, so that figures can be compared
    draw by draw; it depends on the seed, on k and on the number of patients alone.

    Attributes:
        unit: number of the unit of each image, int (N,).
        units: U.
        replicates: R.
    """

    def __init__(
        self, patients: Sequence[str], replicates: int = REPLICATES, seed: int = 0
    ) -> None:
        """Prepare draws of the patients of N images.

        Args:
            patients: patient of each image, at least one.
            replicates: draws; 0 for no interval at all.
            seed: of the draws.
        """
        self.unit: np.ndarray = np.unique(patients, return_inverse=True)[1]
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

    def by_patient(self, counts: np.ndarray) -> np.ndarray:
        """What each patient adds to each of C counts, (C, N) -> float64 (C, U)."""
        return np.stack([np.bincount(self.unit, row, self.units) for row in counts])

    def totals(self, each: np.ndarray) -> np.ndarray:
        """Sums under each draw of what every unit adds, (..., U) -> float64 (..., R)."""
        summed: np.ndarray = each.astype(np.float32) @ self._matrix
        return summed.astype(np.float64)

    def mean(self, values: np.ndarray) -> Interval:
        """95 % interval of the mean of one value an image, float (N,)."""
        return self._mean(values)

    def share(self, hits: np.ndarray) -> Interval:
        """The same of a share, 0 or 1 an image: see `bounds_of` for where all are hits, or none."""
        return self._mean(hits, float(np.mean(hits)))

    def _mean(self, values: np.ndarray, proportion: float | None = None) -> Interval:
        drawn = self.totals(self.by_patient(np.stack([values, np.ones(len(values))])))
        return interval_of(drawn[0] / drawn[1], self.units, proportion)


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
    unit, units = bootstrap.unit, bootstrap.units
    values = replicate_aurocs(scores, bootstrap)
    precise = bootstrap.replicate(
        [WeightedPrecision(given, truth, unit, units) for _, given, truth in scores.columns()]
    )
    patients = np.array([patients_behind(truth, unit)[0] for truth in scores.targets.T])

    def by_class(drawn: np.ndarray) -> dict[str, Interval]:
        columns = zip(scores.classes, drawn.T, patients.tolist(), strict=True)
        return {name: interval_of(column, count) for name, column, count in columns}

    def of_mean(chosen: np.ndarray) -> Interval:
        picked = values[:, chosen & (patients > 0)]
        mean = interval_of(row_means(picked), int(patients[chosen].max(initial=0)))
        fewer = int(np.isnan(picked).any(axis=1).sum())
        return replace(mean, left_out=fewer if mean.known else 0)

    findings = np.array([name in FINDINGS for name in scores.classes])
    means = of_mean(findings), of_mean(np.ones_like(findings))
    return Intervals(by_class(values), *means, by_class(precise))


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
    values = bootstrap.replicate(
        [
            WeightedAuroc(given[mask], truth[mask], unit[mask], units)
            for mask in masks
            for _, given, truth in scores.columns()
        ]
    )
    if groups is None:
        return values
    return values.reshape(bootstrap.replicates, len(masks), len(scores.classes))


def row_means(values: np.ndarray) -> np.ndarray:
    """Means over the classes that have a value, (R, D) -> (R,); NaN where none has."""
    have = ~np.isnan(values)
    return nan_where_zero(np.where(have, values, 0).sum(axis=1), have.sum(axis=1))
