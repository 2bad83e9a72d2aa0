"""The one answer of the page: complete, small, and nothing before the gate agrees."""

import base64
import json
import time
import zlib
from dataclasses import replace
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from chexnet.errors import ConfigError
from chexnet.phantom.draw import draw_phantom
from demo import answer as answers
from demo.kept import Kept
from demo.service import Service
from tests.demo.conftest import run
from tests.malformed import encoded

RESULT = {"probability", "logit", "bias", "contributions", "threshold", "calibration", "first"}


@pytest.fixture(scope="module")
def service(predictor, tmp_path_factory):
    service = Service(predictor, tmp_path_factory.mktemp("uploads"))
    yield service
    service.close()


def sent(service, data: bytes, anyway: bool = False) -> dict:
    """What the page gets for a picture."""
    analysis = run(service.analyse(data))
    return answers.answer_of(analysis, service.predictor, anyway=anyway)


def stripes() -> bytes:
    """A picture that the gate objects to."""
    y, x = np.mgrid[:300, :300]
    pixels = np.stack([(x // 10 % 2) * 200, (y // 14 % 2) * 220, (x + y) % 256], axis=2)
    return encoded(pixels.astype(np.uint8))


def grain(bits: int) -> np.ndarray:
    """A phantom with the noise of a detector: what compresses worst."""
    pixels = draw_phantom(998, 20, 0, size=1024, findings={}).pixels.astype(float) / 255
    noisy = pixels + np.random.default_rng(0).normal(0, 0.01, pixels.shape)
    top = 2**bits - 1
    return (np.clip(noisy, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def test_the_answer_holds_what_adds_up_to_each_score(service):
    content = sent(service, encoded(draw_phantom(998, 20, 0, size=256, findings={}).pixels))
    assert content["gate"]["open"]
    classes, (height, width) = content["classes"], content["cells"]
    maps = np.frombuffer(base64.b64decode(content["contributions"]), "<f4")
    maps = maps.reshape(len(classes), height, width)
    for name, cells in zip(classes, maps, strict=True):
        speaks_for, against = np.clip(cells, 0, None).sum(), -np.clip(cells, None, 0).sum()
        score = content["bias"][name] + speaks_for - against
        assert score == pytest.approx(content["logit"][name], abs=1e-4)
        fitted = content["calibration"][name]
        p = 1 / (1 + np.exp(-(fitted["slope"] * content["logit"][name] + fitted["bias"])))
        assert p == pytest.approx(content["probability"][name], abs=1e-4)


@pytest.mark.parametrize(("bits", "limit"), [(8, 0.5e6), (16, 1.8e6)])
def test_an_answer_is_small_and_keeps_the_depth(service, bits, limit):
    pixels = grain(bits)
    content = sent(service, encoded(pixels))
    assert len(json.dumps(content)) <= limit
    preview = content["preview"]
    assert preview["bits"] == bits
    data = base64.b64decode(preview["data"])
    if bits == 8:
        shown = np.asarray(Image.open(BytesIO(data)))
    else:
        shown = np.frombuffer(zlib.decompress(data), "<u2")
        shown = shown.reshape(preview["height"], preview["width"])
        assert len(np.unique(shown)) > 10_000
    assert shown.shape == (768, 768)


def test_a_picture_that_the_gate_objects_to_has_no_result_before_the_visitor_goes_on(service):
    content = sent(service, stripes())
    assert not content["gate"]["open"]
    assert not RESULT & set(content)
    content = sent(service, stripes(), anyway=True)
    assert set(content) >= RESULT
    assert "means little" in content["gate"]["message"]


def test_only_what_a_visitor_may_ask_again_is_kept_and_without_its_picture(web):
    refused = web.post("/api/analyse", content=stripes()).json()
    heat = "/api/heat/{}?finding=Mass&method=Grad-CAM"
    assert web.get(heat.format(refused["id"])).status_code == 422
    shown = web.post(f"/api/analyse?anyway=1&instead={refused['id']}", content=stripes()).json()
    assert web.get(heat.format(shown["id"])).status_code == 200
    again = web.post(f"/api/analyse?anyway=1&instead={shown['id']}", content=stripes()).json()
    assert web.get(heat.format(shown["id"])).status_code == 422, "another took its place"
    kind, said = web.ask("heatmap", "Mass", "Grad-CAM", session=again["id"])
    assert (kind, "upload it again" in said) == ("error", True)


def test_what_is_kept_is_bounded_and_goes_after_its_time(service):
    analysis = replace(service.opening, example="")
    kept = Kept(limit=2, seconds=60)
    for number in range(5):
        kept.add(replace(analysis, id=str(number), since=time.monotonic()))
    assert (len(kept), kept.get("4").id) == (2, "4")
    kept.add(replace(analysis, id="late", since=time.monotonic()), instead="4")
    for gone in ("2", "4", None, {}):
        with pytest.raises(ConfigError, match="no longer kept"):
            kept.get(gone)
    old = Kept(limit=2, seconds=60)
    old.add(replace(analysis, id="old", since=time.monotonic() - 61))
    old.add(replace(analysis, id="example", example="Mass", since=0.0))
    assert old.get("example").example == "Mass"
    with pytest.raises(ConfigError):
        old.get("old")


def test_trust_is_the_findings_own_from_five_boxes_and_of_all_otherwise():
    row = {"count": 9, "patients": 9, "peak_in_box": 0.5, "average_box": 0.2}
    row["interval"] = {"low": 0.2, "high": 0.8}
    whole = row | {"count": 48, "peak_in_box": 0.375}

    class Measured:
        trust = {"radiographs": {"source": "x", "all": whole, "findings": {"Mass": row}}}  # noqa: RUF012

    texts = answers.trust_texts(Measured, ["Mass", "Edema", "No Finding"])
    assert "50% (20-80 %) of 9" in texts["Mass"]
    assert "all findings together: hottest point in the box 38%" in texts["Edema"]
    assert "No Finding" not in texts

    class Unmeasured:
        trust = None

    assert answers.trust_texts(Unmeasured, ["Mass"]) == {}
