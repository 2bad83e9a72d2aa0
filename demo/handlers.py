"""The answers to what a visitor does; holds no visitor's data itself."""

import asyncio
import functools
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import gradio as gr
import numpy as np

from chexnet.errors import ConfigError
from chexnet.explain import CLOSED_FORM
from chexnet.labels import spoken
from demo import downloads, rendering
from demo.components import data_url, user_error
from demo.examples import by_name
from demo.pictures import DisplaySettings, png, windowed, with_heat
from demo.service import Analysis, Service

HEATMAP, COMPARE, PLAIN = "Heatmap", "Compare", "Radiograph"
VIEWS = (HEATMAP, COMPARE, PLAIN)


@dataclass(frozen=True)
class PageState:
    """One visitor's page: what is kept between clicks.

    Attributes:
        seen: the picture and what the network said.
        finding: whose heatmap is shown.
        anyway: the visitor asked for the result although the gate objected.
    """

    seen: Analysis
    finding: str
    anyway: bool = False

    def __deepcopy__(self, memo: dict[int, Any]) -> "PageState":
        """Itself: Gradio copies states, and nothing in it is changed."""
        return self

    @property
    def open(self) -> bool:
        """Whether the result may be seen."""
        return self.seen.verdict.fine or self.anyway


def guarded(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Turn every exception into words for the visitor; none shows a traceback.

    What comes back has the function's own signature: Gradio gives the browser's event to the
    argument that is annotated with it.
    """

    @functools.wraps(function)
    async def called(*arguments: Any) -> Any:
        try:
            return await function(*arguments)
        except gr.Error:
            raise
        except Exception as error:
            raise user_error(error) from None

    return called


class Handlers:
    """The page's answers. Holds the desk and no visitor's data."""

    def __init__(self, desk: Service, weights: str) -> None:
        """Answer through `desk`."""
        self.desk, self.weights = desk, weights
        self.predictor = desk.predictor
        self.crop = desk.predictor.metadata.preprocessing.crop

    async def show(
        self, shown: PageState, method: str, view: str, *look: Any
    ) -> tuple[PageState, str, str, str, Any]:
        """State, verdict, bars, viewer and pair."""
        how = DisplaySettings(*look)
        heat = None
        if shown.open:
            heat = await self.desk.heat(shown.seen, shown.finding, method)
        # In a thread, so that nobody else waits for the drawing.
        return await asyncio.to_thread(self._draw, shown, heat, method, view, how)

    def _draw(
        self,
        shown: PageState,
        heat: np.ndarray | None,
        method: str,
        view: str,
        how: DisplaySettings,
    ) -> tuple[PageState, str, str, str, Any]:
        seen = shown.seen
        verdict = rendering.verdict(seen, shown.anyway)
        plain = windowed(seen.radiograph.pixels, how)
        if heat is None:
            picture = rendering.viewer(png(plain), seen, None, None, how, method)
            return shown, verdict, rendering.EMPTY_BARS, picture, _hidden()
        bars = rendering.bars(
            seen.prediction.probabilities, self.predictor.thresholds, shown.finding
        )
        if view == PLAIN:
            picture = rendering.viewer(png(plain), seen, None, None, how, method)
            return shown, verdict, bars, picture, _hidden()
        over = png(with_heat(seen.radiograph.pixels, heat, self.crop, how, method))
        if view == COMPARE:
            caption = rendering.caption_only(heat, seen, shown.finding, how, method)
            return shown, verdict, bars, caption, gr.update(value=(png(plain), over), visible=True)
        picture = rendering.viewer(over, seen, shown.finding, heat, how, method)
        return shown, verdict, bars, picture, _hidden()

    async def look(self, path: Any, method: str, view: str, *look: Any) -> tuple:
        """A new picture."""
        seen = await self.desk.look(path)
        shown = PageState(seen, self.desk.first(seen))
        return (*await self.show(shown, method, view, *look), None)

    async def example(self, event: gr.EventData, method: str, view: str, *look: Any) -> tuple:
        """One of the examples."""
        example = by_name(getattr(event, "example", None))
        if example is None:
            raise ConfigError("There is no such example.")
        seen = await self.desk.analyse_example(example.path)
        shown = PageState(seen, self.desk.first(seen))
        return await self.show(shown, method, view, *look)

    async def again(self, shown: PageState | None, method: str, view: str, *look: Any) -> tuple:
        """The same picture after a control was moved; before any picture, nothing."""
        if shown is None:
            return (gr.skip(),) * 5
        self.desk.check(shown.seen, shown.finding, method)
        return await self.show(shown, method, view, *look)

    async def choose(
        self, event: gr.EventData, shown: PageState | None, method: str, view: str, *look: Any
    ) -> tuple:
        """Another finding."""
        finding = getattr(event, "finding", None)
        seen = shown.seen if shown else None
        self.desk.check(seen, finding, method)
        return await self.show(PageState(seen, finding, shown.anyway), method, view, *look)

    async def act(
        self, event: gr.EventData, shown: PageState | None, method: str, view: str, *look: Any
    ) -> tuple:
        """A button of the verdict."""
        self.desk.check(shown.seen if shown else None, self.desk.findings[0], method)
        if getattr(event, "act", None) == "correct":
            seen = await self.desk.correct(shown.seen)
            shown = PageState(seen, self.desk.first(seen))
        else:
            shown = PageState(shown.seen, shown.finding, True)
        return await self.show(shown, method, view, *look)

    async def predict(self, path: Any) -> tuple[PageState, dict[str, Any]]:
        """Endpoint: probabilities and the first heatmap of a picture."""
        if path is None:
            raise user_error(ConfigError("Found no picture, expected one."))
        seen = await self.desk.look(path)
        shown = PageState(seen, self.desk.first(seen), True)
        return shown, self.result(seen) | await self._heatmap(shown, CLOSED_FORM, DisplaySettings())

    async def heatmap(
        self, shown: PageState | None, finding: Any, method: str, *look: Any
    ) -> dict[str, Any]:
        """Endpoint: another heatmap of the picture that `predict` was given."""
        self.desk.check(shown.seen if shown else None, finding, method)
        return await self._heatmap(PageState(shown.seen, finding), method, DisplaySettings(*look))

    async def download(
        self, event: gr.EventData, shown: PageState | None, method: str, view: str, *look: Any
    ) -> str:
        """A file to take home, as the page's script wants it."""
        del view
        kind, how = getattr(event, "kind", None), DisplaySettings(*look)
        self.desk.check(shown.seen if shown else None, shown and shown.finding, method)
        if kind not in downloads.KINDS or not shown.open:
            raise ConfigError("There is nothing to take home yet.")
        heat = await self.desk.heat(shown.seen, shown.finding, method)
        return await asyncio.to_thread(self._pack, kind, shown, heat, how, method)

    def _pack(
        self, kind: str, shown: PageState, heat: np.ndarray, how: DisplaySettings, method: str
    ) -> str:
        seen = shown.seen
        if kind == "json":
            data = downloads.as_json(self.result(seen))
            return downloads.delivery("chexnet.json", "application/json", data)
        over = png(with_heat(seen.radiograph.pixels, heat, self.crop, how, method))
        name = spoken(shown.finding)
        if kind == "overlay":
            return downloads.delivery(f"chexnet_{shown.finding}.png", "image/png", over)
        said = f"{method} heatmap of {name}"
        if not heat.any():
            said = f"Nothing in this picture speaks for {name}"
        plain = png(windowed(seen.radiograph.pixels, how))
        scale = downloads.legend_of(heat, how, method)
        data = downloads.report(self.result(seen), self.weights, plain, over, said, scale)
        return downloads.delivery("chexnet_report.html", "text/html", data)

    def result(self, seen: Analysis) -> dict[str, Any]:
        """The answer as plain values; nothing of it says whose picture it was."""
        prediction = seen.prediction
        return {
            "notice": rendering.NOT_FOR_DIAGNOSIS,
            "trained_on": self.predictor.metadata.trained_on,
            "probabilities": prediction.probabilities,
            "thresholds": self.predictor.thresholds,
            "over_threshold": self.predictor.findings_over_threshold(prediction),
            "gate": {
                "kind": seen.verdict.kind,
                "fine": seen.verdict.fine,
                "message": seen.verdict.message,
            },
        }

    async def _heatmap(
        self, shown: PageState, method: str, look: DisplaySettings
    ) -> dict[str, Any]:
        heat = await self.desk.heat(shown.seen, shown.finding, method)
        pixels = shown.seen.radiograph.pixels
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
