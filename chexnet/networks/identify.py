"""Which known list a file of image names is, and what it shares with NIH's official lists.

Shapes: N = 112,120 images of NIH, in the order of `training_lists.image_names`.
"""

import re
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.tables import read_text
from chexnet.errors import DataError
from chexnet.networks.training_lists import KNOWN_LISTS, image_names, image_patients, members

OFFICIAL_TEST = "NIH's official test list"
_NAME = re.compile(
    r"(?<![\w-])(\d{8}_\d{3}(?:\.png)?|[\w-][\w.-]*\.(?:png|jpe?g|dcm))(?![\w-])", re.IGNORECASE
)


@dataclass(frozen=True)
class Overlap:
    """What a file shares with one list.

    Attributes:
        title: of the list.
        size: images of the list.
        images: of them, those that the file names.
        seen: of them, those that the file names, or of which it names another of the patient.
        patients: patients that both have.
        relation: `equal`, `part of it`, `all of it and more`, `some` or `none`.
    """

    title: str
    size: int
    images: int
    seen: int
    patients: int
    relation: str


@dataclass(frozen=True)
class Identified:
    """What is known of a file of names.

    Attributes:
        names: distinct names in it.
        of_nih: of them, names of NIH's images.
        patients: of NIH's, in it.
        exact: titles of the lists that it equals; empty where there is none.
        overlaps: with each known list.
        closest: title of the list with most images in common, by Jaccard's index.
        jaccard: that index, in [0, 1].
        note: of the list that it equals.
    """

    names: int
    of_nih: int
    patients: int
    exact: list[str]
    overlaps: list[Overlap]
    closest: str
    jaccard: float
    note: str

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def known_sets() -> dict[str, np.ndarray]:
    """Every list that is told apart: title -> True for its images (N,)."""
    train_val = members("official_train_val")
    found = {"NIH's official train_val list": train_val, OFFICIAL_TEST: ~train_val}
    for known in KNOWN_LISTS.values():
        if known.name == "official-train-val" or not known.parts:
            continue
        parts = {part: members(key) for part, key in known.parts.items()}
        if len(parts) == 1:
            found[known.title] = next(iter(parts.values()))
            continue
        both = np.logical_or.reduce(list(parts.values()))
        found |= {f"{known.title}, {part}": mask for part, mask in parts.items()}
        found |= {f"{known.title}, {' and '.join(parts)}": both, f"{known.title}, test part": ~both}
    return found | {"all of NIH's images": np.ones(len(train_val), bool)}


def read_names(path: Path) -> list[str]:
    """The image name of each line of a text or CSV file, in order; lines without one are left out.

    The first word of a line that is a file name of an image counts, without its folder; NIH's names
    may stand without `.png`.

    Raises:
        DataError: no such file, or no line has a name.
    """
    found = [match[1] for line in read_text(path).splitlines() if (match := _NAME.search(line))]
    if not found:
        raise DataError(
            f"--list: {path} names no image. Expected a text or CSV file with a name such as "
            "00000001_000.png in each line."
        )
    return [name if "." in name else f"{name}.png" for name in found]


def identify(names: Iterable[str]) -> Identified:
    """Compare names with every known list; no picture and no table is needed.

    Args:
        names: of images; those that are not NIH's are counted and else left out.
    """
    given = set(names)
    here = np.array([name in given for name in image_names()])
    owners = image_patients()
    patients = np.isin(owners, owners[here])  # True for each image of a patient of the file
    foreign = len(given) - int(here.sum())
    overlaps, likeness = [], {}
    for title, mask in known_sets().items():
        both = int((here & mask).sum())
        overlaps.append(
            Overlap(
                title=title,
                size=int(mask.sum()),
                images=both,
                seen=int((patients & mask).sum()),
                patients=len(np.intersect1d(owners[here], owners[mask])),
                relation=_relation(both, int(mask.sum()), len(given)),
            )
        )
        likeness[title] = both / (int((here | mask).sum()) + foreign)
    exact = [one.title for one in overlaps if one.relation == "equal"]
    closest = max(likeness, key=lambda title: likeness[title])
    known = [one for one in KNOWN_LISTS.values() if exact and exact[0].startswith(one.title)]
    return Identified(
        names=len(given),
        of_nih=int(here.sum()),
        patients=len(set(owners[here].tolist())),
        exact=exact,
        overlaps=overlaps,
        closest=closest,
        jaccard=likeness[closest],
        note=known[0].note if known else "",
    )


def _relation(both: int, size: int, given: int) -> str:
    if both == size == given:
        return "equal"
    if both == given:
        return "part of it"
    if both == size:
        return "all of it and more"
    return "some" if both else "none"
