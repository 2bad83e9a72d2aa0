"""The viewer in Chromium: its pixels are numpy's, its figures add up, its screen holds it all."""

import base64
import json
from contextlib import ExitStack
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from chexnet.labels import FINDINGS
from chexnet.overlay import COLOURS, TOP, enlarge, overlay
from chexnet.phantom.draw import draw_phantom
from chexnet.transforms import Preprocessing
from tests.demo import harness
from tests.demo.harness import SIGNED, TABLES
from tests.demo.node import call

MINUS = "\N{MINUS SIGN}"
READ = """() => {
  const canvas = document.querySelector('#root canvas');
  const {data} = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height);
  let text = '';
  for (let i = 0; i < data.length; i += 8192)
    text += String.fromCharCode(...data.subarray(i, i + 8192));
  return [canvas.width, canvas.height, btoa(text)];
}"""


def phantom(number: int, size: int = 512, **findings: float) -> np.ndarray:
    return draw_phantom(998, number, 0, size=size, findings=findings).pixels


def wide() -> np.ndarray:
    """A picture of 3:1."""
    return np.asarray(Image.fromarray(phantom(3, Effusion=0.8)).resize((768, 256)))


def deep() -> np.ndarray:
    """16 bits, with more shades between two neighbours of 8 bits."""
    smooth = Image.fromarray(phantom(5, Mass=0.8).astype(np.float32))
    values = np.asarray(smooth.resize((300, 340), Image.Resampling.BICUBIC)).clip(0, 255)
    return (values * 257).round().astype(np.uint16)


@pytest.fixture
def visit(page_of):
    """Open the viewer's page; afterwards nothing may have been asked of any host."""
    asked, wrong = [], []
    with ExitStack() as pages:

        def opened(answer=None, *, size=(1366, 768), before="", **look):
            width, height = size
            page = pages.enter_context(page_of(viewport={"width": width, "height": height}, **look))
            harness.viewer(page, before=before)
            for event, handler in (
                ("request", lambda request: asked.append(request.url)),
                ("pageerror", lambda error: wrong.append(str(error))),
            ):
                page.on(event, handler)
                pages.callback(page.remove_listener, event, handler)
            if answer:
                show(page, answer)
            return page

        yield opened
    assert [url for url in asked if not url.startswith("blob:")] == []
    assert wrong == []


def show(page, answer) -> None:
    page.evaluate("async answer => { await viewer.show(answer); }", answer)


def settings(page, **changes) -> None:
    page.evaluate("async changes => { viewer.set(changes); await viewer.settled(); }", changes)


def choose(page, name) -> None:
    page.evaluate("async name => { viewer.choose(name); await viewer.settled(); }", name)


def pixels_of(page) -> np.ndarray:
    """What stands on the canvas, int (H, W, 3)."""
    width, height, data = page.evaluate(READ)
    values = np.frombuffer(base64.b64decode(data), np.uint8).reshape(height, width, 4)
    assert (values[..., 3] == 255).all()
    return values[..., :3].astype(int)


def distance(page, expected: np.ndarray) -> int:
    return int(np.abs(pixels_of(page) - expected.astype(int)).max())


def windowed(pixels: np.ndarray, level: float, window: float, invert: bool = False) -> np.ndarray:
    top = np.iinfo(pixels.dtype).max
    share = np.clip((np.arange(top + 1) / top - level) / window + 0.5, 0, 1)
    share = 1 - share if invert else share
    return (share * 255).round().astype(np.uint8)[pixels]


