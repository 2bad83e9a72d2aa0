"""Cells that a label table does not say count for no figure."""

import json
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import average_precision_score, brier_score_loss, log_loss, roc_auc_score

from chexnet.evaluation.assessment import assess
from chexnet.evaluation.calibration import calibrate, choose_thresholds, fit_calibrations, fit_on
from chexnet.evaluation.clustered import clustered_auroc
from chexnet.evaluation.intervals import MIN_PATIENTS, PatientBootstrap, interval_of
from chexnet.evaluation.operating import operating_points, threshold_curve
from chexnet.evaluation.predictions import write_predictions
from chexnet.evaluation.report.cases import confident_errors
from chexnet.evaluation.report.tables import prevalence
from chexnet.evaluation.report.terminal import assessment_text
from chexnet.evaluation.scores import UNKNOWN, Scores
from chexnet.evaluation.summary import summarise
from chexnet.evaluation.validation import read_validation_scores, validation_scores
from chexnet.files import plain
from chexnet.metadata import Metadata
from chexnet.transforms import Preprocessing

CLASSES = ["Atelectasis", "Effusion", "Mass", "Nodule", "Hernia"]
"""Whole, with gaps, with gaps, labelled only where absent, labelled nowhere."""


@pytest.fixture(scope="module")
def scores() -> Scores:
    random = np.random.default_rng(0)
    targets = (random.random((240, 5)) < 0.35).astype(np.int8)
    given = random.random((240, 5)) ** (1 / (1 + targets))
    targets[random.random(240) < 0.3, 1] = UNKNOWN
    targets[random.random(240) < 0.6, 2] = UNKNOWN
    targets[targets[:, 3] == 1, 3] = UNKNOWN
    targets[:, 4] = UNKNOWN
    return Scores(
        images=[f"{row}.png" for row in range(240)],
        patients=[f"p{row // 3}" for row in range(240)],
        classes=CLASSES,
        probabilities=given,
        targets=targets,
    )


