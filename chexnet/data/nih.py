"""NIH's label table, lists and boxes, read into one `DataFolder`.

Layout (https://nihcc.app.box.com/v/ChestXray-NIHCC): `Data_Entry_2017.csv`, `train_val_list.txt`,
`test_list.txt` and `BBox_List_2017.csv` beside each other, the pictures in any folder below.
"""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.folder import DataFolder, find_images
from chexnet.data.tables import (
    by_value,
    column_of,
    listed,
    patient_names,
    read_csv,
    read_text,
    refuse_rows,
    shown,
    years_of,
)
from chexnet.errors import DataError
from chexnet.labels import BOX_SPELLING, OTHER, label_of, note_of_others, parse

TABLES = {"2017": "Data_Entry_2017.csv", "v2020": "Data_Entry_2017_v2020.csv"}
SAMPLE = "sample_labels.csv"
"""The table of Kaggle's sample of 5,606 of NIH's images."""
LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
VAL_LIST = "val_list.txt"
"""Optional, not NIH's: which images of the train_val list validate."""
BOXES = "BBox_List_2017.csv"
FRAME = 1024
"""NIH's boxes are given in a frame of 1024 x 1024 pixels, whatever the size of the file."""
OUTSIDE = f"has a box outside the frame of {FRAME} x {FRAME} pixels"

# Images of four labels in the whole tables, counted by us; NIH changed 181 rows in 2020.
VERSIONS = {
    "v2020": {"Pneumonia": 1431, "Mass": 5782, "Infiltration": 19894, "Atelectasis": 11559},
    "2017": {"Pneumonia": 1353, "Mass": 5746, "Infiltration": 19870, "Atelectasis": 11535},
}


def read_folder(
    root: Path, labels: str = "auto", *, need_images: bool = True, table: Path | None = None
) -> DataFolder:
    """Read the table and the lists, and find the images under `root`.

    Args:
        root: folder that holds the images, in folders of any name, and the table.
        labels: `2017`, `v2020`, or `auto`: `Data_Entry_2017.csv` if it is there, else v2020, else
            the table of Kaggle's sample.
        need_images: refuse a folder without any image of the table.
        table: another table of NIH's columns, instead of the folder's own.

    Raises:
        DataError: names what is missing and what to pass instead.
    """
    if labels != "auto" and labels not in TABLES:
        raise DataError(f"--labels: found {labels!r}, expected auto, {' or '.join(TABLES)}.")
    root = Path(root)
    if not root.is_dir():
        raise DataError(f"Found no folder {root}. Pass --data the folder that holds images_001.")
    source = table or _choose_table(root, labels)
    rows, notes = read_table(source)
    paths = find_images(root, {name: name for name in listed(rows["image"])})
    if need_images and not paths:
        raise DataError(
            f"No image of {source.name} was found under {root} (looked for "
            f"{shown(rows['image'][0])} and the others in every folder). "
            "Pass --data the folder that holds the pictures."
        )
    lists = read_lists(root)
    return DataFolder(root, rows, label_version(rows), source.name, lists, paths, notes=notes)


