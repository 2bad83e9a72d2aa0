"""Rows of scripts.bench: what the heatmaps of all classes cost."""

from collections.abc import Iterator

import torch

from chexnet.explain import explain
from chexnet.images import read_radiograph
from chexnet.model import load_weights
from chexnet.transforms import item_pixels, normalise
from scripts._bench import CostRow, Row, Skipped, in_turn, missing
from scripts._bench_setting import Setting
from scripts._bench_tutorial import Tutorial

MORE = 4
"""Calls are short here: so many times the repeats are made, for a median that holds still."""


def rows(setting: Setting) -> Iterator[Row | Skipped]:
    """All maps and probabilities beside one forward pass, and beside the grad-cam package."""
    model, card = load_weights(setting.network)
    [path] = setting.pictures(1).values()
    pixels = item_pixels(read_radiograph(path).as_uint8(), setting.preprocessing)
    inputs = normalise(torch.from_numpy(pixels.copy())[None, None], setting.preprocessing)

    def forward() -> None:
        with torch.inference_mode():
            model(inputs).sigmoid()

    def ours() -> None:
        explained = explain(model, inputs)
        explained.logits.sigmoid()
        _ = explained.heatmaps

    work = f"{len(card.classes)} heatmaps and probabilities of a picture, CPU, {setting.size} px"
    mine, theirs = in_turn(ours, forward, MORE * setting.repeats)
    yield CostRow(
        work=work,
        unit="ms",
        ours=[1000 * t for t in mine],
        other=[1000 * t for t in theirs],
        beside="one forward pass: probabilities alone",
        target="at most 1.3x",
    )
    reason = missing("pytorch_grad_cam")
    if reason:
        yield Skipped(f"{work}, beside the grad-cam package", reason)
        return
    tutorial = Tutorial(setting.network, setting.size)
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
        target="shown",
    )
