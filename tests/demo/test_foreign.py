"""The page on a network from elsewhere: scores, its publisher's thresholds, its own frame."""

import json
import re

import numpy as np
import pytest
import torch

from chexnet.inference.predictor import Predictor
from chexnet.networks.importers import import_network
from chexnet.networks.registry import find_network
from chexnet.phantom.draw import draw_phantom
from demo import rendering
from demo.answer import answer_of
from demo.service import Service
from scripts.predict import _as_json, _as_text
from tests.demo.conftest import run
from tests.malformed import encoded
from tests.networks.files import random_network


@pytest.fixture(scope="module")
def predictor(tmp_path_factory) -> Predictor:
    """torchxrayvision's layout with random weights, whose answers stay moderate."""
    root = tmp_path_factory.mktemp("imported")
    network = random_network(classes=18, channels=1, seed=1)
    with torch.no_grad():
        network.features.conv0.weight.div_(1024)
    torch.save(network, root / "xrv.pt")
    import_network(root / "xrv.pt", root / "xrv.pth", network=find_network("xrv-nih"))
    return Predictor(root / "xrv.pth", "cpu", "torch")


def wide() -> np.ndarray:
    return draw_phantom(998, 20, 0, size=480, findings={}).pixels[60:380]


@pytest.fixture(scope="module")
def content(predictor, tmp_path_factory) -> dict:
    """What the page gets for a picture of 480 x 320 pixels."""
    service = Service(predictor, tmp_path_factory.mktemp("uploads"))
    analysis = run(service.analyse(encoded(wide())))
    answer = answer_of(analysis, predictor, anyway=True)
    service.close()
    return answer


def test_the_answer_has_scores_the_publishers_thresholds_and_the_square_that_it_saw(
    predictor, content
):
    assert not content["calibrated"]
    assert predictor.value_name == "score"
    assert content["thresholds_of"] == "publisher"
    assert content["threshold"]["Hernia"] == 0.0004403434
    assert content["crop"]["box"] == [80, 0, 400, 320]  # the centre of a picture of 480 x 320
    for name, logit in content["logit"].items():
        expected = 1 / (1 + np.exp(-logit))
        assert content["probability"][name] == pytest.approx(expected, rel=1e-4)


def test_the_overlay_leaves_what_was_not_seen_as_it_is(predictor):
    read = predictor.read(encoded(wide()))
    (prediction,) = predictor.predict([read])
    name = max(predictor.classes, key=lambda label: prediction.heatmap(label).max())
    assert prediction.heatmap(name).max() > 0
    pixels = read.radiograph.as_uint8()
    drawn = predictor.overlay(read.radiograph, prediction, name, top=1e-6)
    same = (drawn == pixels[..., None]).all(axis=(0, 2))
    assert same[:80].all()
    assert same[400:].all()
    assert not same[80:400].all()


def test_header_and_model_tab_say_where_it_comes_from(predictor):
    header = " ".join(rendering.header("xrv-nih", predictor.metadata).split())
    assert "A network from elsewhere, never trained here: it gives scores, not prob" in header
    assert "The thresholds are its publisher's." in header
    assert "Nobody has confirmed this import" in header
    tab = " ".join(re.sub("<[^>]+>", " ", rendering.model_tab(predictor)).split())
    for sentence in (
        "layout torchxrayvision",
        "Licence Apache-2.0",
        "14,434 NIH images, reconstructed",
        "score: nobody calibrated it",
        "as a square, at 224 x 224 pixels",
    ):
        assert sentence in tab
    for ours in ("Validated on", "Best epoch", "ROC curves", "holds no figures"):
        assert ours not in tab


def test_predict_says_score_and_whose_threshold_it_is(predictor, tmp_path):
    (tmp_path / "p.png").write_bytes(encoded(wide()))
    (result,) = predictor.stream([tmp_path / "p.png"])
    text = _as_text(predictor, result)
    assert "Scores, not probabilities: nobody calibrated this network." in text
    assert "(publisher's threshold 0.0004)" in text
    assert "over its publisher's threshold" in text
    figures = json.loads(_as_json(predictor, result))
    assert (figures["calibrated"], figures["thresholds_of"]) == (False, "publisher")
