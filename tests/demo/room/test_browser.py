"""The panel and a lecturer's case in Chromium."""

import re

import cv2
import numpy as np
import pytest

from tests.demo.classroom.made import reply
from tests.demo.room.room import LOGINS, NOTE


@pytest.fixture
def page(page_of, room):
    asked, wrong = [], []
    with page_of(viewport={"width": 1200, "height": 1400}) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        yield page
    known = (room.url, "data:", "blob:", "about:")
    assert [url for url in asked if not url.startswith(known)] == []
    assert wrong == []


def test_the_lecturer_logs_in_and_sees_codes_that_phones_read_and_bars(page, room):
    for number in range(6):
        phone = room.student()
        case = phone.begin()["case"]
        for step in ("commit", "settle", "next"):
            phone.ask(step, case=case, answer=reply("Mass") if number else reply("Hernia"))
    page.goto(f"{room.url}lecturer")
    page.fill("[name=password]", "wrong")
    page.click("form button")
    page.get_by_text("That is not the password").wait_for()
    assert not page.is_visible("[data-l=panel]")
    page.fill("[name=password]", LOGINS.lecturer[1])
    page.click("form button")
    page.wait_for_selector(".case .bar")
    code = page.locator(".addresses img").first
    picture = cv2.imdecode(np.frombuffer(code.screenshot(), np.uint8), cv2.IMREAD_COLOR)
    read, *_ = cv2.QRCodeDetector().detectAndDecode(picture)
    assert read == room.state()["addresses"][0]["url"]
    shown = page.inner_text("[data-l=panel]")
    assert LOGINS.students[1] in shown
    assert "4 of 5" in shown
    assert "✓" not in shown
    assert "Where the network was" not in shown
    assert "Right cases of the 5 who are done" in shown
    assert "with the network, at first\n80 % (24 to 100)" in shown  # 0.8, t(4) and s = 0.447
    page.check("[data-l=truth]")
    assert "✓ Mass" in page.inner_text("[data-l=cases]")
    assert re.search("(0 of 4 right|1 of 1 wrong|0 of 0)", page.inner_text("[data-l=followed]"))
    assert "All right: 4 of 5 with the network, at first" in page.inner_text("[data-l=cases]")
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    for scheme, width in (("light", 1200), ("dark", 390)):
        page.emulate_media(color_scheme=scheme)
        page.set_viewport_size({"width": width, "height": 900})
        faults = axe.Axe().run(page).response["violations"]
        assert [fault["id"] for fault in faults if fault["impact"] in ("serious", "critical")] == []
        assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_a_note_with_html_is_text_on_the_page(page, room):
    page.goto(room.url)
    page.get_by_label("username", exact=False).fill(LOGINS.students[0])
    page.get_by_label("password", exact=False).fill(LOGINS.students[1])
    page.get_by_role("button", name="Login").click()
    page.wait_for_function("window.chexnet?.page")
    page.get_by_role("tab", name="Read it yourself").click()
    page.get_by_text("Your lecturer chose the pictures").wait_for()
    assert "drawn by a program" not in page.inner_text("[data-r=intro]")
    page.click("[data-r=intro] [data-do=begin]")
    stage = "s => chexnet.reading?.now?.stage === s && !chexnet.reading.waiting"
    page.wait_for_function(stage, arg="read")
    page.check(".cx-r-findings input[value='Mass']")
    page.locator("[name=cx-r-sure][value='1']").check(force=True)
    for after in ("revise", "truth"):
        page.click("[data-do=go]")
        page.wait_for_function(stage, arg=after)
    page.get_by_text(NOTE, exact=True).wait_for()
    assert page.locator("[data-r=truth] img").count() == 0
    assert page.locator("[data-r=truth] b", has_text="bold").count() == 0
    assert page.title() != "run"
    page.click("[data-do=go]")
    page.wait_for_function(stage, arg="done")
    assert page.locator("[data-do=another]").count() == 0
