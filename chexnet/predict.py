"""From a picture to probabilities and heatmaps: the one door that the demo and the scripts use.

Shapes: D classes, h w cells of a heatmap, H W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from chexnet.data.splits import name_hashes
from chexnet.distributed import pick_device
from chexnet.errors import ConfigError
from chexnet.evaluation.calibration import from_card
from chexnet.evaluation.metrics import sigmoid
from chexnet.explain import CLOSED_FORM, explain, package_heatmap
from chexnet.images import read_radiograph
from chexnet.labels import FINDINGS
from chexnet.model import load_weights
from chexnet.overlay import overlay
from chexnet.phantom.patients import FIRST_NUMBER, PATIENTS_PER_SEED
from chexnet.transforms import item_pixels, normalise


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
        card: what the weights file says of itself.
        classes: labels in the network's order.
        thresholds: label to the calibrated probability at which validation was best (Youden),
            None where validation had too few such images.
    """

    def __init__(self, weights: Path, device: str = "auto") -> None:
        """Load a weights file.

        Raises:
            CheckpointError: see `load_weights`.
        """
        model, self.card = load_weights(weights)
        self._model = model.to(pick_device(device)).requires_grad_(False)
        self.classes = list(self.card.classes)
        chosen: dict[str, Any] = self.card.validation.get("thresholds", {})
        self.thresholds: dict[str, float | None] = {
            name: (chosen.get(name) or {}).get("youden") for name in self.classes
        }
        self._calibrations = from_card(self.card.validation)

    @property
    def phantoms(self) -> bool:
        """True where the network was trained on drawn radiographs."""
        told = self.card.provenance.get("data", {}).get("phantoms")
        if told is not None:
            return bool(told)
        # Files of before this was noted: the hashes of the first seed's patient numbers tell it.
        numbers = range(FIRST_NUMBER, FIRST_NUMBER + PATIENTS_PER_SEED)
        trained = self.card.provenance.get("trained_patients")
        return trained is not None and bool(np.isin(name_hashes(map(str, numbers)), trained).any())

    def item(self, source: Path | bytes) -> np.ndarray:
        """The bytes that the network sees: uint8 (size, size), the same as in a data set.

        Raises:
            ImageError: the picture cannot be read.
        """
        return self.item_of(read_radiograph(source).as_uint8())

    def item_of(self, pixels: np.ndarray) -> np.ndarray:
        """The same of a picture that is read already, uint8 (H, W), bone white."""
        return item_pixels(pixels, self.card.preprocessing)

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
        explained = explain(self._model, self._inputs(items))
        answers = sigmoid(explained.logits.cpu().numpy())
        for column, name in enumerate(self.classes):
            if name in self._calibrations:
                answers[:, column] = self._calibrations[name](answers[:, column])
        heatmaps = explained.heatmaps.cpu().numpy()
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
        inputs = self._inputs([prediction.item])
        return package_heatmap(self._model, inputs, _index(self.classes, label), method).numpy()

    def overlay(self, prediction: Prediction, label: str, **look: Any) -> np.ndarray:
        """The closed form's heatmap over the picture, uint8 (H', W', 3); `look` as in `overlay`."""
        crop = self.card.preprocessing.crop
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

    def _inputs(self, items: Sequence[np.ndarray]) -> torch.Tensor:
        device = next(self._model.parameters()).device
        batch = torch.from_numpy(np.stack(items))[:, None].to(device)
        return normalise(batch, self.card.preprocessing)


def _index(classes: list[str], label: str) -> int:
    if label not in classes:
        raise ConfigError(f"Found finding {label!r}, expected one of {', '.join(classes)}.")
    return classes.index(label)
