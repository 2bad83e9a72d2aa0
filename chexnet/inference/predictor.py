"""From an image file to probabilities and heatmaps: `read`, `predict`, `stream`.

Shapes: D classes, h w cells of a heatmap, H W pixels.
"""

import itertools
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.compute import CHECKED, cores
from chexnet.errors import CheckpointError, ConfigError, ImageError
from chexnet.evaluation.calibration import validation_choices
from chexnet.evaluation.metrics import sigmoid
from chexnet.explain import CLOSED_FORM, METHODS
from chexnet.files import WHOLE_LIST, installed
from chexnet.imaging.radiograph import MAX_PIXELS, Radiograph, read_radiograph
from chexnet.inference.engine import TorchEngine, file_digest, open_engine
from chexnet.inference.gate import judge
from chexnet.inference.prediction import FileResult, index_of

# Handed on: the demo meets the network by this module alone.
from chexnet.inference.prediction import ModelInput as ModelInput
from chexnet.inference.prediction import Prediction as Prediction
from chexnet.labels import FINDINGS
from chexnet.overlay import overlay
from chexnet.transforms import item_pixels

BEST = "best_chexnet_params.pth"
BETTER_THAN_STARTER = (
    "The starter weights are often wrong on real radiographs. With a network connection: "
)
"""A command that names a published network follows."""
AHEAD = 3
"""Batches that are read while one is computed: pictures of unequal sizes even out."""
STARTER = Path(__file__).parents[2] / "weights" / "starter.pth"


def starter_export() -> Path | None:
    """The starter weights as ONNX, which come with the project; None where they are not there."""
    path = STARTER.with_suffix(".onnx")
    return path if path.is_file() else None


def default_weights(root: Path = Path()) -> Path:
    """The newest run's weights under `root`, else the starter weights that come with the project.

    Raises:
        CheckpointError: the starter weights are not there.
    """
    runs = sorted(root.glob(f"runs/**/{BEST}"), key=lambda path: path.stat().st_mtime)
    if runs:
        return runs[-1]
    if starter := STARTER if STARTER.is_file() else starter_export():
        return starter
    raise CheckpointError(
        f"Found no {BEST} under runs/ and no {STARTER}. Fetch the project again, or pass "
        "--weights FILE."
    )


