"""What validation chooses, and nothing else does: calibration and thresholds.

A class's logit z becomes slope * z + bias (Platt, "Probabilistic outputs for support vector
machines", 1999), fitted on the validation part. The slope stays above 0, so that no order changes
and every AUROC stays what it was. A class with few positives there has too few images to estimate a
calibration of: such classes share one, fitted on the answers for all classes together.

Shapes: N images, D classes. Probabilities are float64 in [0, 1], targets 0 or 1.
"""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
from scipy.special import expit, logit

from chexnet.evaluation.intervals import Interval, PatientBootstrap, interval_of
from chexnet.evaluation.metrics import BINS, nan_where_zero, roc
from chexnet.evaluation.scores import UNKNOWN, Scores, labelled_only
from chexnet.metadata import Metadata

MIN_POSITIVES = 20
"""Positive (and negative) validation images under which a class gets no numbers of its own."""
_EDGE = 1e-15  # probabilities are kept this far from 0 and 1, where a logit has no value


SENSITIVITY = SPECIFICITY = 0.9
RULES = {
    "youden": "greatest sensitivity + specificity",
    "sensitivity": f"sensitivity of at least {SENSITIVITY}, at the greatest specificity",
    "specificity": f"specificity of at least {SPECIFICITY}, at the greatest sensitivity",
    "f1": "greatest F1",
}
"""How a threshold is chosen on validation, by name (Youden, Cancer 1950, for the first)."""


@dataclass(frozen=True)
class Calibration:
    """One class's map from the network's probability to a calibrated one.

    Attributes:
        slope: of the logit, above 0.
        bias: added to it.
        positives: positive validation images of the class.
        pooled: fitted on all classes together, because the class has too few.
    """

    slope: float = 1.0
    bias: float = 0.0
    positives: int = 0
    pooled: bool = False

    def __call__(self, probabilities: np.ndarray) -> np.ndarray:
        """Calibrated probabilities, any shape."""
        kept = np.clip(np.asarray(probabilities, np.float64), _EDGE, 1 - _EDGE)
        return expit(self.slope * logit(kept) + self.bias)


def enough(targets: np.ndarray) -> bool:
    """Whether a class has enough images of both kinds (N,) for numbers of its own."""
    return all(np.count_nonzero(targets == value) >= MIN_POSITIVES for value in (0, 1))


def fit_calibrations(scores: Scores) -> dict[str, Calibration]:
    """Fit every class on validation scores.

    Returns:
        Label to calibration; the identity for all where even the pooled answers are too few.
    """
    whole = Calibration(pooled=True)
    if enough(scores.targets.ravel()):
        whole = _fit(scores.probabilities.ravel(), scores.targets.ravel(), pooled=True)
    calibrations = {}
    for name, given, truth in scores.columns():
        positives = int((truth == 1).sum())
        calibrations[name] = (
            _fit(given, truth)
            if enough(truth)
            else Calibration(whole.slope, whole.bias, positives, pooled=True)
        )
    return calibrations


def calibrate(scores: Scores, calibrations: Mapping[str, Calibration]) -> Scores:
    """The same scores with calibrated probabilities; a class without a calibration stays."""
    columns = [
        calibrations[name](given) if name in calibrations else given
        for name, given, _ in scores.columns()
    ]
    return replace(scores, probabilities=np.stack(columns, axis=1))


def error_intervals(
    probabilities: np.ndarray, targets: np.ndarray, bootstrap: PatientBootstrap
) -> tuple[Interval, Interval]:
    """95 % intervals of the expected calibration error and of the Brier score.

    The bins are those of the data in every draw. As the error is a sum of distances, it is a little
    greater in a draw than in the data.

    Args:
        probabilities: (N,).
        targets: (N,).
        bootstrap: of these images' patients.
    """
    labelled = targets != UNKNOWN
    order = np.argsort(probabilities, kind="stable")
    order = order[labelled[order]]
    place = np.full(len(labelled), BINS)  # in no bin
    for number, part in enumerate(np.array_split(order, BINS)):
        place[part] = number
    inside = place == np.arange(BINS)[:, None]
    distance = (probabilities - targets) * inside
    squares = (probabilities - targets) ** 2 * labelled
    counts = np.concatenate([distance, squares[None], labelled[None].astype(float)])
    drawn = bootstrap.totals(bootstrap.by_patient(counts))
    error = nan_where_zero(np.abs(drawn[:BINS]).sum(axis=0), drawn[-1])
    score = nan_where_zero(drawn[BINS], drawn[-1])
    return interval_of(error, bootstrap.units), interval_of(score, bootstrap.units)


def _fit(probabilities: np.ndarray, targets: np.ndarray, *, pooled: bool = False) -> Calibration:
    # Imported here: it takes half a second, and whoever predicts fits nothing.
    from scipy.optimize import minimize

    probabilities, targets = labelled_only(probabilities, targets=targets)
    logits = logit(np.clip(probabilities, _EDGE, 1 - _EDGE))
    positives = int(targets.sum())
    # Platt's targets, a little inside 0 and 1: separable answers would drive the slope to infinity.
    wanted = np.where(
        targets == 1, (positives + 1) / (positives + 2), 1 / (len(targets) - positives + 2)
    )

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        slope, bias = np.exp(parameters[0]), parameters[1]
        z = slope * logits + bias
        value = np.mean(np.logaddexp(0, z) - wanted * z)
        error = (expit(z) - wanted) / len(z)
        return value, np.array([slope * (error @ logits), error.sum()])

    slope, bias = minimize(
        loss, np.zeros(2), jac=True, method="L-BFGS-B", bounds=[(-4, 4), (None, None)]
    ).x
    return Calibration(float(np.exp(slope)), float(bias), positives, pooled)


def choose_thresholds(scores: Scores) -> dict[str, dict[str, float] | None]:
    """The threshold of each rule for each class, from validation scores.

    A probability reaches a threshold when it is at least as great.

    Returns:
        Label to rule to threshold; None for a class with too few images, see `enough`.
    """
    return {
        name: _thresholds(given, truth) if enough(truth) else None
        for name, given, truth in scores.columns()
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
            "calibration": {name: asdict(fit) for name, fit in self.calibrations.items()},
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
        {name: Calibration(**fit) for name, fit in metadata.validation["calibration"].items()},
        metadata.validation["thresholds"],
        f"{images:,} validation images, when the weights were written",
    )
