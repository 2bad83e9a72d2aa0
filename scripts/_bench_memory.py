"""Rows of scripts.bench: memory, each measured in a process of its own."""

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from chexnet.data.pack import DONE, FORMAT
from scripts._bench import LimitRow, Row, Skipped
from scripts._bench_served import ROOT
from scripts._bench_setting import Setting

IMAGES = 112_120  # of the whole of NIH
SIZE = 224
FEW, MANY = 200, 2000
RUNS = 3
STATUS = Path("/proc/self/status")

# What a child runs; it prints numbers as JSON.
_OPEN = """
import json, re, sys, time
from pathlib import Path
from chexnet.data.pack import Pack
from chexnet.transforms import Preprocessing
def own():
    return int(re.search(r"RssAnon:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1e3
before, began = own(), time.perf_counter()
pack = Pack(Path(sys.argv[1]), Preprocessing(size=int(sys.argv[2])))
print(json.dumps([time.perf_counter() - began, own() - before]))
"""
_TRAIN = """
import json, resource, sys
from pathlib import Path
from chexnet.config import TrainConfig
from chexnet.train import fit
data, out, size = sys.argv[1:]
fit(TrainConfig(data=Path(data), out=Path(out), init="none", size=int(size), epochs=1,
                split="patient", device="cpu", workers=0), restart=True)
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6))
"""
_SCORE = """
import json, resource, sys
from pathlib import Path
import numpy as np
from chexnet.data.datasets import ChestXRayDataSet
from chexnet.data.table import read_folder
from chexnet.evaluation.scoring import score
from chexnet.model import load_weights
from chexnet.transforms import Preprocessing
folder = read_folder(Path(sys.argv[1]))
model, card = load_weights(Path(sys.argv[2]))
here = np.flatnonzero(folder.present)
rows = np.resize(here, int(sys.argv[3]))
score(model, ChestXRayDataSet(folder, rows=rows, preprocessing=Preprocessing(size=64)))
print(json.dumps(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3))
"""


def rows(setting: Setting) -> Iterator[Row | Skipped]:
    """Opening NIH's whole pack, training, and scoring few and many images."""
    if not STATUS.exists():
        yield Skipped("memory", "it is read from /proc, which only Linux has")
        return
    yield from _pack(setting)
    trained = setting.out / "memory-run"
    run = [_child(_TRAIN, setting.folder.root, trained, SIZE) for _ in range(RUNS)]
    yield LimitRow(
        f"training on the CPU, batch 12, {SIZE} px: the process's peak", "GB", run, [], "the limit",
        "under 4 GB", limit=4.0,
    )  # fmt: skip
    few, many = (
        [_child(_SCORE, setting.folder.root, setting.network, count) for _ in range(RUNS)]
        for count in (FEW, MANY)
    )
    yield LimitRow(
        f"scoring {MANY:,} images at 64 px: the process's peak", "MB", many, [],
        f"5 % above {FEW} images, and 0.5 kB for each of the others", "under the limit",
        limit=1.05 * float(np.median(few)) + (MANY - FEW) * 0.0005,
    )  # fmt: skip


def _pack(setting: Setting) -> Iterator[Row]:
    place = setting.out / f"pack-of-{IMAGES}"
    place.mkdir(parents=True, exist_ok=True)
    header = {"format": FORMAT, "crop": 90, "size": SIZE, "skip_unreadable": False}
    names = [f"{number:08d}_000.png" for number in range(IMAGES)]
    (place / "pack.json").write_text(json.dumps(header | {"names": names}), encoding="utf-8")
    # A sparse file: the pixels take no room, and opening looks at none of them.
    with (place / "pixels.u8").open("wb") as file:
        file.truncate(IMAGES * SIZE * SIZE)
    np.full(IMAGES, DONE, np.uint8).tofile(place / "state.u8")
    np.zeros(IMAGES, np.int64).tofile(place / "bytes.i64")
    runs = np.array([_child(_OPEN, place, SIZE) for _ in range(setting.repeats)])
    work = f"opening a pack of {IMAGES:,} images at {SIZE} px"
    for column, what, unit, limit in ((0, "time", "s", 1.0), (1, "private memory", "MB", 100.0)):
        yield LimitRow(
            f"{work}: {what}", unit, list(map(float, runs[:, column])), [], "the limit",
            f"under {limit:g} {unit}", limit=limit,
        )  # fmt: skip


def _child(code: str, *arguments: object) -> list[float] | float:
    done = subprocess.run(
        [sys.executable, "-c", code, *(str(_absolute(one)) for one in arguments)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return json.loads(done.stdout.splitlines()[-1])


def _absolute(value: object) -> object:
    return value.resolve() if isinstance(value, Path) else value
