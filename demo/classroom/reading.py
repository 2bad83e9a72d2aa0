"""The progress of one reader through some cases: a state machine, and what he answered.

In the round with the network, for each case: read, commit, see the network's answer, keep or revise
once, see the truth. In the rounds before and after it: read, commit, and on to the next case; the
network's answers and the truth come at the end of the session. No step can be skipped, repeated or
taken back, whatever a browser sends.
"""

import math
import secrets
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any, TypeVar

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS
from demo.classroom.cases import Case, Session
from demo.classroom.draw import Box

SURE = ("Guessing", "Fairly sure", "Very sure")
LIMITS = (0.5, 0.8)
"""Where the second and the third step of sureness begin, as a chance to be right."""
MOST_BOXES = 20
"""Boxes of one answer; a reader needs one to three."""
LEAST_SIDE = 0.005
"""Least width and height of a box, as a share of the picture; the page makes none under 0.02."""

_T = TypeVar("_T")
NOT_NOW = "This step is not open now. The page shows where you are."
UNKNOWN = "Your reading is no longer kept. Please begin again."


def step_of(chance: float) -> int:
    """The step of `SURE` that a chance to be right belongs to."""
    return sum(chance >= limit for limit in LIMITS)


class Round(StrEnum):
    """A part of a session: the network's help is in the middle."""

    BEFORE = "before"
    WITH = "with"
    AFTER = "after"


class Stage(StrEnum):
    """What a reader has before him."""

    READ = "read"
    REVISE = "revise"
    TRUTH = "truth"
    DONE = "done"


@dataclass(frozen=True)
class Reply:
    """What a reader says of a case.

    Attributes:
        findings: those he sees; empty for "nothing".
        sure: step of `SURE`.
        boxes: finding to where he sees it; only of findings that he named.
    """

    findings: frozenset[str]
    sure: int
    boxes: Mapping[str, tuple[Box, ...]]

    def right(self, case: Case) -> bool:
        """Whether he named exactly what is there."""
        return self.findings == frozenset(case.truth.findings)

    def as_dict(self) -> dict[str, Any]:
        """For the page, as it sends it."""
        return {
            "findings": [name for name in FINDINGS if name in self.findings],
            "nothing": not self.findings,
            "sure": self.sure,
            "boxes": {name: [list(box) for box in boxes] for name, boxes in self.boxes.items()},
        }


def reply_of(given: object) -> Reply:
    """Read what a browser sent.

    Raises:
        ConfigError: it is no answer that the page can send; the message repeats nothing of it.
    """
    if not isinstance(given, dict):
        raise ConfigError("Expected an answer with findings, sure and boxes.")
    findings, nothing, sure = (given.get(name) for name in ("findings", "nothing", "sure"))
    if (
        not isinstance(findings, list)
        or not all(isinstance(name, str) and name in FINDINGS for name in findings)
        or len(set(findings)) != len(findings)
    ):
        raise ConfigError(f"Expected each finding once, of these: {', '.join(FINDINGS)}.")
    if not isinstance(nothing, bool) or nothing == bool(findings):
        raise ConfigError("Tick what you see, or tick that you see nothing.")
    if isinstance(sure, bool) or not isinstance(sure, int) or not 0 <= sure < len(SURE):
        raise ConfigError("Say how sure you are.")
    return Reply(frozenset(findings), sure, _boxes_of(given.get("boxes", {}), findings))


def _boxes_of(given: object, findings: list[str]) -> dict[str, tuple[Box, ...]]:
    wrong = ConfigError(
        f"Expected at most {MOST_BOXES} boxes of ticked findings, each left, top, right and "
        "bottom within the picture."
    )
    if not isinstance(given, dict) or not set(given) <= set(findings):
        raise wrong
    boxes: dict[str, tuple[Box, ...]] = {}
    for name, some in given.items():
        if not isinstance(some, list) or len(some) > MOST_BOXES or not all(map(_is_box, some)):
            raise wrong
        if some:
            boxes[name] = tuple((float(a), float(b), float(c), float(d)) for a, b, c, d in some)
    if sum(map(len, boxes.values())) > MOST_BOXES:
        raise wrong
    return boxes


def _is_box(box: object) -> bool:
    if not isinstance(box, list) or len(box) != 4:
        return False
    if not all(isinstance(v, int | float) and not isinstance(v, bool) for v in box):
        return False
    if not all(math.isfinite(value) and 0 <= value <= 1 for value in box):
        return False
    left, top, right, bottom = box
    return bool(right - left >= LEAST_SIDE and bottom - top >= LEAST_SIDE)


