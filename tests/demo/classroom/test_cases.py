"""What a case is, how boxes overlap, and which cases make a dozen."""

import random
import struct
import subprocess
import time
from collections import Counter
from types import SimpleNamespace

import numpy as np
import pytest

from chexnet.errors import ConfigError
from chexnet.evaluation.calibration import Calibration
from chexnet.inference.predictor import STARTER, Prediction, Predictor
from chexnet.labels import FINDINGS, NO_FINDING, SIGNS
from chexnet.phantom.draw import draw_phantom
from chexnet.transforms import Preprocessing
from demo.classroom import pool
from demo.classroom.cases import Dozen, Truth, make_case, union_iou
from demo.classroom.content import Content
from demo.classroom.draw import Drawer, Recipe, draw
from demo.classroom.figures import figures_of
from demo.classroom.reading import new_reader
from tests.demo.classroom.made import case, reply

SIDE = 400


def raster(boxes) -> np.ndarray:
    """The boxes as pixels; their edges lie on pixels."""
    out = np.zeros((SIDE, SIDE), bool)
    for left, top, right, bottom in np.rint(np.array(boxes).reshape(-1, 4) * SIDE).astype(int):
        out[top:bottom, left:right] = True
    return out


def some_boxes(chance, count):
    edges = [sorted(chance.sample(range(SIDE + 1), 2)) for _ in range(2 * count)]
    return [
        (x[0] / SIDE, y[0] / SIDE, x[1] / SIDE, y[1] / SIDE)
        for x, y in zip(edges[::2], edges[1::2], strict=True)
    ]


def test_the_overlap_of_two_sets_of_boxes_is_that_of_their_pixels():
    chance = random.Random(0)
    for _ in range(50):
        one, other = (some_boxes(chance, chance.randint(1, 4)) for _ in range(2))
        a, b = raster(one), raster(other)
        assert union_iou(one, other) == pytest.approx((a & b).sum() / (a | b).sum(), abs=1e-12)


def test_overlap_by_hand():
    left, right = (0.0, 0.0, 0.5, 1.0), (0.5, 0.0, 1.0, 1.0)
    assert union_iou([left, right], [(0.0, 0.0, 1.0, 1.0)]) == 1
    assert union_iou([left, left], [left]) == 1
    assert union_iou([left], [right]) == 0
    assert union_iou([(0.0, 0.0, 0.4, 0.4)], [(0.2, 0.2, 0.6, 0.6)]) == pytest.approx(1 / 7)
    assert union_iou([], [left]) == 0
    assert union_iou([left], []) == 0


@pytest.mark.parametrize(
    ("there", "said", "misses"),
    [
        ({"Mass": 0.4}, {"Mass": 0.05}, {"Mass"}),
        ({"Mass": 0.39}, {"Mass": 0.01}, set()),
        ({"Mass": 0.9}, {"Mass": 0.051}, set()),
        ({"Mass": 0.4, "Edema": 0.2}, {NO_FINDING: 0.8, "Mass": 0.3}, {"Mass"}),
        ({"Mass": 0.4}, {NO_FINDING: 0.79, "Mass": 0.3}, set()),
        ({"Mass": None}, {"Mass": 0.02}, {"Mass"}),
        ({}, {NO_FINDING: 0.99}, set()),
    ],
)
def test_a_miss_is_a_plain_finding_overlooked_or_called_clear(there, said, misses):
    assert case("a", there, said).misses == misses


class Fake:
    """A network that says what it is told."""

    def __init__(self, probabilities, thresholds, seen=None, calibrations=(0,)):
        self.classes = list(probabilities)
        self.thresholds = dict.fromkeys(self.classes) | thresholds
        self.metadata = SimpleNamespace(
            preprocessing=seen or Preprocessing(80), trust=None, mean_contributions=None
        )
        self.bias, self.thresholds_of = dict.fromkeys(self.classes, 0.0), ""
        self.methods, self.more_methods = ("Grad-CAM",), False
        self.calibrations = {name: Calibration() for name in calibrations}


