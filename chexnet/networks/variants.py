"""The same pictures under other normalisations: which one was a network trained with?

Shapes: N images, D columns (classes of the network).
"""

import dataclasses
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from scipy.stats import rankdata

from chexnet.data.loader import AnyDataSet, batch_loader
from chexnet.devices import memory_format
from chexnet.evaluation.metrics import Scores
from chexnet.model import DenseNet121
from chexnet.transforms import IMAGENET_MEAN, IMAGENET_STD, Preprocessing, normalise

DECLARED = "as declared"
INVERTED = "black and white exchanged"


def input_variants(declared: Preprocessing) -> dict[str, Preprocessing]:
    """The declared input and its alternatives, by name; crop and size are those declared."""

    def normal(mean: Sequence[float], std: Sequence[float]) -> Preprocessing:
        (r, g, b), (s, t, u) = mean, std
        return dataclasses.replace(declared, mean=(r, g, b), std=(s, t, u))

    alternatives = {
        "ImageNet's mean and std": normal(IMAGENET_MEAN, IMAGENET_STD),
        "mean 0.5056, std 0.252 (medical_mae)": normal((0.5056,) * 3, (0.252,) * 3),
        "-1 to 1": normal((0.5,) * 3, (0.5,) * 3),
        "0 to 1": normal((0.0,) * 3, (1.0,) * 3),
        "0 to 255": normal((0.0,) * 3, (1 / 255,) * 3),
        "-1024 to 1024 (torchxrayvision)": normal((0.5,) * 3, (1 / 2048,) * 3),
        # 1 - x normalised as declared: (1 - x - mean) / std.
        INVERTED: normal([1 - m for m in declared.mean], [-s for s in declared.std]),
    }
    own = (declared.mean, declared.std)
    return {DECLARED: declared} | {
        name: one for name, one in alternatives.items() if (one.mean, one.std) != own
    }


def score_variants(
    model: DenseNet121,
    data: AnyDataSet,
    variants: Mapping[str, Preprocessing],
    *,
    batch_size: int = 32,
    workers: int = 0,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, Scores]:
    """Score the same pictures under each normalisation; they are decoded once.

    Args:
        model: in eval mode, on the device that shall compute.
        data: the images.
        variants: see `input_variants`.
        batch_size: images at once.
        workers: processes that read.
        on_progress: called with images done and in all.

    Returns:
        Scores whose `probabilities` are the ranks of the logits among the N images, divided by N:
        a far-off normalisation drives logits to where a sigmoid cannot tell them apart.
    """
    device = next(model.parameters()).device
    order = np.arange(len(data))
    batches = [order[start : start + batch_size] for start in range(0, len(data), batch_size)]
    logits: dict[str, list[np.ndarray]] = {name: [] for name in variants}
    done = 0
    with torch.inference_mode():
        for images, _, _ in batch_loader(data, batches, workers):
            pictures = images.to(device)
            for name, preprocessing in variants.items():
                inputs = normalise(pictures, preprocessing)
                inputs = inputs.contiguous(memory_format=memory_format(device))
                logits[name].append(model(inputs).float().cpu().numpy())
            done += len(images)
            if on_progress:
                on_progress(done, len(data))
    plain = Scores(
        images=data.images,
        patients=data.patients,
        classes=list(data.classes),
        probabilities=np.empty(0),
        targets=data.targets.astype(np.int8),
    )
    return {
        name: dataclasses.replace(plain, probabilities=_ranks(np.concatenate(parts)))
        for name, parts in logits.items()
    }


def _ranks(logits: np.ndarray) -> np.ndarray:
    kept = np.nan_to_num(logits.astype(np.float64), posinf=1e300, neginf=-1e300)
    return np.asarray(rankdata(kept, axis=0)) / len(kept)
