"""What validation chooses, calibration and thresholds, and what the thresholds do elsewhere.

Shapes: N images. Probabilities are float64 in [0, 1], targets 0 or 1.
"""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chexnet.evaluation.bootstrap import (
    MIN_PATIENTS,
    NO_INTERVAL,
    Interval,
    PatientBootstrap,
    clopper_pearson_extreme,
)
from chexnet.evaluation.calibration import Calibration, calibrate, enough, fit_calibrations
from chexnet.evaluation.metrics import UNKNOWN, Scores, labelled_only, roc
from chexnet.metadata import Metadata

SENSITIVITY = SPECIFICITY = 0.9
RULES = {
    "youden": "greatest sensitivity + specificity",
    "sensitivity": f"sensitivity of at least {SENSITIVITY}, at the greatest specificity",
    "specificity": f"specificity of at least {SPECIFICITY}, at the greatest sensitivity",
    "f1": "greatest F1",
}
"""How a threshold is chosen on validation, by name (Youden, Cancer 1950, for the first)."""
MEASURES = ("sensitivity", "specificity", "ppv", "npv", "f1")


def choose_thresholds(scores: Scores) -> dict[str, dict[str, float] | None]:
    """The threshold of each rule for each class, from validation scores.

    A probability reaches a threshold when it is at least as great.

    Returns:
        Label to rule to threshold; None for a class with too few images, see `enough`.
    """
    return {
        name: _thresholds(given, truth) if enough(truth) else None
        for name, given, truth in zip(
            scores.classes, scores.probabilities.T, scores.targets.T, strict=True
        )
    }


def _thresholds(given: np.ndarray, truth: np.ndarray) -> dict[str, float]:
    given, truth = labelled_only(given, targets=truth)
    curve = roc(given, truth)
    if curve is None:
        raise ValueError("thresholds are chosen on images with and without the finding")
    fpr, tpr, cuts = curve
    positives = truth.sum()
    true, false = tpr * positives, fpr * (len(truth) - positives)
    f1 = 2 * true / (true + false + positives)
    best = {
        "youden": np.argmax(tpr - fpr),
        "sensitivity": np.argmax(tpr >= SENSITIVITY),
        "specificity": np.flatnonzero(1 - fpr >= SPECIFICITY)[-1],
        "f1": np.argmax(f1),
    }
    return {rule: _between(cuts, int(index)) for rule, index in best.items()}


