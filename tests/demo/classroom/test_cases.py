"""What a case is, how boxes overlap, and which cases make a session."""

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
from demo.classroom.cases import Session, Truth, make_case
from demo.classroom.content import Content
from demo.classroom.draw import Drawer, Recipe, draw
from demo.classroom.reading import new_reader
from tests.demo.classroom.made import case, reply, union_iou
from tests.demo.node import call

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
    sets = [[some_boxes(chance, chance.randint(1, 4)) for _ in range(2)] for _ in range(50)]
    shown = call("reading/figures.js", "unionIou", *sets)
    for (first, second), page in zip(sets, shown, strict=True):
        a, b = raster(first), raster(second)
        assert page == pytest.approx((a & b).sum() / (a | b).sum(), abs=1e-12)
        assert union_iou(first, second) == pytest.approx(page, abs=1e-12), "the tests' reference"


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

    def __init__(self, probabilities, thresholds, preprocessing=None, calibrations=(0,)):
        self.classes = list(probabilities)
        self.thresholds = dict.fromkeys(self.classes) | thresholds
        self.metadata = SimpleNamespace(
            preprocessing=preprocessing or Preprocessing(80), trust=None, mean_contributions=None
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
    mass_case, _ = made_case(said, threshold)
    assert mass_case.network.named == ({"Mass"} if named else set())
    assert mass_case.network.sure == pytest.approx(0.9**13 * max(said, 1 - said))
    # The hottest cell is the upper right one of what was seen: 80 % of each side.
    left, top, right, bottom = mass_case.network.boxes["Mass"]
    assert (right, top) == pytest.approx((0.9, 0.1), abs=0.01)
    assert 0.45 < left < 0.6
    assert 0.4 < bottom < 0.6
    assert mass_case.network.boxes["Edema"] is None


@pytest.mark.parametrize(
    ("said", "threshold", "named"),
    [(0.004, 0.003, True), (0.6, 0.7, False), (0.002, 0.003, False), (0.6, None, True)],
)
def test_a_score_is_no_chance_and_its_threshold_alone_decides(said, threshold, named):
    mass_case, predictor = made_case(said, threshold, calibrations=())
    assert mass_case.network.named == ({"Mass"} if named else set())
    assert mass_case.misses == (set() if named else {"Mass"}), "whatever No Finding says"
    assert mass_case.network.sure is None
    reader = new_reader(Session((mass_case,)))
    for step in (reader.commit, reader.settle):
        step(reader.turn.id, reply("Mass"))
    network = Content(predictor).of(reader)["network"]
    assert (network["calibrated"], network["sure"]) == (False, None)
    reader.go_on(reader.turn.id)
    [turn] = Content(predictor).of(reader)["turns"]
    assert turn["network"]["sure"] is None


@pytest.mark.parametrize("width", [100, 200, 300])
def test_heat_boxes_and_overlap_lie_in_the_square_that_a_network_cut_out(width):
    preprocessing = Preprocessing(crop=100, size=64, keep_aspect=True)
    mass_case, predictor = made_case(0.6, None, width, preprocessing=preprocessing)
    left, top, right, bottom = mass_case.network.boxes["Mass"]
    # The centre square of a wide picture; the hottest cell is its upper right one.
    assert (top, bottom) == pytest.approx((0, 0.5), abs=0.1)
    assert right == pytest.approx((width / 2 + 50) / width, abs=0.01)
    assert left == pytest.approx((width / 2) / width, abs=0.1)
    reader = new_reader(Session((mass_case,)))
    for step in (reader.commit, reader.settle):
        step(reader.turn.id, reply("Mass"))
    content = Content(predictor).of(reader)
    assert content["network"]["crop"]["box"] == [width // 2 - 50, 0, width // 2 + 50, 100]
    if width == 200:  # the true box is that cell
        [finding] = content["truth"]["findings"]
        assert union_iou(content["network"]["boxes"]["Mass"], finding["boxes"]) > 0.7


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
    cases = [case(f"alarm{k}", {"Edema": 0.8}, named={"Edema", "Mass"}) for k in range(alarms)]
    cases += [case(f"miss{k}", {"Nodule": 0.6}, {"Nodule": 0.01}) for k in range(misses)]
    strengths = [None, 0.2, 0.5, 0.9]
    for k in range(plain):
        severity = strengths[k % 4]
        there = {} if severity is None else {FINDINGS[k % 14]: severity}
        cases.append(case(f"plain{k}", there, named=set(there)))
    return cases


def test_a_session_has_mistakes_all_difficulties_and_pairs_that_match():
    for seed in range(10):
        chosen = pool.choose(many(3, 5, 120), random.Random(seed))
        assert len({case.key for case in chosen.all}) == 16
        assert len(chosen.cases) == 8
        assert pool.mistakes(chosen.cases) == (1, 2)
        assert chosen.looked_through == 0
        kinds = Counter(map(pool.difficulty, chosen.cases[3:]))
        assert kinds == {"nothing": 2, "clear": 1, "moderate": 1, "faint": 1}
        assert [pool.difficulty(first) for first, _ in chosen.pairs] == list(pool.BANDS)
        for first, second in chosen.pairs:
            assert set(first.truth.findings) == set(second.truth.findings)
            assert pool.difficulty(first) == pool.difficulty(second)
        assert len({name for first, _ in chosen.pairs for name in first.truth.findings}) == 3


def test_where_a_network_makes_no_mistakes_others_fill_the_session():
    chosen = pool.choose(many(0, 1, 120), random.Random(0))
    assert len(chosen.cases) == 8
    assert pool.mistakes(chosen.cases) == (0, 1)
    assert chosen.looked_through == 121
    assert pool.choose(many(0, 1, 10), random.Random(0)) is None
    unlike = [case(str(k), {name: 0.9}) for k, name in enumerate(FINDINGS)]
    assert pool.choose([*many(1, 2, 60)[:3], *unlike], random.Random(0)) is None


def test_a_phantoms_truth_is_that_of_its_drawing():
    drawn = draw(Recipe(998, 1188, 0))
    phantom = draw_phantom(998, 1188, 0, size=512)
    np.testing.assert_array_equal(drawn.pixels, phantom.pixels)
    assert drawn.findings == phantom.findings
    assert set(drawn.boxes) == set(drawn.findings)
    [(x, y, w, h)] = [box for name, box in phantom.boxes if name == "Pleural_Thickening"]
    assert np.multiply(drawn.boxes["Pleural_Thickening"], 1024).tolist() == [[x, y, x + w, y + h]]


def source(predictor, size, quiet=lambda seconds: True, alone=True):
    def ask(radiograph):
        return predictor.predict([predictor.read(radiograph)])[0]

    return pool.PhantomCases(predictor, ask, quiet, size, alone)


def until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def test_the_committed_session_is_what_it_promises_for_the_starter_weights_and_the_pool_waits():
    predictor = Predictor(STARTER, "cpu", engine="torch")
    cases = source(predictor, 20, quiet=lambda seconds: False)
    cases.start()
    try:
        until(lambda: cases.first() is not None)
        session = cases.first()
        time.sleep(0.5)
        assert cases._wanted.is_set(), "a reader has begun"
        assert not cases._pool, "somebody waits for the network"
        assert cases.another(frozenset()) is None
    finally:
        cases.close()
    assert not cases._thread.is_alive()
    assert len({case.key.split("-")[2] for case in session.all}) == 16, "one picture a patient"
    assert session.looked_through == 0
    alarms, misses = pool.mistakes(session.cases)
    assert alarms >= 1
    assert misses >= 2
    assert set(map(pool.difficulty, session.cases)) == set(pool.BANDS)
    assert [pool.difficulty(first) for first, _ in session.pairs] == list(pool.BANDS)
    assert all(pool.match(first) == pool.match(second) for first, second in session.pairs)


def test_with_the_network_alone_one_of_each_pair_joins_the_others():
    for alone, count in ((False, 12), (True, 16)):
        cases = source(None, 0, alone=alone)
        cases._first = pool.choose(many(1, 2, 120), random.Random(0))
        session = cases.first()
        assert len({case.key for case in session.all}) == count
        assert len(session.pairs) == cases.words.alone == 4 * alone
        assert cases.words.title == f"Read {count} chest pictures yourself"


PAIRED = (1059, 1133, 1020, 1030, 1012, 1225, 1124, 1165, 1035, 1239, 1061, 1084)
"""Two pairs each of clear, moderate and faint findings."""


def test_another_networks_mistakes_come_from_the_pool_and_further_sessions_hold_no_case_twice(
    predictor,
):
    cases = source(predictor, 0)
    cases._recipes = [Recipe(998, patient, 0) for patient in (*PAIRED, *range(1200, 1209))]
    cases.start()
    try:
        until(lambda: cases.first() and cases.first().looked_through == 16 + len(cases._recipes))
        earlier = frozenset({"phantom-998-1200-0"})
        second = cases.another(earlier)
        keys = {case.key for case in second.all}
        assert len(keys) == 16
        assert not keys & earlier
        assert all(pool.match(first) == pool.match(other) for first, other in second.pairs)
        assert cases.another(earlier | keys) is None, "too few are left"
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
