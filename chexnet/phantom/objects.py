"""Things on and in the patient that are no finding: electrodes, catheters, tubes, pacemakers.

They are drawn whatever the findings are. In NIH's images they are not: a drain tells of a
pneumothorax (Oakden-Rayner et al., "Hidden stratification", CHIL 2020), and a network that reads
the drain has not seen the sign.
"""

import numpy as np
from PIL.ImageDraw import ImageDraw as Pen

from chexnet.phantom.chest import CANVAS, Chest


def draw_objects(chest: Chest, view: str, rng: np.random.Generator) -> None:
    """Add zero to a few objects; more in AP views, which are mostly taken at the bedside."""
    bedside = view == "AP"
    luck = rng.random(4) / (1.0 if bedside else 0.35)
    if luck.min() > 0.45:
        return
    picture, pen = chest.canvas()
    if luck[0] < 0.45:
        _electrodes(chest, pen, rng)
    if luck[1] < 0.30:
        _catheter(chest, pen, rng)
    if luck[2] < 0.18:
        _breathing_tube(chest, pen)
    if luck[3] < 0.14:
        _pacemaker(chest, pen, rng)
    chest.extra += 1.3 * chest.layer(picture, blur=1.0)


def _curve(chest: Chest, u: list[float], v: list[float]) -> list[tuple[float, float]]:
    """A smooth path through four corners (a cubic Bezier curve)."""
    t = np.linspace(0, 1, 30)
    weights = np.stack([(1 - t) ** 3, 3 * t * (1 - t) ** 2, 3 * t * t * (1 - t), t**3])
    return chest.points(np.array(u) @ weights, np.array(v) @ weights)


def _disc(chest: Chest, pen: Pen, u: float, v: float, radius: float, tone: int) -> None:
    ((x, y),) = chest.points([u], [v])
    r = radius * CANVAS
    pen.ellipse([x - r, y - r, x + r, y + r], fill=tone)


def _electrodes(chest: Chest, pen: Pen, rng: np.random.Generator) -> None:
    for _ in range(int(rng.integers(2, 5))):
        sign = 1 if rng.random() < 0.5 else -1
        u, v = sign * rng.uniform(0.15, 0.38), rng.uniform(0.2, 0.75)
        bow = rng.uniform(-0.12, 0.12, 4)
        end = rng.uniform(0.85, 1.1)
        path = _curve(chest, [u, u + bow[0], u + bow[1], u + 2 * bow[2]], [v, 0.5, 0.8, end])
        pen.line(path, fill=115, width=4)
        _disc(chest, pen, u, v, 0.008, 120)
        _disc(chest, pen, u, v, 0.003, 220)


def _catheter(chest: Chest, pen: Pen, rng: np.random.Generator) -> None:
    sign = 1 if rng.random() < 0.4 else -1
    end = rng.uniform(0.36, 0.44)
    path = _curve(chest, [sign * 0.24, sign * 0.02, -0.06, -0.045], [0.22, 0.16, 0.24, end])
    pen.line(path, fill=120, width=5)


def _breathing_tube(chest: Chest, pen: Pen) -> None:
    for off, tone, width in ((0.009, 70, 3), (-0.009, 70, 3), (0.006, 140, 3)):
        pen.line(_curve(chest, [off - 0.006] * 4, [-0.1, 0.05, 0.15, 0.29]), fill=tone, width=width)


def _pacemaker(chest: Chest, pen: Pen, rng: np.random.Generator) -> None:
    sign = 1 if rng.random() < 0.75 else -1
    u, v, r = sign * rng.uniform(0.22, 0.28), rng.uniform(0.24, 0.30), rng.uniform(0.032, 0.042)
    turn = np.linspace(0, 2 * np.pi, 40)
    rim = 1 / (np.abs(np.cos(turn)) ** 3 + np.abs(np.sin(turn)) ** 3) ** (1 / 3)
    case = chest.points(u + r * rim * np.cos(turn), v + 0.85 * r * rim * np.sin(turn))
    pen.polygon(case, fill=190)
    pen.line([*case, case[0]], fill=255, width=5)
    tip = chest.heart_centre[0] + 0.5 * chest.heart_half
    for end_u, end_v in ((tip, chest.anatomy.dome[1] - 0.03), (-0.07, chest.heart_centre[1])):
        pen.line(
            _curve(chest, [u, sign * 0.1, -0.10, end_u], [v, 0.15, 0.3, end_v]), fill=170, width=5
        )
