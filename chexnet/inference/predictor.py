"""From a picture to probabilities and heatmaps: the one door that the demo and the scripts use.

Shapes: D classes, h w cells of a heatmap, H W pixels.
"""

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from chexnet.errors import ConfigError, ImageError
from chexnet.evaluation.metrics import sigmoid
from chexnet.evaluation.thresholds import validation_choices
from chexnet.explain import CLOSED_FORM, METHODS
from chexnet.imaging.radiograph import read_radiograph
from chexnet.inference.engine import TorchEngine, file_digest, open_engine
from chexnet.inference.gate import judge
from chexnet.inference.onnx_runtime import cores
from chexnet.labels import FINDINGS
from chexnet.overlay import overlay
from chexnet.transforms import item_pixels


@dataclass(frozen=True)
class Prediction:
    """The network's answer for one picture.

    Attributes:
        probabilities: label to calibrated probability in [0, 1], in the network's order.
        heatmaps: float32 (D, h, w), at least 0, in the network's own logits, before calibration:
            see `Explanation.heatmaps`.
        pixels: uint8 (H, W), the picture in its own size.
        item: uint8 (size, size), what the network saw.
    """

    probabilities: dict[str, float]
    heatmaps: np.ndarray
    pixels: np.ndarray
    item: np.ndarray

    def heatmap(self, label: str) -> np.ndarray:
        """The heatmap of one class, float32 (h, w).

        Raises:
            ConfigError: the network has no such class.
        """
        return self.heatmaps[_index(list(self.probabilities), label)]


class Predictor:
    """A network that answers for pictures. Holds no state between calls; threads may share it.

    Attributes:
        metadata: what the weights file says of itself.
        engine: what computes, for a reader.
        methods: heatmap methods that it has.
        classes: labels in the network's order.
        thresholds: label to the calibrated probability at which validation was best (Youden),
            None where validation had too few such images.
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
        self._engine = open_engine(weights, device, engine, on_export)
        self._mark = file_digest(weights)
        self._second: TorchEngine | None = None
        self._loading = threading.Lock()
        self.methods = (CLOSED_FORM,) if weights.suffix == ".onnx" else METHODS
        self.metadata, self.engine = self._engine.metadata, self._engine.name
        self.classes = list(self.metadata.classes)
        chosen = validation_choices(self.metadata)
        self._calibrations = chosen.calibrations if chosen else {}
        thresholds = chosen.thresholds if chosen else {}
        self.thresholds: dict[str, float | None] = {
            name: (thresholds.get(name) or {}).get("youden") for name in self.classes
        }

    def item(self, source: Path | bytes) -> np.ndarray:
        """The bytes that the network sees: uint8 (size, size), the same as in a data set.

        Raises:
            ImageError: the picture cannot be read.
        """
        return self.item_of(read_radiograph(source).as_uint8())

    def item_of(self, pixels: np.ndarray) -> np.ndarray:
        """The same of a picture that is read already, uint8 (H, W), bone white."""
        return item_pixels(pixels, self.metadata.preprocessing)

    def predict(self, sources: Sequence[Path | bytes]) -> list[Prediction]:
        """Probabilities and heatmaps for pictures, computed as one batch.

        Raises:
            ImageError: a picture cannot be read.
        """
        return self.predict_pixels([read_radiograph(source).as_uint8() for source in sources])

    def predict_pixels(self, pictures: Sequence[np.ndarray]) -> list[Prediction]:
        """The same for pictures that are read already, each uint8 (H, W), bone white."""
        items = [self.item_of(pixels) for pixels in pictures]
        return self.predict_items(items, pictures)

    def predict_items(
        self, items: Sequence[np.ndarray], pictures: Sequence[np.ndarray]
    ) -> list[Prediction]:
        """The same where `item` was called before, or its answer was turned or inverted.

        Args:
            items: what the network sees of each, uint8 (size, size).
            pictures: what an overlay shows of each, uint8 (H, W).
        """
        if not items:
            return []
        logits, heatmaps = self._engine(np.stack(items))
        answers = sigmoid(logits)
        for column, name in enumerate(self.classes):
            if name in self._calibrations:
                answers[:, column] = self._calibrations[name](answers[:, column])
        return [
            Prediction(dict(zip(self.classes, map(float, answer), strict=True)), heat, pixels, item)
            for answer, heat, pixels, item in zip(answers, heatmaps, pictures, items, strict=True)
        ]

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

        index, network = _index(self.classes, label), self._torch()
        inputs = network.inputs(np.stack([prediction.item]))
        return package_heatmap(network.model, inputs, index, method).numpy()

    def overlay(self, prediction: Prediction, label: str, **look: Any) -> np.ndarray:
        """The closed form's heatmap over the picture, uint8 (H', W', 3); `look` as in `overlay`."""
        crop = self.metadata.preprocessing.crop
        return overlay(prediction.pixels, prediction.heatmap(label), crop, **look)

    def findings_over_threshold(self, prediction: Prediction) -> list[str]:
        """Findings whose probability reaches their threshold, the most probable first."""
        chosen = [
            name
            for name, value in prediction.probabilities.items()
            if name in FINDINGS
            and self.thresholds[name] is not None
            and value >= self.thresholds[name]
        ]
        return sorted(chosen, key=lambda name: -prediction.probabilities[name])

    def _torch(self) -> TorchEngine:
        """The network in PyTorch, which the package's methods need; loaded when first asked for."""
        if isinstance(self._engine, TorchEngine):
            return self._engine
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


def _index(classes: list[str], label: str) -> int:
    if label not in classes:
        raise ConfigError(f"Found finding {label!r}, expected one of {', '.join(classes)}.")
    return classes.index(label)


class FileResult(NamedTuple):
    """What came of one file.

    Attributes:
        path: the file.
        answer: the prediction, or the reason why there is none.
        doubt: the gate's, empty where it has none.
    """

    path: Path
    answer: Prediction | str
    doubt: str


class _Read(NamedTuple):
    pixels: np.ndarray
    item: np.ndarray
    doubt: str


def looked_at(predictor: Predictor, paths: Sequence[Path], batch_size: int) -> Iterator[FileResult]:
    """Yield every file's answer, in order; at most two batches are in memory."""
    batches = [paths[start : start + batch_size] for start in range(0, len(paths), batch_size)]
    with ThreadPoolExecutor(cores()) as pool:

        def reading(batch: Sequence[Path]) -> list[Future]:
            return [pool.submit(_read, predictor, path) for path in batch]

        waiting = reading(batches[0]) if batches else []
        for number, batch in enumerate(batches):
            read = [future.result() for future in waiting]
            waiting = reading(batches[number + 1]) if number + 1 < len(batches) else []
            good = [one for one in read if isinstance(one, _Read)]
            items, pictures = [one.item for one in good], [one.pixels for one in good]
            answers = iter(predictor.predict_items(items, pictures))
            for path, one in zip(batch, read, strict=True):
                if isinstance(one, _Read):
                    yield FileResult(path, next(answers), one.doubt)
                else:
                    yield FileResult(path, one, "")


def _read(predictor: Predictor, path: Path) -> _Read | str:
    try:
        radiograph = read_radiograph(path)
    except ImageError as error:
        return str(error)
    pixels = radiograph.as_uint8()
    return _Read(pixels, predictor.item_of(pixels), judge(radiograph).message)
