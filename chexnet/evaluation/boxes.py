"""Does a heatmap point at what somebody drew a box round? Targets, rules, controls and figures.

A target is one label of one image with all boxes of that label. Coordinates are fractions of what
the network saw: NIH's boxes stand in a frame of 1024 x 1024 pixels and go through the same frame
as the picture. Maps are enlarged to `SIDE` pixels as in the overlay that people see,
before anything is read off.

Rules, fixed before anything was scored:
- pointing game (Zhang et al., IJCV 2018, without its tolerance): the map's greatest pixel lies in
  a box. A map without positive contribution points nowhere, which is a miss.
- IoU and IoBB (Wang et al., CVPR 2017): the box round the largest connected component (4-connected)
  of the pixels of at least half of the map's maximum, against the box of the image that it fits
  best; IoBB divides the overlap by the area of the predicted box.

No torch here: `localization` computes the maps. Shapes: h w cells of a map, k boxes, T targets.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
from scipy import ndimage

from chexnet.data.nih import FRAME
from chexnet.evaluation.intervals import PatientBootstrap
from chexnet.evaluation.scores import Figures
from chexnet.files import plain
from chexnet.overlay import enlarge
from chexnet.transforms import Preprocessing

SIDE = 256
"""Pixels a side to which a map is resized; the pixel's centre is the point that counts."""
COMPONENT = 0.5  # of the map's maximum
OVERLAPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Least IoU or IoBB of a hit, as in Wang et al. 2017."""
CONTROLS = ("average box", "most boxed point", "random point", "untrained")
MIN_BOXES = 5
"""Boxed findings under which a finding has no figure of its own beside its heatmaps."""
ALL, LARGE, SMALL = "all", "at least a cell", "smaller than a cell"

Point = tuple[float, float]


def peak(heat: np.ndarray) -> Point | None:
    """Where the enlarged map is greatest, (x, y) in [0, 1]; None where nothing is above 0."""
    if not (heat > 0).any():
        return None
    row, column = np.unravel_index(np.argmax(whole := enlarge(heat, (SIDE, SIDE))), whole.shape)
    return (column + 0.5) / SIDE, (row + 0.5) / SIDE


def component_box(heat: np.ndarray) -> np.ndarray | None:
    """The box (4,) round the largest component of a map (h, w); None where nothing is above 0."""
    if not (heat > 0).any():
        return None
    whole = enlarge(heat, (SIDE, SIDE))
    marked, _ = ndimage.label(whole >= COMPONENT * whole.max())
    largest = np.argmax(np.bincount(marked.ravel())[1:])
    rows, columns = ndimage.find_objects(marked)[largest]
    return np.array([columns.start, rows.start, columns.stop, rows.stop]) / SIDE


@dataclass(frozen=True)
class BoxedFinding:
    """One finding of one image that somebody drew boxes round.

    Attributes:
        image: file name.
        patient: whose image it is.
        label: the finding.
        boxes: float (k, 4) left, top, right, bottom in [0, 1] of what the network saw.
    """

    image: str
    patient: str
    label: str
    boxes: np.ndarray

    @property
    def area(self) -> float:
        """Share of what the network saw that lies in a box, overlaps counted once."""
        return float(_covered(self.boxes).mean())

    def holds(self, point: Point | None) -> bool:
        """Whether the point (x, y) lies in a box."""
        if point is None:
            return False
        (x, y), (left, top, right, bottom) = point, self.boxes.T
        return bool(((left <= x) & (x < right) & (top <= y) & (y < bottom)).any())

    def overlaps(self, box: np.ndarray | None) -> tuple[float, float]:
        """Greatest IoU and greatest IoBB of a predicted box (4,) with one of the boxes."""
        if box is None:
            return 0.0, 0.0
        low, high = np.maximum(self.boxes[:, :2], box[:2]), np.minimum(self.boxes[:, 2:], box[2:])
        shared = np.prod(np.clip(high - low, 0, None), axis=1)
        own = np.prod(box[2:] - box[:2])
        union = own + np.prod(self.boxes[:, 2:] - self.boxes[:, :2], axis=1) - shared
        return float((shared / union).max()), float((shared / own).max())


def boxed_findings(
    boxes: pd.DataFrame, patients: dict[str, str], preprocessing: Preprocessing
) -> list[BoxedFinding]:
    """The targets of some images, in the order of the table of boxes.

    Args:
        boxes: see `read_boxes`.
        patients: file name to patient, of the images that are wanted.
        preprocessing: of the network; a target wholly outside of what it sees is left out.
    """
    left, top, right, bottom = preprocessing.frame(FRAME, FRAME)
    chosen = boxes[boxes["image"].isin(patients)]
    x, y = (chosen["x"] - left) / (right - left), (chosen["y"] - top) / (bottom - top)
    corners = np.stack(
        [x, y, x + chosen["w"] / (right - left), y + chosen["h"] / (bottom - top)], axis=1
    )
    corners = np.clip(corners.astype(float), 0, 1)
    seen = (corners[:, 2] > corners[:, 0]) & (corners[:, 3] > corners[:, 1])
    chosen, corners = chosen[seen].reset_index(drop=True), corners[seen]
    groups = chosen.groupby(["image", "label"], sort=False).indices
    return [
        BoxedFinding(image, patients[image], label, corners[rows])
        for (image, label), rows in groups.items()
    ]


def average_boxes(boxed: Sequence[BoxedFinding]) -> list[np.ndarray | None]:
    """A control that sees no picture: a box of average size at the average centre.

    The averages are over all boxes of that finding in other patients; each float (4,), None where
    there is none.
    """
    drawn: dict[str, list[tuple[str, np.ndarray]]] = {}
    for target in boxed:
        drawn.setdefault(target.label, []).append((target.patient, target.boxes))

    def average(target: BoxedFinding) -> np.ndarray | None:
        others = [boxes for patient, boxes in drawn[target.label] if patient != target.patient]
        # Averaging corners averages centre and size.
        return np.concatenate(others).mean(axis=0) if others else None

    return [average(target) for target in boxed]


def centre_of(box: np.ndarray | None) -> Point | None:
    """The centre of a box (4,)."""
    if box is None:
        return None
    left, top, right, bottom = box.tolist()
    return (left + right) / 2, (top + bottom) / 2


def most_boxed_points(boxed: Sequence[BoxedFinding]) -> list[Point | None]:
    """A stronger control than the average centre, which for both lungs lies between them.

    Of each target's finding: the middle of the pixels that boxes of the most other patients'
    targets cover, the pixel nearest to it; None where there is no other patient.
    """
    counts: dict[str, np.ndarray] = {}
    own: dict[tuple[str, str], list[BoxedFinding]] = {}
    for target in boxed:
        covered = _covered(target.boxes).astype(np.int32)
        counts[target.label] = counts.get(target.label, np.int32(0)) + covered
        own.setdefault((target.label, target.patient), []).append(target)

    def point(target: BoxedFinding) -> Point | None:
        others = counts[target.label].copy()
        for same in own[target.label, target.patient]:
            others -= _covered(same.boxes)
        if not others.any():
            return None
        marked, number = ndimage.label(others == others.max())
        sizes = np.bincount(marked.ravel(), minlength=number + 1)[1:]
        places = np.argwhere(marked == 1 + np.argmax(sizes))
        row, column = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
        return (float(column) + 0.5) / SIDE, (float(row) + 0.5) / SIDE

    return [point(target) for target in boxed]


def pointing(
    boxed: Sequence[BoxedFinding], maps: Sequence[np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Score a map, float (h, w) of what the network saw, for each of T targets.

    Returns:
        Whether its peak lies in a box, bool (T,); greatest IoU and IoBB, float (T, 2).
    """
    pairs = list(zip(boxed, maps, strict=True))
    hits = [target.holds(peak(heat)) for target, heat in pairs]
    overlaps = [target.overlaps(component_box(heat)) for target, heat in pairs]
    return np.array(hits, bool), np.array(overlaps, float)


