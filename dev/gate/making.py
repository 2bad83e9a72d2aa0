"""Pictures that the gate learns from: what is no chest radiograph, made or taken from packages.

All are float32 (SIDE, SIDE) in [0, 1]. Nothing here is a copy of a radiograph but `pieces`.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import gaussian_filter

from dev.gate.shapes import (
    SIDE,
    blob,
    ellipse,
    grid,
    ladder,
    leaves,
    spectrum,
    warp,
)

PHOTOGRAPHS = (
    "brick cell chelsea clock_motion coins color grass gravel horse hubble_deep_field ihc moon "
    "motorcycle_left motorcycle_right retina rocket"
).split()
"""Of scikit-image, to learn from; its `astronaut`, `camera` and `coffee` are left to measure on."""


def resized(picture: np.ndarray, side: int = SIDE) -> np.ndarray:
    """Average down (or interpolate up) to a square and stretch to [0, 1]."""
    image = Image.fromarray(picture.astype(np.float32))
    small = np.asarray(image.resize((side, side), Image.Resampling.BILINEAR))
    low, high = np.percentile(small, (1, 99))
    return np.clip((small - low) / max(high - low, 1e-6), 0, 1)


def gray(path: Path) -> np.ndarray:
    with Image.open(path) as image:
        return np.asarray(image.convert("L"), np.float32)


def crop(picture: np.ndarray, random: np.random.Generator, least: float = 0.25) -> np.ndarray:
    """A random part of a picture, at least `least` of its shorter side, aspect up to 4:3."""
    height, width = picture.shape
    side = min(height, width) * random.uniform(least, 1)
    tall = min(height, int(side * random.uniform(0.8, 1.35)))
    wide = min(width, int(side * random.uniform(0.8, 1.35)))
    top, left = random.integers(height - tall + 1), random.integers(width - wide + 1)
    return picture[top : top + tall, left : left + wide]


def photograph(sources: list[np.ndarray], random: np.random.Generator) -> np.ndarray:
    """A part of a real photograph, half of the time with something else laid over."""
    picture = resized(crop(sources[random.integers(len(sources))], random))
    if random.random() < 0.3:
        other = resized(crop(sources[random.integers(len(sources))], random))
        mask = blob(random) > 0.5
        picture = np.where(mask, other, picture)
    if random.random() < 0.3:
        picture = warp(picture, random, 6)
    return picture


def scene(random: np.random.Generator) -> np.ndarray:
    """An invented photograph: natural noise, dead leaves, sky over ground, portraits, rooms."""
    kind = random.integers(5)
    picture = spectrum(random, random.uniform(0.6, 2.2))
    if kind == 1:
        picture = leaves(random)
    elif kind == 2:  # sky over ground
        line = random.uniform(0.3, 0.7) + 0.15 * (spectrum(random, 2)[0] - 0.5)
        rows = np.linspace(0, 1, SIDE)[:, None]
        sky = random.uniform(0.6, 1) + 0.3 * (rows - 0.3) * random.normal()
        picture = np.where(rows < line, sky + 0.1 * picture, 0.5 * leaves(random))
    elif kind == 3:  # head and shoulders
        picture = 0.5 * picture + random.uniform(0, 0.5)
        x, y = 0.5 + random.normal(0, 0.07), 0.38 + random.normal(0, 0.05)
        size = random.uniform(0.12, 0.22)
        tone, cloth = random.uniform(0.2, 0.9, 2)
        body = ellipse(x, y + 3.1 * size, 1.9 * size, 1.9 * size)
        picture = np.where(body, cloth + 0.2 * (spectrum(random, 1.2) - 0.5), picture)
        head = ellipse(x, y, 0.75 * size, size)
        hair = ellipse(x, y - 0.3 * size, 0.9 * size, 0.9 * size)
        picture = np.where(hair, random.uniform(0, 0.6), picture)
        picture = np.where(head, tone + 0.1 * (spectrum(random, 2) - 0.5), picture)
        for dx in (-0.28, 0.28):
            eye = ellipse(x + dx * size, y - 0.1 * size, 0.1 * size, 0.06 * size)
            picture = np.where(eye, tone - 0.3, picture)
    elif kind == 4:  # boxes with light and shade: rooms, houses
        picture = np.full((SIDE, SIDE), random.random())
        for _ in range(random.integers(4, 25)):
            x, y = random.integers(-20, SIDE, 2)
            w, h = (random.pareto(1.5, 2) * 10 + 4).astype(int)
            tone = random.random() + random.normal(0, 0.1) * np.linspace(-1, 1, SIDE)
            part = np.s_[max(y, 0) : y + h, max(x, 0) : x + w]
            picture[part] = np.broadcast_to(tone, picture.shape)[part]
        picture = picture + random.uniform(0, 0.3) * (spectrum(random, 1) - 0.5)
        picture = warp(picture, random, 3)
    light = np.linspace(-1, 1, SIDE)
    picture = picture + random.normal(0, 0.15) * light + random.normal(0, 0.15) * light[:, None]
    return resized(gaussian_filter(picture, random.uniform(0, 1)))


def slice_(random: np.random.Generator) -> np.ndarray:
    """An axial CT or MR slice from ellipses: chest, abdomen, pelvis or head, in one window."""
    part = random.choice(["chest", "chest", "abdomen", "pelvis", "head"])
    image = np.full((SIDE, SIDE), -1000.0)
    cx, cy = random.normal(0.5, 0.03, 2)
    wide = random.uniform(0.33, 0.49) if part != "head" else random.uniform(0.22, 0.42)
    tall = wide * (random.uniform(0.55, 0.85) if part != "head" else random.uniform(1, 1.35))
    tall = min(tall, 0.49)

    def put(x: float, y: float, a: float, b: float, value: float, angle: float = 0.0) -> None:
        """Ellipse in units of the body's half axes."""
        inside = ellipse(cx + x * wide, cy + y * tall, a * wide, b * tall, angle, random)
        image[inside] = value

    def both(x: float, y: float, a: float, b: float, value: float, angle: float = 0.0) -> None:
        put(-x, y, a * random.uniform(0.9, 1.1), b, value, -angle)
        put(x, y, a * random.uniform(0.9, 1.1), b, value, angle)

    def jitter(scale: float = 0.05) -> float:
        return random.normal(0, scale)

    if part == "head":
        put(0, 0, 1, 1, 40)
        put(0, 0, 0.95, 0.95, random.uniform(500, 1500))
        put(0, 0, 0.86, 0.87, 35)
        for _ in range(random.integers(0, 12)):
            put(*random.uniform(-0.5, 0.5, 2), *random.uniform(0.05, 0.25, 2), 35 + jitter(15))
        both(0.15, jitter(0.2), 0.08, random.uniform(0.1, 0.35), 5, 0.3)
        if random.random() < 0.4:  # through the orbits and the nose
            both(0.35, -0.65, 0.22, 0.2, random.choice([20, -80]))
            put(0, -0.6, 0.12, 0.3, -900)
            both(0.5, 0.2, 0.2, 0.15, 900)
    else:
        put(0, 0, 1, 1, -100)
        fat = random.uniform(0.03, 0.2)
        put(0, 0, 1 - fat, 1 - fat * 1.2, 50)
        spine = random.uniform(0.4, 0.62)
        if part == "chest":
            for side in (-1, 1):
                x, a = 0.48 + jitter(0.03), random.uniform(0.28, 0.38)
                b = random.uniform(0.5, 0.75)
                put(side * x, jitter(), a, b, -850 + jitter(40), side * 0.2)
            for _ in range(random.integers(8, 40)):  # vessels
                side, r = random.choice([-1, 1]), random.uniform(0.008, 0.04)
                put(side * random.uniform(0.2, 0.7), random.uniform(-0.5, 0.5), r, r, 30)
            put(0.05 + jitter(), jitter(0.1), random.uniform(0.14, 0.3), 0.75, 45)
            put(0.15 + jitter(), -0.2 + jitter(), 0.32 * random.uniform(0.5, 1.1), 0.35, 60)
            if random.random() < 0.5:
                put(jitter(), -0.05 + jitter(), 0.05, 0.07, -950)
            both(0.75, 0.1 + jitter(0.2), 0.06, 0.3, 400, 0.5)
            put(0, -0.86, 0.12, 0.05, 400)
            for angle in np.arange(0.2, 6.2, random.uniform(0.3, 0.7)):
                x, y = 0.84 * np.cos(angle), 0.84 * np.sin(angle)
                put(x, y, random.uniform(0.04, 0.12), 0.04, random.uniform(250, 900), angle + 1.57)
        elif part == "abdomen":
            put(-0.4 + jitter(), -0.1 + jitter(), 0.42, 0.55, 100 + jitter(15), 0.3)
            put(0.55, 0.15 + jitter(), 0.2, 0.35, 110 + jitter(15), -0.3)
            both(0.4, 0.4 + jitter(), 0.14, 0.2, 130 + jitter(30), 0.4)
            for _ in range(random.integers(3, 14)):
                x, y, r = *random.uniform(-0.5, 0.6, 2), random.uniform(0.05, 0.14)
                put(x, y * 0.8 - 0.15, r, r * 1.2, random.choice([-700, 20, -100, 150]))
        else:
            both(0.55 + jitter(), 0.2 + jitter(0.1), 0.13, 0.5, 500, random.uniform(-0.8, 0.8))
            both(0.55, 0.2, 0.06, 0.3, 150)
            put(0, -0.1, 0.3, 0.3, 20)
            both(0.7, -0.1 + jitter(0.1), 0.15, 0.2, 700)
        put(0, spine, 0.14, 0.19, random.uniform(200, 600))
        put(0, spine + 0.22, 0.06, 0.08, 30)
        both(0.12, spine + 0.27, 0.09, 0.05, 400, 0.6)
        put(0, spine + 0.35, 0.03, 0.1, 400)
        put(0.14, spine - 0.22, 0.09, 0.11, random.uniform(40, 200))
        if random.random() < 0.4:
            put(*random.uniform(-0.6, 0.6, 2), 0.1, 0.1, random.choice([-900, 30, 80]))
    if random.random() < 0.7:  # the table
        level = cy + tall + random.uniform(0.01, 0.05)
        curve = level - random.uniform(0, 0.25) * (grid()[0] - 0.5) ** 2 * 2
        table = np.abs(grid()[1] - curve) < random.uniform(0.006, 0.02)
        image[table & (image < -500)] = random.uniform(-700, 100)
    image += random.uniform(5, 60) * gaussian_filter(random.normal(size=image.shape), 0.7)
    if random.random() < 0.15:  # MR: other contrasts, no bone
        tissue = np.interp(image, [-1000, -850, -100, 0, 50, 130, 400, 1500], ladder(random))
        image = tissue * (0.7 + 0.6 * spectrum(random, 2.5))
    else:
        centre, width = random.choice([[40, 400], [50, 350], [-600, 1500], [400, 1800], [40, 80]])
        if part != "head" and width == 80:
            width = 300
        centre, width = centre + random.normal(0, 40), width * random.uniform(0.7, 1.4)
        image = np.clip((image - centre) / width + 0.5, 0, 1)
    image = warp(image, random, 2.5)
    if random.random() < 0.25:  # only what the scanner's circle holds
        x, y = grid()
        image[np.hypot(x - 0.5, y - 0.5) > 0.5] = 0
    turn = random.choice(4, p=[0.85, 0.05, 0.05, 0.05])
    return resized(np.rot90(image, turn))


