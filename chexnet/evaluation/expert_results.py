"""What a scoring against radiologists found: one row a question, and its form for JSON."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from chexnet.evaluation.bootstrap import Interval, smallest_shown
from chexnet.evaluation.comparison import Difference
from chexnet.evaluation.experts import CITED, TITLES, ExpertLabels, Question
from chexnet.evaluation.summary import number
from chexnet.evaluation.thresholds import OperatingPoint


@dataclass(frozen=True)
class TruthFigures:
    """Figures of one column of scores against one truth; calibration of the scores as given.

    Attributes:
        positives: positive images.
        positive_patients: patients with one.
        auroc: in [0, 1].
        interval: of it, by bootstrap over patients.
        clustered: of it, see `clustered_auroc`; `n/a` from ten positive (negative) patients on.
        average_precision: in [0, 1].
        precision_interval: of it.
        error: expected calibration error.
        error_interval: of it.
        brier: Brier score.
        brier_interval: of it.
    """

    positives: int
    positive_patients: int
    auroc: float
    interval: Interval
    clustered: Interval
    average_precision: float
    precision_interval: Interval
    error: float
    error_interval: Interval
    brier: float
    brier_interval: Interval

    def as_dict(self) -> dict[str, Any]:
        """The figures for JSON; NaN becomes None."""
        return {
            "positives": self.positives,
            "positive_patients": self.positive_patients,
            "auroc": number(self.auroc),
            "interval": self.interval.as_dict(),
            "clustered_interval": self.clustered.as_dict(),
            "average_precision": number(self.average_precision),
            "average_precision_interval": self.precision_interval.as_dict(),
            "ece": number(self.error),
            "ece_interval": self.error_interval.as_dict(),
            "brier": number(self.brier),
            "brier_interval": self.brier_interval.as_dict(),
        }


@dataclass(frozen=True)
class ExpertRow:
    """One question and its answers; figures are None where `reason` says why.

    Attributes:
        question: see `Question`.
        images: images with an answer of the radiologists.
        patients: their patients.
        positives: images that the radiologists called positive.
        positive_patients: patients with one.
        reason: why there are no figures of the scores; empty where there are.
        experts: the scores against the radiologists.
        label: the same scores against NIH's text label of the same images.
        difference: AUROC against the radiologists less that against the text label, paired.
        text: sensitivity, specificity, PPV, NPV and F1 of the text label against the
            radiologists; None where no finding of NIH says the same, or with under five positive
            or negative patients.
        text_positives: images that the text label calls positive.
    """

    question: Question
    images: int
    patients: int
    positives: int
    positive_patients: int
    reason: str
    experts: TruthFigures | None
    label: TruthFigures | None
    difference: Difference | None
    text: OperatingPoint | None
    text_positives: int

    def as_dict(self) -> dict[str, Any]:
        """The figures for JSON; NaN becomes None."""
        return {
            "asked": self.question.asked,
            "findings": list(self.question.findings),
            "images": self.images,
            "patients": self.patients,
            "positives": self.positives,
            "positive_patients": self.positive_patients,
            "reason": self.reason or None,
            "experts": self.experts.as_dict() if self.experts else None,
            "text_label": self.label.as_dict() if self.label else None,
            "difference": _difference(self.difference) if self.difference else None,
            "text_label_positives": self.text_positives,
            "text_label_against_experts": _point(self.text) if self.text else None,
        }


@dataclass(frozen=True)
class ExpertFigures:
    """The rows of one group of radiologists.

    Attributes:
        labels: what they said.
        table: file name of NIH's label table.
        outside: images with an answer that were not asked for or not scored.
        replicates: bootstrap draws behind every interval.
        rows: one a question.
    """

    labels: ExpertLabels
    table: str
    outside: int
    replicates: int
    rows: list[ExpertRow]

    def as_dict(self) -> dict[str, Any]:
        """The figures for JSON; NaN becomes None."""
        return {
            "title": TITLES[self.labels.key],
            "source": CITED[self.labels.key],
            "files": list(self.labels.files),
            "images_without_nih_image": self.labels.unmapped,
            "images_outside": self.outside,
            "text_labels": self.table,
            "rows": [row.as_dict() for row in self.rows],
        }


def experts_as_dict(found: Sequence[ExpertFigures]) -> dict[str, Any]:
    """The figures of several groups of radiologists for JSON."""
    return {one.labels.key: one.as_dict() for one in found}


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "auroc": number(found.value),
        "interval": found.interval.as_dict(),
        "p": number(found.p),
        "smallest_shown_at_80_percent_power": number(smallest_shown(found.interval)),
    }


def _point(found: OperatingPoint) -> dict[str, Any]:
    intervals = found.intervals or {}
    return {
        measure: {"value": number(value)}
        | ({"interval": intervals[measure].as_dict()} if intervals else {})
        for measure, value in found.values.items()
    }
