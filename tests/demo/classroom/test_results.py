"""Class results: counts of five or more, of the shared cases alone."""

import csv
import io
import json
import os
from types import SimpleNamespace

import numpy as np
import pytest
import scipy.stats

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS
from chexnet.transforms import Preprocessing
from demo.classroom.cases import Session, Words
from demo.classroom.handlers import Classroom
from demo.classroom.reading import Round, Turn, reply_of
from demo.classroom.results import ClassResults
from tests.demo.classroom.made import case, reply
from tests.demo.room.room import wait_until


class Source:
    """Two cases for all, one more for who asks."""

    words = Words("Two", "made", more=True)
    pairs = ()

    def first(self):
        return Session((case("a", {"Mass": 0.5}), case("b")), self.pairs, ordered=True)

    def another(self, seen):
        return Session((case("private"),), ordered=True)

    def start(self): ...

    def close(self): ...


PREDICTOR = SimpleNamespace(
    classes=[*FINDINGS, "No Finding"],
    metadata=SimpleNamespace(
        preprocessing=Preprocessing(crop=100), trust=None, mean_contributions=None
    ),
    bias={},
    thresholds={},
    thresholds_of="",
    calibrations={},
    methods=("Grad-CAM",),
    more_methods=False,
)
"""Enough for a case's network answer to be put together."""


@pytest.fixture
def classroom(tmp_path):
    opened = Classroom(Source(), PREDICTOR, ClassResults(tmp_path / "results.csv"))
    yield opened
    opened.close()


def read(classroom, before, after, again=None, visitor=None) -> str:
    """One phone reads both cases; returns its name."""
    content = classroom.step("begin", again, None, None, visitor)
    name = content["reader"]
    while content["stage"] != "done":
        turn = content["case"]
        classroom.step("commit", name, turn, before)
        classroom.step("settle", name, turn, after)
        content = classroom.step("next", name, turn, None)
    return name


def rows(classroom):
    return list(csv.DictReader(io.StringIO(classroom.results.csv())))


def test_a_row_appears_from_five_answers_on_and_counts_are_those_of_a_hand(classroom):
    for _ in range(3):
        read(classroom, reply("Mass"), reply("Mass", "Nodule"))
    read(classroom, reply(), reply())
    assert rows(classroom) == []
    assert not any(row["told"] for row in classroom.results.rows())
    read(classroom, reply("Mass"), reply())
    table = {(row["case"], row["when"]): row for row in rows(classroom)}
    assert len(table) == 4
    first = table["1", "before"]
    assert (first["truth"], first["answers"], first["right"]) == ("Mass", "5", "4")
    assert (first["Mass"], first["Nodule"], first["No Finding"]) == ("4", "0", "1")
    after = table["1", "after"]
    assert (after["Mass"], after["Nodule"], after["No Finding"], after["right"]) == (
        "3", "3", "2", "0",
    )  # fmt: skip
    assert (table["2", "before"]["truth"], table["2", "after"]["right"]) == ("No Finding", "2")


def read_rounds(classroom, before, first, last, after) -> None:
    """One reader of three rounds; each answer is right where it is true."""
    content = classroom.step("begin", None, None, None)
    name, moments = content["reader"], iter([*before, *zip(first, last, strict=True), *after])
    while content["stage"] != "done":
        turn = classroom.readers.get(name).turn
        there = sorted(turn.case.truth.findings)
        moment = next(moments)
        for right in moment if isinstance(moment, tuple) else (moment,):
            step = "commit" if turn.first is None else "settle"
            mine = reply(*there) if right else reply("Hernia")
            content = classroom.step(step, name, turn.id, mine)
        if content["stage"] == "truth":
            content = classroom.step("next", name, turn.id, None)


