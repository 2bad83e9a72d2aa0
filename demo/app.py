"""Builds the page and its named endpoints."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from chexnet.errors import ConfigError
from chexnet.explain import CLOSED_FORM, METHODS
from chexnet.labels import spoken
from chexnet.overlay import COLOURS
from demo import downloads, guard, markup
from demo.components import ENDINGS, Pair, Upload, data_url, own_html, said
from demo.desk import Desk, Seen
from demo.examples import by_name
from demo.model import model_tab
from demo.pictures import SCALES, Look, png, windowed, with_heat
from demo.style import (
    BARS_JS,
    CSS,
    DELIVERY_JS,
    DOWNLOAD_JS,
    EXAMPLE_JS,
    GATE_JS,
    VIEW_JS,
    page_js,
    theme,
)

HEATMAP, COMPARE, PLAIN = "Heatmap", "Compare", "Radiograph"
VIEWS = (HEATMAP, COMPARE, PLAIN)


@dataclass(frozen=True)
class Shown:
    """One visitor's page: what is kept between clicks.

    Attributes:
        seen: the picture and what the network said.
        finding: whose heatmap is shown.
        anyway: the visitor asked for the result although the gate objected.
    """

    seen: Seen
    finding: str
    anyway: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "Shown":
        """Itself: Gradio copies states, and nothing in it is changed."""
        return self

    @property
    def open(self) -> bool:
        """Whether the result may be seen."""
        return self.seen.verdict.fine or self.anyway


def guarded(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Turn every exception into words for the visitor; none shows a traceback."""

    @functools.wraps(function)
    async def called(*arguments: Any) -> Any:
        try:
            return await function(*arguments)
        except gr.Error:
            raise
        except Exception as error:
            raise said(error) from None

    return called


