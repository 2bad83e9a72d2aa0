"""What is kept of a picture, and for how long.

Shapes: D classes, h w cells of a heatmap, H W pixels.
"""

import asyncio
import secrets
import time
from dataclasses import dataclass, field, replace

import numpy as np

from chexnet.errors import ConfigError
from chexnet.imaging.radiograph import PictureInfo, Radiograph
from chexnet.inference.gate import Verdict
from chexnet.inference.predictor import Prediction
from demo import security

EXPIRED = "This picture is no longer kept. Please upload it again."


@dataclass(frozen=True)
class Analysis:
    """What is kept of one picture, in memory only, for `security.KEPT_SECONDS`.

    Attributes:
        prediction: the network's answer and its input: about 70 kB.
        verdict: of the gate.
        facts: what was read beside the pixels.
        shape: height and width of the picture as it was uploaded.
        radiograph: at most 768 pixels a side, about 1 MB; None where nothing needs it any more.
        id: unguessable; tells an answer to this picture from one to another.
        since: when it was read, in seconds of `time.monotonic`.
        maps: heatmaps by other methods that were asked for already, or are being computed.
        example: what was drawn, of one of our examples; empty for a visitor's picture.
    """

    prediction: Prediction
    verdict: Verdict
    facts: PictureInfo
    shape: tuple[int, int]
    radiograph: Radiograph | None
    id: str = field(default_factory=lambda: secrets.token_hex(16))
    since: float = field(default_factory=time.monotonic)
    maps: dict[tuple[str, str], asyncio.Task[np.ndarray]] = field(default_factory=dict)
    example: str = ""

    def without_radiograph(self) -> "Analysis":
        """The same, once whoever asked has the picture."""
        return replace(self, radiograph=None)


class Kept:
    """What visitors may ask again: analyses by their ids, a bounded number, each for some time."""

    def __init__(self, limit: int = security.KEPT, seconds: float = security.KEPT_SECONDS) -> None:
        """Keep at most `limit`, each for `seconds`; those of examples stay."""
        self._limit, self._seconds = limit, seconds
        self._visitors: dict[str, Analysis] = {}  # the oldest first
        self._examples: dict[str, Analysis] = {}

    def __len__(self) -> int:
        """Visitors' analyses that are kept."""
        return len(self._visitors)

    def add(self, analysis: Analysis, instead: str = "") -> None:
        """Keep an analysis; `instead` is the id of one that its visitor no longer needs."""
        if analysis.example:
            self._examples[analysis.id] = analysis
            return
        self._visitors.pop(instead, None)
        self._forget_old()
        while len(self._visitors) >= self._limit:
            del self._visitors[next(iter(self._visitors))]
        self._visitors[analysis.id] = analysis

    def get(self, name: object) -> Analysis:
        """The analysis of an id.

        Raises:
            ConfigError: there is none, or no longer.
        """
        self._forget_old()
        analysis = self._visitors.get(str(name)) or self._examples.get(str(name))
        if analysis is None:
            raise ConfigError(EXPIRED)
        return analysis

    def _forget_old(self) -> None:
        oldest = time.monotonic() - self._seconds
        while self._visitors and next(iter(self._visitors.values())).since < oldest:
            del self._visitors[next(iter(self._visitors))]