def test_rounds_mistakes_of_the_network_and_learning_are_those_of_a_hand(classroom):
    """Case a: the network (which names nothing) is wrong; case b: it is right."""
    pair = lambda k: (case(f"{k}", {"Edema": 0.5}), case(f"{k}'", {"Edema": 0.5}))  # noqa: E731
    classroom.source.pairs = (pair(1), pair(2))
    for before, first, last, after in (
        ((1, 1), (1, 0), (0, 0), (1, 1)),  # follows it, and stays wrong beside it
        ((0, 0), (1, 0), (1, 1), (0, 1)),
        ((0, 1), (1, 1), (0, 0), (1, 1)),
        ((0, 0), (0, 0), (0, 0), (1, 1)),
    ):
        read_rounds(classroom, before, first, last, after)
    assert rows(classroom) == classroom.results.learning() == []
    read_rounds(classroom, (0, 1), (0, 0), (1, 1), (0, 0))
    table = {(row["picture"], row["round"], row["when"]): row for row in rows(classroom)}
    # Which of a pair came first was balanced, so of five readers neither has five answers.
    assert set(table) == {(key, "with", when) for key in "ab" for when in ("before", "after")}
    columns = ("answers", "right", "right_before", "followed", "left")
    assert [table["a", "with", "after"][name] for name in columns] == ["5", "2", "3", "2", ""]
    assert [table["b", "with", "after"][name] for name in columns] == ["5", "2", "1", "", "2"]
    assert [table["a", "with", "before"][name] for name in columns] == ["5", "3", "", "", ""]
    curves = classroom.results.severity()
    assert [band["chance"] for band in curves["class"]] == pytest.approx([1.2 / 27, 3 / 5])
    assert [band["chance"] for band in curves["network"]] == [0, 0]
    learned = {moment["name"]: moment for moment in classroom.results.learning()}
    shares = {"before before": [1, 0, 0.5, 0, 0.5], "with before": [0.5, 0.5, 1, 0, 0]}
    shares |= {"with after": [0, 1, 0, 0, 1], "after before": [1, 0.5, 1, 1, 0]}
    shares["change"] = [0, 0.5, 0.5, 1, -0.5]
    assert set(learned) == set(shares)
    for name, values in shares.items():
        mean, sem = np.mean(values), scipy.stats.sem(values)
        low, high = scipy.stats.t.interval(0.95, 4, mean, sem)
        least = -1 if name == "change" else 0
        assert learned[name]["mean"] == pytest.approx(mean)
        assert learned[name]["low"] == pytest.approx(max(least, low))
        assert learned[name]["high"] == pytest.approx(min(1, high))
    for _ in range(5):
        read_rounds(classroom, (1, 1), (1, 1), (1, 1), (1, 1))
    counts = {(row["picture"], row["round"]): row["answers"] for row in rows(classroom)}
    alone = [counts.get((f"{key}{which}", part)) for key in "12" for which in ("", "'")
             for part in ("before", "after")]  # fmt: skip
    assert alone == ["5"] * 8


def test_which_of_a_pair_comes_first_is_balanced_over_a_hundred_readers(classroom):
    classroom.source.pairs = ((case("1"), case("1'")),)
    first = []
    for number in range(1, 101):
        content = classroom.step("begin", None, None, None)
        first.append(classroom.readers.get(content["reader"]).turn.case.key)
        assert abs(first.count("1") - first.count("1'")) <= number % 2
    assert {"".join(first[k : k + 2]) for k in range(0, 100, 2)} == {"11'", "1'1"}, "by chance"
    # Whoever begins again is counted with nobody, and so disturbs no balance.
    classroom.step("commit", content["reader"], content["case"], reply())
    for _ in range(5):
        classroom.step("begin", content["reader"], None, None)
    assert classroom._begun == [50, 50]


def test_whoever_begins_again_and_another_session_are_not_counted(classroom):
    name = None
    for _ in range(6):
        name = read(classroom, reply("Mass"), reply("Mass"), again=name)
    assert rows(classroom) == []
    for _ in range(4):
        last = read(classroom, reply("Mass"), reply("Mass"))
    assert [row["answers"] for row in rows(classroom)] == ["5"] * 4
    content = classroom.step("another", last, None, None)
    classroom.step("commit", last, content["case"], reply("Mass"))
    assert [row["answers"] for row in rows(classroom)] == ["5"] * 4
    assert "private" not in json.dumps(classroom.results.rows())


