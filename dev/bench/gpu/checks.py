"""Rows of --gpu: that a GPU gives the numbers of a CPU, and that nothing waits for it."""

import itertools
import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from chexnet.config import TrainConfig
from chexnet.data.loader import AnyDataSet
from chexnet.data.nih import read_folder
from chexnet.data.pack import DONE, FORMAT, pack_folder
from chexnet.evaluation.comparison import MEAN, compare
from chexnet.evaluation.metrics import Scores
from chexnet.evaluation.scoring import score_weights
from chexnet.explain import explain
from chexnet.labels import FINDINGS
from chexnet.model import DenseNet121, build, load_weights
from chexnet.phantom.dataset import draw_phantoms
from chexnet.phantom.draw import draw_phantom
from chexnet.training.loop import fit
from chexnet.training.state import BEST
from chexnet.transforms import Preprocessing, item_pixels, normalise
from dev.bench.gpu.steps import (
    GpuSetting,
    Noise,
    endless,
    make_step,
    name_of,
    open_device,
    resident,
    take_steps,
)
from dev.bench.rows import LimitRow, Row
from dev.bench.setting import SEED

STARTER = Path(__file__).parents[3] / "weights" / "starter.pth"
SHOWN, SIDE = 8, 256
"""Phantoms whose heatmaps are compared, and their side before they are cropped and resized."""
CHECKED = 3
"""Steps in which nothing may wait."""
INTERRUPTED = 5
"""Steps after which each training is stopped and goes on from its checkpoint."""
HEATMAP, AUROC = 1e-3, 2e-3
"""What may lie between a CPU and a GPU, in logits, and between bfloat16 and float32."""


def exactness(setting: GpuSetting) -> Iterator[Row]:
    """Steps that must not wait for the GPU; then heatmaps of both devices."""
    device = open_device(setting)
    packed = Noise(setting.images, setting.size)
    batch = min(setting.batches)
    for kind, data in (("resident", resident(packed, device)), ("from the pack", packed)):
        yield _waits(setting, device, batch, kind, data)
    yield from _heatmaps(setting, device)


def _waits(
    setting: GpuSetting, device: torch.device, batch: int, kind: str, data: AnyDataSet
) -> Row:
    step = make_step(setting, data, device, batch)
    batches = endless(data, batch, device)
    take_steps(step, batches, 2)
    found = ""
    try:
        with _no_waiting(device):
            for _ in range(CHECKED):
                taken = next(batches)
                step(taken, len(taken[0]), 1.0)
    except RuntimeError as error:
        if "synchroniz" not in str(error):
            raise
        found = f"; the first: {str(error).splitlines()[0][:200]}"
    return LimitRow(
        work=f'training step, {name_of(device)}, {kind}: waits under set_sync_debug_mode("error"), '
        f"{CHECKED} steps{found}",
        unit="waits",
        ours=[float(bool(found))],
        other=[],
        beside="the limit",
        target="none",
        limit=1.0,
    )


@contextmanager
def _no_waiting(device: torch.device) -> Iterator[None]:
    """Make torch raise where a call waits for the GPU."""
    if device.type != "cuda":
        yield
        return
    torch.cuda.set_sync_debug_mode("error")
    try:
        yield
    finally:
        torch.cuda.set_sync_debug_mode("default")


def _heatmaps(setting: GpuSetting, device: torch.device) -> Iterator[Row]:
    model, preprocessing, weights = _network(setting)
    drawn = [draw_phantom(SEED, patient, 0, size=SIDE).pixels for patient in range(SHOWN)]
    items = np.stack([item_pixels(one, preprocessing) for one in drawn])
    images = normalise(torch.from_numpy(items)[:, None], preprocessing)
    here = explain(model, images)
    there = explain(model.to(device), images.to(device))
    for what, mine, other in (
        ("heatmaps", there.heatmaps, here.heatmaps),
        ("logits", there.logits, here.logits),
    ):
        yield LimitRow(
            work=f"{what} of all classes, {SHOWN} phantoms, {preprocessing.size} px, {weights}: "
            f"{name_of(device)} beside a CPU",
            unit="logits",
            ours=[float((mine.cpu() - other).abs().max())],
            other=[],
            beside="the largest difference allowed",
            target=f"under {HEATMAP:g}",
            limit=HEATMAP,
        )


