"""The files of RSNA's Pneumonia Detection Challenge, and which NIH image each of its images is.

Shih et al., Radiology: Artificial Intelligence 2019. Its files belong to whoever has them.
"""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chexnet.data.nih import OUTSIDE, outside_frame
from chexnet.data.tables import read_csv, read_text, refuse_rows
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
    raw = read_csv(
        source, ("patientId", "x", "y", "width", "height", "Target"), f"Expected {RSNA_SOURCE}"
    )
    sides = raw[["x", "y", "width", "height"]].apply(pd.to_numeric, errors="coerce")
    sides.columns = pd.Index(list("xywh"))
    positive, boxed = raw["Target"] == "1", sides.notna().all(axis=1)
    both = positive.groupby(raw["patientId"]).transform("nunique") > 1
    no_area = (sides[["w", "h"]] <= 0).any(axis=1)
    problems = {
        "has a Target that is neither 0 nor 1": ~raw["Target"].isin(["0", "1"]),
        "has a Target of 1 and no box, or a box and no Target of 1": positive != boxed,
        OUTSIDE: boxed & (outside_frame(sides) | no_area),
        "stands with Target 0 and with Target 1": both,
    }
    refuse_rows(source, raw["patientId"], problems, f"Expected {RSNA_SOURCE}")
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
    name = next((name for name in RSNA_MAPPINGS if os.path.lexists(folder / name)), "")
    source = folder / name
    if not name:
        raise DataError(
            f"{folder} has neither {' nor '.join(RSNA_MAPPINGS)}, which say which NIH image each "
            f"RSNA image is. Expected {RSNA_SOURCE}"
        )
    if name.endswith(".csv"):
        raw = read_csv(source, ("patientId", "Image Index"), f"Expected {RSNA_SOURCE}")
        pairs = list(zip(raw["patientId"], raw["Image Index"], strict=True))
    else:
        try:
            pairs = [
                (str(entry["subset_img_id"]).strip(), str(entry["img_id"]).strip())
                for entry in json.loads(read_text(source))
                if entry["subset_img_id"]  # RSNA lists images that its challenge left out
            ]
        except (ValueError, TypeError, KeyError, RecursionError) as error:
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
