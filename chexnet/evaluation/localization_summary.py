"""The figures of heatmaps against boxes, per finding, beside controls that know less.

Shapes: T boxed findings.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from chexnet.evaluation.intervals import Interval, PatientBootstrap
from chexnet.evaluation.localization import (
    OVERLAPS,
    BoxedFinding,
    average_boxes,
    centre_of,
    most_boxed_points,
    pointing,
)
from chexnet.files import plain

CONTROLS = ("average box", "most boxed point", "random point", "untrained")
MIN_BOXES = 5
"""Boxed findings under which a finding has no figure of its own beside its heatmaps."""
ALL, LARGE, SMALL = "all", "at least a cell", "smaller than a cell"


@dataclass(frozen=True)
class ScoredMaps:
    """One value a target; what every figure below is a mean of.

    Attributes:
        boxed: T of them.
        cell: area of one cell of the map, as a share of what the network saw.
        hits: name to float (T,): `heatmap` and `CONTROLS`, each 0 or 1, but for the random point,
            whose chance is computed instead of drawn.
        overlaps: greatest IoU and IoBB, float (T, 2).
        size_overlaps: the same of a box of average size at the average centre.
    """

    boxed: list[BoxedFinding]
    cell: float
    hits: dict[str, np.ndarray]
    overlaps: np.ndarray
    size_overlaps: np.ndarray

    def rows(self, label: str | None = None, size: str = ALL) -> np.ndarray:
        """Which targets are of a finding (None for all) and of a size (`ALL`, `LARGE`, `SMALL`)."""
        named = np.array([label in (None, target.label) for target in self.boxed], bool)
        if size == ALL:
            return named
        small = np.array([target.area < self.cell for target in self.boxed], bool)
        chosen: np.ndarray = named & (small if size == SMALL else ~small)
        return chosen


def score_maps(
    boxed: Sequence[BoxedFinding],
    heat_of: Callable[[BoxedFinding], np.ndarray],
    untrained_of: Callable[[BoxedFinding], np.ndarray],
) -> ScoredMaps:
    """Score a network's maps and the controls.

    Args:
        boxed: at least one.
        heat_of: gives a target's map, float (h, w).
        untrained_of: the same of a network with random weights.
    """
    hits, overlaps = pointing(boxed, heat_of)
    averages = list(zip(boxed, average_boxes(boxed), strict=True))
    most = zip(boxed, most_boxed_points(boxed), strict=True)
    columns = {
        "heatmap": hits,
        "average box": [target.holds(centre_of(box)) for target, box in averages],
        "most boxed point": [target.holds(point) for target, point in most],
        "random point": [target.area for target in boxed],
        "untrained": pointing(boxed, untrained_of)[0],
    }
    return ScoredMaps(
        boxed=list(boxed),
        cell=1 / np.asarray(heat_of(boxed[0])).size,
        hits={name: np.array(values, float) for name, values in columns.items()},
        overlaps=overlaps,
        size_overlaps=np.array([target.overlaps(box) for target, box in averages]),
    )


@dataclass(frozen=True)
class Share:
    """A share in [0, 1], with its interval."""

    share: float
    interval: Interval


@dataclass(frozen=True)
class BoxFigures:
    """Figures of one group of boxed findings, under the keys of `localization.json`.

    Attributes:
        targets: how many.
        boxes: boxes there are; a target may have several.
        patients: of how many patients.
        peak_in_box: `heatmap` and each of `CONTROLS` to its share.
        interval: of the heatmap's share.
        gain_over_average_box: the heatmap's share less that of the average box's centre.
        gain_interval: of that difference, paired.
        gain_over_most_boxed_point: the heatmap's share less that of the most boxed point.
        gain_over_most_boxed_point_interval: of that difference, paired.
        iou: share of targets with at least each of `OVERLAPS`.
        iobb: the same of IoBB.
        iou_of_average_box: the same of IoU for a box of average size at the average centre.
        iobb_of_average_box: the same of IoBB.
    """

    targets: int
    boxes: int
    patients: int
    peak_in_box: dict[str, float]
    interval: Interval
    gain_over_average_box: float
    gain_interval: Interval
    gain_over_most_boxed_point: float
    gain_over_most_boxed_point_interval: Interval
    iou: dict[float, Share]
    iobb: dict[float, Share]
    iou_of_average_box: dict[float, float]
    iobb_of_average_box: dict[float, float]


def group(scored: ScoredMaps, chosen: np.ndarray, replicates: int, seed: int) -> BoxFigures | None:
    """The figures of the targets of a mask (T,); None where it is empty."""
    targets = [target for target, kept in zip(scored.boxed, chosen, strict=True) if kept]
    if not targets:
        return None
    bootstrap = PatientBootstrap([target.patient for target in targets], replicates, seed)
    hits = {name: values[chosen] for name, values in scored.hits.items()}
    gain = hits["heatmap"] - hits["average box"]
    gain_most = hits["heatmap"] - hits["most boxed point"]

    def shares(overlaps: np.ndarray) -> dict[float, Share]:
        reached = {least: (overlaps >= least).astype(float) for least in OVERLAPS}
        return {k: Share(float(hit.mean()), bootstrap.share(hit)) for k, hit in reached.items()}

    def shares_alone(overlaps: np.ndarray) -> dict[float, float]:
        return {least: float((overlaps >= least).mean()) for least in OVERLAPS}

    return BoxFigures(
        targets=len(targets),
        boxes=sum(len(target.boxes) for target in targets),
        patients=bootstrap.units,
        peak_in_box={name: float(values.mean()) for name, values in hits.items()},
        interval=bootstrap.share(hits["heatmap"]),
        gain_over_average_box=float(gain.mean()),
        gain_interval=bootstrap.mean(gain),
        gain_over_most_boxed_point=float(gain_most.mean()),
        gain_over_most_boxed_point_interval=bootstrap.mean(gain_most),
        iou=shares(scored.overlaps[chosen, 0]),
        iobb=shares(scored.overlaps[chosen, 1]),
        iou_of_average_box=shares_alone(scored.size_overlaps[chosen, 0]),
        iobb_of_average_box=shares_alone(scored.size_overlaps[chosen, 1]),
    )


def summarise_maps(
    scored: ScoredMaps, replicates: int, seed: int
) -> dict[str, dict[str, BoxFigures]]:
    """Rows by size (`ALL`, `LARGE`, `SMALL`), then by finding; the last one, `All`, is of all."""
    labels = sorted({target.label for target in scored.boxed})
    tables = {}
    for size in (ALL, LARGE, SMALL):
        rows = {
            name or "All": group(scored, scored.rows(name, size), replicates, seed)
            for name in (*labels, None)
        }
        tables[size] = {name: row for name, row in rows.items() if row}
    return tables


def trust_of(tables: dict[str, dict[str, BoxFigures]], source: str) -> dict[str, Any]:
    """What a weights file keeps of these figures, for whoever sees one of its heatmaps.

    Args:
        tables: of `summarise_maps`.
        source: of the pictures, for a reader.

    Returns:
        `source`, `all`, and `findings` with those of at least `MIN_BOXES` boxed findings; each with
        `count`, `patients`, `peak_in_box`, its `interval`, and `average_box`, shares in [0, 1].
    """
    rows: dict[str, dict[str, Any]] = {
        name: {
            "count": row.targets,
            "patients": row.patients,
            "peak_in_box": row.peak_in_box["heatmap"],
            "average_box": row.peak_in_box["average box"],
            "interval": plain(row.interval),
        }
        for name, row in tables[ALL].items()
    }
    whole = rows.pop("All")
    findings = {name: row for name, row in rows.items() if row["count"] >= MIN_BOXES}
    return {"source": source, "all": whole, "findings": findings}
