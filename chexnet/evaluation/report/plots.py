"""Pictures of a run and of a scoring. Matplotlib is imported when one is drawn."""

from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import numpy as np

from chexnet.evaluation.metrics import reliability, roc
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import Summary
from chexnet.files import replacing
from chexnet.labels import FINDINGS, spoken

if TYPE_CHECKING:
    from collections.abc import Sequence

    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

    from chexnet.evaluation.leakage import Leakage

# Okabe and Ito's colours, told apart by colour-blind readers as well.
BLUE, ORANGE, GREEN, GRAY = "#0072B2", "#D55E00", "#009E73", "#8a8a8a"


def plot_auroc(summary: Summary, path: Path | BinaryIO, stamp: str = "") -> None:
    """Draw every class's AUROC with its interval."""
    order = sorted(range(len(summary.classes)), key=lambda i: summary.classes[i], reverse=True)
    figure = _figure(7, 0.32 * len(order) + 1.6)
    axes = figure.subplots()
    labels = []
    for place, column in enumerate(order):
        name, value = summary.classes[column], summary.auroc[column]
        labels.append(f"{spoken(name)} (n={summary.positives[column]:,})")
        if np.isnan(value):
            axes.text(0.51, place, "n/a", va="center", color=GRAY)
            continue
        interval = summary.intervals.classes[name] if summary.intervals else None
        if interval and interval.known:
            axes.plot([interval.low, interval.high], [place, place], color=BLUE, alpha=0.5)
        axes.plot(value, place, "o", color=BLUE)
        axes.text(1.01, place, f"{value:.3f}", va="center", transform=axes.get_yaxis_transform())
    axes.axvline(0.5, color=GRAY, linestyle=":", linewidth=0.8)
    axes.set_yticks(range(len(labels)), labels)
    axes.set(xlabel="AUROC with 95 % interval (bootstrap over patients)", xlim=(None, 1))
    axes.set_title(f"{stamp} {summary.images:,} images, {summary.patients:,} patients".strip())
    _save(figure, path)


def plot_roc(scores: Scores, summary: Summary, path: Path | BinaryIO, stamp: str = "") -> None:
    """Draw every class's ROC curve, each in a panel of its own."""
    figure, panels = _panels(scores, stamp, shared=True)
    for column, panel in panels.items():
        curve = roc(scores.probabilities[:, column], scores.targets[:, column])
        panel.plot([0, 1], [0, 1], color=GRAY, linewidth=0.8, linestyle=":")
        text = "n/a"
        if curve:
            panel.plot(*_corners(*curve[:2]), color=BLUE)
            text = f"AUROC {summary.auroc[column]:.3f}\nn={summary.positives[column]:,}"
        panel.text(0.95, 0.08, text, ha="right", fontsize=8)
        panel.set(xlim=(0, 1), ylim=(0, 1), aspect="equal")
    figure.supxlabel("false positive rate")
    figure.supylabel("true positive rate")
    _save(figure, path)


def plot_reliability(
    given: Scores, calibrated: Scores | None, path: Path | BinaryIO, stamp: str = ""
) -> None:
    """Draw how often each class is there, against its probability before and after calibration.

    Args:
        given: as the network gave them.
        calibrated: the same after calibration; None where nothing was chosen.
        path: of the PNG.
        stamp: see `LEAKY`.
    """
    figure, panels = _panels(given, stamp, shared=False)
    lines = [("as given", given, ORANGE)]
    if calibrated:
        lines.append(("calibrated", calibrated, BLUE))
    for column, panel in panels.items():
        greatest = 0.0
        for label, scores, colour in lines:
            bins = reliability(scores.probabilities[:, column], scores.targets[:, column])
            panel.plot(bins.probability, bins.observed, ".-", color=colour, label=label)
            greatest = max([greatest, *bins.probability, *bins.observed])
        # A rare finding lives near 0: an axis up to 1 would show it as one point.
        side = min(1.0, 1.1 * greatest) or 1.0
        panel.plot([0, side], [0, side], color=GRAY, linewidth=0.8, linestyle=":")
        panel.set(xlim=(0, side), ylim=(0, side), aspect="equal")
        panel.tick_params(labelsize=7)
    figure.legend(*panel.get_legend_handles_labels(), loc="outside upper right", ncols=2)
    figure.supxlabel("mean probability")
    figure.supylabel("share of images with the finding")
    _save(figure, path)


def plot_leakage(measured: "Sequence[Leakage]", path: Path) -> None:
    """Draw each finding's AUROC of the patient-memory baseline, one colour a split."""
    tests = [part for part in measured if part.part == "test"]
    names = sorted(FINDINGS, reverse=True)
    figure = _figure(8, 5.2)
    axes = figure.subplots()
    for part, colour in zip(tests, (ORANGE, BLUE, GREEN), strict=False):
        column = [part.memory.classes.index(name) for name in names]
        label = (
            f"{part.scheme} split: {100 * part.images:.0f} % of the held-out images have their "
            f"patient in training; mean {part.memory.findings.value:.2f}"
        )
        axes.plot(part.memory.auroc[column], range(len(names)), "o", color=colour, label=label)
        axes.axvline(part.memory.findings.value, color=colour, linewidth=0.8, linestyle=":")
    axes.set_yticks(range(len(names)), [spoken(name) for name in names])
    axes.set(xlabel="AUROC on the held-out images", xlim=(0.45, 1))
    axes.set_title("A score that never looked at a picture: the same patient's other labels")
    axes.legend(loc="upper center", bbox_to_anchor=(0.5, -0.12), frameon=False)
    _save(figure, path)


def _panels(scores: Scores, stamp: str, *, shared: bool) -> tuple["Figure", dict[int, "Axes"]]:
    """A titled panel for each class, in alphabetical order, by its column."""
    columns = sorted(range(len(scores.classes)), key=lambda i: scores.classes[i])
    across = 5
    down = -(-len(columns) // across)
    figure = _figure(2.1 * across, 2.2 * down)
    grid = figure.subplots(down, across, sharex=shared, sharey=shared, squeeze=False)
    for panel in grid.flat[len(columns) :]:
        panel.set_axis_off()
    panels = dict(zip(columns, grid.flat, strict=False))
    for column, panel in panels.items():
        panel.set_title(spoken(scores.classes[column]), fontsize=9)
    if stamp:
        figure.suptitle(stamp, color=ORANGE)
    return figure, panels


def _corners(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """A curve of steps without the points between its corners: the same line, drawn sooner."""
    still = [np.diff(values) == 0 for values in (x, y)]
    straight = (still[0][1:] & still[0][:-1]) | (still[1][1:] & still[1][:-1])
    kept = np.concatenate([[True], ~straight, [True]])
    return x[kept], y[kept]


def _figure(width: float, height: float) -> "Figure":
    from matplotlib.figure import Figure

    return Figure((width, height), dpi=130, layout="constrained")


def _save(figure: "Figure", path: Path | BinaryIO) -> None:
    if not isinstance(path, Path):
        figure.savefig(path, format="png")
        return
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
