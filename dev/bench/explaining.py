"""Rows of dev.bench: what the heatmaps of all classes cost."""

from collections.abc import Callable, Iterator

import numpy as np
import torch

from chexnet.explain import explain
from chexnet.imaging.radiograph import read_radiograph
from chexnet.inference.engine import open_engine
from chexnet.inference.predictor import Predictor
from chexnet.model import load_weights
from chexnet.transforms import item_pixels, normalise
from dev.bench.rows import CostRow, Row, Skipped, in_turn, missing
from dev.bench.setting import Setting, kind_of
from dev.bench.tutorial import Tutorial

MORE = 4
"""Calls are short here: so many times the repeats are made, for a median that holds still."""

FOLDER, FOLDER_BATCH = 32, 16
"""Pictures of the folder, and how many of them scripts.predict shows the network at once."""


def rows(setting: Setting) -> Iterator[Row | Skipped]:
    """All maps and probabilities beside one forward pass, in PyTorch and as they are served.

    Then beside the grad-cam package, and a folder of pictures beside one after another.
    """
    model, metadata = load_weights(setting.network)
    [path] = setting.pictures(1).values()
    pixels = item_pixels(read_radiograph(path).as_uint8(), metadata.preprocessing)
    inputs = normalise(torch.from_numpy(pixels.copy())[None, None], metadata.preprocessing)

    def forward() -> None:
        with torch.inference_mode():
            model(inputs).sigmoid()

    def ours() -> None:
        explained = explain(model, inputs)
        explained.logits.sigmoid()
        _ = explained.heatmaps

    size = metadata.preprocessing.size
    work = f"{len(metadata.classes)} heatmaps and probabilities of a picture, CPU, {size} px"
    mine, theirs = in_turn(ours, forward, MORE * setting.repeats)
    yield CostRow(
        work=work,
        unit="ms",
        ours=[1000 * t for t in mine],
        other=[1000 * t for t in theirs],
        beside="one forward pass: probabilities alone",
        target="at most 1.3x",
    )
    yield from _served(setting, forward, pixels, work)
    reason = missing("pytorch_grad_cam")
    if reason:
        yield Skipped(f"{work}, beside the grad-cam package", reason)
        return
    tutorial = Tutorial(setting.network, size)
    item = tutorial.open(path)

    def package() -> None:
        for label in tutorial.classes:
            tutorial.heatmap(item, label)

    mine, theirs = in_turn(ours, package, setting.repeats)
    yield Row(
        work=work,
        unit="ms",
        ours=[1000 * t for t in mine],
        other=[1000 * t for t in theirs],
        beside="the grad-cam package, class by class",
        target="at least 30x",
    )


def _served(
    setting: Setting, forward: Callable[[], None], pixels: np.ndarray, work: str
) -> Iterator[Row | Skipped]:
    reason = missing("onnxruntime", "onnx", "onnxscript")
    if reason:
        yield Skipped(f"{work}, served", reason)
        return
    engine = open_engine(setting.network, "cpu", "onnx")
    mine, theirs = in_turn(lambda: engine(pixels[None]), forward, MORE * setting.repeats)
    yield Row(
        work=f"{work}, served (ONNX Runtime)",
        unit="ms",
        ours=[1000 * t for t in mine],
        other=[1000 * t for t in theirs],
        beside="one forward pass of PyTorch: probabilities alone",
        target="at least 1.8x",
    )
    paths = list(setting.pictures(min(setting.images, FOLDER)).values())
    predictor = Predictor(setting.network, "cpu", "onnx")

    def folder() -> None:
        for _ in predictor.stream(paths, FOLDER_BATCH):
            pass

    def one_by_one() -> None:
        for path in paths:
            predictor.predict([predictor.read(path)])

    mine, theirs = in_turn(folder, one_by_one, setting.repeats)
    yield Row(
        work=f"scripts.predict over {len(paths)} files, a {kind_of(paths)} each",
        unit="ms an image",
        ours=[1000 * t / len(paths) for t in mine],
        other=[1000 * t / len(paths) for t in theirs],
        beside="the same network, gate and reader, one picture after another",
        target="at least 1.5x",
    )
