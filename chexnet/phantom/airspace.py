"""Findings of the lung itself: what fills, scars, destroys or empties it.

Each function changes the layers of a `Chest` and returns the boxes round what it drew. Severity
runs from above 0 (barely visible) to 1 (obvious). `rng` belongs to the patient and the finding,
so that a finding that persists stays in its place.

Sources, cited by name below: Fleischner = Hansell et al., "Fleischner Society: Glossary of Terms
for Thoracic Imaging", Radiology 2008;246:697-722. Felson = Goodman, "Felson's Principles of Chest
Roentgenology".
"""

import math

import numpy as np

from chexnet.phantom.anatomy import CM
from chexnet.phantom.chest import Box, Chest, smoothstep


def _spot(
    chest: Chest, rng: np.random.Generator, low: float, high: float
) -> tuple[int, float, float]:
    """A place inside a lung, clear of heart and mediastinum: (side, u, v).

    `low` and `high` are heights as shares of the way from the apex to the dome.
    """
    a = chest.anatomy
    side = int(rng.integers(2))
    share, across = rng.uniform(low, high), rng.uniform(0.25, 0.8)
    v = a.apex + share * (a.dome[side] - a.apex)
    inner = 0.075
    if side and v > 0.48:
        inner = chest.heart_centre[0] + 0.75 * chest.heart_half
    outer = a.width * (0.72 + 0.28 * min(1.0, share * 2.2))
    u = inner + across * max(outer - inner, 0.05)
    return side, (u if side else -u), v


