"""What the page shows of drawn pictures and of the weights: parts, fetched by their names.

The thresholds are computed from the start on, every other part when it is first asked for: once for
all, and kept as it is sent. Nothing here is a visitor's: all of it follows from the weights and
from drawn patients.
"""

import asyncio
import gzip
import json
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

from chexnet.errors import ConfigError
from demo.answer import answer_of
from demo.examples import EXAMPLES, Example
from demo.service import Service
from demo.teaching import curves, lessons


class Parts:
    """All parts of one running demo.

    Attributes:
        names: of all that can be asked for.
    """

    def __init__(self, service: Service) -> None:
        """Answer with the network of `service`."""
        self._service, predictor = service, service.predictor
        early = ThreadPoolExecutor(1, thread_name_prefix="thresholds")
        makers: dict[str, Callable[[], Any]] = {
            # Every lesson comes to them, and their intervals take seconds.
            "thresholds": early.submit(curves.threshold_content, predictor).result,
            "calibration": partial(curves.calibration_content, predictor),
            "split": lessons.split_content,
            "severity": partial(lessons.severity_content, predictor),
        }
        for name in lessons.TWINS:
            makers[f"twin/{name}"] = partial(lessons.twin_content, predictor, name)
        for number in range(len(lessons.PATIENTS)):
            makers[f"patient/{number}"] = partial(lessons.patient_content, predictor, number)
        self._make: dict[str, Callable[[], Awaitable[Any]]] = {
            name: partial(asyncio.to_thread, make) for name, make in makers.items()
        } | {f"example/{example.name}": partial(self._example, example) for example in EXAMPLES}
        early.shutdown(wait=False)
        self.names = tuple(self._make)
        self._made: dict[str, asyncio.Task[bytes]] = {}

    async def get(self, name: str) -> bytes:
        """The gzipped JSON of a part.

        Raises:
            ConfigError: there is no such part.
        """
        if name not in self._make:
            raise ConfigError("There is no such part of the page.")
        if name not in self._made:  # a class opens a lesson together
            self._made[name] = asyncio.ensure_future(self._packed(name))
        try:
            return await asyncio.shield(self._made[name])  # one who leaves stops nobody's
        except Exception:  # for example too many at once: the next may try again
            self._made.pop(name, None)
            raise

    async def _packed(self, name: str) -> bytes:
        text = json.dumps(await self._make[name]())
        return await asyncio.to_thread(gzip.compress, text.encode(), 6)

    async def _example(self, example: Example) -> dict[str, Any]:
        """An example's answer, with what was drawn and where."""
        analysis = await self._service.analyse_example(example)
        predictor = self._service.predictor
        shown = await asyncio.to_thread(answer_of, analysis, predictor, anyway=True)
        boxes = await asyncio.to_thread(lessons.example_boxes, example)
        return shown | {"boxes": boxes, "drawn": list(example.findings)}
