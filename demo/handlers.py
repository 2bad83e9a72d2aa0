"""What happens when a visitor does something; holds no visitor's data itself."""

import asyncio
import functools
import json
import secrets
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Any

import gradio as gr

from chexnet.errors import ChexnetError, ConfigError
from chexnet.explain import CLOSED_FORM
from demo import answer
from demo.components import user_error
from demo.examples import by_name
from demo.pictures import DisplaySettings, png, with_heat
from demo.security import upload_inside
from demo.service import EXPIRED, Analysis, Service


@dataclass(frozen=True)
class PageState:
    """One visitor's page: what is kept between clicks.

    Attributes:
        analysis: the picture and the network's answer.
        open: the result may be seen: the gate did not object, or the visitor went on.
    """

    analysis: Analysis
    open: bool

    def __deepcopy__(self, memo: dict[int, Any]) -> "PageState":
        """Itself: Gradio copies states, and nothing in it is changed."""
        return self


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


def told(act: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
    """Make every refusal a message for the page's script, which shows it until the next choice."""

    @functools.wraps(act)
    async def called(event: gr.EventData, state: Any) -> tuple[Any, str]:
        try:
            found: tuple[Any, str] = await act(event, state)
        except Exception as error:
            return gr.skip(), _message("problem", {"text": user_error(error).message})
        return found

    return called


class Handlers:
    """The page's and the named API's answers."""

    def __init__(self, service: Service) -> None:
        """Answer through `service`."""
        self.service, self.predictor = service, service.predictor

    async def upload(self, path: Any) -> tuple[PageState, str]:
        """A new picture."""
        return await self._show(await self.service.analyse(path))

    async def opening(self) -> tuple[PageState, str]:
        """The example that every page opens on, answered at the start."""
        fresh = {"id": secrets.token_hex(8), "since": time.monotonic(), "maps": {}}
        return await self._show(replace(self.service.opening, **fresh))

    async def example(self, event: gr.EventData) -> tuple[PageState, str]:
        """One of the examples."""
        example = by_name(getattr(event, "example", None))
        return await self._show(await self.service.analyse_example(example))

    async def act(self, event: gr.EventData, state: PageState | None) -> tuple[Any, str]:
        """A picture, a button of the gate, or another heatmap method of the viewer."""
        action = getattr(event, "action", None)
        if action == "upload":
            path = upload_inside(getattr(event, "path", None), self.service.folder)
            return await self.upload(path)
        if action == "opening":
            return await self.opening()
        if action == "example":
            return await self.example(event)
        if action == "method":
            return gr.skip(), await self._method(event, state)
        self.service.check(state.analysis if state else None, self.service.findings[0])
        if action == "correct":
            return await self._show(await self.service.correct(state.analysis))
        if state.analysis.radiograph is None:
            raise ConfigError(EXPIRED)
        return await self._show(state.analysis, anyway=True)

    async def _show(self, analysis: Analysis, anyway: bool = False) -> tuple[PageState, str]:
        """Send everything that the browser can show, and keep no more than it may ask for."""
        # In a thread, so that nobody else waits for the encoding.
        content = await asyncio.to_thread(
            answer.page_answer, analysis, self.predictor, anyway=anyway
        )
        may_see = analysis.verdict.fine or anyway
        kept = analysis.without_radiograph() if may_see else analysis
        return PageState(kept, may_see), _message("answer", content)

    async def _method(self, event: gr.EventData, state: PageState | None) -> str:
        finding, method = getattr(event, "finding", None), getattr(event, "method", None)
        analysis = state.analysis if state else None
        try:
            self.service.check(analysis, finding, method)
            if not state.open:
                raise ConfigError(EXPIRED)
            heat = await self.service.heatmap(analysis, finding, method)
        except ChexnetError as error:
            return _message("problem", {"text": str(error)})
        cells = {"cells": list(heat.shape), "data": answer.floats(heat)}
        return _message("map", {"finding": finding, "method": method, "id": analysis.id, **cells})

    async def predict(self, path: Any) -> tuple[PageState, dict[str, Any]]:
        """Endpoint: probabilities, evidence and the first heatmap of a picture."""
        if path is None:
            raise user_error(ConfigError("Found no picture, expected one."))
        analysis = await self.service.analyse(path)
        finding = self.service.first(analysis)
        heat = await self._heatmap(analysis, finding, CLOSED_FORM, DisplaySettings())
        return PageState(analysis, True), answer.result(analysis, self.predictor) | heat

    async def heatmap(
        self, state: PageState | None, finding: Any, method: str, *settings: Any
    ) -> dict[str, Any]:
        """Endpoint: another heatmap of the picture that `predict` was given."""
        analysis = state.analysis if state else None
        self.service.check(analysis, finding, method)
        if analysis.radiograph is None or not state.open:
            raise ConfigError(EXPIRED)
        return await self._heatmap(analysis, finding, method, DisplaySettings(*settings))

    async def _heatmap(
        self, analysis: Analysis, finding: str, method: str, settings: DisplaySettings
    ) -> dict[str, Any]:
        heat = await self.service.heatmap(analysis, finding, method)
        seen = self.predictor.metadata.preprocessing
        pixels = analysis.radiograph.pixels
        overlay = await asyncio.to_thread(
            lambda: png(with_heat(pixels, heat, seen, settings, method))
        )
        return answer.heatmap_result(finding, method, heat, overlay)


def _message(kind: str, content: dict[str, Any]) -> str:
    """A message for the page's script; the time makes two equal ones two messages."""
    return json.dumps({"kind": kind, "at": time.monotonic_ns(), "content": content})
