"""The starter weights: what is committed, and the way that makes them."""

import json
import subprocess
import sys

import numpy as np
import pandas as pd
import pytest
from typer.testing import CliRunner

from chexnet.checkpoint import load_sealed
from chexnet.data.nih import read_folder
from chexnet.data.splits import name_hashes
from chexnet.inference.predictor import Predictor
from chexnet.phantom.dataset import draw_phantoms
from dev.starter import card
from dev.starter.__main__ import app
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
    assert reported["radiographs"]["images"] == 360
    assert reported["radiographs"]["mean_auroc"]["findings"]["of"] == 14
    drawn = reported["phantoms"]["mean_auroc"]["findings"]
    assert (drawn["of"], drawn["value"] > 0.9) == (14, True)


def test_the_weights_say_how_far_their_heatmaps_can_be_trusted(predictor):
    metadata = predictor.metadata
    counts = {kind: figures["all"]["count"] for kind, figures in metadata.trust.items()}
    assert counts == {"radiographs": 54, "phantoms": 1328}
    assert set(metadata.trust["radiographs"]["findings"]) == {"Pneumonia"}
    assert metadata.mean_contributions.shape == (15, 8, 8)
    assert metadata.validation["thresholds_source"].startswith("529 real and")


def test_the_card_says_first_what_was_seen_and_how_to_make_it_again():
    text = CARD.read_text(encoding="utf-8")
    first = text.split("\n\n")[1]
    assert first.startswith("**For teaching only: trained on drawn phantoms and on few real")
    assert "never for clinical" in first
    assert ".starter --nih DATA" in text
    names = (WEIGHTS.parent / "real_images.txt").read_text().split()
    assert len(names) == len(set(names)) == 9205
    assert all(name.endswith(".png") for name in names)


def test_the_page_holds_the_reports_card_and_where_the_heatmaps_look(tmp_path, monkeypatch):
    hits = dict.fromkeys(("heatmap", "average box", "random point", "untrained"), 0.5)
    none = {"low": None, "high": None, "draws_left_out": 0}
    rows = {
        name: {"targets": 9, "peak_in_box": hits, "interval": interval}
        for name, interval in (("Mass", none), ("All", none | {"low": 0.25, "high": 0.75}))
    }
    mean = {"value": 0.75, "of": 1, "all": 1}
    content = {
        "images": 7,
        "patients": 5,
        "classes": {"Mass": {"positives": 3, "auroc": 0.75, "average_precision": 0.5}},
        "mean_auroc": {"findings": mean, "rows": mean},
    }
    for kind in ("radiographs", "phantoms"):
        folder = tmp_path / kind / "scored"
        folder.mkdir(parents=True)
        (folder / "localization.json").write_text(json.dumps({"boxes": {"all": rows, "few": {}}}))
        (folder / "metrics.json").write_text(json.dumps(content))
        (folder / "model_card.md").write_text("**Never.**\n\n# Model card: w\n\n## Data\n")
    monkeypatch.setattr(card, "_made", lambda *about: "made")
    text = card.card(tmp_path / "w.pth", tmp_path, [], "command")
    assert "\n### Model card: w\n\n#### Data\n" in text
    assert "7 pictures of 5 drawn patients" in text
    assert "| Mass | 3 | 0.750 | n/a |" in text
    assert text.count("| Mass | 9 | 0.500 | n/a | 0.500 | 0.500 |") == 2
    assert text.count("| All | 9 | 0.500 | 0.250\u20130.750 | 0.500 | 0.500 |") == 2


def test_help_names_no_folder_of_this_machine():
    done = CliRunner().invoke(app, ["--help"], env={"COLUMNS": "120"})
    assert done.exit_code == 0
    assert "[default: weights/real_images.txt]" in done.output


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
    command = [sys.executable, "-m", "dev.starter", "--out", out, "--weights", weights]
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
