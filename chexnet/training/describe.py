"""Describes a network that was trained: the metadata of its weights file."""

from typing import Any

import numpy as np
import torch

from chexnet import distributed
from chexnet.evaluation.bootstrap import REPLICATES
from chexnet.evaluation.calibration import calibrate
from chexnet.evaluation.metrics import Scores, operating_curve
from chexnet.evaluation.summary import as_dict, summarise
from chexnet.evaluation.thresholds import fit_on
from chexnet.evaluation.validation_scores import validation_scores
from chexnet.metadata import DataFacts, Metadata, surroundings
from chexnet.transforms import Preprocessing


def describe(
    preprocessing: Preprocessing,
    scores: Scores,
    *,
    trained: tuple[np.ndarray, np.ndarray],
    facts: DataFacts,
    config: dict[str, Any],
    origin: str,
    epoch: int,
) -> Metadata:
    """Describe a network by its data, its making and its validation figures.

    Args:
        preprocessing: of its input.
        scores: its answers on the validation part.
        trained: hashes of all images and of all patients that it has ever been trained on.
        facts: of its data, see `DataModule.facts`.
        config: of the run, plain values.
        origin: where its first weights came from.
        epoch: epochs that it has seen.

    Returns:
        Metadata whose provenance carries the hashes, so that nobody scores the network on what it
        was trained on by mistake.
    """
    return Metadata(
        classes={name: index for index, name in enumerate(scores.classes)},
        preprocessing=preprocessing,
        provenance={
            "data": facts.as_dict(),
            "trained_images": torch.from_numpy(trained[0].copy()),
            "trained_patients": torch.from_numpy(trained[1].copy()),
            "config": config,
            "origin": origin,
            "epoch": epoch,
            "processes": distributed.world(),
            **surroundings(),
        },
        validation=describe_validation(scores),
        validation_scores=validation_scores(scores),
    )


def describe_validation(scores: Scores) -> dict[str, Any]:
    """What `Metadata.validation` says of a validation part: figures, calibration and thresholds.

    Args:
        scores: the network's answers on it, before calibration.
    """
    chosen = fit_on(scores, "its validation part")
    calibrated = calibrate(scores, chosen.calibrations)
    columns = zip(scores.classes, calibrated.probabilities.T, scores.targets.T, strict=True)
    return {
        "figures": as_dict(summarise(scores, replicates=REPLICATES)),
        **chosen.as_metadata(),
        # Of calibrated probabilities, which are what a reader of the file sees.
        "operating_curve": {name: operating_curve(given, truth) for name, given, truth in columns},
    }
