"""Rows of dev.bench: what the heatmaps of all classes cost."""

from collections.abc import Iterator

import torch

from chexnet.explain import explain
from chexnet.imaging.radiograph import read_radiograph
from chexnet.inference.engine import open_engine
from chexnet.model import load_weights
from chexnet.transforms import item_pixels, normalise
from dev.bench.rows import CostRow, Row, in_turn
from dev.bench.setting import Setting
from dev.bench.tutorial import Tutorial

MORE = 4
"""Calls are short here: so many times the repeats are made, for a median that holds still."""


def rows(setting: Setting) -> Iterator[Row]:
    """All maps and probabilities beside one forward pass, in PyTorch and as they are served.

    Then beside the grad-cam package.
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
    engine, tutorial = open_engine(setting.network, "cpu", "onnx"), Tutorial(setting.network, size)
    item = tutorial.open(path)

    def package() -> None:
        for label in tutorial.classes:
            tutorial.heatmap(item, label)

    alone = "one forward pass of PyTorch: probabilities alone"
    for kind, what, mine, theirs, beside, target in (
        (CostRow, work, ours, forward, alone, "at most 1.3x"),
        (
            Row,
            f"{work}, served (ONNX Runtime)",
            lambda: engine(pixels[None]),
            forward,
            alone,
            "at least 1.8x",
        ),
        (Row, work, ours, package, "the grad-cam package, class by class", "at least 30x"),
    ):
        repeats = setting.repeats * (1 if theirs is package else MORE)
        yield kind(what, "ms", *in_turn(mine, theirs, repeats, 1000), beside, target)
