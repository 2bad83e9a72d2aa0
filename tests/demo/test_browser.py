"""The page in a real browser: what a student does, and that nothing leaves the machine."""

import base64
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chexnet.labels import FINDINGS
from chexnet.phantom.draw import draw_phantom
from demo.examples import EXAMPLES, OPENING
from tests.demo.conftest import INPUT, ROW, STILL, on_both, serious_faults
from tests.malformed import encoded

CANVAS = """() => {
  const canvas = document.querySelector('#cx-viewer canvas');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let text = '';  // playwright takes seconds for an array of a million numbers
  for (let i = 0; i < data.length; i += 8192) {
    text += String.fromCharCode(...data.subarray(i, i + 8192));
  }
  return {width: canvas.width, height: canvas.height, pixels: btoa(text)};
}"""


@pytest.fixture(scope="module")
def phantom() -> np.ndarray:
    return draw_phantom(998, 20, 0, size=256, findings={"Mass": 0.9}).pixels


def drop(page, data: bytes, name: str) -> None:
    kind = "application/octet-stream"
    page.set_input_files(INPUT, {"name": name, "mimeType": kind, "buffer": data})


def drawn(page) -> np.ndarray:
    """What the canvas shows, uint8 (H, W, 3), once it is drawn."""
    page.evaluate("chexnet.page.settled()")
    canvas = page.evaluate(CANVAS)
    shape = (canvas["height"], canvas["width"], 4)
    return np.frombuffer(base64.b64decode(canvas["pixels"]), np.uint8).reshape(shape)[..., :3]


def dicom_of(pixels: np.ndarray) -> bytes:
    from pydicom.dataset import FileDataset, FileMetaDataset
    from pydicom.uid import DigitalXRayImageStorageForPresentation, ExplicitVRLittleEndian

    meta = FileMetaDataset()
    meta.MediaStorageSOPClassUID = DigitalXRayImageStorageForPresentation
    meta.MediaStorageSOPInstanceUID = "1.2.3"
    meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data = FileDataset(None, {}, file_meta=meta, preamble=b"\0" * 128)
    data.SOPClassUID, data.SOPInstanceUID = meta.MediaStorageSOPClassUID, "1.2.3"
    data.Modality, data.PatientName = "DX", "DOE_JANE"
    data.Rows, data.Columns = pixels.shape
    data.SamplesPerPixel, data.PixelRepresentation = 1, 0
    data.PhotometricInterpretation = "MONOCHROME2"
    data.BitsAllocated, data.BitsStored, data.HighBit = 16, 12, 11
    data.PixelData = (pixels.astype("<u2") * 16).tobytes()
    file = BytesIO()
    data.save_as(file, enforce_file_format=True)
    return file.getvalue()


@on_both
def test_a_png_becomes_rows_in_order_and_the_heatmap_of_python(visit, phantom, predictor):
    page = visit()
    drop(page, encoded(phantom), "a.png")
    page.wait_for_selector(ROW)
    read = predictor.read(encoded(phantom))
    [prediction] = predictor.predict([read])
    values = {n: p for n, p in prediction.probabilities.items() if n in FINDINGS}
    order = sorted(values, key=lambda name: -values[name])
    rows = [row.get_attribute("data-finding") for row in page.locator(ROW).all()]
    assert [name for name in rows if name in FINDINGS] == order
    assert "Other" not in rows
    assert page.get_attribute(f"[data-finding={order[0]}]", "aria-selected") == "true"
    expected = predictor.overlay(read.radiograph, prediction, order[0])
    assert np.abs(drawn(page).astype(int) - expected).max() <= 2
    logits = page.evaluate("chexnet.page.state.answer.logit")
    assert logits == pytest.approx(prediction.logits, abs=1e-4)


def test_the_page_does_everything_under_its_own_policy(browser, served, phantom):
    with browser.new_page() as page:
        said = []
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.goto(served.url)
        page.wait_for_selector(ROW)
        drop(page, encoded(phantom), "a.png")
        page.locator("[data-part=facts]", has_text="256 x 256").wait_for()
        for name, there in (
            ("Thresholds", ".cx-t-body"), ("Lessons", ".cx-l-strip img"),
            ("Read it yourself", "[data-do=begin]"), ("Model", ".cx-model"),
        ):  # fmt: skip
            page.get_by_role("tab", name=name, exact=True).click()
            page.wait_for_selector(there)
        page.get_by_role("tab", name="Radiograph").click()
        with page.expect_download():
            page.click("[data-save=html]")
        assert said == []


