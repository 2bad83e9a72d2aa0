"""The rows of scripts.bench: each runs our way and the other way in turn."""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from sklearn.metrics import roc_auc_score
from torchvision import transforms

from chexnet.data.datasets import ChestXRayDataSet, PackedDataSet, batch_loader
from chexnet.data.pack import Pack, pack_folder, prepare
from chexnet.data.table import NIHFolder, read_folder
from chexnet.errors import DataError
from chexnet.evaluation.intervals import replicate_aurocs
from chexnet.evaluation.metrics import Scores
from chexnet.labels import FINDINGS
from chexnet.model import build
from chexnet.phantom.dataset import draw_phantoms
from chexnet.transforms import (
    IMAGENET_MEAN,
    IMAGENET_STD,
    PercentCenterCrop,
    Preprocessing,
    normalise,
)

BATCH = 12
NIH_TEST, REPLICATES = 25_596, 1000


@dataclass(frozen=True)
class Row:
    """One measurement: seconds a unit, ours and the other's, one value a repeat."""

    work: str
    unit: str
    ours: list[float]
    other: list[float]
    beside: str
    target: str

    @property
    def ratio(self) -> float:
        """How many times longer the other takes (of the medians)."""
        return statistics.median(self.other) / statistics.median(self.ours)

    @property
    def ratio_text(self) -> str:
        return f"{self.ratio:,.0f}x" if self.ratio >= 20 else f"{self.ratio:.2f}x"

    def as_dict(self) -> dict:
        return asdict(self) | {"ratio": self.ratio}


@dataclass(frozen=True)
class ShareRow(Row):
    """A measurement of a share: ours is a part of the other."""

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / statistics.median(self.other)

    @property
    def ratio_text(self) -> str:
        return f"{100 * self.ratio:.2f} %"


def table(rows: list[Row]) -> str:
    """The rows in Markdown: medians, with minimum and maximum."""
    lines = ["| work | ours | beside | ratio | target |", "|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row.work} | {_spread(row.ours)} {row.unit} | {row.beside}: {_spread(row.other)} "
            f"{row.unit} | {row.ratio_text} | {row.target} |"
        )
    return "\n".join(lines)


def measure(
    data: Path | None,
    out: Path,
    *,
    images: int,
    size: int,
    repeats: int,
    steps: int,
) -> Iterator[Row]:
    """Yield each row when it is measured."""
    if data is None:
        data = out / "phantoms-1024"
        draw_phantoms(data, patients=-(-images // 2), size=1024, seed=998)
    folder = read_folder(data)
    preprocessing = Preprocessing(size=size)
    paths = dict(list(folder.paths.items())[:images])
    if len(paths) < BATCH:
        raise DataError(f"{data} has {len(paths)} pictures, expected at least {BATCH}.")
    place = pack_folder(out / "packs", data, preprocessing)
    prepare(paths, place, preprocessing)
    packed = _packed(folder, paths, place, preprocessing)
    yield from _reading(packed, list(paths.values()), repeats)
    yield _waiting(packed, steps)
    yield _bootstrap(repeats)


def _packed(
    folder: NIHFolder, paths: dict[str, Path], place: Path, preprocessing: Preprocessing
) -> PackedDataSet:
    rows = np.flatnonzero(folder.table["image"].isin(paths))
    files = ChestXRayDataSet(folder, rows=rows, preprocessing=preprocessing)
    return PackedDataSet(files, Pack(place, preprocessing))


def _reading(data: PackedDataSet, paths: list[Path], repeats: int) -> Iterator[Row]:
    """An epoch's reading on one core: the pack beside the pipeline that everybody writes."""
    size = data.preprocessing.size
    plain_item = transforms.Compose(
        [PercentCenterCrop(90), transforms.Resize((size, size)), transforms.ToTensor()]
    )
    plain_whole = transforms.Compose(
        [plain_item, transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )
    order = np.random.default_rng(0).permutation(len(data))
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]

    def packed(finish: Callable[[torch.Tensor], object]) -> Callable[[], None]:
        def read() -> None:
            for _ in range(20):  # one epoch of few pictures is over too soon to be timed
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
        for what, other, ours in (
            ("up to the item", plain(plain_item, len), packed(len)),
            (
                "up to the normalised batch",
                plain(plain_whole, torch.stack),
                packed(lambda images: normalise(images, data.preprocessing)),
            ),
        ):
            mine, theirs = _in_turn(ours, other, repeats)
            yield Row(
                work=f"reading an epoch {what}, one core, {size} px",
                unit="ms an image",
                ours=[1000 * t / 20 / len(data) for t in mine],
                other=[1000 * t / len(data) for t in theirs],
                beside="PIL, RGB, crop, resize, tensor of a 1024x1024 PNG",
                target="at least 500x" if "item" in what else "shown",
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


def _bootstrap(repeats: int) -> Row:
    random = np.random.default_rng(0)
    shape = (NIH_TEST, len(FINDINGS))
    targets = (random.random(shape) < random.uniform(0.002, 0.2, len(FINDINGS))).astype(np.int8)
    given = random.random(shape) ** (1 / (1 + targets))
    patients = [str(p) for p in random.integers(0, 2797, NIH_TEST)]  # as many as the official test
    scores = Scores([""] * NIH_TEST, patients, list(FINDINGS), given, targets)

    def library(draws: int = 10) -> None:
        for _ in range(draws):
            chosen = random.integers(0, NIH_TEST, NIH_TEST)
            for column in range(len(FINDINGS)):
                roc_auc_score(targets[chosen, column], given[chosen, column])

    mine, theirs = _in_turn(lambda: replicate_aurocs(scores, REPLICATES, 0), library, repeats)
    return Row(
        work=f"bootstrap, {REPLICATES:,} draws x {NIH_TEST:,} images x 14",
        unit="s",
        ours=mine,
        other=[t * REPLICATES / 10 for t in theirs],
        beside="roc_auc_score in a loop (from 10 draws)",
        target="at least 100x",
    )


def _in_turn(
    ours: Callable[[], object], other: Callable[[], object], repeats: int
) -> tuple[list[float], list[float]]:
    """Seconds of each call, A B A B ..., after one of each that is not counted."""
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(repeats + 1):
        for function, times in ((ours, mine), (other, theirs)):
            began = time.perf_counter()
            function()
            if number:
                times.append(time.perf_counter() - began)
    return mine, theirs


def _spread(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({min(values):.3g}-{max(values):.3g})"
