"""The same answers against each of NIH's two label tables."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd

from chexnet.data.datasets import targets_of
from chexnet.evaluation.metrics import Scores


@dataclass(frozen=True)
class Relabelled:
    """Scores against several tables.

    Attributes:
        images: those that stand in all of the tables.
        scores: table name to scores of these images.
        differing: images whose labels are not the same in all of them.
    """

    images: list[str]
    scores: dict[str, Scores]
    differing: int


def relabelled(scores: Scores, tables: Mapping[str, pd.DataFrame]) -> Relabelled:
    """Give the same answers the labels of each table.

    Args:
        scores: the answers.
        tables: name to table, see `NIHFolder.table`.
    """
    by_name = {name: table.set_index("image")["labels"] for name, table in tables.items()}
    kept = [
        row
        for row, image in enumerate(scores.images)
        if all(image in labels.index for labels in by_name.values())
    ]
    chosen = scores.take(np.array(kept, int))
    classes = {name: index for index, name in enumerate(chosen.classes)}
    lists = {name: labels.loc[chosen.images].tolist() for name, labels in by_name.items()}
    sets = zip(*([frozenset(one) for one in column] for column in lists.values()), strict=True)
    found = {
        name: replace(chosen, targets=targets_of(column, classes).astype(np.int8))
        for name, column in lists.items()
    }
    return Relabelled(chosen.images, found, sum(len(set(one)) > 1 for one in sets))
