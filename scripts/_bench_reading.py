"""Rows of scripts.bench: reading pictures for training, and how long a step waits for them."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from chexnet.data.datasets import ChestXRayDataSet, PackedDataSet, batch_loader
from chexnet.data.pack import Pack, pack_folder, prepare
from chexnet.model import build
from chexnet.transforms import normalise
from scripts._bench import Row, ShareRow, in_turn
from scripts._bench_setting import Setting, kind_of
from scripts._bench_tutorial import item_transform, whole_transform

BATCH = 12
EPOCHS = 20
"""One epoch of few pictures is over too soon to be timed."""


def rows(setting: Setting) -> Iterator[Row]:
    """Reading up to the item and up to the batch; waiting in a training step."""
    paths = setting.pictures(setting.images)
    data = _packed(setting, paths)
    yield from _reading(data, list(paths.values()), setting.repeats)
    yield _waiting(data, setting.steps)


def _packed(setting: Setting, paths: dict[str, Path]) -> PackedDataSet:
    folder, preprocessing = setting.folder, setting.preprocessing
    place = pack_folder(setting.out / "packs", folder.root, preprocessing)
    prepare(paths, place, preprocessing)
    chosen = np.flatnonzero(folder.table["image"].isin(paths))
    files = ChestXRayDataSet(folder, rows=chosen, preprocessing=preprocessing)
    return PackedDataSet(files, Pack(place, preprocessing))


def _reading(data: PackedDataSet, paths: list[Path], repeats: int) -> Iterator[Row]:
    """An epoch's reading on one core: the pack beside the pipeline that everybody writes."""
    size = data.preprocessing.size
    order = np.random.default_rng(0).permutation(len(data))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]

    def packed(finish: Callable[[torch.Tensor], object]) -> Callable[[], None]:
        def read() -> None:
            for _ in range(EPOCHS):
                for batch in batches:
                    finish(data.batch(batch)[0])

        return read

    def plain(transform: Callable, finish: Callable) -> Callable[[], None]:
        def read() -> None:
            for batch in batches:
                finish([transform(Image.open(paths[i]).convert("RGB")) for i in batch])

        return read

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        for what, target, ours, other in (
            ("item", "at least 500x", packed(len), plain(item_transform(size), len)),
            (
                "normalised batch",
                "shown",
                packed(lambda images: normalise(images, data.preprocessing)),
                plain(whole_transform(size), torch.stack),
            ),
        ):
            mine, theirs = in_turn(ours, other, repeats)
            yield Row(
                work=f"reading an epoch up to the {what}, one core, {size} px",
                unit="ms an image",
                ours=[1000 * t / EPOCHS / len(data) for t in mine],
                other=[1000 * t / len(data) for t in theirs],
                beside=f"PIL, RGB, crop, resize, tensor of a {kind_of(paths)}",
                target=target,
            )
    finally:
        torch.set_num_threads(threads)


def _waiting(data: PackedDataSet, steps: int) -> Row:
    """Share of training steps, read from a pack, that is spent waiting for the next batch."""
    model = build(data.classes, "none", 0).model.train()
    model.to(memory_format=torch.channels_last)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-4)
    order = np.random.default_rng(0).integers(0, len(data), (steps + 1, BATCH))
    waits, wholes = [], []
    loader = iter(batch_loader(data, list(order), workers=0))
    for _ in range(steps + 1):
        began = time.perf_counter()
        images, targets, _ = next(loader)
        came = time.perf_counter()
        inputs = normalise(images, data.preprocessing)
        inputs = inputs.contiguous(memory_format=torch.channels_last)
        loss = torch.nn.functional.binary_cross_entropy_with_logits(model(inputs), targets)
        optimizer.zero_grad(set_to_none=True)
        loss.backward()
        optimizer.step()
        waits.append(1000 * (came - began))
        wholes.append(1000 * (time.perf_counter() - began))
    return ShareRow(
        work=f"waiting for data in a training step on the CPU, {data.preprocessing.size} px",
        unit="ms a step",
        ours=waits[1:],  # the first step also plans its convolutions
        other=wholes[1:],
        beside=f"the whole step, batch {BATCH}",
        target="under 5 %",
    )
