"""Lateral chest radiographs, drawn: a body of soft tissue, air and bone, seen from its side.

Every part is a thickness along the rays, in centimetres of water; a ray adds them up. x runs from
back to front, y down from the apex of the lungs. Arrays are (FINE_SIDE, FINE_SIDE).
"""

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter

from dev.gate.making import resized
from dev.gate.shapes import spectrum, warp

FINE_SIDE = 128
"""Side of the drawing before it is averaged down, pixels."""
_LUNG = 0.75
"""What a centimetre of lung takes away from one of water."""
_ROUND = 2.4
"""Exponent of the cross-sections: 2 is an ellipse, more is nearer to a box."""


@dataclass
class Body:
    """One standing body and the plate behind it: outlines by row (FINE_SIDE, 1), else in cm.

    Attributes:
        x: of each column, (1, FINE_SIDE).
        y: of each row.
        long: the lungs' height, from the apex to the angle behind the diaphragm.
        deep: the chest's inner depth, from back to front, where it is greatest.
        spine: centre of the vertebrae.
        back: the skin behind.
        breast_bone: the lungs' border in front, and below it the belly's muscle.
        front: the skin in front.
        wide: the body from its left to its right.
        pixel: (width, height) of one.
    """

    x: np.ndarray
    y: np.ndarray
    long: float
    deep: float
    spine: np.ndarray
    back: np.ndarray
    breast_bone: np.ndarray
    front: np.ndarray
    wide: np.ndarray
    pixel: tuple[float, float]

    def row(self, outline: np.ndarray, y: np.ndarray | float) -> np.ndarray:
        """Where an outline is at height y."""
        return np.interp(y, self.y[:, 0], outline[:, 0])

    def ball(self, x: float, y: float, a: float, b: float, thick: float, angle: float = 0.0):
        """Thickness of an ellipsoid with half axes a and b, `thick` in its middle."""
        dx, dy = self.x - x, self.y - y
        c, s = np.cos(angle), np.sin(angle)
        r = ((c * dx + s * dy) / a) ** 2 + ((c * dy - s * dx) / b) ** 2
        return thick * np.sqrt(np.clip(1 - r, 0, None))

    def tube(self, x: np.ndarray, y: np.ndarray, radius: float, amount: np.ndarray | float):
        """Thickness of a bent tube from points along it, each holding `amount` (cubic cm)."""
        rows = (y - self.y[0, 0]) / self.pixel[1]
        columns = (x - self.x[0, 0]) / self.pixel[0]
        out = np.zeros((FINE_SIDE, FINE_SIDE))
        inside = (rows > 0) & (rows < FINE_SIDE - 1) & (columns > 0) & (columns < FINE_SIDE - 1)
        amount = np.broadcast_to(amount, x.shape)[inside] / (self.pixel[0] * self.pixel[1])
        np.add.at(out, (rows[inside].astype(int), columns[inside].astype(int)), amount)
        return gaussian_filter(out, (0.6 * radius / self.pixel[1], 0.6 * radius / self.pixel[0]))


def side_view(random: np.random.Generator) -> np.ndarray:
    """A lateral chest radiograph that looks to the right; float32 (SIDE, SIDE) in [0, 1]."""
    body = _body(random)
    water = _round(body, body.back, body.front) * body.wide
    water -= _LUNG * _lungs(body, random)
    water += _spine(body, random) + _ribs(body, random) + _shoulders(body, random)
    water = np.clip(water + _things(body, random), 0, None)
    return _exposed(warp(water, random, random.uniform(0, 4)), random)


