import numpy as np
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from chexnet.evaluation.calibration import (
    Calibration,
    calibrate,
    error_intervals,
    fit_calibrations,
    fit_on,
    validation_choices,
)
from chexnet.evaluation.intervals import PatientBootstrap
from chexnet.evaluation.metrics import auroc, brier, expected_calibration_error, reliability
from chexnet.evaluation.scores import Scores
from chexnet.metadata import DataInfo, Metadata
from chexnet.training.describe import describe
from chexnet.transforms import Preprocessing

CLASSES = ["Effusion", "Mass", "Hernia"]


def simulated(count: int, seed: int) -> tuple[Scores, np.ndarray]:
    """Scores that are overconfident and shifted, and the true probabilities behind them."""
    random = np.random.default_rng(seed)
    true = expit(random.normal((-1.5, -3, -7), 1.5, (count, 3)))
    targets = (random.random(true.shape) < true).astype(np.int8)
    given = expit(2.5 * logit(true) + 1.5)
    names = [str(n) for n in range(count)]
    return Scores(names, names, CLASSES, given, targets), true


def test_calibration_brings_back_what_was_distorted():
    """Fitted on some images, measured on others: ECE under 0.02, and a better Brier score."""
    fitted = fit_calibrations(simulated(4000, 0)[0])
    scores, _ = simulated(20_000, 1)
    better = calibrate(scores, fitted)
    for column in (0, 1):
        before, after = scores.probabilities[:, column], better.probabilities[:, column]
        truth = scores.targets[:, column]
        assert expected_calibration_error(before, truth) > 0.03
        assert expected_calibration_error(after, truth) < 0.02
        assert brier(after, truth) < brier(before, truth)
    assert fitted["Effusion"].slope == pytest.approx(1 / 2.5, rel=0.15)


def test_calibration_changes_no_order():
    scores, _ = simulated(500, 2)
    better = calibrate(scores, fit_calibrations(scores))
    np.testing.assert_array_equal(
        auroc(scores.probabilities, scores.targets), auroc(better.probabilities, better.targets)
    )
    assert Calibration(slope=1.0, bias=0.0)(np.array([0.2])) == pytest.approx(0.2)


def test_the_fit_is_that_of_a_logistic_regression():
    scores, _ = simulated(4000, 3)
    fitted = fit_calibrations(scores)["Effusion"]
    z = logit(scores.probabilities[:, :1])
    other = LogisticRegression(C=1e9, tol=1e-8).fit(z, scores.targets[:, 0])
    # Platt's targets, a little inside 0 and 1, are the difference.
    assert fitted.slope == pytest.approx(other.coef_[0, 0], rel=0.02)
    assert fitted.bias == pytest.approx(other.intercept_[0], rel=0.02)


def test_a_rare_class_shares_the_pooled_calibration_and_says_so():
    scores, _ = simulated(1000, 4)
    assert scores.targets[:, 2].sum() < 20
    fitted = fit_calibrations(scores)
    assert fitted["Hernia"].pooled
    assert not fitted["Effusion"].pooled
    z, truth = logit(scores.probabilities.ravel()), scores.targets.ravel()
    pooled = LogisticRegression(C=1e9, tol=1e-8).fit(z[:, None], truth)
    assert fitted["Hernia"].slope == pytest.approx(pooled.coef_[0, 0], rel=0.02)


def test_separable_answers_give_no_infinite_slope():
    names = [str(n) for n in range(60)]
    targets = np.repeat([[0], [1]], 30, axis=0)
    scores = Scores(names, names, ["Mass"], 0.2 + 0.6 * targets, targets.astype(np.int8))
    assert np.isfinite(fit_calibrations(scores)["Mass"].slope)
    assert fit_calibrations(scores)["Mass"](np.array([0.8]))[0] < 1


def test_too_few_images_leave_probabilities_as_they_are():
    scores, _ = simulated(10, 5)
    fitted = fit_calibrations(scores)
    np.testing.assert_allclose(calibrate(scores, fitted).probabilities, scores.probabilities)


def test_bins_have_equal_mass_and_the_error_is_their_weighted_distance():
    given = np.array([0.1, 0.1, 0.2, 0.2, 0.9, 0.9])
    truth = np.array([0, 0, 0, 1, 1, 1])
    bins = reliability(given, truth, bins=3)
    np.testing.assert_allclose(bins.probability, [0.1, 0.2, 0.9])
    np.testing.assert_allclose(bins.observed, [0, 0.5, 1])
    assert bins.count.tolist() == [2, 2, 2]
    assert brier(given, truth) == pytest.approx((2 * 0.01 + 0.04 + 0.64 + 2 * 0.01) / 6)


def test_a_weights_file_carries_what_validation_chose():
    scores, nobody = simulated(500, 6)[0], np.zeros(0, np.int64)
    told = {"facts": DataInfo.from_dict({}), "config": {}, "origin": "", "epoch": 1}
    metadata = describe(Preprocessing(), scores, trained=(nobody, nobody), **told)
    carried, expected = validation_choices(metadata), fit_on(scores, "")
    assert carried.calibrations == expected.calibrations
    assert carried.thresholds == expected.thresholds
    assert "500 validation images" in carried.source
    assert validation_choices(Metadata({}, Preprocessing())) is None


def test_calibration_figures_have_intervals_by_patient():
    scores, _ = simulated(2000, 7)
    given, truth = scores.probabilities[:, 0], scores.targets[:, 0]
    error, score = error_intervals(given, truth, PatientBootstrap(scores.patients, 300))
    assert score.low < brier(given, truth) < score.high
    assert error.low < expected_calibration_error(given, truth) < error.high
