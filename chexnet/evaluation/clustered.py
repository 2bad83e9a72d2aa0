"""The variance of an AUROC without drawing, and p-values.

With under ten positive patients a bootstrap draws the same few again and again, and its interval
is too narrow. The variance of Obuchowski ("Nonparametric analysis of clustered ROC curve data",
Biometrics 53, 1997), with the patient as cluster, on the logit scale and with a t quantile keeps
most of its promise; docs/reliability.md has the measured coverage.

The t quantile has (effective positive patients - 1) degrees of freedom. Patients with unlike
numbers of images are worth fewer: (sum n)^2 / sum n^2 of them for n images each (Potthoff, Woodbury
and Manton, J. Am. Stat. Assoc. 87, 1992; the effective number of clusters of Carter, Schnepel and
Steigerwald, Rev. Econ. Stat. 99, 2017). With equal numbers that is the number of patients.

Shapes: N images, U units (patients).
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from chexnet.evaluation.intervals import MIN_PATIENTS, NO_INTERVAL, Interval, patients_behind
from chexnet.evaluation.scores import labelled_only

# scipy.stats within the functions: the page draws curves of what is stored, and needs none of it.

FEW_PATIENTS = 10
"""Positive (or negative) patients under which the clustered interval stands beside the
bootstrap's."""


@dataclass(frozen=True)
class ClusteredAuroc:
    """An AUROC and its variance.

    Attributes:
        value: NaN without a positive or without a negative.
        variance: NaN with under two positive or negative patients.
        fewest: positive or negative patients, whichever are fewer.
        effective: the same of effective patients, from 1 to `fewest`; NaN where `fewest` is 0.
    """

    value: float
    variance: float
    fewest: int
    effective: float

    @property
    def _spread(self) -> float:
        """Standard error of the logit; 0 where the variance is unknown or the value 0 or 1."""
        if not (self.variance > 0 and 0 < self.value < 1):
            return 0.0
        return float(np.sqrt(self.variance) / (self.value * (1 - self.value)))

    @property
    def interval(self) -> Interval:
        """95 % interval; `n/a` under five positive or negative patients, and for AUROC 0 and 1."""
        if self.fewest < MIN_PATIENTS or not self._spread:
            return NO_INTERVAL
        from scipy.stats import t

        away = t.ppf(0.975, self.effective - 1) * self._spread
        low, high = (float(expit(logit(self.value) + side * away)) for side in (-1, 1))
        return Interval(low, high)

    @property
    def interval_if_rare(self) -> Interval:
        """The same; `n/a` from ten patients on, where the bootstrap's keeps its promise."""
        return self.interval if self.fewest < FEW_PATIENTS else NO_INTERVAL

    @property
    def p_of_chance(self) -> float:
        """Two-sided p-value of the AUROC's being 0.5; NaN where there is no interval."""
        if self.fewest < MIN_PATIENTS or not self._spread:
            return float("nan")
        from scipy.stats import t

        return float(2 * t.sf(abs(logit(self.value)) / self._spread, self.effective - 1))


def clustered_auroc(scores: np.ndarray, targets: np.ndarray, unit: np.ndarray) -> ClusteredAuroc:
    """The AUROC of images in patients, with Obuchowski's variance.

    Args:
        scores: (N,).
        targets: 0 or 1, (N,); images with `UNKNOWN` are left out.
        unit: number of each image's patient, int (N,), from 0.
    """
    from scipy.stats import rankdata

    scores, unit, targets = labelled_only(scores, unit, targets=np.asarray(targets))
    fewest, effective = patients_behind(targets, unit)
    if not fewest:
        return ClusteredAuroc(float("nan"), float("nan"), 0, float("nan"))
    kinds = [targets == 1, targets == 0]
    positive, negative = kinds
    count = [int(kind.sum()) for kind in kinds]
    # How many of the other kind an image's score is on the right side of, ties counted half:
    # its rank among all less its rank among its own kind.
    every = rankdata(scores)
    won = np.empty(len(scores))
    won[positive] = (every[positive] - rankdata(scores[positive])) / count[1]
    won[negative] = 1 - (every[negative] - rankdata(scores[negative])) / count[0]
    value = float(won[positive].mean())
    if fewest < 2:
        return ClusteredAuroc(value, float("nan"), fewest, effective)
    units = int(unit.max()) + 1
    # Sum over a patient's images of (component - AUROC), of positives and of negatives: (2, U).
    off = np.stack([np.bincount(unit[kind], won[kind] - value, units) for kind in kinds])
    alone = 0.0
    for kind, sums, total in zip(kinds, off, count, strict=True):
        patients = len(np.unique(unit[kind]))
        alone += patients / (patients - 1) * float(sums @ sums) / total**2
    everyone = len(np.unique(unit))
    both = everyone / (everyone - 1) * float(off[0] @ off[1]) / (count[0] * count[1])
    return ClusteredAuroc(value, alone + 2 * both, fewest, effective)


def holm(values: Mapping[str, float]) -> dict[str, float]:
    """p-values that hold for all of them at once (Holm, Scand. J. Statist. 6, 1979).

    Args:
        values: name to p-value; NaN is no test and counts for nothing.

    Returns:
        Name to adjusted p-value, at most 1, for those that have one.
    """
    tested = sorted((p, name) for name, p in values.items() if not np.isnan(p))
    adjusted: dict[str, float] = {}
    greatest = 0.0
    for place, (p, name) in enumerate(tested):
        greatest = max(greatest, min(1.0, p * (len(tested) - place)))
        adjusted[name] = greatest
    return adjusted
