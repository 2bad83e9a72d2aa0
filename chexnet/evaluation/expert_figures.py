"""A network's answers, and NIH's text labels, against what radiologists said of the same images.

A question is a class like any other: its score is the greatest probability of the findings that
answer it. It is scored against two truths, the radiologists' and the text label's of the same
images, and the difference of the two AUROCs is paired like that of two networks.

Shapes: N images that have both a score and a radiologist's answer, Q questions.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pandas as pd

from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.data.splits import make_split
from chexnet.errors import DataError
from chexnet.evaluation.assessment import reliability_of
from chexnet.evaluation.compare import Difference, compare
from chexnet.evaluation.experts import CITED, TITLES, ExpertLabels, Question
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.intervals import (
    MIN_PATIENTS,
    NO_INTERVAL,
    REPLICATES,
    Interval,
    PatientBootstrap,
    minimum_detectable,
    patients_behind,
)
from chexnet.evaluation.metrics import WeightedAuroc, WeightedPrecision, exact
from chexnet.evaluation.operating import OperatingPoint, operating_points
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import summarise


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
    clustered: Interval = field(metadata={"json": "clustered_interval"})
    average_precision: float
    precision_interval: Interval = field(metadata={"json": "average_precision_interval"})
    error: float = field(metadata={"json": "ece"})
    error_interval: Interval = field(metadata={"json": "ece_interval"})
    brier: float
    brier_interval: Interval


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
    text_positives: int
    experts: TruthFigures | None = None
    label: TruthFigures | None = None
    difference: Difference | None = None
    text: OperatingPoint | None = None

    def as_dict(self) -> dict[str, Any]:
        """The figures under the keys of `metrics.json`."""
        return {
            "asked": self.question.asked,
            "findings": self.question.findings,
            "images": self.images,
            "patients": self.patients,
            "positives": self.positives,
            "positive_patients": self.positive_patients,
            "reason": self.reason or None,
            "experts": self.experts,
            "text_label": self.label,
            "difference": _difference(self.difference) if self.difference else None,
            "text_label_positives": self.text_positives,
            "text_label_against_experts": self.text.by_measure if self.text else None,
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
        """The figures under the keys of `metrics.json`."""
        return {
            "title": TITLES[self.labels.key],
            "source": CITED[self.labels.key],
            "files": self.labels.files,
            "images_without_nih_image": self.labels.unmapped,
            "images_outside": self.outside,
            "text_labels": self.table,
            "rows": self.rows,
        }


def _difference(found: Difference) -> dict[str, Any]:
    return {
        "auroc": found.value,
        "interval": found.interval,
        "p": found.p,
        "smallest_shown_at_80_percent_power": minimum_detectable(found.interval),
    }


def score_experts(
    scores: Scores,
    labels: ExpertLabels,
    table: pd.DataFrame,
    table_name: str,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ExpertFigures:
    """Score answers against radiologists, beside the same against NIH's text label.

    Args:
        scores: of any images; those without a radiologist's answer are left out. Calibrated ones
            where there are such: the greatest of three raw scores compares unlike scales.
        labels: see `read_experts`.
        table: see `DataFolder.table`; holds the scored images.
        table_name: its file name.
        replicates: bootstrap draws.
        seed: of the bootstrap.
    """
    rows = np.flatnonzero(pd.Index(scores.images).isin(labels.answers.index))
    chosen = scores.take(rows)
    about = table.set_index("image").loc[chosen.images]
    return _figures(labels, table_name, about, chosen, replicates, seed)


def score_text_labels(
    request: DataRequest,
    experts: Sequence[ExpertLabels],
    part: str,
    *,
    replicates: int = REPLICATES,
) -> tuple[ScoringInfo, list[ExpertFigures]]:
    """Score NIH's text labels themselves, of one part of a data folder; no network, no picture.

    Args:
        request: which label table, and the division that the part is of. Its seed is also the
            bootstrap's.
        experts: see `read_experts`.
        part: `val`, `test` or `all`.
        replicates: bootstrap draws.

    Raises:
        DataError: no table, or none of the part's images has an answer.
    """
    folder = read_folder(request.root, request.labels, need_images=False)
    table, scheme, seed = folder.table, "none", request.seed
    if part != "all":
        # No network, so nothing can leak: any division names its part.
        divided = make_split(folder, request.split, seed, allow_leak=True)
        table, scheme = table.iloc[divided.rows[part]], divided.scheme
    facts = ScoringInfo(
        table=folder.table_name,
        label_version=folder.version,
        split=scheme,
        split_seed=seed,
        leaky=False,
        part=part,
    )
    found = []
    for labels in experts:
        about = table[table["image"].isin(labels.answers.index)].set_index("image")
        if about.empty:
            raise DataError(
                f"None of the {len(labels.answers):,} images of {labels.files[0]} is among the "
                f"{len(table):,} images that were asked for. Pass another --split, or NIH's own "
                "table."
            )
        found.append(_figures(labels, folder.table_name, about, None, replicates, seed))
    return facts, found


def _figures(
    labels: ExpertLabels,
    table_name: str,
    about: pd.DataFrame,
    scores: Scores | None,
    replicates: int,
    seed: int,
) -> ExpertFigures:
    """Rows of the images in `about`, a row of the label table each, indexed by their names."""
    images, patients = about.index.tolist(), about["patient"].tolist()
    unit = np.unique(patients, return_inverse=True)[1]
    answers = labels.answers.loc[images]
    rows = []
    for question in labels.questions:
        truth = answers[question.asked].to_numpy(np.int8)
        named = [any(f in said for f in question.findings) for said in about["labels"]]
        text = np.array(named, np.int8)
        ill, well = (len(np.unique(unit[truth == value])) for value in (1, 0))
        row = ExpertRow(
            question=question,
            images=len(images),
            patients=len(set(patients)),
            positives=int(truth.sum()),
            positive_patients=ill,
            reason=_reason(question, ill, well, patients_behind(text, unit)[0], scores),
            text_positives=int(text.sum()),
        )
        if question.findings and min(ill, well) >= MIN_PATIENTS:
            alone = Scores(images, patients, ["text"], text[:, None].astype(float), truth[:, None])
            bootstrap = PatientBootstrap(patients, replicates, seed)
            points = operating_points(alone, {"text": {"text": 0.5}}, "text", bootstrap=bootstrap)
            row = replace(row, text=points["text"])
        if scores and not row.reason:
            columns = [scores.classes.index(finding) for finding in question.findings]
            given = scores.probabilities[:, columns].max(axis=1)[:, None]
            one = Scores(images, patients, [question.name], given, truth[:, None])
            other = replace(one, targets=text[:, None])
            row = replace(
                row,
                experts=_against(one, replicates, seed),
                label=_against(other, replicates, seed),
                difference=compare(one, other, replicates, seed)[question.name],
            )
        rows.append(row)
    return ExpertFigures(labels, table_name, len(labels.answers) - len(images), replicates, rows)


def _reason(
    question: Question, ill: int, well: int, text_fewest: int, scores: Scores | None
) -> str:
    """Why the scores have no figures here; empty where they have."""
    missing = [f for f in question.findings if scores and f not in scores.classes]
    if not question.findings:
        return "NIH has no such finding, so there is no column to score"
    if not ill + well:
        return "no scored image has an answer"
    if missing:
        return f"the scores have no column {' and '.join(missing)}"
    if min(ill, well) < MIN_PATIENTS:
        return f"{ill} positive and {well} negative patients; five of each are needed"
    if scores and text_fewest < MIN_PATIENTS:
        return (
            f"the text label has only {text_fewest} patients of one kind; five of each are needed"
        )
    return ""


def _against(scores: Scores, replicates: int, seed: int) -> TruthFigures:
    """The figures of scores with one column."""
    [name], bootstrap = scores.classes, PatientBootstrap(scores.patients, replicates, seed)
    summary = summarise(scores, replicates=replicates, seed=seed)
    found = reliability_of(scores, scores, None, bootstrap)[name]
    intervals = summary.intervals
    positive = scores.targets[:, 0] == 1
    return TruthFigures(
        positives=int(positive.sum()),
        positive_patients=len(np.unique(bootstrap.unit[positive])),
        auroc=float(exact(WeightedAuroc, scores.probabilities, scores.targets)[0]),
        interval=intervals.classes[name] if intervals else NO_INTERVAL,
        clustered=summary.clustered_interval_if_rare(name),
        average_precision=float(exact(WeightedPrecision, scores.probabilities, scores.targets)[0]),
        precision_interval=intervals.average_precision[name] if intervals else NO_INTERVAL,
        error=found.ece_after,
        error_interval=found.ece_after_interval,
        brier=found.brier_after,
        brier_interval=found.brier_after_interval,
    )
