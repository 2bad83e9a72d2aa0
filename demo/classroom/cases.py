"""What a case is: a picture, its truth, the network's answer; and which cases make a session.

Nothing in here knows of a reader. Shapes: D classes, h w cells of a contribution map.
"""

import base64
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Protocol

import numpy as np

from chexnet.inference.prediction import Prediction
from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, NO_FINDING
from demo.classroom.draw import Box
from demo.pictures import png

CALLED = 0.5
"""The network names a finding from this probability on, if it is over the finding's threshold too:
thresholds alone are chosen to overlook little and name much. Where nobody calibrated it, its score
is no probability: then the threshold alone decides, and this only where there is none."""
SEEN = 0.4
"""Severity from which a drawn finding should be seen; fainter ones are no mistake to overlook."""
OVERLOOKED = 0.05
"""Probability at or below which the network has overlooked a finding."""
CLEARED = 0.8
"""Probability of No Finding at or above which the network calls the chest clear."""


@dataclass(frozen=True)
class Truth:
    """What is really on a picture.

    Attributes:
        findings: finding to severity in (0, 1], None where nobody measured one.
        boxes: finding to its boxes; a finding may have none.
        note: what whoever brought the case says of it.
        source: where it comes from.
    """

    findings: Mapping[str, float | None]
    boxes: Mapping[str, tuple[Box, ...]]
    note: str = ""
    source: str = ""


@dataclass(frozen=True)
class NetworkAnswer:
    """What the network says of a case.

    Attributes:
        probabilities: label to calibrated probability, or to score where nobody calibrated it.
        contributions: float32 (D, h, w), as in `Prediction`.
        logits: label to logit.
        named: findings that it names; see `CALLED`.
        sure: probability that all of its answers are right, if they were independent; None where
            its values are scores.
        boxes: finding to the box round its map's hottest region; None where the map is empty.
    """

    probabilities: Mapping[str, float]
    contributions: np.ndarray
    logits: Mapping[str, float]
    named: frozenset[str]
    sure: float | None
    boxes: Mapping[str, Box | None]


@dataclass(frozen=True, eq=False)
class Case:
    """One picture to read. Readers share it; nothing of a reader is in it.

    Attributes:
        key: names it within this server; never sent to a browser.
        width, height: of the picture in pixels.
        picture: PNG, encoded from the pixels alone: no name and no text of a file is in it.
        truth: what is on it.
        network: what the network says.
    """

    key: str
    width: int
    height: int
    picture: bytes = field(repr=False)
    truth: Truth
    network: NetworkAnswer

    @property
    def false_alarms(self) -> frozenset[str]:
        """Findings that the network names and that are not there."""
        return self.network.named - set(self.truth.findings)

    @property
    def misses(self) -> frozenset[str]:
        """Findings that should be seen and that the network overlooks or calls clear.

        A score cannot say that: there it is every such finding that the network does not name.
        """
        chances = self.network.probabilities
        drawn = self.truth.findings.items()
        plain = [name for name, severity in drawn if severity is None or severity >= SEEN]
        if self.network.sure is None:
            return frozenset(plain) & set(chances) - self.network.named
        cleared = chances.get(NO_FINDING, 0.0) >= CLEARED
        return frozenset(n for n in plain if cleared or chances.get(n, 1.0) <= OVERLOOKED)

    def preview(self) -> dict[str, Any]:
        """The picture as the viewer's canvas takes it."""
        data = base64.b64encode(self.picture).decode("ascii")
        size = {"width": self.width, "height": self.height}
        return size | {"bits": 8, "encoding": "png", "data": data}


@dataclass(frozen=True)
class Session:
    """Cases that are read one after the other.

    Attributes:
        cases: read with the network.
        pairs: of two cases that match, one is read before that round and one after it, both
            without the network. Without pairs there is no such round.
        ordered: whether every reader gets them in this order; else each in an order of his own,
            within each round.
        looked_through: pictures in which too few mistakes of the network were found for what is
            planned; 0 where there were enough, or where none are planned.
    """

    cases: tuple[Case, ...]
    pairs: tuple[tuple[Case, Case], ...] = ()
    ordered: bool = False
    looked_through: int = 0

    @property
    def all(self) -> tuple[Case, ...]:
        """Every case, those of the pairs first."""
        return (*chain.from_iterable(self.pairs), *self.cases)


@dataclass(frozen=True)
class Words:
    """What the page says of the cases before anybody has seen one.

    Attributes:
        title: how many there are.
        about: where they come from.
        more: whether another session may follow.
        alone: pictures of each round without the network; 0 where there is no such round.
        study: name of the study that answers are for; empty for none.
        consent: what whoever takes part agrees to.
    """

    title: str
    about: str
    more: bool
    alone: int = 0
    study: str = ""
    consent: str = ""


class CaseSource(Protocol):
    """Where cases come from: drawn phantoms, or a lecturer's folder."""

    words: Words

    def start(self) -> None:
        """Begin to prepare; returns at once."""

    def progress(self) -> tuple[int, int]:
        """Cases of the first session that are ready, and how many there will be."""

    def first(self) -> Session | None:
        """The session that all readers share; None while it is being prepared.

        Raises:
            ChexnetError: there will be none; the message can be shown to a visitor.
        """

    def another(self, seen: frozenset[str]) -> Session | None:
        """Cases without those of the keys `seen`; None where there are not enough (yet)."""

    def close(self) -> None:
        """End what prepares."""


def make_case(
    key: str, pixels: np.ndarray, truth: Truth, prediction: Prediction, predictor: Predictor
) -> Case:
    """Put a case together; pixels uint8 (H, W)."""
    height, width = pixels.shape
    answer = network_answer(prediction, predictor, (height, width))
    return Case(key, width, height, png(pixels), truth, answer)


def network_answer(
    prediction: Prediction, predictor: Predictor, shape: tuple[int, int]
) -> NetworkAnswer:
    """What the network says of a picture of `shape` (height, width)."""
    from chexnet.evaluation.boxes import component_box  # SciPy: not at the page's start

    chances = prediction.probabilities
    known = [name for name in predictor.classes if name in FINDINGS]
    calibrated = bool(predictor.calibrations)

    def least(name: str) -> float:
        """The value from which the network names a finding."""
        threshold = predictor.thresholds[name]
        return max(CALLED, threshold or 0) if calibrated or threshold is None else threshold

    height, width = shape
    left, top, right, bottom = predictor.metadata.preprocessing.frame(width, height)

    def whole(name: str) -> Box | None:
        """From what the network saw to the picture."""
        box = component_box(prediction.heatmap(name))
        if box is None:
            return None
        x = (left + box[[0, 2]] * (right - left)) / width
        y = (top + box[[1, 3]] * (bottom - top)) / height
        return float(x[0]), float(y[0]), float(x[1]), float(y[1])

    return NetworkAnswer(
        probabilities=chances,
        contributions=prediction.contributions,
        logits=prediction.logits,
        named=frozenset(name for name in known if chances[name] >= least(name)),
        sure=math.prod(max(chances[n], 1 - chances[n]) for n in known) if calibrated else None,
        boxes={name: whole(name) for name in known},
    )
