"""What is chosen is shown: refused uploads, quick and late choices, prints, low windows."""

import re

import numpy as np
import pytest
from gradio_client import Client, handle_file

from chexnet.phantom.draw import draw_phantom
from demo import security
from tests.demo.conftest import INPUT, ROW, png
from tests.malformed import encoded

ANALYSE = "**/api/analyse*"
CHIP = "document.querySelector('[data-part=chip]').textContent"
GIVE = """([bytes, kind, place]) => {
  const given = new DataTransfer();
  given.items.add(new File([new Uint8Array(bytes)], 'a.png', {type: 'image/png'})); // or so many
  const event = kind === 'paste' ? new ClipboardEvent(kind, {clipboardData: given, bubbles: true})
    : new DragEvent(kind, {dataTransfer: given, bubbles: true, cancelable: true});
  document.querySelector(place).dispatchEvent(event);
}"""


@pytest.fixture(scope="module")
def phantom() -> bytes:
    return encoded(draw_phantom(998, 20, 0, size=128, findings={"Mass": 0.9}).pixels)


def browse(page, data: bytes) -> None:
    page.set_input_files(INPUT, {"name": "a.png", "mimeType": "image/png", "buffer": data})


def held_back(page, address: str):
    """Keep the page's requests to `address`; the function that is returned lets them go.

    That returns when each was answered and the page has had time to show what it should not.
    """
    routes = []
    page.route(address, lambda route: routes.append(route))

    def let_go() -> None:
        assert routes
        for route in routes:
            route.continue_()
            if response := route.request.response():  # else the page has called it off
                response.finished()
        page.wait_for_timeout(300)

    return let_go


REFUSALS = {
    "no picture": (b"only text", "is not a PNG, JPEG"),
    "cut off": (encoded(draw_phantom(998, 20, 0, size=128).pixels)[:900], ""),
    "empty": (b"", ""),
    "too large": (security.MAX_UPLOAD + 1, "At most 25 MB can be read"),
}


@pytest.mark.parametrize("kind", REFUSALS)
def test_a_refused_upload_is_explained_until_the_next_which_works_at_once(visit, phantom, kind):
    data, says = REFUSALS[kind]
    page = visit()
    ways = (
        lambda given: browse(page, given),
        lambda given: page.evaluate(GIVE, [list(given), "drop", "#cx-upload"]),
        lambda given: page.evaluate(GIVE, [list(given), "drop", "#cx-viewer"]),
        lambda given: page.evaluate(GIVE, [list(given), "paste", "body"]),
    )
    for way in ways if kind == "no picture" else ways[:1]:
        if kind == "too large":
            page.evaluate(GIVE, [data, "drop", "#cx-upload"])
        else:
            browse(page, data)
        page.wait_for_function("document.querySelector('.cx-alert').textContent !== ''")
        said = page.inner_text(".cx-alert")
        assert says in said
        if page.locator(ROW).count():  # a look at the older picture takes no reason away
            page.locator(ROW).nth(2).click()
        page.wait_for_timeout(200)
        assert page.inner_text(".cx-alert") == said
        last = page.evaluate("chexnet.page.state.answer?.id ?? null")
        way(phantom)
        page.wait_for_function("last => (chexnet.page.state.answer?.id ?? null) !== last", arg=last)
        assert not page.is_visible(".cx-alert")


@pytest.mark.parametrize("status", [413, 503, 0])
def test_an_upload_that_does_not_come_through_is_explained(visit, phantom, status):
    page = visit()
    answer = {"status": status, "content_type": "text/plain", "body": "Come back later."}
    page.route(ANALYSE, lambda route: route.fulfill(**answer) if status else route.abort(), times=1)
    browse(page, phantom)
    text = "Come back later." if status else "The demo does not answer"
    page.locator(".cx-alert", has_text=text).wait_for()
    browse(page, phantom)
    page.wait_for_selector(ROW)


def test_the_picture_that_was_chosen_last_is_shown_and_kept(
    visit_with_torch, phantom, served_with_torch
):
    served, page = served_with_torch, visit_with_torch()
    facts = "document.querySelector('[data-part=facts]').textContent"
    for first, last, size in (
        (lambda: page.click("[data-example=mass]"), "effusion", "512"),
        (lambda: browse(page, phantom), "mass", "512"),
        (lambda: page.click("[data-example=healthy]"), None, "128"),
    ):
        page.evaluate("chexnet.page.clear()")
        served.hold.touch()
        try:
            first()
            page.wait_for_timeout(300)
            page.click(f"[data-example={last}]") if last else browse(page, phantom)
            page.wait_for_timeout(300)
        finally:
            served.hold.unlink()
        page.wait_for_function("!document.querySelector('#cx-upload').ariaBusy")
        page.wait_for_timeout(300)
        assert f"{size} x" in page.evaluate(facts)
        if last:
            page.evaluate("window.shown = chexnet.page.state.answer")
            page.click(f"[data-example={last}]")
            page.wait_for_function("chexnet.page.state.answer !== window.shown")
            assert page.evaluate("chexnet.page.state.answer.logit === window.shown.logit")
        # The server keeps the same one: another method's map is of it.
        page.select_option("[data-set=method]", "EigenCAM")
        page.wait_for_function(f"!{CHIP}.includes('…')")
        assert "EigenCAM" in page.evaluate(CHIP)
        assert "no unit" in page.inner_text("[data-part=unit]")


