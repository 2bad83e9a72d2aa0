"""Findings of the pleura, the heart and the diaphragm.

The conventions and the short names of the sources are those of `chexnet.phantom.airspace`.
"""

import numpy as np

from chexnet.phantom.chest import LUNG, Box, Chest, smoothstep


def effusion(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """Fluid that blunts the costophrenic angle under a meniscus.

    Sign: a homogeneous opacity at the base, level in the middle and climbing along the wall; the
    first sign is the blunt lateral costophrenic angle (Felson, chapter on the pleura).
    """
    a, boxes = chest.anatomy, []
    sides = [int(rng.integers(2))]
    if rng.random() < 0.35:
        sides.append(1 - sides[0])
    for k, side in enumerate(sides):
        amount = severity * (1 if k == 0 else rng.uniform(0.5, 1.0))
        level = a.dome[side] + 0.045 - 0.20 * amount**1.3
        climb = 0.05 + 0.07 * amount
        surface = level - climb * np.exp(-np.clip(chest.wall, 0, 1) / (0.035 + 0.03 * amount))
        surface = surface + 0.03 * (1 - amount)
        fluid = smoothstep((chest.v - surface) / 0.018 + 0.5) * chest.half(side)
        chest.add_fill(fluid * 0.97)
        fluid *= chest.lung
        # Fluid hides the dome: no step where the abdomen begins.
        chest.extra += 0.25 * fluid * smoothstep(chest.floor / 0.06)
        boxes += chest.boxes(fluid > 0.5)
    return boxes


def pneumothorax(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """A visceral pleural line with no lung markings beyond it.

    Sign: the edge of the lung is seen as a thin line against air without vessels, widest at the
    apex in the upright (Fleischner, "pneumothorax"; Felson, chapter on the pleura).
    """
    a, side = chest.anatomy, int(rng.integers(2))
    gap = 0.022 + 0.085 * severity
    down = (chest.v - a.apex) / (a.dome[side] - a.apex)
    reach = rng.uniform(0.55, 0.75) + 0.4 * severity
    width = gap * (0.25 + 0.75 * smoothstep((1.0 - down) / 0.8)) * smoothstep((reach - down) / 0.2)
    apical = np.maximum(1 - (chest.v - a.apex) / (1.9 * gap), 0)
    width = width + 0.8 * gap * apical**2
    off = chest.wall - width
    half = chest.half(side) * (width > 0.004)
    free = smoothstep(-off / 0.004 + 0.5) * chest.lung * half
    line = np.exp(-((off / 0.0032) ** 2)) * chest.lung * half * smoothstep(width / 0.012)
    chest.vessels *= 1 - free
    chest.extra -= free * (0.14 + 0.20 * severity)
    chest.extra += line * (0.55 + 0.30 * severity)
    # The lung that has fallen in holds less air.
    sunk = smoothstep(off / 0.02) * chest.lung * chest.half(side)
    chest.extra += 0.16 * severity * LUNG * sunk * chest.air
    return chest.boxes((free > 0.5) | (line > 0.5))


def pleural_thickening(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """A band of soft tissue along the side wall, or an apical cap.

    Sign: a smooth or irregular peripheral band parallel to the chest wall that does not change
    with gravity; an apical cap lies over the top of the lung (Fleischner, "pleura", "apical
    cap"; Felson, chapter on the pleura).
    """
    a, boxes = chest.anatomy, []
    for side in (0, 1) if rng.random() < 0.3 else (int(rng.integers(2)),):
        thick = 0.014 + 0.026 * severity + rng.uniform(0, 0.008)
        wave = 1 + 0.16 * chest.cloud(rng, 9)
        if rng.random() < 0.35:
            along = smoothstep((a.apex + 0.11 - chest.v) / 0.06)
            thick *= 1.5
        else:
            top, length = rng.uniform(0.24, 0.40), rng.uniform(0.20, 0.32)
            along = smoothstep((chest.v - top) / 0.05) * smoothstep((top + length - chest.v) / 0.05)
        width = thick * wave * along
        band = smoothstep((width - chest.wall) / 0.005 + 0.5) * (width > 0.004)
        band = band * chest.lung * chest.half(side)
        chest.extra += band * (0.45 + 0.70 * severity)
        boxes += chest.boxes(band > 0.5)
    return boxes


def cardiomegaly(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """A heart wider than half of the chest; its box.

    Sign: cardiothoracic ratio over 0.5 on a PA radiograph (Danzer, Am J Med Sci 1919;157:513;
    Felson, chapter on the heart). The heart itself grows in `chexnet.phantom.findings.reshape`.
    """
    del severity, rng
    return chest.boxes((chest.heart_rho < 1) & (chest.floor > -0.02))


def hernia(chest: Chest, severity: float, rng: np.random.Generator) -> list[Box]:
    """A round shadow behind the heart above the diaphragm, with air over a fluid level.

    Sign: a retrocardiac soft tissue shadow near the midline that often holds an air-fluid level
    (Fleischner has no entry; Felson, chapter on the mediastinum: hiatal hernia).
    """
    a = chest.anatomy
    radius = 0.042 + 0.045 * severity + rng.uniform(0, 0.008)
    u = rng.uniform(0.005, 0.045)
    v = a.dome[1] + 0.005 - 0.62 * radius
    du, dv = chest.u - u, chest.v - v
    rho = np.sqrt((du / (1.18 * radius)) ** 2 + (dv / radius) ** 2)
    bag = smoothstep((1 - rho) / 0.10)
    chest.extra += bag * (0.28 + 0.32 * severity)
    level = v - radius * rng.uniform(-0.1, 0.3)
    inner = smoothstep((0.84 - rho) / 0.08) * smoothstep((level - chest.v) / 0.004 + 0.5)
    chest.extra -= inner * (0.80 + 0.80 * severity)
    return chest.boxes(rho < 1)