@on_both
def test_after_an_answer_nothing_that_a_visitor_does_to_a_picture_sends_a_request(visit, phantom):
    page = visit()
    drop(page, encoded(phantom), "a.png")
    page.wait_for_selector(ROW)
    page.wait_for_timeout(500)  # what belongs to the answer has come
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    for row in page.locator(ROW).all():
        row.click()
    for name, value in (("colours", "viridis"), ("scale", "stretched"), ("scale", "signed")):
        page.select_option(f"[data-set={name}]", value)
    page.select_option("[data-set=scale]", "absolute")
    for name in ("opacity", "level", "window"):
        page.locator(f"[data-set={name}]").fill("0.7")
    for tool in ("in", "out", "fit", "invert", "frame", "reset"):
        page.click(f"[data-tool={tool}]")
    page.hover("#cx-viewer canvas")
    page.mouse.wheel(0, -300)
    for view in ("compare", "plain", "heatmap"):
        page.check(f"[name=cx-view][value={view}]", force=True)
    drawn(page)
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []


@on_both
def test_the_page_opens_on_an_answered_example_which_is_marked_until_a_picture_comes(
    visit, phantom, predictor
):
    page = visit(empty=False)
    assert page.inner_text("[data-part=chip]").startswith("Drawn example · ")
    assert "Drawn example: Cardiomegaly" in page.inner_text("[data-part=facts]")
    [expected] = predictor.predict([predictor.read(OPENING.path)])
    shown = page.evaluate("chexnet.page.state.answer.probability")
    assert shown == pytest.approx(expected.probabilities, abs=1e-4)
    drop(page, encoded(phantom), "a.png")
    page.wait_for_function("!chexnet.page.state.answer.example")
    page.evaluate("chexnet.page.settled()")
    assert "example" not in page.inner_text(".cx-stage").lower()


def test_the_methods_that_are_missing_are_named_with_what_they_need(visit):
    page = visit(empty=False)
    options = page.locator("[data-set=method] option")
    assert [option.is_disabled() for option in options.all()] == [False, True]
    assert "need the weights file" in options.nth(1).inner_text()


OUTSIDE = """async () => {
  const outside = new Set();
  for (const row of document.querySelectorAll('#cx-findings [data-finding]')) {
    row.click();
    await chexnet.page.settled();
    for (const name of ['canvas', '[data-finding] *', '[data-set]', '[data-save]',
      '[data-part=unit]', '[data-term]', '.cx-stage button']) {
      for (const part of document.querySelectorAll(`#cx-viewer ${name}`)) {
        const {left, top, right, bottom} = part.getBoundingClientRect();
        if (left < 0 || top < 0 || right > innerWidth || bottom > innerHeight)
          outside.add(part.outerHTML);
      }
    }
  }
  return [...outside];
}"""
"""What of the page is not on the screen, whatever finding is chosen."""


def test_the_picture_and_all_findings_are_on_one_screen(visit, phantom):
    page = visit()
    for times in (1, 3):  # a square, and a picture of 3:1
        page.evaluate("chexnet.page.clear()")
        drop(page, encoded(np.repeat(phantom, times, axis=1)), "a.png")
        page.wait_for_function("chexnet.page.state.answer !== null")
        if page.is_visible("[data-act=anyway]"):
            page.click("[data-act=anyway]")
        page.wait_for_selector(ROW)
        for width, height in ((1280, 720), (1366, 768), (1920, 1080)):
            page.set_viewport_size({"width": width, "height": height})
            page.evaluate(STILL)
            assert page.evaluate(OUTSIDE) == [], (width, height)
            picture = page.locator("#cx-viewer canvas").bounding_box()
            assert picture["width"] / picture["height"] == pytest.approx(times, rel=0.01)
            assert page.locator("#cx-viewer .cx-stage").bounding_box()["height"] >= 0.6 * height


def test_a_dicom_is_shown_in_all_its_shades_and_its_patient_is_not(visit, phantom):
    page = visit()
    drop(page, dicom_of(phantom), "DOE_JANE.dcm")
    page.wait_for_selector(ROW)
    assert "DICOM" in page.locator("[data-part=facts]").inner_text()
    assert page.evaluate("chexnet.page.state.answer.preview.bits") == 16
    assert "DOE_" not in page.content()


