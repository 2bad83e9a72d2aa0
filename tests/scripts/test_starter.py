"""The starter weights: what is committed, and the way that makes them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest

from chexnet.checkpoint import load_sealed
from chexnet.data.nih import read_folder
from chexnet.data.splits import name_hashes
from chexnet.inference.predictor import Predictor
from chexnet.phantom.dataset import draw_phantoms
from scripts.starter.model_card import _pointing
from tests.conftest import ROOT

WEIGHTS = ROOT / "weights" / "starter.pth"
CARD = ROOT / "weights" / "README.md"


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    return Predictor(WEIGHTS, "cpu")


def test_the_stored_weights_are_small_half_precision_and_say_what_they_saw(predictor):
    state = load_sealed(WEIGHTS)["state_dict"]
    kinds = {("running_" in name): str(v.dtype) for name, v in state.items() if v.dim()}
    assert kinds == {False: "torch.float16", True: "torch.float32"}
    assert WEIGHTS.stat().st_size < 16e6
    assert predictor.metadata.trained_on == "both"
    assert predictor.metadata.preprocessing.size == 256
    assert all(predictor.thresholds[name] is not None for name in predictor.classes)


def test_the_weights_tell_real_figures_from_drawn_ones(predictor):
    reported = predictor.metadata.validation["reported"]
    assert reported["radiographs"]["images"] == 208
    assert reported["radiographs"]["mean_auroc"]["findings"]["of"] == 14
    drawn = reported["phantoms"]["mean_auroc"]["findings"]
    assert (drawn["of"], drawn["value"] > 0.9) == (14, True)


def test_the_weights_say_how_far_their_heatmaps_can_be_trusted(predictor):
    metadata = predictor.metadata
    counts = {kind: one["all"]["count"] for kind, one in metadata.trust.items()}
    assert counts == {"radiographs": 48, "phantoms": 1328}
    assert set(metadata.trust["radiographs"]["findings"]) == {"Pneumonia"}
    assert metadata.mean_contributions.shape == (15, 8, 8)
    assert metadata.validation["thresholds_source"].startswith("164 real and")


def test_the_card_says_first_what_was_seen_and_how_to_make_it_again():
    text = CARD.read_text(encoding="utf-8")
    first = text.split("\n\n")[1]
    assert first.startswith("**For teaching only: trained on drawn phantoms and on few real")
    assert "never for clinical" in first
    assert "python -m scripts.starter --nih DATA" in text
    names = (WEIGHTS.parent / "real_images.txt").read_text().split()
    assert len(names) == len(set(names)) == 1585
    assert all(name.endswith(".png") for name in names)


def test_figures_of_boxes_are_read_from_new_and_old_files():
    """Until localization.json had intervals as the other files have, they were `[low, high]`."""
    hits = dict.fromkeys(("heatmap", "average box", "random point", "untrained"), 0.5)

    def shown(whole: object, one: object) -> str:
        boxes = {
            "all": {"All": {"targets": 9, "peak_in_box": hits, "interval": whole}},
            "at least a cell": {
                "All": {"targets": 9, "peak_in_box": hits, "interval": whole},
                "Mass": {"targets": 9, "peak_in_box": hits, "interval": one},
            },
        }
        return _pointing("Phantoms", {"boxes": boxes, "method": "m", "cells": "8 x 8"}, each=True)

    none = {"low": None, "high": None, "draws_left_out": 0}
    new = shown({"low": 0.25, "high": 0.75, "draws_left_out": 0}, none)
    assert new == shown([0.25, 0.75], None)
    assert "(0.250-0.750)" in new
    assert "| Mass | 9 | 0.500 | n/a |" in new


def test_help_names_no_folder_of_this_machine(here, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    done = here("starter", "--help")
    assert done.returncode == 0, done.stderr
    assert "[default: weights/real_images.txt]" in done.stdout


def test_no_image_of_the_test_list_was_trained_on(nih):
    names = (WEIGHTS.parent / "real_images.txt").read_text().split()
    assert not nih.lists["test"] & set(names)
    patients = nih.table.set_index("image")["patient"]
    trained = load_sealed(WEIGHTS)["provenance"]["trained_patients"].numpy()
    tested = name_hashes(patients[sorted(nih.lists["test"] & set(nih.paths))])
    assert not np.isin(tested, trained).any()
    assert np.isin(name_hashes(patients[names]), trained).mean() > 0.8


@pytest.mark.slow
def test_the_whole_way_from_nothing_to_weights_and_card(tmp_path):
    nih, images = tmp_path / "nih", tmp_path / "images.txt"
    # Drawn ones stand in for NIH's download, with patient numbers as NIH's.
    draw_phantoms(nih, patients=40, size=128, seed=77)
    table = pd.read_csv(nih / "Data_Entry_2017.csv", dtype=str, keep_default_na=False)
    table["Patient ID"] = table["Patient ID"].str[4:]
    table.to_csv(nih / "Data_Entry_2017.csv", index=False)
    images.write_text("\n".join(sorted(read_folder(nih).lists["train_val"])))
    weights, out = tmp_path / "weights" / "starter.pth", tmp_path / "run"
    command = [sys.executable, "-m", "scripts.starter", "--out", out, "--weights", weights]
    command += ["--nih", nih, "--images", images, "--processes", 2]
    command += ["--patients", 30, "--mixed", 12, "--unseen", 12, "--size", 128]
    command += ["--epochs", 1, 1, 1]
    for _ in range(2):  # the second time everything is there already
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    scored = json.loads((out / "phantoms" / "eval-all" / "metrics.json").read_text())
    assert scored["facts"]["weights"]["file"] == "starter.pth"
    text = (weights.parent / "README.md").read_text(encoding="utf-8")
    assert "--patients 30 --mixed 12 --unseen 12 --size 128 --epochs 1 1 1" in text
    assert f"{scored['images']:,} pictures of 12 drawn patients" in text
    reported = Predictor(weights, "cpu", "torch").metadata.validation["reported"]
    assert reported["phantoms"]["images"] == scored["images"]
    assert reported["phantoms"]["classes"] == scored["classes"]
