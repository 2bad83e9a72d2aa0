"""Figures of many readers and many cases, and how far chance in both moves them.

Readers and cases are both drawn by chance. The variance is the one-shot estimate of Gallas (Acad.
Radiol. 13, 2006), unbiased for any design in which some readers read some cases (Gallas and Brown,
Neural Netw. 21, 2008), with all questions of a case as one cluster. As in Hillis' form of
Obuchowski and Rockette's test (Stat. Med. 26, 2007) it is at least the readers' part of it, and at
least what it is where all answers are independent. The t quantile has the degrees of freedom of
Obuchowski, Gallas and Hillis (Acad. Radiol. 19, 2012), at least those of readers or cases,
whichever are fewer. docs/teaching.md has the measured coverage.

Shapes: R readers, C cases, F findings, L distinct ratings.
"""

from dataclasses import dataclass, field
from itertools import combinations_with_replacement

import numpy as np

from chexnet.evaluation.intervals import MIN_PATIENTS, NO_INTERVAL, Interval, interval_of
from chexnet.evaluation.metrics import nan_where_zero

_NOTHING = 1e-12
"""A variance under this is the rounding's: all answers are alike."""


@dataclass(frozen=True)
class Estimate:
    """A figure of a group of answers.

    Attributes:
        value: in [0, 1]; NaN where nothing was asked.
        interval: 95 %, over readers and cases; `n/a` under five of either.
        readers: who were asked.
        cases: that were asked about; of an AUROC, with or without a finding, the fewer.
        asked: questions or, of an AUROC, pairs of them.
    """

    value: float
    interval: Interval
    readers: int
    cases: int
    asked: int


@dataclass(frozen=True)
class ReaderDifference:
    """A figure of one group less that of another.

    Attributes:
        value: in [-1, 1].
        interval: 95 %, over readers and cases.
        p: two-sided; NaN where there is no interval.
        holm: p corrected for every difference of the study (Holm); None where there is no p.
    """

    value: float
    interval: Interval
    p: float
    holm: float | None = field(default=None, metadata={"json": "p_holm"})


@dataclass(frozen=True)
class Kernel:
    """How often it was asked, and how often it went so: (R, C), or (R, C, C) of pairs of cases."""

    went: np.ndarray
    asked: np.ndarray

    @property
    def value(self) -> float:
        """The share that went so; NaN where nothing was asked."""
        return float(nan_where_zero(self.went.sum(), self.asked.sum()))

    @property
    def by_reader(self) -> np.ndarray:
        """How often each was asked, (R,)."""
        counts: np.ndarray = self.asked.sum(axis=tuple(range(1, self.asked.ndim)))
        return counts

    @property
    def by_case(self) -> list[np.ndarray]:
        """How often it was asked of each case, (C,), on either side of a pair."""
        every = self.asked.sum(axis=0)
        return [every] if every.ndim == 1 else [every.sum(axis=0), every.sum(axis=1)]

    @property
    def fewest(self) -> tuple[int, int]:
        """Readers and cases; of pairs the cases of the side that has fewer."""
        readers, *sides = (int((kind > 0).sum()) for kind in (self.by_reader, *self.by_case))
        return readers, min(sides)

    @property
    def enough(self) -> bool:
        """Whether there are readers and cases enough to estimate anything by."""
        return min(self.fewest) >= MIN_PATIENTS


def auroc_kernel(ratings: np.ndarray, sick: np.ndarray, well: np.ndarray) -> Kernel:
    """Pairs of a finding that is there and one that is not, of one reader; all (R, C, F)."""
    levels = np.unique(ratings[sick | well])
    high, low = (
        np.stack([((ratings == level) & kind).sum(axis=2) for level in levels], axis=2)
        for kind in (sick, well)
    )  # (R, C, L)
    below = low.cumsum(axis=2) - low / 2
    asked = high.sum(axis=2)[:, :, None] * low.sum(axis=2)[:, None, :]
    return Kernel(high @ below.swapaxes(1, 2), asked)