class Page:
    """The page's answers. Holds the desk and no visitor's data."""

    def __init__(self, desk: Desk, weights: str) -> None:
        """Answer through `desk`."""
        self.desk, self.weights = desk, weights
        self.predictor = desk.predictor
        self.crop = desk.predictor.card.preprocessing.crop

    async def show(
        self, shown: Shown, method: str, view: str, *look: Any
    ) -> tuple[Shown, str, str, str, Any]:
        """State, verdict, bars, viewer and pair."""
        how = Look(*look)
        heat = None
        if shown.open:
            heat = await self.desk.heat(shown.seen, shown.finding, method)
        # In a thread, so that nobody else waits for the drawing.
        return await asyncio.to_thread(self._draw, shown, heat, method, view, how)

    def _draw(
        self, shown: Shown, heat: np.ndarray | None, method: str, view: str, how: Look
    ) -> tuple[Shown, str, str, str, Any]:
        seen = shown.seen
        verdict = markup.verdict(seen, shown.anyway)
        plain = windowed(seen.prediction.pixels, how)
        if heat is None:
            picture = markup.viewer(png(plain), seen, None, None, how, method)
            return shown, verdict, markup.EMPTY_BARS, picture, _hidden()
        bars = markup.bars(seen.prediction.probabilities, self.predictor.thresholds, shown.finding)
        if view == PLAIN:
            picture = markup.viewer(png(plain), seen, None, None, how, method)
            return shown, verdict, bars, picture, _hidden()
        over = png(with_heat(seen.prediction.pixels, heat, self.crop, how, method))
        if view == COMPARE:
            caption = markup.caption_only(heat, seen, shown.finding, how, method)
            return shown, verdict, bars, caption, gr.update(value=(png(plain), over), visible=True)
        picture = markup.viewer(over, seen, shown.finding, heat, how, method)
        return shown, verdict, bars, picture, _hidden()

    async def look(self, path: Any, method: str, view: str, *look: Any) -> tuple:
        """A new picture."""
        seen = await self.desk.look(path)
        shown = Shown(seen, self.desk.first(seen))
        return (*await self.show(shown, method, view, *look), None)

    async def example(self, method: str, view: str, *rest: Any) -> tuple:
        """One of the examples; `rest` ends with the event."""
        *look, event = rest
        example = by_name(getattr(event, "example", None))
        if example is None:
            raise ConfigError("There is no such example.")
        seen = await self.desk.look_at_example(example.path)
        shown = Shown(seen, self.desk.first(seen))
        return await self.show(shown, method, view, *look)

    async def again(self, shown: Shown | None, method: str, view: str, *look: Any) -> tuple:
        """The same picture after a control was moved; before any picture, nothing."""
        if shown is None:
            return (gr.skip(),) * 5
        self.desk.check(shown.seen, shown.finding, method)
        return await self.show(shown, method, view, *look)

    async def choose(self, shown: Shown | None, method: str, view: str, *rest: Any) -> tuple:
        """Another finding; `rest` ends with the event."""
        *look, event = rest
        finding = getattr(event, "finding", None)
        seen = shown.seen if shown else None
        self.desk.check(seen, finding, method)
        return await self.show(Shown(seen, finding, shown.anyway), method, view, *look)

    async def act(self, shown: Shown | None, method: str, view: str, *rest: Any) -> tuple:
        """A button of the verdict."""
        *look, event = rest
        self.desk.check(shown.seen if shown else None, self.desk.findings[0], method)
        if getattr(event, "act", None) == "correct":
            seen = await self.desk.correct(shown.seen)
            shown = Shown(seen, self.desk.first(seen))
        else:
            shown = Shown(shown.seen, shown.finding, True)
        return await self.show(shown, method, view, *look)

    async def predict(self, path: Any) -> tuple[Shown, dict[str, Any]]:
        """Endpoint: probabilities and the first heatmap of a picture."""
        if path is None:
            raise said(ConfigError("Found no picture, expected one."))
        seen = await self.desk.look(path)
        shown = Shown(seen, self.desk.first(seen), True)
        return shown, self.result(seen) | await self._heatmap(shown, CLOSED_FORM, Look())

    async def heatmap(
        self, shown: Shown | None, finding: Any, method: str, *look: Any
    ) -> dict[str, Any]:
        """Endpoint: another heatmap of the picture that `predict` was given."""
        self.desk.check(shown.seen if shown else None, finding, method)
        return await self._heatmap(Shown(shown.seen, finding), method, Look(*look))

    async def download(self, shown: Shown | None, method: str, view: str, *rest: Any) -> str:
        """A file to take home, as the page's script wants it."""
        del view
        *look, event = rest
        kind, how = getattr(event, "kind", None), Look(*look)
        self.desk.check(shown.seen if shown else None, shown and shown.finding, method)
        if kind not in downloads.KINDS or not shown.open:
            raise ConfigError("There is nothing to take home yet.")
        heat = await self.desk.heat(shown.seen, shown.finding, method)
        return await asyncio.to_thread(self._pack, kind, shown, heat, how, method)

    def _pack(self, kind: str, shown: Shown, heat: np.ndarray, how: Look, method: str) -> str:
        seen = shown.seen
        if kind == "json":
            data = downloads.as_json(self.result(seen))
            return downloads.delivery("chexnet.json", "application/json", data)
        over = png(with_heat(seen.prediction.pixels, heat, self.crop, how, method))
        name = spoken(shown.finding)
        if kind == "overlay":
            return downloads.delivery(f"chexnet_{shown.finding}.png", "image/png", over)
        said = f"{method} heatmap of {name}"
        if not heat.any():
            said = f"Nothing in this picture speaks for {name}"
        plain = png(windowed(seen.prediction.pixels, how))
        scale = downloads.legend_of(heat, how, method)
        data = downloads.report(self.result(seen), self.weights, plain, over, said, scale)
        return downloads.delivery("chexnet_report.html", "text/html", data)

    def result(self, seen: Seen) -> dict[str, Any]:
        """The answer as plain values; nothing of it says whose picture it was."""
        prediction = seen.prediction
        return {
            "notice": markup.NOT_FOR_DIAGNOSIS,
            "trained_on_phantoms": self.predictor.phantoms,
            "probabilities": prediction.probabilities,
            "thresholds": self.predictor.thresholds,
            "over_threshold": self.predictor.findings_over_threshold(prediction),
            "gate": {
                "kind": seen.verdict.kind,
                "fine": seen.verdict.fine,
                "message": seen.verdict.message,
            },
        }

    async def _heatmap(self, shown: Shown, method: str, look: Look) -> dict[str, Any]:
        heat = await self.desk.heat(shown.seen, shown.finding, method)
        pixels = shown.seen.prediction.pixels
        over = await asyncio.to_thread(
            lambda: png(with_heat(pixels, heat, self.crop, look, method))
        )
        return {
            "finding": shown.finding,
            "method": method,
            "speaks_for_it": bool(heat.any()),
            "unit": "logits" if method == CLOSED_FORM else "none",
            "heatmap": heat.tolist(),
            "overlay": data_url(over),
        }


