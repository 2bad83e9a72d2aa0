"""What lies in a data folder, whichever data set it is: a label table and the files of its images.

`nih.read_folder` reads NIH's own layout, `formats.open_folder` that and the tables of other sets.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

NIH = "nih"
"""The data set whose vocabulary this project speaks; every other one is mapped to it."""


@dataclass(frozen=True)
class LabelMapping:
    """How another data set's labels became ours; stands in every report.

    Attributes:
        title: of the data set, for a reader.
        labelled_by: who gave its labels, in a sentence.
        rows: source label, label(s) of ours or `not used`, and the reason where it is not plain.
        notes: what was left out, joined or taken for something, with counts.
    """

    title: str
    labelled_by: str
    rows: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]

    def as_dict(self) -> dict[str, Any]:
        """Plain values, for reports and weights files."""
        return {
            "title": self.title,
            "labelled_by": self.labelled_by,
            "rows": [list(row) for row in self.rows],
            "notes": list(self.notes),
        }


@dataclass(frozen=True)
class DataFolder:
    """What lies in one data folder.

    Attributes:
        root: the folder.
        table: one row an image, in the file's order, index 0 ..: `image` (what names it in the
            table: NIH's file name, or a path, or a number; nothing else of the set has that name),
            `patient` (str; NIH's numbers without leading zeros, of another set with its name before
            them), `labels` (tuple of the vocabulary), `unknown` (tuple of the labels that the table
            does not say of this image; empty in NIH's), `age` (years, NaN where impossible), `sex`,
            `view` (`AP`, `PA` or empty), `follow_up`.
        version: of NIH's tables `2017`, `v2020` or `unknown`, told by the table's content; of
            another set's the format that it was read as.
        table_name: file name of the table.
        lists: names in `train_val` and `test`; None where the folder has no lists.
        paths: name in the table to path, for the images that are here.
        dataset: `nih`, or the name of the set that it was read as.
        mapping: None for NIH's.
        images_of: the data set whose images these are under other names that nobody can tell from
            them: whoever saw that one has seen these. Empty for none.
    """

    root: Path
    table: pd.DataFrame
    version: str
    table_name: str
    lists: dict[str, frozenset[str]] | None
    paths: dict[str, Path]
    dataset: str = NIH
    mapping: LabelMapping | None = None
    images_of: str = ""

    @property
    def present(self) -> pd.Series:
        """True for each row of the table whose image is here."""
        return self.table["image"].isin(self.paths)