def estimate(name: str, kernel: Kernel) -> Estimate:
    """A figure with its interval: exact where a share is 0 or 1, else of its logit."""
    value, interval = kernel.value, NO_INTERVAL
    if kernel.enough and value in (0, 1) and name != "auroc":
        interval = interval_of(np.array([value]), min(kernel.fewest), value)
    elif kernel.enough and 0 < value < 1:
        from scipy.special import expit, logit
        from scipy.stats import t

        error, df = _error(kernel)
        away = t.ppf(0.975, df) * error / (value * (1 - value))
        if error:
            low, high = (float(expit(logit(value) + side * away)) for side in (-1, 1))
            interval = Interval(low, high)
    return Estimate(value, interval, *kernel.fewest, int(kernel.asked.sum()))


def difference(first: Kernel, second: Kernel) -> ReaderDifference:
    """The first less the second, with its interval and p."""
    from scipy.stats import t

    value = first.value - second.value
    error, df = _error(first, second) if first.enough and second.enough else (0.0, 0.0)
    if not error:
        return ReaderDifference(value, NO_INTERVAL, float("nan"))
    away = float(t.ppf(0.975, df)) * error
    p = float(2 * t.sf(abs(value) / error, df))
    return ReaderDifference(value, Interval(value - away, value + away), p)


def _error(*kernels: Kernel) -> tuple[float, float]:
    """Standard error and degrees of freedom of a figure, or of the first less the second.

    The square of what a figure estimates is seen in pairs of answers that have neither a reader nor
    a case in common; what other pairs have beyond it is their covariance.

    Returns:
        Both 0 where they cannot be estimated.
    """
    signed = list(zip(kernels, (1, -1), strict=False))
    parts = np.zeros(3)
    for (first, sign), (second, its) in combinations_with_replacement(signed, 2):
        weights = _products(first.asked / first.asked.sum(), second.asked / second.asked.sum())
        products = _products(first.went / first.asked.sum(), second.went / second.asked.sum())
        if weights[3] < _NOTHING:
            return 0.0, 0.0
        both = 1 if first is second else 2
        parts += both * sign * its * (products - weights * products[3] / weights[3])[:3]
    # Not under the readers' part, nor under the part of what one reader says of one case.
    variance = max(parts[0], parts[1], parts[1] + parts[2] - parts[0])
    if variance < _NOTHING:
        return 0.0, 0.0
    shares = [
        [kernel.by_reader / kernel.asked.sum() for kernel in kernels],
        [sum(kernel.by_case) / kernel.asked.sum() for kernel in kernels],
    ]
    # As many readers and cases as are worth so much if all weighed the same, less one.
    squares = [sum(share**2 for share in kind) for kind in shares]
    most = np.array([square.sum() ** 2 / (square**2).sum() - 1 for square in squares])
    spent = (np.maximum(parts[1:], 0) ** 2 / most).sum()
    return float(np.sqrt(variance)), float(max(variance**2 / spent if spent else 0, most.min()))


def _products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums of x times y over pairs of answers: all, one reader's, one case's, and of neither."""
    x_readers, y_readers = (each.reshape(len(each), -1).sum(axis=1) for each in (x, y))
    every = x_readers.sum() * y_readers.sum()
    apart = _apart(x.sum(axis=0, keepdims=True), y.sum(axis=0, keepdims=True)).sum()
    return np.array([every, x_readers @ y_readers, every - apart, apart - _apart(x, y).sum()])


def _apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums of x times y over pairs without a case in common, (R, C) or (R, C, C) -> (R,)."""
    sums: np.ndarray
    if x.ndim == 2:
        sums = x.sum(axis=1) * y.sum(axis=1) - (x * y).sum(axis=1)
        return sums
    own = np.diagonal(y, axis1=1, axis2=2)
    touched = y.sum(axis=1) + y.sum(axis=2) - own
    shared = touched[:, :, None] + touched[:, None, :] - y - y.swapaxes(1, 2)
    cases = np.arange(x.shape[1])
    shared[:, cases, cases] = touched
    sums = x.sum(axis=(1, 2)) * y.sum(axis=(1, 2)) - (x * shared).sum(axis=(1, 2))
    return sums
