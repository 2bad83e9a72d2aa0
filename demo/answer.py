"""One answer that holds everything that the page can show of a picture.

Shapes: D classes, h w cells of a contribution map, H W pixels.
"""

import base64
import zlib
from typing import Any

import numpy as np

from chexnet.explain import CLOSED_FORM
from chexnet.imaging.radiograph import Radiograph
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, NO_FINDING, NOTES, spoken
from chexnet.metadata import Metadata
from chexnet.overlay import TOP
from demo.pictures import data_url, png
from demo.service import Analysis

NOT_FOR_DIAGNOSIS = (
    "Research and education only. Not for diagnosis: never decide anything about a patient with it."
)


def page_answer(analysis: Analysis, predictor: Predictor, *, anyway: bool) -> dict[str, Any]:
    """Everything that the page can show of a picture, as plain values for JSON.

    While the gate objects and the visitor has not gone on, it holds the picture and the verdict
    alone: no figure leaves the server before.

    Args:
        analysis: of the picture; its radiograph is still kept.
        predictor: the network.
        anyway: the visitor asked for the result although the gate objected.
    """
    verdict, radiograph = analysis.verdict, analysis.radiograph
    if radiograph is None:
        raise ValueError("the radiograph of this analysis is no longer kept")
    found = {
        "id": analysis.id,
        "notice": NOT_FOR_DIAGNOSIS,
        "facts": facts_text(analysis),
        "example": bool(analysis.example),
        "trained_on": predictor.metadata.trained_on,
        "gate": {
            "fine": verdict.fine,
            "kind": verdict.kind,
            "message": verdict.message,
            "open": verdict.fine or anyway,
            "correctable": bool(verdict.turns or verdict.inverted),
        },
        "preview": preview(radiograph),
    }
    if not found["gate"]["open"]:
        return found
    height, width = radiograph.pixels.shape
    seen = predictor.metadata.preprocessing
    classes = predictor.classes
    shown = [name for name in classes if name in FINDINGS]
    return found | {
        "crop": {"percent": seen.crop, "box": list(seen.frame(width, height))},
        **evidence(analysis, predictor),
        "notes": {name: NOTES[name] for name in classes},
        "titles": {name: spoken(name) for name in classes},
        "findings": shown,
        "no_finding": NO_FINDING if NO_FINDING in classes else None,
        "first": max(shown, key=analysis.prediction.probabilities.__getitem__),
        "methods": list(predictor.methods),
        "more_methods": predictor.more_methods,
        "top": TOP,
    }


def evidence(analysis: Analysis, predictor: Predictor) -> dict[str, Any]:
    """What adds up to each score: the fields that the page and the named API have in common."""
    prediction, metadata = analysis.prediction, predictor.metadata
    mean = metadata.mean_contributions
    return {
        "cells": list(prediction.contributions.shape[-2:]),
        "classes": predictor.classes,
        "contributions": floats(prediction.contributions),
        "mean_contributions": None if mean is None else floats(np.asarray(mean)),
        "bias": predictor.bias,
        "logit": prediction.logits,
        "probability": prediction.probabilities,
        "threshold": predictor.thresholds,
        "calibrated": bool(predictor.calibrations),
        "thresholds_of": predictor.thresholds_of,
        "calibration": {
            name: {"slope": one.slope, "bias": one.bias}
            for name, one in predictor.calibrations.items()
        },
        "trust": trust_texts(metadata, predictor.classes),
    }


def trust_texts(metadata: Metadata, classes: list[str]) -> dict[str, str]:
    """What was measured of heatmaps like this one, for each finding that has such figures."""
    trust = metadata.trust or {}
    texts = {name: _trust_text(trust, name) for name in classes if name in FINDINGS}
    return {name: text for name, text in texts.items() if text}


def _trust_text(trust: dict[str, Any], name: str) -> str:
    sentences = []
    for kind, title in (("radiographs", "real radiographs"), ("phantoms", "drawn phantoms")):
        measured = trust.get(kind)
        if not measured:
            continue
        own = measured["findings"].get(name)
        one, of = (own, "") if own else (measured["all"], ", all findings together")
        interval = _interval_percent(one)
        sentences.append(
            f"On {title}{of}: hottest point in the box {one['peak_in_box']:.0%}{interval} of "
            f"{one['count']:,}; the average box's centre {one['average_box']:.0%}."
        )
    return " ".join(sentences)


def _interval_percent(one: dict[str, Any]) -> str:
    """The 95 % interval of a share: ` (24-52 %)`, empty where there is none."""
    interval = one.get("interval")
    if not interval or interval["low"] is None:
        return ""
    return f" ({100 * interval['low']:.0f}-{100 * interval['high']:.0f} %)"


def preview(radiograph: Radiograph) -> dict[str, Any]:
    """The picture for a canvas: an 8-bit PNG, or all 16 bits, which a canvas would cut to 8."""
    pixels = radiograph.pixels
    height, width = pixels.shape
    size = {"width": width, "height": height}
    if pixels.dtype == np.uint8:
        return size | {"bits": 8, "encoding": "png", "data": _base64(png(pixels))}
    # Differences along a row compress to half of what the values do.
    raw = pixels.astype("<u2").tobytes()
    return size | {"bits": 16, "encoding": "deflate16", "data": _base64(zlib.compress(raw, 1))}


def floats(values: np.ndarray) -> str:
    """Float32, little-endian, in base64."""
    return packed(np.asarray(values, "<f4"))


def packed(values: np.ndarray) -> str:
    """An array's bytes in base64."""
    return _base64(np.ascontiguousarray(values).tobytes())


def facts_text(analysis: Analysis) -> str:
    """What was read of the picture, in a line."""
    height, width = analysis.shape
    facts = analysis.facts
    parts = [f"Drawn example: {analysis.example}"] if analysis.example else []
    parts += [f"{facts.format}, {width} x {height}, {facts.bits} bit"]
    if facts.bits > 8:
        parts.append("scaled by the range it uses")
    if facts.turned:
        parts.append("turned as the file says")
    if facts.inverted:
        parts.append("bones made bright")
    return ", ".join(parts)


def result(analysis: Analysis, predictor: Predictor) -> dict[str, Any]:
    """The named API's answer as plain values; nothing of it says whose picture it was."""
    prediction, verdict = analysis.prediction, analysis.verdict
    return {
        "notice": NOT_FOR_DIAGNOSIS,
        "trained_on": predictor.metadata.trained_on,
        "probabilities": prediction.probabilities,
        "thresholds": predictor.thresholds,
        "over_threshold": predictor.findings_over_threshold(prediction),
        "gate": {"kind": verdict.kind, "fine": verdict.fine, "message": verdict.message},
        **evidence(analysis, predictor),
    }


def heatmap_result(finding: str, method: str, heat: np.ndarray, overlay: bytes) -> dict[str, Any]:
    """The named API's answer for one heatmap."""
    return {
        "finding": finding,
        "method": method,
        "speaks_for_it": bool(heat.any()),
        "unit": "logits" if method == CLOSED_FORM else "none",
        "heatmap": heat.tolist(),
        "overlay": data_url(overlay),
    }


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
