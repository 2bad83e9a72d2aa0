"""Does a network from elsewhere do here what its publisher says?

Its figures on images with labels, beside the published one. A column that is another class, a wrong
normalisation or an inverted input shows as an AUROC far too low; which of them it is, its
publisher's code says. Nothing is changed in the file, and no figure is one to choose a network by.
"""

from dataclasses import dataclass

import numpy as np

from chexnet.data.splits import unseen
from chexnet.data.tables import is_among
from chexnet.evaluation.holdout import Holdout
from chexnet.evaluation.summary import Summary
from chexnet.networks.training_lists import image_names
from chexnet.rng import keyed_generator

ENOUGH_IMAGES = 200
"""NIH images under which nothing is said about a network."""


@dataclass(frozen=True)
class CheckedImages:
    """The images that a network is checked on.

    Attributes:
        rows: of the table, int (N,).
        real: at least `ENOUGH_IMAGES` of NIH's radiographs.
        nih: NIH's radiographs that are here.
        unseen: the network has seen none of `rows`, nor another image of their patients.
    """

    rows: np.ndarray
    real: bool
    nih: int
    unseen: bool


def choose_images(holdout: Holdout, limit: int, seed: int = 0) -> CheckedImages:
    """NIH's radiographs that the network has not seen, where there are enough.

    Else those that it has seen; where there are too few of NIH's, everything that is here.

    Args:
        holdout: opened with part `all`.
        limit: images at most, drawn at random.
        seed: of the draw.
    """
    table = holdout.datamodule.folder.table
    here = holdout.datamodule.rows("all")
    nih = here[is_among(table["image"].iloc[here], image_names())]
    real = len(nih) >= ENOUGH_IMAGES
    pool = nih if real else here
    hashes = holdout.metadata.trained_hashes
    clean = unseen(table, pool, *hashes) if hashes else pool[:0]
    enough = len(clean) >= (ENOUGH_IMAGES if real else len(pool))
    if enough:
        pool = clean
    if len(pool) > limit:
        pool = np.sort(keyed_generator("check", seed).choice(pool, limit, replace=False))
    return CheckedImages(pool, real, len(nih), enough)


def verdict(summary: Summary, published: float | None, *, real: bool = True) -> str:
    """What the mean AUROC of the findings says.

    Args:
        summary: with intervals.
        published: mean AUROC of the 14 findings, as its publisher gives it.
        real: the images are radiographs that can speak for or against it, not drawings or too few.

    Returns:
        `confirmed`, `no published figure`, `lower than published`, `no better than guessing` or
        `cannot say`.
    """
    interval = summary.intervals.findings if summary.intervals else None
    if not real or interval is None or not interval.known:
        return "cannot say"
    if interval.low <= 0.5:
        return "no better than guessing"
    if published is None:
        return "no published figure"
    return "confirmed" if interval.high >= published else "lower than published"