@dataclass
class Turn:
    """One case as one reader meets it.

    Attributes:
        id: random; the only name of the case that a browser knows.
        case: the case.
        round: in which it is read.
        pair: number of the pair that it belongs to; None with the network.
        first: his answer before he has seen the network's.
        last: his answer after it; None in a round without the network.
    """

    id: str
    case: Case
    round: Round
    pair: int | None = None
    first: Reply | None = None
    last: Reply | None = None


@dataclass
class Reader:
    """One reader's progress. It holds no picture but the cases', which all readers share.

    Attributes:
        turns: the cases in his order, with his answers.
        session: where they come from.
        seen: keys of the cases of this and earlier sessions.
        place: which case he is at, 0 for the first.
        stage: what he has before him.
        counted: whether his answers are counted with those of the class.
        order: when he sees the network's answers: `second`, or, in a study, `first` or `none`. A
            case then has one answer, which is his first and his last.
        heat: whether its heatmaps are shown.
        pseudonym: in a study.
        since: when he was shown what is before him, in seconds of the monotonic clock.
        lock: held during a step, so that of two at once one is refused.
    """

    turns: tuple[Turn, ...]
    session: Session
    seen: frozenset[str]
    place: int = 0
    stage: Stage = Stage.READ
    counted: bool = False
    order: str = "second"
    heat: bool = True
    pseudonym: object = None
    since: float = field(default_factory=time.monotonic)
    lock: Lock = field(default_factory=Lock, repr=False)

    @property
    def turn(self) -> Turn:
        """The case before him, or the last one when he is done."""
        return self.turns[min(self.place, len(self.turns) - 1)]

    def commit(self, turn: object, given: object) -> None:
        """His own answer, before he sees the network's.

        Raises:
            ConfigError: this is not the step that is open, or no answer.
        """
        self._check(turn, Stage.READ)
        here = self.turn
        here.first = reply_of(given)
        if here.round is not Round.WITH:
            self._advance()
        elif self.order == "second":
            self.stage = Stage.REVISE
        else:
            here.last, self.stage = here.first, Stage.TRUTH

    def settle(self, turn: object, given: object) -> None:
        """His last word; the same again is allowed.

        Raises:
            ConfigError: see `commit`.
        """
        self._check(turn, Stage.REVISE)
        self.turn.last = reply_of(given)
        self.stage = Stage.TRUTH

    def go_on(self, turn: object) -> None:
        """To the next case, or to the end after the last.

        Raises:
            ConfigError: this is not the step that is open.
        """
        self._check(turn, Stage.TRUTH)
        self._advance()

    def _advance(self) -> None:
        self.place += 1
        self.stage = Stage.READ if self.place < len(self.turns) else Stage.DONE

    def _check(self, turn: object, stage: Stage) -> None:
        here = isinstance(turn, str) and secrets.compare_digest(
            turn.encode("utf-8", "replace"), self.turn.id.encode()
        )
        if self.stage is not stage or not here:
            raise ConfigError(NOT_NOW)


def new_reader(
    session: Session, seen: frozenset[str] = frozenset(), *, first: int = 0, counted: bool = False
) -> Reader:
    """A reader before the first case, with ids and an order that nothing else follows from.

    Args:
        session: the cases.
        seen: keys of the cases of earlier sessions.
        first: which of each pair is read before the round with the network, 0 or 1.
        counted: see `Reader`.
    """

    def mixed(some: Iterable[_T]) -> list[_T]:
        listed = list(some)
        if not session.ordered:
            secrets.SystemRandom().shuffle(listed)
        return listed

    def turns(round_: Round, cases: Iterable[tuple[int | None, Case]]) -> list[Turn]:
        return [Turn(secrets.token_urlsafe(12), case, round_, k) for k, case in mixed(cases)]

    before, after = (
        [(k, pair[n]) for k, pair in enumerate(session.pairs)] for n in (first, 1 - first)
    )
    planned = turns(Round.BEFORE, before)
    planned += turns(Round.WITH, [(None, case) for case in session.cases])
    planned += turns(Round.AFTER, after)
    keys = {case.key for case in session.all}
    return Reader(tuple(planned), session, seen | keys, counted=counted)
