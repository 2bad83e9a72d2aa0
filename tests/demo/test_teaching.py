"""The parts of the page: computed once for a class, and only those that there are."""

import asyncio
import base64
import gzip
import io
import json
import re
import threading

import numpy as np
import pytest
from PIL import Image

from chexnet.errors import ConfigError
from chexnet.evaluation.twins import SEED as TWINS_SEED
from chexnet.labels import FINDINGS
from chexnet.phantom.draw import draw_phantom
from chexnet.phantom.patients import visits
from chexnet.transforms import item_pixels
from demo.service import Service
from demo.teaching import curves, lessons
from demo.teaching.parts import Parts
from tests.conftest import ROOT
from tests.demo.conftest import run

TEMPLATES = ROOT / "demo" / "templates"


@pytest.fixture(scope="module")
def service(predictor, tmp_path_factory):
    service = Service(predictor, tmp_path_factory.mktemp("uploads"))
    yield service
    service.close()


def pixels_of(preview: dict) -> np.ndarray:
    """The picture of a preview, uint8 (H, W)."""
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(preview["data"]))))


def ask(parts: Parts, *names: str) -> list:
    """The parts of these names, asked for at once."""

    async def all_of_them() -> list[bytes]:
        return await asyncio.gather(*map(parts.get, names))

    return [json.loads(gzip.decompress(data)) for data in run(all_of_them())]


def test_the_thresholds_are_computed_before_anybody_asks(service, monkeypatch):
    begun = threading.Event()

    def content(predictor):
        begun.set()
        return {"of": predictor.classes}

    monkeypatch.setattr(curves, "threshold_content", content)
    parts = Parts(service)
    assert begun.wait(60)
    assert ask(parts, "thresholds") == [{"of": service.predictor.classes}]


def test_a_class_that_opens_a_lesson_at_once_computes_it_once(service, monkeypatch):
    drawn = []
    monkeypatch.setattr(
        lessons, "draw_phantom", lambda *a, **k: drawn.append(a) or draw_phantom(*a, **k)
    )
    monkeypatch.setattr(lessons, "SIZE", 96)
    answers = ask(Parts(service), *["patient/1"] * 64)
    assert all(answer == answers[0] for answer in answers)
    story = answers[0]
    assert len(drawn) == len(story["visits"]) == 6
    assert story["first"] in FINDINGS
    assert all(0 <= p <= 1 for visit in story["visits"] for p in visit["probability"].values())


def test_twins_are_one_chest_and_come_back_from_their_differences(service, predictor, monkeypatch):
    monkeypatch.setattr(lessons, "STEPS", (0.0, 0.5, 1.0))
    parts = Parts(service)
    [twin] = ask(parts, "twin/Effusion")
    base, *others = (pixels_of(preview) for preview in twin["pictures"])
    for severity, other in zip((0.5, 1.0), others, strict=True):
        drawn = draw_phantom(TWINS_SEED, 0, 0, size=512, findings={"Effusion": severity})
        expected = item_pixels(drawn.pixels, predictor.metadata.preprocessing)
        assert (base + other == expected).all()  # uint8: modulo 256
        assert (other == 0).mean() > 0.5, "small on the wire"
    maps = np.frombuffer(base64.b64decode(twin["maps"]), "<f4").reshape(3, *twin["cells"])
    bias = predictor.bias["Effusion"]
    assert maps.sum((1, 2)) + bias == pytest.approx(np.array(twin["logit"]), abs=1e-4)
    touched = [len(cells) for cells in twin["touched"]]
    assert touched == sorted(touched)
    assert touched[0] == 0 < touched[-1]
    shown = re.search('data-names="(.*?)"', (TEMPLATES / "lessons.html.jinja").read_text())
    assert shown.group(1).split() == list(lessons.TWINS)
    assert {f"twin/{name}" for name in lessons.TWINS} <= set(parts.names)


def test_a_networks_curve_of_severity_counts_what_it_calls(service, predictor, monkeypatch):
    monkeypatch.setattr(lessons, "FAINT", 6)
    [severity] = ask(Parts(service), "severity")
    assert severity["pictures"] == 6
    drawn = sum(len(visits(lessons.SEED, patient)[0].findings) for patient in range(6))
    known = [name for name in FINDINGS if predictor.thresholds.get(name) is not None]
    counted = [band["findings"] for band in severity["network"]]
    assert sum(counted) == 6 * len(known)
    assert sum(counted[1:]) <= drawn


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
