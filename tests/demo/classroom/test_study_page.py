"""A study's readers: what each arm is shown, and the row that each answer leaves."""

import csv

import pytest

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS, SIGNS
from demo import rendering
from demo.classroom.handlers import Classroom
from demo.classroom.study import Study
from tests.demo.classroom.made import case, reply
from tests.demo.classroom.test_results import PREDICTOR, Source
from tests.demo.harness import TABLES_TEXT, alone

TOML = """
name = "Who sees it"
consent = "I take part."
[[arms]]
name = "arm"
network = "{network}"
heat = {heat}
"""
NAME = "1234567890-1234567890-12"
SCRIPT = """
import { mountReading } from "/reading/reading.js";
window.chexnet = { reading: mountReading(document.getElementById("root"), { send: window.ask }) };
"""


@pytest.fixture
def opened(tmp_path):
    """Opens a study of one arm; gives its classroom, and what its file holds."""
    classrooms = []

    def open_study(network: str, heat: str = "true"):
        path = tmp_path / "study.toml"
        path.write_text(TOML.format(network=network, heat=heat))
        source = Source()
        source.pairs = ((case("p", {"Edema": 0.5}), case("q", {"Edema": 0.5})),)
        classrooms.append(Classroom(source, PREDICTOR, study=Study(path)))
        file = tmp_path / "study.csv"
        return classrooms[-1], lambda: list(csv.DictReader(file.read_text().splitlines()))

    yield open_study
    for classroom in classrooms:
        classroom.close()


@pytest.mark.parametrize(
    ("network", "stages", "moments"),
    [
        ("second", ["read", "revise +network", "truth +network"], ["before", "after"]),
        ("first", ["read +network", "truth +network"], ["after"]),
        ("none", ["read", "truth"], ["before"]),
    ],
)
def test_an_arm_sees_the_network_when_it_may_and_every_answer_is_a_row(
    opened, network, stages, moments
):
    classroom, rows = opened(network, heat="false")
    assert (classroom.words.study, classroom.words.consent) == ("Who sees it", "I take part.")
    content = classroom.step("begin", None, None, None, pseudonym=NAME)
    reader, steps = content["reader"], []
    while content["stage"] != "done":
        suffix = " +network" if "network" in content else ""
        assert ("truth" in content) == (content["stage"] == "truth")
        assert content.get("heat") is (False if suffix else None)
        steps.append((content["round"], content["stage"] + suffix))
        action = {"read": "commit", "revise": "settle", "truth": "next"}[content["stage"]]
        content = classroom.step(action, reader, content["case"], reply("Mass", sure=2))
    helped = [("with", stage) for stage in stages]
    assert steps == [("before", "read"), *helped, *helped, ("after", "read")]
    assert all({"mine", "truth", "network"} <= set(turn) for turn in content["turns"])
    answers = [(row["case"], row["round"], row["when"]) for row in rows()]
    expected = [(key, "with", when) for key in "ab" for when in moments]
    assert answers[1:-1] == expected
    assert {answers[0][0], answers[-1][0]} == {"p", "q"}
    assert [row[1:] for row in (answers[0], answers[-1])] == [("before",) * 2, ("after", "before")]
    assert {(row["answer"], row["confidence"]) for row in rows()} == {("Mass", "2")}
    assert NAME not in str(rows())
    # Its readers see different things: the class's counts hold none of them.
    assert classroom.results.learning() == []
    assert not classroom.results._counts
    assert classroom.step("forget", None, None, None, pseudonym=NAME) == {"forgotten": len(answers)}
    assert rows() == []


def test_without_a_pseudonym_nobody_begins_and_without_a_study_nobody_forgets(opened):
    classroom, rows = opened("second")
    with pytest.raises(ConfigError, match="pseudonym"):
        classroom.step("begin", None, None, None)
    assert rows() == []
    with pytest.raises(ConfigError):
        Classroom(Source(), PREDICTOR).step("forget", None, None, None, pseudonym=NAME)


def test_the_page_asks_for_consent_shows_what_the_arm_may_see_and_deletes(browser, opened):
    classroom, rows = opened("first", heat="false")
    drawn, waits = classroom.source.first, [True]
    classroom.source.first = lambda: None if waits and waits.pop() else drawn()
    classroom.source.progress = lambda: (0, 4)

    def ask(step: dict) -> dict:
        given = [step.get(name) for name in ("action", "reader", "case", "answer")]
        return classroom.step(*given, pseudonym=step.get("pseudonym"))

    context = browser.new_context(bypass_csp=True)
    page = context.new_page()
    page.expose_function("ask", ask)
    named = [{"name": name, "title": name, "note": "", "sign": SIGNS[name]} for name in FINDINGS]
    look = {"words": classroom.words, "hours": 2, "findings": named, "steps": [("Guessing", "")]}
    html = f"<template data-tables>{TABLES_TEXT}</template><main id=root>"
    alone(page, html + rendering.render("reading.html.jinja", **look) + "</main>", SCRIPT, ())
    assert "I take part." in page.inner_text("[data-r=intro]")
    page.get_by_role("button", name="I agree, begin").click()
    for stage in ("read", "read", "truth"):
        page.wait_for_function(
            "s => chexnet.reading.now?.stage === s && !chexnet.reading.waiting", arg=stage
        )
        now = page.evaluate("chexnet.reading.now")
        assert page.is_visible("[data-map=Mass]") == (now["round"] == "with")
        assert not page.is_visible("[data-layer=heat]")
        assert not page.is_visible("[data-r=chip]")
        assert page.is_visible("[data-layer=mine]") == (now["round"] == "with")
        if stage == "read":
            page.check(".cx-r-findings input[value=Mass]")
            page.check("[name=cx-r-sure]", force=True)
            page.click("[data-do=go]")
            gone = (
                "([id, stage]) => chexnet.reading.now.case !== id || "
                "chexnet.reading.now.stage !== stage"
            )
            page.wait_for_function(gone, arg=[now["case"], stage])
    assert len(rows()) == 2
    page.click("[data-do=forget]")
    page.get_by_text("2 answers were deleted").wait_for()
    assert rows() == []
    page.get_by_role("button", name="I agree, begin").click(trial=True)
    context.close()
