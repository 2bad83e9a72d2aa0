"""NIH's label table, lists, boxes and image folders, read into one `DataFolder`.

Layout (https://nihcc.app.box.com/v/ChestXray-NIHCC): `Data_Entry_2017.csv`, `train_val_list.txt`,
`test_list.txt`, `BBox_List_2017.csv` and `images_001/images/*.png` ... beside each other.
"""

import os
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.folder import DataFolder
from chexnet.errors import DataError
from chexnet.labels import BOX_SPELLING, LABELS, parse

TABLES = {"2017": "Data_Entry_2017.csv", "v2020": "Data_Entry_2017_v2020.csv"}
LISTS = {"train_val": "train_val_list.txt", "test": "test_list.txt"}
VAL_LIST = "val_list.txt"
"""Optional, not NIH's: which images of the train_val list validate."""
BOXES = "BBox_List_2017.csv"
FRAME = 1024
"""NIH's boxes are given in a frame of 1024 x 1024 pixels, whatever the size of the file."""

# Images of four labels in the whole tables, counted by us; NIH changed 181 rows in 2020.
VERSIONS = {
    "v2020": {"Pneumonia": 1431, "Mass": 5782, "Infiltration": 19894, "Atelectasis": 11559},
    "2017": {"Pneumonia": 1353, "Mass": 5746, "Infiltration": 19870, "Atelectasis": 11535},
}


def read_folder(
    root: Path, labels: str = "auto", *, need_images: bool = True, table: Path | None = None
) -> DataFolder:
    """Read the table, the lists and the names of the images under `root`.

    Args:
        root: folder that holds `images_001` ... and the table.
        labels: `2017`, `v2020`, or `auto`: `Data_Entry_2017.csv` if it is there, else v2020.
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
    rows = read_table(source)
    found = find_images(root)
    names = set(rows["image"])
    paths = {name: path for name, path in found.items() if name in names}
    if need_images and not paths:
        raise DataError(
            f"No image of {source.name} was found under {root} (looked for images_*/images/*.png). "
            "Pass --data the folder that holds images_001."
        )
    return DataFolder(root, rows, label_version(rows), source.name, read_lists(root), paths)


def read_table(source: Path) -> pd.DataFrame:
    """Read one label table; see `DataFolder.table` for the columns.

    Raises:
        DataError: no CSV, a needed column is missing, an image stands twice, or an empty label.
    """
    try:
        raw = pd.read_csv(source, dtype=str, encoding="utf-8-sig", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{source} could not be read as a CSV table: {error}") from error
    needed = ("Image Index", "Finding Labels", "Patient ID")
    missing = [name for name in needed if name not in raw.columns]
    if missing:
        raise DataError(
            f"{source} has no column {', '.join(missing)}; found {', '.join(raw.columns[:6])}. "
            "Expected NIH's own Data_Entry_2017.csv."
        )

    def column(name: str) -> pd.Series:
        return raw[name].str.strip() if name in raw else pd.Series("", index=raw.index)

    cells = column("Finding Labels")
    meaning = {cell: parse(cell) for cell in cells.unique()}
    age = _years(column("Patient Age"))
    table = pd.DataFrame(
        {
            "image": column("Image Index"),
            # `00000001` in the table of 2017 and `1` in v2020: one patient, for the leak guard too.
            "patient": column("Patient ID").str.replace(r"^0+(?=[0-9]+$)", "", regex=True),
            "labels": cells.map(meaning),
            "unknown": [()] * len(raw),  # what NIH's table does not name it counts as absent
            "age": age.where(age <= 120),  # NIH's table has ages above 400
            "sex": column("Patient Gender"),
            "view": column("View Position"),
            "follow_up": pd.to_numeric(column("Follow-up #"), errors="coerce"),
        }
    )
    for problem, rows in (
        ("an empty Image Index", table["image"] == ""),
        ("an empty Patient ID", table["patient"] == ""),
        ("empty Finding Labels", table["labels"].map(len) == 0),
        ("an image that stands twice", table["image"].duplicated()),
    ):
        if rows.any():
            first = int(rows.to_numpy().argmax())
            raise DataError(
                f"{source}, line {first + 2} ({table['image'][first] or 'no name'}): {problem}. "
                "Expected one row an image; fetch the table again from NIH."
            )
    if table.empty:
        raise DataError(f"{source} has no rows. Fetch the table again from NIH.")
    return table


def label_version(table: pd.DataFrame) -> str:
    """Tell NIH's table of 2017 from that of 2020 by its content: `2017`, `v2020` or `unknown`."""
    counts = table["labels"].explode().value_counts()
    for version, expected in VERSIONS.items():
        if len(table) == 112_120 and all(counts.get(name) == n for name, n in expected.items()):
            return version
    return "unknown"


