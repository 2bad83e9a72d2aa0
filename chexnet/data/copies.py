"""Copies of NIH's pictures, smaller or in other files than NIH's folders, read into a pack.

A picture whose name holds one of NIH's (`00000001_000`) joins NIH's table, lists and boxes beside
the copy; a copy without such names is trained by its own labels.
"""

import hashlib
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import pandas as pd

from chexnet.data.copy_files import ENDINGS, NIH_NAME, labels_in, makes_names, pictures_in
from chexnet.data.folder import NIH, Copy, DataFolder, LabelMapping
from chexnet.data.nih import FRAME, nih_patients, read_folder
from chexnet.data.tables import patient_names, shown
from chexnet.errors import DataError, ImageError
from chexnet.files import PICTURE_ENDINGS, files_under
from chexnet.imaging.radiograph import read_radiograph
from chexnet.labels import LABELS
from chexnet.phantom.marks import has_text

AGREEING = 0.9
"""Share of a copy's labels that must be NIH's where its names are put together from numbers; NIH
itself changed 181 of 112,120 rows in 2020."""


@dataclass
class _Listing:
    """The pictures of a copy: name to file, names in several places, and what the first of each
    file looks like (side and format), or that it is a phantom."""

    places: dict[str, Path] = field(default_factory=dict)
    duplicates: set[str] = field(default_factory=set)
    kinds: set[tuple[str, str]] = field(default_factory=set)
    drawn: set[Path] = field(default_factory=set)


def find_copy(data: Path) -> list[Path]:
    """The files of a copy: `data` itself, or all in a folder that has no picture file.

    Raises:
        DataError: the folder may not be read.
    """
    if data.is_file():
        return [data] if data.name.lower().endswith(ENDINGS) else []
    here = files_under(data) if data.is_dir() else []
    if any(path.lower().endswith(PICTURE_ENDINGS) for path in here):
        return []
    return [Path(path) for path in here if path.lower().endswith(ENDINGS)]


def open_copy(
    data: Path, files: list[Path], labels: str = "auto", table: Path | None = None
) -> DataFolder:
    """Read the names in a copy, and the table that they join.

    Args:
        data: the file or folder; NIH's table and lists lie in the folder, or beside the file.
        files: what `find_copy` gave.
        labels: see `nih.read_folder`.
        table: see `nih.read_folder`.

    Raises:
        DataError: a damaged file, one of another schema, no picture, or no table for the names.
    """
    listing = _list(files)
    here = listing.places
    if not here:
        raise DataError(f"{files[0]} holds no picture. Pass --data a copy of NIH's images.")
    root = data if data.is_dir() else data.parent
    if 2 * sum(NIH_NAME.fullmatch(name[:-4]) is not None for name in here) > len(here):
        folder = read_folder(root, labels, need_images=False, table=table)
        _compare_labels(files[0], folder)
    else:
        folder = _by_own_labels(root, files)
    names = folder.table["image"]
    paths = {name: here[name] for name in names if name in here}
    if not paths:
        raise DataError(
            f"None of the {len(here):,} pictures of {data} stands in {folder.table_name} (found "
            f"{shown(next(iter(here)))}, expected {shown(names[0])}). Pass --data a copy of these."
        )
    about, notes = _about(listing.kinds), []
    if about:
        notes.append(f"Pictures: {about}. Figures on it are not figures on NIH's originals.")
    if lost := len(names) - len(paths):
        notes.append(f"{lost:,} of the {len(names):,} images of {folder.table_name} are missing.")
    if strange := len(here) - len(paths):
        notes.append(f"{strange:,} pictures that {folder.table_name} lacks are left out.")
    copy = Copy(
        path=data,
        about=about,
        drawn={name: place in listing.drawn for name, place in paths.items()},
        pictures=partial(_pictures, files, listing.duplicates & paths.keys()),
    )
    return replace(folder, paths=paths, copy=copy, notes=(*folder.notes, *notes))


def _list(files: list[Path]) -> _Listing:
    listing = _Listing()
    for file in files:
        first: set[str] = set()
        for name, data in pictures_in(file, partial(_is_first, first)):
            if data is not None:
                listing.drawn |= {file} if has_text(data) else set()
                listing.kinds |= _kind(data)
            if name in listing.places:
                listing.duplicates.add(name)
            listing.places.setdefault(name, file)
    return listing


