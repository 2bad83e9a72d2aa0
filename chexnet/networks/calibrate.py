"""Calibration and thresholds of a network from elsewhere, chosen on a user's validation images."""

import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from chexnet.data.formats import DataRequest
from chexnet.errors import DataError, LeakError
from chexnet.evaluation.calibration import enough
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.scoring import score_holdout
from chexnet.evaluation.validation import describe_validation, validation_scores
from chexnet.files import replacing
from chexnet.metadata import surroundings
from chexnet.model import update_metadata


@dataclass(frozen=True)
class Calibrated:
    """What `calibrate_weights` did.

    Attributes:
        images: that calibration and thresholds were chosen on.
        of: images of the validation part that are here.
        patients: of these images.
        split: the division that the part is of.
        seen: the network was trained on them, or on their patients.
        own: classes with a calibration and thresholds of their own.
        pooled: classes with too few positives: one calibration for all, and no threshold.
    """

    images: int
    of: int
    patients: int
    split: str
    seen: bool
    own: list[str]
    pooled: list[str]


def calibrate_weights(
    weights: Path,
    request: DataRequest,
    out: Path | None = None,
    *,
    allow_seen: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    **options: Any,
) -> Calibrated:
    """Choose calibration and thresholds as training does, and write them into a weights file.

    The images are those of the folder's validation part that the network has not seen. The tensors
    stay as they are; the file is replaced atomically.

    Args:
        weights: a weights file.
        request: see `open_holdout`.
        out: the file to write; `weights` itself by default.
        allow_seen: take all images of the part, although it was trained on some; stamped.
        on_progress: called with images done and in all.
        options: further arguments of `score_holdout`.

    Raises:
        LeakError: the network has seen all of them, and `allow_seen` is False.
        DataError: none is here, or no class has enough positives among them.
    """
    try:
        holdout = open_holdout(request, weights, "val", seen="stamp" if allow_seen else "skip")
    except LeakError as error:
        raise LeakError(f"{error} --allow-seen takes them all the same; stamped.") from error
    scores = score_holdout(holdout, on_progress=on_progress, **options)
    own = [n for n, truth in zip(scores.classes, scores.targets.T, strict=True) if enough(truth)]
    if not enough(scores.targets.ravel()):
        raise DataError(
            f"The {len(scores.images):,} validation images have too few positives to choose "
            "anything on. Fetch more of NIH's image folders."
        )
    facts = holdout.facts
    made = {
        "chosen_on_seen": facts.leaky,
        "calibrated": {
            "date": surroundings()["date"],
            "table": facts.table,
            "label_version": facts.label_version,
            "split": facts.split,
            "images": len(scores.images),
            "fingerprint": facts.fingerprint,
        },
    }
    metadata = holdout.metadata
    described = replace(
        metadata,
        validation=metadata.validation | describe_validation(scores) | made,
        validation_scores=validation_scores(
            scores,
            f"the validation part of {facts.table}",
            drawn=holdout.datamodule.drawn,
        ),
    )
    if out is None or (out.exists() and out.samefile(weights)):
        update_metadata(weights, described)
    else:
        with replacing(out) as temporary:
            shutil.copyfile(weights, temporary)
            update_metadata(temporary, described)
    return Calibrated(
        images=len(scores.images),
        of=facts.clean_of if facts.clean_of is not None else len(scores.images),
        patients=len(set(scores.patients)),
        split=facts.split,
        seen=facts.leaky,
        own=own,
        pooled=[name for name in scores.classes if name not in own],
    )
