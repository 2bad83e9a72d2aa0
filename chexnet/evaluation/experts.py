"""What radiologists said of NIH's images: RSNA's and Google's labels, read from the user's files.

NIH's labels were mined from reports. Two groups had radiologists look at some of the same images:
the RSNA Pneumonia Detection Challenge (Shih et al., Radiology: Artificial Intelligence 2019), which
names its images anew, and Google (Majkowska et al., Radiology 2020). Neither's files belong to this
project; whoever has them names them, and every message here says where they come from.
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
GOOGLE_SOURCE = (
    "Google's file: the expert labels of four findings from "
    "cloud.google.com/healthcare-api/docs/resources/public-datasets/nih-chest."
)
OPACITY = ("Pneumonia", "Infiltration", "Consolidation")


@dataclass(frozen=True)
class Question:
    """What radiologists were asked, and which findings of NIH answer it.

    Attributes:
        asked: column of the radiologists' file.
        findings: the greatest probability among these is the answer, and the text label is
            positive where one of them is; empty where no finding of NIH says the same.
    """

    asked: str
    findings: tuple[str, ...]

    @property
    def name(self) -> str:
        """For a row of a table."""
        return f"{self.asked} ~ {' or '.join(self.findings) or 'nothing'}"


QUESTIONS = {
    "rsna": (Question("Target", ("Pneumonia",)), Question("Target", OPACITY)),
    "google": (
        Question("Pneumothorax", ("Pneumothorax",)),
        Question("Nodule or mass", ("Nodule", "Mass")),
        Question("Airspace opacity", OPACITY),
        Question("Fracture", ()),
    ),
}
TITLES = {"rsna": "RSNA 2018", "google": "Google 2020"}
CITED = {
    "rsna": "Shih et al., Radiology: Artificial Intelligence 2019",
    "google": "Majkowska et al., Radiology 2020",
}


@dataclass(frozen=True)
class ExpertLabels:
    """The answers of one group of radiologists.

    Attributes:
        key: `rsna` or `google`.
        answers: bool, a row an image of NIH (the index: its file name), a column a question.
        boxes: as `read_boxes` gives NIH's; None where none were drawn.
        unmapped: images of the radiologists' that no NIH image is known for; left out.
        files: names of the files they were read from.
    """

    key: str
    answers: pd.DataFrame
    boxes: pd.DataFrame | None
    unmapped: int
    files: tuple[str, ...]

    @property
    def questions(self) -> tuple[Question, ...]:
        """The rows of every table."""
        return QUESTIONS[self.key]

    @property
    def told(self) -> str:
        """What was read, in one sentence."""
        text = (
            f"{TITLES[self.key]} ({CITED[self.key]}): {len(self.answers):,} images of NIH, read "
            f"from {' and '.join(self.files)}"
        )
        if self.unmapped:
            text += f"; {self.unmapped:,} more have no known NIH image and are left out"
        return f"{text}."


def read_experts(given: Sequence[str]) -> list[ExpertLabels]:
    """Read what the user named.

    Args:
        given: `rsna=FOLDER` or `google=FILE`, each at most once.

    Raises:
        DataError: something else, or files that are not what they are said to be.
    """
    readers = {"rsna": read_rsna, "google": read_google}
    found: dict[str, ExpertLabels] = {}
    for one in given:
        key, _, path = one.partition("=")
        if key not in readers or not path:
            raise DataError(
                f"Found {one!r}, expected rsna=FOLDER or google=FILE. {RSNA_SOURCE} {GOOGLE_SOURCE}"
            )
        if key in found:
            raise DataError(f"Found {key} twice, expected it once.")
        found[key] = readers[key](Path(path))
    return list(found.values())


def read_rsna(folder: Path) -> ExpertLabels:
    """Read the labels of RSNA's challenge: one answer and any number of boxes an image.

    Args:
        folder: holds `stage_2_train_labels.csv` and one of `RSNA_MAPPINGS`.

    Raises:
        DataError: a file is missing or names its first wrong line; no image is known to NIH.
    """
    if not folder.is_dir():
        raise DataError(f"Found no folder {folder}. Expected {RSNA_SOURCE}")
    source = folder / RSNA_LABELS
    raw = _table(source, ("patientId", "x", "y", "width", "height", "Target"), RSNA_SOURCE)
    sides = raw[["x", "y", "width", "height"]].apply(pd.to_numeric, errors="coerce")
    sides.columns = pd.Index(list("xywh"))
    positive, boxed = raw["Target"] == "1", sides.notna().all(axis=1)
    far = np.maximum(sides["x"] + sides["w"], sides["y"] + sides["h"])
    outside = (
        (sides[["x", "y"]] < 0).any(axis=1) | (far > FRAME) | (sides[["w", "h"]] <= 0).any(axis=1)
    )
    _refuse(
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
    mapping, name = _rsna_mapping(folder)
    images = raw["patientId"].map(mapping)
    known = images.notna()
    if not known.any():
        raise DataError(
            f"None of the {raw['patientId'].nunique():,} images of {source} stands in {name}. "
            f"Expected files of the same data set: {RSNA_SOURCE}"
        )
    answers = positive[known].groupby(images[known]).any().to_frame("Target")
    answers.index.name = "image"
    boxes = sides[known & boxed].assign(image=images[known & boxed], label="Pneumonia")
    return ExpertLabels(
        "rsna",
        answers,
        boxes[["image", "label", *"xywh"]].reset_index(drop=True),
        int(raw["patientId"][~known].nunique()),
        (RSNA_LABELS, name),
    )


def read_google(source: Path) -> ExpertLabels:
    """Read the labels of Google's radiologists.

    Args:
        source: CSV with `Image Index` and a YES or NO a finding.

    Raises:
        DataError: no such file, or it names its first wrong line.
    """
    asked = [question.asked for question in QUESTIONS["google"]]
    raw = _table(source, ("Image Index", *asked), GOOGLE_SOURCE)
    cells = raw[asked].apply(lambda column: column.str.upper())
    _refuse(
        source,
        raw["Image Index"],
        (
            ("stands twice", raw["Image Index"].duplicated()),
            ("has an answer that is neither YES nor NO", ~cells.isin(["YES", "NO"]).all(axis=1)),
        ),
        GOOGLE_SOURCE,
    )
    answers = (cells == "YES").set_axis(pd.Index(raw["Image Index"], name="image"))
    return ExpertLabels("google", answers, None, 0, (source.name,))


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
        raw = _table(source, ("patientId", "Image Index"), RSNA_SOURCE)
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


def _table(source: Path, needed: Sequence[str], expected: str) -> pd.DataFrame:
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


def _refuse(
    source: Path,
    names: pd.Series,
    problems: Sequence[tuple[str, pd.Series]],
    expected: str,
) -> None:
    for problem, rows in problems:
        if rows.any():
            first = int(np.argmax(rows.to_numpy()))
            raise DataError(
                f"{source}, line {first + 2}: {names.iloc[first] or 'an image without a name'} "
                f"{problem}. Expected {expected}"
            )
