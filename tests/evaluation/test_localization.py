import json

import numpy as np
import pandas as pd
import pytest

from chexnet.data.formats import DataRequest
from chexnet.evaluation.boxes import (
    LARGE,
    SIDE,
    SMALL,
    BoxedFinding,
    average_boxes,
    boxed_findings,
    centre_of,
    component_box,
    most_boxed_points,
    peak,
    pointing,
    score_maps,
    summarise_maps,
)
from chexnet.evaluation.report.terminal import localization_text
from chexnet.files import plain
from chexnet.transforms import Preprocessing


def boxes(*rows: tuple) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["image", "label", "x", "y", "w", "h"])


def target(left, top, right, bottom, *, label="Mass", patient="1", image="a") -> BoxedFinding:
    return BoxedFinding(image, patient, label, np.array([[left, top, right, bottom]], float))


def bump(x: float, y: float, cells: int = 8) -> np.ndarray:
    """A map that is hot at one point."""
    middle = (np.arange(cells) + 0.5) / cells
    return np.exp(-40 * ((middle[None, :] - x) ** 2 + (middle[:, None] - y) ** 2))


def test_boxes_go_through_the_crop_that_the_picture_went_through():
    # The central 90 % of 1024 pixels are the 922 from 51 on.
    table = boxes(("a", "Mass", 51, 51, 461, 922))
    (finding,) = boxed_findings(table, {"a": "1"}, Preprocessing(90))
    np.testing.assert_allclose(finding.boxes, [[0, 0, 0.5, 1]], atol=1e-12)


def test_a_box_is_cut_at_the_crop_and_one_outside_of_it_is_no_target():
    table = boxes(("a", "Mass", 0, 0, 512, 512), ("a", "Nodule", 0, 0, 40, 40))
    boxed = boxed_findings(table, {"a": "1"}, Preprocessing(90))
    assert [finding.label for finding in boxed] == ["Mass"]
    assert boxed[0].boxes.min() == 0


def test_all_boxes_of_a_finding_in_an_image_are_one_target_and_other_images_are_left_out():
    table = boxes(
        ("a", "Mass", 100, 100, 90, 90),
        ("b", "Mass", 100, 100, 90, 90),
        ("a", "Mass", 600, 600, 90, 90),
        ("a", "Edema", 600, 600, 90, 90),
    )
    boxed = boxed_findings(table, {"a": "1"}, Preprocessing(100))
    assert [(finding.label, len(finding.boxes)) for finding in boxed] == [("Mass", 2), ("Edema", 1)]
    assert boxed[0].area == pytest.approx(2 * (90 / 1024) ** 2, rel=0.05)


@pytest.mark.parametrize(("x", "y"), [(0.2, 0.7), (0.55, 0.1), (0.93, 0.93)])
def test_the_peak_lies_where_the_map_is_hot(x, y):
    place = peak(bump(x, y))
    assert place == pytest.approx((x, y), abs=1 / 16)
    assert target(x - 0.1, y - 0.1, x + 0.1, y + 0.1).holds(place)
    assert not target(0, 0, 0.1, 0.05).holds(place)


def test_a_map_of_nothing_points_nowhere():
    nothing = np.zeros((8, 8))
    assert peak(nothing) is None
    assert component_box(nothing) is None
    hits, overlaps = pointing([target(0, 0, 1, 1)], [nothing])
    assert not hits[0]
    assert not overlaps.any()


def test_the_component_is_the_largest_one_of_at_least_half_the_maximum():
    heat = np.zeros((SIDE, SIDE))
    heat[20:40, 30:60] = 1.0
    heat[100:180, 100:150] = 0.6
    heat[200:, :] = 0.4
    np.testing.assert_allclose(component_box(heat) * SIDE, [100, 100, 150, 180])


def test_overlaps_are_those_of_the_box_that_fits_best():
    both = BoxedFinding("a", "1", "Mass", np.array([[0, 0, 0.5, 0.5], [0.5, 0.5, 1, 1]]))
    assert both.overlaps(np.array([0, 0, 0.5, 1])) == pytest.approx((0.5, 0.5))
    assert both.overlaps(np.array([0.5, 0.5, 0.75, 0.75])) == pytest.approx((0.25, 1.0))
    assert both.overlaps(None) == (0, 0)


