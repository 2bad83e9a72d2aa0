"""The network's own curves, as the tab "Thresholds" and a lesson show them.

Shapes: N images, T thresholds.
"""

from collections.abc import Iterator
from typing import Any

import numpy as np

from chexnet.evaluation.calibration import calibrate
from chexnet.evaluation.intervals import PatientBootstrap
from chexnet.evaluation.metrics import WeightedAuroc, reliability
from chexnet.evaluation.operating import ThresholdCurve, stored_curve, threshold_curve
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.validation import ValidationScores, read_validation_scores
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, spoken
from demo.answer import packed

INTERVALS = ("sensitivity", "specificity", "ppv", "npv", "f1", "ppv_even", "npv_even")
"""In this order in the packed array."""
NO_VALUE = 65535
BINS = 10
"""Bins of a calibration curve; more would hold too few images each."""
KINDS = (
    ("radiographs", "real radiographs", False),
    ("phantoms", "drawn phantoms", True),
)


def threshold_content(predictor: Predictor) -> dict[str, Any]:
    """Curves, counts and intervals of every finding, as plain values for JSON.

    Real and drawn images are never mixed: a figure belongs to the images that it was measured on.
    """
    shown = [name for name in predictor.classes if name in FINDINGS]
    stored = read_validation_scores(predictor.metadata)
    groups = _groups(stored, predictor) if stored else _older(predictor)
    return {
        "findings": shown,
        "calibrated": bool(predictor.calibrations),
        "titles": {name: spoken(name) for name in shown},
        "measures": list(INTERVALS),
        "groups": [
            group | {"curves": {n: curve for n, curve in group["curves"].items() if n in shown}}
            for group in groups
        ],
    }


def _groups(stored: ValidationScores, predictor: Predictor) -> list[dict[str, Any]]:
    groups = []
    for about, rows in _kinds(stored):
        scores = calibrate(stored.scores.take(rows), predictor.calibrations)
        bootstrap = PatientBootstrap(scores.patients)
        curves = {}
        for name, given, truth in _columns(scores):
            own = predictor.thresholds.get(name)
            curve = threshold_curve(given, truth, bootstrap, also=[own] if own else [])
            ranked = WeightedAuroc(given, truth, bootstrap.unit, bootstrap.units)
            auroc = float(ranked(np.ones((bootstrap.units, 1), np.int32))[0])
            curves[name] = _plain(curve, own, None if np.isnan(auroc) else auroc)
        groups.append(about | {"curves": curves, "patients": bootstrap.units})
    return groups


def _kinds(stored: ValidationScores) -> Iterator[tuple[dict[str, Any], np.ndarray]]:
    """What each kind of images is called and how many there are, and their rows."""
    for kind, title, drawn in KINDS:
        rows = np.flatnonzero(stored.drawn == drawn)
        if len(rows):
            yield {"kind": kind, "title": title, "images": len(rows)}, rows


def _older(predictor: Predictor) -> list[dict[str, Any]]:
    """The curve of a weights file that kept 101 points of it, without patients."""
    validation = predictor.metadata.validation
    figures = validation.get("figures")
    if not figures:
        return []
    curves = {
        name: _plain(
            stored_curve(curve, figures["classes"][name]["positives"], figures["images"]),
            # Chosen on other images than this curve is of, it would be no point of it.
            None if validation.get("thresholds_source") else predictor.thresholds.get(name),
            figures["classes"][name]["auroc"],
        )
        for name, curve in validation.get("operating_curve", {}).items()
        if curve
    }
    counts = {"images": figures["images"], "patients": figures["patients"]}
    return [{"kind": "images", "title": "validation images", "curves": curves} | counts]


def _columns(scores: Scores) -> list[tuple[str, np.ndarray, np.ndarray]]:
    return list(zip(scores.classes, scores.probabilities.T, scores.targets.T, strict=True))


def _plain(curve: ThresholdCurve, own: float | None, auroc: float | None) -> dict[str, Any]:
    return {
        "thresholds": curve.thresholds.tolist(),
        "true": curve.true_positives.tolist(),
        "false": curve.false_positives.tolist(),
        "positives": curve.positives,
        "negatives": curve.negatives,
        "patients": curve.patients,
        "intervals": _packed_intervals(curve),
        "own": own,
        "auroc": auroc,
    }


def _packed_intervals(curve: ThresholdCurve) -> str | None:
    """Base64 of uint16 (measures, T, 2), in 65,534ths; None where there are none."""
    if not curve.intervals:
        return None
    values = np.stack([curve.intervals[name] for name in INTERVALS])
    whole = np.where(np.isnan(values), NO_VALUE, np.round(values * (NO_VALUE - 1)))
    return packed(whole.astype("<u2"))


def calibration_content(predictor: Predictor) -> list[dict[str, Any]]:
    """Calibration curves: for each group of images, each finding and all of them together."""
    stored = read_validation_scores(predictor.metadata)
    if not stored:
        return []
    groups = []
    for about, rows in _kinds(stored):
        raw = stored.scores.take(rows, [n for n in stored.scores.classes if n in FINDINGS])
        after = calibrate(raw, predictor.calibrations)
        parts = {name: (given, truth) for name, given, truth in _columns(after)}
        parts["all"] = after.probabilities.ravel(), after.targets.ravel()
        groups.append(about | {"bins": {name: _bins(*pair) for name, pair in parts.items()}})
    return groups


def _bins(probabilities: np.ndarray, targets: np.ndarray) -> list[list[float]]:
    """Mean probability, share of positives, and images of each bin."""
    bins = reliability(probabilities, targets, BINS)
    columns = zip(bins.probability.tolist(), bins.observed.tolist(), bins.count, strict=True)
    return [[given, observed, int(count)] for given, observed, count in columns]
