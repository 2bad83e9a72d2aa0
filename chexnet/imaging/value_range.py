"""Which stored values are black and white, in a picture of more than 8 bits without a window.

Least and greatest value will not do: one hot pixel of 65,535 above a chest of 12 bits turns it
black. Percentiles will not do either: the brightest thousandth of a radiograph takes up to 41 % of
its range (letters, metal), and a range that is 3 % too narrow moves answers by up to 0.07. So only
outliers are left out, and the two kinds are told by what hardly any of 2,471 whole radiographs has:

- Markers, dead lines, hot pixels: at most `FEW` of the pixels, beyond a stretch of `FAR` of the
  range that holds none. The longest such stretch in those radiographs is 0.23.
- A lone pixel, or two: further from its neighbours than `ALONE` times what they differ among
  themselves, be they smooth or noisy. Strokes of letters are not: they hang together. At each end
  `LOOKED_AT` of the pixels are looked at; `LEAST` of the range is not worth a change.

A few of those radiographs have such a pixel themselves; it takes about 1 % of their range.

Shapes: H W are the picture's height and width, V the values that occur in it.
"""

import numpy as np

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT

FEW, FAR = 0.02, 0.25
ALONE, LEAST, LOOKED_AT = 4, 0.005, 1 / 2000


def histogram(pixels: np.ndarray) -> np.ndarray:
    """Count how often each value of uint8 or uint16 (H, W) occurs: int64 (256,) or (65536,)."""
    size = np.iinfo(pixels.dtype).max + 1
    counts = np.zeros(size, np.int64)
    # In parts, because bincount copies to int64.
    for part in np.array_split(pixels.ravel(), 1 + pixels.size // 2**20):
        counts += np.bincount(part, minlength=size)
    return counts


def value_range(pixels: np.ndarray, counts: np.ndarray) -> tuple[int, int]:
    """Find the values that stand for black and white.

    Args:
        pixels: uint16 (H, W).
        counts: `histogram` of those pixels that belong to the picture.

    Returns:
        The least and the greatest value that is no outlier.

    Raises:
        ImageError: that is one value.
    """
    values = np.flatnonzero(counts)
    low, high = _without_far(values, counts[values])
    few = LOOKED_AT * counts.sum()
    values = values[(values >= low) & (values <= high)]
    ends = []
    for sign in (-1, 1):
        inwards = values[::-sign]
        near = int(np.searchsorted(np.cumsum(counts[inwards]), few, side="right"))
        lone = _lone(pixels, inwards[:near], sign) if near else 0
        wins = abs(int(inwards[lone]) - int(inwards[0])) >= LEAST * (high - low)
        ends.append(int(inwards[lone if wins else 0]))
    if ends[0] == ends[1]:
        raise ImageError(f"is blank: every pixel has the same value. {EXPORT}")
    return ends[0], ends[1]


def _without_far(values: np.ndarray, counts: np.ndarray) -> tuple[int, int]:
    """Cut few pixels off that lie beyond an empty stretch, at both ends, until there are none."""
    below = np.cumsum(counts)  # (V,) pixels up to each value
    few, first, last = FEW * below[-1], 0, len(values) - 1
    while True:
        gaps = np.flatnonzero(np.diff(values) >= FAR * (values[last] - values[first]))
        gaps = gaps[(gaps >= first) & (gaps < last)]
        above = gaps[(below[-1] - below[gaps] <= few) & (gaps > first)]
        under = gaps[(below[gaps] <= few) & (gaps < last - 1)]
        if len(above):
            last = above[0]
        elif len(under):
            first = under[-1] + 1
        else:
            return int(values[first]), int(values[last])


def _lone(pixels: np.ndarray, values: np.ndarray, sign: int) -> int:
    """How many of the darkest (sign -1) or brightest values only lone pixels have, from the end."""
    height, width = pixels.shape
    places = np.flatnonzero((pixels >= values.min()) & (pixels <= values.max()))
    y, x = np.divmod(places, width)
    ring = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]
    # Beyond the edge the picture is mirrored.
    around = [
        pixels[
            height - 1 - np.abs(height - 1 - np.abs(y + dy)),
            width - 1 - np.abs(width - 1 - np.abs(x + dx)),
        ]
        for dy, dx in ring
    ]
    near = np.sort(sign * np.array(around, np.int64), axis=0)  # (8, P)
    own = sign * pixels.ravel()[places].astype(np.int64)
    # One of the eight may be an outlier itself.
    alone = own - near[-2] > ALONE * (near[-2] - near[0])
    held = np.isin(values, sign * own[~alone])
    return int(held.argmax()) if held.any() else len(values)