def signed_overlay(
    gray: np.ndarray, cells: np.ndarray, box: list[int], opacity: float
) -> np.ndarray:
    """The two-sided map, written down a second time: blue against, yellow for, 0 unchanged."""
    left, top, right, bottom = box
    strength = np.zeros(gray.shape)
    enlarged = enlarge(cells * cells.size, (bottom - top, right - left))
    strength[top:bottom, left:right] = np.clip(enlarged / np.float32(TOP), -1, 1)
    steps = np.trunc(strength.astype(np.float32) * np.float32(255)).astype(int)
    colour = np.array(TABLES["two_sided"][SIGNED], float)[(steps + 256) // 2]
    share = np.abs(steps) / 255
    share = (opacity * share * (2 - share))[..., None]
    return gray[..., None] * (1 - share) + colour * share


def heat_of(cells: np.ndarray) -> np.ndarray:
    return np.clip(cells, 0, None) * cells.size


@pytest.mark.parametrize("picture", ["square", "upright", "3:1"])
def test_the_canvas_is_the_overlay_of_python_in_every_colour_map_and_scale(visit, picture):
    pixels, crop = {
        "square": lambda: (phantom(1), 90),
        "upright": lambda: (phantom(2, 700, Cardiomegaly=0.9)[:, :501], 81),
        "3:1": lambda: (wide(), 100),
    }[picture]()
    answer = harness.answer(pixels, seed=crop, crop=crop)
    page = visit(answer)
    maps, means = harness.maps_of(answer), harness.maps_of(answer, "mean_contributions")
    for number, colours in enumerate(COLOURS if picture == "square" else COLOURS[:1]):
        name, opacity = FINDINGS[number], 0.3 + 0.2 * number
        heat = heat_of(maps[name])
        choose(page, name)
        settings(page, colours=colours, opacity=opacity, scale="absolute")
        assert (
            distance(
                page, overlay(pixels, heat, Preprocessing(crop), opacity=opacity, colours=colours)
            )
            <= 2
        )
        settings(page, scale="stretched")
        top = float(heat.max())
        stretched = overlay(
            pixels, heat, Preprocessing(crop), opacity=opacity, colours=colours, top=top
        )
        assert distance(page, stretched) <= 2
        box = answer["crop"]["box"]
        settings(page, scale="signed")
        assert distance(page, signed_overlay(pixels, maps[name], box, opacity)) <= 2
        settings(page, scale="signed-mean")
        apart = maps[name] - means[name]
        assert distance(page, signed_overlay(pixels, apart, box, opacity)) <= 2


def test_the_colours_are_matplotlibs():
    from matplotlib import colormaps

    for name, table in (TABLES["one_sided"] | TABLES["two_sided"]).items():
        expected = colormaps[name](np.linspace(0, 1, 256))[:, :3] * 255
        assert np.abs(np.array(table) - expected).max() <= 0.5 + 1e-6
    assert tuple(TABLES["one_sided"]) == COLOURS


@pytest.mark.parametrize("cells", [(7, 9), (16, 16), (1, 2)])
def test_heatmaps_of_other_sizes_are_enlarged_as_in_python(cells):
    heat = np.random.default_rng(1).normal(0, 3, cells).astype(np.float32)
    h, w = cells
    given = {"values": {"floats": heat.ravel().tolist()}, "h": h, "w": w}
    [enlarged] = call("viewer/drawing.js", "enlarge", (given, 61, 83))
    expected = enlarge(heat, (61, 83))
    np.testing.assert_allclose(np.reshape(enlarged, (61, 83)), expected, atol=1e-5)


def test_16_bits_are_windowed_as_in_numpy(visit):
    pixels = deep()
    page = visit(harness.answer(pixels))
    settings(page, view="plain")
    assert distance(page, windowed(pixels, 0.5, 1)[..., None]) == 0
    for level, window, invert in [(0.4, 0.1, False), (0.61, 0.03, True), (0.2, 0.5, False)]:
        settings(page, level=level, window=window, invert=invert)
        shown = pixels_of(page)
        assert (
            np.abs(shown - windowed(pixels, level, window, invert)[..., None].astype(int)).max()
            == 0
        )
    settings(page, level=0.4, window=0.1, invert=False)
    eight = windowed((pixels >> 8).astype(np.uint8), 0.4, 0.1)
    assert len(np.unique(pixels_of(page))) > 3 * len(np.unique(eight))


def test_evidence_adds_up_after_rounding_for_random_numbers():
    rng = np.random.default_rng(4)
    for spread in (0.0002, 0.003, 0.1, 2):
        cells = rng.normal(0, spread, (300, 64)).astype(np.float32)
        cells[:40] = -np.abs(cells[:40])
        bias = rng.normal(0, spread, 300)
        logit = cells.astype(float).sum(1) + bias
        values = [{"floats": row} for row in cells.tolist()]
        asked = zip(values, bias.tolist(), logit.tolist(), strict=True)
        sums = call("viewer/evidence.js", "evidence", *asked)
        for i, evidence in enumerate(sums):
            shown = evidence["shown"]
            assert shown["bias"] + shown["for"] - shown["against"] == shown["logit"]
            assert evidence["bias"] + evidence["speaksFor"] - evidence["against"] == pytest.approx(
                logit[i], abs=1e-4
            )
            assert shown["logit"] == pytest.approx(100 * logit[i], abs=0.51)
            assert shown["for"] == pytest.approx(100 * evidence["speaksFor"], abs=1.01)
            assert shown["against"] == pytest.approx(100 * evidence["against"], abs=1.01)
            assert shown["for"] >= 0
            assert shown["against"] >= 0
            assert evidence["none"] == (i < 40)
            assert not evidence["none"] or shown["for"] == 0


def test_the_line_says_why_a_finding_has_its_score(visit):
    answer = harness.answer(phantom(1))
    page = visit(answer)
    maps = harness.maps_of(answer)
    for name in ("Effusion", "No Finding", answer["first"]):
        choose(page, name)
        terms = {
            kind: float(page.inner_text(f"[data-term={kind}]").replace(MINUS, "-"))
            for kind in ("bias", "for", "against", "logit")
        }
        assert terms["bias"] + terms["for"] - terms["against"] == pytest.approx(terms["logit"])
        assert terms["bias"] == pytest.approx(answer["bias"][name], abs=0.0101)
        assert terms["for"] == pytest.approx(maps[name].clip(0).sum(), abs=0.0101)
        assert terms["logit"] == pytest.approx(answer["logit"][name], abs=0.0051)
        shown = page.inner_text("[data-term=probability]")
        assert shown == f"{100 * answer['probability'][name]:.0f} %"
        boxes = {
            kind: page.locator(f"[data-part={kind}]").bounding_box() for kind in ("for", "against")
        }
        assert "logits" in page.get_attribute(".cx-term-for", "title")
        if terms["for"] > 0.1 and terms["against"] > 0.1:
            ratio = boxes["for"]["width"] / boxes["against"]["width"]
            assert ratio == pytest.approx(terms["for"] / terms["against"], rel=0.1)


def test_an_empty_map_is_told_in_this_pictures_numbers(visit):
    answer = harness.answer(phantom(1))
    answer["threshold"]["Hernia"] = answer["probability"]["Hernia"] / 2
    page = visit(answer)
    choose(page, "Hernia")
    against = page.inner_text("[data-term=against]")
    value = f"{100 * answer['probability']['Hernia']:.0f} %"
    limit = f"{100 * answer['threshold']['Hernia']:.1f} %"
    text = page.inner_text(".cx-empty-map")
    assert text == (
        f"No cell speaks for Hernia; together they speak against it by {against}; what remains is "
        f"{value}, still above this finding's threshold of {limit}."
    )
    choose(page, "Effusion")
    assert page.locator(".cx-empty-map").count() == 0


def test_arrows_home_and_end_walk_through_the_list(visit):
    answer = harness.answer(phantom(1))
    page = visit(answer)
    order = [*sorted(FINDINGS, key=lambda name: -answer["probability"][name]), "No Finding"]
    page.keyboard.press("Tab")
    page.locator("[role=option][tabindex='0']").focus()
    assert page.locator("[role=option][tabindex='0']").count() == 1
    for key, place in [("ArrowDown", 1), ("ArrowDown", 2), ("ArrowUp", 1), ("End", 14),
                       ("ArrowDown", 14), ("Home", 0), ("ArrowUp", 0)]:  # fmt: skip
        page.keyboard.press(key)
        state = "[document.activeElement.dataset.finding, viewer.state.finding]"
        assert page.evaluate(state) == [order[place]] * 2
        assert page.locator("[aria-selected=true]").get_attribute("data-finding") == order[place]
        assert page.inner_text("[data-part=details] h3 span") == order[place].replace("_", " ")


def test_space_held_on_the_canvas_hides_the_heat(visit):
    pixels = phantom(1)
    page = visit(harness.answer(pixels))
    settings(page, opacity=1)
    assert distance(page, pixels[..., None]) > 50
    page.focus("#root canvas")
    page.keyboard.down(" ")
    page.evaluate("viewer.settled()")
    assert distance(page, pixels[..., None]) == 0
    page.keyboard.up(" ")
    page.evaluate("viewer.settled()")
    assert distance(page, pixels[..., None]) > 50


def test_the_compare_line_has_the_radiograph_on_its_left(visit):
    pixels = phantom(1)
    page = visit(harness.answer(pixels))
    settings(page, opacity=1, scale="stretched")
    heat = pixels_of(page)
    settings(page, view="compare")
    box = page.locator(".cx-handle").bounding_box()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 50)
    page.mouse.down()
    canvas = page.locator("#root canvas").bounding_box()
    page.mouse.move(canvas["x"] + canvas["width"] / 4, box["y"] + 60)
    page.mouse.up()
    page.evaluate("viewer.settled()")
    shown, at = pixels_of(page), pixels.shape[1] // 4
    np.testing.assert_array_equal(shown[:, : at - 2], np.repeat(pixels[:, : at - 2, None], 3, 2))
    np.testing.assert_array_equal(shown[:, at + 2 :], heat[:, at + 2 :])
    page.focus(".cx-handle")
    page.keyboard.press("End")
    page.evaluate("viewer.settled()")
    assert distance(page, pixels[..., None]) == 0


