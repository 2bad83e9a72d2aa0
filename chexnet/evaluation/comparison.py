"""Is one network better than another on the same images? Paired over patients.

Both are scored under the same draws of patients, so that what makes a draw easy cancels out
(DeLong's pairing, with whole patients as the unit). The p-value is two-sided, of the difference
over its bootstrap standard error, against Student's t with (positive or negative patients, the
fewer of them, less one) degrees of freedom: few patients tell little of their spread, and with the
normal distribution 14 findings of 120 patients were called different in 7.2 % instead of 5 %.

Shapes: N images, D classes, R replicates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import t

from chexnet.errors import DataError
from chexnet.evaluation.bootstrap import (
    MIN_PATIENTS,
    NO_INTERVAL,
    REPLICATES,
    Interval,
    PatientBootstrap,
    fewest_patients,
    interval_of,
    replicate_aurocs,
    row_means,
    smallest_shown,
)
from chexnet.evaluation.clustered import holm
from chexnet.evaluation.metrics import Scores, auroc
from chexnet.evaluation.summary import number
from chexnet.labels import FINDINGS

MEAN = "Mean of the findings"


@dataclass(frozen=True)
class Difference:
    """AUROC of A less AUROC of B.

    Attributes:
        first: AUROC of A, NaN where there is none.
        second: AUROC of B.
        interval: 95 % interval of the difference; `n/a` with under 5 positive (negative) patients.
        p: two-sided p-value, NaN where there is no interval.
        n_classes: classes that the figure is a mean of.
    """

    first: float
    second: float
    interval: Interval
    p: float
    n_classes: int = 1

    @property
    def value(self) -> float:
        """A less B."""
        return self.first - self.second


def compare(
    first: Scores, second: Scores, replicates: int = REPLICATES, seed: int = 0
) -> dict[str, Difference]:
    """Compare class by class, and the mean over the findings that both have.

    Args:
        first: A.
        second: B, of the same images in any order.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        DataError: other images, or no class in common.
    """
    first, second = _aligned(first, second)
    bootstrap = PatientBootstrap(first.patients, replicates, seed)
    drawn = replicate_aurocs(first, bootstrap) - replicate_aurocs(second, bootstrap)
    values = [auroc(one.probabilities, one.targets) for one in (first, second)]
    found = {}
    for column, name in enumerate(first.classes):
        found[name] = difference_of(
            values[0][column], values[1][column], drawn[:, column], fewest_patients(first, column)
        )
    chosen = [
        column
        for column, name in enumerate(first.classes)
        if name in FINDINGS and not np.isnan(values[0][column])
    ]
    if chosen:
        means = (float(values[0][chosen].mean()), float(values[1][chosen].mean()))
        fewest = max(fewest_patients(first, column) for column in chosen)
        found[MEAN] = difference_of(*means, row_means(drawn[:, chosen]), fewest, len(chosen))
    return found


def difference_of(
    first: float, second: float, drawn: np.ndarray, fewest: int, n_classes: int = 1
) -> Difference:
    """A difference with interval and p-value.

    Args:
        first: AUROC of A.
        second: AUROC of B.
        drawn: the difference in each replicate, (R,).
        fewest: positive or negative patients, whichever are fewer.
        n_classes: see `Difference`.
    """
    interval = interval_of(drawn) if fewest >= MIN_PATIENTS else NO_INTERVAL
    p = float("nan")
    if interval.known:
        spread = np.nanstd(drawn, ddof=1)
        # Two files with the same answers differ nowhere: nothing speaks against their being equal.
        p = float(2 * t.sf(abs(first - second) / spread, fewest - 1)) if spread > 0 else 1.0
    return Difference(float(first), float(second), interval, p, n_classes)


def findings_that_differ(found: Mapping[str, Difference]) -> dict[str, float]:
    """The findings that differ at 5 % over all of them at once, with Holm's p-values."""
    tested = {name: one.p for name, one in found.items() if name in FINDINGS}
    return {name: p for name, p in holm(tested).items() if p < 0.05}


def _aligned(first: Scores, second: Scores) -> tuple[Scores, Scores]:
    place = {name: row for row, name in enumerate(second.images)}
    missing = [name for name in first.images if name not in place]
    extra = len(second.images) - (len(first.images) - len(missing))
    if missing or extra:
        which = missing[0] if missing else next(iter(set(place) - set(first.images)))
        raise DataError(
            f"The two files are of other images: {len(missing):,} only in the first, {extra:,} "
            f"only in the second, {which} among them. Score the same images with both networks."
        )
    classes = [name for name in first.classes if name in second.classes]
    if not classes:
        raise DataError(
            f"The two files have no class in common: found {', '.join(first.classes[:3])} ... and "
            f"{', '.join(second.classes[:3])} ..."
        )
    rows = [place[name] for name in first.images]
    return first.take(np.arange(len(rows)), classes), second.take(np.array(rows), classes)


def as_dict(found: dict[str, Difference]) -> dict[str, Any]:
    """The differences for JSON; NaN becomes None."""
    adjusted = holm({name: one.p for name, one in found.items() if name in FINDINGS})
    return {
        name: {
            "a": number(one.first),
            "b": number(one.second),
            "difference": number(one.value),
            "interval": one.interval.as_dict(),
            "p": number(one.p),
            "p_holm": adjusted.get(name),
            "smallest_shown_at_80_percent_power": number(smallest_shown(one.interval)),
            "classes": one.n_classes,
        }
        for name, one in found.items()
    }
