"""Builds the tabs "Thresholds" and "Lessons"."""

import gradio as gr

from demo.components import ASKED, own_html
from demo.handlers import guarded
from demo.rendering import lessons_tab, thresholds_tab
from demo.service import Service
from demo.style import script
from demo.teaching.handlers import Teaching


def teaching_tabs(service: Service) -> None:
    """Both tabs; call it within the page's `Blocks`."""
    teaching = Teaching(service)
    with gr.Tab("Thresholds"):
        own_html(thresholds_tab(), script("thresholds_mount.js"), elem_id="cx-thresholds")
    with gr.Tab("Lessons"):
        html, mount = lessons_tab(service.predictor.more_methods), script("lessons_mount.js")
        lessons = own_html(html, mount, elem_id="cx-lessons")
        lessons.click(guarded(teaching.ask), [], [own_html("", visible=False)], **ASKED)
