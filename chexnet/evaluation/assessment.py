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
from chexnet.evaluation.summary import Summary, summarise


@dataclass(frozen=True)
class CalibrationFigures:
    """How well one class's probabilities mean what they say, under the keys of `metrics.json`.

    Attributes:
        ece_before: expected calibration error of the network's scores, equal-mass bins, in [0, 1].
            This and the next three are NaN where the table labels none of the images, or only those
            without (with) the finding.
        ece_after: the same after calibration.
        brier_before: Brier score, in [0, 1].
        brier_after: the same after calibration.
        pooled: calibrated with all classes together.
        ece_after_interval: of the error.
        brier_after_interval: of the Brier score.
    """

    ece_before: float
    ece_after: float
    brier_before: float
    brier_after: float
    pooled: bool
    ece_after_interval: Interval
    brier_after_interval: Interval


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

    def as_dict(self) -> dict[str, Any]:
        """The figures of `metrics.json`."""
        return {
            **self.summary.as_dict(),
            "chosen_on": self.chosen.source if self.chosen else None,
            "calibration": self.reliability,
            "prevalence": self.prevalence,
            "operating_points": {
                rule: {
                    name: {"threshold": point.threshold, **point.by_measure}
                    for name, point in points.items()
                }
                for rule, points in self.operating.items()
            },
            "subgroups": self.subgroups.groups,
            "largest_gap": self.subgroups.gap,
        }


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
            intervals = (NO_INTERVAL, NO_INTERVAL)
            found[name] = CalibrationFigures(*[float("nan")] * 4, pooled, *intervals)
            continue
        error, score = error_intervals(after, truth, bootstrap)
        found[name] = CalibrationFigures(
            ece_before=expected_calibration_error(before, truth),
            ece_after=expected_calibration_error(after, truth),
            brier_before=brier(before, truth),
            brier_after=brier(after, truth),
            pooled=pooled,
            ece_after_interval=error,
            brier_after_interval=score,
        )
    return found