def _covered(boxes: np.ndarray) -> np.ndarray:
    """Pixels whose centre lies in a box: bool (SIDE, SIDE)."""
    middle = (np.arange(SIDE) + 0.5) / SIDE
    left, top, right, bottom = boxes.T[:, :, None]
    across, down = (left <= middle) & (middle < right), (top <= middle) & (middle < bottom)
    covered: np.ndarray = (down[:, :, None] & across[:, None, :]).any(axis=0)
    return covered


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
    boxed: Sequence[BoxedFinding], maps: Sequence[np.ndarray], untrained: Sequence[np.ndarray]
) -> ScoredMaps:
    """Score a network's maps and the controls.

    Args:
        boxed: at least one.
        maps: of each target, float (h, w).
        untrained: the same of a network with random weights.
    """
    hits, overlaps = pointing(boxed, maps)
    averages = list(zip(boxed, average_boxes(boxed), strict=True))
    most = zip(boxed, most_boxed_points(boxed), strict=True)
    columns = {
        "heatmap": hits,
        "average box": [target.holds(centre_of(box)) for target, box in averages],
        "most boxed point": [target.holds(point) for target, point in most],
        "random point": [target.area for target in boxed],
        "untrained": pointing(boxed, untrained)[0],
    }
    return ScoredMaps(
        boxed=list(boxed),
        cell=1 / np.asarray(maps[0]).size,
        hits={name: np.array(values, float) for name, values in columns.items()},
        overlaps=overlaps,
        size_overlaps=np.array([target.overlaps(box) for target, box in averages]),
    )


