"""Rows of dev.bench: memory, each measured in a process of its own."""

import json
import multiprocessing
import re
import shutil
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.pack import DONE, FORMAT, Pack
from chexnet.transforms import Preprocessing
from dev.bench.rows import LimitRow, Row, Skipped
from dev.bench.setting import Setting

IMAGES = 112_120  # of the whole of NIH
SIZE = 224
FEW, MANY = 200, 2000
RUNS = 3
STATUS = Path("/proc/self/status")


def rows(setting: Setting) -> Iterator[Row | Skipped]:
    """Opening NIH's whole pack, training, and scoring few and many images."""
    if not STATUS.exists():
        yield Skipped("memory", "it is read from /proc, which only Linux has")
        return
    yield from _opening(setting)
    pack_dir = setting.out / "memory"
    run = [_alone(_train, setting.folder.root, pack_dir, SIZE) for _ in range(RUNS)]
    shutil.rmtree(pack_dir)  # the demo would open its weights as those of the newest run
    yield LimitRow(
        work=f"training on the CPU, batch 12, {SIZE} px: the process's peak",
        unit="GB",
        ours=[peak / 1000 for peak in run],
        other=[],
        beside="the limit",
        target="under 4 GB",
        limit=4.0,
    )
    few, many = (
        [_alone(_score, setting.folder.root, setting.network, count) for _ in range(RUNS)]
        for count in (FEW, MANY)
    )
    yield LimitRow(
        work=f"scoring {MANY:,} images at 64 px: the process's peak",
        unit="MB",
        ours=many,
        other=[],
        beside=f"5 % above {FEW} images, and 0.5 kB for each of the others",
        target="under the limit",
        limit=1.05 * float(np.median(few)) + (MANY - FEW) * 0.0005,
    )


def _opening(setting: Setting) -> Iterator[Row]:
    pack_dir = setting.out / f"pack-of-{IMAGES}"
    pack_dir.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "crop": 90, "size": SIZE, "skip_unreadable": False}
    names = [f"{number:08d}_000.png" for number in range(IMAGES)]
    (pack_dir / "pack.json").write_text(json.dumps(header | {"names": names}), encoding="utf-8")
    # A sparse file: the pixels take no room, and opening looks at none of them.
    with (pack_dir / "pixels.u8").open("wb") as file:
        file.truncate(IMAGES * SIZE * SIZE)
    np.full(IMAGES, DONE, np.uint8).tofile(pack_dir / "state.u8")
    np.zeros(IMAGES, np.int64).tofile(pack_dir / "bytes.i64")
    runs = [_alone(_open, pack_dir, SIZE) for _ in range(setting.repeats)]
    for values, what, unit, limit in (
        ([seconds for seconds, _ in runs], "time", "s", 1.0),
        ([memory for _, memory in runs], "private memory", "MB", 100.0),
    ):
        yield LimitRow(
            work=f"opening a pack of {IMAGES:,} images at {SIZE} px: {what}",
            unit=unit,
            ours=values,
            other=[],
            beside="the limit",
            target=f"under {limit:g} {unit}",
            limit=limit,
        )


def _alone(function: Callable[..., Any], *arguments: object) -> Any:
    """Call a function in a new process, whose memory is its own from the beginning."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *arguments).result()


def _status(name: str) -> float:
    """A line of the process's status, in MB. (getrusage's peak would begin at the parent's.)"""
    return int(re.search(rf"{name}:\s+(\d+)", STATUS.read_text())[1]) / 1000


def _open(pack_dir: Path, size: int) -> tuple[float, float]:
    before, began = _status("RssAnon"), time.perf_counter()
    pack = Pack(pack_dir, Preprocessing(size=size))
    seconds = time.perf_counter() - began
    return seconds, _status("RssAnon") - before if pack.names else 0.0


def _train(data: Path, out: Path, size: int) -> float:
    from chexnet.config import TrainConfig
    from chexnet.training.loop import fit
    from scripts.train.console import keep_memory

    keep_memory()  # as scripts.train does
    asked = {"init": "none", "size": size, "epochs": 1, "split": "patient", "device": "cpu"}
    fit(TrainConfig(data=data, out=out, workers=0, **asked), restart=True)
    return _status("VmHWM")


def _score(data: Path, weights: Path, count: int) -> float:
    from chexnet.data.datasets import ChestXRayDataSet
    from chexnet.data.nih import read_folder
    from chexnet.evaluation.scoring import score
    from chexnet.model import load_weights

    folder = read_folder(data)
    model, _ = load_weights(weights)
    rows = np.resize(np.flatnonzero(folder.present), count)
    score(model, ChestXRayDataSet(folder, rows=rows, preprocessing=Preprocessing(size=64)))
    return _status("VmHWM")
