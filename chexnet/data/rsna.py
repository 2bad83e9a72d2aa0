"""The files of RSNA's Pneumonia Detection Challenge, and which NIH image each of its images is.

Shih et al., Radiology: Artificial Intelligence 2019. Its files belong to whoever has them.
"""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.nih import FRAME
from chexnet.errors import DataError

RSNA_LABELS = "stage_2_train_labels.csv"
RSNA_MAPPINGS = ("pneumonia-challenge-dataset-mappings_2018.json", "rsna_to_nih.csv")
"""Which NIH image each RSNA image is: RSNA's own file, or the one that torchxrayvision made by
comparing pixels. The first that is there is read."""
RSNA_SOURCE = (
    "RSNA's files: stage_2_train_labels.csv from "
    "kaggle.com/c/rsna-pneumonia-detection-challenge, and "
    "pneumonia-challenge-dataset-mappings_2018.json from RSNA's page of the challenge of 2018 (or "
    "rsna_to_nih.csv with patientId and Image Index)."
)


@dataclass(frozen=True)
class RsnaRows:
    """RSNA's labels as they stand in the file, a row a box or an image without any.

    Attributes:
        raw: as text; beside the file's columns `image`, NIH's file name, or NaN where nobody knows.
        sides: `x`, `y`, `w`, `h` of each row's box in NIH's frame, NaN without one.
        mapping_name: the file that says which NIH image each is.
    """

    raw: pd.DataFrame
    sides: pd.DataFrame
    mapping_name: str


def read_rsna_rows(source: Path) -> RsnaRows:
    """Read the labels of RSNA's challenge.

    Args:
        source: `stage_2_train_labels.csv`; one of `RSNA_MAPPINGS` lies beside it.

    Raises:
        DataError: a file is missing or names its first wrong line; no image is known to NIH.
    """
    raw = read_expert_table(
        source, ("patientId", "x", "y", "width", "height", "Target"), RSNA_SOURCE
    )
    sides = raw[["x", "y", "width", "height"]].apply(pd.to_numeric, errors="coerce")
    sides.columns = pd.Index(list("xywh"))
    positive, boxed = raw["Target"] == "1", sides.notna().all(axis=1)
    far = np.maximum(sides["x"] + sides["w"], sides["y"] + sides["h"])
    outside = (
        (sides[["x", "y"]] < 0).any(axis=1) | (far > FRAME) | (sides[["w", "h"]] <= 0).any(axis=1)
    )
    refuse_expert_rows(
        source,
        raw["patientId"],
        (
            ("has a Target that is neither 0 nor 1", ~raw["Target"].isin(["0", "1"])),
            ("has a Target of 1 and no box, or a box and no Target of 1", positive != boxed),
            (f"has a box outside the frame of {FRAME} x {FRAME} pixels", boxed & outside),
            (
                "stands with Target 0 and with Target 1",
                positive.groupby(raw["patientId"]).transform("nunique") > 1,
            ),
        ),
        RSNA_SOURCE,
    )
    mapping, name = _rsna_mapping(source.parent)
    images = raw["patientId"].map(mapping)
    if not images.notna().any():
        raise DataError(
            f"None of the {raw['patientId'].nunique():,} images of {source} stands in {name}. "
            f"Expected files of the same data set: {RSNA_SOURCE}"
        )
    return RsnaRows(raw.assign(image=images), sides, name)


def _rsna_mapping(folder: Path) -> tuple[dict[str, str], str]:
    """RSNA's name of an image to NIH's, and the name of the file that says so."""
    name = next((name for name in RSNA_MAPPINGS if (folder / name).is_file()), "")
    source = folder / name
    if not name:
        raise DataError(
            f"{folder} has neither {' nor '.join(RSNA_MAPPINGS)}, which say which NIH image each "
            f"RSNA image is. Expected {RSNA_SOURCE}"
        )
    if name.endswith(".csv"):
        raw = read_expert_table(source, ("patientId", "Image Index"), RSNA_SOURCE)
        pairs = list(zip(raw["patientId"], raw["Image Index"], strict=True))
    else:
        try:
            pairs = [
                (str(one["subset_img_id"]).strip(), str(one["img_id"]).strip())
                for one in json.loads(source.read_text(encoding="utf-8-sig"))
                if one["subset_img_id"]  # RSNA lists images that its challenge left out
            ]
        except (OSError, ValueError, TypeError, KeyError) as error:
            raise DataError(
                f"{source} is no list of objects with subset_img_id and img_id "
                f"({type(error).__name__}). Expected {RSNA_SOURCE}"
            ) from error
        pairs = [(own, image + ".png" * (not image.endswith(".png"))) for own, image in pairs]
    mapping = dict(pairs)
    if len(mapping) < len(pairs) or len(set(mapping.values())) < len(pairs):
        raise DataError(
            f"{source} names an image twice. Expected one NIH image for each RSNA image. "
            f"{RSNA_SOURCE}"
        )
    return mapping, name


def read_expert_table(source: Path, needed: Sequence[str], expected: str) -> pd.DataFrame:
    """Read some columns of a CSV as text; a message says what was expected, and where from."""
    try:
        raw = pd.read_csv(source, dtype=str, encoding="utf-8-sig", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{source} could not be read as a CSV ({error}). {expected}") from error
    missing = [name for name in needed if name not in raw.columns]
    if missing or raw.empty:
        what = f"has no column {', '.join(missing)}" if missing else "has no rows"
        raise DataError(f"{source} {what}. Expected {expected}")
    stripped: pd.DataFrame = raw[list(needed)].apply(lambda column: column.str.strip())
    return stripped


def refuse_expert_rows(
    source: Path,
    names: pd.Series,
    problems: Sequence[tuple[str, pd.Series]],
    expected: str,
) -> None:
    """Refuse a table of which some rows have a problem, naming the first of them."""
    for problem, rows in problems:
        if rows.any():
            first = int(np.argmax(rows.to_numpy()))
            raise DataError(
                f"{source}, line {first + 2}: {names.iloc[first] or 'an image without a name'} "
                f"{problem}. Expected {expected}"
            )
