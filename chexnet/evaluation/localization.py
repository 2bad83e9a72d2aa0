"""The heatmaps of findings that somebody drew boxes round; `boxes` has the rules and figures."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import pandas as pd
import torch

from chexnet.data.datasets import open_data_set
from chexnet.data.loader import AnyDataSet, batch_loader
from chexnet.data.nih import read_boxes
from chexnet.errors import DataError
from chexnet.evaluation.boxes import BoxedFinding, boxed_findings
from chexnet.evaluation.holdout import Holdout
from chexnet.explain import CLOSED_FORM, explain
from chexnet.grad_cam import package_heatmap
from chexnet.model import DenseNet121
from chexnet.transforms import Preprocessing, network_inputs

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
) -> list[list[np.ndarray]]:
    """Each network's map of each target.

    Args:
        holdout: where the pictures come from.
        models: in eval mode, all on one device, with the subject's classes.
        boxed: T of them, see `holdout_boxes`.
        method: of the first network's maps; the others' are always the closed form.
        on_progress: called with images done and in all.

    Returns:
        For each network T maps in the order of `boxed`, float32 (h, w), at least 0.
    """
    wanted: dict[str, list[int]] = {}
    for place, target in enumerate(boxed):
        wanted.setdefault(target.image, []).append(place)
    datamodule, metadata = holdout.datamodule, holdout.metadata
    rows = np.flatnonzero(datamodule.folder.table["image"].isin(wanted))
    data = open_data_set(
        datamodule.folder, rows, metadata.classes, datamodule.preprocessing, datamodule.pack
    )
    maps = [[np.empty((0, 0), np.float32)] * len(boxed) for _ in models]
    done = 0
    for inputs, indices in _batches(data, metadata.preprocessing, models[0]):
        for number, model in enumerate(models):
            closed = number > 0 or method == CLOSED_FORM
            heats = explain(model, inputs).heatmaps.cpu().numpy() if closed else None
            for i, index in enumerate(indices):
                for place in wanted[data.images[index]]:
                    column = metadata.classes[boxed[place].label]
                    maps[number][place] = (
                        heats[i, column].copy()
                        if heats is not None
                        else package_heatmap(model, inputs[i : i + 1], column, method).numpy()
                    )
        done += len(indices)
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
    parts = (
        # Apple GPUs have no float64.
        explain(model, inputs).contributions.cpu().double().sum(dim=0)
        for inputs, _ in _batches(data, preprocessing, model)
    )
    total: np.ndarray = sum(parts, start=torch.zeros((), dtype=torch.float64)).numpy()
    return (total / len(data)).astype(np.float32)


def _batches(
    data: AnyDataSet, preprocessing: Preprocessing, model: DenseNet121
) -> Iterator[tuple[torch.Tensor, list[int]]]:
    """Inputs (B, 3, H, W) on the network's device, and their places in the data set."""
    device = next(model.parameters()).device
    order = np.arange(len(data))
    batches = [order[start : start + BATCH] for start in range(0, len(data), BATCH)]
    for images, _, indices in batch_loader(data, batches, workers=0):
        yield network_inputs(images, preprocessing, device), indices.tolist()