def _hidden() -> Any:
    return gr.update(value=None, visible=False)


def build(desk: Desk, weights: str) -> gr.Blocks:
    """Build the page.

    Args:
        desk: answers.
        weights: the file's name as the page shows it.
    """
    page = Page(desk, weights)
    with gr.Blocks(
        title="chexnet", analytics_enabled=False, delete_cache=guard.SWEEP, fill_width=True
    ) as blocks:
        own_html(markup.header(weights, desk.predictor.phantoms))
        shown = gr.State(None, time_to_live=guard.KEPT_SECONDS)
        with gr.Tab("Radiograph"):
            with gr.Row(elem_classes="cx-main"):
                with gr.Column(scale=6, min_width=320):
                    upload = Upload(
                        desk.folder,
                        label="A chest radiograph: PNG, JPEG, TIFF, WebP or DICOM; drop, choose, paste",
                        file_types=ENDINGS,
                        height=110,
                        elem_id="cx-upload",
                    )
                    examples = own_html(markup.examples(), EXAMPLE_JS, elem_id="cx-examples")
                    viewer = own_html(markup.EMPTY_VIEW, js=VIEW_JS, elem_id="cx-viewer")
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
                            list(METHODS), value=CLOSED_FORM, label="Heatmap method"
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
                    bars = own_html(markup.EMPTY_BARS, js=BARS_JS, elem_id="cx-findings")
                    take = own_html(downloads.BUTTONS, DOWNLOAD_JS, elem_id="cx-take")
                    # Never drawn: its script makes a file of what it is given.
                    given = own_html("", DELIVERY_JS, html_template=" ", elem_id="cx-given")
                    own_html(f'<p class="cx-small">{markup.KEPT}</p>')
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
        bars.click(_with_event(page.choose), [shown, *controls], outputs, **at_once)
        examples.click(_from_example(page.example), controls, outputs, **waits)
        gate.click(_with_event(page.act), [shown, *controls], outputs, **waits)

        take.click(_with_event(page.download), [shown, *controls], [given], **at_once)

        named = gr.Button(visible=False)
        named.click(
            guarded(page.predict),
            [upload],
            [shown, answer],
            api_name="predict",
            concurrency_limit=None,
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


def _with_event(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Give the browser's event to a function as its last argument; Gradio goes by type hints."""
    answered = guarded(function)

    async def called(
        shown: Any,
        method: Any,
        view: Any,
        opacity: Any,
        colours: Any,
        scale: Any,
        level: Any,
        window: Any,
        invert: Any,
        event: gr.EventData,
    ) -> Any:
        return await answered(
            shown, method, view, opacity, colours, scale, level, window, invert, event
        )

    return called


def _from_example(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    answered = guarded(function)

    async def called(
        method: Any,
        view: Any,
        opacity: Any,
        colours: Any,
        scale: Any,
        level: Any,
        window: Any,
        invert: Any,
        event: gr.EventData,
    ) -> Any:
        return await answered(method, view, opacity, colours, scale, level, window, invert, event)

    return called


def look_of_page() -> dict[str, Any]:
    """Theme, style and script, for `Blocks.launch`."""
    return {"theme": theme(), "css": CSS, "js": page_js()}