def test_the_average_box_is_that_of_other_patients_with_the_same_finding():
    boxed = [
        target(0.0, 0.0, 0.2, 0.2, patient="1", image="a"),
        target(0.4, 0.0, 0.6, 0.2, patient="1", image="b"),
        target(0.8, 0.8, 1.0, 1.0, patient="2", image="c"),
        target(0.8, 0.8, 1.0, 1.0, patient="2", image="d", label="Edema"),
    ]
    points = [centre_of(box) for box in average_boxes(boxed)]
    assert points[0] == points[1] == pytest.approx((0.9, 0.9))
    assert points[2] == pytest.approx((0.3, 0.1))
    assert points[3] is None


def study_of(count: int = 60):
    random = np.random.default_rng(0)
    corners = random.uniform(0, 0.8, (count, 2))
    sides = np.where(np.arange(count) % 3, 0.2, 0.05)[:, None]
    boxed = [
        BoxedFinding(str(n), str(n // 2), "Mass", np.array([[*low, *(low + side)]]))
        for n, (low, side) in enumerate(zip(corners, sides, strict=True))
    ]
    middles = {t.image: (t.boxes[0, :2] + t.boxes[0, 2:]) / 2 for t in boxed}
    return boxed, middles


def test_maps_that_point_right_are_told_from_controls_that_do_not():
    boxed, middles = study_of()
    scored = score_maps(
        boxed,
        [bump(*middles[t.image]) for t in boxed],
        [bump(*random_place(t.image)) for t in boxed],
    )
    tables = summarise_maps(scored, replicates=200, seed=0)
    whole = tables[LARGE]["All"]
    assert whole["targets"] == 40
    assert whole["peak_in_box"]["heatmap"] > 0.95
    assert whole["peak_in_box"]["untrained"] < 0.3
    assert whole["peak_in_box"]["random point"] == pytest.approx(0.04, abs=0.005)
    gain = whole["peak_in_box"]["heatmap"] - whole["peak_in_box"]["average box"]
    assert whole["gain_over_average_box"] == pytest.approx(gain)
    assert whole["gain_interval"].low <= gain <= whole["gain_interval"].high
    assert tables[SMALL]["Mass"]["targets"] == 20
    assert "smaller than a cell" in localization_text(plain(tables))
    stored = json.loads(json.dumps(plain(tables), allow_nan=False))[LARGE]["All"]
    assert set(stored["interval"]) == {"low", "high", "draws_left_out"}
    assert stored["iou"]["0.1"]["interval"] == plain(whole["iou"][0.1]["interval"])


def random_place(image: str) -> np.ndarray:
    return np.random.default_rng(int(image) + 100).uniform(0.1, 0.9, 2)


def test_a_map_that_is_always_hot_in_the_middle_of_the_average_box_gains_nothing():
    """The control as a map: what it scores is the control's own share."""
    random = np.random.default_rng(1)
    boxed = []
    for n in range(40):
        x, y = random.normal(0.5, 0.12, 2).clip(0.15, 0.85)
        boxed.append(
            BoxedFinding(str(n), str(n), "Mass", np.array([[x - 0.1, y - 0.1, x + 0.1, y + 0.1]]))
        )
    centres = np.concatenate([t.boxes[:, :2] + t.boxes[:, 2:] for t in boxed]) / 2
    constant = bump(*centres.mean(axis=0), cells=64)
    maps = [constant] * len(boxed)
    row = summarise_maps(score_maps(boxed, maps, maps), 200, 0)["all"]["All"]
    assert 0.2 < row["peak_in_box"]["heatmap"] < 0.8
    assert abs(row["gain_over_average_box"]) <= 0.08  # leaving one out moves the centre a little
    assert row["gain_interval"].low <= 0 <= row["gain_interval"].high


def test_phantoms_are_located_as_by_hand(phantoms, trained):
    """Peak, box and crop of real boxed, computed here without the project's functions."""
    import torch
    from scipy.ndimage import map_coordinates

    from chexnet.data.nih import read_boxes
    from chexnet.evaluation.holdout import open_holdout
    from chexnet.evaluation.localization import holdout_boxes, maps_of

    weights = trained / "best_chexnet_params.pth"
    holdout = open_holdout(DataRequest(phantoms), weights, "test")
    boxed = holdout_boxes(holdout)
    [maps] = maps_of(holdout, [holdout.model], boxed)
    hits, _ = pointing(boxed, maps)
    table = read_boxes(phantoms)
    data, model = holdout.data_set, holdout.model
    for target, given, hit in zip(boxed, maps, hits, strict=True):
        index = data.images.index(target.image)
        item = data[index][0].float() / 255
        mean, std = (
            torch.tensor(v)[:, None, None] for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225))
        )
        with torch.no_grad():
            activation = torch.relu(model.features(((item - mean) / std)[None]))[0]
        heat = torch.einsum(
            "k,khw->hw", model.classifier.weight[data.classes[target.label]], activation
        )
        heat = heat.clamp(min=0).detach().numpy()
        np.testing.assert_allclose(given, heat, rtol=1e-3, atol=1e-3)
        if not heat.any():
            assert not hit
            continue
        fine = (np.arange(512) + 0.5) / 512 * len(heat) - 0.5
        values = map_coordinates(
            heat, np.meshgrid(fine, fine, indexing="ij"), order=1, mode="mirror"
        )
        y, x = (np.array(np.unravel_index(values.argmax(), values.shape)) + 0.5) / 512
        own = table[(table["image"] == target.image) & (table["label"] == target.label)]
        x, y = 51 + 922 * x, 51 + 922 * y
        margin = 922 / len(heat) / 4  # linear and cubic peaks lie within a part of a cell
        near, far = (
            (
                (own["x"] - m <= x)
                & (x < own["x"] + own["w"] + m)
                & (own["y"] - m <= y)
                & (y < own["y"] + own["h"] + m)
            ).any()
            for m in (margin, -margin)
        )
        assert far <= hit <= near


