"""A network's answers, and NIH's text labels, against what radiologists said of the same images.

A question is a class like any other: its score is the greatest probability of the findings that
answer it. It is scored against two truths, the radiologists' and the text label's of the same
images, and the difference of the two AUROCs is paired like that of two networks.

Shapes: N images that have both a score and a radiologist's answer.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pandas as pd

from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.data.splits import make_split
from chexnet.data.tables import is_among, listed
from chexnet.errors import DataError
from chexnet.evaluation.assessment import reliability_of
from chexnet.evaluation.compare import compare
from chexnet.evaluation.experts import ExpertLabels, Question
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.intervals import (
    MIN_PATIENTS,
    NO_INTERVAL,
    REPLICATES,
    PatientBootstrap,
    minimum_detectable,
    patients_behind,
)
from chexnet.evaluation.metrics import WeightedAuroc, WeightedPrecision, exact
from chexnet.evaluation.operating import MEASURES, operating_points
from chexnet.evaluation.scores import Figures, Scores
from chexnet.evaluation.summary import summarise


def score_experts(
    labels: ExpertLabels,
    table: pd.DataFrame,
    table_name: str,
    scores: Scores | None = None,
    *,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> Figures:
    """Score answers against radiologists, beside the same against NIH's text label.

    Args:
        labels: see `read_experts`.
        table: see `DataFolder.table`; holds the scored images.
        table_name: its file name.
        scores: of any images; those without a radiologist's answer are left out. Calibrated ones
            where there are such: the greatest of three raw scores compares unlike scales. None to
            score the text label alone, on all images of the table.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Returns:
        What was read, see `ExpertLabels.about`; `images_outside`, with an answer that were not
        asked for or not scored; and `rows`, see `_row`.
    """
    names = scores.images if scores else listed(table["image"])
    rows = np.flatnonzero(is_among(names, labels.answers.index))
    about = table.set_index("image").loc[np.array(names, object)[rows]]
    scores = scores.take(rows) if scores else None
    return {
        **labels.about,
        "images_outside": len(labels.answers) - len(rows),
        "text_labels": table_name,
        "rows": [
            _row(question, labels, about, scores, replicates, seed) for question in labels.questions
        ],
    }


def score_text_labels(
    request: DataRequest,
    experts: Sequence[ExpertLabels],
    part: str,
    *,
    replicates: int = REPLICATES,
) -> tuple[ScoringInfo, dict[str, Figures]]:
    """Score NIH's text labels themselves, of one part of a data folder; no network, no picture.

    Args:
        request: which label table, and the division that the part is of. Its seed is also the
            bootstrap's.
        experts: see `read_experts`.
        part: `val`, `test` or `all`.
        replicates: bootstrap draws.

    Returns:
        What was scored, and key of the radiologists to figures, see `score_experts`.

    Raises:
        DataError: no table, or none of the part's images has an answer.
    """
    folder = read_folder(request.root, request.labels, need_images=False)
    table, scheme, seed = folder.table, "none", request.seed
    if part != "all":
        # No network, so nothing can leak: any division names its part.
        divided = make_split(folder, request.split, seed, allow_leak=True)
        table, scheme = table.iloc[divided.rows[part]], divided.scheme
    for labels in experts:
        if not is_among(table["image"], labels.answers.index).any():
            raise DataError(
                f"None of the {len(labels.answers):,} images of {labels.files[0]} is among the "
                f"{len(table):,} images that were asked for. Pass another --split, or NIH's own "
                "table."
            )
    facts = ScoringInfo(
        table=folder.table_name,
        label_version=folder.version,
        split=scheme,
        split_seed=seed,
        leaky=False,
        part=part,
    )
    return facts, {
        labels.key: score_experts(
            labels, table, folder.table_name, replicates=replicates, seed=seed
        )
        for labels in experts
    }


def _row(
    question: Question,
    labels: ExpertLabels,
    about: pd.DataFrame,
    scores: Scores | None,
    replicates: int,
    seed: int,
) -> Figures:
    """One question and its answers.

    Args:
        question: see `Question`.
        labels: of the radiologists.
        about: a row of NIH's table for each of N images, by their names.
        scores: of the same images; None for the text label alone.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Returns:
        What was asked, the findings that answer it, and how many images, patients, and positive
        ones there are by the radiologists. `experts` and `text_label`: the scores against either
        truth, see `_against`. `difference`: AUROC against the radiologists less that against the
        text label, paired. These three are None where `reason` says why.
        `text_label_against_experts`: sensitivity, specificity, PPV, NPV and F1 of the text label;
        None where no finding of NIH says the same, or under five positive or negative patients.
    """
    images, patients = about.index.tolist(), about["patient"].tolist()
    unit = np.unique(patients, return_inverse=True)[1]
    truth = labels.answers.loc[images, question.asked].to_numpy(np.int8)
    named = [any(f in said for f in question.findings) for said in about["labels"]]
    text = np.array(named, np.int8)
    ill, well = (len(np.unique(unit[truth == value])) for value in (1, 0))
    reason = _reason(question, ill, well, patients_behind(text, unit)[0], scores)
    row: dict[str, Any] = {
        "asked": question.asked,
        "findings": question.findings,
        "images": len(images),
        "patients": len(set(patients)),
        "positives": int(truth.sum()),
        "positive_patients": ill,
        "reason": reason or None,
        **dict.fromkeys(("experts", "text_label", "difference")),
        "text_label_positives": int(text.sum()),
        "text_label_against_experts": None,
    }
    if question.findings and min(ill, well) >= MIN_PATIENTS:
        alone = Scores(images, patients, ["text"], text[:, None].astype(float), truth[:, None])
        bootstrap = PatientBootstrap(patients, replicates, seed)
        points = operating_points(alone, {"text": {"text": 0.5}}, "text", bootstrap=bootstrap)
        row["text_label_against_experts"] = {name: points["text"][name] for name in MEASURES}
    if scores and not reason:
        columns = [scores.classes.index(finding) for finding in question.findings]
        given = scores.probabilities[:, columns].max(axis=1)[:, None]
        by_experts = Scores(images, patients, [question.name], given, truth[:, None])
        by_text = replace(by_experts, targets=text[:, None])
        difference = compare(by_experts, by_text, replicates, seed)[question.name]
        row["experts"] = _against(by_experts, replicates, seed)
        row["text_label"] = _against(by_text, replicates, seed)
        row["difference"] = {
            "auroc": difference.value,
            "interval": difference.interval,
            "p": difference.p,
            "smallest_shown_at_80_percent_power": minimum_detectable(difference.interval),
        }
    return row


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


def _against(scores: Scores, replicates: int, seed: int) -> Figures:
    """Figures of scores with one column against one truth; calibration of the scores as given."""
    [name], bootstrap = scores.classes, PatientBootstrap(scores.patients, replicates, seed)
    summary = summarise(scores, replicates=replicates, seed=seed)
    calibration = reliability_of(scores, scores, None, bootstrap)[name]
    intervals = summary.intervals
    positive = scores.targets[:, 0] == 1
    return {
        "positives": int(positive.sum()),
        "positive_patients": len(np.unique(bootstrap.unit[positive])),
        "auroc": exact(WeightedAuroc, scores.probabilities, scores.targets)[0],
        "interval": intervals.classes[name] if intervals else NO_INTERVAL,
        "clustered_interval": summary.clustered_interval_if_rare(name),
        "average_precision": exact(WeightedPrecision, scores.probabilities, scores.targets)[0],
        "average_precision_interval": intervals.average_precision[name]
        if intervals
        else NO_INTERVAL,
        "ece": calibration["ece_after"],
        "ece_interval": calibration["ece_after_interval"],
        "brier": calibration["brier_after"],
        "brier_interval": calibration["brier_after_interval"],
    }
