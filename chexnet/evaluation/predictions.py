"""Predictions as a CSV file: one row an image, `Image Index` and one `prob_<label>` a class."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.datasets import targets_of
from chexnet.data.formats import DataRequest, open_folder
from chexnet.data.splits import LEAKY, make_split
from chexnet.data.tables import is_among, refuse_rows
from chexnet.errors import ConfigError, DataError, LeakError
from chexnet.evaluation.calibration import fit_on
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.scores import UNKNOWN, Scores, as_targets
from chexnet.evaluation.scoring import Scored
from chexnet.files import plain, replacing
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
        for name, _, truth in scores.columns():
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
    problems = {
        f"is no image of the label table ({len(table):,} images)": ~pd.Series(
            is_among(names, known.index), names.index
        ),
        "is a duplicate image": names.duplicated(),
        "has a value that is no number": values.isna().any(axis=1),
        "has a value outside 0..1 (logits?)": ((values < 0) | (values > 1)).any(axis=1),
    }
    refuse_rows(path, names, problems, "Expected one row an image with probabilities.")
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


def score_predictions(
    request: DataRequest,
    predictions: Path,
    part: str,
    *,
    validation: Path | None = None,
    allow_leak: bool = False,
    partial: bool = False,
) -> Scored:
    """Score a file of predictions; no picture is needed, labels come from the table.

    Args:
        request: which label table, and the division that the part is of.
        predictions: CSV, see `read_predictions`.
        part: `val` or `test`, whose images the file may hold; or `all` for any image.
        validation: CSV of validation images, which calibration and thresholds are chosen on.
        allow_leak: score images outside the part as well; stamped.
        partial: score a file that has only some images of the part; noted.

    Raises:
        ChexnetError: a file that is no predictions, or with images outside the part, or without
            some of it; or the two files share patients.
    """
    scored = _score_part(request, predictions, part, allow_leak=allow_leak, partial=partial)
    if validation is None:
        return scored
    val = _score_part(request, validation, "val", allow_leak=allow_leak, partial=partial).scores
    shared = set(val.patients) & set(scored.scores.patients)
    if shared and part != "val":
        raise ConfigError(
            f"{len(shared):,} patients of {validation} stand in {predictions} as well. Thresholds "
            "are chosen on other patients than they are scored on."
        )
    source = f"{len(val.images):,} validation images ({validation.name})"
    return replace(scored, chosen=fit_on(val, source))


def _score_part(
    request: DataRequest, predictions: Path, part: str, *, allow_leak: bool, partial: bool
) -> Scored:
    folder = open_folder(request, need_images=False)
    scores = read_predictions(predictions, folder.table)
    unknown = "Nobody can tell from a file of predictions what its network was trained on."
    notes = [*folder.notes, unknown]
    facts = ScoringInfo(
        table=folder.table_name,
        label_version=folder.version,
        dataset=folder.dataset if folder.mapping else None,
        label_mapping=plain(folder.mapping),
        images_of=folder.images_of or None,
        split="none",
        leaky=False,
        part=part,
        predictions=predictions.name,
    )
    if part == "all":
        notes.append(
            "Scored without a split (--split all): the figures may include training images."
        )
        return Scored(scores, facts, notes, folder.table)
    divided = make_split(folder, request.split, request.seed, allow_leak=allow_leak)
    names = folder.table["image"].iloc[divided.rows[part]]
    missing = names[~names.isin(scores.images)]
    of_part = len(names)
    in_part = of_part - len(missing)
    outside = len(scores.images) - in_part
    if outside and not allow_leak:
        raise LeakError(
            f"{outside:,} of {len(scores.images):,} images in {predictions} are not in the {part} "
            f"part of the {divided.scheme} split. Pass the part that they are of, --split all, or "
            f"--allow-leak to have the figures stamped {LEAKY}."
        )
    if in_part < of_part:
        has = f"has {in_part:,} of the {of_part:,} images of the {part} part"
        if not partial:
            raise DataError(
                f"{predictions} {has}; {missing.iloc[0]} is the first that it lacks. Figures on "
                "some images are no figures on the part: predict the others too, or pass "
                "--partial."
            )
        notes.append(f"The file {has}; the figures are not figures on the whole part.")
    facts = replace(
        facts,
        split=divided.scheme,
        split_seed=request.seed,
        leaky=bool(divided.leaky or outside),
        images_of_part=in_part,
        images_in_part=of_part,
    )
    return Scored(scores, facts, notes, folder.table)
