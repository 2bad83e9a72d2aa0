"""Commands about networks from elsewhere: compare --weights, weights check."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from chexnet.data.datasets import PackedDataSet
from chexnet.data.formats import DataRequest
from chexnet.evaluation.compare import MEAN
from chexnet.evaluation.holdout import open_holdout
from chexnet.model import load_weights, save_weights
from chexnet.transforms import Preprocessing
from tests.standins import as_imported, rows_seen

pytestmark = pytest.mark.usefixtures("tiny_network")


def test_networks_are_compared_by_their_weights(phantoms, trained, tmp_path, here, refused):
    weights = []
    for name in ("a", "b"):  # copies: each scoring of test images is noted beside them
        (tmp_path / name).mkdir()
        weights.append(tmp_path / name / "w.pth")
        weights[-1].write_bytes((trained / "best_chexnet_params.pth").read_bytes())
    options = ("--data", phantoms, "--out", tmp_path, "--replicates", 20)
    quick = ("--device", "cpu", "--workers", 0)
    done = here("compare", *options, *quick, "--weights", *weights)
    assert done.returncode == 0, done.stderr
    assert "2 of 2: w" in done.stderr
    assert "w (2)" in done.stdout
    comparison = json.loads((tmp_path / "comparison.json").read_text())
    assert [network["name"] for network in comparison["networks"]] == ["w", "w (2)"]
    assert comparison["networks"][1]["against_first"][MEAN]["difference"] == 0
    assert {"comparison.csv", "comparison.html", "predictions-2.csv"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert all((path.parent / "test_scores.csv").exists() for path in weights)
    assert "found 1, expected two" in refused("compare", *options, "--weights", weights[0])
    for wrong in ((), (weights[0],), (*weights, "--allow-leak", "--weights", *weights)):
        assert here("compare", *options, *wrong).returncode == 2


def test_phantoms_show_each_findings_auroc_and_cannot_say(phantoms, trained, tmp_path, shown):
    weights = as_imported(
        trained / "best_chexnet_params.pth",
        tmp_path / "w.pth",
        rows_seen(phantoms, "train"),
        published=0.8,
        published_source="a paper",
    )
    before = weights.read_bytes()
    options = ("--data", phantoms, "--device", "cpu", "--replicates", 20)
    printed = shown("weights", "check", weights, *options)
    assert "Verdict: cannot say." in printed
    assert "may fail on drawings" in printed
    rows = [line.split()[0] for line in printed.splitlines() if "0." in line]
    assert set(load_weights(weights)[1].classes) & set(rows)
    assert "Published: 0.8 (a paper; epoch chosen on: not stated)." in printed
    assert weights.read_bytes() == before
    assert not (tmp_path / "test_scores.csv").exists()


def test_calibrating_says_on_how_many_images(
    phantoms, trained, tmp_path, shown, refused, monkeypatch
):
    for name in ("evaluation.calibration", "networks.calibrate"):
        # One positive is enough for all classes together, and none for a class: few phantoms.
        monkeypatch.setattr(f"chexnet.{name}.enough", lambda truth: len(truth) > 20)
    source = trained / "best_chexnet_params.pth"
    weights = as_imported(source, tmp_path / "w.pth", rows_seen(phantoms, "train"))
    options = ("--data", phantoms, "--device", "cpu", "--workers", 0)
    out = tmp_path / "new.pth"
    printed = shown("weights", "calibrate", weights, *options, "--out", out)
    assert "images of the validation part (official split)" in printed
    assert "Under 20 positives" in printed
    assert f"Written: {out}." in printed
    _, metadata = load_weights(out)
    images = metadata.validation["figures"]["images"]
    assert f"chosen on {images} of {images} images" in printed
    seen = as_imported(source, tmp_path / "seen.pth", rows_seen(phantoms, "train", "val"))
    told = refused("weights", "calibrate", seen, *options)
    assert "is clean" in told
    assert "--allow-seen" in told


def test_a_pack_is_made_as_a_network_sees_the_pictures_and_scoring_finds_it(
    phantoms, trained, tmp_path, shown, here
):
    """Neither a broken percentage nor another filter nor a square has an option of its own."""
    model, metadata = load_weights(trained / "best_chexnet_params.pth")
    seen = Preprocessing(87.5, 64, resample="bicubic", keep_aspect=True)
    weights, packs = tmp_path / "w.pth", tmp_path / "packs"
    save_weights(weights, model, replace(metadata, preprocessing=seen))
    options = ("prepare", "--data", phantoms, "--packs", packs, "--workers", 1)
    printed = shown(*options, "--weights", weights)
    assert "packed at 64x64" in printed
    assert f"Next: python -m scripts.eval --data {phantoms} --weights {weights}" in printed
    packed, files = (
        open_holdout(DataRequest(phantoms, packs=folder), weights, "test").data_set
        for folder in (packs, None)
    )
    assert isinstance(packed, PackedDataSet)
    assert torch.equal(packed.batch(np.arange(3))[0], files.batch(np.arange(3))[0])
    assert here(*options, "--weights", weights, "--size", 64).returncode == 2
