"""Probabilities that mean what they say: Platt scaling, and how far off they are.

A class's logit z becomes slope * z + bias (Platt, "Probabilistic outputs for support vector
machines", 1999), fitted on the validation part. The slope stays above 0, so that no order changes
and every AUROC stays what it was. A class with few positives there would fit an accident: such
classes share one calibration, fitted on the answers for all classes together.

Shapes: N images, D classes. Probabilities are float64 in [0, 1], targets 0 or 1.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from scipy.special import expit, logit

from chexnet.evaluation.bootstrap import Interval, PatientBootstrap
from chexnet.evaluation.metrics import UNKNOWN, Scores, labelled_only
from chexnet.evaluation.weighted import nan_where_zero

MIN_POSITIVES = 20
"""Positive (and negative) validation images under which a class gets no numbers of its own."""
BINS = 15
_EDGE = 1e-15  # probabilities are kept this far from 0 and 1, where a logit has no value


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
    found = {}
    for name, given, truth in zip(
        scores.classes, scores.probabilities.T, scores.targets.T, strict=True
    ):
        positives = int((truth == 1).sum())
        found[name] = (
            _fit(given, truth)
            if enough(truth)
            else Calibration(whole.slope, whole.bias, positives, pooled=True)
        )
    return found


def calibrate(scores: Scores, calibrations: Mapping[str, Calibration]) -> Scores:
    """The same scores with calibrated probabilities; a class without a calibration stays."""
    columns = [
        calibrations.get(name, Calibration())(given) if name in calibrations else given
        for name, given in zip(scores.classes, scores.probabilities.T, strict=True)
    ]
    return Scores(
        scores.images, scores.patients, scores.classes, np.stack(columns, axis=1), scores.targets
    )


def expected_calibration_error(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """ECE over bins of equal mass (Nguyen and O'Connor, EMNLP 2015), in [0, 1].

    The mean over images of |mean probability - share of positives| of the image's bin. Bins of
    equal width would put nearly all images of a rare finding into the first one. NaN where nothing
    is labelled.
    """
    bins = reliability(probabilities, targets)
    if not len(bins.count):
        return float("nan")
    return float(np.average(np.abs(bins.probability - bins.observed), weights=bins.count))


def brier(probabilities: np.ndarray, targets: np.ndarray) -> float:
    """Mean squared difference of probability and truth (Brier 1950), in [0, 1]; or NaN."""
    probabilities, targets = labelled_only(probabilities, targets=targets)
    return float(np.mean((probabilities - targets) ** 2)) if len(targets) else float("nan")


@dataclass(frozen=True)
class Reliability:
    """Bins of equal mass, each float or int (bins,).

    Attributes:
        probability: mean probability.
        observed: share of positives.
        count: images.
    """

    probability: np.ndarray
    observed: np.ndarray
    count: np.ndarray


def reliability(probabilities: np.ndarray, targets: np.ndarray, bins: int = BINS) -> Reliability:
    """Sort labelled images by probability into bins of (nearly) equal count; no bin without any."""
    probabilities, targets = labelled_only(probabilities, targets=targets)
    order = np.argsort(probabilities, kind="stable")
    parts = [part for part in np.array_split(order, bins) if len(part)]
    return Reliability(
        np.array([probabilities[part].mean() for part in parts]),
        np.array([targets[part].mean() for part in parts]),
        np.array([len(part) for part in parts]),
    )


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
    found = bootstrap.intervals(
        counts,
        {
            "error": lambda drawn: nan_where_zero(np.abs(drawn[:BINS]).sum(axis=0), drawn[-1]),
            "brier": lambda drawn: nan_where_zero(drawn[BINS], drawn[-1]),
        },
    )
    return found["error"], found["brier"]


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