def _body(random: np.random.Generator) -> Body:
    size = random.normal(1, 0.08)
    long, deep = size * random.uniform(22, 31), size * random.uniform(14, 23)
    high, across = long * random.uniform(1.05, 1.55), deep * random.uniform(1.15, 2.0)
    top, left = -high * random.uniform(0.02, 0.2), -across * random.uniform(0.4, 0.6)
    steps = (np.arange(FINE_SIDE) + 0.5) / FINE_SIDE
    x, y = (left + across * steps)[None], (top + high * steps)[:, None]
    t = y / long
    stoop, lean = random.uniform(0.5, 4), random.normal(0, 0.06)
    spine = -0.42 * deep - stoop * (1 - ((t - random.uniform(0.35, 0.55)) / 0.6) ** 2)
    spine = np.maximum(spine, -0.42 * deep - 4) + lean * (y - long / 2)
    back = (
        spine - random.uniform(3.5, 7) - random.uniform(0, 2) * np.exp(-(((t - 0.3) / 0.25) ** 2))
    )
    inlet = random.uniform(0.25, 0.45)
    rising = np.clip(t / random.uniform(0.6, 0.95), 0, 1) ** random.uniform(0.4, 0.8)
    rising = gaussian_filter(rising, (random.uniform(4, 10), 0))
    breast_bone = -0.42 * deep + deep * (inlet + (1 - inlet) * rising) + lean * (y - long / 2)
    fat = random.uniform(0.8, 4)
    front = breast_bone + fat
    if random.random() < 0.5:  # breasts
        fall, tall = random.uniform(0.5, 0.85), random.uniform(0.1, 0.22)
        below = np.where(t > fall, 0.6, 1)
        front = front + random.uniform(1, 7) * np.exp(-(((t - fall) / (tall * below)) ** 2))
    front = front + random.uniform(-2, 6) * np.clip(t - 0.75, 0, 0.5) ** 1.5  # belly
    neck = spine + random.uniform(7, 11)
    above = 1 / (1 + np.exp((t + random.uniform(-0.03, 0.1)) * random.uniform(20, 50)))
    front = (1 - above) * front + above * np.maximum(neck, breast_bone + 1)
    chest = size * random.uniform(25, 35) + fat
    wide = chest * (1 - random.uniform(0, 0.15) * np.clip(t - 0.5, 0, 1))
    wide = wide * (1 - 0.6 / (1 + np.exp((t + 0.12) * 30)))
    pixel = (across / FINE_SIDE, high / FINE_SIDE)
    return Body(x, y, long, deep, spine, back, breast_bone, front, wide, pixel)


