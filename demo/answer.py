"""One answer that holds everything that the page can show of a picture, as plain values for JSON.

Page, named API and classroom give the same shape, and so does a browser that answers by itself:
`Answer` and `Result` of `page/source/answer.js`, which says what each field holds.

Shapes: D classes, h w cells of a contribution map, H W pixels.
"""

import base64
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from chexnet.imaging.radiograph import Radiograph
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, NO_FINDING, NOTES, spoken
from chexnet.metadata import Metadata
from chexnet.overlay import TOP
from demo.kept import Analysis
from demo.pictures import png

NOT_FOR_DIAGNOSIS = (
    "Research and education only. Not for diagnosis: never decide anything about a patient with it."
)


def answer_of(analysis: Analysis, predictor: Predictor, *, anyway: bool) -> dict[str, Any]:
    """Everything that the page can show of a picture, `Answer` of answer.js.

    Args:
        analysis: of the picture; its radiograph is still kept.
        predictor: the network.
        anyway: the visitor asked for the result although the gate objected; else no figure leaves
            the server then.
    """
    verdict, radiograph = analysis.verdict, analysis.radiograph
    if radiograph is None:
        raise ValueError("the radiograph of this analysis is no longer kept")
    opened = verdict.fine or anyway
    head = {
        "id": analysis.id,
        "notice": NOT_FOR_DIAGNOSIS,
        "trained_on": predictor.metadata.trained_on,
        "facts": facts_text(analysis),
        "example": bool(analysis.example),
        "gate": {
            "fine": verdict.fine,
            "kind": verdict.kind,
            "message": verdict.message,
            "open": opened,
            "correctable": bool(verdict.turns or verdict.inverted),
        },
        "preview": preview(radiograph),
    }
    given = analysis.prediction
    values = (given.probabilities, given.logits, given.contributions)
    return head | (result_of(predictor, *values, radiograph.pixels.shape) if opened else {})


def result_of(
    predictor: Predictor,
    probabilities: Mapping[str, float],
    logits: Mapping[str, float],
    contributions: np.ndarray,
    shape: tuple[int, ...],
) -> dict[str, Any]:
    """What a network says of a picture of `shape` (height, width), `Result` of answer.js.

    The other arguments are those of `Prediction`.
    """
    about = of_every_picture(predictor)
    preprocessing = predictor.metadata.preprocessing
    height, width = shape
    return about | {
        "crop": {"percent": preprocessing.crop, "box": list(preprocessing.frame(width, height))},
        "cells": list(contributions.shape[-2:]),
        "contributions": floats(contributions),
        "logit": logits,
        "probability": probabilities,
        "first": max(about["findings"], key=probabilities.__getitem__),
    }


def of_every_picture(predictor: Predictor) -> dict[str, Any]:
    """The fields of `Result` that are the same for every picture."""
    metadata, classes = predictor.metadata, predictor.classes
    mean, fitted = metadata.mean_contributions, predictor.calibrations.items()
    return {
        "classes": classes,
        "mean_contributions": None if mean is None else floats(np.asarray(mean)),
        "bias": predictor.bias,
        "threshold": predictor.thresholds,
        "calibrated": bool(predictor.calibrations),
        "thresholds_of": predictor.thresholds_of,
        "calibration": {name: {"slope": line.slope, "bias": line.bias} for name, line in fitted},
        "trust": trust_texts(metadata, classes),
        "notes": {name: NOTES[name] for name in classes},
        "titles": {name: spoken(name) for name in classes},
        "findings": [name for name in classes if name in FINDINGS],
        "no_finding": NO_FINDING if NO_FINDING in classes else None,
        "methods": list(predictor.methods),
        "more_methods": predictor.more_methods,
        "top": TOP,
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
        share, of = (own, "") if own else (measured["all"], ", all findings together")
        interval = _interval_percent(share)
        sentences.append(
            f"On {title}{of}: hottest point in the box {share['peak_in_box']:.0%}{interval} of "
            f"{share['count']:,}; the average box's centre {share['average_box']:.0%}."
        )
    return " ".join(sentences)


def _interval_percent(share: dict[str, Any]) -> str:
    """The 95 % interval of a share: ` (24-52 %)`, empty where there is none."""
    interval = share.get("interval")
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


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