def _network(setting: GpuSetting) -> tuple[DenseNet121, Preprocessing, str]:
    if STARTER.exists():
        model, metadata = load_weights(STARTER)
        return model, metadata.preprocessing, "starter weights"
    classes = {name: index for index, name in enumerate(FINDINGS)}
    model = build(classes, "none", 0).model.eval()
    return model, Preprocessing(size=setting.size), "random weights"


def precision(setting: GpuSetting) -> Iterator[Row]:
    """Two trainings on phantoms, in bfloat16 and in float32; one of them is interrupted."""
    device = open_device(setting)
    data, packs = _phantoms(setting)
    runs = {bf16: setting.out / f"bf16-{bf16}" for bf16 in ("on", "off")}
    try:
        for bf16, out in runs.items():
            _train(setting, data, packs, out, bf16)
        weights = {bf16: out / BEST for bf16, out in runs.items()}
        scored = {bf16: _scores(setting, data, packs, path) for bf16, path in weights.items()}
        yield _difference(
            scored["on"],
            scored["off"],
            f"trained in bfloat16 and in float32 ({setting.epochs} epochs, "
            f"{setting.phantom_size} px), {name_of(device)}",
        )
        with torch.autocast(device.type, torch.bfloat16):
            rounded = _scores(setting, data, packs, weights["off"])
        yield _difference(
            rounded,
            scored["off"],
            f"the same weights, scored in bfloat16 and in float32, {name_of(device)}",
        )
    finally:
        for out in runs.values():  # the demo would open their weights as those of the newest run
            shutil.rmtree(out, ignore_errors=True)


def _train(setting: GpuSetting, data: Path, packs: Path, out: Path, bf16: str) -> None:
    """The strong recipe in few epochs, stopped once and gone on with from its checkpoint."""
    given = {"data": data, "out": out, "packs": packs, "device": setting.device, "bf16": bf16}
    given |= {"recipe": "strong", "init": "none", "size": setting.phantom_size}
    given |= {"epochs": setting.epochs, "warmup_epochs": 1.0, "batch_size": min(setting.batches)}
    config = TrainConfig.from_recipe(given)
    asked = itertools.count(1)  # after each step
    fit(config, stop=lambda: next(asked) == INTERRUPTED, restart=True)
    fit(config)


def _phantoms(setting: GpuSetting) -> tuple[Path, Path]:
    """A data folder and the folder of its pack."""
    data = setting.out / f"phantoms-{setting.patients}-{setting.phantom_size}"
    draw_phantoms(data, patients=setting.patients, size=setting.phantom_size, seed=SEED)
    packs, preprocessing = setting.out / "packs", Preprocessing(size=setting.phantom_size)
    folder = read_folder(data)
    pack_dir = pack_folder(packs, folder.root, preprocessing)
    pack_dir.mkdir(parents=True, exist_ok=True)
    # Pillow alone reads them: `prepare` needs imagecodecs, which a bare machine lacks.
    pixels = [
        item_pixels(np.asarray(Image.open(path).convert("L")), preprocessing)
        for path in folder.paths.values()
    ]
    np.stack(pixels).tofile(pack_dir / "pixels.u8")
    np.full(len(pixels), DONE, np.uint8).tofile(pack_dir / "state.u8")
    lengths = [path.stat().st_size for path in folder.paths.values()]
    np.array(lengths, np.int64).tofile(pack_dir / "bytes.i64")
    header = {"format": FORMAT, "crop": preprocessing.crop, "size": preprocessing.size}
    header |= {"skip_unreadable": False, "names": list(folder.paths)}
    (pack_dir / "pack.json").write_text(json.dumps(header), encoding="utf-8")
    return data, packs


def _scores(setting: GpuSetting, data: Path, packs: Path, weights: Path) -> Scores:
    found = score_weights(data, weights, "test", packs=packs, device=setting.device, workers=0)
    return found.scores


def _difference(first: Scores, second: Scores, what: str) -> Row:
    found = compare(first, second)[MEAN]
    low, high = found.interval.low, found.interval.high
    interval = f"{low:+.4f} to {high:+.4f}" if found.interval.known else "too few for an interval"
    return LimitRow(
        work=f"mean AUROC of {found.n_classes} findings, {len(first.images):,} phantoms of the "
        f"test list, {what}: {found.first:.4f} and {found.second:.4f}, difference "
        f"{found.value:+.4f} ({interval})",
        unit="AUROC",
        ours=[abs(found.value)],
        other=[],
        beside="the largest difference allowed",
        target=f"within {AUROC:g}",
        limit=AUROC,
    )
