"""Images worth looking at: confident errors, and right answers for a wrong reason.

Shapes: N images, D classes, T boxed findings, H W pixels, h w cells of a map.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageDraw

from chexnet.evaluation.heat_regions import peak
from chexnet.evaluation.localization import BoxedFinding
from chexnet.evaluation.scores import Scores
from chexnet.overlay import overlay
from chexnet.transforms import AS_SEEN, Preprocessing

Pictures = Callable[[str], np.ndarray]
"""File name to pixels uint8 (H, W), bone white; for example the items of a data set."""

SHOWN = 5
"""Confident errors of each kind, for each class."""
PLACES = 12
"""Right answers for a wrong reason."""
SIDE = 384
"""Longer side of their pictures in pixels."""
_BOX, _PEAK = "#00e5ff", "#ffffff"  # on gray and on inferno both are seen


@dataclass(frozen=True)
class Case:
    """One image that was answered wrongly.

    Attributes:
        image: file name.
        probability: of the class, in [0, 1].
        labels: what the table says of the image.
    """

    image: str
    probability: float
    labels: tuple[str, ...]


@dataclass(frozen=True)
class Errors:
    """The most confident errors of one class, the worst first.

    Attributes:
        threshold: probability that divides; None where validation gave none, and the cases are
            only those furthest from their label.
        positives: images without the label that reach the threshold.
        negatives: images with the label that stay under it.
    """

    threshold: float | None
    positives: list[Case]
    negatives: list[Case]


def confident_errors(
    scores: Scores, thresholds: Mapping[str, float | None], shown: int = SHOWN
) -> dict[str, Errors]:
    """Find the most confident errors of every class.

    Args:
        scores: of N images, on the scale that the thresholds are of.
        thresholds: label to probability; a class may be missing.
        shown: at most so many of each kind.

    Returns:
        Label to errors, in the order of the classes.
    """
    return {
        name: _errors(scores, column, thresholds.get(name), shown)
        for column, name in enumerate(scores.classes)
    }


def _errors(scores: Scores, column: int, threshold: float | None, shown: int) -> Errors:
    given, wanted = scores.probabilities[:, column], scores.targets[:, column]
    over, under = (
        (np.ones(len(given), bool),) * 2
        if threshold is None
        else (given >= threshold, given < threshold)
    )
    rising = np.argsort(given, kind="stable")
    falling = rising[::-1]
    positives = falling[(over & (wanted == 0))[falling]][:shown]
    negatives = rising[(under & (wanted == 1))[rising]][:shown]
    return Errors(
        threshold,
        [_case(scores, row, column) for row in positives],
        [_case(scores, row, column) for row in negatives],
    )


def _case(scores: Scores, row: int, column: int) -> Case:
    pairs = zip(scores.classes, scores.targets[row], strict=True)
    labels = (name for name, held in pairs if held == 1)
    return Case(scores.images[row], float(scores.probabilities[row, column]), tuple(labels))


@dataclass(frozen=True)
class Misplaced:
    """A finding that is there and was found, by a map that points beside it.

    Attributes:
        image: file name.
        label: the finding.
        probability: of it, at least the threshold.
        threshold: of it.
        picture: uint8 (H, W, 3), heatmap, boxes and the map's peak over the radiograph; None
            where no pictures were given.
    """

    image: str
    label: str
    probability: float
    threshold: float
    picture: np.ndarray | None


@dataclass(frozen=True)
class WrongPlaces:
    """Right answers, wrong place.

    Attributes:
        cases: the most confident of them.
        wrong: all of them.
        answered: boxed findings over their threshold, of which these are a part.
        boxed: boxed findings with a probability and a threshold.
    """

    cases: list[Misplaced]
    wrong: int
    answered: int
    boxed: int


def wrong_places(
    boxed: Sequence[BoxedFinding],
    heat_of: Callable[[BoxedFinding], np.ndarray],
    scores: Scores,
    thresholds: Mapping[str, float | None],
    pictures: Pictures | None = None,
    *,
    preprocessing: Preprocessing = AS_SEEN,
    shown: int = PLACES,
) -> WrongPlaces:
    """Find the boxed findings that reach their threshold while the map's peak lies in no box.

    Args:
        boxed: T of them, see `holdout_boxes`.
        heat_of: gives a target's map, float (h, w), at least 0, of what the network saw.
        scores: of the targets' images, on the scale that the thresholds are of.
        thresholds: label to probability; a finding may be missing.
        pictures: gives the pixels of an image.
        preprocessing: says what the network saw of these pictures.
        shown: at most so many cases.
    """
    rows = {name: row for row, name in enumerate(scores.images)}
    columns = {name: column for column, name in enumerate(scores.classes)}
    wrong: list[tuple[float, float, BoxedFinding]] = []
    with_threshold = answered = 0
    for target in boxed:
        threshold = thresholds.get(target.label)
        if threshold is None or target.image not in rows or target.label not in columns:
            continue
        with_threshold += 1
        given = float(scores.probabilities[rows[target.image], columns[target.label]])
        if given < threshold:
            continue
        answered += 1
        if not target.holds(peak(heat_of(target))):
            wrong.append((given, threshold, target))
    wrong.sort(key=lambda one: -one[0])
    cases = [
        Misplaced(
            target.image,
            target.label,
            given,
            threshold,
            draw_target(pictures(target.image), heat_of(target), target, preprocessing)
            if pictures
            else None,
        )
        for given, threshold, target in wrong[:shown]
    ]
    return WrongPlaces(cases, len(wrong), answered, with_threshold)


def draw_target(
    pixels: np.ndarray,
    heat: np.ndarray,
    target: BoxedFinding,
    preprocessing: Preprocessing = AS_SEEN,
) -> np.ndarray:
    """The overlay with the boxes and a ring round the peak; stretched, so that the peak shows.

    Args:
        pixels: uint8 (H, W).
        heat: float (h, w), at least 0, of what the network saw.
        target: whose boxes are drawn.
        preprocessing: says what the network saw of the picture.

    Returns:
        uint8 (H', W', 3), 384 pixels on the longer side.
    """
    point = peak(heat)
    image = Image.fromarray(overlay(pixels, heat, preprocessing, top=float(heat.max())))
    image = image.resize(_fitting(image.size), Image.Resampling.LANCZOS)
    left, top, right, bottom = preprocessing.frame(*image.size)
    corner, span = np.array([left, top]), np.array([right - left, bottom - top])
    draw = ImageDraw.Draw(image)
    for box in target.boxes:
        draw.rectangle([*(corner + box[:2] * span), *(corner + box[2:] * span)], None, _BOX, 2)
    if point:
        draw.circle(tuple(corner + np.array(point) * span), 7, None, _PEAK, 2)
    return np.asarray(image)


def _fitting(size: tuple[int, int]) -> tuple[int, int]:
    width, height = (max(1, round(side * SIDE / max(size))) for side in size)
    return width, height
