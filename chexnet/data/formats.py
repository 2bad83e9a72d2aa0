"""A data folder with its label table, NIH's or another data set's, opened as one `DataFolder`."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import pandas as pd

from chexnet.data.folder import NIH, DataFolder, LabelMapping
from chexnet.data.mappings import (
    UNCERTAIN,
    UNCERTAIN_AS,
    built_in,
    label_tuples,
    read_meaning,
    states_of_ours,
)
from chexnet.data.nih import read_folder, read_lists
from chexnet.data.table_readers import CSV_OPTIONS, READERS
from chexnet.data.table_rows import TableRows, refuse_rows
from chexnet.errors import ConfigError, DataError

FORMATS = (NIH, *READERS)
PICTURES = (".png", ".jpg", ".jpeg", ".dcm", ".dicom", ".tif", ".tiff", ".webp", "")
"""Endings under which a file may be the image that a table names without one."""


@dataclass(frozen=True)
class TableSource:
    """Which label table is read, and how.

    Attributes:
        table: the file; None for NIH's own in the data folder.
        format: one of `FORMATS`.
        mapping: what a table of the user's own means; with format `csv` alone.
        uncertain: what an uncertain label counts as: `ignore`, `positive` or `negative`.
    """

    table: Path | None = None
    format: str = NIH
    mapping: Path | None = None
    uncertain: str = "ignore"

    def __post_init__(self) -> None:
        """Refuse what does not go together.

        Raises:
            ConfigError: names the option, what was found and what was expected.
        """
        if self.format not in FORMATS:
            expected = f"one of {', '.join(FORMATS)}"
            raise ConfigError(f"--format: found {self.format!r}, expected {expected}.")
        if self.uncertain not in UNCERTAIN_AS:
            expected = ", ".join(UNCERTAIN_AS)
            raise ConfigError(f"--uncertain: found {self.uncertain!r}, expected {expected}.")
        if self.format != NIH and self.table is None:
            raise ConfigError(f"--format {self.format} needs --table, its label table.")
        if (self.format == "csv") != (self.mapping is not None):
            raise ConfigError(
                "--format csv and --mapping go together: found "
                f"{'no mapping' if self.mapping is None else f'a mapping with {self.format}'}. "
                "The file says which column is which label; see docs/evaluation.md."
            )


NIH_TABLE = TableSource()
"""NIH's own table in the data folder."""


def open_folder(
    root: Path,
    labels: str = "auto",
    source: TableSource = NIH_TABLE,
    *,
    need_images: bool = True,
) -> DataFolder:
    """Read a label table and find its images under `root`.

    Args:
        root: folder of the images; for NIH's own layout also of the table.
        labels: which of NIH's tables, see `nih.read_folder`; of another table `auto`.
        source: which table, and how it is read.
        need_images: refuse a folder without any image of the table.

    Raises:
        DataError: names what is missing or wrong, and what to pass instead.
        ConfigError: options that do not go together.
    """
    if labels != "auto" and source.table is not None:
        raise ConfigError(
            f"--labels chooses between NIH's tables in --data: found {labels!r} beside --table "
            f"{source.table.name}, expected one of the two."
        )
    if source.format == NIH:
        return read_folder(root, labels, need_images=need_images, table=source.table)
    table, root = source.table, Path(root)
    if table is None or not table.is_file():
        raise DataError(f"Found no file {table}. Pass --table the label table.")
    if not root.is_dir():
        raise DataError(f"Found no folder {root}. Pass --data the folder of the images.")
    meaning = (
        read_meaning(source.mapping, CSV_OPTIONS) if source.mapping else built_in()[source.format]
    )
    rows = READERS[source.format](table, meaning)
    _refuse_bad_names(table, rows)
    about, notes = rows.about.reset_index(drop=True), list(rows.notes)
    notes += _uncertain_note(rows, source.uncertain)
    has, lacks = label_tuples(states_of_ours(meaning, rows.states, source.uncertain))
    if not rows.by_patient:
        about["patient"] = about["image"]
        notes.append(
            "The table names no patients: each image counts as a patient of its own, so intervals "
            "are by image, and two images of one patient may stand on both sides of a split."
        )
    paths = find_files(root, dict(zip(about["image"], about["file"], strict=True)))
    if need_images and not paths:
        raise DataError(
            f"No image of {table.name} was found under {root} (looked for {about['file'][0]}). "
            "Pass --data the folder that its paths begin in."
        )
    return DataFolder(
        root=root,
        table=pd.DataFrame(
            {
                "image": about["image"],
                "patient": _named_patients(about["patient"], meaning.key),
                "labels": has,
                "unknown": lacks,
                "age": about["age"],
                "sex": about["sex"],
                "view": about["view"],
                "follow_up": float("nan"),
            }
        ),
        version=source.format,
        table_name=table.name,
        lists=read_lists(root) if meaning.key == NIH else None,
        paths=paths,
        dataset=meaning.key,
        mapping=LabelMapping(meaning.title, meaning.labelled_by, meaning.rows, tuple(notes)),
        images_of=meaning.images_of,
    )