def test_a_late_upload_does_not_replace_what_was_chosen_meanwhile(visit, phantom):
    page = visit()
    let_go = held_back(page, ANALYSE)
    page.evaluate(GIVE, [list(phantom), "paste", "body"])
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    let_go()
    assert "512 x 512" in page.inner_text("[data-part=facts]")
    assert not page.is_visible(".cx-alert")


def test_no_wish_for_another_methods_map_is_dropped(visit_with_torch, phantom):
    page = visit_with_torch()
    browse(page, phantom)
    page.wait_for_selector(ROW)
    page.select_option("[data-set=method]", "EigenCAM")
    page.locator("#cx-findings [aria-selected=true]").focus()
    for _ in range(3):
        page.keyboard.press("ArrowDown")
    page.wait_for_function(f"!{CHIP}.includes('…')")
    name = page.locator(ROW).nth(3).get_attribute("data-finding").replace("_", " ")
    assert page.evaluate(CHIP).startswith(name)
    # A failure that comes late leaves a newer choice alone.
    routes = []
    page.route("**/api/heat/**", lambda route: routes.append(route))
    with page.expect_request("**/api/heat/**"):
        page.select_option("[data-set=method]", "HiResCAM")
    page.select_option("[data-set=method]", "Grad-CAM")
    page.select_option("[data-set=method]", "EigenCAM")
    page.wait_for_timeout(300)
    for route in routes:
        route.abort()
    page.wait_for_timeout(300)
    assert page.evaluate("chexnet.page.state.method") == "EigenCAM"
    assert not page.is_visible(".cx-alert")


def test_another_method_has_no_unit_and_its_greatest_cell_is_one(served_with_torch, tmp_path):
    path = tmp_path / "one.png"
    path.write_bytes(png(5))
    client = Client(served_with_torch.url, verbose=False)
    name = client.predict(handle_file(path), api_name="/predict")["finding"]
    other = client.predict(finding=name, method="Grad-CAM++", api_name="/heatmap")
    assert other["unit"] == "none"
    assert np.max(other["heatmap"]) == pytest.approx(1)


def test_no_lesson_waits_for_another_and_no_late_answer_is_shown(visit):
    page = visit()
    let_go = held_back(page, "**/api/part/example/mass")
    page.get_by_role("tab", name="Lessons", exact=True).click()
    page.wait_for_selector(".cx-l-strip img")
    page.click("[data-open=heat]")  # its example is held back
    page.get_by_role("tab", name="Thresholds", exact=True).click()
    page.wait_for_selector(".cx-t-body", state="visible")
    page.get_by_role("tab", name="Lessons", exact=True).click()
    page.select_option("article[data-lesson=heat] [data-set=example]", "effusion")
    says = "document.querySelector('article[data-lesson=heat] [data-part=says]').textContent"
    page.wait_for_function(f"{says}.startsWith('Effusion')")
    page.click("[data-open=breaks]")
    page.wait_for_function("document.querySelector('[data-canvas=changed]').width > 384")
    before = page.evaluate("document.querySelector('[data-canvas=changed]').toDataURL()")
    page.select_option("[data-set=picture]", "mass")
    page.select_option("[data-set=picture]", "effusion")
    let_go()
    assert page.evaluate(says).startswith("Effusion")
    assert page.evaluate("document.querySelector('[data-canvas=changed]').toDataURL()") == before


def test_the_patient_who_was_chosen_last_is_shown(visit):
    page = visit()
    let_go = held_back(page, "**/api/part/patient/1")
    page.get_by_role("tab", name="Lessons", exact=True).click()
    page.wait_for_selector(".cx-l-strip img")
    first = page.get_attribute(".cx-l-strip img", "src")
    for number in (1, 0):
        page.locator(f"[name=cx-l-people][value='{number}']").check(force=True)
    let_go()
    assert page.get_attribute(".cx-l-strip img", "src") == first


def test_lesson_five_says_why_nothing_came_and_goes_on(visit):
    page = visit()
    page.get_by_role("tab", name="Lessons", exact=True).click()
    page.click("[data-open=breaks]")
    page.wait_for_function("document.querySelector('[data-canvas=changed]').width > 384")
    busy = {"status": 503, "content_type": "text/plain", "body": "Too many at once."}
    page.route(ANALYSE, lambda route: route.fulfill(**busy), times=1)
    page.click("[data-act=send]")
    page.locator("[data-part=breaks-says]", has_text="Too many at once.").wait_for()
    page.click("[data-act=send]")
    page.wait_for_selector("[data-part=moves] tr, [data-part=breaks-says] button")