def test_the_wheel_magnifies_where_it_points_and_a_drag_moves(visit):
    page = visit(harness.answer(phantom(1)))
    before = page.locator("#root canvas").bounding_box()
    x, y = before["x"] + 0.3 * before["width"], before["y"] + 0.7 * before["height"]
    page.mouse.move(x, y)
    page.mouse.wheel(0, -600)
    page.wait_for_function("viewer.stage.view.zoom > 2")
    after = page.locator("#root canvas").bounding_box()
    assert after["width"] / before["width"] == pytest.approx(np.exp(1.2), rel=0.01)
    assert (x - after["x"]) / after["width"] == pytest.approx(0.3, abs=0.01)
    assert (y - after["y"]) / after["height"] == pytest.approx(0.7, abs=0.01)
    page.mouse.down()
    page.mouse.move(x + 40, y - 30)
    page.mouse.up()
    moved = page.locator("#root canvas").bounding_box()
    assert moved["y"] == pytest.approx(after["y"] - 30, abs=1)
    page.focus("#root canvas")
    page.keyboard.press("0")
    assert page.locator("#root canvas").bounding_box() == before


def test_another_method_asks_once_and_is_drawn_when_its_map_comes(visit):
    pixels = phantom(1)
    answer = harness.answer(pixels)
    page = visit(answer)
    choose(page, "Mass")
    page.select_option("[data-set=method]", "EigenCAM")
    page.evaluate("viewer.settled()")
    assert page.evaluate("asked") == [["method", "Mass", "EigenCAM", "a"]]
    assert distance(page, pixels[..., None]) == 0
    heat = np.random.default_rng(2).random((8, 8), dtype=np.float32)
    given = {"cells": [8, 8], "data": harness.base64_of(heat), "id": "of the picture before"}
    page.evaluate("async map => { viewer.setMap('Mass', 'EigenCAM', map); }", given)
    page.evaluate("viewer.settled()")
    assert distance(page, pixels[..., None]) == 0
    given["id"] = answer["id"]
    page.evaluate(
        "async map => { viewer.setMap('Mass', 'EigenCAM', map); await viewer.settled(); }", given
    )
    assert distance(page, overlay(pixels, heat, Preprocessing(), top=1)) <= 2
    assert "no unit" in page.inner_text("[data-part=unit]")
    choose(page, "Nodule")
    assert page.evaluate("asked.length") == 2
    page.evaluate("viewer.showMethodError('This result has expired. Upload the picture again.')")
    page.get_by_text("This result has expired").wait_for()
    page.evaluate("viewer.settled()")
    expected = overlay(pixels, heat_of(harness.maps_of(answer)["Nodule"]), Preprocessing())
    assert distance(page, expected) <= 2
    assert page.input_value("[data-set=method]") == "Grad-CAM"


