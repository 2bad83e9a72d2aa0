"""What a weights file says of its validation part, and the scores that travel with it.

Of the scores every image is kept, and at most 2,000 scores a class.

Whoever has the file can choose another operating point, or give any figure an interval by patients,
without the images. Every validation image is kept. What is thinned is the scale: a class keeps at
most 2,000 levels, and a score is rounded down to the next level. An image reaches a level after
that exactly if it did before, so the counts and the patients behind them are exact at every level.
Levels are all distinct scores where there are no more; else the least and the greatest, the scores
of the positives (at most 1,500, evenly by rank), and evenly by rank of the others.

Patients are kept as running numbers: an interval needs to know which images belong together, and a
file that is passed on should not hold a hospital's numbers.

Shapes: N images, D classes, L levels of a class.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from chexnet.errors import CheckpointError
from chexnet.evaluation.calibration import calibrate, fit_on
from chexnet.evaluation.intervals import REPLICATES
from chexnet.evaluation.metrics import operating_curve
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import summarise
from chexnet.files import plain
from chexnet.metadata import Metadata

LEVELS = 2000
"""Scores that are kept of a class."""
_OF_POSITIVES = 0.75
"""Share of the levels that positives may take; the other images need some too."""


@dataclass(frozen=True)
class ValidationScores:
    """What `read_validation_scores` gives.

    Attributes:
        scores: before calibration; images and patients are running numbers.
        drawn: True for a phantom, bool (N,).
        source: where the images come from, for a reader.
    """

    scores: Scores
    drawn: np.ndarray
    source: str


def describe_validation(scores: Scores) -> dict[str, Any]:
    """What `Metadata.validation` says of a validation part: figures, calibration and thresholds.

    Args:
        scores: the network's answers on it, before calibration.
    """
    chosen = fit_on(scores, "its validation part")
    calibrated = calibrate(scores, chosen.calibrations)
    return {
        "figures": plain(summarise(scores, replicates=REPLICATES)),
        **chosen.as_metadata(),
        # Of calibrated probabilities, which are what a reader of the file sees.
        "operating_curve": {
            name: operating_curve(given, truth) for name, given, truth in calibrated.columns()
        },
    }


def validation_scores(
    scores: Scores,
    source: str = "its validation part",
    *,
    drawn: Collection[str] = (),
    levels: int = LEVELS,
) -> dict[str, Any]:
    """The value of `Metadata.validation_scores` for some scores.

    Args:
        scores: of N validation images, before calibration.
        source: where the images come from, for a reader: `its validation part`.
        drawn: names of images that are phantoms, see `DataModule.drawn`.
        levels: scores to keep of a class, at most 32,767.

    Returns:
        Plain values and tensors: `source`, `classes`; `patients` int32 (N,), running numbers in
        the order of the patients' own; `drawn` uint8 (N,); `targets` uint8 (N, D), 255 where the
        table does not say; `levels`, class
        to float64 (L,), ascending; `ranks` int16 (N, D), the place of each score among them.
    """
    import torch  # who reads a stored file has no need of it

    kept = [kept_levels(given, truth, levels) for _, given, truth in scores.columns()]
    ranks = [
        np.searchsorted(own, given, side="right") - 1
        for own, given in zip(kept, scores.probabilities.T, strict=True)
    ]
    # As `PatientBootstrap` numbers them, so that intervals are those of the scores themselves.
    patients = np.unique(scores.patients, return_inverse=True)[1]
    return {
        "source": source,
        "classes": list(scores.classes),
        "patients": torch.from_numpy(patients.astype(np.int32)),
        "drawn": torch.from_numpy(np.isin(scores.images, list(drawn)).astype(np.uint8)),
        "targets": torch.from_numpy(scores.targets.astype(np.uint8)),
        "levels": {
            name: torch.from_numpy(own) for name, own in zip(scores.classes, kept, strict=True)
        },
        "ranks": torch.from_numpy(np.stack(ranks, axis=1).astype(np.int16)),
    }


def read_validation_scores(metadata: Metadata) -> ValidationScores | None:
    """What a weights file, or an exported one, carries of its validation; None in an older one.

    Raises:
        CheckpointError: it holds something else there.
    """
    stored = metadata.validation_scores
    if not stored:
        return None
    try:
        return _read(stored)
    except (KeyError, ValueError, TypeError, IndexError) as error:
        raise CheckpointError(
            "The weights file holds validation scores of another shape than this project writes."
        ) from error


def _read(stored: Mapping[str, Any]) -> ValidationScores:
    classes = list(stored["classes"])
    ranks = np.asarray(stored["ranks"], np.intp).reshape(-1, len(classes))
    levels = (np.asarray(stored["levels"][name], np.float64) for name in classes)
    read = ValidationScores(
        scores=Scores(
            images=[str(number) for number in range(len(ranks))],
            # As wide as it takes for text to have the order of the numbers.
            patients=[f"{number:09d}" for number in np.asarray(stored["patients"]).tolist()],
            classes=classes,
            probabilities=np.stack(
                [own[places] for own, places in zip(levels, ranks.T, strict=True)], axis=1
            ),
            targets=np.asarray(stored["targets"], np.uint8).astype(np.int8).reshape(ranks.shape),
        ),
        drawn=np.asarray(stored["drawn"], bool),
        source=str(stored["source"]),
    )
    if not len(read.scores.patients) == len(read.drawn) == len(ranks) > 0:
        raise ValueError("found other numbers of patients than of images")
    return read


def kept_levels(given: np.ndarray, truth: np.ndarray, levels: int) -> np.ndarray:
    """The scores that are kept of one class: see the head of this file.

    Args:
        given: scores (N,).
        truth: 0 or 1 (N,).
        levels: at most so many, at least 4.

    Returns:
        float64 (L,), ascending, each the score of some image.
    """
    every = np.unique(np.asarray(given, np.float64))
    if len(every) <= levels:
        return every
    own = _evenly(np.unique(given[truth == 1]), int(_OF_POSITIVES * levels) - 2)
    first = np.union1d(own, every[[0, -1]])
    return np.union1d(first, _evenly(np.setdiff1d(every, first), levels - len(first)))


def _evenly(values: np.ndarray, count: int) -> np.ndarray:
    if len(values) <= count:
        return values
    kept: np.ndarray = values[np.linspace(0, len(values) - 1, count).round().astype(int)]
    return kept
