"""What every threshold of a finding would do: counts, and intervals by patients.

A page moves a threshold along these arrays, so they hold every figure that it shows. The intervals
are those of `operating_points` at the same thresholds, from the same draws.

Shapes: N images, T thresholds, U patients, R replicates.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from chexnet.evaluation.bootstrap import MIN_PATIENTS, PatientBootstrap, clopper_pearson_extreme
from chexnet.evaluation.metrics import labelled_only
from chexnet.evaluation.thresholds import formulas
from chexnet.evaluation.validation_scores import kept_levels

THRESHOLDS = 200
"""Scores of a finding that are kept as thresholds; a slider moves no finer."""
EVEN = 0.5
"""The prevalence at which PPV and NPV have intervals beside those of the images' own.

At a fixed prevalence p, the odds of the PPV are p / (1 - p) times those at one half, in every
draw. That changes no order, so the interval at p follows from the one at one half.
"""


@dataclass(frozen=True)
class ThresholdCurve:
    """One finding's operating points.

    Attributes:
        thresholds: calibrated probabilities, ascending, float64 (T,); a picture is called positive
            from there on. The last one is 1, which calls nothing.
        true_positives: images with the finding at or above each, int64 (T,).
        false_positives: the others at or above each, int64 (T,).
        positives: images with the finding.
        negatives: the others.
        patients: patients with and without it, None where nobody kept them.
        intervals: measure to 95 % intervals, float64 (T, 2), NaN for none; `MEASURES`, and
            `ppv_even` and `npv_even` at a prevalence of one half. Empty in an older file.
    """

    thresholds: np.ndarray
    true_positives: np.ndarray
    false_positives: np.ndarray
    positives: int
    negatives: int
    patients: tuple[int, int] | None = None
    intervals: Mapping[str, np.ndarray] = field(default_factory=dict)


def threshold_curve(
    given: np.ndarray,
    truth: np.ndarray,
    bootstrap: PatientBootstrap,
    *,
    also: Sequence[float] = (),
    thresholds: int = THRESHOLDS,
) -> ThresholdCurve:
    """The operating points of one finding, with intervals.

    Args:
        given: calibrated probabilities (N,).
        truth: 0 or 1 (N,); images with `UNKNOWN` are left out.
        bootstrap: of these images' patients.
        also: further thresholds, for example the stored one.
        thresholds: scores to keep, see `kept_levels`.
    """
    kept, of_kept = labelled_only(given, targets=truth)
    cuts = np.unique([*kept_levels(kept, of_kept, thresholds), *also, 1.0])
    reached = np.searchsorted(cuts, given, side="right")  # thresholds that an image reaches
    ill, well = truth == 1, truth == 0
    over = np.stack([_reaching(reached, bootstrap, mask, len(cuts)) for mask in (ill, well)])
    # Every image reaches the least score that is kept, and so the first threshold.
    under = over[:, :1] - over
    counts = np.concatenate([over, under[::-1]])  # (4, T, U), in the order of `formulas`
    owners = (counts > 0).sum(axis=2)
    return ThresholdCurve(
        thresholds=cuts,
        true_positives=over[0].sum(axis=1),
        false_positives=over[1].sum(axis=1),
        positives=int(ill.sum()),
        negatives=int(well.sum()),
        patients=(int(owners[0, 0]), int(owners[1, 0])),
        intervals=_intervals(counts, bootstrap) if bootstrap.units >= MIN_PATIENTS else {},
    )


def stored_curve(
    curve: Mapping[str, Sequence[float]], positives: int, images: int
) -> ThresholdCurve:
    """The same of an operating curve (`metrics.operating_curve`), which has no patients.

    Args:
        curve: `fpr`, `tpr` and `threshold`, thinned to 101 points.
        positives: images with the finding.
        images: all.
    """
    cuts, tpr, fpr = (np.array(curve[key][::-1]) for key in ("threshold", "tpr", "fpr"))
    negatives = images - positives
    return ThresholdCurve(
        thresholds=np.minimum(cuts, 1.0),
        true_positives=(tpr * positives).round().astype(int),
        false_positives=(fpr * negatives).round().astype(int),
        positives=positives,
        negatives=negatives,
    )


def _reaching(
    reached: np.ndarray, bootstrap: PatientBootstrap, mask: np.ndarray, count: int
) -> np.ndarray:
    """Images of each patient at or above each of `count` thresholds, int64 (T, U)."""
    exactly = np.zeros((count + 1, bootstrap.units), np.int64)
    np.add.at(exactly, (reached[mask], bootstrap.unit[mask]), 1)
    over: np.ndarray = exactly[::-1].cumsum(axis=0)[::-1][1:]
    return over


def _intervals(counts: np.ndarray, bootstrap: PatientBootstrap) -> dict[str, np.ndarray]:
    """Counts int64 (4, T, U) -> measure to intervals (T, 2), by the rules of `operating_points`."""
    drawn, whole = bootstrap.totals(counts), counts.sum(axis=2).astype(float)
    true, false, spared, missed = counts > 0  # (T, U): whether a patient has such an image
    # Whose share each figure is: the ill, the well, those over and those under the threshold.
    ill, well = true | missed, false | spared
    among = {"sensitivity": ill, "specificity": well, "ppv": true | false, "npv": spared | missed}
    among["f1"] = ill
    found = {}
    for prevalence, suffix in ((None, ""), (EVEN, "_even")):
        for measure, formula in formulas(prevalence).items():
            if prevalence is None or measure in ("ppv", "npv"):
                patients = among[measure].sum(axis=1)
                intervals = _percentiles(formula(drawn))
                exact = formula(whole) if prevalence is None else None
                found[measure + suffix] = _doubted(intervals, exact, patients)
    return found


def _doubted(intervals: np.ndarray, exact: np.ndarray | None, patients: np.ndarray) -> np.ndarray:
    """Intervals that keep their doubt: see `operating_points`."""
    flat = ~(intervals[:, 0] < intervals[:, 1])
    intervals[flat | (patients < MIN_PATIENTS)] = np.nan
    if exact is None:
        return intervals
    for place in np.flatnonzero(flat & (patients >= MIN_PATIENTS)):
        if exact[place] in (0, 1):
            one = clopper_pearson_extreme(exact[place] == 1, int(patients[place]))
            intervals[place] = one.low, one.high
    return intervals


def _percentiles(values: np.ndarray) -> np.ndarray:
    """2.5th and 97.5th percentile of each row (T, R) without its NaN, float64 (T, 2)."""
    ordered = np.sort(values, axis=1)  # NaN last
    last = (~np.isnan(values)).sum(axis=1) - 1
    found = np.full((len(values), 2), np.nan)
    rows = np.arange(len(values))
    for column, share in enumerate((0.025, 0.975)):
        place = share * np.maximum(last, 0)
        low = np.floor(place).astype(int)
        high = np.minimum(low + 1, np.maximum(last, 0))
        found[:, column] = ordered[rows, low] + (place - low) * (
            ordered[rows, high] - ordered[rows, low]
        )
    found[last < 0] = np.nan
    return found
