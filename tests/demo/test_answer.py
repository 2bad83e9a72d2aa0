"""The one answer of the page: complete, small, and nothing before the gate agrees."""

import base64
import json
import zlib
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from chexnet.phantom.draw import draw_phantom
from demo import answer as answers
from demo.handlers import Handlers
from demo.service import Service
from tests.demo.conftest import run
from tests.malformed import encoded

RESULT = {"probability", "logit", "bias", "contributions", "threshold", "calibration", "first"}


@pytest.fixture(scope="module")
def service(predictor, tmp_path_factory):
    service = Service(predictor, tmp_path_factory.mktemp("uploads"))
    yield service
    service.close()


@pytest.fixture(scope="module")
def handlers(service) -> Handlers:
    return Handlers(service)


def uploaded(service, data: bytes):
    path = service.folder / "own" / "upload"  # the folder goes with the upload
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return path


def sent(handlers, data: bytes):
    """State and message of an upload to the page."""
    path = uploaded(handlers.service, data)
    state, message = run(handlers.upload(path))
    return state, json.loads(message)["content"]


def grain(bits: int) -> np.ndarray:
    """A phantom with the noise of a detector: what compresses worst."""
    pixels = draw_phantom(998, 20, 0, size=1024, findings={}).pixels.astype(float) / 255
    noisy = pixels + np.random.default_rng(0).normal(0, 0.01, pixels.shape)
    top = 2**bits - 1
    return (np.clip(noisy, 0, 1) * top).astype(np.uint8 if bits == 8 else np.uint16)


def test_the_answer_holds_what_adds_up_to_each_score(handlers):
    state, content = sent(handlers, encoded(draw_phantom(998, 20, 0, size=256, findings={}).pixels))
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
    assert state.analysis.radiograph is None, "the browser has the picture now"


@pytest.mark.parametrize(("bits", "limit"), [(8, 0.5e6), (16, 1.8e6)])
def test_an_answer_is_small_and_keeps_the_depth(handlers, bits, limit):
    pixels = grain(bits)
    _, content = sent(handlers, encoded(pixels))
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


def test_a_picture_that_the_gate_objects_to_has_no_result_before_the_visitor_goes_on(handlers):
    y, x = np.mgrid[:300, :300]
    stripes = np.stack([(x // 10 % 2) * 200, (y // 14 % 2) * 220, (x + y) % 256], axis=2)
    state, content = sent(handlers, encoded(stripes.astype(np.uint8)))
    assert not content["gate"]["open"]
    assert not RESULT & set(content)
    assert not state.open
    assert state.analysis.radiograph is not None

    class Event:
        action = "anyway"

    state, message = run(handlers.act(Event(), state))
    content = json.loads(message)["content"]
    assert set(content) >= RESULT
    assert "means little" in content["gate"]["message"]
    assert state.analysis.radiograph is None


def test_another_method_is_refused_before_the_visitor_goes_on(handlers):
    y, x = np.mgrid[:300, :300]
    stripes = np.stack([(x // 10 % 2) * 200, (y // 14 % 2) * 220, (x + y) % 256], axis=2)
    state, _ = sent(handlers, encoded(stripes.astype(np.uint8)))

    class Event:
        action, finding, method, id = "method", "Mass", "HiResCAM", "x"

    _, message = run(handlers.act(Event(), state))
    assert json.loads(message)["kind"] == "problem"


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
