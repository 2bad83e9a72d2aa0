"""Which of NIH's images a published network was trained on, kept without any list of names.

NIH's names run without a gap: patients 1 to 30,805, and the images of each from `_000` on (at most
`_183`). One count a patient therefore gives all 112,120 names, and a list is one bit an image.
`training_lists.npz` holds both, a list as `np.packbits([n in it for n in image_names()])`. The
lists themselves do not belong to this project: NIH's `train_val_list.txt`, arnoweng/CheXNet's
`train_list.txt` and `val_list.txt`, and torchxrayvision's as its public training script gives it.
`tests/networks/test_training_lists.py` compares the file with them.

Shapes: P = 30,805 patients, N = 112,120 images, ordered by patient and number.
"""

import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.splits import name_hashes
from chexnet.errors import ConfigError

FILE = Path(__file__).with_name("training_lists.npz")
COUNTS = "images_per_patient"
MADE_OF_NIH = ("RSNA Pneumonia Detection 2018", "SIIM-ACR Pneumothorax 2019", "ChestX-Det")
"""Data sets whose images are NIH's under other names, which no list of names can tell."""


@dataclass(frozen=True)
class KnownList:
    """A training list that can be told from its name; see the head of `training_lists.toml`."""

    name: str
    title: str
    parts: Sequence[str]
    confirmed: bool
    note: str


@cache
def known_lists() -> dict[str, KnownList]:
    """All of `training_lists.toml`, by name."""
    blocks = tomllib.loads(FILE.with_suffix(".toml").read_text(encoding="utf-8"))
    return {name: KnownList(name, **block) for name, block in blocks.items()}


def known_list(name: str) -> KnownList:
    """A known training list.

    Raises:
        ConfigError: no such list.
    """
    if name not in (known := known_lists()):
        raise ConfigError(f"Training list: found {name!r}, expected {', '.join(known)}.")
    return known[name]


@cache
def image_names() -> tuple[str, ...]:
    """All N file names of NIH's images."""
    counts = _stored()[COUNTS]
    return tuple(f"{p:08d}_{n:03d}.png" for p, count in enumerate(counts, 1) for n in range(count))


@cache
def image_patients() -> np.ndarray:
    """Patient number of each image, int (N,); NIH's table writes it without leading zeros."""
    counts = _stored()[COUNTS]
    return np.repeat(np.arange(1, len(counts) + 1), counts)


@cache
def members(key: str) -> np.ndarray:
    """True for each image (N,) of one list of `training_lists.npz`."""
    return np.unpackbits(_stored()[key], count=len(image_names())).astype(bool)


def seen_images(name: str) -> np.ndarray:
    """True for each of NIH's images (N,) that a network of this list was trained on.

    Raises:
        ConfigError: see `known_list`.
    """
    parts = known_list(name).parts
    if not parts:
        return np.ones(len(image_names()), bool)
    return np.asarray(np.logical_or.reduce([members(key) for key in parts]))


def images_for_test_2017() -> frozenset[str]:
    """The 22,433 images that the lists of 2017 leave for the test: what is in neither part."""
    learned = seen_images("lists-2017")
    return frozenset(np.array(image_names())[~learned].tolist())


def seen_by(name: str) -> dict[str, Any]:
    """What `Metadata.seen` holds of a network that was trained on a known list.

    Returns:
        `list` (its name), `title`, `note`, `confirmed`, `images` and `patients` (`name_hashes`, as
        int64 tensors), `count` of images, `whole` (all of NIH counts as seen), and `also`, the
        data sets made of NIH's images that count as seen with them where the list is not known.

    Raises:
        ConfigError: see `known_list`.
    """
    import torch

    known = known_list(name)
    images, patients = _hashes(name)
    return {
        "list": known.name,
        "title": known.title,
        "note": known.note,
        "confirmed": known.confirmed,
        "images": torch.tensor(images),
        "patients": torch.tensor(patients),
        "count": len(images),
        "whole": not known.parts,
        "also": [] if known.parts else list(MADE_OF_NIH),
    }


@cache
def _hashes(name: str) -> tuple[np.ndarray, np.ndarray]:
    """`name_hashes` of the images and of the patients of a known list."""
    seen = seen_images(name)
    patients = [str(number) for number in np.unique(image_patients()[seen])]
    return name_hashes(np.array(image_names())[seen].tolist()), name_hashes(patients)


@cache
def _stored() -> dict[str, np.ndarray]:
    with np.load(FILE, allow_pickle=False) as arrays:
        return dict(arrays)
