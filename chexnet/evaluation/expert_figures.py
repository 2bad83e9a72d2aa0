"""A network's answers, and NIH's text labels, against what radiologists said of the same images.

Shapes: N images that have both a score and a radiologist's answer, R replicates.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.data.splits import make_split
from chexnet.errors import DataError
from chexnet.evaluation.bootstrap import (
    MIN_PATIENTS,
    NO_INTERVAL,
    REPLICATES,
    PatientBootstrap,
    interval_of,
)
from chexnet.evaluation.calibration import brier, error_intervals, expected_calibration_error
from chexnet.evaluation.clustered import FEW_PATIENTS, clustered_auroc
from chexnet.evaluation.comparison import difference_of
from chexnet.evaluation.expert_results import ExpertFigures, ExpertRow, TruthFigures
from chexnet.evaluation.experts import ExpertLabels, Question
from chexnet.evaluation.facts import ScoringFacts
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.thresholds import OperatingPoint, operating_points
from chexnet.evaluation.weighted import RankedAuroc, RankedPrecision


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
    return _figures(
        labels, table_name, chosen.images, chosen.patients, about, chosen, replicates, seed
    )


def score_text_labels(
    labels: ExpertLabels,
    table: pd.DataFrame,
    table_name: str,
    replicates: int = REPLICATES,
    seed: int = 0,
) -> ExpertFigures:
    """Score NIH's text label itself; no network and no picture is needed.

    Args:
        labels: see `read_experts`.
        table: rows of `DataFolder.table`, of the images that are asked for.
        table_name: its file name.
        replicates: bootstrap draws.
        seed: of the bootstrap.

    Raises:
        DataError: none of the images has an answer.
    """
    about = table[table["image"].isin(labels.answers.index)].set_index("image")
    if about.empty:
        raise DataError(
            f"None of the {len(labels.answers):,} images of {labels.files[0]} is among the "
            f"{len(table):,} images that were asked for. Pass another --split, or NIH's own table."
        )
    return _figures(
        labels,
        table_name,
        about.index.tolist(),
        about["patient"].tolist(),
        about,
        None,
        replicates,
        seed,
    )


def score_part_text_labels(
    request: DataRequest,
    experts: Sequence[ExpertLabels],
    part: str,
    *,
    replicates: int = REPLICATES,
) -> tuple[ScoringFacts, list[ExpertFigures]]:
    """Score NIH's text labels of one part of a data folder; no picture is read.

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
    facts = ScoringFacts(
        table=folder.table_name,
        label_version=folder.version,
        split=scheme,
        split_seed=seed,
        leaky=False,
        part=part,
    )
    found = [score_text_labels(one, table, folder.table_name, replicates, seed) for one in experts]
    return facts, found


def _figures(
    labels: ExpertLabels,
    table_name: str,
    images: list[str],
    patients: list[str],
    about: pd.DataFrame,
    scores: Scores | None,
    replicates: int,
    seed: int,
) -> ExpertFigures:
    bootstrap = PatientBootstrap(patients, replicates, seed) if images else None
    answers = labels.answers.loc[images]
    rows = [
        _row(
            question,
            answers[question.asked].to_numpy(np.int8),
            np.array([any(f in named for f in question.findings) for named in about["labels"]]),
            patients,
            scores,
            bootstrap,
        )
        for question in labels.questions
    ]
    return ExpertFigures(labels, table_name, len(labels.answers) - len(images), replicates, rows)


def _row(
    question: Question,
    truth: np.ndarray,
    text: np.ndarray,
    patients: list[str],
    scores: Scores | None,
    bootstrap: PatientBootstrap | None,
) -> ExpertRow:
    text = text.astype(np.int8)
    owners = np.array(patients)
    ill = len(set(owners[truth == 1].tolist()))
    well = len(set(owners[truth == 0].tolist()))
    text_fewest = _fewest(text, owners)
    missing = [f for f in question.findings if scores and f not in scores.classes]
    reason = ""
    if not question.findings:
        reason = "NIH has no such finding, so there is no column to score"
    elif not len(truth):
        reason = "no scored image has an answer"
    elif missing:
        reason = f"the scores have no column {' and '.join(missing)}"
    elif min(ill, well) < MIN_PATIENTS:
        reason = f"{ill} positive and {well} negative patients; five of each are needed"
    elif scores and text_fewest < MIN_PATIENTS:
        reason = (
            f"the text label has only {text_fewest} patients of one kind; five of each are needed"
        )
    against: list[TruthFigures | None] = [None, None]
    difference = None
    if scores and bootstrap and not reason:
        columns = [scores.classes.index(finding) for finding in question.findings]
        given = scores.probabilities[:, columns].max(axis=1)
        found, drawn = zip(
            *(_against(given, one, owners, bootstrap) for one in (truth, text)), strict=True
        )
        against = list(found)
        fewest = min(ill, well, text_fewest)
        difference = difference_of(found[0].auroc, found[1].auroc, drawn[0] - drawn[1], fewest)
    point = None
    if question.findings and bootstrap and min(ill, well) >= MIN_PATIENTS:
        point = _text_label(truth, text, patients, bootstrap)
    return ExpertRow(
        question=question,
        images=len(truth),
        patients=len(set(patients)),
        positives=int(truth.sum()),
        positive_patients=ill,
        reason=reason,
        experts=against[0],
        label=against[1],
        difference=difference,
        text=point,
        text_positives=int(text.sum()),
    )


def _fewest(truth: np.ndarray, owners: np.ndarray) -> int:
    return min(len(set(owners[truth == value].tolist())) for value in (0, 1))


def _against(
    given: np.ndarray, truth: np.ndarray, owners: np.ndarray, bootstrap: PatientBootstrap
) -> tuple[TruthFigures, np.ndarray]:
    """The figures, and the AUROC of each draw (R,)."""
    ranked = RankedAuroc(given, truth, bootstrap.unit, bootstrap.units)
    precise = RankedPrecision(given, truth, bootstrap.unit)
    drawn = bootstrap.replicate([ranked, precise])
    fewest = _fewest(truth, owners)
    known = fewest >= MIN_PATIENTS
    clustered = NO_INTERVAL
    if fewest < FEW_PATIENTS:
        clustered = clustered_auroc(given, truth, bootstrap.unit).interval
    error, score = error_intervals(given, truth, bootstrap)
    # Not by torchmetrics, which computes in float32.
    once = np.ones((bootstrap.units, 1), np.int32)
    figures = TruthFigures(
        positives=int(truth.sum()),
        positive_patients=len(set(owners[truth == 1].tolist())),
        auroc=float(ranked(once)[0]),
        interval=interval_of(drawn[:, 0]) if known else NO_INTERVAL,
        clustered=clustered,
        average_precision=float(precise(once)[0]),
        precision_interval=interval_of(drawn[:, 1]) if known else NO_INTERVAL,
        error=expected_calibration_error(given, truth),
        error_interval=error,
        brier=brier(given, truth),
        brier_interval=score,
    )
    return figures, drawn[:, 0]


def _text_label(
    truth: np.ndarray, text: np.ndarray, patients: list[str], bootstrap: PatientBootstrap
) -> OperatingPoint:
    """The text label as a score of 0 or 1 with a threshold between them."""
    name = "text label"
    alone = Scores(
        images=[""] * len(truth),
        patients=patients,
        classes=[name],
        probabilities=text[:, None].astype(float),
        targets=truth[:, None],
    )
    points = operating_points(
        alone, {name: {"text": 0.5}}, "text", bootstrap=bootstrap if bootstrap.replicates else None
    )
    return points[name]
