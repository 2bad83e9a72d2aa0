"""Is this a frontal chest radiograph, upright and not inverted? An answer in words.

Shapes: V views, C channels, H W pixels, K kinds of picture.

One small network (`gate.npz`, learned by `dev.gate`) says how much a thumbnail looks like an
upright frontal chest radiograph. A picture that does is let through. Any other is turned and
inverted, and what the network thinks of it then tells what is wrong: where one of these views
looks right the picture lies that way; where none does it is no chest radiograph. The gate never
refuses: whoever asked may go on, and the answer is there to be shown beside the result.
"""

import base64
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from chexnet.imaging.radiograph import Radiograph

FINE, ELSE = "frontal chest radiograph", "not a chest radiograph"
SIDE, DOWN, INVERTED = "on its side", "upside down", "inverted"
THUMBNAIL = 64
"""Side of what the network sees, pixels."""
STRIDE_FROM = 256
"""Pixels are skipped down to this many a side before averaging, so that time does not grow."""
TAILS = (1.0, 99.0)
"""Percentiles of the thumbnail that become 0 and 1; a letter or a marker counts for nothing."""
EVEN = 0.0
"""Log-odds from which a view counts as right: more likely than not, as the network was trained.
No picture chose it. `dev.gate --check` counts what it flags."""
SURE = 0.75
"""Probability from which the message names what the picture is instead of a radiograph. The rule:
the smallest of 0.40, 0.45, ... at which under 5 % of photographs that were not learned from are
named something else. Of 29 photographs of other Python packages and 20 random parts of each
(n = 609) 5.6 % are at 0.70 and 4.6 % at 0.75; `dev.gate --check --others` counts them."""
KINDS = ("radiograph", "other view", "photograph", "slice", "text", "side view")
"""What the network tells apart, in the order of its outputs."""
PARAMETERS = Path(__file__).with_name("gate.npz")

_WHAT = {
    "photograph": "This seems to be a photograph, not a radiograph.",
    "slice": "This seems to be a slice of a CT or MR scan, not a radiograph.",
    "text": "This seems to be text, a drawing or a screenshot, not a radiograph.",
    "side view": "This seems to be a side view (lateral), not a frontal radiograph.",
    "everyday": "This seems to be a photograph or a drawing, not a radiograph.",
    "": "This does not look like a frontal chest radiograph.",
}
_HOW = {
    1: (SIDE, "seems to lie on its side: turn it by a quarter to the left?"),
    2: (DOWN, "seems to be upside down: turn it by a half?"),
    3: (SIDE, "seems to lie on its side: turn it by a quarter to the right?"),
}
_INVERTED = "seems inverted (bones dark, lungs bright): invert it?"
_TRUST = "What the network says of it means little."


def plain() -> dict[str, Any]:
    """All that `judge` goes by, as plain values, for who judges without Python (a browser).

    Returns:
        `layers`: shape of each weight, and weight and bias as base64 of float32, little-endian;
        the constants of this module, and its `words`.
    """
    layers = [
        {"shape": list(weight.shape), "weight": _base64(weight), "bias": _base64(bias)}
        for weight, bias in _network().layers
    ]
    return {
        "side": THUMBNAIL,
        "stride_from": STRIDE_FROM,
        "tails": TAILS,
        "even": EVEN,
        "sure": SURE,
        "kinds": KINDS,
        "layers": layers,
        "words": {
            "fine": FINE,
            "else": ELSE,
            "what": _WHAT,
            "how": _HOW,
            "inverted": (INVERTED, _INVERTED),
            "trust": _TRUST,
        },
    }


def _base64(values: np.ndarray) -> str:
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


@dataclass(frozen=True)
class Verdict:
    """What the gate thinks of one picture.

    Attributes:
        kind: `frontal chest radiograph`, `not a chest radiograph`, `on its side`, `upside down`
            or `inverted`. A picture that is turned and inverted has the kind of its turn.
        message: plain sentences for a student; empty where the picture is fine.
        score: log-odds of an upright, frontal chest radiograph that is not inverted.
        turns: quarter turns to the left (as `numpy.rot90` counts) that set it upright, 0 to 3.
        inverted: True where turning light and dark over would set it right.
    """

    kind: str
    message: str
    score: float
    turns: int = 0
    inverted: bool = False

    @property
    def fine(self) -> bool:
        """True where nothing has to be said."""
        return self.kind == FINE


def judge(radiograph: Radiograph, network: "Network | None" = None) -> Verdict:
    """Say whether a picture is an upright frontal chest radiograph, and if not, what it may be.

    Only brightness decides, never colour, size or format. Pure and safe from several threads.

    Args:
        radiograph: what `read_radiograph` returned.
        network: another one than that of `gate.npz`, to measure how well learning goes.

    Returns:
        The verdict; nothing is refused.
    """
    network = network or _network()
    upright = thumbnail(radiograph)
    logs = network.outputs(_mirrored(upright[None]))  # (2, K)
    score = float(log_odds(logs).mean())
    if score >= EVEN:
        return Verdict(FINE, "", score)
    views = np.stack([np.rot90(upright, turns) for turns in range(4)])
    views = np.concatenate([views, 1 - views])  # (8, H, W)
    scores = log_odds(network.outputs(_mirrored(views))).reshape(2, 8).mean(axis=0)  # (8,)
    scores[0] = -np.inf  # it was not fine as it is
    best = int(scores.argmax())
    if scores[best] < EVEN:
        return Verdict(ELSE, f"{_WHAT[name_of(logs)]} {_TRUST}", score)
    turns, inverted = best % 4, best >= 4
    kind, says = _HOW.get(turns, (INVERTED, _INVERTED))
    if turns and inverted:
        says = f"{says[:-1]}, and {_INVERTED}"
    return Verdict(kind, f"The picture {says}", score, turns, inverted)