def find_images(root: Path) -> dict[str, Path]:
    """File name to path of every PNG in any `images_*/images/` folder under `root`."""
    found: dict[str, Path] = {}
    for folder in sorted(root.glob("images_*/images")):
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".png"):
                    found[entry.name] = folder / entry.name
    return found


def read_lists(root: Path) -> dict[str, frozenset[str]] | None:
    """The official lists of image names, or None where neither lies in `root`.

    Raises:
        DataError: only one of the two is there, or one is empty.
    """
    there = {part: (root / name).is_file() for part, name in LISTS.items()}
    if not any(there.values()):
        return None
    if not all(there.values()):
        found, lost = sorted(LISTS.values(), key=lambda name: not (root / name).is_file())
        raise DataError(f"{root} has {found} but no {lost}. Fetch both from NIH, or remove both.")
    wanted = LISTS | ({"val": VAL_LIST} if (root / VAL_LIST).is_file() else {})
    lists = {
        part: frozenset((root / name).read_text(encoding="utf-8-sig").split())
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
    try:
        # The header names three of the six used columns, `Bbox [x`, `y`, `w`, `h]` in one cell.
        raw = pd.read_csv(source, usecols=range(6), header=0, names=list("ilxywh"))
    except (OSError, ValueError) as error:
        raise DataError(f"{source} could not be read as NIH's list of boxes: {error}") from error
    boxes = raw.rename(columns={"i": "image", "l": "label"})
    boxes["label"] = boxes["label"].replace(BOX_SPELLING)
    sides = boxes[list("xywh")].apply(pd.to_numeric, errors="coerce")
    far = np.maximum(sides["x"] + sides["w"], sides["y"] + sides["h"])
    for problem, rows in (
        ("has a label that NIH does not have", ~boxes["label"].isin(LABELS)),
        ("has a box with a side that is no number", sides.isna().any(axis=1)),
        ("has a box without an area", (sides[["w", "h"]] <= 0).any(axis=1)),
        (
            f"has a box outside the frame of {FRAME} x {FRAME} pixels",
            (sides[["x", "y"]] < 0).any(axis=1) | (far > FRAME),
        ),
    ):
        if rows.any():
            first = int(np.argmax(rows.to_numpy()))
            raise DataError(
                f"{source}, line {first + 2}: {boxes['image'].iloc[first]} {problem}. Expected "
                "Image Index, Finding Label, x, y, width and height. Fetch the list again from NIH."
            )
    return boxes.assign(**sides)


def _years(cells: pd.Series) -> pd.Series:
    # The table of 2017 has been published with units as well: 058Y, 011M, 003D.
    number = pd.to_numeric(cells.str.rstrip("YMD"), errors="coerce")
    unit = cells.str[-1:].map({"M": 12.0, "D": 365.25}).fillna(1.0)
    return number / unit


def _choose_table(root: Path, labels: str) -> Path:
    wanted = TABLES.values() if labels == "auto" else (TABLES[labels],)
    for name in wanted:
        if (root / name).is_file():
            return root / name
    raise DataError(
        f"Found no {' or '.join(wanted)} in {root}. "
        "Pass --data the folder that holds images_001 and NIH's label table."
    )
