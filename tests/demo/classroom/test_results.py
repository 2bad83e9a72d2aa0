"""Class results: counts of five or more, of the shared cases alone."""

import csv
import io
import json
import os
from types import SimpleNamespace

import pytest

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS
from chexnet.transforms import Preprocessing
from demo.classroom.cases import Dozen, Words
from demo.classroom.handlers import Classroom
from demo.classroom.reading import reply_of
from demo.classroom.results import ClassResults
from tests.demo.classroom.made import case, reply
from tests.demo.room.room import wait_until


class Source:
    """Two cases for all, one more for who asks."""

    words = Words("Two", "made", more=True)

    def first(self):
        return Dozen((case("a", {"Mass": 0.5}), case("b")), ordered=True)

    def another(self, seen):
        return Dozen((case("private"),), ordered=True)

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
    made = Classroom(Source(), PREDICTOR, ClassResults(tmp_path / "results.csv"))
    yield made
    made.close()


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
    assert all(one["before"] is one["after"] is None for one in classroom.results.rows())
    read(classroom, reply("Mass"), reply())
    found = {(one["case"], one["when"]): one for one in rows(classroom)}
    assert len(found) == 4
    first = found["1", "before"]
    assert (first["truth"], first["answers"], first["right"]) == ("Mass", "5", "4")
    assert (first["Mass"], first["Nodule"], first["No Finding"]) == ("4", "0", "1")
    after = found["1", "after"]
    assert (after["Mass"], after["Nodule"], after["No Finding"], after["right"]) == (
        "3", "3", "2", "0",
    )  # fmt: skip
    assert (found["2", "before"]["truth"], found["2", "after"]["right"]) == ("No Finding", "2")


def test_whoever_begins_again_and_another_dozen_are_not_counted(classroom):
    name = None
    for _ in range(6):
        name = read(classroom, reply("Mass"), reply("Mass"), again=name)
    assert rows(classroom) == []
    for _ in range(4):
        last = read(classroom, reply("Mass"), reply("Mass"))
    assert [one["answers"] for one in rows(classroom)] == ["5"] * 4
    content = classroom.step("another", last, None, None)
    classroom.step("commit", last, content["case"], reply("Mass"))
    assert [one["answers"] for one in rows(classroom)] == ["5"] * 4
    assert "private" not in json.dumps(classroom.results.rows())


def test_no_state_differs_from_the_one_before_by_a_single_readers_answer(classroom):
    told = []
    for number in range(11):
        read(classroom, reply("Mass") if number % 2 else reply(), reply("Mass"))
        told.append(classroom.results.rows()[0]["before"])
        assert [one["answers"] for one in rows(classroom)] == [str((number + 1) // 5 * 5)] * (
            4 if number > 3 else 0
        )
    assert told[:4] == [None] * 4
    assert told[4:9] == [{"answers": 5, "right": 2, "named": {"Mass": 2, "No Finding": 3}}] * 5
    assert told[9] == {"answers": 10, "right": 5, "named": {"Mass": 5, "No Finding": 5}}


def test_many_readings_of_one_client_count_once(classroom):
    for _ in range(6):
        read(classroom, reply("Mass"), reply("Mass"), visitor="one")
    # Also where he begins all of them before he answers, and after another dozen.
    begun = [classroom.step("begin", None, None, None, "two") for _ in range(6)]
    for one in begun:
        classroom.step("commit", one["reader"], one["case"], reply("Mass"))
    last = read(classroom, reply("Mass"), reply("Mass"), visitor="three")
    classroom.step("another", last, None, None)
    for _ in range(6):
        read(classroom, reply("Mass"), reply("Mass"), again=last, visitor="three")
    assert rows(classroom) == []
    for visitor in ("four", "five"):
        read(classroom, reply("Mass"), reply("Mass"), visitor=visitor)
    assert [(one["case"], one["when"], one["answers"]) for one in rows(classroom)] == [
        ("1", "before", "5")
    ]


def test_a_picture_whose_name_is_not_utf8_ends_no_writer_and_the_panel_is_told(classroom):
    odd = case("line 2: caf\udce9.png", {"Mass": 0.5})
    classroom.results.expect([odd])
    for _ in range(5):
        classroom.results.add(odd, "before", reply_of(reply("Mass")))
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
    assert [(one["when"], one["answers"]) for one in rows(classroom)] == [("before", "5")]


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