def test_the_controls_that_know_boxes_are_those_of_other_patients():
    left, right, small = (0.0, 0.2, 0.4, 0.8), (0.6, 0.2, 1.0, 0.8), (0.1, 0.3, 0.2, 0.7)
    boxed = [
        BoxedFinding("a", "1", "Pneumonia", np.array([left, right])),
        BoxedFinding("b", "2", "Pneumonia", np.array([left, right])),
        BoxedFinding("c", "3", "Pneumonia", np.array([small])),
        BoxedFinding("e", "4", "Pneumonia", np.array([right])),
        BoxedFinding("d", "3", "Mass", np.array([left])),
    ]
    # The average centre of both lungs lies in neither; where most boxes are does not.
    assert not boxed[0].holds(centre_of(average_boxes(boxed)[0]))
    points = most_boxed_points(boxed)
    assert points[0] == pytest.approx((0.8, 0.5), abs=0.01)
    assert points[2] == pytest.approx((0.8, 0.5), abs=0.01)  # three rights against two lefts
    assert points[3] == pytest.approx((0.15, 0.5), abs=0.01)  # two lefts and the small one
    assert points[4] is None
    sizes = average_boxes(boxed)
    np.testing.assert_allclose(sizes[0], np.mean([left, right, small, right], axis=0))
    assert sizes[4] is None
    scored = score_maps(boxed, [np.zeros((4, 4))] * 5, [np.zeros((4, 4))] * 5)
    row = summarise_maps(scored, 0, 0)["all"]["All"]
    assert row["boxes"] == 7
    assert row["peak_in_box"]["most boxed point"] == 0.4  # the first two
    assert row["gain_over_most_boxed_point"] == -0.4
    expected = [boxed[n].overlaps(sizes[n])[0] for n in range(4)]
    np.testing.assert_allclose(scored.size_overlaps[:4, 0], expected)
    assert row["iou_of_average_box"][0.1] == np.mean([*(e >= 0.1 for e in expected), False])
