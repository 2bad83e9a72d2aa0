"""What the lessons ask of the server: computed once for a class, and only what they may ask."""

import asyncio
import json
from types import SimpleNamespace

import pytest

from chexnet.labels import FINDINGS
from chexnet.phantom.draw import draw_phantom
from demo.service import Service
from demo.teaching import lessons
from demo.teaching.handlers import Teaching
from tests.demo.conftest import run


@pytest.fixture(scope="module")
def teaching(predictor, tmp_path_factory):
    service = Service(predictor, tmp_path_factory.mktemp("uploads"))
    yield Teaching(service)
    service.close()


def ask(teaching: Teaching, *questions: tuple[object, object]) -> list[dict]:
    """The answers to questions that come at once."""

    async def all_of_them() -> list[str]:
        events = [SimpleNamespace(part=part, of=of, key="k") for part, of in questions]
        return await asyncio.gather(*map(teaching.ask, events))

    teaching._made.clear()
    return [json.loads(text) for text in run(all_of_them())]


def test_a_class_that_opens_a_lesson_at_once_computes_it_once(teaching, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        lessons, "draw_phantom", lambda *a, **k: drawn.append(a) or draw_phantom(*a, **k)
    )
    monkeypatch.setattr(lessons, "SIZE", 96)
    answers = ask(teaching, *[("patient", "1")] * 64)
    assert len({json.dumps(one["content"]) for one in answers}) == 1
    story = answers[0]["content"]
    assert len(drawn) == len(story["visits"]) == 6
    assert story["first"] in FINDINGS
    assert all(0 <= p <= 1 for one in story["visits"] for p in one["probability"].values())


def test_an_example_comes_with_its_boxes_and_the_other_methods_with_a_map_each(teaching):
    heatmap, methods = ask(teaching, ("heatmap", "mass"), ("methods", "mass Mass"))
    [box] = heatmap["content"]["boxes"]
    assert box["finding"] == "Mass"
    assert 0 < box["box"][0] < box["box"][2] < 1
    assert heatmap["content"]["drawn"] == ["Mass"]
    assert list(methods["content"]) == list(teaching.predictor.methods)


@pytest.mark.parametrize(
    "question",
    [
        ("patient", "9"), ("patient", 1), ("patient", "../1"), ("heatmap", "/etc/passwd"),
        ("heatmap", None), ("methods", "mass Cat"), ("methods", ["mass"]), ("other", ""),
        (None, None), ({"a": 1}, "x" * 10000),
    ],
)  # fmt: skip
def test_what_a_page_would_not_ask_is_refused_and_not_kept(teaching, question):
    [answer] = ask(teaching, question)
    assert answer["kind"] == "problem"
    assert answer["content"].startswith("There is no such")
    assert not teaching._made


def test_a_failure_is_told_and_tried_again_the_next_time(teaching, monkeypatch):
    monkeypatch.setattr(lessons, "split_content", lambda: 1 / 0)
    [answer] = ask(teaching, ("split", ""))
    assert answer["kind"] == "problem"
    assert answer["content"].startswith("Something went wrong")
    assert not teaching._made
