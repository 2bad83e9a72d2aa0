"""The model card of the starter weights, written from the files that scoring them left."""

import csv
import json
import os
import textwrap
from pathlib import Path
from typing import Any

from chexnet.labels import FINDINGS, spoken
from chexnet.model import load_weights

_HEAD = """\
**Trained on synthetic phantoms that this project draws, not on radiographs of patients: what these
weights say of a real radiograph means nothing.** They are here so that the demo works at once,
offline, and for teaching what such a network does. Research and education only, never for clinical
use.
"""


def card(weights: Path, out: Path, runs: tuple[Path, Path], made_by: str) -> str:
    """Markdown.

    Args:
        weights: the stored file.
        out: folder with `eval-all/metrics.json` and `localize-all/localization.json` of it.
        runs: folders of the two training runs.
        made_by: the command that made it.
    """
    _, about = load_weights(weights)
    scored = json.loads((out / "eval-all" / "metrics.json").read_text(encoding="utf-8"))
    located = json.loads((out / "localize-all" / "localization.json").read_text(encoding="utf-8"))
    return "\n".join(
        [
            "# Starter weights\n",
            _HEAD,
            _what(weights, about, runs, made_by),
            _auroc(scored),
            _pointing(located),
            _limits(),
        ]
    )


def _what(weights: Path, about: Any, runs: tuple[Path, Path], made_by: str) -> str:
    made, size = about.provenance, about.preprocessing.size
    images = made["data"]["images"]
    spent = [_spent(run) for run in runs]
    times = ", then ".join(
        f"{epochs} passes at {side} px in {minutes:.0f} minutes"
        for (epochs, minutes), side in zip(spent, (size // 2, size), strict=True)
    )
    chosen_on = about.validation["figures"]["images"]
    machine = made["gpu"] or f"{os.cpu_count()} CPU cores"
    text = (
        f"`{weights.name}`: DenseNet-121 for pictures of {size} x {size} pixels (heatmaps of "
        f"{size // 32} x {size // 32} cells), {weights.stat().st_size / 1e6:.1f} MB; parameters in "
        "half precision, BatchNorm's statistics in single. Trained on "
        f"{images['train']:,} drawn radiographs; {images['val']:,} of other drawn patients chose "
        f"the best pass, {chosen_on:,} (these among them) the calibration and the thresholds. "
        f"{times} ({made['date'][:10]}, torch "
        f"{made['torch']}, {machine}, shared with other work)."
    )
    return f"""\
## What it is

{textwrap.fill(text, 100)}

It was made, and is made again, by

```sh
{made_by}
```

which draws the phantoms, trains twice (half the size first), stores, scores, and writes this page.
"""


def _spent(run: Path) -> tuple[int, float]:
    with (run / "epochs.csv").open(newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return len(seconds), sum(seconds) / 60


def _auroc(scored: dict[str, Any]) -> str:
    text = (
        f"{scored['images']:,} pictures of {scored['patients']:,} drawn patients of another seed, "
        "scored with the stored half-precision file (`python -m scripts.eval --split all`); 95 % "
        "intervals by bootstrap over patients."
    )
    lines = [
        f"""\
## AUROC on phantoms it never saw

{textwrap.fill(text, 100)}

| finding | n positive | AUROC | 95 % interval |
|---|---|---|---|"""
    ]
    for name in (*FINDINGS, "No Finding"):
        one = scored["classes"].get(name)
        if one:
            lines.append(
                f"| {spoken(name)} | {one['positives']} | {_number(one['auroc'])} | "
                f"{_bounds(one['interval'])} |"
            )
    mean = scored["mean_auroc"]["findings"]
    lines.append(
        f"| **Mean of {mean['of']} of {mean['all']} findings** | | **{_number(mean['value'])}** | "
        f"{_bounds(mean['interval'])} |\n"
    )
    return "\n".join(lines)


def _pointing(located: dict[str, Any]) -> str:
    text = (
        "Share of drawn findings in whose box the heatmap's greatest pixel lies "
        f"({located['method']}, {located['cells']} cells, enlarged bicubically; `python -m "
        "scripts.localize --split all`). Beside it controls: the centre of that finding's average "
        "box in other patients (no picture is looked at), and a random point. A finding whose "
        "boxes together are smaller than a cell of the map is counted apart."
    )
    whole = located["boxes"]["all"]["All"]
    low, high = whole["interval"]
    together = (
        f"All {whole['targets']:,} drawn findings together: {whole['peak_in_box']['heatmap']:.3f} "
        f"({low:.3f}-{high:.3f}), {whole['gain_over_average_box']:+.3f} over the average box's "
        "centre."
    )
    lines = [f"## Where it looks\n\n{textwrap.fill(text, 100)}\n\n{together}\n"]
    for size, rows in located["boxes"].items():
        if size == "all" or not rows:
            continue
        lines += [
            f"Boxes {'of ' if size.startswith('at') else ''}{size}:\n",
            "| finding | n | peak in box | 95 % interval | average box's centre | random point |",
            "|---|---|---|---|---|---|",
        ]
        for name in [*sorted(set(rows) - {"All"}), "All"]:
            row, bold = rows[name], "**" if name == "All" else ""
            hits, low_high = row["peak_in_box"], row["interval"]
            shown = "n/a" if low_high is None else "-".join(f"{v:.3f}" for v in low_high)
            lines.append(
                f"| {bold}{spoken(name)}{bold} | {row['targets']} | "
                f"{bold}{hits['heatmap']:.3f}{bold} | {shown} | {hits['average box']:.3f} | "
                f"{hits['random point']:.3f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _limits() -> str:
    return """\
## What it is not

The phantoms are drawings: every finding has one cause, one look and a certain label. Real
radiographs differ in all three. A high figure above says that the way from pictures to figures
works, not that anything was learned about patients. Train on real radiographs for that (see the
README one folder up), and open the demo on those weights: `python -m demo --weights W`.
"""


def _number(value: float | None) -> str:
    return "n/a" if value is None else f"{value:.3f}"


def _bounds(found: dict[str, Any]) -> str:
    if found["low"] is None:
        return "n/a"
    return f"{found['low']:.3f}-{found['high']:.3f}"
