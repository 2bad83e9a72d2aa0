"""The page in a real browser: what a student does, and that nothing leaves the machine."""

from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS
from chexnet.phantom.draw import draw_phantom
from demo.examples import EXAMPLES
from tests.conftest import answers
from tests.demo.conftest import INPUT
from tests.malformed import encoded

PICTURE = ".cx-frame img"


@pytest.fixture(scope="module")
def phantom() -> np.ndarray:
    return draw_phantom(998, 20, 0, size=256, findings={"Mass": 0.9}).pixels


def drop(page, data: bytes, name: str) -> None:
    kind = "application/octet-stream"
    page.set_input_files(INPUT, {"name": name, "mimeType": kind, "buffer": data})


def shown(page) -> str:
    return page.get_attribute(PICTURE, "src")


def changed(page, before: str) -> None:
    """Wait until another picture is shown."""
    page.wait_for_function(
        "old => document.querySelector('.cx-frame img')?.src !== old", arg=before
    )


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


def test_a_png_becomes_bars_in_order_and_a_heatmap(visit, phantom, trained):
    page = visit()
    drop(page, encoded(phantom), "a.png")
    page.wait_for_selector(".cx-bar")
    predictor = Predictor(trained / "best_chexnet_params.pth", "cpu", engine="torch")
    [prediction] = answers(predictor, [encoded(phantom)])
    values = {n: p for n, p in prediction.probabilities.items() if n in FINDINGS}
    order = sorted(values, key=lambda name: -values[name])
    bars = page.locator(".cx-bar")
    assert [bar.get_attribute("data-finding") for bar in bars.all()] == order
    assert page.locator(".cx-bar .cx-mark").count() == sum(
        predictor.thresholds[name] is not None for name in order
    )
    assert page.locator(".cx-none").inner_text().startswith("No Finding")
    assert "Other" not in page.locator(".cx-bars").inner_text()
    assert page.get_attribute(PICTURE, "alt")
    assert page.get_attribute(f"[data-finding={order[0]}]", "aria-pressed") == "true"


def test_another_finding_and_another_method_show_another_picture(visit, phantom):
    page = visit()
    drop(page, encoded(phantom), "a.png")
    page.wait_for_selector(".cx-bar")
    pictures = [shown(page)]
    last = page.locator(".cx-bar").last
    name = last.get_attribute("data-finding")
    last.click()
    page.wait_for_selector(f"[data-finding={name}][aria-pressed=true]")
    page.wait_for_function(
        "name => document.querySelector('.cx-frame img').alt.includes(name)"
        " || document.querySelector('figcaption').innerText.includes(name)",
        arg=name.replace("_", " "),
    )
    page.get_by_text("How it is shown").click()
    pictures.append(shown(page))
    page.get_by_label("Heatmap method").click()
    page.get_by_role("option", name="Grad-CAM++").click()
    page.wait_for_function("document.querySelector('figcaption').innerText.includes('Grad-CAM++')")
    pictures.append(shown(page))
    page.get_by_label("Invert (bones dark)").check()
    changed(page, pictures[-1])
    pictures.append(shown(page))
    assert len(set(pictures[1:])) == 3


def test_a_dicom_is_shown_as_our_own_png_and_its_patient_is_not(visit, phantom):
    page = visit()
    drop(page, dicom_of(phantom), "DOE_JANE.dcm")
    page.wait_for_selector(".cx-bar")
    assert "DICOM" in page.locator("figcaption").inner_text()
    assert shown(page).startswith("data:image/png")
    assert "DOE_" not in page.content()


