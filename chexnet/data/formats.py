"""A data folder with its label table, NIH's or another data set's, opened as one `DataFolder`."""

from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chexnet.data.copies import find_copy, open_copy
from chexnet.data.folder import NIH, DataFolder, LabelMapping, find_images
from chexnet.data.mappings import (
    UNCERTAIN,
    UNCERTAIN_AS,
    built_in,
    label_tuples,
    read_meaning,
    states_of_ours,
)
from chexnet.data.nih import nih_patients, read_folder, read_lists
from chexnet.data.splits import Fold
from chexnet.data.table_readers import CSV_OPTIONS, READERS
from chexnet.data.table_rows import TableRows
from chexnet.data.tables import refuse_rows, shown
from chexnet.errors import ConfigError, DataError

FORMATS = (NIH, *READERS)


@dataclass(frozen=True)
class DataRequest:
    """Which data a command asks for, and how they are read and divided.

    Attributes:
        root: folder that holds `images_001` and the table; of another data set, its images.
        table: the label table; None for NIH's own in `root`.
        format: one of `FORMATS`.
        mapping: what a table of the user's own means; with format `csv` alone.
        uncertain: what an uncertain label counts as: `ignore`, `positive` or `negative`.
        labels: which of NIH's tables, see `nih.read_folder`; of another table `auto`.
        split: see `make_split`.
        seed: of the split.
        fold: see `make_split`.
        packs: folder of packs; one for this data, crop and size is used when it is whole.
    """

    root: Path
    table: Path | None = None
    format: str = NIH
    mapping: Path | None = None
    uncertain: str = "ignore"
    labels: str = "auto"
    split: str = "auto"
    seed: int = 0
    fold: Fold | None = None
    packs: Path | None = None

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
        if self.labels != "auto" and self.table is not None:
            raise ConfigError(
                f"--labels chooses between NIH's tables in --data: found {self.labels!r} beside "
                f"--table {self.table.name}, expected one of the two."
            )


def open_folder(request: DataRequest, *, need_images: bool = True) -> DataFolder:
    """Read the label table of a request and find its images under the root.

    Args:
        request: which table, and how it is read; nothing is divided here.
        need_images: refuse a folder without any image of the table.

    Raises:
        DataError: names what is missing or wrong, and what to pass instead.
    """
    root, table = Path(request.root), request.table
    if request.format == NIH:
        if need_images and (files := find_copy(root)):
            return open_copy(root, files, request.labels, table)
        return read_folder(root, request.labels, need_images=need_images, table=table)
    if table is None or not table.exists():
        raise DataError(f"Found no file {table}. Pass --table the label table.")
    if not root.is_dir():
        raise DataError(f"Found no folder {root}. Pass --data the folder of the images.")
    meaning = (
        read_meaning(request.mapping, CSV_OPTIONS)
        if request.mapping
        else built_in()[request.format]
    )
    rows = READERS[request.format](table, meaning)
    _refuse_bad_names(table, rows)
    about, notes = rows.about.reset_index(drop=True), list(rows.notes)
    notes += _uncertain_note(rows, request.uncertain)
    has, lacks = label_tuples(states_of_ours(meaning, rows.states, request.uncertain))
    if not rows.by_patient:
        about["patient"] = about["image"]
        notes.append(
            "The table names no patients: each image counts as a patient of its own, so intervals "
            "are by image, and two images of one patient may stand on both sides of a split."
        )
    meaning = meaning.only(rows.states)
    paths = find_images(root, dict(zip(about["image"], about["file"], strict=True)))
    if need_images and not paths:
        raise DataError(
            f"No image of {table.name} was found under {root} (looked for "
            f"{shown(about['image'][0])} and the others in every folder). "
            "Pass --data the folder that its paths begin in."
        )
    return DataFolder(
        root=root,
        table=pd.DataFrame(
            {
                "image": about["image"],
                # With the data set's name before them: its patient 17 is nobody else's.
                "patient": nih_patients(about["patient"])
                if meaning.key == NIH
                else meaning.key + "/" + about["patient"],
                "labels": has,
                "unknown": lacks,
                "age": about["age"],
                "sex": about["sex"],
                "view": about["view"],
                "follow_up": float("nan"),
                **({"inverted": about["inverted"]} if "inverted" in about else {}),
            }
        ),
        version=request.format,
        table_name=table.name,
        lists=read_lists(root) if meaning.key == NIH else None,
        paths=paths,
        dataset=meaning.key,
        mapping=LabelMapping(meaning.title, meaning.labelled_by, meaning.rows, tuple(notes)),
        images_of=meaning.images_of,
    )


def _refuse_bad_names(source: Path, rows: TableRows) -> None:
    names = rows.about["image"]
    problems = {"has no image": names == "", "is a duplicate": names.duplicated()}
    if rows.by_patient:
        problems["has no patient"] = rows.about["patient"] == ""
    refuse_rows(source, names, problems, "Expected one row an image, with its name and patient.")
    outside = [n[:1] == "/" or n[1:2] == ":" or ".." in n.split("/") for n in names.tolist()]
    problems = {"is a path out of the folder": pd.Series(outside, names.index)}
    refuse_rows(source, names, problems, "Expected a path under --data.")


def _uncertain_note(rows: TableRows, uncertain: str) -> list[str]:
    count = sum(int((state == UNCERTAIN).sum()) for state in rows.states.values())
    if not count:
        return []
    taken = "unknown" if uncertain == "ignore" else uncertain
    return [f"{count:,} uncertain labels count as {taken} (--uncertain {uncertain})."]
