"""The starter weights: what is committed, and the way that makes them."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from chexnet.checkpoint import load_sealed
from chexnet.predict import Predictor

ROOT = Path(__file__).parents[2]
WEIGHTS = ROOT / "weights" / "starter.pth"
CARD = ROOT / "weights" / "README.md"


def test_the_stored_weights_are_small_half_precision_and_say_what_they_saw():
    state = load_sealed(WEIGHTS)["state_dict"]
    kinds = {("running_" in name): str(v.dtype) for name, v in state.items() if v.dim()}
    assert kinds == {False: "torch.float16", True: "torch.float32"}
    assert WEIGHTS.stat().st_size < 16e6
    predictor = Predictor(WEIGHTS, "cpu")
    assert predictor.card.phantoms
    assert predictor.card.preprocessing.size == 256
    assert all(predictor.thresholds[name] is not None for name in predictor.classes)


def test_the_card_says_first_that_no_patient_was_seen_and_how_to_make_it_again():
    text = CARD.read_text(encoding="utf-8")
    first = text.split("\n\n")[1]
    assert first.startswith("**Trained on synthetic phantoms")
    assert "never for clinical" in first
    assert "python -m scripts.starter" in text


@pytest.mark.slow
def test_the_whole_way_from_nothing_to_weights_and_card(tmp_path):
    weights, out = tmp_path / "weights" / "starter.pth", tmp_path / "run"
    command = [sys.executable, "-m", "scripts.starter", "--out", out, "--weights", weights]
    command += ["--data", tmp_path / "data", "--patients", 30, "--unseen", 12]
    command += ["--size", 128, "--epochs", 1, 1]
    for _ in range(2):  # the second time everything is there already
        done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
    scored = json.loads((out / "eval-all" / "metrics.json").read_text())
    assert scored["facts"]["weights"]["file"] == "starter.pth"
    text = (weights.parent / "README.md").read_text(encoding="utf-8")
    assert "python -m scripts.starter --patients 30 --unseen 12 --size 128 --epochs 1 1" in text
    assert f"{scored['images']:,} pictures of 12 drawn patients" in text
