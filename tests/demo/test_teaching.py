"""The parts of the page: computed once for a class, and only those that there are."""

import asyncio
import gzip
import json

import pytest

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS
from chexnet.phantom.draw import draw_phantom
from demo.service import Service
from demo.teaching import lessons
from demo.teaching.parts import Parts
from tests.demo.conftest import run


@pytest.fixture(scope="module")
def service(predictor, tmp_path_factory):
    service = Service(predictor, tmp_path_factory.mktemp("uploads"))
    yield service
    service.close()


def ask(parts: Parts, *names: str) -> list:
    """The parts of these names, asked for at once."""

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*map(parts.get, names))

    return [json.loads(gzip.decompress(data)) for data in run(all_of_them())]


def test_a_class_that_opens_a_lesson_at_once_computes_it_once(service, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        lessons, "draw_phantom", lambda *a, **k: drawn.append(a) or draw_phantom(*a, **k)
    )
    monkeypatch.setattr(lessons, "SIZE", 96)
    answers = ask(Parts(service), *["patient/1"] * 64)
    assert all(one == answers[0] for one in answers)
    story = answers[0]
    assert len(drawn) == len(story["visits"]) == 6
    assert story["first"] in FINDINGS
    assert all(0 <= p <= 1 for one in story["visits"] for p in one["probability"].values())


def test_an_example_comes_with_its_boxes_and_any_method_has_a_map_of_it(service):
    [mass] = ask(Parts(service), "example/mass")
    [box] = mass["boxes"]
    assert box["finding"] == "Mass"
    assert 0 < box["box"][0] < box["box"][2] < 1
    assert mass["drawn"] == ["Mass"]
    analysis = service.kept.get(mass["id"])
    for method in mass["methods"][:3]:
        assert run(service.heatmap(analysis, "Mass", method)).shape == tuple(mass["cells"])
        analysis.maps.clear()  # a task belongs to its loop


@pytest.mark.parametrize(
    "name",
    ["patient/9", "patient/../1", "example//etc/passwd", "example/", "", "x" * 9999],
)
def test_a_part_that_there_is_not_is_refused_and_not_kept(service, name):
    parts = Parts(service)
    with pytest.raises(ConfigError, match="There is no such part"):
        ask(parts, name)
    assert not parts._made


def test_a_failure_is_told_and_tried_again_the_next_time(service, monkeypatch):
    monkeypatch.setattr(lessons, "split_content", lambda: 1 / 0)
    parts = Parts(service)
    with pytest.raises(ZeroDivisionError):
        ask(parts, "split")
    assert not parts._made