def find_files(root: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Find the images of a table.

    A path is looked for as it stands, and without its first folder, which is often the data
    folder itself. What the table names without a path is looked for by that name, with or without
    an ending, in every folder under `root`.

    Args:
        root: where to look.
        files: name of the image in the table to its path or file name.

    Returns:
        Name to path, in the order given, of those that are here.

    Raises:
        DataError: two files could be the same image.
    """
    found: dict[str, Path] = {}
    bare: dict[str, str] = {}
    for image, file in files.items():
        # As text: for 190,000 images of CheXpert a Path each takes longer than asking the disk.
        places = (f"{root}{os.sep}{place}" for place in (file, file.partition("/")[2]) if place)
        here = next((place for place in places if os.path.isfile(place)), None)
        if here:
            found[image] = Path(here)
        elif "/" not in image:
            bare |= {PurePosixPath(file).name: image, image: image}
    if bare:
        for path in _walk(root):
            name = path.name if path.name in bare else path.stem
            if name not in bare or path.suffix.lower() not in PICTURES:
                continue
            image = bare[name]
            if image in found:
                raise DataError(
                    f"Found two files of {image}: {found[image]} and {path}. Expected one; pass "
                    "--data a folder that holds one of them."
                )
            found[image] = path
    return {image: found[image] for image in files if image in found}


def _walk(root: Path) -> Iterator[Path]:
    """Every file under a folder, in an order that is the same everywhere."""
    for folder, folders, names in os.walk(root):
        folders.sort()
        yield from (Path(folder, name) for name in sorted(names))


def _refuse_bad_names(source: Path, rows: TableRows) -> None:
    names = rows.about["image"]
    one = "one row an image, with its name"
    refuse_rows(source, names, names == "", "no image", one)
    refuse_rows(source, names, names.duplicated(), "an image that stands twice", one)
    outside = names.map(lambda name: name.startswith("/") or ".." in name.split("/"))
    refuse_rows(source, names, outside, "a path out of the folder", "a path under --data")
    if rows.by_patient:
        lost = rows.about["patient"] == ""
        refuse_rows(source, names, lost, "no patient", "one in every row")


def _named_patients(patients: pd.Series, key: str) -> pd.Series:
    """With the data set's name before them: another set's patient 17 is another patient."""
    if key == NIH:
        return patients.str.replace(r"^0+(?=[0-9]+$)", "", regex=True)
    return key + "/" + patients


def _uncertain_note(rows: TableRows, uncertain: str) -> list[str]:
    count = sum(int((state == UNCERTAIN).sum()) for state in rows.states.values())
    if not count:
        return []
    taken = "unknown" if uncertain == "ignore" else uncertain
    return [f"{count:,} uncertain labels count as {taken} (--uncertain {uncertain})."]
