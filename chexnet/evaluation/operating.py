"""What thresholds do on images that did not choose them, with intervals by patients.

Shapes: N images, T thresholds, U patients, R replicates. Probabilities are float64 in [0, 1],
targets 0, 1 or `UNKNOWN`.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from chexnet.evaluation.intervals import (
    MIN_PATIENTS,
    PatientBootstrap,
    bounds_of,
    interval_of,
)
from chexnet.evaluation.scores import UNKNOWN, Figures, Scores, labelled_only
from chexnet.evaluation.validation import kept_levels

MEASURES = ("sensitivity", "specificity", "ppv", "npv", "f1")
THRESHOLDS = 200
"""Scores of a finding that are kept as thresholds; a slider moves no finer."""
EVEN = 0.5
"""The prevalence at which PPV and NPV have intervals beside those of the images' own.

At a fixed prevalence p, the odds of the PPV are p / (1 - p) times those at one half, in every
draw. That changes no order, so the interval at p follows from the one at one half.
"""


def operating_points(
    scores: Scores,
    thresholds: Mapping[str, Mapping[str, float] | None],
    rule: str = "youden",
    *,
    prevalence: Mapping[str, float] | None = None,
    bootstrap: PatientBootstrap | None = None,
) -> dict[str, Figures]:
    """Score the thresholds on images that did not choose them.

    Args:
        scores: of these images, on the scale that the thresholds are of.
        thresholds: see `choose_thresholds`; classes without one are left out.
        rule: a name of `RULES`.
        prevalence: label to share in (0, 1) for which PPV and NPV are given instead of that of
            these images, by Bayes' rule from sensitivity and specificity.
        bootstrap: of these images' patients; None for no intervals.

    Returns:
        Label to `threshold`, and each of `MEASURES` to its `value` in [0, 1], NaN where nothing can
        be said, and with draws its `interval`.
    """
    draws = bootstrap or PatientBootstrap(scores.patients, 0)
    points: dict[str, Figures] = {}
    for name, given, truth in scores.columns():
        chosen = thresholds.get(name)
        if not chosen:
            continue
        counts = _counts(given, truth, np.array([chosen[rule]]), draws)
        # Whether an image is labelled hangs on its label: only one kind of them was counted.
        one_kind = (truth == UNKNOWN).any() and not ((truth == 1).any() and (truth == 0).any())
        point: dict[str, Any] = {"threshold": chosen[rule]}
        for measure, value, drawn, patients, share in _measures(
            counts, draws, (prevalence or {}).get(name)
        ):
            if one_kind and measure in ("ppv", "npv", "f1"):
                value, drawn, share = (np.full_like(each, np.nan) for each in (value, drawn, share))
            point[measure] = {"value": float(value[0])}
            if draws.replicates:
                interval = interval_of(drawn[0], int(patients[0]), float(share[0]))
                point[measure]["interval"] = interval
        points[name] = point
    return points


@dataclass(frozen=True)
class ThresholdCurve:
    """What every threshold of a finding would do; a page moves a threshold along these arrays.

    The intervals are those of `operating_points` at the same thresholds, from the same draws.

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
    counts = _counts(given, truth, cuts, bootstrap)
    intervals = {}
    if bootstrap.units >= MIN_PATIENTS:
        for prevalence, suffix in ((None, ""), (EVEN, "_even")):
            for measure, _, drawn, patients, share in _measures(counts, bootstrap, prevalence):
                if prevalence is None or measure in ("ppv", "npv"):
                    intervals[measure + suffix] = bounds_of(drawn, patients, share)
    # Every image reaches the least score that is kept, and so the first threshold.
    true, false = counts[0], counts[1]
    return ThresholdCurve(
        thresholds=cuts,
        true_positives=true.sum(axis=1),
        false_positives=false.sum(axis=1),
        positives=int(true[0].sum()),
        negatives=int(false[0].sum()),
        patients=(int((true[0] > 0).sum()), int((false[0] > 0).sum())),
        intervals=intervals,
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


def _counts(
    given: np.ndarray, truth: np.ndarray, cuts: np.ndarray, bootstrap: PatientBootstrap
) -> np.ndarray:
    """Each patient's images at each threshold (T,), ascending: int64 (4, T, U).

    True and false positives, true and false negatives; images with `UNKNOWN` are none of them.
    """
    reached = np.searchsorted(cuts, given, side="right")  # thresholds that an image reaches
    over, under = [], []
    for kind in (truth == 1, truth == 0):
        exactly = np.zeros((len(cuts) + 1, bootstrap.units), np.int64)
        np.add.at(exactly, (reached[kind], bootstrap.unit[kind]), 1)
        over.append(exactly[::-1].cumsum(axis=0)[::-1][1:])
        under.append(exactly.sum(axis=0) - over[-1])
    return np.stack([*over, *under[::-1]])


def _measures(
    counts: np.ndarray, bootstrap: PatientBootstrap, prevalence: float | None
) -> Iterator[tuple[str, np.ndarray, np.ndarray, np.ndarray, np.ndarray]]:
    """Each of `MEASURES` of some thresholds.

    Args:
        counts: see `_counts`.
        bootstrap: of the same patients.
        prevalence: see `measures_of`.

    Yields:
        Name; values (T,); values under each draw (T, R); patients whose share it is, int (T,); and
        the values once more where they are proportions of images, else NaN.
    """
    values = measures_of(counts.sum(axis=2).astype(float), prevalence)
    drawn = measures_of(bootstrap.totals(counts), prevalence)
    true, false, spared, missed = counts > 0  # (T, U): whether a patient has such an image
    ill = true | missed
    among = {"sensitivity": ill, "specificity": false | spared, "f1": ill}
    among |= {"ppv": true | false, "npv": spared | missed}
    for measure, value in values.items():
        by_bayes = prevalence is not None and measure in ("ppv", "npv")
        share = np.full_like(value, np.nan) if by_bayes else value
        yield measure, value, drawn[measure], among[measure].sum(axis=1), share


def measures_of(counts: np.ndarray, prevalence: float | None) -> dict[str, np.ndarray]:
    """Each of `MEASURES`, float64 (...).

    Args:
        counts: true and false positives, true and false negatives, (4, ...).
        prevalence: for which PPV and NPV are given, by Bayes' rule; None for the images' own.
    """
    true, false, spared, missed = counts
    sensitivity, specificity = _share(true, missed), _share(spared, false)
    f1 = _share(2 * true, false + missed)
    if prevalence is not None:  # shares of all images, were so many of them positive
        true, missed = prevalence * sensitivity, prevalence * (1 - sensitivity)
        spared, false = (1 - prevalence) * specificity, (1 - prevalence) * (1 - specificity)
    values = (sensitivity, specificity, _share(true, false), _share(spared, missed), f1)
    return dict(zip(MEASURES, values, strict=True))


def _share(part: np.ndarray, rest: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / (part + rest))
