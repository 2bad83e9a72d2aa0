"""A browser that answers by itself, against Python: the same pixels, words and figures."""

import base64
import json
import subprocess
import zlib
from dataclasses import replace
from io import BytesIO
from urllib.parse import unquote, urlsplit

import numpy as np
import pytest
from PIL import Image, ImageCms
from pydicom import uid

from chexnet.errors import ImageError
from chexnet.inference.predictor import Predictor
from chexnet.overlay import MAX_SIDE
from chexnet.phantom.draw import draw_phantom
from chexnet.transforms import FILTERS, Preprocessing, item_pixels
from demo import security
from demo.answer import answer_of
from demo.kept import Analysis
from demo.local_facts import local_facts
from tests import malformed
from tests.conftest import ROOT
from tests.demo.harness import ORIGIN
from tests.demo.node import call, node
from tests.imaging.test_dicom import dataset, dicom, ramp, written
from tests.malformed import encoded

SIZES = [(64, 64, 256), (1, 3, 2), (100, 137, 64), (171, 60, 64), (64, 75, 64)]
SIZES += [(30, 333, 77), (33, 21, 64), (125, 64, 64), (96, 96, 96)]
ANSWER = """
import { readFileSync } from 'node:fs';
const [module, facts, ...asked] = process.argv.slice(1);
const { answerTo } = await import(module), about = JSON.parse(readFileSync(facts));
for (const one of asked) {
  const { path, corrected } = JSON.parse(one);
  let seen = [];
  const run = async (item) => {
    seen = [...item];
    const logits = Float32Array.from(about.result.classes, (_, i) => i / 2 - 3);
    return { logits, contributions: new Float32Array(64 * logits.length), cells: [8, 8] };
  };
  const answer = await answerTo(readFileSync(path), { anyway: true, corrected }, about, run)
    .catch(({ message }) => ({ problem: message }));
  console.log(JSON.stringify({ ...answer, seen }));
}
"""
RNG = np.random.default_rng(4)


@pytest.fixture(scope="module")
def predictor(exported):
    return Predictor(exported, engine="onnx", device="cpu")


@pytest.fixture(scope="module")
def facts(predictor, tmp_path_factory):
    path = tmp_path_factory.mktemp("facts") / "facts.json"
    path.write_text(json.dumps(local_facts(predictor)))
    return path


def picture(pixels: np.ndarray) -> dict:
    height, width = pixels.shape
    return {
        "pixels": {pixels.dtype.name: pixels.ravel().tolist()},
        "width": width,
        "height": height,
    }