def _is_first(first: set[str], name: str) -> bool:
    if not first:
        first.add(name)
    return name in first


def _kind(data: bytes) -> set[tuple[str, str]]:
    try:
        picture = read_radiograph(data)
    except ImageError:  # it is named when it is packed
        return set()
    height, width = picture.pixels.shape
    side = f"{width} px" if width == height else f"{width} x {height} px"
    return {(side, picture.facts.format)}


def _about(kinds: Collection[tuple[str, str]]) -> str:
    """`320 px JPEG copy`; empty where the pictures have NIH's own size and lost nothing."""
    if not kinds or kinds == {(f"{FRAME} px", "PNG")}:
        return ""
    sides, formats = (sorted(set(column)) for column in zip(*kinds, strict=True))
    return f"{' and '.join(sides)} {' and '.join(formats)} copy"


def _pictures(
    files: list[Path], duplicates: Collection[str], names: Collection[str]
) -> Iterator[tuple[str, bytes]]:
    """Each of `names` once with its bytes, in the order in which they lie in the files.

    Raises:
        DataError: a damaged file, or a duplicate name with other pixels.
    """
    wanted = {*names, *duplicates}
    pixels: dict[str, str] = {}
    done: set[str] = set()
    for file in files if names else ():
        for name, data in pictures_in(file, wanted.__contains__):
            if data is None:
                continue
            if name in duplicates:
                digest = _pixel_hash(data)
                if pixels.setdefault(name, digest) != digest:
                    raise DataError(
                        f"{shown(name)} is a duplicate with other pixels, again in {file}. "
                        "Expected one picture a name; take one of the files away."
                    )
            if name in names and name not in done:
                done.add(name)
                yield name, data


def _pixel_hash(data: bytes) -> str:
    try:
        return hashlib.sha256(read_radiograph(data).as_uint8().tobytes()).hexdigest()
    except ImageError:
        return hashlib.sha256(data).hexdigest()


def _compare_labels(file: Path, folder: DataFolder) -> None:
    """Refuse names that were put together from numbers where their labels are not NIH's."""
    if not makes_names(file):
        return
    ours = dict(zip(folder.table["image"], folder.table["labels"], strict=True))
    same = [ours[name] == said for name, said, _ in labels_in(file) if name in ours]
    if sum(same) < AGREEING * len(same):
        raise DataError(
            f"{file}: names put together from patient and number are not NIH's: found "
            f"{sum(same):,} of {len(same):,} labels as in {folder.table_name}, expected "
            f"{AGREEING:.0%}. Pass a copy with a column of NIH's names."
        )


def _by_own_labels(root: Path, files: list[Path]) -> DataFolder:
    """A copy without NIH's names as a data set of its own: no lists, and its own labels."""
    rows_by_name: Mapping[str, tuple[tuple[str, ...], str]] = {
        name: (labels, patient)
        for file in files
        for name, labels, patient in labels_in(file)
        if labels
    }
    if not rows_by_name:
        raise DataError(
            f"{files[0]} holds neither NIH's names (00000001_000.png) nor labels. Expected one of "
            "the two; see docs/copies.md."
        )
    names = pd.Series([*rows_by_name], dtype=object)
    labels, patients = (list(column) for column in zip(*rows_by_name.values(), strict=True))
    notes = ["The copy has no names of NIH's: no official split, no boxes, and its own labels."]
    if all(patients):
        people = nih_patients(patient_names(files[0], names, pd.Series(patients, dtype=object)))
    else:
        people = names
        notes.append(
            "It names no patients: each image counts as a patient of its own, so intervals are by "
            "image, and two images of one patient may stand on both sides of a split."
        )
    used = set().union(*labels)
    rows = tuple((label, label, "") for label in LABELS if label in used)
    return DataFolder(
        root=root,
        table=pd.DataFrame(
            {
                "image": names,
                "patient": "copy/" + people,
                "labels": labels,
                "unknown": [()] * len(names),
                "age": float("nan"),
                "sex": "",
                "view": "",
                "follow_up": float("nan"),
            }
        ),
        version="copy",
        table_name=files[0].name,
        lists=None,
        paths={},
        dataset="copy",
        mapping=LabelMapping(files[0].name, "Labels are those of the copy.", rows, tuple(notes)),
        images_of=NIH,  # under names that nobody can match: whoever saw NIH's has seen these
    )
