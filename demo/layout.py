"""Builds the page and its named endpoints."""

from typing import Any

import gradio as gr

from chexnet.explain import CLOSED_FORM
from chexnet.overlay import COLOURS
from demo import downloads, rendering, security
from demo.components import ENDINGS, Pair, Upload, own_html
from demo.handlers import HEATMAP, VIEWS, Handlers, guarded
from demo.model import model_tab
from demo.pictures import SCALES
from demo.service import Service
from demo.style import (
    BARS_JS,
    CSS,
    DELIVERY_JS,
    DOWNLOAD_JS,
    EXAMPLE_JS,
    GATE_JS,
    HEAD,
    VIEW_JS,
    page_js,
    theme,
)


def build(desk: Service, weights: str) -> gr.Blocks:
    """Build the page.

    Args:
        desk: answers.
        weights: the file's name as the page shows it.
    """
    page = Handlers(desk, weights)
    with gr.Blocks(
        title="chexnet", analytics_enabled=False, delete_cache=security.SWEEP, fill_width=True
    ) as blocks:
        own_html(rendering.header(weights, desk.predictor.metadata))
        shown = gr.State(None, time_to_live=security.KEPT_SECONDS)
        with gr.Tab("Radiograph"):
            with gr.Row(elem_classes="cx-main"):
                with gr.Column(scale=6, min_width=320):
                    upload = Upload(
                        desk.folder,
                        label="Chest radiograph: PNG, JPEG, TIFF, WebP or DICOM",
                        file_types=ENDINGS,
                        height=170,
                        elem_id="cx-upload",
                    )
                    examples = own_html(rendering.examples(), EXAMPLE_JS, elem_id="cx-examples")
                    viewer = own_html(rendering.EMPTY_VIEW, js=VIEW_JS, elem_id="cx-viewer")
                    pair = Pair(
                        visible=False,
                        interactive=False,
                        show_label=False,
                        buttons=["fullscreen"],
                        max_height=768,
                        elem_id="cx-pair",
                    )
                    view = gr.Radio(VIEWS, value=HEATMAP, label="View", elem_id="cx-views")
                    with gr.Accordion("How it is shown", open=False):
                        method = gr.Dropdown(
                            list(desk.predictor.methods), value=CLOSED_FORM, label="Heatmap method"
                        )
                        with gr.Row():
                            opacity = gr.Slider(0, 1, 0.5, step=0.05, label="Opacity of the heat")
                            colours = gr.Dropdown(
                                list(COLOURS), value=COLOURS[0], label="Colour map"
                            )
                            scale = gr.Radio(list(SCALES), value=SCALES[0], label="Heat scale")
                        with gr.Row():
                            level = gr.Slider(0, 1, 0.5, step=0.01, label="Level")
                            window = gr.Slider(0.05, 1, 1, step=0.05, label="Window")
                            invert = gr.Checkbox(False, label="Invert (bones dark)")
                with gr.Column(scale=5, min_width=320):
                    gate = own_html("", js=GATE_JS, elem_id="cx-gate")
                    bars = own_html(rendering.EMPTY_BARS, js=BARS_JS, elem_id="cx-findings")
                    take = own_html(downloads.BUTTONS, DOWNLOAD_JS, elem_id="cx-take")
                    # Never drawn: its script makes a file of what it is given.
                    given = own_html("", DELIVERY_JS, html_template=" ", elem_id="cx-given")
                    own_html(f'<p class="cx-small">{rendering.KEPT}</p>')
        with gr.Tab("Model"):
            own_html(model_tab(desk.predictor))
        finding = gr.Textbox(visible=False, label="finding")
        answer = gr.JSON(visible=False, label="result")
        look = [opacity, colours, scale, level, window, invert]
        controls = [method, view, *look]
        outputs = [shown, gate, bars, viewer, pair]
        # No limit of Gradio's: all who are let in are waited for by the desk, which counts them.
        waits = {"concurrency_limit": None, "api_visibility": "private"}
        at_once = {"queue": False, "api_visibility": "private", "show_progress": "hidden"}

        upload.upload(guarded(page.look), [upload, *controls], [*outputs, upload], **waits)
        for control in controls:
            control.change(
                guarded(page.again),
                [shown, *controls],
                outputs,
                trigger_mode="always_last",
                **at_once,
            )
        bars.click(guarded(page.choose), [shown, *controls], outputs, **at_once)
        examples.click(guarded(page.example), controls, outputs, **waits)
        gate.click(guarded(page.act), [shown, *controls], outputs, **waits)

        take.click(guarded(page.download), [shown, *controls], [given], **at_once)

        named = gr.Button(visible=False)
        named.click(
            guarded(page.predict),
            [upload],
            [shown, answer],
            api_name="predict",
            queue=False,  # one request instead of three; the desk counts who waits
            concurrency_limit=None,  # for those who come through the queue all the same
            api_description="Probabilities, thresholds and the first heatmap of a radiograph.",
        )
        other = gr.Button(visible=False)
        other.click(
            guarded(page.heatmap),
            [shown, finding, method, *look],
            [answer],
            api_name="heatmap",
            queue=False,
            api_description="Another finding's heatmap of the picture given to /predict.",
        )
    return blocks


def look_of_page() -> dict[str, Any]:
    """Theme, style and script, for `Blocks.launch`."""
    return {"theme": theme(), "css": CSS, "head": HEAD, "js": page_js()}
