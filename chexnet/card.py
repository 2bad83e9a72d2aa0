"""What a run writes into its weights file beside the tensors."""

from typing import Any

import numpy as np
import torch

from chexnet import distributed
from chexnet.evaluation.calibration import as_card, calibrate, fit_calibrations
from chexnet.evaluation.draws import REPLICATES
from chexnet.evaluation.metrics import Scores, operating_curve
from chexnet.evaluation.operating import choose_thresholds
from chexnet.evaluation.summary import as_dict, summarise
from chexnet.model import Card
from chexnet.provenance import surroundings
from chexnet.transforms import Preprocessing


def make_card(
    preprocessing: Preprocessing,
    scores: Scores,
    *,
    trained: tuple[np.ndarray, np.ndarray],
    facts: dict[str, Any],
    config: dict[str, Any],
    origin: str,
    epoch: int,
) -> Card:
    """Describe a network by its data, its making and its validation figures.

    Args:
        preprocessing: of its input.
        scores: its answers on the validation part.
        trained: hashes of all images and of all patients that it has ever been trained on.
        facts: of its data, see `Study.facts`.
        config: of the run, plain values.
        origin: where its first weights came from.
        epoch: epochs that it has seen.

    Returns:
        A card whose provenance carries the hashes, so that nobody scores the network on what it was
        trained on by mistake.
    """

    calibrations = fit_calibrations(scores)
    calibrated = calibrate(scores, calibrations)
    columns = zip(scores.classes, calibrated.probabilities.T, scores.targets.T, strict=True)
    return Card(
        classes={name: index for index, name in enumerate(scores.classes)},
        preprocessing=preprocessing,
        provenance={
            "data": facts,
            "trained_images": torch.from_numpy(trained[0].copy()),
            "trained_patients": torch.from_numpy(trained[1].copy()),
            "config": config,
            "origin": origin,
            "epoch": epoch,
            "processes": distributed.world(),
            **surroundings(),
        },
        validation={
            "figures": as_dict(summarise(scores, replicates=REPLICATES)),
            "calibration": as_card(calibrations),
            # Of calibrated probabilities, which are what a reader of the file sees.
            "operating_curve": {
                name: operating_curve(given, truth) for name, given, truth in columns
            },
            "thresholds": choose_thresholds(calibrated),
        },
    )
