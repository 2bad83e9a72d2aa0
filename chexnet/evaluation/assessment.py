"""Everything that can honestly be said of some scores, under the keys of `metrics.json`.

AUROC, calibration, operating points, and whether the network is as good for everybody: every figure
by sex, age and view position.

Shapes: N images, G groups, D classes, R replicates.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import Any

import numpy as np
import pandas as pd

from chexnet.evaluation.calibration import RULES, ValidationChoices, calibrate, error_intervals
from chexnet.evaluation.intervals import (
    MIN_PATIENTS,
    NO_INTERVAL,
    REPLICATES,
    PatientBootstrap,
    interval_of,
    patients_behind,
    replicate_aurocs,
)
from chexnet.evaluation.metrics import brier, expected_calibration_error
from chexnet.evaluation.operating import operating_points
from chexnet.evaluation.scores import UNKNOWN, Figures, Scores
from chexnet.evaluation.summary import Summary, summarise
from chexnet.files import plain
from chexnet.labels import FINDINGS

AGES = (0, 20, 40, 60, 80, 200)
"""Edges of the age bands in years; the last band is open."""
NOT_KNOWN = "unknown"
"""The group of images of which the table does not say it."""


@dataclass(frozen=True)
class Assessment:
    """The figures of one scoring.

    Attributes:
        summary: AUROC, average precision and intervals.
        calibrated: the scores after calibration; the raw ones where nothing was chosen.
        content: all figures, as plain values: those of `summary`; `chosen_on`, what validation
            chose, None where there is nothing (a CSV alone); `calibration`, see `reliability_of`;
            `prevalence`, label to the share that PPV and NPV are for; `operating_points`, rule to
            `calibration.operating_points`; `subgroups` and `largest_gap`, see `by_group`.
    """

    summary: Summary
    calibrated: Scores
    content: dict[str, Any]


def assess(
    scores: Scores,
    table: pd.DataFrame,
    chosen: ValidationChoices | None,
    *,
    prevalence: Mapping[str, float] | None = None,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Assessment:
    """Compute every figure.

    Args:
        scores: of N images, as the network gave them.
        table: see `DataFolder.table`; sex, age and view come from it.
        chosen: what validation chose; nothing here changes it.
        prevalence: label to share for PPV and NPV.
        replicates: bootstrap draws of every interval.
        seed: of the bootstrap.
    """
    calibrated = calibrate(scores, chosen.calibrations) if chosen else scores
    bootstrap = PatientBootstrap(scores.patients, replicates, seed)
    summary = summarise(scores, replicates=replicates, seed=seed)
    thresholds = chosen.thresholds if chosen else {}
    points = {
        rule: operating_points(
            calibrated, thresholds, rule, prevalence=prevalence, bootstrap=bootstrap
        )
        for rule in (RULES if chosen else ())
    }
    content = plain(summary) | {
        "chosen_on": chosen.source if chosen else None,
        "calibration": plain(reliability_of(scores, calibrated, chosen, bootstrap)),
        "prevalence": dict(prevalence or {}),
        "operating_points": plain(points),
        **plain(by_group(scores, membership(scores, table), replicates, seed)),
    }
    return Assessment(summary, calibrated, content)


def reliability_of(
    scores: Scores,
    calibrated: Scores,
    chosen: ValidationChoices | None,
    bootstrap: PatientBootstrap,
) -> Mapping[str, Figures]:
    """How well probabilities mean what they say, of each class.

    Args:
        scores: as the network gave them.
        calibrated: the same after calibration.
        chosen: what validation chose, None for nothing.
        bootstrap: of these images' patients.

    Returns:
        Label to the expected calibration error and the Brier score before and after calibration,
        with intervals of those after, and `pooled`: calibrated with all classes together. NaN where
        the table labels none of the images, or only those without (with) the finding: whether an
        image is labelled at all then depends on its label (a nodule or a mass that is unknown, an
        absent one that is not), and what is left is no sample to calibrate on.
    """
    figures: dict[str, dict[str, Any]] = {}
    for (name, before, truth), after in zip(
        scores.columns(), calibrated.probabilities.T, strict=True
    ):
        used = chosen.calibrations.get(name) if chosen else None
        error, score = error_intervals(after, truth, bootstrap)
        figures[name] = {
            "ece_before": expected_calibration_error(before, truth),
            "ece_after": expected_calibration_error(after, truth),
            "brier_before": brier(before, truth),
            "brier_after": brier(after, truth),
            "pooled": bool(used and used.pooled),
            "ece_after_interval": error,
            "brier_after_interval": score,
        }
        if set(truth.tolist()) in ({UNKNOWN}, {UNKNOWN, 0}, {UNKNOWN, 1}):
            for key in figures[name]:
                if key != "pooled":
                    figures[name][key] = NO_INTERVAL if key.endswith("interval") else np.nan
    return figures


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
        attribute: column.where(column.notna() & (column != ""), NOT_KNOWN).to_numpy(str)
        for attribute, column in columns.items()
    }


def by_group(
    scores: Scores,
    groups: Mapping[str, np.ndarray],
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Score each group by itself, and compare the groups of each attribute.

    Args:
        scores: of N images.
        groups: see `membership`; an attribute with one group alone is left out.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Returns:
        `subgroups`, attribute to group to its `Summary`, and `largest_gap`, see `_gaps`: of the two
        groups of one attribute whose mean AUROC differs most, None where no two can be compared.
    """
    bootstrap = PatientBootstrap(scores.patients, replicates, seed)
    summaries: dict[str, dict[str, Summary]] = {}
    gaps: list[Figures] = []
    for attribute, column in groups.items():
        masks = {str(name): column == name for name in np.unique(column)}
        if len(masks) < 2:
            continue
        summaries[attribute] = {
            name: summarise(scores.take(np.flatnonzero(mask)), replicates=replicates, seed=seed)
            for name, mask in masks.items()
        }
        gaps += _gaps(attribute, scores, masks, summaries[attribute], bootstrap)
    largest = max(gaps, key=lambda gap: gap["mean_auroc_difference"], default=None)
    return {"subgroups": summaries, "largest_gap": largest}


