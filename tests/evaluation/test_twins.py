"""Twins differ by one finding alone, and the shares of a map's heat are those of touched cells."""

import json

import numpy as np
import pytest
from typer.testing import CliRunner

from chexnet.evaluation import twin_scores, twins
from chexnet.evaluation.twin_scores import (
    ANATOMY,
    LOCAL,
    MAIN_SEVERITY,
    RESHAPING,
    ExplainedModel,
    edges,
    score_twins,
    summarise_twins,
)
from chexnet.evaluation.twins import changed_pixels, draw_twin, inside_share, touched_cells
from chexnet.explain import PACKAGE
from chexnet.labels import FINDINGS
from chexnet.model import build, load_weights
from chexnet.transforms import Preprocessing
from scripts.localize import app
from tests.conftest import BEST

SMALL = Preprocessing(size=64)


@pytest.fixture(scope="module", autouse=True)
def small_drawings():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(twins, "SIDE", 128)
        yield


@pytest.fixture(scope="module")
def scores(small_drawings):
    classes = {"Mass": 0, "Effusion": 1, "Cardiomegaly": 2}
    model = build(classes, "none", 3).model.eval()
    pytest.importorskip("pytorch_grad_cam")
    subject = ExplainedModel(model, model, SMALL, classes, {}, others=("HiResCAM",))
    return score_twins(subject, 2)


def test_a_cell_is_touched_where_one_of_its_pixels_changed_by_more_than_three_levels():
    first = np.zeros((8, 8), np.uint8)
    second = first.copy()
    second[0, 5], second[7, 0], second[3, 3] = 4, 3, 255
    touched = touched_cells(changed_pixels(first, second), (2, 2))
    assert touched.tolist() == [[True, True], [False, False]]
    assert changed_pixels(second, first).sum() == 2, "also where the other picture is darker"


def test_the_share_inside_is_of_the_heat_and_no_heat_has_none():
    heat = np.array([[1.0, 2.0], [0.0, 5.0]])
    assert inside_share(heat, np.array([[True, True], [False, False]])) == pytest.approx(3 / 8)
    assert np.isnan(inside_share(np.zeros((2, 2)), np.ones((2, 2), bool)))


def test_edges_are_where_the_picture_has_a_contour():
    picture = np.zeros((16, 16), np.uint8)
    picture[:, 4:] = 200
    contours = edges(picture, (2, 2))
    assert contours[:, 1].tolist() == [0, 0]
    # Sobel's weights are 1, 2 and 1: 800 in the two columns beside the step, of eight in a cell.
    assert contours[:, 0] == pytest.approx([200, 200])


@pytest.fixture(scope="module")
def without(small_drawings):
    """Two patients without a finding."""
    return [draw_twin(patient, SMALL).pixels for patient in range(2)]


def test_a_twin_is_a_pure_function_of_its_arguments(without):
    for patient, pixels in enumerate(without):
        assert (draw_twin(patient, SMALL).pixels == pixels).all()


@pytest.mark.parametrize("finding", FINDINGS)
def test_a_finding_changes_its_place_and_little_else(finding, without):
    shares = []
    for patient, pixels in enumerate(without):
        drawn = draw_twin(patient, SMALL, finding, MAIN_SEVERITY)
        differs = changed_pixels(pixels, drawn.pixels)
        shares.append(differs.mean())
        assert differs[drawn.region].mean() > differs[~drawn.region].mean()
    # What is drawn in place leaves three quarters of the chest as it was, to three grey levels.
    assert 0 < min(shares)
    assert max(shares) < (0.7 if finding in (*RESHAPING, "Edema") else 0.25)


def test_what_the_touched_cells_explain_is_their_part_of_the_logits_change(scores, monkeypatch):
    monkeypatch.setattr(twin_scores, "touched_cells", lambda changed, shape: np.ones(shape, bool))
    classes = {"Mass": 0, "Effusion": 1, "Cardiomegaly": 2}
    model = build(classes, "none", 3).model.eval()
    whole = score_twins(ExplainedModel(model, model, SMALL, classes, {}), 1)
    assert whole.explained == pytest.approx(np.ones(len(whole.labels)), abs=1e-3)
    assert not np.allclose(scores.explained, 1, atol=1e-3)


def test_figures_are_means_over_pairs_of_the_main_severity(scores):
    rows = summarise_twins(scores, replicates=50)
    assert list(rows) == ["Effusion", "Cardiomegaly", "Mass", LOCAL, ANATOMY]
    at = scores.rows(["Mass", "Effusion"])
    assert rows[LOCAL].pairs == at.sum() == 4
    assert rows[LOCAL].logit.value == pytest.approx(scores.logit[at].mean())
    assert rows["Mass"].controls["edges"] == pytest.approx(
        np.nanmean(scores.inside["edges"][scores.rows(["Mass"])])
    )
    # The network and the untrained one are the same here, and so are their shares.
    main = scores.severities == MAIN_SEVERITY
    for name in ("untrained", "HiResCAM"):  # which is Grad-CAM where pooling and a layer follow
        shares = scores.inside["heatmap"][main], scores.inside[name][main]
        np.testing.assert_allclose(*shares, rtol=1e-5)
    assert rows[LOCAL].methods["untrained"] == rows[LOCAL].inside
    assert rows[LOCAL].in_box > rows[LOCAL].outside


def test_further_patients_are_drawn_at_the_main_severity_and_give_the_same_figures(monkeypatch):
    classes = {"Mass": 0}
    model = build(classes, "none", 3).model.eval()
    subject = ExplainedModel(model, model, SMALL, classes, {})
    whole = score_twins(subject, 2)
    monkeypatch.setattr(twin_scores, "RANKED", 1)
    short = score_twins(subject, 2)
    assert short.severities.tolist() == [*twins.SEVERITIES, MAIN_SEVERITY]
    at = whole.rows(["Mass"])
    assert short.logit[short.rows(["Mass"])] == pytest.approx(whole.logit[at], abs=1e-5)
    assert len(short.rank_correlations(["Mass"])["logit"][1]) == 1


def test_ranks_follow_severity_within_a_patient(scores):
    ordered = twin_scores.TwinScores(
        **{
            **vars(scores),
            "logit": scores.severities * np.where(scores.labels == "Mass", 1, -1),
            "heat": np.zeros(len(scores.labels)),
        }
    )
    correlations = ordered.rank_correlations(["Mass"])
    assert correlations["logit"][1] == pytest.approx([1, 1])
    assert correlations["heat"][1].tolist() == [0, 0], "what does not vary has no rank"
    assert ordered.rank_correlations(["Effusion"])["logit"][1] == pytest.approx([-1, -1])


def test_the_command_writes_the_twins_of_a_weights_file(trained, tmp_path):
    pytest.importorskip("pytorch_grad_cam")
    arguments = ["--weights", trained / BEST, "--twins", 1, "--out", tmp_path, "--replicates", 20]
    arguments += ["--device", "cpu", "--method", "all"]
    done = CliRunner().invoke(app, list(map(str, arguments)))
    assert done.exit_code == 0, done.output
    content = json.loads((tmp_path / "localize-twins" / "twins.json").read_text())
    known = [name for name in FINDINGS if name in load_weights(trained / BEST)[1].classes]
    assert list(content["findings"])[: len(known)] == known
    assert content["findings"]["Mass"]["pairs"] == 1
    assert list(content["findings"]["Mass"]["methods"]) == [*PACKAGE, *twin_scores.CONTROLS]
