"""From a picture to probabilities: the one door to the network for the demo and the scripts."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from chexnet.evaluation.metrics import sigmoid
from chexnet.images import read_radiograph
from chexnet.model import load_weights
from chexnet.transforms import item_pixels, normalise


@dataclass(frozen=True)
class Prediction:
    """The network's answer for one picture: label to probability in [0, 1], canonical order."""

    probabilities: dict[str, float]


class Predictor:
    """A network that answers for pictures. Holds no state between calls; threads may share it.

    Attributes:
        card: what the weights file says of itself.
    """

    def __init__(self, weights: Path, device: str = "cpu") -> None:
        """Load a weights file.

        Raises:
            CheckpointError: see `load_weights`.
        """
        model, self.card = load_weights(weights)
        self._model = model.to(device)

    def item(self, source: Path | bytes) -> np.ndarray:
        """The bytes that the network sees: uint8 (size, size), the same as in a data set.

        Raises:
            ImageError: the picture cannot be read.
        """
        return item_pixels(read_radiograph(source).as_uint8(), self.card.preprocessing)

    def predict(self, sources: Sequence[Path | bytes]) -> list[Prediction]:
        """Probabilities for pictures, computed as one batch.

        Raises:
            ImageError: a picture cannot be read.
        """
        items = torch.from_numpy(np.stack([self.item(source) for source in sources]))[:, None]
        device = next(self._model.parameters()).device
        with torch.inference_mode():
            logits = self._model(normalise(items.to(device), self.card.preprocessing))
        answers = sigmoid(logits.float().cpu().numpy())
        return [
            Prediction(dict(zip(self.card.classes, map(float, row), strict=True)))
            for row in answers
        ]