def made_case(said, threshold, width=200, **network):
    """A picture of 100 pixels height, whose Mass is hottest in the upper right cell of four."""
    probabilities = dict.fromkeys(FINDINGS, 0.1) | {"Mass": said, NO_FINDING: 0.9}
    cells = np.zeros((15, 2, 2), np.float32)
    cells[FINDINGS.index("Mass"), 0, 1] = 1
    prediction = Prediction(probabilities, probabilities, cells, np.zeros((8, 8), np.uint8))
    predictor = Fake(probabilities, {"Mass": threshold}, **network)
    truth = Truth({"Mass": None}, {"Mass": ((0.5, 0.0, 0.75, 0.5),)})
    pixels = np.zeros((100, width), np.uint8)
    return make_case("a", pixels, truth, prediction, predictor), predictor


@pytest.mark.parametrize(
    ("said", "threshold", "named"),
    [(0.5, 0.1, True), (0.499, 0.1, False), (0.7, 0.71, False), (0.6, None, True)],
)
def test_the_network_names_what_is_at_least_even_and_over_its_threshold(said, threshold, named):
    made, _ = made_case(said, threshold)
    assert made.network.named == ({"Mass"} if named else set())
    assert made.network.sure == pytest.approx(0.9**13 * max(said, 1 - said))
    # The hottest cell is the upper right one of what was seen: 80 % of each side.
    left, top, right, bottom = made.network.boxes["Mass"]
    assert (right, top) == pytest.approx((0.9, 0.1), abs=0.01)
    assert 0.45 < left < 0.6
    assert 0.4 < bottom < 0.6
    assert made.network.boxes["Edema"] is None


@pytest.mark.parametrize(
    ("said", "threshold", "named"),
    [(0.004, 0.003, True), (0.6, 0.7, False), (0.002, 0.003, False), (0.6, None, True)],
)
def test_a_score_is_no_chance_and_its_threshold_alone_decides(said, threshold, named):
    made, predictor = made_case(said, threshold, calibrations=())
    assert made.network.named == ({"Mass"} if named else set())
    assert made.misses == (set() if named else {"Mass"}), "whatever No Finding says"
    assert made.network.sure is None
    reader = new_reader(Dozen((made,)))
    for step in (reader.commit, reader.settle):
        step(reader.turn.id, reply("Mass"))
    told = Content(predictor).of(reader)["network"]
    assert (told["calibrated"], told["sure"]) == (False, None)
    reader.go_on(reader.turn.id)
    figures = figures_of(reader)
    assert figures["scores"]
    assert sum(one["network"]["cases"] for one in figures["sure"]) == 0


