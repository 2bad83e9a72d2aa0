"""The page on a phone: everything fits, and the picture stays in sight."""

import pytest

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True}
SEEN = """() => {
  const frame = document.querySelector('.cx-frame').getBoundingClientRect();
  return frame.top >= -1 && frame.bottom <= innerHeight && frame.height > 200;
}"""

BELOW = """bar => {
  const frame = document.querySelector('.cx-frame').getBoundingClientRect();
  const {top, bottom} = bar.getBoundingClientRect();
  return top >= frame.bottom && bottom <= innerHeight;
}"""
"""A finding is neither covered by the picture nor out of sight."""


@pytest.mark.parametrize(("wish", "way"), [("reduce", "instant"), ("no-preference", "smooth")])
def test_on_a_phone_a_new_picture_comes_into_sight_as_quietly_as_was_wished(visit, wish, way):
    page = visit(**PHONE, reduced_motion=wish)
    page.evaluate("""() => {
      window.ways = [];
      const real = Element.prototype.scrollIntoView;
      Element.prototype.scrollIntoView = function (how) {
        window.ways.push(how.behavior);
        real.call(this, how);
      };
    }""")
    page.locator("[data-example=effusion]").dispatch_event("click")  # without Playwright's scroll
    page.wait_for_selector(".cx-bar", state="attached")
    page.wait_for_function(SEEN)
    assert page.evaluate("window.ways") == [way]


def test_on_a_phone_the_heatmap_stays_in_sight_while_findings_are_chosen(visit):
    page = visit(**PHONE)
    page.click("[data-example=effusion]")
    page.wait_for_selector(".cx-bar")
    page.wait_for_function(SEEN)
    for place in (-1, 0):  # down to the last, and back up to the first
        bar = page.locator(".cx-bar").nth(place)
        name = bar.get_attribute("data-finding")
        bar.focus()
        assert page.evaluate(SEEN)
        assert bar.evaluate(BELOW)
        page.keyboard.press("Enter")
        page.wait_for_function(
            "name => document.activeElement?.dataset?.finding === name"
            " && getComputedStyle(document.querySelector('.cx-frame'), '::after')"
            ".content.includes(name.replace('_', ' '))",
            arg=name,
        )
        assert page.evaluate(SEEN)
        assert bar.evaluate(BELOW)


def test_every_view_says_that_it_is_not_for_diagnosis_and_fits_a_phone(visit):
    page = visit(**PHONE, color_scheme="dark")
    page.click("[data-example=effusion]")
    page.wait_for_selector(".cx-bar")
    for tab in ("Radiograph", "Model"):
        page.get_by_role("tab", name=tab).click()
        assert page.get_by_text("Not for diagnosis").first.is_visible()
        assert page.get_by_text("Trained on drawn phantoms").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_by_text("Mean of").is_visible()
    assert page.locator(".cx-rocs figure").count() > 0
