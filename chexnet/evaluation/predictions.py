"""Predictions as a CSV file: one row an image, `Image Index` and one `prob_<label>` a class."""

from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.datasets import targets_of
from chexnet.errors import DataError
from chexnet.evaluation.metrics import Scores
from chexnet.files import replacing
from chexnet.labels import LABELS

PREFIX = "prob_"


def write_predictions(path: Path, scores: Scores) -> None:
    """Write every digit of the probabilities: scoring the file equals scoring the model."""
    table = pd.DataFrame(scores.probabilities, columns=[PREFIX + name for name in scores.classes])
    table.insert(0, "Image Index", scores.images)
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)  # pandas writes the shortest text that reads back


def read_predictions(path: Path, table: pd.DataFrame) -> Scores:
    """Read predictions that anyone made, and give them the labels of NIH's table.

    Args:
        path: CSV with `Image Index` and `prob_<label>` columns; other columns are ignored, and
            labels without a column are left out of the scores.
        table: see `NIHFolder.table`; the labels and patients come from it.

    Raises:
        DataError: names the first row or column that is wrong.
    """
    try:
        raw = pd.read_csv(path, dtype=str, keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{path} could not be read as a CSV of predictions: {error}") from error
    classes = [name for name in LABELS if PREFIX + name in raw.columns]
    if "Image Index" not in raw.columns or not classes:
        raise DataError(
            f"{path} has columns {', '.join(map(str, raw.columns[:4]))}; expected Image Index and "
            f"at least one of {', '.join(PREFIX + name for name in LABELS[:3])} ..."
        )
    strange = [
        name
        for name in raw.columns
        if name.startswith(PREFIX) and name.removeprefix(PREFIX) not in LABELS
    ]
    if strange:
        raise DataError(
            f"{path} has a column {strange[0]}, which is no label. Expected prob_ and one of "
            f"{', '.join(LABELS)}."
        )
    if raw.empty:
        raise DataError(f"{path} has no rows.")
    known = table.set_index("image")
    names = raw["Image Index"].str.strip()
    values = raw[[PREFIX + name for name in classes]].map(_number)
    for problem, rows in (
        (f"is no image of the label table ({len(table):,} images)", ~names.isin(known.index)),
        ("stands twice", names.duplicated()),
        ("has a value that is no number", values.isna().any(axis=1)),
        ("has a value outside 0..1 (logits?)", ((values < 0) | (values > 1)).any(axis=1)),
    ):
        if rows.any():
            first = int(np.argmax(rows.to_numpy()))
            raise DataError(
                f"{path}, line {first + 2}: {names.iloc[first] or 'an image without a name'} "
                f"{problem}. Expected one row an image with probabilities."
            )
    chosen = known.loc[names]
    targets = targets_of(chosen["labels"].tolist(), {name: i for i, name in enumerate(classes)})
    return Scores(
        images=names.tolist(),
        patients=chosen["patient"].tolist(),
        classes=classes,
        probabilities=values.to_numpy(np.float64, copy=True),
        targets=targets.astype(np.int8),
    )


def _number(cell: str) -> float:
    try:
        return float(cell)  # every digit counts, which not every CSV reader's floats keep
    except ValueError:
        return float("nan")