def known(scores: Scores, column: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = scores.targets[:, column] != UNKNOWN
    patients = np.unique(scores.patients, return_inverse=True)[1]
    return scores.probabilities[rows, column], scores.targets[rows, column], patients[rows]


def test_a_class_is_scored_on_the_images_where_it_is_labelled(scores):
    summary = summarise(scores, replicates=50)
    bootstrap = PatientBootstrap(scores.patients, 50)
    weights = np.concatenate(bootstrap.blocks, axis=1)
    for column in range(3):
        given, truth, patients = known(scores, column)
        assert summary.auroc[column] == pytest.approx(roc_auc_score(truth, given), abs=1e-6)
        precision = average_precision_score(truth, given)
        assert summary.average_precision[column] == pytest.approx(precision, abs=1e-6)
        assert summary.labelled[column] == len(truth)
        assert summary.positives[column] == truth.sum()
        draws = [roc_auc_score(truth, given, sample_weight=w[patients]) for w in weights.T]
        expected = interval_of(np.array(draws), MIN_PATIENTS)
        interval = summary.intervals.classes[CLASSES[column]]
        assert (interval.low, interval.high) == pytest.approx((expected.low, expected.high))
        alone = clustered_auroc(given, truth, np.unique(patients, return_inverse=True)[1])
        assert summary.clustered[CLASSES[column]].value == alone.value
        assert summary.clustered[CLASSES[column]].variance == pytest.approx(alone.variance)
    flat = scores.targets != UNKNOWN
    loss = log_loss(scores.targets[flat], scores.probabilities[flat])
    assert summary.loss == pytest.approx(loss, abs=1e-9)


def test_a_class_that_is_labelled_nowhere_is_not_negative(scores):
    summary = summarise(scores, replicates=20)
    assert np.isnan(summary.auroc[3:]).all()
    assert summary.labelled[4] == summary.positives[4] == 0
    assert (summary.findings.n_defined, summary.findings.n_classes) == (3, 5)
    assert prevalence(plain(summary), "Nodule") is prevalence(plain(summary), "Hernia") is None
    assert prevalence(plain(summary), "Effusion") == known(scores, 1)[1].mean()
    assert choose_thresholds(scores)["Hernia"] is None
    nowhere = replace(scores, targets=np.full_like(scores.targets, UNKNOWN))
    assert np.isnan(summarise(nowhere).loss)


def test_calibration_is_fitted_and_measured_on_labelled_images(scores):
    fitted = fit_calibrations(scores)
    for column in (1, 2):
        rows = scores.targets[:, column] != UNKNOWN
        alone = fit_calibrations(scores.take(np.flatnonzero(rows), [CLASSES[column]]))
        assert fitted[CLASSES[column]] == alone[CLASSES[column]]
    assert fitted["Hernia"].pooled
    assert fitted["Nodule"].pooled
    chosen = fit_on(scores, "these")
    table = pd.DataFrame({"image": scores.images, "sex": "F", "age": 50.0, "view": "PA"})
    content = assess(scores, table, chosen, replicates=20).content
    after = calibrate(scores, fitted)
    given, truth, _ = known(after, 1)
    assert content["calibration"]["Effusion"]["brier_after"] == pytest.approx(
        brier_score_loss(truth, given)
    )
    # Labelled only where absent: what is labelled hangs on the label, and is no sample.
    for name in ("Nodule", "Hernia"):
        assert content["calibration"][name]["ece_before"] is None
        assert content["calibration"][name]["ece_after"] is None
        assert content["calibration"][name]["brier_after_interval"]["low"] is None
    json.dumps(content, allow_nan=False)
    assert content["classes"]["Mass"]["labelled"] == len(known(scores, 2)[0])
    assert "labelled" in assessment_text(content, 20)


def test_operating_points_count_labelled_images_alone(scores):
    chosen = fit_on(scores, "these")
    table = pd.DataFrame({"image": scores.images, "sex": "F", "age": 50.0, "view": "PA"})
    assessment = assess(scores, table, chosen, replicates=20)
    given, truth, _ = known(assessment.calibrated, 2)
    points = assessment.content["operating_points"]["youden"]
    point = points["Mass"]
    over = given >= point["threshold"]
    assert point["sensitivity"]["value"] == (over & (truth == 1)).sum() / (truth == 1).sum()
    assert point["specificity"]["value"] == (~over & (truth == 0)).sum() / (truth == 0).sum()
    assert point["npv"]["value"] == (~over & (truth == 0)).sum() / (~over).sum()
    # Of Nodule only absent ones are labelled: which of the others are there, nobody said.
    absent = points["Effusion"]["threshold"]
    [nodule] = operating_points(scores, {"Nodule": {"youden": absent}}).values()
    given, truth, _ = known(scores, 3)
    assert nodule["specificity"]["value"] == (given < absent).mean()
    assert all(np.isnan(nodule[name]["value"]) for name in ("sensitivity", "ppv", "npv", "f1"))
    given, truth, _ = known(assessment.calibrated, 2)
    curve = threshold_curve(
        assessment.calibrated.probabilities[:, 2],
        scores.targets[:, 2],
        PatientBootstrap(scores.patients, 20),
        also=[point["threshold"]],
    )
    place = int(np.searchsorted(curve.thresholds, point["threshold"]))
    assert curve.true_positives[place] == (over & (truth == 1)).sum()
    assert (curve.positives, curve.negatives) == ((truth == 1).sum(), (truth == 0).sum())


def test_what_nobody_labelled_is_no_error(scores):
    errors = confident_errors(scores, {name: 0.5 for name in CLASSES}, shown=1000)
    assert errors["Hernia"]["positives"] == errors["Hernia"]["negatives"] == []
    given, truth, _ = known(scores, 1)
    assert len(errors["Effusion"]["positives"]) == ((given >= 0.5) & (truth == 0)).sum()
    assert all("Hernia" not in case["labels"] for case in errors["Atelectasis"]["positives"])


def test_stored_validation_scores_remember_what_was_not_said(scores):
    metadata = Metadata(
        {name: place for place, name in enumerate(CLASSES)},
        Preprocessing(),
        validation_scores=validation_scores(scores),
    )
    read = read_validation_scores(metadata)
    assert np.array_equal(read.scores.targets, scores.targets)


def test_a_file_of_predictions_has_empty_cells_where_nothing_is_said(scores, tmp_path):
    write_predictions(tmp_path / "p.csv", scores)
    read = pd.read_csv(tmp_path / "p.csv")
    for column, name in enumerate(CLASSES):
        assert np.array_equal(read[f"prob_{name}"], scores.probabilities[:, column])
        unknown = scores.targets[:, column] == UNKNOWN
        assert np.array_equal(read[f"label_{name}"].isna(), unknown)
        said = read[f"label_{name}"][~unknown].astype(int)
        assert said.tolist() == scores.targets[~unknown, column].tolist()
    whole = scores.take(np.arange(10), ["Atelectasis"])
    write_predictions(tmp_path / "q.csv", whole)
    assert list(pd.read_csv(tmp_path / "q.csv")) == ["Image Index", "prob_Atelectasis"]
