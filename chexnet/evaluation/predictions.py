"""Predictions as a CSV file: one row an image, `Image Index` and one `prob_<label>` a class."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.datasets import targets_of
from chexnet.errors import DataError
from chexnet.evaluation.metrics import UNKNOWN, Scores, as_targets
from chexnet.files import replacing
from chexnet.labels import LABELS

PREFIX = "prob_"


def write_predictions(path: Path, scores: Scores) -> None:
    """Write every digit of the probabilities: scoring the file equals scoring the model.

    Where the label table does not say everything, its labels stand beside them (`label_<label>`),
    and what it does not say is an empty cell.
    """
    table = pd.DataFrame(scores.probabilities, columns=[PREFIX + name for name in scores.classes])
    table.insert(0, "Image Index", scores.images)
    if (scores.targets == UNKNOWN).any():
        for name, truth in zip(scores.classes, scores.targets.T, strict=True):
            labels = pd.array(truth, dtype="Int8")
            labels[truth == UNKNOWN] = pd.NA
            table[f"label_{name}"] = labels
    with replacing(path) as temporary:
        table.to_csv(temporary, index=False)  # pandas writes the shortest text that reads back


def read_predictions(path: Path, table: pd.DataFrame) -> Scores:
    """Read predictions that anyone made, and give them the labels of a table.

    Args:
        path: CSV with `Image Index` and `prob_<label>` columns; other columns are ignored, and
            labels without a column are left out of the scores.
        table: see `DataFolder.table`; the labels and patients come from it.

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
    chosen = known.loc[names.tolist()]
    numbers = {name: i for i, name in enumerate(classes)}
    targets = targets_of(chosen["labels"].tolist(), numbers, chosen["unknown"].tolist())
    return Scores(
        images=names.tolist(),
        patients=chosen["patient"].tolist(),
        classes=classes,
        probabilities=values.to_numpy(np.float64, copy=True),
        targets=as_targets(targets),
    )


def _number(cell: str) -> float:
    try:
        return float(cell)  # every digit counts, which not every CSV reader's floats keep
    except ValueError:
        return float("nan")


@dataclass(frozen=True)
class Relabelled:
    """Scores against several tables.

    Attributes:
        images: those that stand in all of the tables.
        scores: table name to scores of these images.
        differing: images whose labels are not the same in all of them.
    """

    images: list[str]
    scores: dict[str, Scores]
    differing: int


def relabelled(scores: Scores, tables: Mapping[str, pd.DataFrame]) -> Relabelled:
    """Give the same answers the labels of each table.

    Args:
        scores: the answers.
        tables: name to table, see `DataFolder.table`.
    """
    by_name = {name: table.set_index("image")["labels"] for name, table in tables.items()}
    kept = [
        row
        for row, image in enumerate(scores.images)
        if all(image in labels.index for labels in by_name.values())
    ]
    chosen = scores.take(np.array(kept, int))
    classes = {name: index for index, name in enumerate(chosen.classes)}
    lists = {name: labels.loc[chosen.images].tolist() for name, labels in by_name.items()}
    sets = zip(*([frozenset(one) for one in column] for column in lists.values()), strict=True)
    found = {
        name: replace(chosen, targets=targets_of(column, classes).astype(np.int8))
        for name, column in lists.items()
    }
    return Relabelled(chosen.images, found, sum(len(set(one)) > 1 for one in sets))
