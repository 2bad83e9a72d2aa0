"""One phantom: pure, its findings inside their boxes, nothing else telling of them."""

from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS
from chexnet.phantom.draw import draw_phantom
from chexnet.phantom.findings import DRAW
from chexnet.phantom.patients import patient_number, person, visits


@cache
def healthy(patient, size):
    """What the pictures of every finding are compared with."""
    return draw_phantom(1, patient, 0, size=size, findings={})


def _inside(boxes, size):
    mask = np.zeros((size, size), bool)
    for _, (x, y, w, h) in boxes:
        k = size / 1024
        mask[round(y * k) : round((y + h) * k), round(x * k) : round((x + w) * k)] = True
    return mask


def test_the_same_key_gives_the_same_bytes_and_another_key_another_picture():
    picture, again = (draw_phantom(3, 5, 0, size=128) for _ in range(2))
    assert picture.pixels.tobytes() == again.pixels.tobytes()
    assert picture.boxes == again.boxes
    for seed, patient in ((4, 5), (3, 6)):
        assert (draw_phantom(seed, patient, 0, size=128).pixels != picture.pixels).mean() > 0.5


def test_global_random_state_is_neither_read_nor_changed():
    before = np.random.get_state()[1].copy()
    draw_phantom(0, 1, 0, size=64)
    assert (np.random.get_state()[1] == before).all()


def test_every_finding_has_a_function_whose_docstring_names_sign_and_source():
    assert set(DRAW) == set(FINDINGS)
    for draw in DRAW.values():
        assert "Sign:" in draw.__doc__
        assert any(name in draw.__doc__ for name in ("Fleischner", "Felson"))


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_its_box_more_than_the_rest(finding):
    for patient in (2, 9):
        ill = draw_phantom(1, patient, 0, size=256, findings={finding: 0.8})
        assert healthy(patient, 256).boxes == ()
        assert {name for name, _ in ill.boxes} == {finding}
        change = np.abs(ill.pixels.astype(float) - healthy(patient, 256).pixels)
        inside = _inside(ill.boxes, 256)
        assert change[inside].mean() > 2 * change[~inside].mean()
        assert change[inside].mean() > 3


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_more_severe_finding_changes_more(finding):
    without = healthy(4, 128).pixels.astype(float)
    faint, obvious = (
        np.abs(draw_phantom(1, 4, 0, size=128, findings={finding: s}).pixels - without).sum()
        for s in (0.1, 1.0)
    )
    assert 0 < faint < obvious


def test_another_size_shows_the_same_picture_and_boxes():
    small, large = (draw_phantom(0, 3, 0, size=s, findings={"Mass": 0.6}) for s in (128, 512))
    reduced = np.asarray(Image.fromarray(large.pixels).resize((128, 128), Image.Resampling.BOX))
    assert np.corrcoef(reduced.ravel(), small.pixels.ravel())[0, 1] > 0.99
    assert np.abs(reduced.astype(float) - small.pixels).mean() < 4
    np.testing.assert_allclose(large.boxes[0][1], small.boxes[0][1], atol=2 * 1024 / 128)


def test_a_thumbnail_is_not_enough_and_view_and_exposure_tell_nothing():
    thumbs, truth, cues, patients = [], [], [], []
    for patient in range(180):
        for visit in visits(7, patient)[:2]:
            phantom = draw_phantom(7, patient, visit.follow_up, size=64)
            picture = Image.fromarray(phantom.pixels).resize((16, 16), Image.Resampling.BOX)
            thumbs.append(np.asarray(picture).ravel() / 255)
            # The frame's corners show exposure, borders and marker, and hardly any lung.
            corners = phantom.pixels[:8, :8], phantom.pixels[:8, -8:], phantom.pixels[-5:, 24:40]
            cues.append([visit.view == "AP", *(part.mean() / 255 for part in corners)])
            truth.append([name in visit.findings for name in FINDINGS])
            patients.append(patient)
    truth, held_out = np.array(truth), np.array(patients) >= 120

    def mean_auroc(features: list) -> float:
        x = np.array(features, float)
        x = (x - x[~held_out].mean(axis=0)) / (x[~held_out].std(axis=0) + 1e-3)
        scores = []
        for i in range(len(FINDINGS)):
            model = LogisticRegression(C=0.01, max_iter=500).fit(x[~held_out], truth[~held_out, i])
            scores.append(roc_auc_score(truth[held_out, i], model.decision_function(x[held_out])))
        return float(np.mean(scores))

    assert 0.5 < mean_auroc(thumbs) < 0.80
    assert abs(mean_auroc(cues) - 0.5) < 0.07


def test_patients_age_and_keep_their_sex_and_their_findings_linger():
    kept = new = chances = 0
    for patient in range(400):
        story = visits(2, patient)
        assert 1 <= len(story) == person(2, patient).visits <= 6
        ages = [visit.age for visit in story]
        assert ages == sorted(ages)
        for before, after in pairwise(story):
            kept += len(set(before.findings) & set(after.findings))
            chances += len(before.findings)
            new += len(set(after.findings) - set(before.findings))
    absent = sum(len(visits(2, p)) - 1 for p in range(400)) * 14 - chances
    assert kept / chances > 5 * new / absent


def test_half_the_images_are_healthy_and_every_finding_is_common_enough():
    shown = [visit.findings for p in range(2000) for visit in visits(0, p)]
    assert 0.40 < np.mean([not findings for findings in shown]) < 0.52
    for name in FINDINGS:
        assert 0.05 < np.mean([name in findings for findings in shown]) < 0.15
    severity = np.concatenate([list(findings.values()) for findings in shown])
    assert severity.min() >= 0.1
    assert severity.max() == 1.0
    assert 0.2 < np.mean(severity < 0.4) < 0.5
    assert 0.2 < np.mean(severity > 0.7) < 0.5


def test_no_two_seeds_share_a_patient_number_and_none_is_real():
    assert patient_number(0, 0) == 90_000_001
    assert patient_number(0, 9_999) + 1 == patient_number(1, 0) == 90_010_001
    assert len(str(patient_number(998, 9_999))) == 8


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"size": 32}, "size 32, expected 64"),
        ({"size": 4096}, "size 4096, expected 64"),
        ({"findings": {"Fracture": 0.5}}, "Fracture"),
        ({"findings": {"Mass": 1.5}}, "severity 1.5"),
    ],
)
def test_what_cannot_be_drawn_is_refused_with_what_was_found_and_expected(arguments, words):
    with pytest.raises(ConfigError, match=words):
        draw_phantom(0, 0, 0, **arguments)


def test_a_follow_up_that_the_patient_never_had_is_refused():
    with pytest.raises(ConfigError, match="follow-up 9"):
        draw_phantom(0, 0, 9)