def _between(cuts: np.ndarray, index: int) -> float:
    # Halfway to the next lower score, so that a threshold is not the value of one image.
    lower = cuts[index + 1] if index + 1 < len(cuts) else 0.0
    return float((min(cuts[index], 1.0) + lower) / 2)


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold does on some images; NaN where nothing can be said.

    Attributes:
        threshold: a probability.
        values: `MEASURES` to value in [0, 1].
        intervals: the same to 95 % intervals by patient bootstrap.
    """

    threshold: float
    values: dict[str, float]
    intervals: dict[str, Interval]


def operating_points(
    scores: Scores,
    thresholds: Mapping[str, Mapping[str, float] | None],
    rule: str = "youden",
    *,
    prevalence: Mapping[str, float] | None = None,
    bootstrap: PatientBootstrap | None = None,
) -> dict[str, OperatingPoint]:
    """Score the thresholds on images that did not choose them.

    Args:
        scores: of these images, on the scale that the thresholds are of.
        thresholds: see `choose_thresholds`; classes without one are left out.
        rule: a name of `RULES`.
        prevalence: label to share in (0, 1) for which PPV and NPV are given instead of that of
            these images, by Bayes' rule from sensitivity and specificity.
        bootstrap: of these images' patients; None for no intervals.
    """
    found = {}
    owners = np.array(scores.patients)
    for name, given, truth in zip(
        scores.classes, scores.probabilities.T, scores.targets.T, strict=True
    ):
        chosen = thresholds.get(name)
        if not chosen:
            continue
        reached = given >= chosen[rule]
        ill, well = truth == 1, truth == 0  # neither, where the table does not say
        counts = np.stack([reached & ill, reached & well, ~reached & well, ~reached & ill])
        over, under = counts[0] | counts[1], counts[2] | counts[3]
        share = (prevalence or {}).get(name)
        of_share = formulas(share)
        if (truth == UNKNOWN).any() and not (ill.any() and well.any()):
            # Whether an image is labelled hangs on its label: only one kind of them was counted.
            of_share |= {name: _nothing for name in ("ppv", "npv", "f1")}
        values = {
            m: float(formula(counts.sum(axis=1).astype(float))) for m, formula in of_share.items()
        }
        intervals = {}
        if bootstrap:
            # Whose share each figure is: the ill, the well, those over and those under it.
            among = {
                "sensitivity": ill,
                "specificity": well,
                "ppv": over,
                "npv": under,
                "f1": ill,
            }
            patients = {m: len(set(owners[mask])) for m, mask in among.items()}
            intervals = {
                m: _interval_or_none(
                    interval, values[m], patients[m], share is None or m not in ("ppv", "npv")
                )
                for m, interval in bootstrap.intervals(counts, of_share).items()
            }
        found[name] = OperatingPoint(chosen[rule], values, intervals)
    return found


def _nothing(counts: np.ndarray) -> np.ndarray:
    return np.full(counts.shape[1:], np.nan)


def _interval_or_none(interval: Interval, value: float, patients: int, plain: bool) -> Interval:
    """An interval that keeps its doubt: of few patients none, of all or nothing the exact one."""
    if patients < MIN_PATIENTS:
        return NO_INTERVAL
    if interval.low < interval.high:
        return interval
    return (
        clopper_pearson_extreme(value == 1, patients) if plain and value in (0, 1) else NO_INTERVAL
    )


def formulas(prevalence: float | None) -> dict[str, Callable[[np.ndarray], np.ndarray]]:
    """Each of `MEASURES` of counts (4, ...): true and false positives, true and false negatives.

    Args:
        prevalence: for which PPV and NPV are given, by Bayes' rule; None for the images' own.
    """

    def sensitivity(c: np.ndarray) -> np.ndarray:
        return _share(c[0], c[3])

    def specificity(c: np.ndarray) -> np.ndarray:
        return _share(c[2], c[1])

    def ppv(c: np.ndarray) -> np.ndarray:
        if prevalence is None:
            return _share(c[0], c[1])
        true, false = prevalence * sensitivity(c), (1 - prevalence) * (1 - specificity(c))
        return _share(true, false)

    def npv(c: np.ndarray) -> np.ndarray:
        if prevalence is None:
            return _share(c[2], c[3])
        true, false = (1 - prevalence) * specificity(c), prevalence * (1 - sensitivity(c))
        return _share(true, false)

    def f1(c: np.ndarray) -> np.ndarray:
        return _share(2 * c[0], c[1] + c[3])

    return {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": ppv,
        "npv": npv,
        "f1": f1,
    }


def _share(part: np.ndarray, rest: np.ndarray) -> np.ndarray:
    with np.errstate(invalid="ignore", divide="ignore"):
        return np.asarray(part / (part + rest))


@dataclass(frozen=True)
class ValidationChoices:
    """What was chosen on validation images, and nowhere else.

    Attributes:
        calibrations: label to calibration.
        thresholds: label to rule to calibrated probability, None for a class with too few images.
        source: where it comes from, for a reader.
    """

    calibrations: Mapping[str, Calibration]
    thresholds: Mapping[str, Mapping[str, float] | None]
    source: str

    def as_metadata(self) -> dict[str, Any]:
        """Plain values for `Metadata.validation`; `stored` reads them."""
        return {
            "calibration": {name: asdict(one) for name, one in self.calibrations.items()},
            "thresholds": self.thresholds,
        }


def fit_on(validation: Scores, source: str) -> ValidationChoices:
    """Calibrate and choose thresholds on validation scores."""
    calibrations = fit_calibrations(validation)
    thresholds = choose_thresholds(calibrate(validation, calibrations))
    return ValidationChoices(calibrations, thresholds, source)


def validation_choices(metadata: Metadata) -> ValidationChoices | None:
    """What a weights file carries of its validation; None in one that carries nothing."""
    if "thresholds" not in metadata.validation:
        return None
    images = metadata.validation["figures"]["images"]
    return ValidationChoices(
        {name: Calibration(**one) for name, one in metadata.validation["calibration"].items()},
        metadata.validation["thresholds"],
        f"{images:,} validation images, when the weights were written",
    )
