"""From an upload to an analysis, without Gradio: the demo's only way to the network.

Shapes: D classes, h w cells of a heatmap, H W pixels.
"""

import asyncio
import ctypes
import queue
import secrets
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.errors import ConfigError
from chexnet.explain import CLOSED_FORM
from chexnet.imaging.radiograph import Facts, Radiograph
from chexnet.inference.gate import Verdict
from chexnet.inference.predictor import ModelInput, Prediction, Predictor
from chexnet.labels import FINDINGS
from chexnet.overlay import MAX_SIDE
from demo import security
from demo.examples import OPENING, Example
from demo.uploads import Uploads

BATCH = 8
"""Radiographs in one batch when many wait; larger batches take no less time each on a CPU."""
READERS = 2
"""Pictures decoded at once: the largest takes 0.3 GB while it is."""

EXPIRED = "This picture is no longer kept. Please upload it again."


@dataclass(frozen=True)
class Analysis:
    """What is kept of one picture, in memory only, for `security.KEPT_SECONDS`.

    Attributes:
        prediction: the network's answer and its input: about 70 kB.
        verdict: of the gate.
        facts: what was read beside the pixels.
        shape: height and width of the picture as it was uploaded.
        radiograph: at most 768 pixels a side, about 1 MB; None where nothing needs it any more.
        id: unguessable; tells an answer to this picture from one to another.
        since: when it was read, in seconds of `time.monotonic`.
        maps: heatmaps by other methods that were asked for already.
        example: what was drawn, of one of our examples; empty for a visitor's picture.
    """

    prediction: Prediction
    verdict: Verdict
    facts: Facts
    shape: tuple[int, int]
    radiograph: Radiograph | None
    id: str = field(default_factory=lambda: secrets.token_hex(8))
    since: float = field(default_factory=time.monotonic)
    maps: dict[tuple[str, str], np.ndarray] = field(default_factory=dict)
    example: str = ""

    def __deepcopy__(self, memo: dict[int, Any]) -> "Analysis":
        """Itself: Gradio copies states, and nothing in it is changed."""
        return self

    def without_radiograph(self) -> "Analysis":
        """The same, once the browser has the picture."""
        return replace(self, radiograph=None)


class Batcher:
    """Runs the network in one thread, for all who wait at the moment at once."""

    def __init__(
        self, run: Callable[[list[ModelInput]], list[Prediction]], size: int = BATCH
    ) -> None:
        """Start the thread; `run` answers for a list of inputs."""
        self._run, self._size = run, size
        self._waiting: queue.SimpleQueue[tuple[ModelInput, Future[Prediction]] | None] = (
            queue.SimpleQueue()
        )
        self._thread = threading.Thread(target=self._work, name="network", daemon=True)
        self._thread.start()

    def submit(self, item: ModelInput) -> "Future[Prediction]":
        """Ask for one radiograph."""
        future: Future[Prediction] = Future()
        self._waiting.put((item, future))
        return future

    def close(self) -> None:
        """End the thread when what waits is done."""
        self._waiting.put(None)
        self._thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            ended = False
            while len(batch) < self._size:
                try:
                    another = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if another is None:
                    ended = True
                    break
                batch.append(another)
            # A visitor who left has cancelled.
            batch = [(given, f) for given, f in batch if f.set_running_or_notify_cancel()]
            try:
                answers = self._run([given for given, _ in batch])
            except BaseException as error:  # each who waits has to hear of it
                for _, future in batch:
                    future.set_exception(error)
            else:
                for (_, future), answer in zip(batch, answers, strict=True):
                    future.set_result(answer)
            if ended:
                return


