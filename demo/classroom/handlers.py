"""What happens when a reader does something."""

import secrets
import threading
import time
from dataclasses import replace
from typing import Any

from chexnet.errors import ConfigError
from chexnet.inference.predictor import Predictor
from demo.classroom.cases import CaseSource
from demo.classroom.content import Content
from demo.classroom.readers import Readers
from demo.classroom.reading import Reader, Stage, Turn, new_reader
from demo.classroom.results import ClassResults
from demo.classroom.study import Study

STILL_DRAWING = "More cases are being drawn. Try again in a minute."


class Classroom:
    """All readers of one running demo, and the cases they read.

    Attributes:
        source: of the cases.
        readers: their progress.
        results: how many of them answered what; nobody's of a study, whose readers see different
            things.
        words: what the page says before the first case.
    """

    def __init__(
        self,
        source: CaseSource,
        predictor: Predictor,
        results: ClassResults | None = None,
        study: Study | None = None,
    ) -> None:
        """Take cases from `source`; nothing is prepared before `start`."""
        self.source, self.readers, self._study = source, Readers(), study
        self.results, self.words = results or ClassResults(), source.words
        if study:
            self.words = replace(source.words, study=study.name, consent=study.consent)
        self._content = Content(predictor, source.words.more)
        self._begun = [0, 0]
        self._lock = threading.Lock()

    def start(self) -> None:
        """Begin to prepare the cases; returns at once."""
        self.source.start()

    def close(self) -> None:
        """End what prepares cases; write the results."""
        self.source.close()
        self.results.close()
        if self._study:
            self._study.close()

    def step(
        self,
        action: object,
        reader: object,
        case: object,
        answer: object,
        visitor: str | None = None,
        pseudonym: object = None,
    ) -> dict[str, Any]:
        """Do one step and tell what may be seen then.

        Args:
            action: of a reader: `begin`, `resume`, `commit`, `settle`, `next` or `another`; in a
                study also `forget`.
            reader: his id.
            case: the id of the case that he has before him.
            answer: see `reply_of`.
            visitor: whose readings are counted together.
            pseudonym: in a study, with `begin` and `forget`.

        Raises:
            ConfigError: no such reader, an unknown step, one that is not open, or no place.
        """
        if action == "begin":
            return self._begin(reader, visitor, pseudonym)
        if action == "forget" and self._study:
            return {"forgotten": self._study.forget(pseudonym)}
        current = self.readers.get(reader)
        steps = {
            "commit": lambda: current.commit(case, answer),
            "settle": lambda: current.settle(case, answer),
            "next": lambda: current.go_on(case),
        }
        with current.lock:
            if action == "another":
                return self._another(str(reader), current)
            if action == "resume":
                return self._content.of(current)
            if not isinstance(action, str) or action not in steps:
                raise ConfigError("There is no such step.")
            turn = current.turn
            steps[action]()
            if self._study and action != "next":
                self._write(self._study, current, turn)
            current.since = time.monotonic()
            if current.counted and self.readers.counts(str(reader)):
                if action != "next":
                    self.results.add(turn)
                if current.stage is Stage.DONE:
                    self.results.finish(current.turns)
            # The picture goes with a new case only.
            return self._content.of(current, picture=current.stage is Stage.READ)

    def _write(self, study: Study, reader: Reader, turn: Turn) -> None:
        reply = turn.last or turn.first
        if reader.pseudonym and reply:
            when = "after" if turn.last and reader.order != "none" else "before"
            seconds = time.monotonic() - reader.since
            study.add(reader.pseudonym, turn.case, reply, turn.round, when, seconds)

    def _begin(self, before: object, visitor: str | None, pseudonym: object) -> dict[str, Any]:
        session = self.source.first()
        if session is None:
            ready, wanted = self.source.progress()
            return {"stage": "wait", "ready": ready, "of": wanted}
        self.results.expect(session.all)
        # Whoever begins again has seen the truth already.
        fresh = not self.readers.has_answered(before)
        arm = self._study.arm_of(pseudonym) if self._study else None
        reader = new_reader(session, first=self._first_of_pairs(fresh), counted=fresh and not arm)
        if arm:
            reader.order, reader.heat, reader.pseudonym = arm.network, arm.heat, pseudonym
        return {"reader": self.readers.add(reader, visitor)} | self._content.of(reader)

    def _first_of_pairs(self, counted: bool) -> int:
        """Which case of each pair comes first: that with which fewer counted readers began."""
        with self._lock:
            fewest = [k for k in (0, 1) if self._begun[k] == min(self._begun)]
            first = secrets.choice(fewest)
            self._begun[first] += counted
            return first

    def _another(self, name: str, done: Reader) -> dict[str, Any]:
        if done.stage is not Stage.DONE:
            raise ConfigError("Finish these cases first.")
        session = self.source.another(done.seen)
        if session is None:
            raise ConfigError(STILL_DRAWING)
        reader = new_reader(session, done.seen, first=self._first_of_pairs(counted=False))
        self.readers.replace(name, reader)
        return self._content.of(reader)
