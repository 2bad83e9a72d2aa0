"""A student reads in Chromium: by mouse, by keys, with reloads and two tabs."""

import json

import pytest

from demo.classroom.cases import union_iou
from tests.demo.classroom.served import case_in, leaks

READING = "() => { const r = chexnet.reading; return r && !r.waiting && r.now; }"
TICK = ".cx-r-findings input[value='{}']"
GO = "[data-do=go]"


def open_tab(page):
    page.get_by_role("tab", name="Read it yourself").click()
    page.wait_for_selector("[data-do=begin]", state="attached")
    return page


def begin(page):
    page.click("[data-r=intro] [data-do=begin]")
    return at(page, "read", 1)


def at(page, stage, number=None):
    """Wait until the reader is there; gives what the page holds."""
    page.wait_for_function(
        """([stage, number]) => {
          const {now, waiting} = chexnet.reading ?? {};
          return now && !waiting && now.stage === stage && (!number || now.number === number);
        }""",
        arg=[stage, number],
    )
    return page.evaluate("chexnet.reading.now")


def answer(page, names, sure):
    """Make the form say this, by clicks as a student does."""
    ticked = "[...document.querySelectorAll('.cx-r-findings input:checked')].map((o) => o.value)"
    for name in page.evaluate(ticked):
        page.uncheck(TICK.format(name))
    for name in names or [""]:
        page.check(TICK.format(name))
    page.locator(f"[name=cx-r-sure][value='{sure}']").check(force=True)


def drag(page, box):
    """Draw a box with the mouse; shares of the picture."""
    page.locator(".cx-reading canvas").scroll_into_view_if_needed()
    place = page.locator(".cx-reading canvas").bounding_box()
    points = [
        (place["x"] + x * place["width"], place["y"] + y * place["height"])
        for x, y in (box[:2], box[2:])
    ]
    page.mouse.move(*points[0])
    page.mouse.down()
    page.mouse.move(*points[1], steps=3)
    page.mouse.up()


def test_a_whole_dozen_read_by_a_student_gives_the_figures_of_a_hand(visit, cases):
    page = visit(viewport={"width": 1366, "height": 768})
    heard = []
    page.on(
        "response",
        lambda one: heard.append(one) if "/api/step" in one.url else 0,
    )
    now = begin(open_tab(page))
    before, after, network, sure, fit = [], [], [], [], []
    for k in range(12):
        case = case_in(cases, now)
        assert set(now) <= {"stage", "of", "case", "number", "preview", "reader"}
        for response in heard:
            assert leaks(response.text(), case) == []
        assert page.locator("[data-r=title]").inner_text() == f"Case {k + 1} of 12"
        shown = page.locator(".cx-r-right").inner_text()
        assert "%" not in shown.replace("50 %", "").replace("80 %", "")
        there = sorted(case.truth.findings)
        wrong = ["Hernia"] if there != ["Hernia"] else []
        first, last = [(there, there), (wrong, there), (there, wrong), (wrong, wrong)][k % 4]
        answer(page, first, k % 3)
        box = (0.2, 0.25, 0.6, 0.8)
        if first:
            drag(page, box)
        page.click(GO)
        now = at(page, "revise", k + 1)
        assert now["mine"]["findings"] == [n for n in now["network"]["classes"] if n in first]
        assert "truth" not in now
        assert page.locator(GO).inner_text() == "Keep my answer"
        if first != last:
            answer(page, last, k % 3)
            assert page.locator(GO).inner_text() == "Change my answer"
        page.click(GO)
        now = at(page, "truth", k + 1)
        for one in now["truth"]["findings"]:
            boxes = case.truth.boxes[one["name"]]
            drawn = [tuple(b) for b in now["final"]["boxes"].get(one["name"], [])]
            if drawn:
                assert drawn == [pytest.approx(box, abs=0.01)]
                assert one["iou"]["mine"] == pytest.approx(union_iou(drawn, boxes))
                fit.append(union_iou(drawn, boxes))
                theirs = case.network.boxes[one["name"]]
                expected = union_iou([theirs], boxes) if theirs else None
                assert one["iou"]["network"] == pytest.approx(expected, abs=0.02)
            assert one["title"] in page.locator("[data-r=truth]").inner_text()
        before.append(first == there)
        after.append(last == there)
        network.append(case.network.named == frozenset(there))
        sure.append(k % 3)
        heard.clear()
        page.click(GO)
        now = at(page, "read" if k < 11 else "done", k + 2 if k < 11 else None)
    found = now["figures"]
    assert found["right"] == {
        "before": sum(before), "after": sum(after), "network": sum(network)
    }  # fmt: skip
    moved = list(zip(before, after, network, strict=True))
    assert found["to_right"] == sum(a and not b for b, a, _ in moved) > 0
    assert found["to_wrong"] == sum(b and not a for b, a, _ in moved) > 0
    assert found["followed"] == sum(b and not a and not n for b, a, n in moved)
    for step, one in enumerate(found["sure"]):
        chosen = [b for b, s in zip(before, sure, strict=True) if s == step]
        assert one["mine"] == {"cases": 4, "right": sum(chosen)}
    assert found["overlap"]["findings"] == len(fit)
    assert found["overlap"]["mine"] == pytest.approx(sum(fit) / len(fit) if fit else None)
    text = page.locator("[data-r=done]").inner_text()
    assert f"{sum(before)} of 12\nright before the network" in text
    assert f"{sum(after)} of 12\nright after the network" in text
    # The pool of this demo is empty.
    page.click("[data-do=another]")
    page.get_by_text("More cases are being drawn").wait_for()


