import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score, roc_curve

from chexnet.evaluation.metrics import (
    auroc,
    average_precision,
    log_loss,
    mean_of,
    operating_curve,
    roc,
    sigmoid,
)


def scores(kind: str, images: int = 400, classes: int = 5, seed: int = 0):
    random = np.random.default_rng(seed)
    targets = (random.random((images, classes)) < 0.15).astype(np.int8)
    given = random.random((images, classes)) * 0.7 + 0.3 * targets * random.random(targets.shape)
    if kind == "tied":
        given = given.round(1)
    if kind == "small":  # rare findings with small probabilities, where binned AUROC fails
        given = given * 1e-4
    return given, targets


@pytest.mark.parametrize("kind", ["random", "tied", "small"])
def test_auroc_is_scikit_learns(kind):
    given, targets = scores(kind)
    expected = [roc_auc_score(t, p) for t, p in zip(targets.T, given.T, strict=True)]
    assert auroc(given, targets) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("kind", ["random", "tied"])
def test_average_precision_is_scikit_learns(kind):
    given, targets = scores(kind)
    expected = [average_precision_score(t, p) for t, p in zip(targets.T, given.T, strict=True)]
    assert average_precision(given, targets) == pytest.approx(expected, abs=1e-6)


def test_a_class_without_positives_or_negatives_has_no_figure():
    given, targets = scores("random")
    targets[:, 1], targets[:, 3] = 0, 1
    values = auroc(given, targets)
    assert np.isnan(values[[1, 3]]).all()
    assert not np.isnan(values[[0, 2, 4]]).any()
    assert np.isnan(average_precision(given, targets)[[1, 3]]).all()


def test_the_mean_leaves_missing_classes_out_and_says_of_how_many_it_is():
    values = np.array([0.6, np.nan, 0.8, 0.9])
    names = ["Mass", "Hernia", "Edema", "No Finding"]
    findings = mean_of(values, names, findings_only=True)
    rows = mean_of(values, names, findings_only=False)
    assert (findings.value, findings.n_defined, findings.n_classes) == (pytest.approx(0.7), 2, 3)
    assert (rows.value, rows.n_defined, rows.n_classes) == (pytest.approx(2.3 / 3), 3, 4)
    assert "2 of 3" in str(findings)
    assert "n/a" in str(mean_of(np.array([np.nan]), ["Mass"], findings_only=True))


def test_the_loss_is_binary_cross_entropy_with_logits():
    random = np.random.default_rng(0)
    logits = random.normal(0, 6, (50, 4)).astype(np.float32)
    targets = (random.random((50, 4)) < 0.3).astype(np.int8)
    expected = torch.nn.BCEWithLogitsLoss()(
        torch.from_numpy(logits).double(), torch.from_numpy(targets).double()
    )
    assert log_loss(sigmoid(logits), targets) == pytest.approx(expected.item(), rel=1e-9)


def test_different_logits_stay_different_probabilities():
    logits = np.array([19.999998, 20.0, 3.0, 3.0000002, -60.0, -60.000004], np.float32)
    assert len(set(sigmoid(logits))) == len(set(logits))


def test_a_class_without_a_curve_has_no_points():
    assert operating_curve(np.array([0.1, 0.2]), np.array([1, 1])) is None
    assert roc(np.array([0.1]), np.array([1])) is None


def test_a_stored_curve_is_thin_and_lies_on_scikit_learns():
    given, targets = scores("random", images=3000)
    curve = operating_curve(given[:, 0], targets[:, 0])
    fpr, tpr, _ = roc_curve(targets[:, 0], given[:, 0], drop_intermediate=False)
    for x, y in zip(curve["fpr"], curve["tpr"], strict=True):
        assert np.hypot(fpr - x, tpr - y).min() < 1e-6
    assert len(curve["fpr"]) <= 101
    assert (curve["fpr"][0], curve["tpr"][-1]) == (0.0, 1.0)
