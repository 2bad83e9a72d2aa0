"""What radiologists said of NIH's images: RSNA's and Google's labels, read from the user's files.

NIH's labels were mined from reports. Two groups had radiologists look at some of the same images:
the RSNA Pneumonia Detection Challenge (Shih et al., Radiology: Artificial Intelligence 2019), which
names its images anew, and Google (Majkowska et al., Radiology 2020). Neither's files belong to this
project; whoever has them names them, and every message here says where they come from.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chexnet.data.rsna import RSNA_LABELS, RSNA_SOURCE, read_rsna_rows
from chexnet.data.tables import read_csv, refuse_rows
from chexnet.errors import DataError
from chexnet.evaluation.scores import Figures

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
    def about(self) -> Figures:
        """What was read, under the keys of `metrics.json`."""
        return {
            "title": TITLES[self.key],
            "source": CITED[self.key],
            "files": self.files,
            "images_without_nih_image": self.unmapped,
        }


def read_experts(given: Sequence[str]) -> list[ExpertLabels]:
    """Read what the user named.

    Args:
        given: `rsna=FOLDER` or `google=FILE`, each at most once.

    Raises:
        DataError: something else, or files that are not what they are said to be.
    """
    readers = {"rsna": read_rsna, "google": read_google}
    groups: dict[str, ExpertLabels] = {}
    for text in given:
        key, _, path = text.partition("=")
        if key not in readers or not path:
            raise DataError(
                f"Found {text!r}, expected rsna=FOLDER or google=FILE. {RSNA_SOURCE} "
                f"{GOOGLE_SOURCE}"
            )
        if key in groups:
            raise DataError(f"Found {key} twice, expected it once.")
        groups[key] = readers[key](Path(path))
    return list(groups.values())


def read_rsna(folder: Path) -> ExpertLabels:
    """Read the labels of RSNA's challenge: one answer and any number of boxes an image.

    Args:
        folder: holds `stage_2_train_labels.csv` and one of `RSNA_MAPPINGS`.

    Raises:
        DataError: a file is missing or names its first wrong line; no image is known to NIH.
    """
    if not folder.is_dir():
        raise DataError(f"Found no folder {folder}. Expected {RSNA_SOURCE}")
    rows = read_rsna_rows(folder / RSNA_LABELS)
    raw, sides, images = rows.raw, rows.sides, rows.raw["image"]
    positive, boxed = raw["Target"] == "1", sides.notna().all(axis=1)
    known = images.notna()
    answers = positive[known].groupby(images[known]).any().to_frame("Target")
    answers.index.name = "image"
    boxes = sides[known & boxed].assign(image=images[known & boxed], label="Pneumonia")
    return ExpertLabels(
        "rsna",
        answers,
        boxes[["image", "label", *"xywh"]].reset_index(drop=True),
        int(raw["patientId"][~known].nunique()),
        (RSNA_LABELS, rows.mapping_name),
    )


def read_google(source: Path) -> ExpertLabels:
    """Read the labels of Google's radiologists.

    Args:
        source: CSV with `Image Index` and a YES or NO a finding.

    Raises:
        DataError: no such file, or it names its first wrong line.
    """
    asked = [question.asked for question in QUESTIONS["google"]]
    expected = f"Expected {GOOGLE_SOURCE}"
    raw = read_csv(source, ("Image Index", *asked), expected)
    cells = raw[asked].apply(lambda column: column.str.upper())
    problems = {
        "is a duplicate image": raw["Image Index"].duplicated(),
        "has an answer that is neither YES nor NO": ~cells.isin(["YES", "NO"]).all(axis=1),
    }
    refuse_rows(source, raw["Image Index"], problems, expected)
    answers = (cells == "YES").set_axis(pd.Index(raw["Image Index"], name="image"))
    return ExpertLabels("google", answers, None, 0, (source.name,))
