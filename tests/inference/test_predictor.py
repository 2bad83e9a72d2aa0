import re
from base64 import b64decode
from io import BytesIO

import numpy as np
import pytest
import torch
from PIL import Image
from scipy.special import logit

from chexnet.checkpoint import load_sealed, save_sealed
from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.errors import ConfigError, ImageError
from chexnet.evaluation.calibration import calibrate, validation_choices
from chexnet.evaluation.scoring import score_weights
from chexnet.explain import explain
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, spoken
from chexnet.model import load_weights
from chexnet.overlay import overlay
from chexnet.transforms import Preprocessing, normalise
from tests.conftest import BEST, answers

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def predictor(trained) -> Predictor:
    return Predictor(trained / BEST, "cpu", "torch")


@pytest.fixture(scope="module")
def pictures(phantoms) -> list:
    return list(read_folder(phantoms).paths.values())[:5]


def test_a_prediction_is_what_evaluation_gives(predictor, trained, phantoms):
    scored = score_weights(DataRequest(phantoms), trained / BEST, "test", device="cpu", workers=0)
    paths = read_folder(phantoms).paths
    predictions = answers(predictor, [paths[name] for name in scored.scores.images[:4]])
    calibrated = calibrate(scored.scores, validation_choices(predictor.metadata).calibrations)
    for answer, expected in zip(predictions, calibrated.probabilities[:4], strict=True):
        assert list(answer.probabilities) == scored.scores.classes
        assert list(answer.probabilities.values()) == pytest.approx(expected, abs=1e-5)


def test_pytorch_computes_in_channels_last_and_answers_the_same(predictor, trained, pictures):
    engine = predictor._engine
    items = np.stack([predictor.read(path).pixels for path in pictures])
    assert engine.inputs(items).is_contiguous(memory_format=torch.channels_last)
    for weight in engine.model.parameters():
        assert weight.dim() != 4 or weight.is_contiguous(memory_format=torch.channels_last)
    plain, metadata = load_weights(trained / BEST)
    expected = explain(plain, normalise(torch.from_numpy(items)[:, None], metadata.preprocessing))
    for ours, wanted in zip(engine(items), (expected.logits, expected.contributions), strict=True):
        assert ours.flags.c_contiguous
        np.testing.assert_allclose(ours, wanted.numpy(), rtol=0, atol=1e-5)


def test_bytes_and_paths_alone_and_together_get_the_same_answer(predictor, pictures):
    together = answers(predictor, pictures)
    for path, expected in zip(pictures, together, strict=True):
        alone = answers(predictor, [path.read_bytes()])[0]
        assert alone.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert np.array_equal(alone.pixels, expected.pixels)
        assert np.allclose(alone.heatmaps, expected.heatmaps, atol=1e-4)
    assert predictor.predict([]) == []


def test_probabilities_are_calibrated_as_the_weights_file_says(trained, pictures, tmp_path):
    content = load_sealed(trained / BEST)
    name = next(iter(content["classes"]))
    raw = {}
    for bias in (0.0, 2.0):
        calibration = {"slope": 0.5, "bias": bias, "positives": 30, "pooled": False}
        content["validation"]["calibration"] = {name: calibration}
        save_sealed(tmp_path / f"{bias}.pth", content)
        raw[bias] = answers(Predictor(tmp_path / f"{bias}.pth", "cpu", "torch"), pictures[:1])[0]
    low, high = (logit(raw[bias].probabilities[name]) for bias in (0.0, 2.0))
    assert high - low == pytest.approx(2.0, abs=1e-6)
    cells = raw[0.0].heatmaps
    assert np.array_equal(cells, raw[2.0].heatmaps)


def test_a_heatmap_belongs_to_its_class(predictor, pictures):
    answer = answers(predictor, pictures[:1])[0]
    for index, name in enumerate(predictor.classes):
        assert np.array_equal(answer.heatmap(name), answer.heatmaps[index])
        assert answer.heatmap(name).shape == (2, 2)
    with pytest.raises(ConfigError, match="Measles"):
        answer.heatmap("Measles")


def test_other_methods_are_had_by_name(predictor, pictures):
    pytest.importorskip("pytorch_grad_cam")
    answer = answers(predictor, pictures[:1])[0]
    heat = predictor.heatmap(answer, predictor.classes[0], "Grad-CAM++")
    assert heat.shape == (2, 2)
    assert 0 <= heat.min() <= heat.max() <= 1
    closed = predictor.heatmap(answer, predictor.classes[0])
    assert np.array_equal(closed, answer.heatmap(predictor.classes[0]))