def test_nothing_of_a_result_is_shown_or_given_while_the_gate_objects(visit):
    gate = {"fine": False, "open": False, "kind": "lateral", "message": "A side view."}
    page = visit(harness.answer(phantom(1), gate=gate | {"correctable": True}))
    assert page.get_by_text("A side view.").is_visible()
    assert page.locator("[data-finding]").count() == 0
    assert page.inner_text("[data-part=details]") == ""
    for selector in (
        "[data-save]",
        "[data-set]",
        "[data-part=chip]",
        "[data-part=trust]",
        ".cx-seen",
    ):
        assert not page.locator(f"#root {selector}").first.is_visible(), selector
    downloads = []
    page.on("download", lambda download: downloads.append(download))
    page.evaluate("document.querySelectorAll('[data-save]').forEach((one) => one.click())")
    page.click("[data-act=correct]")
    page.click("[data-act=anyway]")
    assert page.evaluate("asked") == [["gate", "correct"], ["gate", "anyway"]]
    assert downloads == []
    show(page, harness.answer(phantom(1), gate=gate | {"open": True}))
    assert page.get_by_text("Shown all the same.").is_visible()
    assert not page.locator("[data-act=anyway]").is_visible()
    assert page.locator("[data-finding]").count() == 15
    page.evaluate("viewer.clear()")
    assert page.locator("[data-finding]").count() == 0
    assert not page.locator("[data-save=html]").is_visible()
    assert not page.locator("#root canvas").is_visible()