def _round(body: Body, behind: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Share of the greatest thickness between two outlines: 1 in the middle, 0 at both."""
    middle, half = (behind + before) / 2, np.maximum((before - behind) / 2, 0.1)
    u = np.clip(np.abs(body.x - middle) / half, 0, 1)
    return (1 - u**_ROUND) ** (1 / _ROUND)


def _lungs(body: Body, random: np.random.Generator) -> np.ndarray:
    """Air along the rays: both lungs less heart, vessels and disease; windpipe; stomach."""
    x, y, long, deep = body.x, body.y, body.long, body.deep
    t = y / long
    behind = body.spine - random.uniform(1.2, 3)
    apex = np.clip((t + 0.02) / random.uniform(0.15, 0.4), 0, 1) ** 0.6
    whole = _round(body, behind, body.breast_bone) * apex
    whole *= np.maximum(body.wide - random.uniform(4, 7), 3)
    whole *= random.uniform(0.8, 1)
    u = (x - behind) / np.maximum(body.breast_bone - behind, 1)
    flat, crest = random.uniform(0.3, 1.1), random.uniform(0.5, 0.75)
    middle = random.uniform(2, 6) + np.zeros_like(whole)  # the mediastinum
    heart = random.uniform(0.75, 1.35)
    hx = body.row(body.breast_bone, 0.68 * long) - deep * random.uniform(0.28, 0.42)
    hy, tilt = long * random.uniform(0.58, 0.74), random.uniform(0.3, 1)
    a, b = heart * deep * random.uniform(0.24, 0.32), heart * long * random.uniform(0.17, 0.23)
    middle += body.ball(hx, hy, a, b, heart * random.uniform(8, 12), tilt)
    arch = body.row(body.spine, 0.3 * long) + random.uniform(3, 6)
    middle += body.ball(arch, long * random.uniform(0.15, 0.27), 3, 2.6, random.uniform(1, 6))
    middle += body.ball(
        arch + 2, 0.42 * long, *random.uniform(2, 3.4, 2), random.uniform(2, 7)
    )  # the hila
    aorta = np.abs(x - body.spine - random.uniform(1.5, 3)) / 1.3
    middle += random.uniform(0, 3) * np.sqrt(np.clip(1 - aorta**2, 0, None)) * (t > 0.2)
    middle += random.uniform(1, 6) * np.exp(-(((t - 0.02) / 0.13) ** 2))  # what fills the inlet
    if random.random() < 0.45:  # disease
        for _ in range(random.integers(1, 5)):
            place = random.uniform(-0.3, 0.45) * deep, random.uniform(0.2, 0.9) * long
            middle += body.ball(*place, *random.uniform(1, 6, 2), random.uniform(1, 9))
    middle = warp(gaussian_filter(middle, random.uniform(0.7, 3)), random, random.uniform(0, 6))
    air, domes = 0.0, random.uniform(0.68, 0.86) + random.normal(0, 0.035, 2)
    for dome in domes:
        edge = dome + flat * np.where(u < crest, 0.9 * (crest - u) ** 2, 0.35 * (u - crest) ** 2)
        edge = edge + 0.3 * np.clip(0.12 - u, 0, 1)
        fluid = random.uniform(0.05, 0.35) if random.random() < 0.12 else 0
        edge = np.minimum(edge, edge.max() if not fluid else dome + 0.25 - fluid)
        left = np.clip(1 - (t - edge) / random.uniform(0.03, 0.12), 0, 1) ** 2
        air = air + 0.5 * np.clip(whole - middle, 0, None) * np.where(t < edge, 1, 0.7 * left)
    pipe = body.row(body.spine, 0.1 * long) + random.uniform(3, 6) + 0.1 * (0.1 * long - y)
    inside = np.sqrt(np.clip(1 - ((x - pipe) / 0.9) ** 2, 0, None))
    air = air + random.uniform(1, 2.5) * inside * (t < random.uniform(0.2, 0.4))
    if random.random() < 0.5:  # gas in the stomach
        place = random.uniform(-0.1, 0.25) * deep, (domes.max() + random.uniform(0.07, 0.2)) * long
        air = air + body.ball(*place, random.uniform(1.5, 5), random.uniform(1, 3), 8)
    hilum = arch + 2, 0.42 * long
    count = random.integers(5, 30)  # vessels
    angle, bend = random.uniform(0, 2 * np.pi, (count, 1)), random.normal(0, 0.5, (count, 1))
    reach, along = random.uniform(0.1, 0.4, (count, 1)) * long, np.linspace(0, 1, 60)
    angle = angle + bend * along
    vx, vy = hilum[0] + np.cos(angle) * along * reach, hilum[1] + np.sin(angle) * along * reach
    amount = random.uniform(0.15, 0.3, (count, 1)) * reach / 60
    return np.clip(air - body.tube(vx, vy, 0.4, amount) * (air > 2), 0, None)


def _spine(body: Body, random: np.random.Generator) -> np.ndarray:
    """Vertebrae one under the other, discs between them, processes behind."""
    x, y = body.x, body.y
    grown = np.clip(1 + 0.35 * (y / body.long - 0.3), 0.7, 1.5)
    step = random.uniform(2.3, 2.9)
    phase = (y / step + random.random()) % 1
    disc = random.uniform(0.15, 0.3)
    block = 1 / (1 + np.exp((np.abs(phase - 0.5) - 0.5 + disc / 2) * 30))
    u = np.abs(x - body.spine) / (1.7 * grown)
    column = np.clip(1.15 - u**4, 0, 1) * (0.75 + 0.25 * (u > 0.7))
    strong = random.uniform(1, 5)
    arches = np.abs(x - body.spine + 3.2 * grown) / 1.6
    behind = np.clip(1 - arches**2, 0, 1) * (0.3 + 0.7 * np.abs(2 * phase - 1))
    return strong * column * (0.35 + 0.65 * block) + random.uniform(0.3, 0.8) * strong * behind


def _ribs(body: Body, random: np.random.Generator) -> np.ndarray:
    """Ribs of both sides, one nearer to the plate and so smaller than the other; breast bone."""
    points, strong = [], random.uniform(0.1, 1.1)
    shift = random.normal(0, 1.5, 2)  # the body is rarely turned by just a quarter
    slope, bulge = random.uniform(0.25, 0.5), random.uniform(1.5, 3)
    for side, larger in enumerate((1, random.uniform(1.02, 1.12))):
        for rib in range(11):
            y0 = body.long * (0.0 + 0.088 * rib) + random.normal(0, 0.2)
            angle = np.linspace(-0.5, random.uniform(2.2, 2.6) - 0.07 * max(rib - 6, 0), 240)
            y = y0 + slope * body.deep * (1 - np.cos(angle)) / 2 + 0.8 * np.sin(angle)
            behind = body.row(body.spine, y) - bulge
            before = body.row(body.breast_bone, y)
            x = (behind + before) / 2 - (before - behind) / 2 * np.cos(angle) * larger + shift[side]
            half = 0.5 * body.row(body.wide, y)
            run = np.hypot(half * np.cos(angle), 0.5 * (before - behind) * np.sin(angle))
            amount = strong * 0.8 * run * (angle[1] - angle[0])
            points.append((x, y * larger - 0.5 * (larger - 1) * body.long, amount))
    x, y, amount = np.stack(points, axis=1)
    ribs = body.tube(x, y, 0.6, amount)
    along = np.linspace(0.08, random.uniform(0.55, 0.75), 200) * body.long
    x = body.row(body.breast_bone, along) + 0.5
    return ribs + body.tube(x, along, random.uniform(0.5, 0.9), random.uniform(0.5, 3) * 0.1)


def _shoulders(body: Body, random: np.random.Generator) -> np.ndarray:
    """Raised arms, shoulder blades; of some the chin."""
    out, long = 0.0, body.long
    for _ in range(2):
        x0, y0 = random.normal(0, 3) - 0.1 * body.deep, random.uniform(-0.03, 0.14) * long
        lift = random.uniform(0.2, 1.4)
        length, thick = random.uniform(12, 20), random.uniform(3.5, 6)
        middle = x0 + np.cos(lift) * length / 2, y0 - np.sin(lift) * length / 2
        out = out + body.ball(*middle, length / 1.6, thick, 2 * thick, -lift)
        out = out + body.ball(x0, y0, *random.uniform(4, 7, 2), random.uniform(3, 12))
        along = np.linspace(0, length, 200)
        bone = body.tube(
            x0 + np.cos(lift) * along, y0 - np.sin(lift) * along, 1.1, random.uniform(2, 6) / 20
        )
        out = out + bone + body.ball(x0, y0, 2.3, 2.3, random.uniform(1, 4))
        tip = random.uniform(0.3, 0.55) * long
        start = body.row(body.spine, 0.05 * long) + random.uniform(-1, 5)
        down = np.linspace(0, 1, 150)
        blade = start + (body.row(body.spine, tip) - random.uniform(0, 4) - start) * down
        edge = random.uniform(1, 4) * tip / 150
        out = out + body.tube(blade, 0.03 * long + (tip - 0.03 * long) * down, 0.5, edge)
        wing = np.abs(body.x - body.row(body.spine, 0.25 * long)) / 4
        out = out + random.uniform(0, 3) * np.clip(1 - wing**2, 0, 1) * (body.y < tip)
    if random.random() < 0.3:
        out = out + body.ball(random.uniform(2, 10), -0.2 * long, 6, 5, random.uniform(5, 15))
    return out


def _things(body: Body, random: np.random.Generator) -> np.ndarray:
    """Clips, wires, a pacemaker: rare, and of metal."""
    out = np.zeros((FINE_SIDE, FINE_SIDE))
    if random.random() < 0.15:
        place = body.row(body.front, 0.2 * body.long) - 1.5, 0.2 * body.long
        out = out + body.ball(*place, 0.6, 2.2, 15)
    if random.random() < 0.25:
        n = 200
        x = np.cumsum(random.normal(0, 0.25, n)) + random.uniform(-0.3, 0.4) * body.deep
        y = np.linspace(random.uniform(-0.1, 0.3), random.uniform(0.4, 1), n) * body.long
        out = out + body.tube(gaussian_filter(x, 20), y, 0.25, random.uniform(0.02, 0.3))
    return out


def _exposed(water: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What the plate shows of the thickness: scatter, grain, tone, sharpening, collimation, ink."""
    light = np.exp(-random.uniform(0.1, 0.2) * water)
    veil = gaussian_filter(light, 20) * random.uniform(0.02, 0.3) + random.uniform(0.001, 0.01)
    shown = -np.log(np.minimum(light, 0.8) + veil)
    # From between air and the darkest lung to the brightest shoulder.
    dark = np.percentile(shown[water > 4], random.uniform(0, 6)) if (water > 4).any() else 0
    low = shown.min() + random.uniform(0, 1) * (dark - shown.min())
    high = np.percentile(shown, random.uniform(92, 100))
    shown = np.clip((shown - low) / max(high - low, 1e-3), 0, 1) ** random.uniform(0.7, 1.9)
    if random.random() < 0.6:  # tones are made alike over the body, not in the air around it
        inside, wide = (water > 2).astype(float), random.uniform(10, 30)
        around = gaussian_filter(inside * shown, wide) / (gaussian_filter(inside, wide) + 0.01)
        shown = shown - random.uniform(0.2, 0.8) * inside * (around - around.mean())
        shown = gaussian_filter(shown, 0.5)
    shown = shown + random.uniform(0, 1.5) * (shown - gaussian_filter(shown, random.uniform(1, 3)))
    low, high = np.percentile(shown, (0.5, 99.5))
    shown = np.clip((shown - low) / (high - low), 0, 1)
    if random.random() < 0.5:
        steep = random.uniform(2, 6)
        shown = 1 / (1 + np.exp(-steep * (shown - random.uniform(0.35, 0.65))))
    shown = shown + random.uniform(0, 0.1) * (
        spectrum(random, random.uniform(0.5, 1.5), FINE_SIDE) - 0.5
    )
    if random.random() < 0.3:
        shown = gaussian_filter(shown, random.uniform(0.5, 2))
    low, high = shown.min(), shown.max()
    shown = (shown - low) / (high - low)
    if random.random() < 0.3:  # collimated
        tone = random.choice([0, 0, 0, 1])
        first, last = random.integers(0, 14, 2), FINE_SIDE - random.integers(0, 14, 2)
        keep = np.zeros_like(shown, bool)
        keep[first[0] : last[0], first[1] : last[1]] = True
        shown = np.where(keep, shown, tone)
    if random.random() < 0.4:  # a letter
        row, column = random.integers(2, FINE_SIDE - 14, 2)
        shown[row : row + random.integers(4, 11), column : column + random.integers(3, 9)] = 1
    return resized(np.rot90(shown, random.choice(4, p=[0.88, 0.04, 0.04, 0.04])))