@on_both
def test_a_photograph_is_named_and_the_visitor_may_go_on(visit):
    # Stripes and a disc in colour: no radiograph has ever looked like it.
    y, x = np.mgrid[:300, :300]
    pixels = np.stack([(x // 10 % 2) * 200, (y // 14 % 2) * 220, (x + y) % 256], axis=2)
    pixels[(x - 150) ** 2 + (y - 150) ** 2 < 3000] = (250, 220, 40)
    page = visit()
    drop(page, encoded(pixels.astype(np.uint8)), "holiday.png")
    page.wait_for_selector("[data-act=anyway]")
    assert page.locator(ROW).count() == 0
    answer = page.evaluate("Object.keys(chexnet.page.state.answer)")
    assert not {"probability", "logit", "contributions"} & set(answer)
    page.click("[data-act=anyway]")
    page.wait_for_selector(ROW)
    assert "Shown all the same" in page.locator(".cx-gate").inner_text()


def test_an_inverted_picture_is_set_right_with_one_click(visit):
    pixels = 255 - np.asarray(Image.open(EXAMPLES[0].path))
    page = visit()
    drop(page, encoded(pixels), "inverted.png")
    page.click("[data-act=correct]")
    page.wait_for_selector(ROW)
    assert not page.locator(".cx-gate").is_visible()


def test_a_file_that_is_no_picture_is_refused_in_words(visit):
    page = visit()
    drop(page, b"only text", "text.png")
    page.get_by_text("is not a PNG, JPEG, TIFF, WebP or DICOM").wait_for()
    assert "Traceback" not in page.content()


@on_both
def test_what_is_taken_home_holds_the_pictures_and_no_name_nor_does_the_browser(
    visit, phantom, tmp_path
):
    page = visit()
    drop(page, encoded(phantom), "DOE_JANE.png")
    page.wait_for_selector(ROW)
    files = {}
    for kind in ("png", "json", "html"):
        with page.expect_download() as download:
            page.click(f"[data-save={kind}]")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.suffix == f".{kind}"
        files[kind] = path.read_bytes()
        assert b"DOE_" not in files[kind]
    report = files["html"].decode()
    assert report.count("data:image/png;base64,") == 2
    assert "Not for diagnosis" in report
    assert "drawn phantoms" in report
    assert "http" not in report
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "DOE_" not in kept
    assert "image" not in kept


def test_two_visitors_side_by_side_never_mix(visit, phantom):
    pages = [visit(), visit()]
    pictures = [encoded(phantom), encoded(phantom[:, ::-1].copy())]
    for page, picture in zip(pages, pictures, strict=True):
        drop(page, picture, "a.png")
    for page, picture in zip(pages, pictures, strict=True):
        page.wait_for_selector(ROW)
        page.check("[name=cx-view][value=plain]", force=True)
        expected = np.asarray(Image.open(BytesIO(picture)))
        np.testing.assert_array_equal(drawn(page)[..., 0], expected)


def test_everything_is_done_with_the_keyboard_alone(visit):
    page = visit()
    page.locator("[data-example=mass]").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(ROW)
    page.locator("#cx-findings [aria-selected=true]").focus()
    second = page.locator(ROW).nth(1).get_attribute("data-finding")
    page.keyboard.press("ArrowDown")
    page.wait_for_function(
        "name => document.activeElement?.dataset?.finding === name"
        " && document.activeElement.getAttribute('aria-selected') === 'true'",
        arg=second,
    )


def test_axe_finds_no_serious_fault(visit):
    page = visit()
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    for tab in ("Radiograph", "Model"):
        page.get_by_role("tab", name=tab).click()
        page.evaluate("chexnet.page.settled()")
        assert serious_faults(page) == []


def test_the_examples_are_what_their_recipe_draws():
    for example in EXAMPLES[:2]:
        drawn = draw_phantom(998, example.patient, 0, size=512, findings=example.findings)
        np.testing.assert_array_equal(np.asarray(Image.open(example.path)), drawn.pixels)
    assert sum(Path(example.path).stat().st_size for example in EXAMPLES) < 10**6
