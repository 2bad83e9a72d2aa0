"""A page that holds the viewer alone, and answers for it, without a server or a network."""

import base64
import json
import zlib
from io import BytesIO
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
from PIL import Image

from chexnet.labels import FINDINGS, LABELS, NO_FINDING, NOTES, spoken
from chexnet.overlay import TOP
from chexnet.transforms import Preprocessing
from demo import rendering

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "demo" / "page"

TABLES_TEXT = (ROOT / "chexnet" / "colormaps.json").read_text(encoding="utf-8")
TABLES = json.loads(TABLES_TEXT)
SIGNED = next(iter(TABLES["two_sided"]))


ORIGIN = "http://page.test"
EXPOSE = """
window.chexnet = {};
addEventListener('DOMContentLoaded', async () => {
  const main = document.querySelector('script[type=module][src$="/main.js"]');
  if (main) window.chexnet = {...await import(main.src)};
});
"""
"""Gives tests what the page's main module exports; the page itself has no global."""


def alone(page, html: str, script: str, styles: tuple[str, ...]) -> None:
    """Open a page that holds a part of the real one, without a server.

    Args:
        page: of Playwright.
        html: of its body.
        script: a module that imports the page's own by their names in `demo/page`.
        styles: of the page, by name.
    """
    links = "".join(f'<link rel="stylesheet" href="/{name}">' for name in styles)
    whole = (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>A part alone</title>'
        f'<meta name="viewport" content="width=device-width">{links}</head><body>{html}'
        f'<script type="module">{script}\nwindow.ready = true;</script></body></html>'
    )

    def answer(route) -> None:
        name = urlsplit(route.request.url).path.lstrip("/")
        if name:
            route.fulfill(path=PAGE / name)
        else:
            route.fulfill(content_type="text/html", body=whole)

    page.route(f"{ORIGIN}/**", answer)
    page.goto(f"{ORIGIN}/")
    page.wait_for_function("window.ready")


VIEWER = """
import { mount, timings } from "/viewer/viewer.js";
window.asked = [];
window.chexnet = { timings };
window.viewer = mount(document.getElementById("root"), {
  onMethod: (...given) => window.asked.push(["method", ...given]),
  onGate: (...given) => window.asked.push(["gate", ...given]),
});
"""


def viewer(page, *, before: str = "") -> None:
    """Open the viewer alone. `before`: a script that runs first."""
    shell = rendering.render("shell.html.jinja", tables=TABLES_TEXT)
    head = '<header style="height: 72px"><h1>chexnet</h1></header>'
    html = f'<script>{before}</script>{head}<main id="root" style="--cx-above: 92px">{shell}</main>'
    alone(page, html, VIEWER, ("base.css", "viewer/viewer.css"))


def base64_of(data: bytes | np.ndarray) -> str:
    """Bytes, or an array's bytes, as base64 text."""
    return base64.b64encode(data if isinstance(data, bytes) else data.tobytes()).decode()


def png_of(pixels: np.ndarray) -> bytes:
    file = BytesIO()
    Image.fromarray(pixels).save(file, "PNG")
    return file.getvalue()


def preview(pixels: np.ndarray) -> dict:
    """uint8 (H, W) as a PNG; uint16 as compressed values, little-endian."""
    height, width = pixels.shape
    if pixels.dtype == np.uint8:
        data, bits, encoding = png_of(pixels), 8, "png"
    else:
        data, bits, encoding = zlib.compress(pixels.astype("<u2").tobytes(), 1), 16, "deflate16"
    size = {"width": width, "height": height, "bits": bits}
    return size | {"encoding": encoding, "data": base64_of(data)}


def answer(
    pixels: np.ndarray,
    *,
    seed: int = 0,
    crop: int = 90,
    cells: tuple[int, int] = (8, 8),
    spread: float = 0.05,
    mean: bool = True,
    gate: dict | None = None,
    **more: object,
) -> dict:
    """An answer as the server sends it, with random maps that add up.

    Args:
        pixels: uint8 or uint16 (H, W), at most 768 a side.
        seed: of the random numbers.
        crop: percent that the network saw.
        cells: of a heatmap.
        spread: standard deviation of a cell's contribution in logits.
        mean: whether there is a mean map.
        gate: replaces fields of a gate that has no objection.
        more: replaces fields of the answer.
    """
    height, width = pixels.shape
    fine = {"fine": True, "kind": "", "message": "", "open": True, "correctable": False}
    gate = fine | (gate or {})
    picture = {"id": "a", "gate": gate, "preview": preview(pixels), "facts": "PNG, 8 bit"}
    picture |= {"notice": "Research and education only. Not for diagnosis.", "trained_on": "both"}
    picture |= {"weights": "starter.pth"}
    if not gate["open"]:
        return picture | more
    rng = np.random.default_rng(seed)
    names = [name for name in LABELS if name != "Other"]
    # Smooth, as a network's maps are: neighbours share most of what they see.
    coarse = rng.normal(0, spread, (len(names), 4, 4)).astype(np.float32)
    contributions = np.stack(
        [np.asarray(Image.fromarray(grid).resize(cells[::-1], Image.Resampling.BILINEAR))
         for grid in coarse]
    )  # fmt: skip
    contributions[names.index("Hernia")] = -np.abs(contributions[names.index("Hernia")])
    bias = dict(zip(names, rng.uniform(-0.04, 0.02, len(names)).tolist(), strict=True))
    sums = contributions.astype(np.float64).sum((1, 2))
    logit = {name: float(sums[i] + bias[name]) for i, name in enumerate(names)}
    calibration = {name: {"slope": 0.9, "bias": -0.4} for name in names}
    probability = {
        name: float(1 / (1 + np.exp(0.4 - 0.9 * value))) for name, value in logit.items()
    }
    threshold = {name: float(x) for name, x in zip(names, rng.uniform(0.1, 0.9, 15), strict=True)}
    means = rng.normal(0, spread / 2, contributions.shape).astype(np.float32)
    left, top, right, bottom = Preprocessing(crop).frame(width, height)
    figures = {
        "crop": {"percent": crop, "box": [left, top, right, bottom]},
        "cells": list(cells),
        "classes": names,
        "contributions": base64_of(contributions),
        "mean_contributions": base64_of(means) if mean else None,
        "bias": bias,
        "logit": logit,
        "probability": probability,
        "threshold": threshold | {"Nodule": None},
        "calibration": calibration,
        "calibrated": True,
        "trust": {
            name: "hottest point in the radiologist's box: 38 % (24 to 52 %) of 48; the average "
            "box's centre: 21 %"
            for name in FINDINGS[:8]
        },
        "notes": {name: NOTES[name] for name in names},
        "titles": {name: spoken(name) for name in names},
        "findings": list(FINDINGS),
        "no_finding": NO_FINDING,
        "first": max(FINDINGS, key=lambda name: probability[name]),
        "methods": ["Grad-CAM", "Grad-CAM++", "EigenCAM"],
        "top": TOP,
    }
    return picture | figures | more


def maps_of(answer: dict, key: str = "contributions") -> dict[str, np.ndarray]:
    """Label to signed contributions, float32 (h, w)."""
    values = np.frombuffer(base64.b64decode(answer[key]), "<f4")
    values = values.reshape(len(answer["classes"]), *answer["cells"])
    return dict(zip(answer["classes"], values, strict=True))
