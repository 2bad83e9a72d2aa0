"""One answer that holds everything that the page can show of a picture.

Page, named API and classroom give the same shape; its JSDoc type is `page/source/answer.js`.

Shapes: D classes, h w cells of a contribution map, H W pixels.
"""

import base64
import zlib
from collections.abc import Mapping
from dataclasses import dataclass, fields
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


@dataclass(frozen=True)
class Result:
    """What the network says of a picture, and what adds up to it.

    Attributes:
        crop: what the network saw: `percent`, and `box` in pixels of the preview.
        cells: h and w of a contribution map.
        classes: D labels, in the order of the maps.
        contributions: base64 of float32 (D, h, w), little-endian, in logits; their sum over the
            cells and `bias` are `logit`.
        mean_contributions: the same, the mean of the validation images; None where it is not known.
        bias, logit, probability: label to value; without calibration a probability is a score.
        threshold: label to threshold, None where none was measured.
        calibrated: whether the values are probabilities.
        thresholds_of: whose thresholds they are; None where there are none.
        calibration: label to slope and bias, of the logit.
        trust: finding to what was measured of heatmaps like this one.
        notes, titles: label to an explanation, and to its name for people.
        findings: the labels that are findings, in the network's order.
        no_finding: the label of a clear chest; None where the network has none.
        first: the most probable finding.
        methods: heatmap methods, the exact one first.
        more_methods: why there are no others; empty where there are.
        top: logits that have the brightest colour on the absolute scale.
    """

    crop: dict[str, Any]
    cells: list[int]
    classes: list[str]
    contributions: str
    mean_contributions: str | None
    bias: Mapping[str, float]
    logit: Mapping[str, float]
    probability: Mapping[str, float]
    threshold: Mapping[str, float | None]
    calibrated: bool
    thresholds_of: str | None
    calibration: dict[str, dict[str, float]]
    trust: dict[str, str]
    notes: dict[str, str]
    titles: dict[str, str]
    findings: list[str]
    no_finding: str | None
    first: str
    methods: list[str]
    more_methods: str
    top: float

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return _plain(self)


@dataclass(frozen=True)
class Answer:
    """An answer about one picture.

    Attributes:
        id: unguessable; tells an answer to this picture from one to another.
        notice: that it is no diagnosis.
        trained_on: `phantoms`, `radiographs` or `both`.
        facts: what was read of the picture, in a line.
        example: whether the picture is one of our examples.
        gate: `fine`, `kind`, `message`, `open` (the result may be seen) and `correctable`.
        preview: the picture for a canvas; see `preview`.
        result: None while the gate objects and the visitor has not gone on: no figure leaves the
            server before.
    """

    id: str
    notice: str
    trained_on: str
    facts: str
    example: bool
    gate: dict[str, Any]
    preview: dict[str, Any] | None
    result: Result | None

    def plain(self) -> dict[str, Any]:
        """Plain values for JSON; the result's fields stand beside the others."""
        found = _plain(self)
        result, picture = found.pop("result"), found.pop("preview")
        found |= {"preview": picture} if picture else {}
        return found | (result.plain() if result else {})


def _plain(one: Any) -> dict[str, Any]:
    return {field.name: getattr(one, field.name) for field in fields(one)}


def answer_of(analysis: Analysis, predictor: Predictor, *, anyway: bool) -> Answer:
    """Everything that the page can show of a picture.

    Args:
        analysis: of the picture; its radiograph is still kept.
        predictor: the network.
        anyway: the visitor asked for the result although the gate objected.
    """
    verdict, radiograph = analysis.verdict, analysis.radiograph
    if radiograph is None:
        raise ValueError("the radiograph of this analysis is no longer kept")
    height, width = radiograph.pixels.shape
    given, result = analysis.prediction, None
    if verdict.fine or anyway:
        values = (given.probabilities, given.logits, given.contributions)
        result = result_of(predictor, *values, (height, width))
    return Answer(
        id=analysis.id,
        notice=NOT_FOR_DIAGNOSIS,
        trained_on=predictor.metadata.trained_on,
        facts=facts_text(analysis),
        example=bool(analysis.example),
        gate={
            "fine": verdict.fine,
            "kind": verdict.kind,
            "message": verdict.message,
            "open": result is not None,
            "correctable": bool(verdict.turns or verdict.inverted),
        },
        preview=preview(radiograph),
        result=result,
    )


def result_of(
    predictor: Predictor,
    probabilities: Mapping[str, float],
    logits: Mapping[str, float],
    contributions: np.ndarray,
    shape: tuple[int, int],
) -> Result:
    """What a network says of a picture of `shape` (height, width); see `Prediction`."""
    about = of_every_picture(predictor)
    preprocessing = predictor.metadata.preprocessing
    height, width = shape
    return Result(
        **about,
        crop={"percent": preprocessing.crop, "box": list(preprocessing.frame(width, height))},
        cells=list(contributions.shape[-2:]),
        contributions=floats(contributions),
        logit=logits,
        probability=probabilities,
        first=max(about["findings"], key=probabilities.__getitem__),
    )


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
        "calibration": {name: {"slope": one.slope, "bias": one.bias} for name, one in fitted},
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


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")
