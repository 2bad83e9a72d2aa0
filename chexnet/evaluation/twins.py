"""Twins: the same drawn chest without and with one finding, and where they differ.

A heatmap may cover a box for a wrong reason. Of a drawn chest both pictures exist, so the question
can be put to a cause: a finding is drawn, the logit changes, and the map should say that it changed
where the drawing did. Everything is read in the map's own cells, h x w. A cell is *touched* where
some pixel of it, of what the network saw, differs between the twins by more than `LEVELS`.
"""

import math
from dataclasses import dataclass

import numpy as np

from chexnet.phantom.draw import draw_phantom
from chexnet.transforms import Preprocessing, item_pixels

SEED = 900
"""Of the twins' patients; no set of phantoms that weights here were trained on has it."""
SIDE = 512
"""Pixels a side of a drawing, before it is cropped and resized for the network."""
LEVELS = 3
"""Grey levels (of 255) that a pixel must change by; scattered rays change all others by less."""
FRAME = 1024
"""Side of the frame that a phantom's boxes are given in."""
SEVERITIES = (0.2, 0.4, 0.6, 0.8, 1.0)


@dataclass(frozen=True)
class Twin:
    """One drawing as the network sees it.

    Attributes:
        pixels: uint8 (size, size).
        region: inside the boxes of its finding, bool (size, size).
    """

    pixels: np.ndarray
    region: np.ndarray


def draw_twin(
    patient: int, preprocessing: Preprocessing, label: str | None = None, severity: float = 0.0
) -> Twin:
    """Draw one of the twins.

    Exposure, noise, marker and anatomy are the same for all twins of a patient; a finding that
    moves organs changes the anatomy, because that is what it is.

    Args:
        patient: 0 for the first.
        preprocessing: of the network.
        label: the finding; None for the chest without any.
        severity: above 0, at most 1.
    """
    findings = {} if label is None else {label: severity}
    drawn = draw_phantom(SEED, patient, 0, size=SIDE, findings=findings)
    region = np.zeros((preprocessing.size,) * 2, bool)
    left, top, right, bottom = preprocessing.frame(FRAME, FRAME)
    scale = preprocessing.size / np.array([right - left, bottom - top] * 2)
    for _, (x, y, width, height) in drawn.boxes:
        corners = np.array([x, y, x + width, y + height]) - [left, top, left, top]
        first, upper, last, lower = (corners * scale).clip(0).tolist()
        region[int(upper) : math.ceil(lower), int(first) : math.ceil(last)] = True
    return Twin(item_pixels(drawn.pixels, preprocessing), region)


def changed_pixels(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Where two pictures, uint8 (H, W), differ by more than `LEVELS`: bool (H, W)."""
    differs: np.ndarray = np.abs(first.astype(np.int16) - second) > LEVELS
    return differs


def touched_cells(changed: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """Cells (h, w) of a map that hold a changed pixel (H, W): bool (h, w)."""
    rows, columns = np.nonzero(changed)
    touched = np.zeros(shape, bool)
    touched[rows * shape[0] // changed.shape[0], columns * shape[1] // changed.shape[1]] = True
    return touched


def inside_share(heat: np.ndarray, touched: np.ndarray) -> float:
    """Share of a map's heat, float (h, w) at least 0, in touched cells; NaN without heat."""
    total = heat.sum()
    return float(heat[touched].sum() / total) if total > 0 else float("nan")
