"""What goes into a network and what comes out, for one radiograph; both show themselves in Jupyter.

Shapes: D classes, h w cells of a heatmap.
"""

import base64
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from chexnet.errors import ConfigError
from chexnet.imaging.radiograph import Radiograph
from chexnet.inference.gate import Verdict
from chexnet.labels import FINDINGS, spoken
from chexnet.overlay import overlay
from chexnet.transforms import Preprocessing

_ROW = (
    "<tr><td>{name}</td><td><div style='width:12em'><div style='height:.8em;background:#0d9488;"
    "width:{value:.1%}'></div></div></td><td>{value:.3f}</td></tr>"
)
_PAGE = (
    "<div style='display:flex;gap:1em'><figure style='margin:0'><img alt='{title}' "
    "src='data:image/png;base64,{picture}'><figcaption>{title}</figcaption></figure>"
    "<table>{rows}</table></div><small>Research and education only, not for clinical use.</small>"
)


@dataclass(frozen=True)
class ModelInput:
    """One radiograph, ready for the network.

    Attributes:
        radiograph: what was read.
        verdict: whether the gate takes it for an upright frontal chest radiograph.
        pixels: uint8 (size, size), cropped and resized: what the network sees.
    """

    radiograph: Radiograph
    verdict: Verdict
    pixels: np.ndarray

    def _repr_png_(self) -> bytes:
        """The network's input, for a notebook."""
        return _png(self.pixels)


@dataclass(frozen=True)
class Prediction:
    """The network's answer for one radiograph.

    Attributes:
        probabilities: label to calibrated probability in [0, 1], in the network's order; to the
            sigmoid of the logit, a score, where the weights file has no calibration.
        logits: label to logit, before calibration.
        contributions: float32 (D, h, w), signed: what each cell adds to each logit. Their sum over
            the cells and the class's bias (`Predictor.bias`) are the logit.
        pixels: uint8 (size, size), what the network saw.
    """

    probabilities: dict[str, float]
    logits: dict[str, float]
    contributions: np.ndarray
    pixels: np.ndarray

    @property
    def heatmaps(self) -> np.ndarray:
        """Grad-CAM of every class, float32 (D, h, w), at least 0; see `Explanation.heatmaps`."""
        cells = self.contributions.shape[-2] * self.contributions.shape[-1]
        heatmaps: np.ndarray = np.maximum(self.contributions, 0) * cells
        return heatmaps

    def heatmap(self, label: str) -> np.ndarray:
        """The heatmap of one class, float32 (h, w).

        Raises:
            ConfigError: the network has no such class.
        """
        cells = self.contributions[index_of(list(self.probabilities), label)]
        heat: np.ndarray = np.maximum(cells, 0) * cells.size
        return heat

    def _repr_html_(self) -> str:
        """For a notebook: the most probable finding's heatmap, and a bar for every finding."""
        values = {name: p for name, p in self.probabilities.items() if name in FINDINGS}
        order = sorted(values, key=lambda name: -values[name])
        rows = "".join(_ROW.format(name=spoken(name), value=values[name]) for name in order)
        over, title = self.pixels, "the input"
        if order:
            over = overlay(self.pixels, self.heatmap(order[0]), Preprocessing(crop=100))
            title = f"Grad-CAM of {spoken(order[0])}"
        picture = base64.b64encode(_png(over)).decode()
        return _PAGE.format(picture=picture, title=title, rows=rows)


@dataclass(frozen=True)
class FileResult:
    """The result for one file of many.

    Attributes:
        path: the file.
        input: what was read, None where the file cannot be read.
        prediction: the network's answer, None where there is none.
        error: why the file could not be read, empty where it could.
    """

    path: Path
    input: ModelInput | None = None
    prediction: Prediction | None = None
    error: str = ""

    @property
    def answered(self) -> tuple[ModelInput, Prediction]:
        """What was read and the answer, of a file that could be read.

        Raises:
            ValueError: it could not.
        """
        if self.input is None or self.prediction is None:
            raise ValueError(f"{self.path} {self.error}")
        return self.input, self.prediction


def index_of(classes: list[str], label: str) -> int:
    """Where a label stands in the network's order.

    Raises:
        ConfigError: the network has no such class.
    """
    if label not in classes:
        raise ConfigError(f"Found finding {label!r}, expected one of {', '.join(classes)}.")
    return classes.index(label)


def _png(pixels: np.ndarray) -> bytes:
    """Pixels uint8 (H, W) or (H, W, 3) as a PNG file."""
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()
