"""Images worth looking at: confident errors, and right answers for a wrong reason.

Shapes: N images, D classes, T boxed findings, H W pixels, h w cells of a map.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from chexnet.evaluation.boxes import BoxedFinding, peak
from chexnet.evaluation.scores import Figures, Scores
from chexnet.overlay import overlay
from chexnet.transforms import AS_SEEN

Pictures = Callable[[str], np.ndarray]
"""File name to pixels uint8 (H, W), bone white; for example the items of a data set."""

SHOWN = 5
"""Confident errors of each kind, for each class."""
PLACES = 12
"""Right answers for a wrong reason."""
SIDE = 384
"""Longer side of their pictures in pixels."""
_BOX, _PEAK = "#00e5ff", "#ffffff"  # on gray and on inferno both are seen


def confident_errors(
    scores: Scores, thresholds: Mapping[str, float | None], shown: int = SHOWN
) -> dict[str, Figures]:
    """Find the most confident errors of every class, the worst first.

    Args:
        scores: of N images, on the scale that the thresholds are of.
        thresholds: label to probability; a class may be missing.
        shown: at most so many of each kind.

    Returns:
        Label to `threshold`; `positives`, images without the label that reach it; and `negatives`,
        images with the label that stay under it. Where validation gave no threshold it is None, and
        the cases are only those furthest from their label. Each case has the `image`, its
        `probability` and the `labels` that the table gives it.
    """

    def case(row: int, probability: float) -> Figures:
        pairs = zip(scores.classes, scores.targets[row], strict=True)
        labels = [label for label, held in pairs if held == 1]
        return {"image": scores.images[row], "probability": float(probability), "labels": labels}

    errors: dict[str, Figures] = {}
    for name, given, truth in scores.columns():
        threshold = thresholds.get(name)
        everything = np.ones(len(given), bool)
        over, under = (
            (everything, everything)
            if threshold is None
            else (given >= threshold, given < threshold)
        )
        rising = np.argsort(given, kind="stable")
        falling = rising[::-1]
        positives = falling[(over & (truth == 0))[falling]][:shown]
        negatives = rising[(under & (truth == 1))[rising]][:shown]
        errors[name] = {
            "threshold": threshold,
            "positives": [case(row, given[row]) for row in positives],
            "negatives": [case(row, given[row]) for row in negatives],
        }
    return errors


def wrong_places(
    boxed: Sequence[BoxedFinding],
    maps: Sequence[np.ndarray],
    scores: Scores,
    thresholds: Mapping[str, float | None],
    pictures: Pictures | None = None,
    *,
    shown: int = PLACES,
) -> Figures:
    """Find the boxed findings that reach their threshold while the map's peak lies in no box.

    Args:
        boxed: T of them, see `holdout_boxes`.
        maps: of each, float (h, w), at least 0, of what the network saw.
        scores: of the targets' images, on the scale that the thresholds are of.
        thresholds: label to probability; a finding may be missing.
        pictures: gives what the network saw of an image.
        shown: at most so many cases.

    Returns:
        `boxed`, the findings with a probability and a threshold; `answered`, those of them that
        reach it; `wrong`, those of these whose peak lies beside; and `cases`, the most confident of
        the last: `image`, `label`, `probability`, `threshold` and `picture`, see `draw_target`,
        None where no pictures were given.
    """
    rows = {name: row for row, name in enumerate(scores.images)}
    columns = {name: column for column, name in enumerate(scores.classes)}
    known: list[dict[str, Any]] = []
    for target, heat in zip(boxed, maps, strict=True):
        threshold = thresholds.get(target.label)
        if threshold is not None and target.image in rows and target.label in columns:
            probability = scores.probabilities[rows[target.image], columns[target.label]]
            about = {"probability": float(probability), "threshold": threshold}
            known.append({"image": target.image, "label": target.label, **about})
            known[-1] |= {"target": target, "heat": heat}
    answered = [case for case in known if case["probability"] >= case["threshold"]]
    wrong = [case for case in answered if not case["target"].holds(peak(case["heat"]))]
    wrong.sort(key=lambda case: -case["probability"])
    for case in wrong[:shown]:
        target, heat = case["target"], case["heat"]
        picture = draw_target(pictures(target.image), heat, target) if pictures else None
        case["picture"] = picture
    counts = {"boxed": len(known), "answered": len(answered), "wrong": len(wrong)}
    return counts | {"cases": wrong[:shown]}


def draw_target(pixels: np.ndarray, heat: np.ndarray, target: BoxedFinding) -> np.ndarray:
    """The overlay with the boxes and a ring round the peak; stretched, so that the peak shows.

    Args:
        pixels: what the network saw, uint8 (H, W).
        heat: float (h, w), at least 0, of the same.
        target: whose boxes are drawn.

    Returns:
        uint8 (H', W', 3), 384 pixels on the longer side.
    """
    image = Image.fromarray(overlay(pixels, heat, AS_SEEN, top=float(heat.max())))
    width, height = (max(1, round(side * SIDE / max(image.size))) for side in image.size)
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    draw = ImageDraw.Draw(image)
    for box in target.boxes:
        draw.rectangle([*(box * [width, height, width, height])], None, _BOX, 2)
    if point := peak(heat):
        draw.circle((point[0] * width, point[1] * height), 7, None, _PEAK, 2)
    return np.asarray(image)