def writing(fonts: list[Path], random: np.random.Generator) -> np.ndarray:
    """A page of text, a plot, a screenshot or a drawing."""
    canvas = Image.new("L", (192, 192), int(random.choice([255, 245, 0, 30, 200])))
    draw = ImageDraw.Draw(canvas)
    ink = 0 if canvas.getpixel((0, 0)) > 128 else 255
    kind = random.integers(5)
    if kind in (0, 4):
        font = ImageFont.truetype(fonts[random.integers(len(fonts))], int(random.integers(6, 40)))
        letters = np.array(list("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKL0123456789      .,"))
        y = random.integers(0, 40)
        step = font.size * random.uniform(1.1, 2)
        left = random.integers(0, 40)
        while y < 190 * random.uniform(0.5, 1):
            line = "".join(random.choice(letters, random.integers(3, 60)))
            draw.text((left, y), line, fill=ink, font=font)
            y += step
    if kind == 1:
        for _ in range(random.integers(1, 5)):
            n = random.integers(5, 60)
            y = 96 + np.cumsum(random.normal(0, 60 / np.sqrt(n), n))
            points = list(zip(np.linspace(20, 180, n), y, strict=True))
            draw.line(points, fill=int(random.integers(256)), width=int(random.integers(1, 5)))
        draw.line([(20, 10), (20, 180), (185, 180)], fill=ink, width=2)
    if kind == 2:
        n = random.integers(3, 14)
        for k in range(n):
            x, w = 20 + 160 * k / n, 130 / n
            draw.rectangle(
                (x, random.integers(20, 175), x + w, 180), fill=int(random.integers(256))
            )
    if kind in (3, 4):
        for _ in range(random.integers(3, 20)):
            x, y = random.integers(0, 170, 2)
            w, h = random.integers(5, 110, 2)
            shape = (int(x), int(y), int(x + w), int(y + h))
            tone, width = int(random.integers(256)), int(random.integers(1, 5))
            outline = random.random() < 0.5
            fill, line = (None, tone) if outline else (tone, None)
            if random.random() < 0.5:
                draw.rectangle(shape, fill=fill, outline=line, width=width)
            else:
                draw.ellipse(shape, fill=fill, outline=line, width=width)
    picture = np.asarray(canvas, np.float32)
    if random.random() < 0.3:
        picture = picture + 80 * (spectrum(random, 1.5, 192) - 0.5)
    return resized(np.rot90(picture, random.choice(4, p=[0.85, 0.05, 0.05, 0.05])))


