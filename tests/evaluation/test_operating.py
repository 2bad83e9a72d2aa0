"""Curves of thresholds say what `operating_points` and scikit-learn say at each of them."""

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from chexnet.evaluation.intervals import PatientBootstrap
from chexnet.evaluation.metrics import operating_curve
from chexnet.evaluation.operating import MEASURES, operating_points, stored_curve, threshold_curve
from chexnet.evaluation.scores import Scores


def scores_of(images: int, patients: int, seed: int = 0, share: float = 0.15) -> Scores:
    rng = np.random.default_rng(seed)
    patient = rng.integers(0, patients, images)
    truth = (rng.random(images) < share).astype(np.int8)
    given = 1 / (1 + np.exp(-(rng.normal(-2, 1, images) + 2 * truth)))
    return Scores(
        [str(i) for i in range(images)],
        [f"{p:04d}" for p in patient],
        ["Mass"],
        given[:, None],
        truth[:, None],
    )


def curve_of(scores: Scores, bootstrap: PatientBootstrap, **options):
    given, truth = scores.probabilities[:, 0], scores.targets[:, 0]
    return threshold_curve(given, truth, bootstrap, **options)


@pytest.mark.parametrize(("images", "patients", "share"), [(400, 150, 0.15), (60, 40, 0.05)])
def test_counts_and_intervals_at_every_threshold_are_those_of_operating_points(
    images, patients, share
):
    scores = scores_of(images, patients, share=share)
    bootstrap = PatientBootstrap(scores.patients, 200)
    curve = curve_of(scores, bootstrap, also=[0.3])
    assert 0.3 in curve.thresholds
    for place in [0, 1, *range(5, len(curve.thresholds), 13), -3, -2, -1]:
        cut = curve.thresholds[place]
        over = scores.probabilities[:, 0] >= cut
        (tn, fp), (fn, tp) = confusion_matrix(scores.targets[:, 0], over, labels=[0, 1])
        assert (curve.true_positives[place], curve.false_positives[place]) == (tp, fp)
        assert (curve.positives, curve.negatives) == (tp + fn, tn + fp)
        for prevalence, suffix, measures in (
            (None, "", MEASURES),
            ({"Mass": 0.5}, "_even", ("ppv", "npv")),
        ):
            [point] = operating_points(
                scores, {"Mass": {"youden": cut}}, prevalence=prevalence, bootstrap=bootstrap
            ).values()
            for measure in measures:
                ends = curve.intervals[measure + suffix][place]
                expected = point[measure]["interval"]
                assert ends == pytest.approx([expected.low, expected.high], nan_ok=True), measure


def test_an_interval_at_any_prevalence_follows_from_the_one_at_one_half():
    scores = scores_of(400, 150)
    bootstrap = PatientBootstrap(scores.patients, 200)
    curve = curve_of(scores, bootstrap)
    for place in (20, 120, 150):
        cut = {"Mass": {"youden": curve.thresholds[place]}}
        for prevalence in (0.01, 0.2, 0.9):
            [point] = operating_points(
                scores, cut, prevalence={"Mass": prevalence}, bootstrap=bootstrap
            ).values()
            for measure, odds in (
                ("ppv", prevalence / (1 - prevalence)),
                ("npv", (1 - prevalence) / prevalence),
            ):
                even = curve.intervals[f"{measure}_even"][place]
                value = odds * even / (odds * even + 1 - even)
                interval = point[measure]["interval"]
                expected = pytest.approx([interval.low, interval.high], abs=2e-3, nan_ok=True)
                assert value == expected


def test_thinned_thresholds_keep_all_positives_and_exact_counts():
    scores = scores_of(3000, 900, share=0.02)
    curve = curve_of(scores, PatientBootstrap(scores.patients, 20), thresholds=100)
    assert len(curve.thresholds) == 101
    positives = scores.probabilities[scores.targets == 1]
    assert set(positives) <= set(curve.thresholds)
    over = scores.probabilities[:, 0] >= curve.thresholds[:, None]
    assert curve.true_positives.tolist() == (over & (scores.targets[:, 0] == 1)).sum(1).tolist()
    assert curve.false_positives.tolist() == (over & (scores.targets[:, 0] == 0)).sum(1).tolist()


def test_an_operating_curve_of_an_older_file_gives_its_counts_and_no_intervals():
    scores = scores_of(80, 60)
    given, truth = scores.probabilities[:, 0], scores.targets[:, 0]
    curve = stored_curve(operating_curve(given, truth), int(truth.sum()), 80)
    assert (np.diff(curve.thresholds) >= 0).all()
    assert curve.intervals == {}
    assert curve.patients is None
    over = given >= curve.thresholds[:-1, None]
    assert curve.true_positives[:-1].tolist() == (over & (truth == 1)).sum(1).tolist()
    assert curve.false_positives[:-1].tolist() == (over & (truth == 0)).sum(1).tolist()
    assert curve.true_positives[-1] == curve.false_positives[-1] == 0


def test_under_five_patients_there_is_no_interval():
    scores = scores_of(30, 4)
    assert curve_of(scores, PatientBootstrap(scores.patients, 50)).intervals == {}
