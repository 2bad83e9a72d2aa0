"""Calibration of a network from elsewhere on a user's validation images."""

import dataclasses

import numpy as np
import pytest
import torch

from chexnet.checkpoint import load_sealed
from chexnet.data.formats import DataRequest
from chexnet.errors import DataError, LeakError
from chexnet.evaluation.calibration import fit_on, validation_choices
from chexnet.evaluation.info import SEEN_CALIBRATION
from chexnet.evaluation.scoring import score_weights
from chexnet.model import load_weights
from chexnet.networks import calibrate
from chexnet.networks.calibrate import calibrate_weights
from tests.standins import as_imported, rows_seen

pytestmark = pytest.mark.usefixtures("tiny_network")
QUICK = {"device": "cpu", "workers": 0}


@pytest.fixture
def imported(phantoms, trained, tmp_path):
    """A network that has seen the training part alone."""
    seen = rows_seen(phantoms, "train")
    return as_imported(trained / "best_chexnet_params.pth", tmp_path / "w.pth", seen)


@pytest.fixture
def easily(monkeypatch):
    """One positive is enough: there are few phantoms."""
    for module in ("chexnet.evaluation.calibration", "chexnet.networks.calibrate"):
        monkeypatch.setattr(f"{module}.enough", lambda truth: 0 < truth.sum() < len(truth))


def test_it_gives_what_training_gives_and_changes_no_tensor(phantoms, imported, tmp_path, easily):
    before = load_sealed(imported)
    out = tmp_path / "calibrated.pth"
    report = calibrate_weights(imported, DataRequest(phantoms), out, **QUICK)
    scores = score_weights(DataRequest(phantoms), imported, "val", **QUICK).scores
    expected = fit_on(scores, "")
    _, metadata = load_weights(out)
    chosen = validation_choices(metadata)
    assert chosen.calibrations == expected.calibrations
    assert chosen.thresholds == expected.thresholds
    assert metadata.validation["figures"]["images"] == report.images == len(scores.images)
    assert metadata.validation["chosen_on_seen"] is False
    after = load_sealed(out)
    assert all(torch.equal(v, after["state_dict"][k]) for k, v in before["state_dict"].items())
    assert load_sealed(imported)["validation"] == {}
    scored = score_weights(DataRequest(phantoms), out, "test", **QUICK)
    assert scored.chosen is not None
    assert scored.stamps == []
    assert sorted([*report.own, *report.pooled]) == sorted(metadata.classes)


def test_publishers_thresholds_stay_beside_it_and_the_file_is_replaced(phantoms, imported, easily):
    from chexnet.model import update_metadata

    _, metadata = load_weights(imported)
    theirs = {"Mass": 0.01}
    update_metadata(
        imported, dataclasses.replace(metadata, validation={"publisher_thresholds": theirs})
    )
    calibrate_weights(imported, DataRequest(phantoms), **QUICK)
    _, metadata = load_weights(imported)
    assert metadata.validation["publisher_thresholds"] == theirs
    assert metadata.seen is not None
    assert validation_choices(metadata) is not None


def test_seen_images_are_refused_or_taken_with_a_stamp(phantoms, trained, tmp_path, easily):
    seen = rows_seen(phantoms, "train", "val")
    path = as_imported(trained / "best_chexnet_params.pth", tmp_path / "w.pth", seen)
    before = path.read_bytes()
    with pytest.raises(LeakError, match="is clean"):
        calibrate_weights(path, DataRequest(phantoms), **QUICK)
    assert path.read_bytes() == before
    assert calibrate_weights(path, DataRequest(phantoms), allow_seen=True, **QUICK).seen
    assert score_weights(DataRequest(phantoms), path, "test", **QUICK).stamps == [SEEN_CALIBRATION]


def test_too_few_positives_choose_nothing(phantoms, imported, monkeypatch):
    monkeypatch.setattr(calibrate, "enough", lambda truth: False)
    before = imported.read_bytes()
    with pytest.raises(DataError, match="too few positives"):
        calibrate_weights(imported, DataRequest(phantoms), **QUICK)
    assert imported.read_bytes() == before


def test_only_unseen_images_choose(phantoms, trained, tmp_path, easily):
    """Half of the validation patients were seen: the others alone choose."""
    weights = trained / "best_chexnet_params.pth"
    whole = score_weights(DataRequest(phantoms), weights, "val", **QUICK).scores
    from chexnet.data.nih import read_folder
    from tests.standins import seen_of

    table = read_folder(phantoms).table
    half = sorted(set(whole.patients))[:1]
    path = as_imported(weights, tmp_path / "w.pth", seen_of(table[table["patient"].isin(half)]))
    report = calibrate_weights(path, DataRequest(phantoms), **QUICK)
    expected = np.array([patient not in half for patient in whole.patients]).sum()
    assert (report.images, report.of) == (expected, len(whole.images))