def piece(radiographs: np.ndarray, random: np.random.Generator) -> np.ndarray:
    """What is left when a radiograph is torn: a small part, quarters in another order, stripes.

    The pieces have a radiograph's grain and tones, so that those alone decide nothing.
    """
    picture = radiographs[random.integers(len(radiographs))] / 255
    kind = random.integers(5)
    if kind == 0:
        tall, wide = (SIDE * random.uniform(0.15, 0.4, 2)).astype(int)
        top, left = random.integers(SIDE - tall), random.integers(SIDE - wide)
        picture = picture[top : top + tall, left : left + wide]
    elif kind == 1:
        n = int(random.choice([2, 3, 4]))
        tiles = picture.reshape(n, SIDE // n, n, SIDE // n).swapaxes(1, 2).reshape(n * n, -1)
        order = random.permutation(n * n)
        if (order == np.arange(n * n)).all():
            order = order[::-1]
        tiles = tiles[order].reshape(n, n, SIDE // n, SIDE // n)
        picture = tiles.swapaxes(1, 2).reshape(SIDE, SIDE)
    elif kind == 2:  # one half beside itself: no middle
        half = picture[:, : SIDE // 2] if random.random() < 0.5 else picture[:, SIDE // 2 :]
        picture = np.concatenate([half, half], axis=1)
    elif kind == 3:  # the spectrum of a radiograph without its shapes
        waves = np.fft.rfft2(picture)
        noise = np.fft.rfft2(random.normal(size=picture.shape))
        picture = np.fft.irfft2(np.abs(waves) * noise / np.abs(noise), s=picture.shape)
    else:  # bent beyond anatomy
        picture = warp(picture, random, 25)
    return resized(picture)


def limb(random: np.random.Generator) -> np.ndarray:
    """A radiograph of something else: long bones in soft tissue, a hand's rays, a round skull."""
    x, y = grid()
    picture = np.zeros((SIDE, SIDE))
    if random.random() < 0.3:
        a, b = random.uniform(0.25, 0.45, 2)
        picture += 0.7 * ellipse(0.5, 0.45, a, b) - 0.3 * ellipse(0.5, 0.45, a - 0.04, b - 0.04)
        picture += 0.3 * ellipse(0.5, 0.8, a * 0.6, 0.2)
        for dx in (-0.12, 0.12):
            picture -= 0.2 * ellipse(0.5 + dx, 0.55, 0.08, 0.07)
    else:
        for k in range(random.integers(1, 7)):
            angle = random.normal(0, 0.15) + (k % 3) * 0.1
            along = random.uniform(0.2, 0.8) + np.tan(angle) * (y - 0.5)
            width = random.uniform(0.02, 0.09)
            flare = width * (1 + random.uniform(0, 1.5) * np.abs(2 * y - 1) ** 3)
            off = np.abs(x - along) / flare
            picture = np.maximum(picture, 0.35 * (off < random.uniform(1.8, 3.5)))
            bone = np.clip(1 - off**2, 0, 1) ** 0.3
            picture = np.maximum(picture, bone * (0.7 + 0.3 * (off > 0.7)))
        if random.random() < 0.5:
            gap = np.abs(y - random.uniform(0.3, 0.7)) < random.uniform(0.01, 0.03)
            picture = np.where(gap, np.minimum(picture, 0.35), picture)
    picture = picture + 0.3 * (spectrum(random, 2) - 0.5)
    return resized(np.rot90(gaussian_filter(warp(picture, random, 4), 0.8), random.integers(4)))


def many(count: int, seed: int, make: Callable[[np.random.Generator], np.ndarray]) -> np.ndarray:
    """`count` pictures as uint8 (count, SIDE, SIDE), each of its own random numbers."""
    made = [make(np.random.default_rng((seed, number))) for number in range(count)]
    return np.stack([np.rint(255 * picture) for picture in made]).astype(np.uint8)