def test_a_paste_on_another_tab_leaves_the_picture_behind_it_alone(visit, phantom):
    page = visit()
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    last = page.evaluate("chexnet.page.state.answer.id")
    for tab in ("Read it yourself", "Thresholds", "Lessons", "Model"):
        page.get_by_role("tab", name=tab, exact=True).click()
        for kind in ("paste", "drop"):
            page.evaluate(GIVE, [list(phantom), kind, "body"])
    page.wait_for_timeout(1000)
    assert page.evaluate("chexnet.page.state.answer.id") == last


def test_full_screen_is_offered_only_where_there_is_one(visit):
    page = visit()
    page.click("[data-example=effusion]")
    page.wait_for_selector("[data-tool=full]")
    page.context.add_init_script(
        "Object.defineProperty(Document.prototype, 'fullscreenEnabled', {get: () => false})"
    )
    page.reload()
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    assert not page.is_visible("[data-tool=full]")


PRINTED = """() => {
  const seen = (one) => one.checkVisibility() && one.getBoundingClientRect();
  const canvas = document.querySelector('#cx-viewer canvas');
  const {width, height} = seen(canvas);
  const rows = [...document.querySelectorAll('#cx-findings [data-finding]')];
  const bars = rows.map((row) => seen(row.querySelector('.cx-fill')));
  const tops = bars.map((bar) => bar.top);
  return {
    aspect: width / height - canvas.width / canvas.height, width, rows: rows.length,
    apart: Math.min(...tops.slice(1).map((top, k) => top - tops[k])),
    least: Math.min(...bars.map((bar) => bar.width)),
    exact: getComputedStyle(rows[0].querySelector('.cx-fill')).printColorAdjust,
    controls: [...document.querySelectorAll('button, input, select')].filter(seen).length,
    right: Math.max(...bars.map((bar) => bar.right)),
  };
}"""


@pytest.mark.parametrize(
    ("look", "landscape", "scheme"), [((718, 1000), False, "light"), ((1040, 700), True, "dark")]
)
def test_a_print_holds_the_whole_radiograph_and_all_bars_on_one_page(
    visit, look, landscape, scheme
):
    page = visit(color_scheme=scheme)
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    page.click("[data-tool=in]")  # what is cut off on the screen is printed
    pdf = page.pdf(format="A4", landscape=landscape)
    assert len(re.findall(rb"/Type\s*/Page\b", pdf)) == 1
    page.emulate_media(media="print")
    page.set_viewport_size(dict(zip(("width", "height"), look, strict=True)))
    printed = page.evaluate(PRINTED)
    assert abs(printed["aspect"]) < 0.02
    assert printed["width"] > 250
    assert printed["rows"] == 15
    assert printed["apart"] > 10
    assert printed["least"] > 0
    assert printed["exact"] == "exact"
    assert printed["controls"] == 0
    assert printed["right"] <= look[0]


APART = """(names) => {
  const parts = names.flatMap((name) => [...document.querySelectorAll(name)])
    .filter((one) => one.checkVisibility()).map((one) => one.getBoundingClientRect());
  return parts.every((a, i) => parts.every((b, j) => i === j || a.right <= b.left + 1
    || b.right <= a.left + 1 || a.bottom <= b.top + 1 || b.bottom <= a.top + 1));
}"""
WINDOWS = [(683, 384), (640, 360), (844, 390), (667, 375), (568, 320), (960, 540)]
"""Laptops magnified to 200 %, and phones on their side."""


def test_nothing_overlaps_in_a_low_window_and_the_picture_is_large(visit):
    page = visit()
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    page.locator(ROW).first.click()
    page.get_by_role("tab", name="Read it yourself").click()
    page.click("[data-r=intro] [data-do=begin]")
    page.wait_for_function("chexnet.reading.now && !chexnet.reading.waiting")
    for width, height in WINDOWS:
        page.set_viewport_size({"width": width, "height": height})
        for tab, stage, *apart in (
            (
                *("Read it yourself", ".cx-r-stage"),
                [".cx-reading .cx-tools button", ".cx-reading output"],
                [".cx-r-head", ".cx-r-stage", ".cx-r-right"],
            ),
            (
                *("Radiograph", "#cx-viewer .cx-stage"),
                [".cx-stage", "#cx-findings", ".cx-details", ".cx-under"],
                ["#cx-viewer .cx-tools button", "#cx-viewer output", ".cx-chip", ".cx-facts"],
            ),
        ):
            page.get_by_role("tab", name=tab).click()
            page.wait_for_timeout(100)
            for names in apart:
                assert page.evaluate(APART, names), (width, height, names)
            assert page.locator(stage).bounding_box()["height"] > 0.7 * height
            assert page.evaluate("document.documentElement.scrollWidth") <= width
