"""What happens when a reader does something."""

from typing import Any

from chexnet.errors import ConfigError
from chexnet.inference.predictor import Predictor
from demo.classroom.cases import CaseSource
from demo.classroom.content import Content
from demo.classroom.readers import Readers
from demo.classroom.reading import Reader, Stage, new_reader
from demo.classroom.results import ClassResults

STILL_DRAWING = "More cases are being drawn. Try again in a minute."


class Classroom:
    """All readers of one running demo, and the cases they read.

    Attributes:
        source: of the cases.
        readers: their progress.
        results: how many of them answered what.
    """

    def __init__(
        self, source: CaseSource, predictor: Predictor, results: ClassResults | None = None
    ) -> None:
        """Take cases from `source`; nothing is prepared before `start`."""
        self.source, self.readers = source, Readers()
        self.results = results or ClassResults()
        self._content = Content(predictor, source.words.more)

    def start(self) -> None:
        """Begin to prepare the cases; returns at once."""
        self.source.start()

    def close(self) -> None:
        """End what prepares cases; write the results."""
        self.source.close()
        self.results.close()

    def step(
        self,
        action: object,
        reader: object,
        case: object,
        answer: object,
        visitor: str | None = None,
    ) -> dict[str, Any]:
        """Do one step and tell what may be seen then.

        Args:
            action: of a reader: `begin`, `resume`, `commit`, `settle`, `next` or `another`.
            reader: his id.
            case: the id of the case that he has before him.
            answer: see `reply_of`.
            visitor: whose readings are counted together.

        Raises:
            ConfigError: no such reader, an unknown step, one that is not open, or no place.
        """
        if action == "begin":
            return self._begin(reader, visitor)
        found = self.readers.get(reader)
        steps = {
            "commit": lambda: found.commit(case, answer),
            "settle": lambda: found.settle(case, answer),
            "next": lambda: found.go_on(case),
        }
        with found.lock:
            if action == "another":
                return self._another(str(reader), found)
            if action == "resume":
                return self._content.of(found)
            if not isinstance(action, str) or action not in steps:
                raise ConfigError("There is no such step.")
            turn = found.turn.case
            steps[action]()
            counted = found.counted and self.readers.counts(str(reader))
            if counted and action in ("commit", "settle"):
                before = action == "commit"
                reply = (found.before if before else found.after)[-1]
                self.results.add(turn, "before" if before else "after", reply)
            # The picture goes with a new case only.
            return self._content.of(found, picture=action == "next")

    def _begin(self, before: object, visitor: str | None) -> dict[str, Any]:
        dozen = self.source.first()
        if dozen is None:
            ready, wanted = self.source.progress()
            return {"stage": "wait", "ready": ready, "of": wanted}
        self.results.expect(dozen.cases)
        # Whoever begins again has seen the truth already.
        reader = new_reader(dozen, counted=not self.readers.has_answered(before))
        return {"reader": self.readers.add(reader, visitor)} | self._content.of(reader)

    def _another(self, name: str, done: Reader) -> dict[str, Any]:
        if done.stage is not Stage.DONE:
            raise ConfigError("Finish these cases first.")
        dozen = self.source.another(done.seen)
        if dozen is None:
            raise ConfigError(STILL_DRAWING)
        reader = new_reader(dozen, done.seen)
        self.readers.replace(name, reader)
        return self._content.of(reader)
