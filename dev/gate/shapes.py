"""Shapes and textures that invented pictures are put together from, float (side, side)."""

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

SIDE = 96
"""Side of the pictures that are kept; the augmentation cuts thumbnails of 64 from them."""


def grid(side: int = SIDE) -> tuple[np.ndarray, np.ndarray]:
    steps = (np.arange(side) + 0.5) / side
    return steps[None], steps[:, None]


def ellipse(
    x: float,
    y: float,
    a: float,
    b: float,
    angle: float = 0.0,
    random: np.random.Generator | None = None,
) -> np.ndarray:
    """True inside; with random numbers the outline is uneven."""
    dx, dy = grid()[0] - x, grid()[1] - y
    c, s = np.cos(angle), np.sin(angle)
    u, v = (c * dx + s * dy) / a, (c * dy - s * dx) / b
    edge = 1.0
    if random is not None:
        around, waves = np.arctan2(v, u), random.normal(0, 0.03, 3)
        edge = 1 + sum(w * np.cos((k + 2) * around + 9 * w) for k, w in enumerate(waves))
    return u * u + v * v < edge


def spectrum(random: np.random.Generator, power: float, side: int = SIDE) -> np.ndarray:
    """Noise whose amplitude falls with frequency to the power, in [0, 1]."""
    f = np.hypot(np.fft.fftfreq(side)[:, None], np.fft.rfftfreq(side)[None])
    f[0, 0] = np.inf
    noise = np.fft.rfft2(random.normal(size=(side, side))) / f**power
    picture = np.fft.irfft2(noise, s=(side, side))
    return (picture - picture.min()) / np.ptp(picture)


def blob(random: np.random.Generator) -> np.ndarray:
    picture = gaussian_filter(random.normal(size=(SIDE, SIDE)), random.uniform(5, 25))
    return (picture - picture.min()) / np.ptp(picture)


def leaves(random: np.random.Generator) -> np.ndarray:
    """Dead leaves: discs of all sizes over one another, the simplest picture of a world."""
    picture = spectrum(random, 1.5)
    for _ in range(random.integers(5, 120)):
        a, b = np.clip(0.015 * (random.pareto(1.3, 2) + 1), 0.01, 0.5)
        leaf = ellipse(*random.random(2), a, b, random.uniform(0, 3.2))
        texture = random.normal(0, 0.15) * (grid()[random.integers(2)] - 0.5) * 4
        picture = np.where(leaf, random.random() + texture, picture)
    return picture


def warp(picture: np.ndarray, random: np.random.Generator, strength: float) -> np.ndarray:
    """Bend smoothly by about `strength` pixels."""
    shifts = gaussian_filter(random.normal(size=(2, *picture.shape)), (0, 14, 14))
    shifts *= strength / max(np.abs(shifts).max(), 1e-9)
    where = np.indices(picture.shape) + shifts
    return map_coordinates(picture.astype(np.float32), where, order=1, mode="nearest")


def ladder(random: np.random.Generator) -> np.ndarray:
    """Gray of air, lung, fat, water, muscle, organ and bone in an MR picture."""
    return np.concatenate([[0, 0.05], random.random(5), [0.05]])
