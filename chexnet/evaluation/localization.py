"""Does a heatmap point at what somebody drew a box round?

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

Shapes: h w cells of a map, k boxes, T boxed.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
from scipy import ndimage

from chexnet.data.datasets import open_data_set
from chexnet.data.loader import AnyDataSet, batch_loader
from chexnet.data.nih import FRAME, read_boxes
from chexnet.errors import DataError
from chexnet.evaluation.heat_regions import SIDE, Point, component_box, peak
from chexnet.evaluation.holdout import Holdout
from chexnet.explain import CLOSED_FORM, explain
from chexnet.grad_cam import package_heatmap
from chexnet.model import DenseNet121
from chexnet.transforms import Preprocessing, network_inputs

OVERLAPS = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7)
"""Least IoU or IoBB of a hit, as in Wang et al. 2017."""


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
    found: dict[str, list[tuple[str, np.ndarray]]] = {}
    for target in boxed:
        found.setdefault(target.label, []).append((target.patient, target.boxes))

    def average(target: BoxedFinding) -> np.ndarray | None:
        others = [boxes for patient, boxes in found[target.label] if patient != target.patient]
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
        for one in own[target.label, target.patient]:
            others -= _covered(one.boxes)
        if not others.any():
            return None
        marked, number = ndimage.label(others == others.max())
        sizes = np.bincount(marked.ravel(), minlength=number + 1)[1:]
        places = np.argwhere(marked == 1 + np.argmax(sizes))
        row, column = places[np.argmin(((places - places.mean(axis=0)) ** 2).sum(axis=1))]
        return (float(column) + 0.5) / SIDE, (float(row) + 0.5) / SIDE

    return [point(target) for target in boxed]


def pointing(
    boxed: Sequence[BoxedFinding], heat_of: Callable[[BoxedFinding], np.ndarray]
) -> tuple[np.ndarray, np.ndarray]:
    """Score a map for each target.

    Args:
        boxed: T of them.
        heat_of: gives a target's map, float (h, w), of what the network saw.

    Returns:
        Whether its peak lies in a box, bool (T,); greatest IoU and IoBB, float (T, 2).
    """
    hits, overlaps = np.zeros(len(boxed), bool), np.zeros((len(boxed), 2))
    for number, target in enumerate(boxed):
        heat = heat_of(target)
        hits[number] = target.holds(peak(heat))
        overlaps[number] = target.overlaps(component_box(heat))
    return hits, overlaps


def _covered(boxes: np.ndarray) -> np.ndarray:
    """Pixels whose centre lies in a box: bool (SIDE, SIDE)."""
    middle = (np.arange(SIDE) + 0.5) / SIDE
    left, top, right, bottom = boxes.T[:, :, None]
    across, down = (left <= middle) & (middle < right), (top <= middle) & (middle < bottom)
    covered: np.ndarray = (down[:, :, None] & across[:, None, :]).any(axis=0)
    return covered


BATCH = 16


def holdout_boxes(holdout: Holdout, given: pd.DataFrame | None = None) -> list[BoxedFinding]:
    """The boxed in the part that is scored, of findings that the network knows.

    Args:
        holdout: the part.
        given: somebody else's boxes, as `read_boxes` gives them; None for NIH's own list.

    Raises:
        DataError: no list of boxes, or none of its images is in the part.
    """
    folder = holdout.datamodule.folder
    table = folder.table.iloc[holdout.datamodule.rows(holdout.part)]
    boxes = read_boxes(folder.root) if given is None else given
    boxes = boxes[boxes["label"].isin(list(holdout.metadata.classes))]
    patients = dict(zip(table["image"], table["patient"], strict=True))
    boxed = boxed_findings(boxes, patients, holdout.metadata.preprocessing)
    if not boxed:
        raise DataError(
            f"None of the {len(boxes):,} boxes is of an image that is here ({folder.root}) and in "
            f"the {holdout.part} part. Fetch more of NIH's image folders, or pass another --split."
        )
    return boxed


def maps_of(
    holdout: Holdout,
    models: Sequence[DenseNet121],
    boxed: Sequence[BoxedFinding],
    method: str = CLOSED_FORM,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[dict[tuple[str, str], np.ndarray]]:
    """Each network's map of each target, by (image, label).

    Args:
        holdout: where the pictures come from.
        models: in eval mode, all on one device, with the subject's classes.
        boxed: of `holdout_boxes`.
        method: of the first network's maps; the others' are always the closed form.
        on_progress: called with images done and in all.

    Returns:
        For each network float32 (h, w) a target, at least 0.
    """
    wanted: dict[str, list[str]] = {}
    for target in boxed:
        wanted.setdefault(target.image, []).append(target.label)
    datamodule, metadata = holdout.datamodule, holdout.metadata
    rows = np.flatnonzero(datamodule.folder.table["image"].isin(wanted))
    data = open_data_set(
        datamodule.folder, rows, metadata.classes, datamodule.preprocessing, datamodule.pack
    )
    device = next(models[0].parameters()).device
    order = np.arange(len(data))
    batches = [order[start : start + BATCH] for start in range(0, len(data), BATCH)]
    maps: list[dict[tuple[str, str], np.ndarray]] = [{} for _ in models]
    done = 0
    for images, _, indices in batch_loader(data, batches, workers=0):
        inputs = network_inputs(images, metadata.preprocessing, device)
        named = [(i, data.images[index]) for i, index in enumerate(indices.tolist())]
        for number, (model, found) in enumerate(zip(models, maps, strict=True)):
            closed = number > 0 or method == CLOSED_FORM
            heats = explain(model, inputs).heatmaps.cpu().numpy() if closed else None
            for i, name in named:
                for label in wanted[name]:
                    index = metadata.classes[label]
                    found[name, label] = (
                        heats[i, index].copy()
                        if heats is not None
                        else package_heatmap(model, inputs[i : i + 1], index, method).numpy()
                    )
        done += len(images)
        if on_progress:
            on_progress(done, len(data))
    return maps


def mean_contributions(
    model: DenseNet121, preprocessing: Preprocessing, data: AnyDataSet
) -> np.ndarray:
    """What each cell adds to each logit, averaged over some images: float32 (D, h, w).

    Args:
        model: in eval mode.
        preprocessing: of its input.
        data: at least one image.
    """
    device = next(model.parameters()).device
    order = np.arange(len(data))
    batches = [order[start : start + BATCH] for start in range(0, len(data), BATCH)]
    total: np.ndarray | None = None
    for images, _, _ in batch_loader(data, batches, workers=0):
        found = explain(model, network_inputs(images, preprocessing, device)).contributions
        part = found.cpu().double().sum(dim=0).numpy()  # Apple GPUs have no float64
        total = part if total is None else total + part
    assert total is not None  # there is at least one image
    return (total / len(data)).astype(np.float32)
