"""From an upload to an analysis, without Gradio: the demo's only way to the network.

Shapes: D classes, h w cells of a heatmap, H W pixels.
"""

import asyncio
import ctypes
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from chexnet.errors import ConfigError
from chexnet.explain import CLOSED_FORM
from chexnet.imaging.radiograph import Radiograph
from chexnet.inference.predictor import ModelInput, Prediction, Predictor
from chexnet.labels import FINDINGS
from chexnet.overlay import MAX_SIDE
from demo import security
from demo.examples import OPENING, Example
from demo.kept import Analysis, Kept
from demo.uploads import Uploads

BATCH = 8
"""Radiographs in one batch when many wait; larger batches take no less time each on a CPU."""
READERS = 2
"""Pictures decoded at once: the largest takes 0.3 GB while it is."""


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
        kept: what visitors may ask again.
        opening: the answered example that a page opens on.
    """

    def __init__(self, predictor: Predictor, folder: Path) -> None:
        """Start the threads, and run everything once so that the first visitor need not wait."""
        self.predictor, self.folder = predictor, folder
        self.uploads = Uploads(folder)
        self.kept = Kept()
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

    async def analyse(self, data: bytes | Path, corrected: int = 0) -> Analysis:
        """Read a picture and ask the network.

        Args:
            data: the file's bytes; a path only of ours.
            corrected: how often the picture is turned and inverted as its verdict says.

        Raises:
            Busy: too many are waiting.
            ImageError: it cannot be read as a radiograph.
        """
        with self.admission.one():
            loop = asyncio.get_running_loop()
            read, shape = await loop.run_in_executor(self._readers, self._read, data)
            for _ in range(corrected):
                verdict = read.verdict
                upright = read.radiograph.corrected(verdict.turns, verdict.inverted)
                read = await asyncio.to_thread(self.predictor.read, upright)
                shape = shape[::-1] if verdict.turns % 2 else shape
            return _analysis(read, shape, await asyncio.wrap_future(self._batcher.submit(read)))

    async def analyse_upload(self, path: Path) -> Analysis:
        """The same of an upload, which is removed; see `analyse`."""
        try:
            return await self.analyse(path)
        finally:
            self.uploads.discard(path)  # whatever happened, also for one who is turned away

    async def analyse_example(self, example: Example) -> Analysis:
        """The same of an example, kept for as long as the demo runs."""
        if example is OPENING:
            return self.opening
        analysis = replace(await self.analyse(example.path), example=example.title)
        self.kept.add(analysis)
        return analysis

    async def heatmap(
        self, analysis: Analysis, finding: str, method: str = CLOSED_FORM
    ) -> np.ndarray:
        """The heatmap of one finding, float32 (h, w).

        Raises:
            ConfigError: unknown finding or method.
            Busy: a method that needs the network again, and too many are waiting.
        """
        self.check(finding, method)
        if method == CLOSED_FORM:
            return analysis.prediction.heatmap(finding)
        key = finding, method
        if key not in analysis.maps:  # a class that looks at one example asks for it together
            analysis.maps[key] = asyncio.ensure_future(self._other(analysis, *key))
        try:
            return await asyncio.shield(analysis.maps[key])  # one who leaves stops nobody's
        except Exception:
            analysis.maps.pop(key, None)  # the next may try again
            raise

    async def _other(self, analysis: Analysis, finding: str, method: str) -> np.ndarray:
        with self._methods.one():
            asked = partial(self.predictor.heatmap, analysis.prediction, finding, method)
            heatmap = await asyncio.get_running_loop().run_in_executor(self._slow, asked)
        if not self._methods.count:
            self._slow.submit(_give_memory_back)
        return heatmap

    def predict_one(self, radiograph: Radiograph) -> Prediction:
        """The network's answer for a picture of ours; waits in the same line as the visitors."""
        return self._batcher.submit(self.predictor.read(radiograph)).result()

    def check(self, finding: object, method: object) -> None:
        """Refuse what a page would not ask.

        Raises:
            ConfigError: see `heatmap`; the message repeats nothing of the request.
        """
        if finding not in self.findings:
            raise ConfigError(f"Expected one of these findings: {', '.join(self.findings)}.")
        methods = self.predictor.methods
        if method not in methods:
            raise ConfigError(f"Expected one of these methods: {', '.join(methods)}.")

    def _read(self, data: bytes | Path) -> tuple[ModelInput, tuple[int, int]]:
        """A picture's input, with the radiograph at display size, and its own shape."""
        given = data.read_bytes() if isinstance(data, Path) else data
        read = self.predictor.read(given, max_pixels=security.MAX_PIXELS)
        height, width = read.radiograph.pixels.shape
        return replace(read, radiograph=read.radiograph.reduced(MAX_SIDE)), (height, width)

    def _answered(self, example: Example) -> Analysis:
        """An example's answer. Everything runs once, so that the first visitor need not wait."""
        read, shape = self._read(example.path)
        prediction = self._batcher.submit(read).result()
        self.predictor.overlay(read.radiograph, prediction, self.findings[0])
        analysis = replace(_analysis(read, shape, prediction), example=example.title)
        self.kept.add(analysis)
        return analysis


def _analysis(read: ModelInput, shape: tuple[int, int], prediction: Prediction) -> Analysis:
    radiograph = read.radiograph
    return Analysis(prediction, read.verdict, radiograph.facts, shape, radiograph)


def _give_memory_back() -> None:
    """Hand freed memory to the system: glibc keeps 0.2 GB of what backward passes leave."""
    with suppress(AttributeError, OSError, TypeError):  # another C library
        ctypes.CDLL(None).malloc_trim(0)