def test_a_browser_without_a_canvas_shows_picture_list_and_figures(visit):
    page = visit(
        harness.answer(phantom(1)), before="HTMLCanvasElement.prototype.getContext = () => null;"
    )
    assert page.get_by_text("cannot draw the heatmap").is_visible()
    assert page.locator("#root .cx-layer img").is_visible()
    page.click("[data-finding=Effusion]")
    assert page.inner_text("[data-part=details] h3 span") == "Effusion"
    with page.expect_download() as download:
        page.click("[data-save=html]")
    assert "Effusion" in download.value.path().read_text()


def test_the_files_hold_what_is_on_the_screen(visit):
    pixels = phantom(1)
    answer = harness.answer(pixels)
    page = visit(answer)
    choose(page, "Effusion")
    settings(page, colours="viridis", scale="stretched", opacity=0.8)
    files = {}
    for kind in ("png", "json", "html"):
        with page.expect_download() as download:
            page.click(f"[data-save={kind}]")
        files[download.value.suggested_filename] = download.value.path().read_bytes()
    assert set(files) == {"chexnet_Effusion.png", "chexnet.json", "chexnet_report.html"}
    picture = np.asarray(Image.open(BytesIO(files["chexnet_Effusion.png"])).convert("RGB"))
    height, width = pixels.shape
    assert picture.shape[1] == width
    assert height < picture.shape[0] < height + 150
    np.testing.assert_array_equal(picture[:height], pixels_of(page))
    figures = json.loads(files["chexnet.json"])
    assert figures["probabilities"] == answer["probability"]
    assert figures["thresholds"]["Nodule"] is None
    assert figures["notice"] == answer["notice"]
    assert figures["shown"]["colours"] == "viridis"
    sums = figures["evidence"]["Effusion"]
    assert sums["bias"] + sums["for"] - sums["against"] == pytest.approx(sums["logit"], abs=1e-4)
    report = files["chexnet_report.html"].decode()
    assert report.count("data:image/png;base64,") == 2
    assert answer["notice"] in report
    assert "a teaching aid" in report
    assert "means nothing for a patient" not in report
    assert "http" not in report


def test_a_magnified_picture_is_saved_as_it_is_seen(visit):
    page = visit(harness.answer(phantom(1)))
    page.evaluate("viewer.stage.zoomBy(4)")
    shot = page.evaluate("viewer.stage.visible()")
    with page.expect_download() as download:
        page.click("[data-save=png]")
    picture = np.asarray(Image.open(download.value.path()).convert("RGB"))
    left, top = round(shot["x"]), round(shot["y"])
    wide_, high = round(shot["width"]), round(shot["height"])
    assert wide_ < 512
    expected = pixels_of(page)[top : top + high, left : left + wide_]
    np.testing.assert_array_equal(picture[:high], expected)


