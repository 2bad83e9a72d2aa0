"""Draws of patients, and the intervals of whatever can be counted under them.

Images of one patient are alike, so patients are drawn, not images (cluster bootstrap: Davison and
Hinkley, "Bootstrap Methods and their Application", 1997, section 3.8).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

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


def interval_of(values: np.ndarray) -> Interval:
    """The interval of replicates (R,), NaN left out and counted; `n/a` where none is left."""
    kept = values[~np.isnan(values)]
    if not len(kept):
        return NO_INTERVAL
    low, high = np.percentile(kept, [2.5, 97.5])
    return Interval(float(low), float(high), int(len(values) - len(kept)))


class PatientDraws:
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
        """The same of a share, 0 or 1 an image: where all are hits, or none, see `certain`."""
        found = self.mean(hits)
        if found.known and np.min(hits) == np.max(hits):
            return certain(bool(hits[0]), self._count)
        return found


def certain(hit: bool, patients: int) -> Interval:
    """Clopper and Pearson's 95 % interval where all patients are hits, or none is.

    No draw of them could show a doubt there.
    """
    least = 0.025 ** (1 / patients)
    return Interval(least, 1.0) if hit else Interval(0.0, 1 - least)
