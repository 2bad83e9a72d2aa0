"""Keeps the starter weights: half precision, what validation chose, and what scoring found."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from chexnet.data.datasets import open_data_set
from chexnet.data.formats import DataRequest
from chexnet.errors import CheckpointError
from chexnet.evaluation.calibration import calibrate, choose_thresholds, validation_choices
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.localization import mean_contributions
from chexnet.evaluation.scores import joined
from chexnet.evaluation.scoring import score_weights
from chexnet.evaluation.validation import validation_scores
from chexnet.model import load_weights, save_weights, update_metadata
from chexnet.training.describe import describe


def store(
    source: Path,
    target: Path,
    mixture: Path,
    packs: Path,
    on_progress: Callable[[int, int], None] | None = None,
) -> None:
    """Write the weights in half precision, with the validation figures of what is kept.

    Probabilities are calibrated, and figures given, on the real radiographs of the validation part,
    because real ones are what people upload. Few of them have a rare finding: thresholds are chosen
    on real and drawn pictures together, with the drawn ones of the test part (what is reported
    comes of other phantoms).

    Args:
        source: weights of the training run.
        target: the file to write.
        mixture: the folder that it was trained on.
        packs: folder of packs.
        on_progress: called with images scored and in all.
    """
    request = DataRequest(mixture, packs=packs)
    model, metadata = load_weights(source)
    if metadata.trained_hashes is None:
        raise CheckpointError(
            f"{source} does not say what it was trained on. Pass a run's weights."
        )
    save_weights(target, model, metadata, half=True)
    scored = joined(
        [
            score_weights(request, target, part, on_progress=on_progress).scores
            for part in ("val", "test")
        ]
    )
    holdout = open_holdout(request, target, "val")
    phantoms = holdout.datamodule.drawn
    real = np.flatnonzero(~np.isin(scored.images, list(phantoms)))
    made = metadata.provenance
    kept = describe(
        metadata.preprocessing,
        scored.take(real),
        trained=metadata.trained_hashes,
        facts=metadata.data,
        config=made["config"],
        origin=made["origin"],
        epoch=made["epoch"],
    )
    own = validation_choices(kept)
    if own is None:
        raise CheckpointError(f"{source} chose nothing on its validation part.")
    calibrated = calibrate(scored, own.calibrations)
    drawn = len(scored.images) - len(real)
    together = f"{len(real):,} real and {drawn:,} drawn images together"
    chosen = {"thresholds": choose_thresholds(calibrated), "thresholds_source": together}
    rows = holdout.datamodule.rows("val")
    names = holdout.datamodule.folder.table["image"].iloc[rows]
    data = open_data_set(
        holdout.datamodule.folder,
        rows[~names.isin(phantoms)],
        metadata.classes,
        metadata.preprocessing,
        holdout.datamodule.pack,
    )
    means = mean_contributions(holdout.model, metadata.preprocessing, data)
    described = replace(
        kept,
        validation=kept.validation | chosen,
        validation_scores=validation_scores(scored, together, drawn=phantoms),
        mean_contributions=means,
    )
    save_weights(target, model, described, half=True)


def report(weights: Path, scorings: dict[str, Path]) -> None:
    """Write the figures of scorings into the weights file, for whoever opens it.

    Args:
        weights: the stored file.
        scorings: `radiographs` and `phantoms` to the folder of a scoring.
    """
    _, metadata = load_weights(weights)
    reported = {}
    for kind, folder in scorings.items():
        metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
        names = ("images", "patients", "classes", "mean_auroc")
        reported[kind] = {name: metrics[name] for name in names}
    validation = metadata.validation | {"reported": reported}
    update_metadata(weights, replace(metadata, validation=validation))
