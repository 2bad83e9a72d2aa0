"""Answers for the tabs "Thresholds" and "Lessons": computed when first asked for, then kept.

Nothing here is a visitor's: all of it follows from the weights and from drawn patients.
"""

import asyncio
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import gradio as gr

from chexnet.errors import ChexnetError, ConfigError
from chexnet.explain import CLOSED_FORM
from demo import answer
from demo.examples import Example, by_name
from demo.service import Analysis, Service
from demo.teaching import curves, lessons


class Teaching:
    """What both tabs ask for, part by part."""

    def __init__(self, service: Service) -> None:
        """Answer with the network of `service`; nothing is computed yet."""
        self.service, self.predictor = service, service.predictor
        self._made: dict[tuple[str, str], asyncio.Task[Any]] = {}

    async def ask(self, event: gr.EventData) -> str:
        """A part of a lesson, as a message for the page's script."""
        kind = "content"
        try:
            text = await self._part(getattr(event, "part", None), getattr(event, "of", None))
        except Exception as error:  # the page waits for an answer: it has to get one
            known = isinstance(error, ChexnetError)
            said = str(error) if known else "Something went wrong here. Please try again."
            kind, text = "problem", json.dumps(said)
        return f'{{"kind": "{kind}", "content": {text}}}'

    async def _part(self, part: Any, of: Any) -> str:
        """The JSON of a part.

        Raises:
            ConfigError: a page would not ask so.
        """
        of = of if isinstance(of, str) else ""
        if part == "thresholds":
            return await self._once((part, ""), self._thread(self._thresholds))
        if part == "calibration":
            return await self._once((part, ""), self._thread(self._calibration))
        if part == "split":
            return await self._once((part, ""), self._thread(lessons.split_content))
        if part == "patient":
            number = lessons.patient_number(of)
            return await self._once((part, of), self._thread(lambda: self._patient(number)))
        if part == "heatmap":
            example = by_name(of)
            return await self._once((part, of), lambda: self._heatmap(example))
        if part == "methods":
            name, _, finding = of.partition(" ")
            example = by_name(name)
            if finding not in self.service.findings:
                raise ConfigError("There is no such finding.")
            return await self._once((part, of), lambda: self._methods(example, finding))
        raise ConfigError("There is no such part of a lesson.")

    async def _once(self, key: tuple[str, str], make: Callable[[], Awaitable[Any]]) -> Any:
        """What `make` gives, computed once for all: a class opens a lesson together."""
        if key not in self._made:
            self._made[key] = asyncio.ensure_future(make())
        task = self._made[key]
        try:
            return await asyncio.shield(task)  # one who leaves stops nobody's
        except Exception:  # for example too many at once: the next may try again
            self._made.pop(key, None)
            raise

    def _thread(self, make: Callable[[], Any]) -> Callable[[], Awaitable[str]]:
        return lambda: asyncio.to_thread(lambda: json.dumps(make()))

    def _thresholds(self) -> dict[str, Any]:
        return curves.threshold_content(self.predictor)

    def _calibration(self) -> list[dict[str, Any]]:
        return curves.calibration_content(self.predictor)

    def _patient(self, number: int) -> dict[str, Any]:
        return lessons.patient_content(self.predictor, number)

    async def _analysis(self, example: Example) -> Analysis:
        async def made() -> Analysis:
            found = await self.service.analyse_example(example)
            return replace(found, since=math.inf)  # it is no visitor's: it does not expire

        found: Analysis = await self._once(("analysis", example.name), made)
        return found

    async def _heatmap(self, example: Example) -> str:
        analysis = await self._analysis(example)
        shown = await asyncio.to_thread(answer.page_answer, analysis, self.predictor, anyway=True)
        more = {"boxes": lessons.example_boxes(example), "drawn": list(example.findings)}
        return json.dumps(shown | more)

    async def _methods(self, example: Example, finding: str) -> str:
        """Maps of all methods for an example's finding, each 0 to 1."""
        analysis = await self._analysis(example)
        maps = {}
        found = await self.service.heatmaps(analysis, finding, self.predictor.methods)
        for method, heat in found.items():
            peak = float(heat.max()) if method == CLOSED_FORM else 1.0
            data = answer.floats(heat / (peak or 1.0))
            maps[method] = {"cells": list(heat.shape), "data": data}
        return json.dumps(maps)