def outputs(radiograph: Radiograph) -> np.ndarray:
    """Log-probabilities (2, K) of a picture and of its mirror image."""
    return _network().outputs(_mirrored(thumbnail(radiograph)[None]))


def name_of(logs: np.ndarray, sure: float | None = None) -> str:
    """Name what a picture is instead of a radiograph, as far as the network is sure.

    Args:
        logs: log-probabilities (V, K) of its views.
        sure: probability from which it is named; None for `SURE`.

    Returns:
        `photograph`, `slice`, `text`, `side view`, `everyday` (a photograph or text) or nothing.
    """
    sure = SURE if sure is None else sure
    chances = dict(zip(KINDS, np.exp(logs).mean(axis=0), strict=True))
    likeliest = max(KINDS[2:], key=lambda kind: chances[kind])
    if chances[likeliest] >= sure:
        return likeliest
    return "everyday" if chances["photograph"] + chances["text"] >= sure else ""


def thumbnail(radiograph: Radiograph, side: int = THUMBNAIL) -> np.ndarray:
    """Reduce a picture to what the network sees.

    Args:
        radiograph: of any size and either depth.
        side: pixels a side of the result.

    Returns:
        float32 (side, side) in [0, 1]: the 1st and 99th percentile became 0 and 1, so that
        inverting the picture gives 1 minus the same thumbnail.
    """
    height, width = radiograph.pixels.shape
    rows, columns = (max(1, length // STRIDE_FROM) for length in (height, width))
    sparse = radiograph.pixels[::rows, ::columns].astype(np.float32)
    small = np.asarray(Image.fromarray(sparse).resize((side, side), Image.Resampling.BOX))
    return stretch(small)


def stretch(picture: np.ndarray) -> np.ndarray:
    """Map the 1st and the 99th percentile to 0 and 1 and clip; float32, the same shape."""
    low, high = np.percentile(picture, TAILS)
    # A picture that is flat but for a few pixels has no range; it stays flat.
    stretched: np.ndarray = np.clip((picture - low) / max(high - low, 1e-6), 0, 1)
    return stretched.astype(np.float32)


def log_odds(outputs: np.ndarray) -> np.ndarray:
    """Log-odds of the first kind, from the log-probabilities of all; (V, K) to (V,)."""
    others = outputs[:, 1:]
    top = others.max(axis=1, keepdims=True)
    rest: np.ndarray = top[:, 0] + np.log(np.exp(others - top).sum(axis=1))
    odds: np.ndarray = outputs[:, 0] - rest
    return odds


@dataclass(frozen=True)
class Network:
    """Four convolutions of stride 2 and two linear layers, in numpy: torch takes seconds to load.

    Attributes:
        layers: weight and bias of each; convolutions are (C_out, C_in, k, k).
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]

    def outputs(self, views: np.ndarray) -> np.ndarray:
        """Log-probabilities (V, K) of thumbnails (V, H, W) in [0, 1]."""
        x = (2 * views - 1)[:, None]  # (V, 1, H, W)
        for weight, bias in self.layers:
            if weight.ndim == 4:
                x = np.maximum(_convolve(x, weight) + bias[:, None, None], 0)
                continue
            x = x.reshape(len(x), -1) @ weight.T + bias
            if len(weight) > len(KINDS):
                x = np.maximum(x, 0)
        x = x - x.max(axis=1, keepdims=True)
        logs: np.ndarray = x - np.log(np.exp(x).sum(axis=1, keepdims=True))
        return logs


def _convolve(x: np.ndarray, weight: np.ndarray) -> np.ndarray:
    """Stride 2, padded by half the kernel: (V, C_in, H, W) to (V, C_out, H/2, W/2)."""
    size = weight.shape[-1]
    half = size // 2
    views, channels, height, width = x.shape
    padded = np.zeros((views, channels, height + 2 * half, width + 2 * half), x.dtype)
    padded[:, :, half : half + height, half : half + width] = x
    # By place in the kernel first, so that whole rows are copied: twice as quick as by pixel.
    windows = np.empty((channels, size, size, views, height // 2, width // 2), x.dtype)
    for row, column in np.ndindex(size, size):
        shifted = padded[:, :, row : row + height : 2, column : column + width : 2]
        windows[:, row, column] = shifted.transpose(1, 0, 2, 3)
    out = weight.reshape(len(weight), -1) @ windows.reshape(channels * size**2, -1)
    folded: np.ndarray = out.reshape(-1, views, height // 2, width // 2)
    return folded.transpose(1, 0, 2, 3)


def _mirrored(views: np.ndarray) -> np.ndarray:
    """The views and their mirror images, whose mean is steadier: (V, H, W) to (2 V, H, W)."""
    return np.concatenate([views, views[:, :, ::-1]])


@cache
def _network() -> Network:
    with np.load(PARAMETERS, allow_pickle=False) as stored:
        pairs = [(stored[f"weight{n}"], stored[f"bias{n}"]) for n in range(len(stored.files) // 2)]
        # Stored in 16 bits, which changes no score by more than some hundredths.
        return Network(tuple((w.astype(np.float32), b.astype(np.float32)) for w, b in pairs))
