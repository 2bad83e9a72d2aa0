"""The validation scores of a weights file say what the scores themselves say."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from chexnet.errors import CheckpointError
from chexnet.evaluation.intervals import PatientBootstrap
from chexnet.evaluation.operating import operating_points
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.validation import read_validation_scores, validation_scores
from chexnet.inference.onnx_runtime import as_metadata, read_metadata
from chexnet.metadata import Metadata
from chexnet.model import load_weights
from chexnet.transforms import Preprocessing
from tests.conftest import ROOT

CLASSES = ["Effusion", "Hernia"]


@pytest.fixture(scope="module")
def many() -> Scores:
    """5,000 images of 1,500 patients: more scores than are kept."""
    rng = np.random.default_rng(4)
    patient = rng.integers(0, 1500, 5000)
    targets = np.stack([rng.random(5000) < 0.5, rng.random(5000) < 0.01], axis=1).astype(np.int8)
    z = rng.normal(0, 1, (5000, 2)) + rng.normal(0, 1, 1500)[patient][:, None] + targets
    probabilities = 1 / (1 + np.exp(-z))
    probabilities[:300] = probabilities[300:600]  # some scores are equal
    return Scores(
        images=[f"{i}.png" for i in range(5000)],
        patients=[f"hospital-{p}" for p in patient],
        classes=CLASSES,
        probabilities=probabilities,
        targets=targets,
    )


def metadata_of(stored: dict) -> Metadata:
    classes = {name: index for index, name in enumerate(stored["classes"])}
    return Metadata(classes, Preprocessing(), validation_scores=stored)


def test_thinned_scores_give_the_exact_counts_and_patient_intervals_at_every_level(many):
    stored = validation_scores(many)
    thinned = read_validation_scores(metadata_of(stored)).scores
    for column, name in enumerate(CLASSES):
        levels = stored["levels"][name].numpy()
        assert len(levels) == 2000
        over = many.probabilities[:, column] >= levels[:, None]
        assert np.array_equal(thinned.probabilities[:, column] >= levels[:, None], over)
    assert np.array_equal(thinned.targets, many.targets)
    for place in (7, 600, 1500, 1993):
        at = {name: {"youden": float(stored["levels"][name][place])} for name in CLASSES}
        points = [
            operating_points(scores, at, bootstrap=PatientBootstrap(scores.patients, 100))
            for scores in (many, thinned)
        ]
        assert points[0] == points[1]


def test_every_positive_of_a_rare_finding_keeps_its_score(many):
    stored = validation_scores(many)
    positives = many.probabilities[many.targets[:, 1] == 1, 1]
    assert set(positives) <= set(stored["levels"]["Hernia"].tolist())
    ends = stored["levels"]["Effusion"][[0, -1]].tolist()
    assert ends == [many.probabilities[:, 0].min(), many.probabilities[:, 0].max()]


def test_few_scores_come_back_as_they_were_and_patients_without_their_numbers(many):
    few = many.take(np.arange(0, 5000, 10))
    stored = validation_scores(few, "somewhere", drawn=few.images[:2])
    kept = read_validation_scores(metadata_of(stored))
    assert np.flatnonzero(kept.drawn).tolist() == [0, 1]
    assert np.array_equal(kept.scores.probabilities, few.probabilities)
    assert kept.source == "somewhere"
    assert "hospital" not in repr(stored)
    pairs = set(zip(few.patients, kept.scores.patients, strict=True))
    assert len(pairs) == len(set(few.patients)) == len(set(kept.scores.patients))


def test_an_exported_file_carries_the_same_scores(many, tmp_path):
    metadata = metadata_of(validation_scores(many.take(np.arange(0, 5000, 10))))
    carried, _ = read_metadata(as_metadata(metadata, np.zeros(2)), tmp_path)
    before, after = read_validation_scores(metadata), read_validation_scores(carried)
    assert np.array_equal(before.scores.probabilities, after.scores.probabilities)
    assert np.array_equal(before.scores.targets, after.scores.targets)
    assert before.scores.patients == after.scores.patients


@pytest.mark.parametrize("wrong", [{"ranks": 3}, {"levels": {}}, {"drawn": [1]}, {"targets": "a"}])
def test_validation_scores_of_another_shape_are_refused(many, wrong):
    stored = validation_scores(many.take(np.arange(9))) | wrong
    with pytest.raises(CheckpointError, match="another shape"):
        read_validation_scores(metadata_of(stored))


def test_an_older_file_has_none():
    assert read_validation_scores(Metadata({}, Preprocessing())) is None


def test_training_writes_them(trained):
    _, metadata = load_weights(trained / "best_chexnet_params.pth")
    scores = read_validation_scores(metadata).scores
    figures = metadata.validation["figures"]
    assert (len(scores.images), len(set(scores.patients))) == (
        figures["images"],
        figures["patients"],
    )
    for column, name in enumerate(scores.classes):
        given, truth = scores.probabilities[:, column], scores.targets[:, column]
        if 0 < truth.sum() < len(truth):
            expected = figures["classes"][name]["auroc"]
            assert roc_auc_score(truth, given) == pytest.approx(expected, abs=1e-6)


@pytest.mark.usefixtures("real_network")
def test_the_starters_scores_are_those_that_its_figures_and_thresholds_are_of():
    _, metadata = load_weights(ROOT / "weights" / "starter.pth")
    kept = read_validation_scores(metadata)
    assert len(kept.drawn) == 899
    assert kept.source == metadata.validation["thresholds_source"]
    real = kept.scores.take(np.flatnonzero(~kept.drawn))
    figures = metadata.validation["figures"]
    assert (len(real.images), len(set(real.patients))) == (529, 476)
    for column, name in enumerate(real.classes):
        assert real.targets[:, column].sum() == figures["classes"][name]["positives"]
        found_auroc = roc_auc_score(real.targets[:, column], real.probabilities[:, column])
        assert found_auroc == pytest.approx(figures["classes"][name]["auroc"], abs=1e-6)
