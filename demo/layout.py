"""Builds the page and its named endpoints."""

from typing import Any

import gradio as gr

from chexnet.explain import CLOSED_FORM
from chexnet.overlay import COLOURS
from demo import rendering, security
from demo.classroom.handlers import Classroom
from demo.classroom.tab import reading_tab
from demo.components import ENDINGS, Upload, own_html
from demo.handlers import Handlers, guarded
from demo.pictures import SCALES
from demo.service import Service
from demo.style import CSS, head, script, theme
from demo.teaching.tab import teaching_tabs


def build(service: Service, weights: str, classroom: Classroom) -> gr.Blocks:
    """Build the page.

    Args:
        service: answers.
        weights: the file's name as the page shows it.
        classroom: the readers of cases.
    """
    handlers = Handlers(service)
    predictor = service.predictor
    with gr.Blocks(
        title="chexnet", analytics_enabled=False, delete_cache=security.SWEEP, fill_width=True
    ) as blocks:
        own_html(rendering.header(weights, predictor.metadata), elem_id="cx-header")
        state = gr.State(None, time_to_live=security.KEPT_SECONDS)
        with gr.Tab("Radiograph"):
            with gr.Row(elem_id="cx-start"):
                upload = Upload(
                    service.folder,
                    label="Upload a chest radiograph",
                    file_types=ENDINGS,
                    show_label=False,
                    height=64,
                    elem_id="cx-upload",
                    min_width=180,
                )
                examples = own_html(
                    rendering.examples(), script("examples.js"), elem_id="cx-examples"
                )
            viewer = own_html(rendering.shell(), script("mount.js"), elem_id="cx-viewer")
            # Never drawn: its script hands what it is given to the viewer.
            answer = own_html("", script("answer.js"), html_template=" ", elem_id="cx-answer")
            own_html(rendering.privacy())
        with gr.Tab("Read it yourself"):
            reading_tab(classroom)
        teaching_tabs(service)
        with gr.Tab("Model"):
            own_html(rendering.model_tab(predictor))

        # No limit of Gradio's: all who are let in are waited for by the service, which counts them.
        waits: dict[str, Any] = {"concurrency_limit": None, "api_visibility": "private"}
        blocks.load(guarded(handlers.opening), [], [state, answer], show_progress="hidden", **waits)
        upload.upload(guarded(handlers.upload), [upload], [state, answer, upload], **waits)
        examples.click(guarded(handlers.example), [], [state, answer], **waits)
        viewer.click(
            guarded(handlers.act), [state], [state, answer], show_progress="hidden", **waits
        )
        _named_endpoints(handlers, upload, state)
    return blocks


def _named_endpoints(handlers: Handlers, upload: Upload, state: gr.State) -> None:
    """`/predict` and `/heatmap`, for programs; the page has no control for their settings."""
    result = gr.JSON(visible=False, label="result")
    finding = gr.Textbox(visible=False, label="finding")
    hidden: dict[str, Any] = {"visible": False}
    method = gr.Dropdown(
        list(handlers.predictor.methods), value=CLOSED_FORM, label="method", **hidden
    )
    settings = [
        gr.Slider(0, 1, 0.5, step=0.05, label="Opacity of the heat", **hidden),
        gr.Dropdown(list(COLOURS), value=COLOURS[0], label="Colour map", **hidden),
        gr.Radio(list(SCALES), value=SCALES[0], label="Heat scale", **hidden),
        gr.Slider(0, 1, 0.5, step=0.01, label="Level", **hidden),
        gr.Slider(0.05, 1, 1, step=0.05, label="Window", **hidden),
        gr.Checkbox(False, label="Invert (bones dark)", **hidden),
    ]
    gr.Button(visible=False).click(
        guarded(handlers.predict),
        [upload],
        [state, result],
        api_name="predict",
        queue=False,  # one request instead of three; the service counts who waits
        concurrency_limit=None,  # for those who come through the queue all the same
        api_description="Probabilities, evidence and the first heatmap of a radiograph.",
    )
    gr.Button(visible=False).click(
        guarded(handlers.heatmap),
        [state, finding, method, *settings],
        [result],
        api_name="heatmap",
        queue=False,
        api_description="Another finding's heatmap of the picture given to /predict.",
    )


def page_settings() -> dict[str, Any]:
    """Theme, style and script, for `Blocks.launch`."""
    return {"theme": theme(), "css": CSS, "head": head(), "js": script("page.js")}
