"""Everything that can honestly be said of some scores, in one place for tables and reports.

Shapes: N images, D classes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pandas as pd

from chexnet.evaluation.calibration import RULES, ValidationChoices, calibrate, error_intervals
from chexnet.evaluation.intervals import NO_INTERVAL, REPLICATES, Interval, PatientBootstrap
from chexnet.evaluation.metrics import brier, expected_calibration_error
from chexnet.evaluation.operating import OperatingPoint, operating_points
from chexnet.evaluation.scores import UNKNOWN, Scores
from chexnet.evaluation.subgroups import Subgroups, by_group, membership
from chexnet.evaluation.summary import Summary, number, summarise
from chexnet.evaluation.summary import as_dict as figures


@dataclass(frozen=True)
class CalibrationFigures:
    """How well one class's probabilities mean what they say; before and after calibration.

    Attributes:
        error: expected calibration error, equal-mass bins, in [0, 1]. This and the next are NaN
            where the table labels none of the images, or only those without (with) the finding.
        brier: Brier score, in [0, 1].
        pooled: calibrated with all classes together.
        error_interval: of the error after calibration.
        brier_interval: of the Brier score after calibration.
    """

    error: tuple[float, float]
    brier: tuple[float, float]
    pooled: bool
    error_interval: Interval
    brier_interval: Interval


@dataclass(frozen=True)
class Assessment:
    """The figures of one scoring.

    Attributes:
        summary: AUROC, average precision and intervals.
        chosen: what validation chose, None where there is none (a CSV alone).
        calibrated: the scores after calibration; the raw ones where nothing was chosen.
        reliability: label to calibration figures.
        operating: rule to label to what its threshold does here.
        subgroups: figures by sex, age and view.
        prevalence: label to the share that PPV and NPV are for, where the user gave one.
    """

    summary: Summary
    chosen: ValidationChoices | None
    calibrated: Scores
    reliability: dict[str, CalibrationFigures]
    operating: dict[str, dict[str, OperatingPoint]]
    subgroups: Subgroups
    prevalence: Mapping[str, float] = field(default_factory=dict)


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
    operating = {}
    if chosen:
        operating = {
            rule: operating_points(
                calibrated, chosen.thresholds, rule, prevalence=prevalence, bootstrap=bootstrap
            )
            for rule in RULES
        }
    return Assessment(
        summary=summarise(scores, replicates=replicates, seed=seed),
        chosen=chosen,
        calibrated=calibrated,
        reliability=reliability_of(scores, calibrated, chosen, bootstrap),
        operating=operating,
        subgroups=by_group(scores, membership(scores, table), replicates, seed),
        prevalence=dict(prevalence or {}),
    )


def reliability_of(
    scores: Scores,
    calibrated: Scores,
    chosen: ValidationChoices | None,
    bootstrap: PatientBootstrap,
) -> dict[str, CalibrationFigures]:
    """Calibration figures of each class, before and after calibration.

    Args:
        scores: as the network gave them.
        calibrated: the same after calibration.
        chosen: what validation chose, None for nothing.
        bootstrap: of these images' patients.
    """
    found = {}
    for (name, before, truth), (_, after, _) in zip(
        scores.columns(), calibrated.columns(), strict=True
    ):
        used = chosen.calibrations.get(name) if chosen else None
        pooled = bool(used and used.pooled)
        if set(truth.tolist()) in ({UNKNOWN}, {UNKNOWN, 0}, {UNKNOWN, 1}):
            # Whether an image is labelled at all then depends on its label (a nodule or a mass that
            # is unknown, an absent one that is not): what is left is no sample to calibrate on.
            nothing = (float("nan"), float("nan"))
            found[name] = CalibrationFigures(nothing, nothing, pooled, NO_INTERVAL, NO_INTERVAL)
            continue
        error, score = error_intervals(after, truth, bootstrap)
        found[name] = CalibrationFigures(
            error=(
                expected_calibration_error(before, truth),
                expected_calibration_error(after, truth),
            ),
            brier=(brier(before, truth), brier(after, truth)),
            pooled=pooled,
            error_interval=error,
            brier_interval=score,
        )
    return found


def as_dict(found: Assessment) -> dict[str, Any]:
    """What is added to the summary's figures in `metrics.json`; NaN becomes None."""
    gap = found.subgroups.gap
    return {
        **figures(found.summary),
        "chosen_on": found.chosen.source if found.chosen else None,
        "calibration": {
            name: {
                "ece_before": number(one.error[0]),
                "ece_after": number(one.error[1]),
                "brier_before": number(one.brier[0]),
                "brier_after": number(one.brier[1]),
                "pooled": one.pooled,
                "ece_after_interval": one.error_interval.as_dict(),
                "brier_after_interval": one.brier_interval.as_dict(),
            }
            for name, one in found.reliability.items()
        },
        "prevalence": found.prevalence,
        "operating_points": {
            rule: {
                name: {
                    "threshold": point.threshold,
                    **{
                        measure: {"value": number(value)}
                        | (
                            {"interval": point.intervals[measure].as_dict()}
                            if point.intervals
                            else {}
                        )
                        for measure, value in point.values.items()
                    },
                }
                for name, point in points.items()
            }
            for rule, points in found.operating.items()
        },
        "subgroups": {
            attribute: {name: figures(summary) for name, summary in groups.items()}
            for attribute, groups in found.subgroups.groups.items()
        },
        "largest_gap": None
        if gap is None
        else {
            "attribute": gap.attribute,
            "better": gap.better,
            "worse": gap.worse,
            "mean_auroc_difference": gap.value,
            "findings": gap.n_findings,
            "interval": gap.interval.as_dict(),
        },
    }