def test_a_photograph_is_named_and_the_visitor_may_go_on(visit):
    # Stripes and a disc in colour: no radiograph has ever looked like it.
    y, x = np.mgrid[:300, :300]
    pixels = np.stack([(x // 10 % 2) * 200, (y // 14 % 2) * 220, (x + y) % 256], axis=2)
    pixels[(x - 150) ** 2 + (y - 150) ** 2 < 3000] = (250, 220, 40)
    page = visit()
    drop(page, encoded(pixels.astype(np.uint8)), "holiday.png")
    page.wait_for_selector("[data-act=anyway]")
    assert page.locator(".cx-bar").count() == 0
    page.click("[data-act=anyway]")
    page.wait_for_selector(".cx-bar")
    assert "PageState all the same" in page.locator(".cx-gate").inner_text()


def test_an_inverted_picture_is_set_right_with_one_click(visit):
    pixels = 255 - np.asarray(Image.open(EXAMPLES[0].path))
    page = visit()
    drop(page, encoded(pixels), "inverted.png")
    page.click("[data-act=correct]")
    page.wait_for_selector(".cx-bar")
    assert page.locator(".cx-gate").count() == 0


def test_a_file_that_is_no_picture_is_refused_in_words(visit):
    page = visit()
    drop(page, b"only text", "text.png")
    page.get_by_text("is not a PNG, JPEG, TIFF, WebP or DICOM").wait_for()
    assert "Traceback" not in page.content()


def test_the_report_holds_the_pictures_and_no_name(visit, phantom, tmp_path):
    page = visit()
    drop(page, encoded(phantom), "DOE_JANE.png")
    page.wait_for_selector(".cx-bar")
    kinds = {"report": ".html", "overlay": ".png", "json": ".json"}
    for kind, ending in kinds.items():
        with page.expect_download() as download:
            page.click(f"[data-kind={kind}]")
        path = tmp_path / download.value.suggested_filename
        download.value.save_as(path)
        assert path.suffix == ending
        assert b"DOE_" not in path.read_bytes()
    report = (tmp_path / "chexnet_report.html").read_text()
    assert report.count("data:image/png;base64,") == 2
    assert "Not for diagnosis" in report
    assert "drawn phantoms" in report
    assert "http" not in report


def test_two_visitors_side_by_side_never_mix(visit, phantom):
    pages = [visit(), visit()]
    pictures = [encoded(phantom), encoded(phantom[:, ::-1].copy())]
    for page, picture in zip(pages, pictures, strict=True):
        drop(page, picture, "a.png")
    for page in pages:
        page.wait_for_selector(".cx-bar")
        page.get_by_label("Radiograph", exact=True).check()
        page.wait_for_function(
            "document.querySelector('.cx-frame img').alt.startsWith('The radiograph as')"
        )
    for page, picture in zip(pages, pictures, strict=True):
        found = page.evaluate(
            "async () => [...new Uint8Array(await (await fetch("
            "document.querySelector('.cx-frame img').src)).arrayBuffer())]"
        )
        mine = np.asarray(Image.open(BytesIO(bytes(found))))
        np.testing.assert_array_equal(mine, np.asarray(Image.open(BytesIO(picture))))


def test_everything_is_done_with_the_keyboard_alone(visit):
    page = visit()
    page.locator("[data-example=mass]").focus()
    page.keyboard.press("Enter")
    page.wait_for_selector(".cx-bar")
    page.locator(".cx-bar").nth(2).focus()
    name = page.locator(".cx-bar").nth(2).get_attribute("data-finding")
    page.keyboard.press("Enter")
    page.wait_for_function(
        "name => document.activeElement?.dataset?.finding === name"
        " && document.activeElement.getAttribute('aria-pressed') === 'true'",
        arg=name,
    )


def test_a_pasted_picture_is_read(visit, phantom):
    page = visit()
    page.evaluate(
        """bytes => {
          const given = new DataTransfer();
          given.items.add(new File([new Uint8Array(bytes)], 'a.png', {type: 'image/png'}));
          document.dispatchEvent(new ClipboardEvent('paste', {clipboardData: given}));
        }""",
        list(encoded(phantom)),
    )
    page.wait_for_selector(".cx-bar")


def test_a_slider_compares_the_radiograph_with_its_heatmap(visit):
    page = visit()
    page.click("[data-example=effusion]")
    page.wait_for_selector(".cx-bar")
    page.get_by_label("Compare").check()
    page.wait_for_selector("#cx-pair img")
    assert all(
        image.get_attribute("src").startswith("data:image/png")
        for image in page.locator("#cx-pair img").all()
    )


def test_a_page_without_a_result_offers_nothing_to_take_home(visit):
    page = visit()
    assert not page.get_by_text("Take the result home").is_visible()
    page.click("[data-example=effusion]")
    page.get_by_text("Take the result home").wait_for()


def test_what_the_browser_keeps_holds_nothing_of_the_picture(visit, phantom):
    page = visit()
    drop(page, encoded(phantom), "DOE_JANE.png")
    page.wait_for_selector(".cx-bar")
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "DOE_" not in kept
    assert "image" not in kept


def test_the_examples_are_what_their_recipe_draws(tmp_path):
    for example in EXAMPLES[:2]:
        drawn = draw_phantom(998, example.patient, 0, size=512, findings=example.findings)
        np.testing.assert_array_equal(np.asarray(Image.open(example.path)), drawn.pixels)
    assert sum(Path(example.path).stat().st_size for example in EXAMPLES) < 10**6
