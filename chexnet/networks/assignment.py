"""Which column of a network's answers is of which label, told by the AUROC.

Shapes: N images, D columns (classes of the network), L labels that are looked at.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
from scipy.optimize import linear_sum_assignment
from scipy.stats import rankdata

from chexnet.evaluation.metrics import Scores
from chexnet.labels import FINDINGS
from chexnet.networks.importers import ORDERS
from chexnet.rng import keyed_generator

HALVINGS = 10


def auroc_matrix(scores: Scores, labels: Sequence[int], rows: np.ndarray) -> np.ndarray:
    """AUROC of each column for each label on some images, float64 (D, L); NaN without both."""
    ranks = rankdata(scores.probabilities[rows], axis=0)
    truth = scores.targets[rows][:, labels].astype(np.float64)
    positives = truth.sum(axis=0)
    negatives = len(rows) - positives
    with np.errstate(invalid="ignore", divide="ignore"):
        above = ranks.T @ truth - positives * (positives + 1) / 2
        return np.asarray(above / (positives * negatives))


def assign(matrix: np.ndarray) -> list[int]:
    """The column of each label, each used once, that makes the mean AUROC greatest."""
    columns, places = linear_sum_assignment(np.nan_to_num(matrix, nan=0.5), maximize=True)
    return [int(columns[np.flatnonzero(places == place)[0]]) for place in range(matrix.shape[1])]


def mean_auroc(scores: Scores, labels: Sequence[int], columns: Sequence[int]) -> float:
    """Mean AUROC of the L labels, each scored by one column."""
    rows = np.arange(len(scores.images))
    return float(np.nanmean(auroc_matrix(scores, labels, rows)[columns, range(len(labels))]))


def halves_of(patients: Sequence[str], seed: int) -> list[np.ndarray]:
    """Masks of one half of the patients, several times."""
    distinct, owner = np.unique(patients, return_inverse=True)
    found = []
    for number in range(HALVINGS):
        order = keyed_generator("check", seed, number).permutation(len(distinct))
        found.append(np.isin(owner, order[: len(distinct) // 2]))
    return found


def matched_mean(scores: Scores, labels: Sequence[int], halves: Sequence[np.ndarray]) -> float:
    """Mean AUROC of columns that the other half of the patients assigned to the labels."""
    found = []
    for mask in halves:
        sides = [np.flatnonzero(mask), np.flatnonzero(~mask)]
        for learn, test in (sides, sides[::-1]):
            columns = assign(auroc_matrix(scores, labels, learn))
            values = auroc_matrix(scores, labels, test)
            found.append(np.nanmean(values[columns, range(len(labels))]))
    return float(np.mean(found))


def view(scores: Scores, labels: Sequence[int], columns: Sequence[int]) -> Scores:
    """The scores of the L labels, each read from one column."""
    return dataclasses.replace(
        scores,
        classes=[scores.classes[place] for place in labels],
        probabilities=scores.probabilities[:, list(columns)],
        targets=scores.targets[:, list(labels)],
    )


def known_order(scores: Scores, labels: Sequence[int], least: float) -> str | None:
    """Which known order of the columns, taken for another, explains what is seen."""
    known = {name: order for name, order in ORDERS.items() if len(order) == len(FINDINGS)}
    known["this project's order"] = FINDINGS
    names = scores.classes
    found: tuple[float, str] | None = None
    for true_name, true in known.items():
        for taken_name, taken in known.items():
            # The column called `taken[k]` is the file's k-th, which is of `true[k]`.
            column_of = {label: taken[place] for place, label in enumerate(true)}
            own = [column_of.get(names[label], names[label]) for label in labels]
            if true == taken or not set(own) <= set(names):
                continue
            value = mean_auroc(scores, labels, [names.index(name) for name in own])
            if found is None or value > found[0]:
                found = (value, f"{true_name}, taken for {taken_name}")
    return found[1] if found and found[0] > least else None