class Service:
    """Reads, judges, predicts and explains for all visitors. Holds nothing of any of them.

    Attributes:
        predictor: the network.
        admission: how many are being served.
        folder: the only one from which a picture is read.
        uploads: counts what lies in it.
        opening: the answered example that a page opens on.
    """

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        """Start the threads, and run everything once so that the first visitor need not wait."""
        self.predictor, self.folder = predictor, folder
        self.uploads = Uploads(folder)
        self.admission = security.Admission()
        self._methods = security.Admission(security.METHODS, "heatmaps are being computed")
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="reader")
        # One thread, as they run one at a time: each more would keep PyTorch's memory for itself.
        self._slow = ThreadPoolExecutor(1, thread_name_prefix="methods")
        self._batcher = Batcher(predictor.predict)
        self.opening = self._answered(OPENING)

    @property
    def findings(self) -> list[str]:
        """The findings that this network knows, in its order."""
        return [name for name in self.predictor.classes if name in FINDINGS]

    def close(self) -> None:
        """End the threads."""
        self.uploads.close()
        self._readers.shutdown()
        self._slow.shutdown(cancel_futures=True)
        self._batcher.close()

    async def analyse(self, path: Path) -> Analysis:
        """Read an upload, remove it, and ask the network.

        Raises:
            Busy: too many are waiting.
            ImageError: it cannot be read as a radiograph.
        """
        try:
            return await self._analyse(path)
        finally:
            self.uploads.discard(path)  # whatever happened, also for one who is turned away

    async def analyse_example(self, example: Example) -> Analysis:
        """The same of a file of ours, which stays."""
        return replace(await self._analyse(example.path), example=example.title)

    async def _analyse(self, path: Path) -> Analysis:
        with self.admission.one():
            loop = asyncio.get_running_loop()
            read, shape = await loop.run_in_executor(self._readers, self._read, path)
            return await self._predict(read, shape)

    async def correct(self, analysis: Analysis) -> Analysis:
        """Turn and invert a picture as its verdict says, and ask the network again.

        Raises:
            ConfigError: the picture is no longer kept.
        """
        verdict = analysis.verdict
        if analysis.radiograph is None:
            raise ConfigError(EXPIRED)
        with self.admission.one():
            upright = analysis.radiograph.corrected(verdict.turns, verdict.inverted)
            read = await asyncio.to_thread(self.predictor.read, upright)
            shape = analysis.shape[::-1] if verdict.turns % 2 else analysis.shape
            return await self._predict(read, shape)

    async def heatmap(
        self, analysis: Analysis, finding: str, method: str = CLOSED_FORM
    ) -> np.ndarray:
        """The heatmap of one finding, float32 (h, w).

        Raises:
            ConfigError: unknown finding or method, or the picture is no longer kept.
            Busy: a method that needs the network again, and too many are waiting.
        """
        return (await self.heatmaps(analysis, finding, [method]))[method]

    async def heatmaps(
        self, analysis: Analysis, finding: str, methods: Sequence[str]
    ) -> dict[str, np.ndarray]:
        """The same by several methods, which take one place together; see `heatmap`."""
        for method in methods:
            self.check(analysis, finding, method)
        known = analysis.maps
        missing = [m for m in methods if m != CLOSED_FORM and (finding, m) not in known]
        if missing:
            loop = asyncio.get_running_loop()
            with self._methods.one():
                for method in missing:
                    asked = (self.predictor.heatmap, analysis.prediction, finding, method)
                    known[finding, method] = await loop.run_in_executor(self._slow, *asked)
            if not self._methods.count:
                self._slow.submit(_give_memory_back)
        closed = analysis.prediction.heatmap(finding)
        return {m: closed if m == CLOSED_FORM else known[finding, m] for m in methods}

    def predict_one(self, radiograph: Radiograph) -> Prediction:
        """The network's answer for a picture of ours; waits in the same line as the visitors."""
        return self._batcher.submit(self.predictor.read(radiograph)).result()

    def check(self, analysis: object, finding: object, method: object = CLOSED_FORM) -> None:
        """Refuse what a page would not ask.

        Raises:
            ConfigError: see `heatmap`; the message repeats nothing of the request.
        """
        kept = isinstance(analysis, Analysis)
        if not kept or time.monotonic() - analysis.since > security.KEPT_SECONDS:
            raise ConfigError(EXPIRED)
        if finding not in self.findings:
            raise ConfigError(f"Expected one of these findings: {', '.join(self.findings)}.")
        methods = self.predictor.methods
        if method not in methods:
            raise ConfigError(f"Expected one of these methods: {', '.join(methods)}.")

    def first(self, analysis: Analysis) -> str:
        """The finding whose heatmap is shown first: the most probable."""
        return max(self.findings, key=analysis.prediction.probabilities.__getitem__)

    def _read(self, path: Path) -> tuple[ModelInput, tuple[int, int]]:
        """A picture's input, with the radiograph at display size, and its own shape."""
        read = self.predictor.read(path.read_bytes(), max_pixels=security.MAX_PIXELS)
        shape = read.radiograph.pixels.shape
        return replace(read, radiograph=read.radiograph.reduced(MAX_SIDE)), shape

    async def _predict(self, read: ModelInput, shape: tuple[int, int]) -> Analysis:
        prediction = await asyncio.wrap_future(self._batcher.submit(read))
        radiograph = read.radiograph
        return Analysis(prediction, read.verdict, radiograph.facts, shape, radiograph)

    def _answered(self, example: Example) -> Analysis:
        """An example's answer. Everything runs once, so that the first visitor need not wait."""
        read, shape = self._read(example.path)
        prediction = self._batcher.submit(read).result()
        self.predictor.overlay(read.radiograph, prediction, self.findings[0])
        radiograph = read.radiograph
        return Analysis(
            prediction, read.verdict, radiograph.facts, shape, radiograph, example=example.title
        )


def _give_memory_back() -> None:
    """Hand freed memory to the system: glibc keeps 0.2 GB of what backward passes leave."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