def figures_of(scored: ScoredMaps, chosen: np.ndarray, replicates: int, seed: int) -> Figures:
    """The figures of the targets of a mask (T,), at least one.

    Returns:
        `targets`, their `boxes` and `patients`; `peak_in_box`, the share of targets of the heatmap
        and of each of `CONTROLS`; the `interval` of the first; what the heatmap gains over two of
        the controls, paired; and of `iou` and `iobb` the share of targets with at least each of
        `OVERLAPS`, for the heatmap with interval, and for a box of average size at the average
        centre.
    """
    targets = [target for target, kept in zip(scored.boxed, chosen, strict=True) if kept]
    bootstrap = PatientBootstrap([target.patient for target in targets], replicates, seed)
    hits = {name: values[chosen] for name, values in scored.hits.items()}
    figures: dict[str, Any] = {
        "targets": len(targets),
        "boxes": sum(len(target.boxes) for target in targets),
        "patients": bootstrap.units,
        "peak_in_box": {name: float(values.mean()) for name, values in hits.items()},
        "interval": bootstrap.share(hits["heatmap"]),
    }
    for control, key, interval in (
        ("average box", "gain_over_average_box", "gain_interval"),
        ("most boxed point", "gain_over_most_boxed_point", "gain_over_most_boxed_point_interval"),
    ):
        gain = hits["heatmap"] - hits[control]
        figures |= {key: float(gain.mean()), interval: bootstrap.mean(gain)}
    for column, name in enumerate(("iou", "iobb")):
        reached = {k: (scored.overlaps[chosen, column] >= k).astype(float) for k in OVERLAPS}
        figures[name] = {
            k: {"share": float(hit.mean()), "interval": bootstrap.share(hit)}
            for k, hit in reached.items()
        }
        average = scored.size_overlaps[chosen, column]
        figures[f"{name}_of_average_box"] = {k: float((average >= k).mean()) for k in OVERLAPS}
    return figures


def summarise_maps(scored: ScoredMaps, replicates: int, seed: int) -> dict[str, dict[str, Figures]]:
    """Rows by size (`ALL`, `LARGE`, `SMALL`), then by finding; the last one, `All`, is of all.

    Returns:
        Each row as `figures_of` gives it; none where there is no target.
    """
    labels = sorted({target.label for target in scored.boxed})
    masks = {
        (size, name or "All"): scored.rows(name, size)
        for size in (ALL, LARGE, SMALL)
        for name in (*labels, None)
    }
    tables: dict[str, dict[str, Figures]] = {ALL: {}, LARGE: {}, SMALL: {}}
    for (size, name), chosen in masks.items():
        if chosen.any():
            tables[size][name] = figures_of(scored, chosen, replicates, seed)
    return tables


def trust_of(rows: Figures, source: str) -> dict[str, Any]:
    """What a weights file keeps of these figures, for whoever sees one of its heatmaps.

    Args:
        rows: of `summarise_maps`, those of `ALL`.
        source: of the pictures, for a reader.

    Returns:
        `source`, `all`, and `findings` with those of at least `MIN_BOXES` boxed findings; each with
        `count`, `patients`, `peak_in_box`, its `interval`, and `average_box`, shares in [0, 1].
    """
    kept: dict[str, dict[str, Any]] = {
        name: {
            "count": row["targets"],
            "patients": row["patients"],
            "peak_in_box": row["peak_in_box"]["heatmap"],
            "average_box": row["peak_in_box"]["average box"],
            "interval": plain(row["interval"]),
        }
        for name, row in rows.items()
    }
    whole = kept.pop("All")
    findings = {name: row for name, row in kept.items() if row["count"] >= MIN_BOXES}
    return {"source": source, "all": whole, "findings": findings}
