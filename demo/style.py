"""Theme, style and script. No font and no file of another host."""

from functools import cache
from pathlib import Path

import gradio as gr

_FOLDER = Path(__file__).with_name("static")
VIEWER_SCRIPTS = ("drawing", "heat", "stage", "labels", "findings", "downloads", "viewer")
"""The viewer's files, each after those that it needs."""
READING_SCRIPTS = ("reading_boxes", "reading_board", "reading_form", "reading_result", "reading")
"""The tab "Read it yourself", which uses the viewer's drawing."""
PAGE_SCRIPTS = ("choices",)
"""How the page asks the server, and where its pictures come from."""
TEACHING_SCRIPTS = (
    *("teaching", "thresholds_numbers", "thresholds_drawing", "thresholds"),
    *("lesson_split", "lesson_heat", "lesson_probability"),
    *("lesson_labels", "lesson_breaks", "lessons"),
)
"""The tabs "Thresholds" and "Lessons", which use the viewer's drawing."""


@cache
def script(name: str) -> str:
    """The text of a script in `static`."""
    return (_FOLDER / name).read_text(encoding="utf-8")


# Gradio puts its own class before each rule of it; what lies outside of that stands in outer.css.
CSS = "".join(
    script(f"{name}.css") for name in ("page", "viewer", "reading", "thresholds", "lessons")
)


@cache
def head() -> str:
    """The page's head: style outside of Gradio's own, and the viewer's scripts."""
    names = VIEWER_SCRIPTS + PAGE_SCRIPTS + READING_SCRIPTS + TEACHING_SCRIPTS
    scripts = "\n".join(script(f"{name}.js") for name in names)
    return f"<style>{script('outer.css')}</style>\n<script>{scripts}</script>"


def theme() -> gr.themes.Base:
    """Gradio's own theme with the system's fonts, darker where it writes."""
    return gr.themes.Soft(
        primary_hue="teal",
        secondary_hue="teal",
        neutral_hue="slate",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    ).set(  # its own teal on white has a contrast of 2.5; text needs 4.5 (WCAG 1.4.3)
        background_fill_primary="*neutral_50",  # Soft's own, which a second `set` forgets
        block_label_text_color="*primary_700",
        block_title_text_color="*primary_700",
        block_label_background_fill_dark="*primary_700",
        checkbox_label_background_fill_selected="*primary_700",
        checkbox_label_background_fill_selected_dark="*primary_700",
    )