@pytest.mark.parametrize("width", [100, 200, 300])
def test_heat_boxes_and_overlap_lie_in_the_square_that_a_network_cut_out(width):
    seen = Preprocessing(crop=100, size=64, keep_aspect=True)
    made, predictor = made_case(0.6, None, width, seen=seen)
    left, top, right, bottom = made.network.boxes["Mass"]
    # The centre square of a wide picture; the hottest cell is its upper right one.
    assert (top, bottom) == pytest.approx((0, 0.5), abs=0.1)
    assert right == pytest.approx((width / 2 + 50) / width, abs=0.01)
    assert left == pytest.approx((width / 2) / width, abs=0.1)
    reader = new_reader(Dozen((made,)))
    for step in (reader.commit, reader.settle):
        step(reader.turn.id, reply("Mass"))
    told = Content(predictor).of(reader)
    assert told["network"]["crop"]["box"] == [width // 2 - 50, 0, width // 2 + 50, 100]
    if width == 200:  # the true box is that cell
        assert told["truth"]["findings"][0]["iou"]["network"] > 0.7


def test_a_case_is_encoded_from_pixels_alone():
    file = case("phantom-998-1003-0").picture
    kinds, at = [], 8
    while at < len(file):
        [length] = struct.unpack(">I", file[at : at + 4])
        kinds.append(file[at + 4 : at + 8])
        at += 12 + length
    assert kinds == [b"IHDR", b"IDAT", b"IEND"]


def test_every_finding_has_a_sign_in_a_sentence():
    assert list(SIGNS) == list(FINDINGS)
    assert all(text.endswith(".") and len(text) < 200 for text in SIGNS.values())


def many(alarms: int, misses: int, plain: int) -> list:
    made = [case(f"alarm{k}", {"Edema": 0.8}, named={"Edema", "Mass"}) for k in range(alarms)]
    made += [case(f"miss{k}", {"Nodule": 0.6}, {"Nodule": 0.01}) for k in range(misses)]
    strengths = [None, 0.2, 0.5, 0.9]
    for k in range(plain):
        severity = strengths[k % 4]
        there = {} if severity is None else {FINDINGS[k % 14]: severity}
        made.append(case(f"plain{k}", there, named=set(there)))
    return made


def test_a_dozen_has_a_false_alarm_two_misses_and_all_difficulties():
    for seed in range(10):
        chosen = pool.choose(many(3, 5, 60), random.Random(seed))
        assert len({one.key for one in chosen}) == 12
        assert pool.mistakes(chosen) == (1, 2)
        kinds = Counter(pool.difficulty(one) for one in chosen if not one.key.startswith("alarm"))
        assert kinds["nothing"] >= 3
        assert min(kinds["faint"], kinds["middle"], kinds["clear"]) >= 2


def test_where_a_network_makes_no_mistakes_others_fill_the_dozen():
    chosen = pool.choose(many(0, 1, 60), random.Random(0))
    assert len(chosen) == 12
    assert pool.mistakes(chosen) == (0, 1)
    assert pool.choose(many(0, 1, 10), random.Random(0)) is None


def test_a_phantoms_truth_is_that_of_its_drawing():
    drawn = draw(Recipe(998, 1188, 0))
    phantom = draw_phantom(998, 1188, 0, size=512)
    np.testing.assert_array_equal(drawn.pixels, phantom.pixels)
    assert drawn.findings == phantom.findings
    assert set(drawn.boxes) == set(drawn.findings)
    [(x, y, w, h)] = [box for name, box in phantom.boxes if name == "Pleural_Thickening"]
    assert np.multiply(drawn.boxes["Pleural_Thickening"], 1024).tolist() == [[x, y, x + w, y + h]]


def source(predictor, size, quiet=lambda seconds: True):
    def ask(radiograph):
        return predictor.predict([predictor.read(radiograph)])[0]

    return pool.PhantomCases(predictor, ask, quiet, size)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_committed_dozen_holds_what_it_promises_for_the_starter_weights_and_the_pool_waits():
    predictor = Predictor(STARTER, "cpu", engine="torch")
    cases = source(predictor, 20, quiet=lambda seconds: False)
    cases.start()
    try:
        until(lambda: cases.first() is not None)
        dozen = cases.first()
        time.sleep(0.5)
        assert cases._wanted.is_set(), "a reader has begun"
        assert not cases._pool, "somebody waits for the network"
        assert cases.another(frozenset()) is None
    finally:
        cases.close()
    assert not cases._thread.is_alive()
    assert len({one.key.split("-")[2] for one in dozen.cases}) == 12, "one picture a patient"
    alarms, misses = pool.mistakes(dozen.cases)
    assert alarms >= 1
    assert misses >= 2
    kinds = Counter(map(pool.difficulty, dozen.cases))
    assert set(kinds) == {"nothing", "clear", "middle", "faint"}


def test_another_networks_mistakes_come_from_the_pool_and_further_dozens_hold_no_case_twice(
    predictor,
):
    cases = source(predictor, 24)
    cases.start()
    try:
        until(lambda: cases.first() and cases.first().looked_through == 36)
        first = cases.first()
        seen = frozenset(one.key for one in first.cases)
        second = cases.another(seen)
        keys = {one.key for one in second.cases}
        assert len(keys) == 12
        assert not keys & seen
        assert cases.another(seen | keys) is None, "fewer than twelve are left"
    finally:
        cases.close()


def test_a_process_that_was_killed_is_said_and_does_not_keep_anybody_waiting(predictor):
    cases = source(predictor, 0)
    cases.start()
    cases._drawer._process.kill()
    cases._thread.join(20)
    with pytest.raises(ConfigError, match="could not be drawn"):
        cases.first()
    cases.close()


@pytest.mark.parametrize("flag", [0, 512])
def test_ctrl_c_in_the_demo_is_not_for_the_process_that_draws(monkeypatch, flag):
    """It has a session of its own, and on Windows, which has none, a group."""
    started = []
    monkeypatch.setattr(subprocess, "Popen", lambda *_, **options: started.append(options))
    if flag:
        monkeypatch.setattr(subprocess, "CREATE_NEW_PROCESS_GROUP", flag, raising=False)
    Drawer()
    assert started[0]["start_new_session"]
    assert started[0]["creationflags"] == flag
