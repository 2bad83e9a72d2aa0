"""One chest on a pixel grid: where everything is, and the layers that findings change.

H, W = size, size pixels. Maps are float32 (H, W). Attenuation (`mu`) is in units in which the
middle of the trunk is about 3, a lung takes away about 1.7 and air outside the body is 0.
"""

import math

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw, ImageFilter

from chexnet.phantom.anatomy import Anatomy, Pose

Box = tuple[float, float, float, float]
"""x, y, width, height in the 1024 x 1024 frame of `BBox_List_2017.csv`."""
FRAME = 1024
CANVAS = 1024
"""Lines are drawn on a canvas of this many pixels a side at every size, then reduced."""
_STEPS = 2048  # rows of the tables along v in [-0.5, 1.5]


def smoothstep(x: np.ndarray) -> np.ndarray:
    """Rise from 0 (x <= 0) to 1 (x >= 1) with level ends."""
    x = np.clip(x, 0, 1)
    risen: np.ndarray = x * x * (3 - 2 * x)
    return risen


class Chest:
    """Geometry and layers of one picture.

    Attributes:
        u, v: body coordinates of the pixels.
        left: True where u > 0 (the patient's left).
        across: distance from the midline, |u|.
        side, inner: half-widths of lung and mediastinum at each pixel's height.
        wall: distance to the pleura at the side and top, positive inside.
        floor: distance to the diaphragm, positive above it.
        middle: distance to the mediastinum, positive on the lung's side.
        lung: 0 to 1, both lungs, the part behind the heart included.
        heart: 0 to 1, the root of the great vessels included; `heart_rho` is of the heart alone.
        heart_centre, heart_half: (u, v) of the heart's middle; half of its width.
        air: thickness of aerated lung, 0 to about 1.
        vessels: attenuation of the vessels in the lungs.
        bronchi: 0 to 1, the large branches alone, where air may show in a filled lung.
        solid: attenuation of what is no lung.
        fill: share of the air spaces filled with something else, 0 to 1.
        extra: attenuation added at last, signed.
    """

    def __init__(self, anatomy: Anatomy, pose: Pose, size: int):
        """Lay out the chest; the layers are filled by `chexnet.phantom.body`."""
        self.anatomy, self.pose, self.size = anatomy, pose, size
        line = ((np.arange(size) + 0.5) / size).astype(np.float32)
        u, v = pose.body(line[None, :], line[:, None])
        self.u, self.v = u.astype(np.float32), v.astype(np.float32)
        self.left = self.u > 0
        self._tables()
        row = np.clip((self.v + 0.5) * (_STEPS / 2), 0, _STEPS - 1).astype(np.int32)
        row += _STEPS * self.left
        across = np.abs(self.u)
        self.across = across
        self.side = self._lateral.ravel()[row]  # half-width of the lung at this height
        slope = self._steep.ravel()[row]
        self.wall = (self.side - across) * slope
        self.inner = self._medial.ravel()[row]
        self.middle = across - self.inner
        self.floor = self._floor()
        edge = 0.004
        inside = np.minimum(self.wall, self.floor)
        self.lung = smoothstep(inside / edge + 0.5) * smoothstep(self.middle / 0.008 + 0.5)
        self.heart_rho, shadow = self._heart()
        self.heart = smoothstep((1 - shadow) / 0.08 + 0.5)
        self.heart *= smoothstep(self.floor / 0.05 + 1.2)
        depth = np.sqrt(np.clip(self.wall / 0.11, 0, 1)) * 0.55 + 0.45
        depth *= 1 - 0.30 * smoothstep((0.30 - self.v + anatomy.apex - 0.125) / 0.22)
        # A little lung lies behind the heart, less towards the spine.
        behind = 0.22 * smoothstep(self.middle / 0.12 + 0.2)
        self.air = self.lung * depth * anatomy.aeration * (1 - (1 - behind) * self.heart)
        zeros = np.zeros_like(self.u)
        self.vessels, self.solid, self.fill, self.extra = (zeros.copy() for _ in range(4))
        self.bronchi = zeros

    def _tables(self) -> None:
        a = self.anatomy
        v = np.linspace(-0.5, 1.5, _STEPS)
        self._lateral = np.zeros((2, _STEPS), np.float32)
        self._steep = np.zeros((2, _STEPS), np.float32)
        self._medial = np.zeros((2, _STEPS), np.float32)
        top = 0.115  # distance of the apex from the midline
        for side in (0, 1):
            full = 0.62  # height of the greatest width
            s = np.clip((full - v) / (full - a.apex), 0, 1)
            lateral = top + (a.width - top) * (1 - s**2.7) ** 0.58
            lateral -= 0.012 * np.clip((v - full) / 0.2, 0, 1) ** 2
            lateral = np.where(v < a.apex, top - (a.apex - v) * 3, lateral)
            slope = np.gradient(lateral, v)
            self._lateral[side] = lateral
            self._steep[side] = 1 / np.sqrt(1 + slope**2)
            k = a.knob
            lo = max(a.dome[side] - 0.2, 0.44)  # the heart's upper end
            # (height, half-width of the mediastinum): the aortic knob stands out on the left.
            if side:
                border = [(-0.5, 0.06), (a.apex, 0.052), (0.23, 0.05), (0.265, 0.056 + 0.01 * k)]
                border += [(0.295, 0.06 + 0.024 * k), (0.325, 0.06 + 0.018 * k), (0.36, 0.060)]
                border += [(0.41, 0.068), (0.46, 0.078), (lo + 0.03, 0.075), (0.9, 0.05)]
            else:
                border = [(-0.5, 0.06), (a.apex, 0.048), (0.22, 0.046), (0.30, 0.052)]
                border += [(0.38, 0.056), (0.44, 0.062), (lo + 0.03, 0.06), (0.9, 0.045)]
            medial = np.interp(v, *np.array(border).T)
            close = np.clip((v - a.apex) / 0.10, 0, 1)
            shut = top - (top - medial) * np.sqrt(1 - (1 - close) ** 2)
            shut = np.where(v < a.apex, top + (a.apex - v) * 3, shut)
            kernel = np.hanning(47)
            smooth = np.convolve(np.pad(shut, 23, mode="edge"), kernel / kernel.sum(), "valid")
            lean = (self.pose.twist + a.spine_curve * np.sin(3 * v)) * (1 if side else -1)
            self._medial[side] = np.where(v < a.apex + 0.02, shut, smooth) + lean

    def _floor(self) -> np.ndarray:
        a = self.anatomy
        dome = np.where(self.left, a.dome[1], a.dome[0]).astype(np.float32)
        sulcus = np.where(self.left, a.sulcus[1], a.sulcus[0]).astype(np.float32)
        peak = 0.16
        out = np.clip((self.across - peak) / (a.width - peak), 0, 1.15)
        into = np.clip((peak - self.across) / peak, 0, 1)
        surface = dome + sulcus * out**2.3 + 0.035 * into**2
        slope = np.clip(sulcus * 2.3 * out**1.3 / (a.width - peak), 0, 2)
        return (surface - self.v) / np.sqrt(1 + slope * slope)

    def _heart(self) -> tuple[np.ndarray, np.ndarray]:
        """Elliptic radii, 1 on the border, below 1 inside: of the heart, and with its vessels."""
        a = self.anatomy
        full = a.heart_ratio * a.width * 2
        long, short = 1.0, 0.70
        # Plain floats: a NumPy scalar of 64 bits would make every map one of 64 bits.
        c, s = math.cos(a.heart_tilt), math.sin(a.heart_tilt)
        half = math.hypot(long * c, short * s)
        size = full / 2 / half
        cu = 0.17 * full + self.pose.twist * 2
        cv = (a.dome[0] + a.dome[1]) / 2 + 0.045 - size * math.hypot(long * s, short * c)
        self.heart_centre, self.heart_half = (cu, cv), full / 2
        du, dv = self.u - cu, self.v - cv
        along, over = (c * du + s * dv) / (size * long), (c * dv - s * du) / (size * short)
        heart = np.sqrt(along * along + over * over)
        # The great vessels' root joins the heart to the upper mediastinum without a notch.
        ru, rv = (self.u - 0.012 - self.pose.twist) / 0.075, (self.v - 0.415) / 0.15
        root = np.sqrt(ru * ru + rv * rv)
        k = 7.0
        shadow = -np.log(np.exp(-k * heart.clip(0, 4)) + np.exp(-k * root.clip(0, 4))) / k
        return heart, np.minimum(shadow + 0.03, heart)

    def canvas(self) -> tuple[Image.Image, ImageDraw.ImageDraw]:
        """An empty 8-bit canvas and a pen for it; `points` gives its coordinates."""
        picture = Image.new("L", (CANVAS, CANVAS), 0)
        return picture, ImageDraw.Draw(picture)

    def points(self, u: ArrayLike, v: ArrayLike) -> list[tuple[float, float]]:
        """Canvas coordinates of places in the body."""
        x, y = self.pose.picture(np.asarray(u), np.asarray(v))
        return list(zip((x * CANVAS).tolist(), (y * CANVAS).tolist(), strict=True))

    def layer(self, picture: Image.Image, blur: float = 0.0) -> np.ndarray:
        """A canvas as a map in [0, 1] of this chest's size, blurred by `blur` canvas pixels."""
        # Blurring costs most, so it comes after halving as often as the result's size allows.
        halves = 1
        while CANVAS // (2 * halves) >= self.size:
            halves *= 2
        if halves > 1:
            picture = picture.reduce(halves)
        if blur:
            picture = picture.filter(ImageFilter.GaussianBlur(blur / halves))
        if self.size != picture.width:
            smaller = self.size < picture.width
            kind = Image.Resampling.BOX if smaller else Image.Resampling.BILINEAR
            picture = picture.resize((self.size, self.size), kind)
        return np.asarray(picture, dtype=np.float32) * np.float32(1 / 255)

    def cloud(self, rng: np.random.Generator, cells: int) -> np.ndarray:
        """Smooth noise, mean 0 and deviation about 1, with `cells` lumps across the picture."""
        coarse = rng.standard_normal((cells, cells)).astype(np.float32)
        picture = Image.fromarray(coarse).resize((self.size,) * 2, Image.Resampling.BICUBIC)
        return np.asarray(picture) * np.float32(1.4)

    def half(self, side: int) -> np.ndarray:
        """True on the patient's right (0) or left (1)."""
        return self.left if side else ~self.left

    def add_fill(self, share: np.ndarray) -> None:
        """Fill a share (0 to 1) of the air that is left."""
        self.fill = 1 - (1 - self.fill) * (1 - np.clip(share, 0, 1))

    def box(self, mask: np.ndarray) -> Box | None:
        """Tightest box round a boolean map, or None where it is empty."""
        rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
        if not len(rows):
            return None
        k = FRAME / self.size
        x, y = columns[0] * k, rows[0] * k
        return (
            float(x),
            float(y),
            float((columns[-1] + 1) * k - x),
            float((rows[-1] + 1) * k - y),
        )

    def boxes(self, *masks: np.ndarray) -> list[Box]:
        """One box for each boolean map that is not empty."""
        return [box for mask in masks if (box := self.box(mask)) is not None]

    def attenuation(self) -> np.ndarray:
        """Put the layers together."""
        lung = self.vessels - LUNG * self.air
        together: np.ndarray = self.solid + lung * (1 - self.fill) + self.extra
        return together


LUNG = 1.75
"""Attenuation that a whole thickness of aerated lung takes away from the trunk."""