def test_reload_back_and_two_tabs_neither_tell_nor_mix(visit, cases):
    page = open_tab(visit())
    now = begin(page)
    case = case_in(cases, now)
    page.reload()
    again = at(open_tab(page), "read", 1)
    assert again == {k: v for k, v in now.items() if k != "reader"}
    assert leaks(json.dumps(again), case) == []
    second = page.context.new_page()
    second.goto(page.url)
    other = begin(open_tab(second))
    assert other["case"] != now["case"]
    answer(page, ["Mass"], 0)
    drag(page, (0.3, 0.3, 0.5, 0.6))
    page.click(GO)
    at(page, "revise", 1)
    # The other tab knows nothing of it, also after it asked again.
    second.reload()
    still = at(open_tab(second), "read", 1)
    assert still["case"] == other["case"]
    assert leaks(json.dumps(still), case_in(cases, other)) == []
    page.goto("about:blank")
    page.go_back()
    back = at(open_tab(page), "revise", 1)
    assert back["mine"]["findings"] == ["Mass"]
    assert "truth" not in back
    assert page.is_checked(TICK.format("Mass"))
    assert page.locator(".cx-box-mine").count() == 1
    # A copy of a tab shares its reader: what one settles, the other does not settle again.
    reader = page.evaluate("sessionStorage.getItem('cx-reader')")
    second.evaluate("name => sessionStorage.setItem('cx-reader', name)", reader)
    second.reload()
    at(open_tab(second), "revise", 1)
    page.click(GO)
    at(page, "truth", 1)
    second.uncheck(TICK.format("Mass"))
    second.check(TICK.format(""))
    second.click(GO)
    second.get_by_text("This step is not open now").wait_for()
    settled = at(second, "truth", 1)
    assert settled["final"]["findings"] == ["Mass"]
    kept = page.evaluate("JSON.stringify([{...localStorage}, {...sessionStorage}])")
    assert "Mass" not in kept


def test_a_case_is_read_with_the_keyboard_alone(visit):
    page = open_tab(visit(viewport={"width": 1280, "height": 720}))
    page.locator("[data-r=intro] [data-do=begin]").focus()
    page.keyboard.press("Enter")
    at(page, "read", 1)

    def tab_to(selector):
        for _ in range(60):
            if page.evaluate("s => document.activeElement.matches(s)", selector):
                return
            page.keyboard.press("Tab")
        raise AssertionError(selector)

    tab_to(TICK.format("Nodule"))
    page.keyboard.press("Space")
    tab_to("[data-do=box]")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.matches('.cx-box-mine')")
    for key in ("ArrowLeft", "ArrowLeft", "ArrowDown", "Shift+ArrowRight", "Shift+ArrowUp"):
        page.keyboard.press(key)
    boxes = page.evaluate("chexnet.reading.form.reply().boxes")
    assert boxes == {"Nodule": [[0.38, 0.41, 0.59, 0.6]]}
    assert "38 % from the left" in page.evaluate("document.activeElement.ariaLabel")
    tab_to("[data-do=box]")
    page.keyboard.press("Enter")
    page.keyboard.press("Delete")
    assert len(page.evaluate("chexnet.reading.form.reply().boxes.Nodule")) == 1
    tab_to("[name=cx-r-sure]")
    page.keyboard.press("ArrowRight")
    tab_to(GO)
    page.keyboard.press("Enter")
    now = at(page, "revise", 1)
    assert now["mine"] == {
        "findings": ["Nodule"], "nothing": False, "sure": 1, "boxes": boxes
    }  # fmt: skip
    assert page.evaluate("document.activeElement.dataset.r") == "title"
    tab_to("[data-map=Mass]")
    page.keyboard.press("Enter")
    assert "Heatmap: Mass" in page.locator(".cx-reading [data-r=chip]").inner_text()


