"""What the lessons compute: on drawn patients, with the loaded network. No visitor's data."""

from typing import Any

import numpy as np

from chexnet.evaluation.twins import SEED as TWINS_SEED
from chexnet.evaluation.twins import changed_pixels, touched_cells
from chexnet.inference.prediction import ModelInput, index_of
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, spoken
from chexnet.phantom.draw import Phantom, draw_phantom
from chexnet.phantom.patients import person, visits
from demo.answer import floats, preview
from demo.classroom.draw import boxes_of
from demo.classroom.pool import radiograph_of
from demo.classroom.severity import naming_curve
from demo.examples import SEED as EXAMPLES_SEED
from demo.examples import Example
from demo.pictures import data_url, png

SEED = 995
"""Of the drawn patients; the starter weights were trained on phantoms of other seeds."""
PATIENTS = ((251, "Mass"), (201, "Hernia"), (376, "Pneumothorax"))
"""Drawn patients, each with the finding to look at first: it grows, comes, and stays."""
TWINS = ("Mass", "Nodule", "Effusion", "Hernia", "Cardiomegaly")
"""Findings that are drawn on one chest: a large one and a small one, one at the edge, one whose
score does not follow its severity, and one that moves an organ."""
TWIN = 0
"""Whose chest it is, of `chexnet.evaluation.twins`."""
STEPS = (0.0, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0)
"""Severities in which a finding is drawn there; 0 is the chest without it."""
FAINT = 120
"""Drawn patients of the curve of severity; half a minute on two cores."""
REMEMBERED = 1400
"""Drawn patients of the memory that reads no pixel; their labels alone take under a second."""
HELD_OUT = 0.2
SIZE, SHOWN = 512, 192
"""Pixels a side: as the network is shown a phantom, and as the page is."""


def split_content() -> dict[str, Any]:
    """Labels of many drawn patients, for the memory that reads no pixel.

    Returns:
        `findings`; `patients`, the patient of each image; `labels`, an image's findings as one
        number (bit i: finding i); `held`, 1 where a random split by image holds the image out;
        `order`, a number in [0, 1) a patient, by which the page moves patients to both sides;
        `people`, the drawn patients that can be looked at.
    """
    random = np.random.default_rng(SEED)
    owners, labels = [], []
    for patient in range(REMEMBERED):
        for visit in visits(SEED, patient):
            owners.append(patient)
            labels.append(sum(1 << FINDINGS.index(name) for name in visit.findings))
    return {
        "findings": list(FINDINGS),
        "patients": owners,
        "labels": labels,
        "held": (random.random(len(owners)) < HELD_OUT).astype(int).tolist(),
        "order": random.random(REMEMBERED).round(6).tolist(),
        "people": [_person(patient) for patient, _ in PATIENTS],
    }


def _person(patient: int) -> dict[str, Any]:
    who = person(SEED, patient)
    return {"sex": "woman" if who.sex == "F" else "man", "age": who.age, "visits": who.visits}


def patient_content(predictor: Predictor, number: int) -> dict[str, Any]:
    """All visits of one of the drawn patients, with the network's answers.

    Args:
        predictor: the network.
        number: place in `PATIENTS`.
    """
    patient, first = PATIENTS[number]
    shown = [name for name in predictor.classes if name in FINDINGS]
    rows = []
    for visit in visits(SEED, patient):
        drawn = draw_phantom(SEED, patient, visit.follow_up, size=SIZE)
        read = _read(predictor, drawn)
        [prediction] = predictor.predict([read])
        rows.append(
            {
                "picture": data_url(png(read.radiograph.reduced(SHOWN).as_uint8())),
                "age": visit.age,
                "view": visit.view,
                "drawn": list(drawn.findings),
                "probability": {name: prediction.probabilities[name] for name in shown},
            }
        )
    return {
        "visits": rows,
        "findings": shown,
        "titles": {name: spoken(name) for name in shown},
        "calibrated": bool(predictor.calibrations),
        "threshold": {name: predictor.thresholds[name] for name in shown},
        "first": first if first in shown else shown[0],
    }


def twin_content(predictor: Predictor, name: str) -> dict[str, Any]:
    """One drawn chest without and with a finding, and what the network makes of both.

    Args:
        predictor: the network.
        name: the finding, of `TWINS`.

    Returns:
        The steps, the chest without the finding first: `severities`, `probability`, `logit`,
        `touched` (numbers of the cells in which the drawing changed by more than three grey
        levels); `maps`, base64 of float32 (steps, h, w), signed, in logits; `cells`, h and w;
        `pictures`, previews of what the network saw: the first, and of each other its difference
        to the first modulo 256, which is nearly empty.

    Raises:
        ConfigError: the network does not know the finding.
    """
    index = index_of(predictor.classes, name)
    reads = [
        _read(
            predictor,
            draw_phantom(TWINS_SEED, TWIN, 0, size=SIZE, findings={name: step} if step else {}),
        )
        for step in STEPS
    ]
    answers = predictor.predict(reads)
    base = reads[0].pixels
    maps = np.stack([answer.contributions[index] for answer in answers])
    touched = [touched_cells(changed_pixels(base, r.pixels), maps.shape[1:]) for r in reads]
    return {
        "finding": name,
        "title": spoken(name),
        "calibrated": bool(predictor.calibrations),
        "threshold": predictor.thresholds[name],
        "severities": list(STEPS),
        "probability": [answer.probabilities[name] for answer in answers],
        "logit": [answer.logits[name] for answer in answers],
        "touched": [np.flatnonzero(cells).tolist() for cells in touched],
        "maps": floats(maps),
        "cells": list(maps.shape[1:]),
        "pictures": [
            preview(radiograph_of(base)),
            *(preview(radiograph_of(read.pixels - base)) for read in reads[1:]),
        ],
    }


def severity_content(predictor: Predictor) -> dict[str, Any]:
    """The network's chance of naming a drawn finding at the page's threshold, by its severity."""
    known = [n for n in predictor.classes if n in FINDINGS and predictor.thresholds[n] is not None]
    points = []
    for patient in range(FAINT):
        drawn = draw_phantom(SEED, patient, 0, size=SIZE)
        [answer] = predictor.predict([_read(predictor, drawn)])
        for name in known:
            named = answer.probabilities[name] >= (predictor.thresholds[name] or 0)
            points.append((drawn.findings.get(name, 0.0), float(named)))
    return {"pictures": FAINT, "network": naming_curve(points)}


def _read(predictor: Predictor, drawn: Phantom) -> ModelInput:
    return predictor.read(radiograph_of(drawn.pixels))


def example_boxes(example: Example) -> list[dict[str, Any]]:
    """Where the findings of an example were drawn: left, top, right, bottom in shares of it."""
    # The boxes do not depend on the size; a small picture takes a fifth of the time.
    drawn = draw_phantom(EXAMPLES_SEED, example.patient, 0, size=256, findings=example.findings)
    return [
        {"finding": finding, "box": list(box)}
        for finding, boxes in boxes_of(drawn).items()
        for box in boxes
    ]