@pytest.mark.parametrize(
    ("kind", "name"),
    [("uint8", "bilinear"), ("uint8", "bicubic"), ("uint16", "bicubic"), ("float32", "box")],
)
def test_a_picture_is_resized_bit_for_bit_as_pillow_does(kind, name):
    top = 1 if kind == "float32" else np.iinfo(kind).max
    # Black and white alone let a cubic overshoot.
    given = [(RNG.random((h, w)).round(2 * (h % 2)) * top).astype(kind) for h, w, _ in SIZES]
    sizes = [(side, max(1, side * 2 // 3)) for _, _, side in SIZES]
    asked = [(picture(pixels), size, name) for pixels, size in zip(given, sizes, strict=True)]
    answers = call("base/resize.js", "resize", *asked)
    for pixels, size, resized in zip(given, sizes, answers, strict=True):
        expected = Image.fromarray(pixels).resize(size, Image.Resampling[name.upper()])
        assert np.array_equal(np.array(resized["pixels"], kind), np.ravel(expected)), size


def test_the_crop_the_frame_and_the_item_are_those_of_python():
    given = [
        Preprocessing(crop, size, resample=resample, keep_aspect=keep)
        for crop, size in ((90, 64), (87.5, 60), (100, 50))
        for resample in FILTERS
        for keep in (False, True)
    ]
    pictures = [RNG.integers(0, 256, shape, np.uint8) for shape in ((101, 77), (64, 193), (85, 85))]
    pairs = [(pixels, chosen) for pixels in pictures for chosen in given]
    names = ("crop", "size", "resample", "keep_aspect")
    plain = [{name: getattr(chosen, name) for name in names} for _, chosen in pairs]
    items = call(
        "source/crop.js", "itemPixels",
        *((picture(pixels), how) for (pixels, _), how in zip(pairs, plain, strict=True)),
    )  # fmt: skip
    frames = call(
        "source/crop.js", "frame",
        *((how, *pixels.shape[::-1]) for (pixels, _), how in zip(pairs, plain, strict=True)),
    )  # fmt: skip
    for (pixels, chosen), item, frame in zip(pairs, items, frames, strict=True):
        assert np.array_equal(item, item_pixels(pixels, chosen).ravel())
        assert tuple(frame) == chosen.frame(*pixels.shape[::-1])


def phantom() -> np.ndarray:
    return draw_phantom(998, 3, 0, size=300, findings={"Effusion": 0.8}).pixels


def pictures() -> dict[str, bytes]:
    """Files that both read, and what both refuse in the same words."""
    gray = phantom()
    deep = gray.astype(np.uint16) * 16 + RNG.integers(0, 16, gray.shape, np.uint16)
    hot = deep.copy()
    hot[9, 9] = 65535
    colour = np.stack([gray, gray // 2 + 20, 255 - gray], axis=2)
    exif = Image.Exif()
    exif[0x0112] = 6
    palette = Image.fromarray(colour).quantize(16)
    window = {"WindowCenter": 2000, "WindowWidth": 1500}
    rescaled = {"RescaleSlope": 0.5, "RescaleIntercept": -20}
    table = dataset(ramp(3), 2)
    table.LUTDescriptor, table.LUTData = [4, 0, 8], [0, 9, 200, 255]
    table["LUTData"].VR = "US"
    colours = {"SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "PlanarConfiguration": 0}
    files = {
        "phantom": encoded(gray),
        "turned in the file": encoded(gray[:280], exif=exif),
        "turned": encoded(np.rot90(gray).copy()),
        "upside down and inverted": encoded(255 - gray[::-1, ::-1]),
        "inverted 16": encoded(4095 - deep),
        "wide": encoded(gray[40:240]),
        "16 bits": encoded(deep),
        "a hot pixel": encoded(hot),
        "16 bits, larger than it is shown": encoded(np.kron(deep, np.ones((11, 4), np.uint16))),
        "8 bits, larger than it is shown": encoded(np.kron(gray, np.ones((4, 4), np.uint8))),
        "colours": encoded(colour),
        "opacity": encoded(np.dstack([gray, gray[::-1]])),
        "palette": encoded(palette),
        "clear palette": encoded(palette, transparency=bytes(range(0, 160, 10))),
        "interlaced": interlaced(gray),
        "interlaced 16": interlaced(deep),
        "noise": encoded(RNG.integers(0, 256, (80, 90), np.uint8)),
        "no range": encoded(np.full((90, 90), 7, np.uint8)),
        "DICOM": dicom(deep, 12),
        "DICOM, window": dicom(deep, 12, **window),
        "DICOM, sigmoid": dicom(deep, 12, VOILUTFunction="SIGMOID", **window),
        "DICOM, rescaled and inverted": dicom(
            deep, 12, PhotometricInterpretation="MONOCHROME1", **window, **rescaled
        ),
        "DICOM, signed": dicom((deep.astype(np.int32) - 2000).astype(np.int16), 12),
        "DICOM, padding": dicom(deep, 12, PixelPaddingValue=int(deep[0, 0])),
        "DICOM, 8 bits inverted": dicom(gray, 8, PhotometricInterpretation="MONOCHROME1"),
        "DICOM, table": written(dataset(deep >> 10, 2)),
        "DICOM, big-endian": dicom(deep, 12, uid.ExplicitVRBigEndian),
        "DICOM, implicit": dicom(deep, 12, uid.ImplicitVRLittleEndian, VOILUTSequence=[table]),
        "DICOM, gray in colours": dicom(np.dstack([gray] * 3), 8, **colours),
        "DICOM, colours": dicom(colour, 8, **colours),
        "DICOM, CT": dicom(deep, 12, Modality="CT"),
        "DICOM, frames": dicom(deep, 12, NumberOfFrames=2),
        "DICOM, burned in": dicom(deep, 12, BurnedInAnnotation="YES"),
        "DICOM, all padding": dicom(deep, 12, PixelPaddingValue=0, PixelPaddingRangeLimit=4095),
    }
    files |= {name: malformed.originals()[name] for name in ("PNG RGBA", "DICOM deflated")}
    files["DICOM deflated, padded"] = files["DICOM deflated"] + b"\0"
    files["177 million pixels"] = malformed.png(13_300, 13_300, 8, 0, b"\0")
    return files | malformed.strangers()


def interlaced(pixels: np.ndarray) -> bytes:
    """A PNG in Adam7's order."""
    steps = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4)]
    stored = pixels.astype(pixels.dtype.newbyteorder(">"))
    rows = [
        b"\0" + row.tobytes()
        for x, y, dx, dy in [*steps, (1, 0, 2, 2), (0, 1, 1, 2)]
        for row in stored[y::dy, x::dx]
    ]
    bits = 8 * pixels.itemsize
    file = malformed.png(*pixels.shape[::-1], bits, 0, b"".join(rows))
    head = malformed.chunk(b"IHDR", file[16:28] + b"\1")
    return file[:8] + head + file[33:]


def on_the_server(predictor: Predictor, data: bytes, corrected: int) -> dict:
    """The answer of Python, and the network's input as `seen`; see `Service.analyse`."""
    try:
        read = predictor.read(data, max_pixels=security.MAX_PIXELS)
    except ImageError as error:
        return {"problem": str(error), "seen": []}
    shape = read.radiograph.pixels.shape
    read = replace(read, radiograph=read.radiograph.reduced(MAX_SIDE))
    for _ in range(corrected):
        verdict = read.verdict
        read = predictor.read(read.radiograph.corrected(verdict.turns, verdict.inverted))
        shape = shape[::-1] if verdict.turns % 2 else shape
    picture = read.radiograph
    given = predictor.predict([read])[0]
    analysis = Analysis(given, read.verdict, picture.facts, shape, picture)
    answer = answer_of(analysis, predictor, anyway=True)
    return answer | {"seen": read.pixels.ravel().tolist()}


def shown(preview: dict) -> np.ndarray:
    """The pixels of a preview."""
    data = base64.b64decode(preview["data"])
    if preview["encoding"] == "png":
        return np.asarray(Image.open(BytesIO(data)))
    pixels = np.frombuffer(zlib.decompress(data), f"<u{preview['bits'] // 8}")
    return pixels.reshape(preview["height"], preview["width"])


# What comes from the network, or is new with each answer, or says which methods a server has.
OWN = {"id", "preview", "contributions", "cells", "logit", "probability", "first"}
OWN |= {"methods", "more_methods"}


def assert_same(answer: dict, expected: dict, name: str) -> None:
    assert answer.get("problem") == expected.get("problem"), name
    assert answer["seen"] == expected["seen"], name
    if "problem" in expected:
        return
    assert set(answer) == set(expected), name
    assert np.array_equal(shown(answer["preview"]), shown(expected["preview"])), name
    for key in set(expected) - OWN:
        assert answer[key] == json.loads(json.dumps(expected[key])), (name, key)


@pytest.mark.parametrize("corrected", [0, 1])
def test_a_picture_is_answered_or_refused_as_on_the_server(predictor, facts, tmp_path, corrected):
    asked, files = [], pictures()
    if corrected:
        files = {
            name: files[name] for name in ("turned", "upside down and inverted", "inverted 16")
        }
    for number, data in enumerate(files.values()):
        path = tmp_path / str(number)
        path.write_bytes(data)
        asked.append(json.dumps({"path": str(path), "corrected": corrected}))
    module = (ROOT / "demo" / "page" / "source" / "local_answer.js").as_uri()
    command = [node(), "--input-type=module", "-e", ANSWER, module, str(facts), *asked]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    kinds = set()
    for (name, data), line in zip(files.items(), done.stdout.splitlines(), strict=True):
        answer, expected = json.loads(line), on_the_server(predictor, data, corrected)
        assert_same(answer, expected, name)
        kinds.add(expected.get("gate", {}).get("kind"))
    assert len(kinds) == (1 if corrected else 6), kinds


PREPARE = """async () => {
  const { prepare } = await import('/page/source/local_analysis.js');
  let last = null;
  await prepare({ base: '/local/', onProgress: (done) => { last = done ?? last; } });
  return last;
}"""
ANALYSE = """async ([file, how]) => {
  const { analyse } = await import('/page/source/local_analysis.js');
  const { anyway, corrected, gone } = how;
  const signal = gone ? AbortSignal.abort() : undefined;
  const blob = await (await fetch(file)).blob();
  return analyse(blob, { anyway, corrected, signal })
    .catch(({ name, message }) => ({ name, message }));
}"""


@pytest.fixture(scope="module")
def local_page(browser, facts, exported, tmp_path_factory):
    """A page of ours with nothing behind it but files: `FOLDER/file` is what a test puts there."""
    runtime = ROOT / "node_modules" / "onnxruntime-web" / "dist"
    if not runtime.exists():
        pytest.skip("node_modules is not there: npm ci (`make test` runs it where it can)")
    folder = tmp_path_factory.mktemp("files")
    sent = [exported, runtime / "ort-wasm-simd-threaded.wasm"]
    about = json.loads(facts.read_text())
    facts.write_text(json.dumps(about | {"bytes": sum(path.stat().st_size for path in sent)}))
    places = {"/local/facts.json": facts, "/local/network.onnx": exported}

    def answer(route) -> None:
        path = unquote(urlsplit(route.request.url).path)
        if path == "/":
            route.fulfill(content_type="text/html", body="<!doctype html><title>Local</title>")
        elif path.startswith("/page/"):
            route.fulfill(path=ROOT / "demo" / path[1:])
        elif path.startswith("/files/"):
            route.fulfill(path=folder / path[7:])
        else:
            route.fulfill(path=places.get(path, runtime / path[7:]))

    context = browser.new_context()
    context.route(f"{ORIGIN}/**", answer)
    page = context.new_page()
    page.set_default_timeout(120_000)
    page.goto(ORIGIN)
    done = page.evaluate(PREPARE)
    assert done["loaded"] == done["total"]
    yield page, folder
    context.close()


def test_chromium_computes_what_the_server_computes(local_page, predictor):
    page, folder = local_page
    gray, exif = phantom(), Image.Exif()
    exif[0x0112] = 8
    colour = Image.fromarray(np.stack([gray, gray // 2 + 20, 255 - gray], axis=2))
    window = {"WindowCenter": 2000, "WindowWidth": 1500}
    files = {
        "PNG": encoded(gray),
        "16 bits": encoded(gray.astype(np.uint16) * 99),
        "DICOM": dicom(gray.astype(np.uint16) * 16, 12, **window),
        "JPEG": encoded(gray, "JPEG", quality=90),
        "JPEG, colours": encoded(colour, "JPEG", quality=90, icc_profile=profile()),
        "JPEG, turned in the file": encoded(gray[:260], "JPEG", exif=exif, progressive=True),
    }
    for name, data in files.items():
        (folder / name).write_bytes(data)
        expected = on_the_server(predictor, data, 0)
        answer = page.evaluate(ANALYSE, [f"/files/{name}", {"anyway": True, "corrected": 0}])
        assert answer["first"] == expected["first"], name
        for key in ("logit", "probability"):
            assert answer[key] == pytest.approx(expected[key], abs=1e-4), (name, key)
        maps = [
            np.frombuffer(base64.b64decode(result["contributions"]), "<f4")
            for result in (answer, expected)
        ]
        np.testing.assert_allclose(*maps, atol=1e-4, err_msg=name)
        same = {"seen": [], "cells": expected["cells"]}
        assert answer["cells"] == expected["cells"], name
        assert_same(answer | same, expected | same, name)


def profile() -> bytes:
    """A colour profile that a browser would go by."""
    return ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()


def test_chromium_waits_refuses_and_forgets_as_the_page_expects(local_page):
    page, folder = local_page
    (folder / "noise").write_bytes(encoded(RNG.integers(0, 256, (80, 90), np.uint8)))
    (folder / "cut.jpg").write_bytes(encoded(phantom(), "JPEG")[:-900])

    def asked(file: str, **how) -> dict:
        return page.evaluate(ANALYSE, [f"/files/{file}", how])

    assert not asked("noise")["gate"]["open"]
    assert "logit" not in asked("noise")
    assert asked("noise", gone=True)["name"] == "AbortError"
    assert "damaged, incomplete" in asked("cut.jpg")["message"]
    assert asked("noise", anyway=True)["gate"]["open"]
