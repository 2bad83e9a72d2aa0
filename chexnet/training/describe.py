"""Describes a network that was trained: the metadata of its weights file."""

from collections.abc import Collection
from typing import Any

import numpy as np
import torch

from chexnet import compute
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.validation import describe_validation, validation_scores
from chexnet.metadata import DataInfo, Metadata, surroundings
from chexnet.transforms import Preprocessing


def describe(
    preprocessing: Preprocessing,
    scores: Scores,
    *,
    trained: tuple[np.ndarray, np.ndarray],
    facts: DataInfo,
    config: dict[str, Any],
    origin: str,
    epoch: int,
    drawn: Collection[str] = (),
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
        drawn: names of phantoms among the images of `scores`.

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
            "processes": compute.world(),
            **surroundings(),
        },
        validation=describe_validation(scores),
        validation_scores=validation_scores(scores, drawn=drawn),
    )
