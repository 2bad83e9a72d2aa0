"""Builds the tabs "Thresholds" and "Lessons"."""

from typing import Any

import gradio as gr

from demo.components import own_html
from demo.handlers import guarded
from demo.rendering import lessons_tab, thresholds_tab
from demo.service import Service
from demo.style import script
from demo.teaching.handlers import Teaching


def teaching_tabs(service: Service) -> None:
    """Both tabs; call it within the page's `Blocks`."""
    teaching = Teaching(service)
    # "once" would drop a question that an answer leads to while that answer is handed over.
    waits: dict[str, Any] = {"trigger_mode": "multiple", "show_progress": "hidden"}
    waits |= {"concurrency_limit": None, "api_visibility": "private"}
    for name, html in (
        ("thresholds", thresholds_tab()),
        ("lessons", lessons_tab(service.predictor.more_methods)),
    ):
        with gr.Tab(name.capitalize()):
            tab = own_html(html, script(f"{name}_mount.js"), elem_id=f"cx-{name}")
            # Never drawn: its script hands what it is given to the tab that asked.
            given = own_html("", script("teaching_answer.js"), html_template=" ", visible="hidden")
        tab.click(guarded(teaching.ask), [], [given], **waits)
