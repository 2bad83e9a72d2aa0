"""A heatmap laid over its radiograph."""

import json
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image

from chexnet.transforms import Preprocessing

COLOURS = ("inferno", "cividis", "viridis", "magma")
"""Perceptually uniform maps of Matplotlib that colour-blind readers can use."""

COLORMAPS = Path(__file__).with_name("colormaps.json")
"""Their colours, and those of a two-sided map: read here and by the demo's page."""

TOP = 8.0
"""Heat, in logits, that has the brightest colour of the absolute scale: a finding of bias -4 would
have probability 0.98 if every cell looked like that."""

MAX_SIDE = 768
"""Side of an overlay in pixels: what a page shows, and quick to compress."""


@cache
def _colours(name: str) -> np.ndarray:
    """A map's 256 colours, float64 (256, 3) in 0..255."""
    tables = json.loads(COLORMAPS.read_text(encoding="utf-8"))
    return np.array(tables["one_sided"][name], float)


def enlarge(heat: np.ndarray, shape: tuple[int, int]) -> np.ndarray:
    """A heatmap between its cells: bicubic, mirrored at the centres of its outer cells.

    Resizing without the mirror overshoots outwards of them, so that whatever is hottest in an
    outer cell would seem to lie on the picture's very edge.

    Args:
        heat: float (h, w).
        shape: height and width in pixels, at least h and w.

    Returns:
        float32 (H, W); it may fall below the least cell.
    """
    reach = 2  # cells on each side that a cubic looks at
    padded = Image.fromarray(np.pad(heat.astype(np.float32), reach, mode="reflect"))
    inner = (reach, reach, reach + heat.shape[1], reach + heat.shape[0])
    return np.asarray(padded.resize(shape[::-1], Image.Resampling.BICUBIC, box=inner))


def spread(heat: np.ndarray, shape: tuple[int, int], preprocessing: Preprocessing) -> np.ndarray:
    """Resize a heatmap to the picture that its network saw the centre of.

    Args:
        heat: float (h, w), at least 0.
        shape: height and width of the picture in pixels.
        preprocessing: of the network; outside of the frame that it saw the heat is 0.

    Returns:
        float32 (H, W), bicubic, at least 0.
    """
    height, width = shape
    left, top, right, bottom = preprocessing.frame(width, height)
    whole = np.zeros(shape, np.float32)
    seen = enlarge(heat, (bottom - top, right - left))
    whole[top:bottom, left:right] = np.clip(seen, 0, None)
    return whole


def overlay(
    pixels: np.ndarray,
    heat: np.ndarray,
    preprocessing: Preprocessing,
    *,
    opacity: float = 0.5,
    colours: str = "inferno",
    top: float = TOP,
) -> np.ndarray:
    """Lay a heatmap over a radiograph.

    Where there is no heat the radiograph is left as it is.

    Args:
        pixels: uint8 (H, W).
        heat: float (h, w), at least 0, see `Explanation.heatmaps`.
        preprocessing: of the network, which says what it saw of the picture.
        opacity: 0 to 1 of the greatest heat.
        colours: a name of `COLOURS`.
        top: heat that has the brightest colour; pass the map's own maximum to stretch it.

    Returns:
        uint8 (H', W', 3), at most 768 pixels a side.
    """
    image = Image.fromarray(pixels)
    image.thumbnail((MAX_SIDE, MAX_SIDE))
    gray = np.asarray(image)
    strength = np.clip(spread(heat, gray.shape, preprocessing) / max(top, 1e-9), 0, 1)
    # One look-up of 256 strengths x 256 grays: 5 ms at 768 x 768, where arithmetic took 30.
    steps = np.linspace(0, 1, 256)
    share = (opacity * steps**0.5)[:, None, None]
    colour = _colours(colours)[:, None]
    mixed = np.arange(256)[None, :, None] * (1 - share) + colour * share
    table = mixed.round().astype(np.uint8).reshape(-1, 3)
    place = (strength * 255).astype(np.uint16)
    place *= 256
    place += gray
    return table[place]
