"""The tab "Read it yourself": its fixed part and its one endpoint."""

from chexnet.labels import FINDINGS, NOTES, spoken
from demo import rendering
from demo.classroom.handlers import Classroom
from demo.classroom.reading import LIMITS, SURE
from demo.components import ASKED, own_html
from demo.handlers import guarded
from demo.style import script


def reading_tab(classroom: Classroom) -> None:
    """Build the tab inside the tab that is open."""
    findings = [{"name": n, "title": spoken(n), "note": NOTES[n]} for n in FINDINGS]
    low, high = (f"{100 * limit:.0f}" for limit in LIMITS)
    chances = (f"under {low} %", f"{low} to {high} %", f"over {high} %")
    steps = list(zip(SURE, chances, strict=True))
    page = own_html(
        rendering.reading(findings, steps, classroom.source.words),
        script("reading_mount.js"),
        elem_id="cx-reading",
    )
    page.click(guarded(classroom.act), [], [own_html("", visible=False)], **ASKED)
