"""A served demo's cases as a test knows them: which picture is which, and what must not be told."""

import base64
import json
import re
from io import BytesIO

import numpy as np
from PIL import Image, PngImagePlugin

from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS
from demo.classroom.cases import Case
from demo.classroom.draw import draw
from demo.classroom.pool import FIRST, case_of, radiograph_of


def known(predictor: Predictor) -> dict[bytes, Case]:
    """Every case of the first session by its pixels, drawn and answered anew by a test."""
    drawn = [draw(recipe) for recipe in FIRST]
    answers = predictor.predict([predictor.read(radiograph_of(chest.pixels)) for chest in drawn])
    return {
        chest.pixels.tobytes(): case_of(chest, answer, predictor)
        for chest, answer in zip(drawn, answers, strict=True)
    }


def case_in(cases: dict[bytes, Case], content: dict) -> Case:
    """The case whose picture a response holds."""
    picture = Image.open(BytesIO(base64.b64decode(content["preview"]["data"])))
    assert isinstance(picture, PngImagePlugin.PngImageFile)
    assert picture.info == {}, "a text in the file"
    return cases[np.asarray(picture).tobytes()]


def values(case: Case) -> set[str]:
    """The numbers of a case's truth and of the network's answer, as a response would hold them."""
    numbers = [*case.network.probabilities.values(), *case.network.logits.values()]
    numbers += [side for some in case.truth.boxes.values() for box in some for side in box]
    numbers += [value for value in case.truth.findings.values() if value]
    return {f"{value:.4f}" for value in numbers} | {repr(value) for value in numbers}


def leaks(text: str, case: Case) -> list[str]:
    """What of a case's truth or of the network's answer stands in a response."""
    _, seed, patient, _ = case.key.split("-")
    data = json.loads(text) if text.startswith("{") else None
    secret = {*FINDINGS, *(name.replace("_", " ") for name in FINDINGS), case.key, "phantom"}
    secret |= {"severity", "truth", "network", "probabilit", "boxes", "findings", "Finding"}
    secret |= {f"{90_000_001 + 10_000 * int(seed) + int(patient)}", f'"{patient}"'}
    secret |= values(case)
    picture = data and find(data, "preview")
    bare = text.replace(picture["data"], "") if picture else text  # base64 may spell anything
    whole = [patient] if re.search(rf"(?<![\d.]){patient}(?![\d.])", bare) else []
    return sorted([*whole, *(word for word in secret if word in bare)])


def find(data: object, name: str) -> dict | None:
    """The first value of that name, however deep; strings that hold JSON are opened."""
    if isinstance(data, str) and data.startswith("{"):
        data = json.loads(data)
    if isinstance(data, dict):
        if name in data:
            return data[name]
        data = list(data.values())
    if isinstance(data, list):
        for item in data:
            if (value := find(item, name)) is not None:
                return value
    return None
