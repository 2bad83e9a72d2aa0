"""Is the network as good for everybody? Every figure by sex, age and view position.

Shapes: N images, G groups, D classes, R replicates.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import combinations, pairwise

import numpy as np
import pandas as pd

from chexnet.evaluation.intervals import (
    MIN_PATIENTS,
    REPLICATES,
    Interval,
    PatientBootstrap,
    interval_of,
    patients_behind,
    replicate_aurocs,
)
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import Summary, summarise
from chexnet.labels import FINDINGS

AGES = (0, 20, 40, 60, 80, 200)
"""Edges of the age bands in years; the last band is open."""
UNKNOWN = "unknown"


@dataclass(frozen=True)
class Gap:
    """Two groups of one attribute whose mean AUROC differs most.

    Only pairs that share at least half of the findings are compared: one rare finding's AUROC in
    two small groups says nothing of the groups.

    Attributes:
        attribute: `sex`, `age` or `view`.
        better: group of the higher mean.
        worse: group of the lower one.
        value: difference of the means over the findings that both groups have.
        n_findings: number of these findings.
        interval: of the difference, under the same draws of patients. It was picked as the
            largest, so as a test it is optimistically biased.
    """

    attribute: str
    better: str
    worse: str
    value: float = field(metadata={"json": "mean_auroc_difference"})
    n_findings: int = field(metadata={"json": "findings"})
    interval: Interval


@dataclass(frozen=True)
class Subgroups:
    """Figures of each group, attribute to group to figures, and the largest gap (or None)."""

    groups: dict[str, dict[str, Summary]]
    gap: Gap | None


def membership(scores: Scores, table: pd.DataFrame) -> dict[str, np.ndarray]:
    """Each image's group of each attribute, str (N,).

    Args:
        scores: of N images.
        table: see `DataFolder.table`; holds at least these images.
    """
    about = table.set_index("image").loc[scores.images]
    names = [f"{low}-{high - 1}" for low, high in pairwise(AGES)]
    names[-1] = f"{AGES[-2]} and over"
    age = pd.cut(about["age"], AGES, right=False, labels=names).astype(object)
    columns = {"sex": about["sex"], "age": age, "view": about["view"]}
    return {
        attribute: column.where(column.notna() & (column != ""), UNKNOWN).to_numpy(str)
        for attribute, column in columns.items()
    }


def by_group(
    scores: Scores,
    groups: Mapping[str, np.ndarray],
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Subgroups:
    """Score each group by itself, and compare the groups of each attribute.

    Args:
        scores: of N images.
        groups: see `membership`; an attribute with one group alone is left out.
        replicates: bootstrap draws.
        seed: of the bootstrap.
    """
    bootstrap = PatientBootstrap(scores.patients, replicates, seed)
    found: dict[str, dict[str, Summary]] = {}
    gaps: list[Gap] = []
    for attribute, column in groups.items():
        masks = {str(name): column == name for name in np.unique(column)}
        if len(masks) < 2:
            continue
        found[attribute] = {
            name: summarise(scores.take(np.flatnonzero(mask)), replicates=replicates, seed=seed)
            for name, mask in masks.items()
        }
        gaps += _gaps(attribute, scores, masks, found[attribute], bootstrap)
    return Subgroups(found, max(gaps, key=lambda gap: gap.value, default=None))


def _gaps(
    attribute: str,
    scores: Scores,
    masks: dict[str, np.ndarray],
    figures: dict[str, Summary],
    bootstrap: PatientBootstrap,
) -> list[Gap]:
    """Each pair of groups, over the findings with enough patients in both."""
    findings = [column for column, name in enumerate(scores.classes) if name in FINDINGS]
    known = {
        name: {
            column
            for column in findings
            if patients_behind(scores.targets[mask, column], bootstrap.unit[mask])[0]
            >= MIN_PATIENTS
        }
        for name, mask in masks.items()
        if name != UNKNOWN
    }
    pairs = [
        (first, second, sorted(known[first] & known[second]))
        for first, second in combinations(known, 2)
    ]
    pairs = [pair for pair in pairs if pair[2] and 2 * len(pair[2]) >= len(findings)]
    if not pairs:
        return []
    drawn = replicate_aurocs(scores, bootstrap, groups=[masks[name] for name in known])
    draws = dict(zip(known, drawn.swapaxes(0, 1), strict=True))
    gaps = []
    for first, second, columns in pairs:
        difference = float((figures[first].auroc[columns] - figures[second].auroc[columns]).mean())
        better, worse = (first, second) if difference >= 0 else (second, first)
        values = (draws[better][:, columns] - draws[worse][:, columns]).mean(axis=1)
        interval = interval_of(values, MIN_PATIENTS)  # as each of the columns has at least
        gaps.append(Gap(attribute, better, worse, abs(difference), len(columns), interval))
    return gaps
