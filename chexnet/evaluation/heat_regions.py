"""Where a heatmap points: its peak, and the box round its hottest region. No torch here.

The rules stand in `chexnet.evaluation.localization`. Coordinates are fractions of what the network
saw.
"""

import numpy as np
from scipy import ndimage

from chexnet.overlay import enlarge

SIDE = 256
"""Pixels a side to which a map is resized; the pixel's centre is the point that counts."""
COMPONENT = 0.5  # of the map's maximum

Point = tuple[float, float]


def peak(heat: np.ndarray) -> Point | None:
    """Where the enlarged map is greatest, (x, y) in [0, 1]; None where nothing is above 0."""
    if not (heat > 0).any():
        return None
    row, column = np.unravel_index(np.argmax(whole := enlarge(heat, (SIDE, SIDE))), whole.shape)
    return (column + 0.5) / SIDE, (row + 0.5) / SIDE


def component_box(heat: np.ndarray) -> np.ndarray | None:
    """The box (4,) round the largest component of a map (h, w); None where nothing is above 0."""
    if not (heat > 0).any():
        return None
    whole = enlarge(heat, (SIDE, SIDE))
    marked, _ = ndimage.label(whole >= COMPONENT * whole.max())
    largest = np.argmax(np.bincount(marked.ravel())[1:])
    rows, columns = ndimage.find_objects(marked)[largest]
    return np.array([columns.start, rows.start, columns.stop, rows.stop]) / SIDE