def test_text_from_an_answer_is_never_read_as_html(visit):
    evil = "<img src=x onerror='document.title=1'>"
    gate = {"fine": False, "message": evil}
    answer = harness.answer(phantom(1), gate=gate, facts=evil, notice=evil, weights=evil)
    answer["notes"]["Mass"] = answer["trust"]["Mass"] = answer["titles"]["Mass"] = evil
    page = visit(answer)
    choose(page, "Mass")
    with page.expect_download() as download:
        page.click("[data-save=html]")
    assert "<img src=x" not in download.value.path().read_text()
    assert page.locator("#root img[src=x]").count() == 0


def test_drawing_another_finding_takes_a_few_milliseconds(visit):
    """A bound for a busy machine."""
    page = visit(harness.answer(phantom(1, 768)))
    times = page.evaluate(
        """async () => {
          const times = [];
          for (const one of document.querySelectorAll('[data-finding]')) {
            viewer.choose(one.dataset.finding);
            await viewer.settled();
            times.push(chexnet.timings.draw);
          }
          return times;
        }"""
    )
    assert np.median(times) < 30


def test_two_fingers_magnify_the_picture(visit):
    page = visit(harness.answer(phantom(1)), size=(390, 844), is_mobile=True, has_touch=True)
    box = page.locator("#root canvas").bounding_box()
    x, y = box["x"] + box["width"] / 2, box["y"] + box["height"] / 2
    touch = page.context.new_cdp_session(page)
    for kind, apart in [("touchStart", 30), ("touchMove", 50), ("touchMove", 90)]:
        points = [{"x": x - apart, "y": y, "id": 0}, {"x": x + apart, "y": y, "id": 1}]
        touch.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})
    touch.send("Input.dispatchTouchEvent", {"type": "touchEnd", "touchPoints": []})
    page.wait_for_function("viewer.stage.view.zoom > 1.5")
    assert page.evaluate("viewer.stage.view.zoom") == pytest.approx(3, rel=0.1)
    after = page.locator("#root canvas").bounding_box()
    assert after["y"] + after["height"] / 2 == pytest.approx(y, abs=2)


def test_a_network_that_nobody_calibrated_gives_scores_and_draws_the_square_it_saw(visit):
    pixels = phantom(2)[60:400]
    height, width = pixels.shape
    preprocessing = Preprocessing(100, 224, keep_aspect=True)
    answer = harness.answer(
        pixels,
        crop=100,
        calibrated=False,
        calibration={},
        thresholds_of="publisher",
    )
    answer["crop"]["box"] = list(preprocessing.frame(width, height))
    name = answer["first"]
    answer["threshold"][name] = 0.0004403434
    page = visit(answer)
    choose(page, name)
    shown = page.inner_text("[data-term=probability]")
    assert float(shown) == pytest.approx(answer["probability"][name], abs=0.0051)
    line = page.inner_text(".cx-evidence").split()
    assert (line[-6], line[-5]) == ("=", "logit")
    assert line[-3:] == ["→", "score", shown]
    details = page.inner_text("[data-part=details]")
    assert "above its publisher's threshold of 0.00044" in details
    assert "probability" not in details
    frame, picture = (
        page.locator(f"#root {part}").bounding_box() for part in (".cx-seen", "canvas")
    )
    assert frame["width"] / picture["width"] == pytest.approx(height / width, abs=0.01)
    assert frame["height"] / picture["height"] == pytest.approx(1, abs=0.01)
    heat = heat_of(harness.maps_of(answer)[name])
    assert distance(page, overlay(pixels, heat, preprocessing)) <= 2
    with page.expect_download() as download:
        page.click("[data-save=html]")
    report = download.value.path().read_text()
    assert "Scores, not probabilities" in report
    assert "Publisher's threshold" in report
    assert "Probability" not in report
