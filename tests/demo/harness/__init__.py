"""A page that holds the viewer alone, and answers for it, without a server or a network."""

import base64
import json
import zlib
from io import BytesIO
from pathlib import Path

import jinja2
import numpy as np
from PIL import Image

from chexnet.labels import FINDINGS, LABELS, NO_FINDING, NOTES, spoken
from chexnet.overlay import COLOURS, TOP
from chexnet.transforms import Preprocessing

ROOT = Path(__file__).parents[3]
SCRIPTS = ("drawing", "heat", "findings", "labels", "stage", "downloads", "viewer")
"""In the order in which a page has to load them."""

TABLES_TEXT = (ROOT / "chexnet" / "colormaps.json").read_text(encoding="utf-8")
TABLES = json.loads(TABLES_TEXT)
SIGNED = next(iter(TABLES["two_sided"]))


def page(folder: Path, *, theme: str = "light", before: str = "") -> str:
    """Write the page into `folder`; returns its address. `before`: a script that runs first."""
    loader = jinja2.FileSystemLoader([ROOT / "demo" / "templates", Path(__file__).parent])
    environment = jinja2.Environment(loader=loader, autoescape=True)
    static = ROOT / "demo" / "static"
    scripts = [(static / f"{name}.js").read_text(encoding="utf-8") for name in SCRIPTS]
    html = environment.get_template("page.html.jinja").render(
        shell=environment.get_template("shell.html.jinja").render(tables=TABLES_TEXT),
        css=(static / "viewer.css").read_text(encoding="utf-8"),
        scripts=[before, *scripts],
        theme=theme,
    )
    path = folder / "page.html"
    path.write_text(html, encoding="utf-8")
    return path.as_uri()


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
        [np.asarray(Image.fromarray(one).resize(cells[::-1], Image.Resampling.BILINEAR))
         for one in coarse]
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


def maps_of(one: dict, key: str = "contributions") -> dict[str, np.ndarray]:
    """Label to signed contributions, float32 (h, w)."""
    values = np.frombuffer(base64.b64decode(one[key]), "<f4")
    values = values.reshape(len(one["classes"]), *one["cells"])
    return dict(zip(one["classes"], values, strict=True))


__all__ = ["COLOURS", "SIGNED", "TABLES", "answer", "base64_of", "maps_of", "page", "preview"]
