"""One reader's way through the cases: nothing out of order, and figures that add up."""

import math
import random
import threading

import pytest

from chexnet.errors import ConfigError
from demo import security
from demo.classroom.cases import Session
from demo.classroom.content import Content
from demo.classroom.readers import Readers
from demo.classroom.reading import MOST_BOXES, NOT_NOW, Round, Stage, new_reader, reply_of
from tests.demo.classroom.made import case, reply
from tests.demo.node import call


def reader_of(*cases, ordered=True):
    return new_reader(Session(cases, ordered=ordered))


def replies(reader, which):
    return [getattr(turn, which) for turn in reader.turns if getattr(turn, which)]


def test_a_case_is_read_committed_revised_once_and_then_told():
    reader = reader_of(case("a"), case("b"))
    first = reader.turn.id
    reader.commit(first, reply("Mass"))
    assert reader.stage is Stage.REVISE
    reader.settle(first, reply())
    assert reader.stage is Stage.TRUTH
    reader.go_on(first)
    assert (reader.stage, reader.place, reader.turn.case.key) == (Stage.READ, 1, "b")
    for step in (reader.commit, reader.settle):
        step(reader.turn.id, reply())
    reader.go_on(reader.turn.id)
    assert reader.stage is Stage.DONE
    assert [sorted(answer.findings) for answer in replies(reader, "first")] == [["Mass"], []]
    assert [sorted(answer.findings) for answer in replies(reader, "last")] == [[], []]


@pytest.mark.parametrize("first", [0, 1])
def test_the_cases_of_a_pair_are_read_before_and_after_those_with_the_network(first):
    pairs = tuple((case(f"{k}a"), case(f"{k}b")) for k in range(4))
    session = Session((case("x"), case("y")), pairs)
    orders = set()
    for _ in range(8):
        reader = new_reader(session, first=first)
        before, after = reader.turns[:4], reader.turns[6:]
        assert [turn.round for turn in reader.turns] == [
            *[Round.BEFORE] * 4, *[Round.WITH] * 2, *[Round.AFTER] * 4
        ]  # fmt: skip
        assert {turn.case.key for turn in before} == {f"{k}{'ab'[first]}" for k in range(4)}
        for turn in (*before, *after):
            assert turn.case in pairs[turn.pair]
        assert {turn.pair for turn in after} == set(range(4))
        orders.add(tuple(turn.case.key for turn in reader.turns))
    assert len(orders) > 1


def test_without_the_network_an_answer_leads_to_the_next_case_and_cannot_be_changed():
    pairs = ((case("a"), case("b")), (case("c"), case("d")))
    reader = new_reader(Session((case("x"),), pairs, ordered=True))
    for k in (0, 1):
        turn = reader.turn.id
        reader.commit(turn, reply("Mass"))
        assert (reader.place, reader.stage) == (k + 1, Stage.READ)
        for step in (reader.settle, reader.commit):
            with pytest.raises(ConfigError, match=NOT_NOW):
                step(turn, reply())
        with pytest.raises(ConfigError, match=NOT_NOW):
            reader.go_on(turn)
    turn = reader.turn.id
    for step in (reader.commit, reader.settle):
        step(turn, reply())
    reader.go_on(turn)
    for _ in (0, 1):
        reader.commit(reader.turn.id, reply())
    assert reader.stage is Stage.DONE
    assert [turn.last is not None for turn in reader.turns] == [False, False, True, False, False]


@pytest.mark.parametrize("stage", list(Stage))
def test_every_step_but_the_open_one_is_refused_and_changes_nothing(stage):
    steps = {Stage.READ: "commit", Stage.REVISE: "settle", Stage.TRUTH: "go_on"}
    reader = reader_of(case("a"))
    turn = reader.turn.id
    for before, name in steps.items():
        if before is stage:
            break
        getattr(reader, name)(*([turn] if name == "go_on" else [turn, reply()]))
    assert reader.stage is stage
    kept = (reader.place, replies(reader, "first"), replies(reader, "last"))
    for open_at, name in steps.items():
        if open_at is not stage:
            with pytest.raises(ConfigError, match="not open"):
                getattr(reader, name)(*([turn] if name == "go_on" else [turn, reply()]))
    assert reader.stage is stage
    assert (reader.place, replies(reader, "first"), replies(reader, "last")) == kept


