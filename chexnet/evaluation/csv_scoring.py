"""Scores of predictions that somebody made, with their facts; no picture is needed."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.folder import DataFolder
from chexnet.data.formats import DataRequest, open_folder
from chexnet.data.splits import LEAKY, make_split
from chexnet.errors import ConfigError, DataError, LeakError
from chexnet.evaluation.facts import ScoringFacts
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.predictions import read_predictions
from chexnet.evaluation.scoring import Scored
from chexnet.evaluation.thresholds import fit_on


def score_predictions(
    request: DataRequest,
    predictions: Path,
    part: str,
    *,
    allow_leak: bool = False,
    partial: bool = False,
) -> Scored:
    """Score a file of predictions; no picture is needed, labels come from the table.

    Args:
        request: which label table, and the division that the part is of.
        predictions: CSV, see `read_predictions`.
        part: `val` or `test`, whose images the file may hold; or `all` for any image.
        allow_leak: score images outside the part as well; stamped.
        partial: score a file that has only some images of the part; noted.

    Raises:
        ChexnetError: a file that is no predictions, or with images outside the part, or without
            some of it.
    """
    folder = open_folder(request, need_images=False)
    scores = read_predictions(predictions, folder.table)
    unknown = "Nobody can tell from a file of predictions what its network was trained on."
    notes = [*folder.notes, unknown]
    facts = ScoringFacts(
        table=folder.table_name,
        label_version=folder.version,
        dataset=folder.dataset if folder.mapping else None,
        label_mapping=folder.mapping.as_dict() if folder.mapping else None,
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
    in_part, outside = _place(folder, divided.rows[part], scores)
    if outside and not allow_leak:
        raise LeakError(
            f"{outside:,} of {len(scores.images):,} images in {predictions} are not in the {part} "
            f"part of the {divided.scheme} split. Pass the part that they are of, --split all, or "
            f"--allow-leak to have the figures stamped {LEAKY}."
        )
    of_part = len(divided.rows[part])
    if in_part < of_part:
        has = f"has {in_part:,} of the {of_part:,} images of the {part} part"
        if not partial:
            have, wanted = set(scores.images), folder.table["image"].iloc[divided.rows[part]]
            first = next(name for name in wanted if name not in have)
            raise DataError(
                f"{predictions} {has}; {first} is the first that it lacks. Figures on some images "
                "are not figures on the part: predict the others too, or pass --partial."
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


def _place(folder: DataFolder, rows: np.ndarray, scores: Scores) -> tuple[int, int]:
    part = set(folder.table["image"].to_numpy()[rows])
    inside = sum(name in part for name in scores.images)
    return inside, len(scores.images) - inside


def score_predictions_with_validation(
    request: DataRequest, predictions: Path, validation: Path | None, part: str, **options: Any
) -> Scored:
    """Score a CSV; calibration and thresholds come from another one, of validation images.

    Args:
        request: see `score_predictions`; so are predictions, part and the options.
        predictions: CSV of the part.
        validation: CSV of validation images, None for no thresholds.
        part: `val`, `test` or `all`.
        options: further arguments of `score_predictions`.

    Raises:
        ChexnetError: see `score_predictions`; or the files share patients.
    """
    scored = score_predictions(request, predictions, part, **options)
    if not validation:
        return scored
    val = score_predictions(request, validation, "val", **options).scores
    shared = set(val.patients) & set(scored.scores.patients)
    if shared and part != "val":
        raise ConfigError(
            f"{len(shared):,} patients of {validation} stand in {predictions} as well. Thresholds "
            "are chosen on other patients than they are scored on."
        )
    source = f"{len(val.images):,} validation images ({validation.name})"
    return replace(scored, chosen=fit_on(val, source))
