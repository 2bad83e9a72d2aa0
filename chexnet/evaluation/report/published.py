"""AUROCs that others published, each read in its source, with the split it was measured on.

A value that we could not read in its own source is left out, also where it is quoted everywhere
(the per-class tables of Wang et al. 2017 and Rajpurkar et al. 2017 are not here for that reason).
"""

from dataclasses import dataclass

from chexnet.evaluation.bootstrap import Intervals

RANDOM = "random 70/10/20"
OFFICIAL = "official"


@dataclass(frozen=True)
class Published:
    """One table.

    Attributes:
        name: short name.
        source: where it was read.
        split: the division it was measured on; figures of different divisions are not comparable.
        auroc: label to value.
    """

    name: str
    source: str
    split: str
    auroc: dict[str, float]


# Order of both tables in their sources.
_NAMES = (
    "Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax "
    "Consolidation Edema Emphysema Fibrosis Pleural_Thickening Hernia"
).split()


def _table(*values: float) -> dict[str, float]:
    return dict(zip(_NAMES, values, strict=True))


PUBLISHED = (
    Published(
        "arnoweng/CheXNet",
        "github.com/arnoweng/CheXNet, README, commit 3d45ee7, column Our Implemented CheXNet",
        RANDOM,
        _table(
            *(0.8294, 0.9165, 0.8870, 0.7143, 0.8597, 0.7873, 0.7745),
            *(0.8726, 0.8142, 0.8932, 0.9254, 0.8304, 0.7831, 0.9104),
        ),
    ),
    Published(
        "zoogzog/chexnet",
        "github.com/zoogzog/chexnet, README, commit bbe30b5, model m-25012018-123527",
        RANDOM,  # its README: the lists of arnoweng/CheXNet
        _table(
            *(0.8321, 0.9107, 0.8860, 0.7145, 0.8653, 0.8037, 0.7655),
            *(0.8857, 0.8157, 0.9017, 0.9422, 0.8523, 0.7948, 0.9416),
        ),
    ),
)


def interval_relation(published: Published, label: str, intervals: Intervals | None) -> str:
    """Where a published value lies: `inside`, `above` or `below` this run's interval, or `n/a`."""
    value = published.auroc.get(label)
    interval = intervals.classes.get(label) if intervals else None
    if value is None or interval is None or not interval.known:
        return "n/a"
    if value > interval.high:
        return "above"
    return "below" if value < interval.low else "inside"


def same_split(published: Published, split: str) -> bool:
    """Whether a run's split (`official`, `patient`, `image`, `none`) is the table's own.

    The random lists of others are not ours, so only official figures stand on the same images.
    """
    return published.split == OFFICIAL == split