def test_on_a_phone_a_box_is_drawn_by_a_finger_and_everything_fits(visit):
    page = open_tab(visit(viewport={"width": 390, "height": 844}, is_mobile=True, has_touch=True))
    begin(page)
    page.tap(TICK.format("Mass"))
    # The bounding box of the picture, and a finger that goes over it.
    page.evaluate("document.querySelector('.cx-reading canvas').scrollIntoView({block: 'center'})")
    place = page.locator(".cx-reading canvas").bounding_box()
    client = page.context.new_cdp_session(page)

    def touch(kind, x=None, y=None):
        points = []
        if x is not None:
            points = [{"x": place["x"] + x * place["width"], "y": place["y"] + y * place["height"]}]
        client.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})

    scrolled = page.evaluate("scrollY")
    touch("touchStart", 0.3, 0.3)
    for k in range(1, 6):
        touch("touchMove", 0.3 + 0.06 * k, 0.3 + 0.04 * k)
        page.wait_for_timeout(30)  # a finger faster than this is a fling, which eats the next tap
    for _ in range(3):  # held still: however slow the machine is, it is no fling
        page.wait_for_timeout(150)
        touch("touchMove", 0.6, 0.5)
    touch("touchEnd")
    page.wait_for_timeout(400)  # over too soon, the next tap would be the second of a double one
    [box] = page.evaluate("chexnet.reading.form.reply().boxes.Mass")
    assert box == pytest.approx([0.3, 0.3, 0.6, 0.5], abs=0.02)
    assert page.evaluate("scrollY") == scrolled, "the page moved under the finger"
    page.locator("[name=cx-r-sure][value='2']").check(force=True)
    for stage in ("revise", "truth"):
        page.locator(GO).tap()
        at(page, stage, 1)
        assert page.evaluate("document.documentElement.scrollWidth") <= 390


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_serious_fault_in_any_step(visit, scheme):
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    page = open_tab(visit(color_scheme=scheme))

    def serious():
        page.wait_for_timeout(150)
        return [
            (one["id"], [node["html"][:140] for node in one["nodes"]][:3])
            for one in axe.Axe().run(page).response["violations"]
            if one["impact"] in ("serious", "critical")
        ]

    assert serious() == []
    begin(page)
    answer(page, ["Mass", "Effusion"], 1)
    drag(page, (0.3, 0.3, 0.6, 0.6))
    assert serious() == []
    for stage in ("revise", "truth"):
        page.click(GO)
        at(page, stage, 1)
        assert serious() == []
    page.evaluate(
        """figures => {
          chexnet.reading.receive({stage: 'done', of: 12, figures});
        }""",
        FIGURES,
    )
    page.wait_for_selector("[data-r=done] table")
    assert serious() == []


SHARE = {"cases": 1, "right": 1}
FOUND = {"found": 1, "wrong": 0}
FIGURES = {
    "cases": 1, "right": {"before": 1, "after": 0, "network": 0},
    "to_right": 0, "to_wrong": 1, "followed": 1,
    "findings": {"there": 1, "before": FOUND, "after": FOUND, "network": FOUND},
    "sure": [{"step": "Guessing", "mine": SHARE, "network": SHARE}],
    "overlap": {"findings": 1, "mine": 0.5, "network": 0.4},
    "mistakes": {"false_alarms": 0, "misses": 0, "looked_through": 300, "fewer": True},
    "table": [{"there": ["Mass"], "before": ["Mass"], "after": [], "network": [],
               "right": {"before": True, "after": False, "network": False}}],
}  # fmt: skip
"""The end of a reading of one case."""