@pytest.mark.parametrize("turn", ["next", "other", "key", None, 7, "é", "", ["x"]])
def test_a_case_that_is_not_before_the_reader_is_refused(turn):
    reader, other = reader_of(case("a"), case("b")), reader_of(case("a"))
    names = {"next": reader.turns[1].id, "other": other.turn.id, "key": "a"}
    given = names.get(turn, turn) if isinstance(turn, str) else turn
    with pytest.raises(ConfigError, match=NOT_NOW):
        reader.commit(given, reply())
    assert replies(reader, "first") == []


def test_of_many_commits_at_once_one_counts():
    reader, refused = reader_of(case("a")), []

    def commit():
        with reader.lock:
            try:
                reader.commit(reader.turn.id, reply())
            except ConfigError:
                refused.append(1)

    threads = [threading.Thread(target=commit) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (len(replies(reader, "first")), len(refused)) == (1, 7)


BAD = [
    None,
    [],
    "Mass",
    {},
    reply("Mass") | {"findings": "Mass"},
    reply("Mass") | {"findings": ["Mass", "Mass"]},
    reply("Mass") | {"findings": ["No Finding"]},
    reply("Mass") | {"findings": [["Mass"]]},
    reply("Mass") | {"nothing": True},
    reply() | {"nothing": False},
    reply() | {"nothing": 1},
    reply("Mass", sure=3),
    reply("Mass", sure=-1),
    reply("Mass") | {"sure": True},
    reply("Mass") | {"sure": None},
    reply("Mass") | {"sure": 1.0},
    reply("Mass", boxes={"Nodule": [[0.1, 0.1, 0.2, 0.2]]}),
    reply("Mass", boxes={"Mass": [0.1, 0.1, 0.2, 0.2]}),
    reply("Mass", boxes={"Mass": [[0.1, 0.1, 0.2]]}),
    reply("Mass", boxes={"Mass": [[0.1, 0.1, 0.2, math.nan]]}),
    reply("Mass", boxes={"Mass": [[0.1, 0.1, 0.2, 1.01]]}),
    reply("Mass", boxes={"Mass": [[-0.1, 0.1, 0.2, 0.2]]}),
    reply("Mass", boxes={"Mass": [[0.2, 0.1, 0.1, 0.2]]}),
    reply("Mass", boxes={"Mass": [[0.1, 0.1, 0.1, 0.2]]}),
    reply("Mass", boxes={"Mass": [["0.1", 0.1, 0.2, 0.2]]}),
    reply("Mass", boxes={"Mass": [[False, 0.1, 0.2, 0.2]]}),
    reply("Mass", boxes={"Mass": [[0.1, 0.1, 0.2, 0.2]] * (MOST_BOXES + 1)}),
    reply("Mass", "Nodule", boxes={n: [[0, 0, 1, 1]] * 11 for n in ("Mass", "Nodule")}),
]


@pytest.mark.parametrize("given", BAD, ids=range(len(BAD)))
def test_an_answer_that_the_page_cannot_send_is_refused(given):
    reader = reader_of(case("a"))
    with pytest.raises(ConfigError):
        reader.commit(reader.turn.id, given)
    assert reader.stage is Stage.READ


def test_an_answer_comes_back_as_it_was_sent():
    given = reply("Nodule", "Mass", boxes={"Mass": [[0, 0, 0.5, 1]]})
    back = reply_of(given).as_dict()
    assert back == given | {"boxes": {"Mass": [[0.0, 0.0, 0.5, 1.0]]}}


def test_two_readers_meet_the_same_cases_by_other_names_and_in_another_order():
    cases = [case(str(k)) for k in range(12)]
    readers = [reader_of(*cases, ordered=False) for _ in range(6)]
    orders = {tuple(turn.case.key for turn in reader.turns) for reader in readers}
    assert len(orders) == 6  # two of six agree once in 3e7 runs
    assert all(set(order) == {case.key for case in cases} for order in orders)
    names = [turn.id for reader in readers for turn in reader.turns]
    assert len(set(names)) == len(names)


def test_a_lecturers_order_is_kept():
    cases = [case(str(k)) for k in range(12)]
    assert [turn.case.key for turn in reader_of(*cases).turns] == [str(k) for k in range(12)]


class Clock:
    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_reader_is_kept_for_some_time_after_the_last_action():
    clock = Clock()
    readers = Readers(seconds=100, clock=clock)
    name = readers.add(reader_of(case()))
    for clock.now in (90, 180, 270):
        readers.get(name)
    clock.now = 371
    with pytest.raises(ConfigError, match="no longer kept"):
        readers.get(name)
    assert len(readers) == 0


@pytest.mark.parametrize("visitors", ["one", "the class's own", "many"])
def test_a_class_in_progress_survives_ten_thousand_begins(visitors):
    clock = Clock()
    readers = Readers(clock=clock)
    reading = [reader_of(case()) for _ in range(64)]
    names = [readers.add(reader, "class" if visitors[0] == "t" else f"phone {k}")
             for k, reader in enumerate(reading)]  # fmt: skip
    for reader in reading[::2]:  # the others look at their first picture
        reader.commit(reader.turn.id, reply())
    refused = 0
    for k in range(10_000):
        who = {"one": "attacker", "many": f"attacker {k}"}.get(visitors, "class")
        clock.now += 0.01
        try:
            readers.add(reader_of(case()), who)
        except ConfigError:
            refused += 1
    kept = {"one": 64 + security.READINGS, "many": security.READERS}
    assert len(readers) == kept.get(visitors, security.READINGS)
    assert refused == 10_000 + 64 - len(readers)
    assert [readers.get(name) for name in names] == reading
    if visitors == "many":  # who is idle makes room, first of those who never answered
        clock.now += security.IDLE_SECONDS + 1
        readers.get(names[1])
        readers.add(reader_of(case()), "newcomer")
        assert [readers.get(name) for name in names] == reading


@pytest.mark.parametrize("name", [None, "", 3, [], {}, "x" * 24])
def test_an_unknown_reader_is_told_to_begin_again(name):
    with pytest.raises(ConfigError, match="begin again"):
        Readers().get(name)


def test_figures_of_random_readings_add_up():
    chance = random.Random(3)
    names = ["Mass", "Edema", "Nodule"]
    readings = []
    for _ in range(20):
        cases = [
            case(str(k), dict.fromkeys(chance.sample(names, chance.randint(0, 2)), 0.5),
                 named=set(chance.sample(names, chance.randint(0, 2))), sure=chance.random())
            for k in range(12)
        ]  # fmt: skip
        pairs = ((cases[0], cases[1]), (cases[2], cases[3]))
        reader = new_reader(Session(tuple(cases[4:]), pairs))
        while reader.stage is not Stage.DONE:
            turn = reader.turn
            for step in (reader.commit, reader.settle)[: 1 + (turn.round is Round.WITH)]:
                some = chance.sample(names, chance.randint(0, 2))
                step(turn.id, reply(*some, sure=chance.randint(0, 2)))
            if turn.round is Round.WITH:
                reader.go_on(turn.id)
        readings.append((reader, Content(None).of(reader)["turns"]))
    answers = call("reading/figures.js", "figuresOf", *([turns] for _, turns in readings))
    for (reader, _), shown in zip(readings, answers, strict=True):
        you, network = shown["you"], shown["network"]
        moments = {"before": Round.BEFORE, "first": Round.WITH, "after": Round.AFTER}
        for name, part in moments.items():
            turns = [turn for turn in reader.turns if turn.round is part]
            assert you[name]["cases"] == len(turns)
            assert you[name]["right"] == sum(turn.first.right(turn.case) for turn in turns)
        assert you["last"]["right"] == you["first"]["right"] + shown["toRight"] - shown["toWrong"]
        assert shown["followed"] <= shown["toWrong"]
        gained, lost = shown["change"]["gained"], shown["change"]["lost"]
        assert you["after"]["right"] == you["before"]["right"] + gained - lost
        mine = sum(you[name]["right"] for name in moments)
        theirs = sum(tally["right"] for tally in network.values())
        for who, right in (("mine", mine), ("network", theirs)):
            assert sum(step[who]["right"] for step in shown["sure"]) == right
            assert sum(step[who]["cases"] for step in shown["sure"]) == 12
