"""The README of the starter weights: how they were made, the report's card, where they look."""

import csv
import json
import textwrap
from pathlib import Path
from typing import Any

from chexnet.evaluation.report import tables
from chexnet.evaluation.report.render import format_value, to_markdown
from chexnet.model import load_weights

_HEAD = """\
# Starter weights

**For teaching only: trained on drawn phantoms and on few real radiographs, and often wrong.
Research and education only, never for clinical use.** They are here so that the demo works at once,
offline. The real radiographs were few, and their labels were mined from reports and are not always
right. Train on all of NIH for a better network (see the README one folder up), and open the demo on
it: `python -m demo --weights W`.
"""
_REAL = """\
## On real radiographs that it never saw

Those of NIH's official test list that were at hand, a small **selected** sample (many Pneumonia,
few No Finding): no figure here is one on ChestX-ray14. Nothing was chosen on them. What follows is
the model card that `python -m scripts.eval --report` wrote.
"""
_DRAWN = """\
## On phantoms that it never saw

{images:,} pictures of {patients:,} drawn patients of another seed. They are drawings: every finding
has one cause, one look and a certain label, so that a high figure says that the way from pictures
to figures works, and nothing about patients. The calibration was fitted to real radiographs, so
that it is wrong by design here.
"""
_LOOKS = """\
### Where it looks

Share of findings in whose box the heatmap's greatest pixel lies (`python -m scripts.localize`), and
beside it controls that know less: the centre of that finding's average box in other patients, and a
random point.
"""


def card(weights: Path, out: Path, runs: list[Path], made_by: str) -> str:
    """Markdown.

    Args:
        weights: the stored file.
        out: folder with the scorings of it, under `radiographs` and `phantoms`, each by
            `scripts.eval --report` and `scripts.localize`.
        runs: folders of the training runs, each begun from the one before.
        made_by: the command that made it.
    """
    [own] = (out / "radiographs").glob("*/model_card.md")
    lines = own.read_text(encoding="utf-8").splitlines()
    demoted = [f"##{line}" if line.startswith("#") else line for line in lines]
    drawn = _read(out / "phantoms", "metrics.json")
    shown = ("finding", "positives", "auroc", "auroc_interval", "ece_after")
    return "\n".join(
        [
            _HEAD,
            _made(weights, runs, made_by),
            _REAL,
            *demoted,
            "",
            _looks(out / "radiographs"),
            _DRAWN.format(**drawn),
            f"{to_markdown(tables.findings(drawn).only(*shown))}\n",
            _looks(out / "phantoms"),
        ]
    )


def _read(folder: Path, name: str) -> dict[str, Any]:
    [path] = folder.glob(f"*/{name}")
    return json.loads(path.read_text(encoding="utf-8"))


def _looks(folder: Path) -> str:
    shown = ("finding", "targets", "peak_in_box", "interval", "average box", "random point")
    parts = [_LOOKS]
    for size, rows in _read(folder, "localization.json")["boxes"].items():
        if rows:
            parts.append(f"Boxes: {size}.\n")
            parts.append(f"{to_markdown(tables.boxes(size, rows).only(*shown))}\n")
    return "\n".join(parts)


def _made(weights: Path, runs: list[Path], made_by: str) -> str:
    _, about = load_weights(weights)
    made, size = about.provenance, about.preprocessing.size
    images, drawn = made["data"]["images"], made["data"]["drawn"]
    figures = about.validation["figures"]
    stages = "; ".join(_stage(run) for run in runs)
    text = (
        f"`{weights.name}`: DenseNet-121 for pictures of {size} x {size} pixels, "
        f"{weights.stat().st_size / 1e6:.1f} MB; parameters in half precision, BatchNorm's "
        f"statistics in single. Trained last on {images['train'] - drawn['train']:,} real "
        f"radiographs of NIH's train_val list and {drawn['train']:,} phantoms. The stages: "
        f"{stages}. {images['val']:,} pictures of other patients, "
        f"{images['val'] - drawn['val']:,} of them real, chose the best epoch, and with "
        f"{images['test']:,} more phantoms the thresholds; the {figures['images']:,} real ones "
        "alone the calibration (mean AUROC on them "
        f"{format_value(figures['mean_auroc']['findings']['value'])}, which chose the epoch and is "
        f"therefore optimistically biased). {made['date'][:10]}, torch {made['torch']}. No test "
        "image was looked at before the weights were stored."
    )
    filled = textwrap.fill(text, 100, break_on_hyphens=False)
    return f"""\
## How they were made

{filled}

[real_images.txt](real_images.txt) names the real radiographs (for training and validation). The
weights are made again, from an NIH download, by

```sh
{made_by}
```

which draws the phantoms, trains, stores, scores, and writes this page.
"""


def _stage(run: Path) -> str:
    """What one run began with, how many epochs it had and how long they took."""
    config = load_weights(run / "best_chexnet_params.pth")[1].provenance["config"]
    with (run / "epochs.csv").open(newline="", encoding="utf-8") as file:
        seconds = [float(row["seconds"]) for row in csv.DictReader(file)]
    begun = Path(str(config["init"])).name
    begun = "nothing" if begun == "none" else begun
    return (
        f"{run.name}, {len(seconds)} epochs at {config['size']} px ({sum(seconds) / 60:.0f} "
        f"minutes), begun from {begun}"
    )