def atelectasis(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """Plate-like bands at a base, or a collapsed lower lobe as a wedge.

    Sign: reduced volume with increased attenuation; linear or discoid atelectasis is a band of a
    few millimetres to over a centimetre, mostly basal and level; a collapsed lower lobe is a
    triangle beside the spine (Fleischner, "atelectasis" and "linear atelectasis"; Felson, chapter
    on lobar collapse). The raised dome is in `chexnet.phantom.findings.reshape`.
    """
    a = chest.anatomy
    side, wedge = int(rng.integers(2)), rng.random() < 0.3
    sign = 1 if side else -1
    along = chest.u * sign
    if wedge:
        reach, top = 0.09 + 0.09 * severity, 0.10 + 0.12 * severity
        depth = a.dome[side] + 0.03 - chest.v
        edge = reach * (1 - depth / (top + 0.03)) + chest.inner
        mask = smoothstep((edge - along) / 0.008 + 0.5) * smoothstep(depth / 0.02 + 1)
        mask *= chest.half(side) * smoothstep(along / 0.01)
        chest.add_fill(mask * chest.lung * (0.55 + 0.4 * severity))
        chest.extra += (0.18 + 0.22 * severity) * mask * chest.lung
        return chest.boxes((mask * chest.lung) > 0.5)
    whole = np.zeros_like(chest.u)
    inner = chest.heart_centre[0] + 0.7 * chest.heart_half if side else 0.09
    for k in range(1 + int(rng.random() < 0.4 + 0.4 * severity) + int(rng.random() < 0.35)):
        length, tilt = rng.uniform(0.11, 0.19), rng.normal(0.0, 0.22)
        cu = inner + rng.uniform(0.35, 0.85) * max(a.width - 0.06 - inner, 0.04)
        cv = a.dome[side] - rng.uniform(0.02, 0.05) - 0.04 * k
        thick = (0.0045 + 0.006 * severity) * rng.uniform(0.8, 1.4)
        c, s = math.cos(tilt), math.sin(tilt)
        du, dv = along - cu, chest.v - cv
        x, y = c * du + s * dv, c * dv - s * du + 0.8 * (du * du)
        band = smoothstep((thick - np.abs(y)) / 0.006 + 0.6) * smoothstep(
            (length / 2 - np.abs(x)) / 0.03 + 0.5
        )
        whole = np.maximum(whole, band * chest.half(side))
    whole *= smoothstep(chest.floor / 0.01) * (chest.wall > 0) * (1 - 0.7 * chest.heart)
    chest.extra += whole * (0.42 + 0.75 * severity)
    return chest.boxes(whole > 0.4)


def consolidation(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """One homogeneous opacity that ends straight at a fissure and shows air bronchograms.

    Sign: homogeneous increase of attenuation that hides the margins of vessels and airway walls;
    an air bronchogram may be seen (Fleischner, "consolidation", "air bronchogram"); the fissure
    gives one sharp edge (Felson, chapter on lobar anatomy).
    """
    a = chest.anatomy
    side = int(rng.integers(2))
    along = chest.u * (1 if side else -1)
    upper = rng.random() < 0.55
    fissure = a.apex + rng.uniform(0.46, 0.56) * (a.dome[side] - a.apex)
    line = fissure + rng.normal(0, 0.12) * (along - 0.2) + rng.normal(0, 0.8) * (along - 0.2) ** 2
    line = line + 0.003 * chest.cloud(rng, 10)
    depth = (line - chest.v) if upper else (chest.v - line)
    reach = 0.12 + 0.14 * severity
    cu = rng.uniform(0.15, 0.24) if not side or upper else rng.uniform(0.22, 0.27)
    ragged = 0.018 * chest.cloud(rng, 12)
    far = np.sqrt(((along - cu) / 1.05) ** 2 + (np.maximum(depth, 0) / 1.15) ** 2) + ragged
    shape = smoothstep((reach - far) / 0.05 + 0.5) * smoothstep(depth / 0.009 + 0.5)
    shape *= chest.half(side) * chest.lung
    chest.add_fill(shape * (0.28 + 0.62 * severity))
    chest.extra -= shape * chest.bronchi * (0.16 + 0.30 * severity) * (1 - chest.heart)
    return chest.boxes(shape > 0.5)


def infiltration(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """A wide, hazy, ill-defined veil with fine streaks through which vessels still show.

    Sign: an ill-defined opacity that neither destroys nor displaces the gross structure of the
    lung; haze with preserved vessels is ground-glass opacity (Fleischner, "infiltrate",
    "ground-glass opacity").
    """
    boxes, sides = [], [int(rng.integers(2))]
    if rng.random() < 0.4:
        sides.append(1 - sides[0])
    streaks = 1 - np.minimum(np.abs(chest.cloud(rng, 34)), 1)  # ridges: a net of faint strands
    mottle = 0.75 + 0.22 * chest.cloud(rng, 20)
    for side in sides:
        _, u, v = _spot(chest, rng, 0.3, 0.85)
        u = abs(u) * (1 if side else -1)
        ru, rv = rng.uniform(0.09, 0.14), rng.uniform(0.11, 0.17)
        far = np.sqrt(((chest.u - u) / ru) ** 2 + ((chest.v - v) / rv) ** 2)
        veil = smoothstep((1.25 - far) / 0.9) * chest.lung * chest.half(side)
        haze = (0.13 + 0.42 * severity) * mottle + (0.08 + 0.20 * severity) * streaks**2
        chest.extra += 1.2 * veil * haze * (1 - 0.5 * chest.heart)
        boxes += chest.boxes(veil > 0.35)
    return boxes


def pneumonia(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """Many fluffy, confluent, patchy spots gathered in one zone.

    Sign: bronchopneumonia gives patchy, inhomogeneous opacities of several segments, made of
    ill-defined acinar shadows of 4-8 mm and larger confluent ones (Fleischner, "pneumonia",
    "acinus"; Felson, chapter on air space disease).
    """
    boxes = []
    for _ in range(1 + (rng.random() < 0.3)):
        side, u, v = _spot(chest, rng, 0.3, 0.88)
        spread = 0.05 + 0.035 * severity
        n = 12 + int(10 * severity)
        at = rng.normal(0, 1, (n, 2)) * spread * (0.9, 1.1)
        radius = rng.uniform(0.010, 0.036, n)
        core = ((chest.u - u) ** 2 + (chest.v - v) ** 2) / (1.6 * spread) ** 2
        cover = 0.22 * np.exp(-core)
        for (du, dv), r in zip(np.clip(at, -2 * spread, 2 * spread), radius, strict=True):
            rows, columns = _window(chest, u + du, v + dv, 2.2 * r)
            far = (chest.u[rows, columns] - u - du) ** 2 + (chest.v[rows, columns] - v - dv) ** 2
            patch = cover[rows, columns]
            patch += (1 - patch) * 0.62 * np.exp(-((far / (0.9 * r * r)) ** 1.5))
        cover *= chest.lung * chest.half(side)
        chest.add_fill(cover * (0.34 + 0.56 * severity))
        boxes += chest.boxes(cover > 0.4)
    return boxes


def edema(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """Perihilar bat's wings on both sides, blurred vessels and Kerley B lines.

    Sign: bilateral perihilar haze, indistinct and redistributed vessels, and septal lines at the
    bases: short level lines that meet the pleura (Fleischner, "septal lines"; Felson, chapter on
    the heart and its failure).
    """
    far = np.minimum(
        ((chest.across - 0.12) / (0.10 + 0.06 * severity)) ** 2
        + ((chest.v - 0.45) / (0.13 + 0.06 * severity)) ** 2,
        9,
    )
    far = far * (1 + 0.35 * chest.cloud(rng, 9)).clip(0.4)
    wing = 0.92 * np.exp(-(far**1.3)) * chest.lung * smoothstep(chest.wall / 0.07)
    mottle = np.clip(0.9 + 0.18 * chest.cloud(rng, 18) + 0.16 * chest.cloud(rng, 40), 0.3, 1.5)
    chest.add_fill(wing * mottle * (0.16 + 0.50 * severity) * (1 - 0.5 * chest.heart))
    chest.vessels *= 1 - (0.2 + 0.5 * severity) * wing  # their margins are lost
    picture, pen = chest.canvas()
    for side in (0, 1):
        for k in range(8):
            v = chest.anatomy.dome[side] - 0.015 - 0.02 * k + rng.normal(0, 0.005)
            end = chest.anatomy.width - 0.006
            path = np.array([end - rng.uniform(0.025, 0.055), end]) * (1 if side else -1)
            pen.line(
                chest.points(path, np.array([v, v + rng.normal(0.002, 0.005)])), fill=255, width=4
            )
    lines = chest.layer(picture, blur=1.0) * (chest.wall > 0) * (chest.floor > 0)
    chest.extra += lines * (0.2 + 0.35 * severity)
    return chest.boxes(*((wing > 0.3) & chest.half(side) for side in (0, 1)))


def emphysema(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """Dark, over-filled lungs, few and thin vessels, bullae with hairline walls.

    Sign: hyperinflation with flat diaphragm, increased lucency and a loss of vessels; bullae are
    round lucencies with walls thinner than 1 mm (Fleischner, "emphysema", "bulla"). The flat
    diaphragm is in `chexnet.phantom.findings.reshape`.
    """
    zone = chest.lung * (0.75 + 0.25 * smoothstep((0.55 - chest.v) / 0.3))
    chest.vessels *= 1 - (0.45 + 0.42 * severity) * zone * smoothstep((chest.across - 0.09) / 0.06)
    chest.air *= 1 + (0.04 + 0.12 * severity) * zone
    picture, pen = chest.canvas()
    holes = np.zeros_like(chest.u)
    for side in (0, 1):
        for _ in range(2 + int(rng.integers(0, 3) + 3 * severity)):
            v = chest.anatomy.apex + rng.uniform(0.05, 0.36)
            u = rng.uniform(0.11, 0.27) * (1 if side else -1)
            r = rng.uniform(0.018, 0.042) * (0.7 + 0.5 * severity)
            angle = np.linspace(0, 2 * np.pi, 28)
            ring = chest.points(u + r * np.cos(angle), v + 1.15 * r * np.sin(angle))
            pen.line(ring, fill=255, width=4, joint="curve")
            rho = ((chest.u - u) / r) ** 2 + ((chest.v - v) / (1.15 * r)) ** 2
            holes = np.maximum(holes, smoothstep((1.1 - rho) / 0.3))
    inside = chest.lung * smoothstep(chest.wall / 0.008)
    chest.vessels *= 1 - 0.85 * holes
    chest.extra -= (0.05 + 0.15 * severity) * holes * inside
    chest.extra += (0.14 + 0.26 * severity) * chest.layer(picture, blur=1.0) * inside
    return chest.boxes(*((chest.lung > 0.5) & chest.half(side) for side in (0, 1)))


def fibrosis(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """A coarse net of lines and honeycomb rings along the pleura, most at the bases.

    Sign: reticular pattern of innumerable small linear opacities and honeycombing, clustered
    spaces of 3-10 mm with defined walls, subpleural and basal, with loss of volume (Fleischner,
    "reticular pattern", "honeycombing").
    """
    a = chest.anatomy
    picture, pen = chest.canvas()
    sides = (0, 1) if rng.random() < 0.7 else (int(rng.integers(2)),)
    band = 0.07 + 0.06 * severity
    rise = 0.16 + 0.14 * severity
    zone = smoothstep((band - np.minimum(chest.wall, chest.floor)) / 0.04)
    zone *= smoothstep((chest.v - (a.dome[0] - rise)) / 0.06) * chest.lung
    zone *= 1 - 0.9 * chest.heart
    for side in sides:
        sign = 1 if side else -1
        n = 230
        us = sign * rng.uniform(0.10, a.width + 0.01, n)
        vs = rng.uniform(a.dome[side] - rise, a.dome[side] + a.sulcus[side], n)
        radii, tone = rng.uniform(0.006, 0.013, n), rng.integers(120, 256, n)
        angle = np.linspace(0, 2 * np.pi, 9)
        for u, v, r, t in zip(us, vs, radii, tone, strict=True):
            wobble = r * (1 + 0.25 * rng.standard_normal(8))
            wobble = np.append(wobble, wobble[0])
            ring = chest.points(u + wobble * np.cos(angle), v + wobble * np.sin(angle))
            pen.line(ring, fill=int(t), width=4)
    net = chest.layer(picture, blur=1.4)
    here = chest.half(sides[0]) if len(sides) == 1 else True
    zone = zone * here
    chest.extra += zone * (net * (0.35 + 0.45 * severity) + 0.05 + 0.12 * severity)
    return chest.boxes(*((zone > 0.4) & chest.half(side) for side in sides))


def nodule(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """One to three round, well-defined spots of at most 3 cm.

    Sign: a rounded opacity, well or poorly defined, measuring up to 3 cm in diameter (Fleischner,
    "nodule").
    """
    boxes = []
    for _ in range(int(rng.choice([1, 2, 3], p=[0.5, 0.3, 0.2]))):
        radius = (0.75 + 0.45 * severity + rng.uniform(0, 0.2)) * CM
        _, u, v = _spot(chest, rng, 0.12, 0.92)
        boxes += _ball(chest, u, v, radius, 0.45 + 0.75 * severity, 0.02, rng)
    return boxes


def mass(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """One large opacity of more than 3 cm with a lobulated border.

    Sign: a pulmonary, pleural or mediastinal lesion seen as an opacity greater than 3 cm in
    diameter (Fleischner, "mass").
    """
    radius = (1.75 + 1.3 * severity + rng.uniform(0, 0.4)) * CM
    _, u, v = _spot(chest, rng, 0.18, 0.85)
    return _ball(chest, u, v, radius, 0.58 + 0.80 * severity, 0.05, rng)


def _window(chest: Chest, u: float, v: float, reach: float) -> tuple[slice, slice]:
    """Rows and columns of the picture that hold a disc in the body."""
    x, y = chest.pose.picture(np.array(u), np.array(v))
    r, n = reach * chest.pose.scale, chest.size
    rows = slice(int(np.clip((y - r) * n, 0, n)), int(np.clip((y + r) * n + 2, 0, n)))
    columns = slice(int(np.clip((x - r) * n, 0, n)), int(np.clip((x + r) * n + 2, 0, n)))
    return rows, columns


def _ball(
    chest: Chest,
    u: float,
    v: float,
    radius: float,
    strength: float,
    ragged: float,
    rng: np.random.Generator,
) -> list[Box]:
    """A ball of soft tissue whose border waves by `ragged` of its radius."""
    waves, phases = rng.normal(0, ragged, 5) / np.arange(1, 6) ** 0.5, rng.uniform(0, 2 * np.pi, 5)
    rows, columns = _window(chest, u, v, radius * 1.6)
    du, dv = chest.u[rows, columns] - u, chest.v[rows, columns] - v
    turn = np.arctan2(dv, du)
    border = 1 + sum(
        w * np.cos((k + 2) * turn + p) for k, (w, p) in enumerate(zip(waves, phases, strict=True))
    )
    rho = np.sqrt(du * du + dv * dv) / (radius * border)
    thick = np.sqrt(np.clip(1 - rho * rho, 0, 1))
    thick = 0.55 * thick + 0.45 * smoothstep((1 - rho) / 0.25)
    inside = smoothstep(chest.wall[rows, columns] / 0.006 + 0.5)
    chest.extra[rows, columns] += strength * thick * inside
    mask = np.zeros(chest.u.shape, bool)
    mask[rows, columns] = (rho < 1) & (chest.wall[rows, columns] > 0)
    return chest.boxes(mask)