def _gaps(
    attribute: str,
    scores: Scores,
    masks: dict[str, np.ndarray],
    figures: dict[str, Summary],
    bootstrap: PatientBootstrap,
) -> list[Figures]:
    """Each pair of groups, over the findings with enough patients in both.

    Only pairs that share at least half of the findings are compared: one rare finding's AUROC in
    two small groups says nothing of the groups.

    Returns:
        `better` and `worse`, the groups of the higher and the lower mean; `mean_auroc_difference`
        over the `findings` (a number) that both have; and its `interval`, under the same draws of
        patients. Of the largest it is optimistically biased as a test, since it was picked.
    """
    findings = [column for column, name in enumerate(scores.classes) if name in FINDINGS]
    known = {
        name: {
            column
            for column in findings
            if patients_behind(scores.targets[mask, column], bootstrap.unit[mask])[0]
            >= MIN_PATIENTS
        }
        for name, mask in masks.items()
        if name != NOT_KNOWN
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
    gaps: list[Figures] = []
    for first, second, columns in pairs:
        difference = float((figures[first].auroc[columns] - figures[second].auroc[columns]).mean())
        better, worse = (first, second) if difference >= 0 else (second, first)
        values = (draws[better][:, columns] - draws[worse][:, columns]).mean(axis=1)
        interval = interval_of(values, MIN_PATIENTS)  # as each of the columns has at least
        gaps.append(
            {
                "attribute": attribute,
                "better": better,
                "worse": worse,
                "mean_auroc_difference": abs(difference),
                "findings": len(columns),
                "interval": interval,
            }
        )
    return gaps