def test_findings_over_their_threshold_come_the_most_probable_first(predictor, pictures):
    answer = answers(predictor, pictures[:1])[0]
    findings = predictor.findings_over_threshold(answer)
    values = [answer.probabilities[name] for name in findings]
    assert values == sorted(values, reverse=True)
    assert "No Finding" not in findings
    for name, threshold in predictor.thresholds.items():
        over = threshold is not None and answer.probabilities[name] >= threshold
        assert (name in findings) == (over and name not in ("No Finding", "Other"))


def test_a_picture_that_cannot_be_read_says_why(predictor):
    with pytest.raises(ImageError):
        predictor.read(b"no picture")


def test_threads_share_a_predictor(predictor, pictures):
    from concurrent.futures import ThreadPoolExecutor

    expected = answers(predictor, pictures)
    with ThreadPoolExecutor(4) as pool:
        predictions = list(pool.map(lambda path: answers(predictor, [path])[0], pictures * 3))
    for answer, wanted in zip(predictions, expected * 3, strict=True):
        assert answer.probabilities == pytest.approx(wanted.probabilities, abs=1e-5)
    assert not any(p.requires_grad for p in predictor._engine.model.parameters())
    assert torch.is_grad_enabled()


def test_many_files_come_in_order_and_a_broken_one_stops_nothing(predictor, pictures, tmp_path):
    broken = tmp_path / "broken.png"
    broken.write_bytes(b"no picture")
    paths = [*pictures[:3], broken, *pictures[3:]]
    results = list(predictor.stream(paths, batch_size=2))
    assert [result.path for result in results] == paths
    assert [bool(result.error) for result in results] == [path == broken for path in paths]
    expected = iter(answers(predictor, pictures))
    for result in results:
        if result.path != broken:
            wanted = next(expected).probabilities
            assert result.prediction.probabilities == pytest.approx(wanted, abs=1e-5)
    assert list(predictor.stream([])) == []


def test_a_radiograph_that_was_read_goes_through_the_same_door(predictor, pictures):
    read = predictor.read(pictures[0])
    again = predictor.read(read.radiograph)
    assert np.array_equal(read.pixels, again.pixels)
    assert read.verdict == again.verdict
    turned = predictor.read(read.radiograph.corrected(1, inverted=True))
    upright = 255 - np.rot90(read.pixels).astype(int)
    assert np.abs(turned.pixels - upright).max() <= 2  # resizing rounds rows and columns in turn


@pytest.mark.parametrize("engine", ["torch", "onnx"])
def test_bias_and_contributions_add_up_to_the_logit(trained, pictures, engine):
    weights = trained / BEST
    predictor = Predictor(weights, "cpu", engine)
    stored = load_sealed(weights)["state_dict"]["classifier.bias"].numpy()
    assert list(predictor.bias.values()) == pytest.approx(stored.tolist(), abs=1e-7)
    for prediction in answers(predictor, pictures):
        sums = prediction.contributions.sum(axis=(1, 2))
        for name, total in zip(predictor.classes, sums, strict=True):
            assert predictor.bias[name] + total == pytest.approx(prediction.logits[name], abs=1e-4)
            calibration = predictor.calibrations[name]
            logit_of_answer = logit(prediction.probabilities[name])
            expected = calibration.slope * prediction.logits[name] + calibration.bias
            assert logit_of_answer == pytest.approx(expected, abs=1e-4)


def test_in_a_notebook_input_and_answer_show_themselves(predictor, pictures):
    read = predictor.read(pictures[0])
    shown = np.asarray(Image.open(BytesIO(read._repr_png_())))
    np.testing.assert_array_equal(shown, read.pixels)
    answer = predictor.show(pictures[0])
    assert answer.probabilities == answers(predictor, pictures[:1])[0].probabilities
    html = answer._repr_html_()
    values = {name: p for name, p in answer.probabilities.items() if name in FINDINGS}
    first = max(values, key=values.get)
    assert f"Grad-CAM of {spoken(first)}" in html
    assert html.count("<tr>") == len(values)
    picture = np.asarray(Image.open(BytesIO(b64decode(re.search("base64,([^']+)", html)[1]))))
    expected = overlay(read.pixels, answer.heatmap(first), Preprocessing(crop=100))
    np.testing.assert_array_equal(picture, expected)
    assert "not for clinical use" in html
