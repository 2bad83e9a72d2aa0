"""From attenuation to an 8-bit picture: scatter, exposure, film, noise, borders, marker."""

import math

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from chexnet.phantom.chest import Chest, smoothstep


def expose(
    chest: Chest, view: str, rng: np.random.Generator, noise: np.random.Generator
) -> np.ndarray:
    """Render one chest.

    Brightness is a logistic function of log exposure, as in the characteristic curve of film
    (Hurter and Driffield, 1890); scattered rays add a blurred share of the exposure.

    Args:
        chest: with all layers filled.
        view: `PA` or `AP`; AP pictures are mostly taken with portable machines: more noise.
        rng: stream of exposure, borders and marker; the same at every size.
        noise: stream of the quantum noise.

    Returns:
        Pixels, uint8 (H, W), bone white.
    """
    size = chest.size
    portable = view == "AP"
    middle, gain = rng.normal(1.85, 0.22), rng.uniform(1.15, 1.75)
    scatter = rng.uniform(0.03, 0.10) + 0.05 * portable
    # The tube's heel effect and a turned grid darken one edge.
    slope = rng.normal(0, 0.16, 2).astype(np.float32)
    line = ((np.arange(size) + 0.5) / size - 0.5).astype(np.float32)
    heel = slope[0] * line[None, :] + slope[1] * line[:, None]
    mu = chest.attenuation() + heel
    ray = np.exp(-np.clip(mu, -0.5, 8))
    small = Image.fromarray(ray).resize((64, 64), Image.Resampling.BOX)
    veil = gaussian_filter(np.asarray(small), 5, mode="nearest")
    veil = np.asarray(Image.fromarray(veil).resize((size, size), Image.Resampling.BILINEAR))
    ray = (1 - scatter) * ray + scatter * veil
    grains = rng.uniform(0.008, 0.03) * (1.5 if portable else 1.0)
    # Quantum noise grows where few photons arrive; a 1024 pixel is smaller than a 256 pixel.
    log = -np.log(ray + 1e-4)
    spread = grains * np.float32(0.4 + 0.6 * size / 1024)
    log += noise.standard_normal(log.shape, dtype=np.float32) * spread * np.sqrt(log.clip(0.3))
    bright = 1 / (1 + np.exp(-gain * (log - middle)))
    low, high = rng.uniform(0.0, 0.06), rng.uniform(0.84, 1.0)
    floor = 1 / (1 + math.exp(gain * middle))
    bright = low + (high - low) * np.clip((bright - floor) / (1 - floor), 0, 1)
    bright = _collimate(bright, rng)
    pixels = (255 * bright).astype(np.uint8)
    return _mark(pixels, view, rng)


def _collimate(bright: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Dark borders where lead plates cut the beam; most pictures have few or none."""
    size = bright.shape[0]
    line = (np.arange(size) + 0.5) / size
    cut = np.where(rng.random(4) < 0.3, rng.uniform(0.005, 0.04, 4), -0.1)
    rows = smoothstep((line - cut[0]) / 0.004) * smoothstep((1 - cut[1] - line) / 0.004)
    columns = smoothstep((line - cut[2]) / 0.004) * smoothstep((1 - cut[3] - line) / 0.004)
    level = rng.uniform(0.0, 0.05)
    shade = (rows[:, None] * columns[None, :]).astype(np.float32)
    cut_off: np.ndarray = bright * shade + level * (1 - shade)
    return cut_off


def _mark(pixels: np.ndarray, view: str, rng: np.random.Generator) -> np.ndarray:
    """Letters of lead: L or R, sometimes the view; drawn whatever the findings are."""
    size = pixels.shape[0]
    letter = "L" if rng.random() < 0.75 else "R"
    x = rng.uniform(0.88, 0.95) if letter == "L" else rng.uniform(0.04, 0.10)
    y, scale, tone = rng.uniform(0.03, 0.14), rng.uniform(0.028, 0.045), rng.uniform(200, 255)
    words, wx, wy = rng.random() < 0.7, rng.uniform(0.03, 0.1), rng.uniform(0.02, 0.3)
    picture = Image.fromarray(pixels)
    pen = ImageDraw.Draw(picture)
    pen.text((x * size, y * size), letter, fill=int(tone), font=_font(scale * size), anchor="mm")
    if view == "AP" and words:
        font = _font(0.02 * size)
        pen.text((wx * size, wy * size), "AP", fill=int(tone), font=font)
        pen.text((wx * size, (wy + 0.025) * size), "PORTABLE", fill=int(tone), font=font)
    return np.asarray(picture)


def _font(pixels: float) -> ImageFont.ImageFont | ImageFont.FreeTypeFont:
    """Pillow's own font, so that no font file has to be found."""
    return ImageFont.load_default(max(6.0, pixels))
