"""Run a network over a data set: logits of every image, each once, on one process or several."""

from collections.abc import Callable

import numpy as np
import torch
from torch import nn

from chexnet import distributed
from chexnet.data.datasets import AnyDataSet, batch_loader
from chexnet.errors import ChexnetError
from chexnet.evaluation.metrics import Scores, sigmoid
from chexnet.transforms import normalise


def score(
    model: nn.Module,
    data: AnyDataSet,
    *,
    batch_size: int = 32,
    workers: int = 0,
    bf16: bool = False,
    flip: bool = False,
    on_progress: Callable[[int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> Scores | None:
    """Score every image of `data`.

    Under torchrun each rank scores its share, unpadded, and all get the whole.

    Args:
        model: on the device that shall compute; put into eval mode here.
        data: the images.
        batch_size: images at once on each process; no figure depends on it.
        workers: processes that read.
        bf16: bfloat16 autocast.
        flip: also show every picture mirrored, and average the two probabilities.
        on_progress: called with this process's images done and in all.
        stop: asked after each batch.

    Returns:
        The scores, or None when it was asked to stop.

    Raises:
        ChexnetError: an answer is not a finite number.
    """
    model.eval()
    device = next(model.parameters()).device
    share = distributed.share(len(data))
    batches = [share[start : start + batch_size] for start in range(0, len(share), batch_size)]
    logits: list[np.ndarray] = []
    done, stopped = 0, False
    loader = batch_loader(data, batches, workers, pin=device.type == "cuda")
    with torch.inference_mode(), torch.autocast(device.type, torch.bfloat16, enabled=bf16):
        for images, _, _ in loader:
            inputs = normalise(images.to(device, non_blocking=True), data.preprocessing)
            inputs = inputs.contiguous(memory_format=torch.channels_last)
            views = (inputs, inputs.flip(-1)) if flip else (inputs,)
            logits.append(torch.cat([model(view) for view in views], 1).float().cpu().numpy())
            done += len(images)
            if on_progress:
                on_progress(done, len(share))
            if stop():
                stopped = True
                break
    if distributed.any_rank(stopped):
        return None
    width = (1 + flip) * len(data.classes)
    part = np.concatenate(logits) if logits else np.empty((0, width), np.float32)
    whole = distributed.gather_shares(part, len(data))
    if not np.isfinite(whole).all():
        raise ChexnetError(
            "The network's answers are not finite numbers. Train it again with a lower --lr."
        )
    return Scores(
        images=data.images,
        patients=data.patients,
        classes=list(data.classes),
        probabilities=sigmoid(whole).reshape(len(whole), 1 + flip, -1).mean(axis=1),
        targets=data.targets.astype(np.int8),
    )
