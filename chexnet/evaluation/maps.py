"""The heatmaps of those findings that somebody drew boxes round.

Shapes: B batch, D classes, h w cells.
"""

from collections.abc import Callable, Sequence

import numpy as np
import torch

from chexnet.data.datasets import batch_loader, open_data_set
from chexnet.data.table import read_boxes
from chexnet.errors import DataError
from chexnet.evaluation.localization import Target, targets_of
from chexnet.evaluation.subject import Subject
from chexnet.explain import CLOSED_FORM, explain
from chexnet.explain_package import package_heatmap
from chexnet.model import DenseNet121
from chexnet.transforms import normalise

BATCH = 16


def boxed_targets(subject: Subject) -> list[Target]:
    """The targets in the part that is scored, of findings that the network knows.

    Raises:
        DataError: no list of boxes, or none of its images is in the part.
    """
    folder = subject.study.folder
    table = folder.table.iloc[subject.study.rows(subject.part)]
    boxes = read_boxes(folder.root)
    boxes = boxes[boxes["label"].isin(list(subject.card.classes))]
    patients = dict(zip(table["image"], table["patient"], strict=True))
    targets = targets_of(boxes, patients, subject.card.preprocessing.crop)
    if not targets:
        raise DataError(
            f"None of the {len(boxes):,} boxes in {folder.root} is of an image that is here and in "
            f"the {subject.part} part. Fetch more of NIH's image folders, or pass another --split."
        )
    return targets


def maps_of(
    subject: Subject,
    models: Sequence[DenseNet121],
    targets: Sequence[Target],
    method: str = CLOSED_FORM,
    on_progress: Callable[[int, int], None] | None = None,
) -> list[dict[tuple[str, str], np.ndarray]]:
    """Each network's map of each target, by (image, label).

    Args:
        subject: where the pictures come from.
        models: in eval mode, all on one device, with the subject's classes.
        targets: of `boxed_targets`.
        method: of the first network's maps; the others' are always the closed form.
        on_progress: called with images done and in all.

    Returns:
        For each network float32 (h, w) a target, at least 0.
    """
    wanted: dict[str, list[str]] = {}
    for target in targets:
        wanted.setdefault(target.image, []).append(target.label)
    study, card = subject.study, subject.card
    rows = np.flatnonzero(study.folder.table["image"].isin(wanted))
    data = open_data_set(study.folder, rows, card.classes, study.preprocessing, study.pack)
    device = next(models[0].parameters()).device
    order = np.arange(len(data))
    batches = [order[start : start + BATCH] for start in range(0, len(data), BATCH)]
    maps: list[dict[tuple[str, str], np.ndarray]] = [{} for _ in models]
    done = 0
    for images, _, indices in batch_loader(data, batches, workers=0):
        inputs = normalise(images.to(device), card.preprocessing)
        named = [(i, data.images[index]) for i, index in enumerate(indices.tolist())]
        for number, (model, found) in enumerate(zip(models, maps, strict=True)):
            closed = number > 0 or method == CLOSED_FORM
            heat = explain(model, inputs).heatmaps.cpu().numpy() if closed else None
            for i, name in named:
                for label in wanted[name]:
                    index = card.classes[label]
                    found[name, label] = (
                        heat[i, index].copy()
                        if closed
                        else _by_package(model, inputs[i : i + 1], index, method)
                    )
        done += len(images)
        if on_progress:
            on_progress(done, len(data))
    return maps


def _by_package(model: DenseNet121, image: torch.Tensor, index: int, method: str) -> np.ndarray:
    return package_heatmap(model, image, index, method).numpy()