class Predictor:
    """A network that answers for radiographs. Threads may share it.

    `read` turns a file into an input, `predict` answers for inputs, `stream` does both for many
    files.

    Attributes:
        metadata: what the weights file says of itself.
        engine: what computes, for a reader.
        methods: heatmap methods that it has.
        more_methods: what those of the `grad-cam` package need, empty where it has them.
        classes: labels in the network's order.
        bias: label to the classifier's bias, in logits. It is no base rate.
        exported: the ONNX file that computes; None where PyTorch does.
        is_starter: whether these are the weights that come with the project.
        calibrations: label to calibration; empty where the weights file has none.
        thresholds: label to the calibrated probability at which validation was best (Youden),
            None where validation had too few such images. Those of a network from elsewhere are
            its publisher's, on the uncalibrated score.
        thresholds_of: `validation`, `publisher`, or empty where there are none.
    """

    def __init__(
        self,
        weights: Path,
        device: str = "auto",
        engine: str = "auto",
        on_export: Callable[[], None] | None = None,
    ) -> None:
        """Load a weights file, or an exported one; see `open_engine`.

        Raises:
            CheckpointError: see `load_weights`.
        """
        self._weights = weights
        self.is_starter = weights.resolve().with_suffix(".pth") == STARTER.resolve()
        shipped = starter_export() if self.is_starter else None
        self._engine = open_engine(weights, device, engine, on_export, shipped)
        self.exported: Path | None = getattr(self._engine, "path", None)
        self._mark = file_digest(weights)
        self._second: TorchEngine | None = None
        self._loading = threading.Lock()
        self.more_methods = ""
        if weights.suffix == ".onnx":
            self.more_methods = "need the weights file (.pth)"
        elif not installed("torch", "pytorch_grad_cam"):
            self.more_methods = f"need PyTorch and grad-cam: {WHOLE_LIST}"
        self.methods = (CLOSED_FORM,) if self.more_methods else METHODS
        self.metadata, self.engine = self._engine.metadata, self._engine.name
        self.classes = list(self.metadata.classes)
        self.bias = self._named(self._engine.bias)
        chosen = validation_choices(self.metadata)
        self.calibrations = chosen.calibrations if chosen else {}
        thresholds = chosen.thresholds if chosen else {}
        self.thresholds: dict[str, float | None] = {
            name: (thresholds.get(name) or {}).get("youden") for name in self.classes
        }
        self.thresholds_of = "validation" if chosen else ""
        publisher = self.metadata.validation.get("publisher_thresholds")
        if publisher and not chosen:
            self.thresholds = {name: publisher.get(name) for name in self.classes}
            self.thresholds_of = "publisher"

    @property
    def value_name(self) -> str:
        """What `Prediction.probabilities` may be called: `probability` only where calibrated."""
        return "probability" if self.calibrations else "score"

    def read(
        self, source: Path | bytes | Radiograph, *, max_pixels: int = MAX_PIXELS
    ) -> ModelInput:
        """Read one radiograph, judge it, and cut it to the network's input.

        Args:
            source: a file, its bytes, or a radiograph that was read already.
            max_pixels: a larger image is refused before it is decoded.

        Raises:
            ImageError: it cannot be read; the message can be shown to a visitor.
        """
        if isinstance(source, Radiograph):
            read = source
        else:
            read = read_radiograph(source, max_pixels=max_pixels)
        pixels = item_pixels(read.as_uint8(), self.metadata.preprocessing)
        return ModelInput(read, judge(read), pixels)

    def predict(self, inputs: Sequence[ModelInput]) -> list[Prediction]:
        """Probabilities and heatmaps of some radiographs, computed as one batch."""
        if not inputs:
            return []
        logits, contributions = self._engine(np.stack([read.pixels for read in inputs]))
        answers = sigmoid(logits)
        for column, name in enumerate(self.classes):
            if name in self.calibrations:
                answers[:, column] = self.calibrations[name](answers[:, column])
        return [
            Prediction(self._named(answer), self._named(logit), cells, read.pixels)
            for answer, logit, cells, read in zip(
                answers, logits, contributions, inputs, strict=True
            )
        ]

    def show(self, source: Path | bytes) -> Prediction:
        """Read one radiograph and predict: as the last line of a notebook's cell, a picture.

        Raises:
            ImageError: see `read`.
        """
        return self.predict([self.read(source)])[0]

    def stream(self, paths: Iterable[Path], batch_size: int = 16) -> Iterator[FileResult]:
        """Yield the result of every file, in order; further batches are read while one is computed.

        At most 1 + `AHEAD` batches are in memory. A file that cannot be read has an `error` and
        stops nothing.

        Args:
            paths: of the files; taken as they are needed.
            batch_size: radiographs that the network sees at once.
        """
        left = iter(paths)
        with ThreadPoolExecutor(cores()) as pool:
            waiting: deque[list[Future[FileResult]]] = deque()

            def read_on() -> None:
                while len(waiting) < AHEAD:
                    batch = list(itertools.islice(left, batch_size))
                    if not batch:
                        return
                    waiting.append([pool.submit(self._read_file, path) for path in batch])

            read_on()
            try:
                while waiting:
                    results = [future.result() for future in waiting.popleft()]
                    read_on()
                    readable = [result.input for result in results if result.input]
                    answers = iter(self.predict(readable))
                    for result in results:
                        yield replace(result, prediction=next(answers)) if result.input else result
            finally:
                for future in itertools.chain.from_iterable(waiting):
                    future.cancel()  # of somebody who stops looking

    def heatmap(self, prediction: Prediction, label: str, method: str = CLOSED_FORM) -> np.ndarray:
        """The heatmap of one class by any method, float32 (h, w).

        Returns:
            In logits for the closed form; 0 to 1 for the methods of the `grad-cam` package.

        Raises:
            ConfigError: an unknown class or method.
        """
        if method == CLOSED_FORM:
            return prediction.heatmap(label)
        from chexnet.grad_cam import package_heatmap

        index, network = index_of(self.classes, label), self._torch()
        inputs = network.inputs(np.stack([prediction.pixels]))
        return package_heatmap(network.model, inputs, index, method).numpy()

    def overlay(
        self, radiograph: Radiograph, prediction: Prediction, label: str, **settings: Any
    ) -> np.ndarray:
        """The closed form's heatmap over the radiograph, uint8 (H', W', 3); see `overlay`."""
        seen = self.metadata.preprocessing
        return overlay(radiograph.as_uint8(), prediction.heatmap(label), seen, **settings)

    def findings_over_threshold(self, prediction: Prediction) -> list[str]:
        """Findings whose probability reaches their threshold, the most probable first."""
        chosen = []
        for name, value in prediction.probabilities.items():
            threshold = self.thresholds[name]
            if name in FINDINGS and threshold is not None and value >= threshold:
                chosen.append(name)
        return sorted(chosen, key=lambda name: -prediction.probabilities[name])

    def _named(self, values: np.ndarray) -> dict[str, float]:
        return dict(zip(self.classes, map(float, values), strict=True))

    def _read_file(self, path: Path) -> FileResult:
        try:
            return FileResult(path, self.read(path))
        except ImageError as error:
            return FileResult(path, error=str(error))

    def _torch(self) -> TorchEngine:
        """The network in PyTorch, which the package's methods need; loaded when first asked for."""
        engine = self._engine
        if isinstance(engine, TorchEngine) and engine.device.type not in CHECKED:
            return engine  # on an Apple GPU only the closed form was compared with the CPU
        if self._weights.suffix == ".onnx":
            raise ConfigError(
                f"An exported file knows {CLOSED_FORM} only. Pass the weights file for the others."
            )
        with self._loading:
            if self._second is None:
                second = TorchEngine(self._weights, "cpu")
                if file_digest(self._weights) != self._mark:
                    raise ConfigError(
                        "The weights file has been written anew since it was opened. Open it again "
                        f"for methods other than {CLOSED_FORM}."
                    )
                self._second = second
        return self._second
