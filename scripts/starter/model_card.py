"""The model card of the starter weights, written from the files that scoring them left."""

import csv
import json
import os
import textwrap
from pathlib import Path
from typing import Any

from chexnet.evaluation.report.tables import above_chance, format_interval, format_value
from chexnet.labels import FINDINGS, spoken
from chexnet.model import load_weights

_HEAD = """\
**For teaching only: trained on drawn phantoms and on few real radiographs, and often wrong.
Research and education only, never for clinical use.** They are here so that the demo works at once,
offline.
"""
_OF = {
    "radiographs": (
        "AUROC on real radiographs it never saw",
        "radiographs of {patients:,} patients from NIH's official test list, those of a small "
        "**selected** sample (many Pneumonia, few No Finding): not a figure on ChestX-ray14",
    ),
    "phantoms": (
        "AUROC on phantoms it never saw",
        "pictures of {patients:,} drawn patients of another seed",
    ),
}


def card(weights: Path, out: Path, runs: list[Path], made_by: str) -> str:
    """Markdown.

    Args:
        weights: the stored file.
        out: folder with the scorings of it, under `radiographs` and `phantoms`.
        runs: folders of the training runs: phantoms alone, the mixture at half the size and at the
            whole; without the first where other weights were begun with.
        made_by: the command that made it.
    """
    _, about = load_weights(weights)
    scored = {kind: _read(out / kind, "metrics.json") for kind in _OF}
    located = {kind: _read(out / kind, "localization.json") for kind in _OF}
    return "\n".join(
        [
            "# Starter weights\n",
            _HEAD,
            _student(scored["radiographs"]),
            _what(weights, about, runs, made_by),
            *(_auroc(kind, scored[kind]) for kind in _OF),
            _calibration(scored),
            "## Where it looks\n",
            _pointing("Real radiographs", located["radiographs"]),
            _pointing("Phantoms", located["phantoms"], each=True),
            _limits(),
        ]
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    [path] = folder.glob(f"*/{name}")
    return json.loads(path.read_text(encoding="utf-8"))


def _student(scored: dict[str, Any]) -> str:
    """What the figures on real radiographs mean for somebody who uploads one."""
    mean = scored["mean_auroc"]["findings"]
    text = (
        f"On {scored['images']} real radiographs that it never saw, the mean AUROC of "
        f"{mean['of']} findings was {format_value(mean['value'])} (95 % interval "
        f"{format_interval(mean['interval'])}); 0.5 is guessing, 1 is perfect. "
        f"{above_chance(scored)}"
    )
    return f"## What that means for a student\n\n{_filled(text)}\n"


def _what(weights: Path, about: Any, runs: list[Path], made_by: str) -> str:
    made, size = about.provenance, about.preprocessing.size
    images, drawn = made["data"]["images"], made["data"]["drawn"]
    figures = about.validation["figures"]
    machine = made["gpu"] or f"{os.cpu_count()} CPU cores"
    spent = [_spent(run) for run in runs]
    first = (
        f"First {spent[0][0]} epochs over drawn phantoms at {size // 2} px ({spent[0][1]:.0f} "
        "minutes)."
        if len(runs) == 3
        else f"It began with an earlier edition ({Path(_first_init(runs[0])).name}), which had "
        "seen drawn phantoms and a part of the same real radiographs."
    )
    text = (
        f"`{weights.name}`: DenseNet-121 for pictures of {size} x {size} pixels (heatmaps of "
        f"{size // 32} x {size // 32} cells), {weights.stat().st_size / 1e6:.1f} MB; parameters in "
        f"half precision, BatchNorm's statistics in single. {first} Then, with the strong recipe, "
        f"over {images['train'] - drawn['train']:,} real radiographs of NIH's train_val list and "
        f"{drawn['train']:,} other phantoms: {spent[-2][0]} epochs at {size // 2} px "
        f"({spent[-2][1]:.0f} minutes) and {spent[-1][0]} at {size} px "
        f"({spent[-1][1]:.0f} minutes). "
        f"{images['val']:,} pictures of other patients, {images['val'] - drawn['val']:,} of them "
        f"real, chose the best epoch, and with {images['test']:,} more phantoms the thresholds; "
        f"the {figures['images']:,} real ones alone the calibration (mean AUROC on them "
        f"{format_value(figures['mean_auroc']['findings']['value'])}"
        f", which chose the epoch and is therefore a little too good). {made['date'][:10]}, torch "
        f"{made['torch']}, {machine}, shared with other work. No test image was looked at before "
        "the weights were stored."
    )
    return f"""\
## What it is

{_filled(text)}

[real_images.txt](real_images.txt) names the real radiographs (for training and validation). The
weights are made again, from an NIH download, by

```sh
{made_by}
```

which draws the phantoms, trains, stores, scores, and writes this page.
"""


def _first_init(run: Path) -> str:
    config = load_weights(run / "best_chexnet_params.pth")[1].provenance["config"]
    return str(config["init"])


def _spent(run: Path) -> tuple[int, float]:
    with (run / "epochs.csv").open(newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    return len(seconds), sum(seconds) / 60


def _auroc(kind: str, scored: dict[str, Any]) -> str:
    title, whose = _OF[kind]
    text = (
        f"{scored['images']:,} {whose.format(**scored)}, scored with the stored half-precision "
        "file (`python -m scripts.eval`); 95 % intervals by bootstrap over patients, n/a under 5 "
        "patients with or without the finding."
    )
    lines = [
        f"""\
## {title}

{_filled(text)}

| finding | n positive | AUROC | 95 % interval |
|---|---|---|---|"""
    ]
    for name in (*FINDINGS, "No Finding"):
        one = scored["classes"].get(name)
        if one:
            lines.append(
                f"| {spoken(name)} | {one['positives']} | {format_value(one['auroc'])} | "
                f"{format_interval(one['interval'])} |"
            )
    mean = scored["mean_auroc"]["findings"]
    lines.append(
        f"| **Mean of {mean['of']} of {mean['all']} findings** | | "
        f"**{format_value(mean['value'])}** | {format_interval(mean['interval'])} |\n"
    )
    return "\n".join(lines)


def _calibration(scored: dict[str, dict[str, Any]]) -> str:
    lines = [
        "## Calibration\n",
        "Expected calibration error and Brier score, mean of the findings, before and after.\n",
        "| scored on | ECE before | ECE after | Brier before | Brier after |",
        "|---|---|---|---|---|",
    ]
    for kind, content in scored.items():
        rows = [one for name, one in content["calibration"].items() if name in FINDINGS]
        means = (
            sum(row[f"{figure}_{when}"] for row in rows) / len(rows)
            for figure in ("ece", "brier")
            for when in ("before", "after")
        )
        lines.append(f"| {kind} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |")
    lines.append(
        "\nIt was fitted to real radiographs, so that it is wrong by design on phantoms.\n"
    )
    return "\n".join(lines)


def _pointing(title: str, located: dict[str, Any], *, each: bool = False) -> str:
    text = (
        "Share of findings in whose box the heatmap's greatest pixel lies "
        f"({located['method']}, {located['cells']} cells, enlarged bicubically; `python -m "
        "scripts.localize`). Beside it controls: the centre of that finding's average box in other "
        "patients (no picture is looked at), and a random point. A finding whose boxes together "
        "are smaller than a cell of the map is counted apart."
    )
    whole = located["boxes"]["all"]["All"]
    hits = whole["peak_in_box"]
    together = (
        f"All {whole['targets']:,} boxed findings together: {hits['heatmap']:.3f} "
        f"({format_interval(whole['interval'])}); the average box's centre "
        f"{hits['average box']:.3f}, a random point {hits['random point']:.3f}."
    )
    lines = [f"### {title}\n"] + ([_filled(text) + "\n"] if not each else [])
    lines.append(f"{_filled(together)}\n")
    if not each:
        return "\n".join(lines)
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
            hits = row["peak_in_box"]
            lines.append(
                f"| {bold}{spoken(name)}{bold} | {row['targets']} | "
                f"{bold}{hits['heatmap']:.3f}{bold} | {format_interval(row['interval'])} | "
                f"{hits['average box']:.3f} | {hits['random point']:.3f} |"
            )
        lines.append("")
    return "\n".join(lines)


def _limits() -> str:
    return """\
## What it is not

The phantoms are drawings: every finding has one cause, one look and a certain label, so that a high
figure on them says that the way from pictures to figures works. The real radiographs were few, and
their labels were mined from reports and are not always right. Train on all of NIH for a better
network (see the README one folder up), and open the demo on it: `python -m demo --weights W`.
"""


def _filled(text: str) -> str:
    return textwrap.fill(text, 100, break_on_hyphens=False)
