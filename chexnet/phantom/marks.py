"""Which images are phantoms: a number says so together with a mark that the generator left."""

import json
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from chexnet.phantom.patients import FIRST_NUMBER, LAST_SEED, PATIENTS_PER_SEED, patient_number

MARK = "phantom.json"
"""File in a folder of phantoms, with their parameters."""
TEXT = "phantom boxes"
"""Keyword of the text in a phantom's PNG, before its pixels."""
_HEAD = 4096
"""Bytes in which it stands; the generator writes it at 41."""


def drawn_images(
    root: Path, table: pd.DataFrame, paths: Mapping[str, Path], known: Mapping[str, bool]
) -> dict[str, bool]:
    """Tell phantoms from a hospital's patients with such numbers.

    Args:
        root: the data folder; its own mark holds for the numbers that it names.
        table: `image` and `patient` of each image.
        paths: image to file, whose text is looked for.
        known: image to what a pack says, so that its file is not opened.

    Returns:
        Image to whether it is drawn, of those with a phantom's patient number: no other is.
    """
    numbers = pd.to_numeric(table["patient"], errors="coerce")
    last = patient_number(LAST_SEED, PATIENTS_PER_SEED - 1)
    chosen = numbers.between(FIRST_NUMBER, last)
    ours = _numbers(root / MARK)
    return {
        name: number in ours or (known[name] if name in known else _has_text(paths.get(name)))
        for name, number in zip(table["image"][chosen], numbers[chosen], strict=True)
    }


def _numbers(mark: Path) -> range:
    """The patient numbers of a set; none without its mark."""
    try:
        made = json.loads(mark.read_text(encoding="utf-8") if mark.is_file() else "{}")
        first = patient_number(made["seed"], 0)
        return range(first, first + made["patients"])
    except (OSError, ValueError, KeyError, TypeError):
        return range(0)


def _has_text(path: Path | None) -> bool:
    try:
        with open(path or "", "rb") as file:
            return has_text(file.read(_HEAD))
    except OSError:
        return False


def has_text(data: bytes) -> bool:
    """Whether a picture's bytes begin with the generator's mark."""
    return f"{TEXT}\0".encode() in data[:_HEAD]