def test_no_state_differs_from_the_one_before_by_a_single_readers_answer(classroom):
    states = []
    for number in range(11):
        read(classroom, reply("Mass") if number % 2 else reply(), reply("Mass"))
        states += classroom.results.rows()[0]["told"][:1] or [None]
        assert [row["answers"] for row in rows(classroom)] == [str((number + 1) // 5 * 5)] * (
            4 if number > 3 else 0
        )
    assert states[:4] == [None] * 4
    kept = [(state["answers"], state["right"], state["named"]) for state in states[4:]]
    assert kept[:5] == [(5, 2, {"Mass": 2, "No Finding": 3})] * 5
    assert kept[5] == (10, 5, {"Mass": 5, "No Finding": 5})
    assert [moment["readers"] for moment in classroom.results.learning()] == [10, 10]


def test_many_readings_of_one_client_count_once(classroom):
    for _ in range(6):
        read(classroom, reply("Mass"), reply("Mass"), visitor="one")
    # Also where he begins all of them before he answers, and after another session.
    begun = [classroom.step("begin", None, None, None, "two") for _ in range(6)]
    for content in begun:
        classroom.step("commit", content["reader"], content["case"], reply("Mass"))
    last = read(classroom, reply("Mass"), reply("Mass"), visitor="three")
    classroom.step("another", last, None, None)
    for _ in range(6):
        read(classroom, reply("Mass"), reply("Mass"), again=last, visitor="three")
    assert rows(classroom) == []
    for visitor in ("four", "five"):
        read(classroom, reply("Mass"), reply("Mass"), visitor=visitor)
    assert [(row["case"], row["when"], row["answers"]) for row in rows(classroom)] == [
        ("1", "before", "5")
    ]


def test_a_picture_whose_name_is_not_utf8_ends_no_writer_and_the_panel_is_told(classroom):
    odd = case("line 2: caf\udce9.png", {"Mass": 0.5})
    classroom.results.expect([odd])
    for _ in range(5):
        classroom.results.add(Turn("x", odd, Round.WITH, first=reply_of(reply("Mass"))))
    wait_until(lambda: "not written" in classroom.results.problem)
    classroom.results._cases.clear()  # what comes next is written again
    read(classroom, reply("Mass"), reply("Mass"))
    classroom.results._changed.set()
    wait_until(lambda: not classroom.results.problem)


def test_what_a_killed_demo_left_of_a_write_is_removed_and_nothing_else(tmp_path):
    head = "case,picture,truth"
    gone = [tmp_path / ".new.csv.17.tmp", tmp_path / ".old.csv.18.tmp"]
    stay = [tmp_path / name for name in (".other.19.tmp", ".old.csv.20.tmp", "old.csv.21.tmp")]
    for path in (*gone, *stay):
        path.write_text("half" if path == stay[0] else head)
    os.utime(gone[1], (0, 0))
    ClassResults(tmp_path / "new.csv").close()
    assert sorted(tmp_path.iterdir()) == sorted([*stay, tmp_path / "new.csv"])


def test_a_refused_step_counts_nothing(classroom):
    names = [classroom.step("begin", None, None, None) for _ in range(5)]
    for content in names:
        classroom.step("commit", content["reader"], content["case"], reply())
        for again in ("commit", "next"):
            with pytest.raises(ConfigError):
                classroom.step(again, content["reader"], content["case"], reply())
    assert [(row["when"], row["answers"]) for row in rows(classroom)] == [("before", "5")]


def test_the_file_holds_the_counts_at_the_end_and_no_reader(classroom, tmp_path):
    names = [read(classroom, reply("Mass"), reply("Mass")) for _ in range(5)]
    classroom.close()
    text = (tmp_path / "results.csv").read_text()
    assert text == classroom.results.csv()
    assert len(text.splitlines()) == 5
    assert not [name for name in names if name in text]
    assert list(tmp_path.iterdir()) == [tmp_path / "results.csv"]


def test_a_file_that_cannot_be_written_disturbs_no_reader(classroom, tmp_path):
    classroom.results.path = tmp_path / "results.csv" / "no-folder"
    read(classroom, reply("Mass"), reply("Mass"))
    classroom.close()
    assert "Could not write" in classroom.results.problem


def test_an_earlier_lessons_results_are_not_overwritten(tmp_path):
    path = tmp_path / "old.csv"
    path.write_text("old")
    with pytest.raises(ConfigError, match="overwrites nothing"):
        ClassResults(path)
    assert path.read_text() == "old"
