"""The ratios of dev.bench as a picture."""

import re
import textwrap
from pathlib import Path

from matplotlib.figure import Figure

from chexnet.files import replacing
from dev.bench.rows import CostRow, LimitRow, Row

OURS, TARGET, EVEN = "#0f8a7e", "#d9660f", "#888888"
WHITE = {"facecolor": "white", "edgecolor": "none", "pad": 0.5}
"""Behind a number, so that no line runs through it."""


def plot(rows: list[Row], path: Path) -> None:
    """Draw how many times as fast ours is, on a logarithmic scale, with each target as a mark.

    Rows that measure a cost, a share or a limit are left to the table.
    """
    drawn = [row for row in rows if not isinstance(row, CostRow | LimitRow)][::-1]
    if not drawn:
        return
    figure = Figure(figsize=(9, 1.1 + 0.55 * len(drawn)), layout="constrained")
    axes = figure.subplots()
    places = range(len(drawn))
    axes.barh(places, [row.ratio for row in drawn], color=OURS, height=0.6)
    for place, row in zip(places, drawn, strict=True):
        end = row.ratio
        wanted = re.search(r"at least ([\d.,]+)x", row.target)
        if wanted:
            value = float(wanted[1].replace(",", ""))
            axes.plot([value, value], [place - 0.38, place + 0.38], color=TARGET, lw=2.5)
            end = max(end, value)
        told = row.ratio_text.split()[0]
        beside = {"xytext": (5, 0), "textcoords": "offset points"}
        axes.annotate(told, (end, place), **beside, va="center", fontsize=8, bbox=WHITE)
    axes.axvline(1, color=EVEN, lw=1)
    axes.set_xscale("log")
    axes.margins(x=0.12)
    axes.set_yticks(
        places,
        [textwrap.fill(row.work, 56) for row in drawn],
        fontsize=7.5,
    )
    axes.set_xlabel("times as fast as what stands beside it in the table (line: target)")
    axes.spines[["top", "right"]].set_visible(False)
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png", dpi=130)
