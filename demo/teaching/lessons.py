"""What the lessons compute: on drawn patients, with the loaded network. No visitor's data."""

from typing import Any

import numpy as np

from chexnet.imaging.radiograph import Facts, Radiograph
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, spoken
from chexnet.phantom.draw import draw_phantom
from chexnet.phantom.patients import person, visits
from demo.examples import SEED as EXAMPLES_SEED
from demo.examples import Example
from demo.pictures import data_url, png

SEED = 995
"""Of the drawn patients; the starter weights were trained on phantoms of other seeds."""
PATIENTS = ((251, "Mass"), (201, "Hernia"), (376, "Pneumothorax"))
"""Drawn patients, each with the finding to look at first: it grows, comes, and stays."""
REMEMBERED = 1400
"""Drawn patients of the memory that reads no pixel; their labels alone take under a second."""
HELD_OUT = 0.2
SIZE, SHOWN = 512, 192
"""Pixels a side: as the network is shown a phantom, and as the page is."""
FRAME = 1024
"""Boxes of phantoms are given in a picture of so many pixels a side."""


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
    found = []
    for visit in visits(SEED, patient):
        drawn = draw_phantom(SEED, patient, visit.follow_up, size=SIZE)
        radiograph = Radiograph(drawn.pixels, 0, 255, Facts("PNG", "L", 8))
        [prediction] = predictor.predict([predictor.read(radiograph)])
        found.append(
            {
                "picture": data_url(png(radiograph.reduced(SHOWN).as_uint8())),
                "age": visit.age,
                "view": visit.view,
                "drawn": list(drawn.findings),
                "probability": {name: prediction.probabilities[name] for name in shown},
            }
        )
    return {
        "visits": found,
        "findings": shown,
        "titles": {name: spoken(name) for name in shown},
        "calibrated": bool(predictor.calibrations),
        "threshold": {name: predictor.thresholds[name] for name in shown},
        "first": first if first in shown else shown[0],
    }


def example_boxes(example: Example) -> list[dict[str, Any]]:
    """Where the findings of an example were drawn: left, top, right, bottom in shares of it."""
    # The boxes do not depend on the size; a small picture takes a fifth of the time.
    drawn = draw_phantom(EXAMPLES_SEED, example.patient, 0, size=256, findings=example.findings)
    return [
        {"finding": finding, "box": [value / FRAME for value in (x, y, x + width, y + height)]}
        for finding, (x, y, width, height) in drawn.boxes
    ]