def read_table(source: Path) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Read one label table; see `DataFolder.table` for the columns.

    Returns:
        The table, and a sentence on what counts as `Other`, where something does.

    Raises:
        DataError: no CSV, a needed column is missing, an image is a duplicate, or an empty label.
    """
    raw = read_csv(
        source,
        ("Image Index", "Finding Labels", "Patient ID"),
        "Expected NIH's own Data_Entry_2017.csv; fetch it again from NIH.",
        also=("Patient Age", "Patient Gender", "View Position", "Follow-up #"),
    )
    images, cells = raw["Image Index"], raw["Finding Labels"]
    meaning = {cell: parse(cell) for cell in cells.unique()}
    table = pd.DataFrame(
        {
            "image": images,
            "patient": nih_patients(patient_names(source, images, raw["Patient ID"])),
            "labels": cells.map(meaning),
            "unknown": [()] * len(raw),  # what NIH's table does not name it counts as absent
            "age": years_of(column_of(raw, "Patient Age")),
            "sex": column_of(raw, "Patient Gender"),
            "view": column_of(raw, "View Position"),
            "follow_up": pd.to_numeric(column_of(raw, "Follow-up #"), errors="coerce"),
        }
    )
    problems = {
        "has an empty Image Index": images == "",
        "has an empty Patient ID": table["patient"] == "",
        "has empty Finding Labels": table["labels"].map(len) == 0,
        "is a duplicate": images.duplicated(),
    }
    refuse_rows(source, images, problems, "Expected one row an image; fetch it again from NIH.")
    notes = note_of_others(Counter(listed(cells)), source.name)
    return table.reset_index(drop=True), notes


def nih_patients(patients: pd.Series) -> pd.Series:
    """`00000001` in the table of 2017 is `1` in v2020: one patient, for the leak guard too."""
    return by_value(patients, lambda cells: cells.str.replace(r"^0+(?=[0-9]+$)", "", regex=True))


def label_version(table: pd.DataFrame) -> str:
    """Tell NIH's table of 2017 from that of 2020 by its content: `2017`, `v2020` or `unknown`."""
    counts = table["labels"].explode().value_counts()
    for version, expected in VERSIONS.items():
        if len(table) == 112_120 and all(counts.get(name) == n for name, n in expected.items()):
            return version
    return "unknown"


def read_lists(root: Path) -> dict[str, frozenset[str]] | None:
    """The official lists of image names, or None where neither lies in `root`.

    Raises:
        DataError: only one of the two is there, or one is empty.
    """
    there = {part: os.path.lexists(root / name) for part, name in LISTS.items()}
    if not any(there.values()):
        return None
    if not all(there.values()):
        present, lost = sorted(LISTS.values(), key=lambda name: not os.path.lexists(root / name))
        raise DataError(f"{root} has {present} but no {lost}. Fetch both from NIH, or remove both.")
    wanted = LISTS | ({"val": VAL_LIST} if os.path.lexists(root / VAL_LIST) else {})
    lists = {
        part: frozenset(read_text(root / name).replace(",", " ").split())
        for part, name in wanted.items()
    }
    for part, names in lists.items():
        if not names:
            raise DataError(f"{root / wanted[part]} is empty. Fetch it again from NIH.")
    return lists


def read_boxes(root: Path) -> pd.DataFrame:
    """NIH's boxes: `image`, `label` (of the vocabulary), `x`, `y`, `w`, `h` in the 1024 frame.

    Raises:
        DataError: the list is missing, has other columns, or names the first row that is wrong.
    """
    source = Path(root) / BOXES
    expected = (
        "Expected Image Index, Finding Label, x, y, width and height; fetch it again from NIH."
    )
    # The header names three of the six used columns, `Bbox [x`, `y`, `w`, `h]` in one cell.
    header = ("Image Index", "Finding Label", "Bbox [x", "y", "w", "h]")
    boxes = read_csv(source, header, expected).set_axis(["image", "label", *"xywh"], axis=1)
    boxes["label"] = boxes["label"].replace(BOX_SPELLING).map(label_of)
    sides = boxes[list("xywh")].apply(pd.to_numeric, errors="coerce")
    problems = {
        "has a label that NIH does not have": boxes["label"] == OTHER,
        "has a box with a side that is no number": sides.isna().any(axis=1),
        "has a box without an area": (sides[["w", "h"]] <= 0).any(axis=1),
        OUTSIDE: outside_frame(sides),
    }
    refuse_rows(source, boxes["image"], problems, expected)
    return boxes.assign(**sides).reset_index(drop=True)


def outside_frame(sides: pd.DataFrame) -> pd.Series:
    """True for the boxes (`x`, `y`, `w`, `h`) that are not whole in NIH's frame."""
    far = np.maximum(sides["x"] + sides["w"], sides["y"] + sides["h"])
    return (sides[["x", "y"]] < 0).any(axis=1) | (far > FRAME)


def _choose_table(root: Path, labels: str) -> Path:
    wanted = (*TABLES.values(), SAMPLE) if labels == "auto" else (TABLES[labels],)
    for name in wanted:
        if os.path.lexists(root / name):
            return root / name
    raise DataError(
        f"Found no {' or '.join(wanted)} in {root}. "
        "Pass --data the folder that holds NIH's label table and, in any folder, the pictures."
    )
