"""The page on a phone: everything fits, and the picture stays in sight."""

from tests.demo.conftest import ROW, on_both

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True}
SEEN = """() => {
  const frame = document.querySelector('.cx-stage').getBoundingClientRect();
  return frame.top >= -1 && frame.bottom <= innerHeight && frame.height > 200;
}"""

BELOW = """row => {
  const frame = document.querySelector('.cx-stage').getBoundingClientRect();
  const {top, bottom} = row.getBoundingClientRect();
  return top >= frame.bottom && bottom <= innerHeight;
}"""
"""A finding is neither covered by the picture nor out of sight."""


def test_on_a_phone_the_heatmap_stays_in_sight_while_findings_are_chosen(visit):
    page = visit(**PHONE)
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    page.wait_for_function(SEEN)
    for place in (-1, 0):  # down to the last, and back up to the first
        row = page.locator(ROW).nth(place)
        name = row.get_attribute("data-finding")
        row.click()
        page.wait_for_function(
            "name => document.querySelector('[data-part=chip]').textContent"
            ".includes(name.replace('_', ' '))",
            arg=name,
        )
        assert page.evaluate(SEEN)
        assert row.evaluate(BELOW)


@on_both
def test_every_view_says_that_it_is_not_for_diagnosis_and_fits_a_phone(visit):
    page = visit(**PHONE, color_scheme="dark")
    page.click("[data-example=effusion]")
    page.wait_for_selector(ROW)
    for tab in ("Radiograph", "Model"):
        page.get_by_role("tab", name=tab).click()
        assert page.get_by_text("Not for diagnosis").first.is_visible()
        assert page.get_by_text("Trained on drawn phantoms").is_visible()
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    assert page.get_by_text("Mean of").is_visible()
    page.get_by_role("tab", name="Radiograph").click()
    assert page.locator("#cx-start").bounding_box()["height"] < 150  # and the picture follows
    assert page.locator(".cx-rocs figure").count() > 0
