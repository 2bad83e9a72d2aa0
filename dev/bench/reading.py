"""Rows of dev.bench: decoding pictures once, and reading them for training."""

import io
import shutil
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from chexnet.data.copy_files import pictures_in
from chexnet.data.datasets import PackedDataSet
from chexnet.data.pack import prepare
from chexnet.transforms import Preprocessing
from dev.bench.rows import LimitRow, Row, in_turn
from dev.bench.setting import Setting, kind_of
from dev.bench.tutorial import item_transform

BATCH = 12
AGAIN = 4
"""Times that each picture is packed."""
EPOCHS = 20
"""One epoch of few pictures is over too soon to be timed."""


def rows(setting: Setting) -> Iterator[Row]:
    """Packing, and reading up to the item."""
    paths = setting.pictures(setting.images)
    yield _packing(setting, paths)
    yield from _copies(setting, paths)
    yield _reading(setting.packed(), list(paths.values()), setting.repeats)


def _packing(setting: Setting, paths: dict[str, Path]) -> Row:
    """Decode, check, crop, resize and write on one core, beside the decoder alone."""
    work = f"decoding and packing a {kind_of(list(paths.values()))}, one core, {setting.size} px"
    import cv2

    pack_dir = setting.out / "packing"
    # So many that the flush to the disk, once in 512 pictures, has the share that it has of NIH.
    named = {f"{n}-{name}": path for n in range(AGAIN) for name, path in paths.items()}
    files = [np.frombuffer(path.read_bytes(), np.uint8) for path in named.values()]

    def ours() -> None:
        shutil.rmtree(pack_dir, ignore_errors=True)
        prepare(named, pack_dir, Preprocessing(size=setting.size), workers=1)

    def decoder() -> None:
        for data in files:
            cv2.imdecode(data, cv2.IMREAD_GRAYSCALE)

    threads = cv2.getNumThreads()
    cv2.setNumThreads(1)
    try:
        sides = in_turn(ours, decoder, setting.repeats, 1000 / len(named))
    finally:
        cv2.setNumThreads(threads)
        shutil.rmtree(pack_dir, ignore_errors=True)
    beside = "libpng's decoding alone (OpenCV's imdecode)"
    return Row(work, "ms an image", *sides, beside, "at least 1.2x")


def _copies(setting: Setting, paths: dict[str, Path]) -> Iterator[Row]:
    """Reading the pictures of a copy, apart from decoding them; one large shard each."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    folder = setting.out / "copies"
    folder.mkdir(parents=True, exist_ok=True)
    pictures = [(f"{n}-{name}", _small(p)) for n in range(AGAIN) for name, p in paths.items()]
    places = [folder / "a.parquet", folder / "a.zip"]
    names, images = zip(*pictures, strict=True)
    pq.write_table(pa.table({"image": images, "name": names}), places[0], row_group_size=32)
    with zipfile.ZipFile(places[1], "w") as archive:
        for name, data in pictures:
            archive.writestr(name, data)

    def read(place: Path) -> float:
        began = time.perf_counter()
        for _ in pictures_in(place, lambda name: True):
            pass
        return 1000 * (time.perf_counter() - began) / len(pictures)

    for place in places:
        times = [read(place) for _ in range(setting.repeats)]
        memory = pa.default_memory_pool().max_memory() if place.suffix == ".parquet" else 0
        peak = f", {memory / 1e6:.0f} MB of Arrow's memory" * bool(memory)
        size = place.stat().st_size
        work = f"reading a picture of a copy, {place.suffix} of {size / 1e6:.0f} MB{peak}"
        yield LimitRow(work, "ms an image", times, [], "1,000 a second", "under 1 ms")
    shutil.rmtree(folder)


def _small(path: Path) -> bytes:
    """A picture as large as those of the larger copies."""
    out = io.BytesIO()
    Image.open(path).resize((320, 320)).save(out, "PNG")
    return out.getvalue()


def _reading(data: PackedDataSet, paths: list[Path], repeats: int) -> Row:
    """An epoch's reading on one core: the pack beside the pipeline that everybody writes."""
    size, transform = data.preprocessing.size, item_transform(data.preprocessing.size)
    order = np.random.default_rng(0).permutation(len(data))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]

    def packed() -> None:
        for _ in range(EPOCHS):
            for batch in batches:
                data.batch(batch)

    def plain() -> None:
        for batch in batches:
            for place in batch:
                transform(Image.open(paths[place]).convert("RGB"))

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        sides = in_turn(packed, plain, repeats, 1000 / len(data))
    finally:
        torch.set_num_threads(threads)
    ours = [ms / EPOCHS for ms in sides[0]]
    work = f"reading an epoch up to the item, one core, {size} px"
    beside = f"PIL, RGB, crop, resize, tensor of a {kind_of(paths)}"
    return Row(work, "ms an image", ours, sides[1], beside, "at least 500x")
