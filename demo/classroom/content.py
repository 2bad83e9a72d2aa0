"""What a browser is sent at each step of a reading, as plain values for JSON.

A case has three layers: its picture, the network's answer and the truth. Each is sent when the
reader may see it and not before; `page/source/answer.js` says what the page makes of them.
"""

from typing import Any

from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS
from demo.answer import result_of
from demo.classroom.cases import Case
from demo.classroom.pool import strength
from demo.classroom.reading import Reader, Round, Stage, Turn, step_of


class Content:
    """Makes the page's content; what the network says of a case is put together once for all."""

    def __init__(self, predictor: Predictor, more: bool = True) -> None:
        """For this network; `more` tells whether another session may follow."""
        self._predictor, self._more = predictor, more
        self._answers: dict[str, dict[str, Any]] = {}

    def of(self, reader: Reader, *, picture: bool = True) -> dict[str, Any]:
        """What this reader may see now.

        Args:
            reader: where he is decides what is in it.
            picture: whether to send the case's picture too; the page may have it already.
        """
        content: dict[str, Any] = {"stage": str(reader.stage), "of": len(reader.turns)}
        if reader.stage is Stage.DONE:
            content |= {"looked_through": reader.session.looked_through, "more": self._more}
            return content | {"turns": [_told(turn) for turn in reader.turns]}
        turn = reader.turn
        content |= {"round": str(turn.round), "case": turn.id, "number": reader.place + 1}
        if picture:
            content["preview"] = turn.case.preview()
        read, helped = reader.stage is Stage.READ, turn.round is Round.WITH
        if helped and (reader.order == "first" or (reader.order == "second" and not read)):
            content |= {"network": self.network(turn.case), "heat": reader.heat}
        content |= {} if read else _replies(turn)
        return content | ({"truth": truth(turn.case)} if reader.stage is Stage.TRUTH else {})

    def network(self, case: Case) -> dict[str, Any]:
        """The network's answer with its maps, as the viewer's functions take it."""
        if case.key not in self._answers:
            answer = case.network
            values = answer.probabilities, answer.logits, answer.contributions
            result = result_of(self._predictor, *values, (case.height, case.width))
            self._answers[case.key] = result | _named(case)
        return self._answers[case.key]


def truth(case: Case) -> dict[str, Any]:
    """What is on a picture, and what the network should have seen."""
    there = case.truth.findings
    return {
        "findings": [
            {
                "name": name,
                "strength": strength(there[name]),
                "boxes": [list(box) for box in case.truth.boxes.get(name, ())],
            }
            for name in FINDINGS
            if name in there
        ],
        "misses": [name for name in FINDINGS if name in case.misses],
        "note": case.truth.note,
        "source": case.truth.source,
    }


def _named(case: Case) -> dict[str, Any]:
    answer = case.network
    return {
        "named": [name for name in FINDINGS if name in answer.named],
        "sure": None if answer.sure is None else step_of(answer.sure),
        "boxes": {name: [list(box)] for name, box in answer.boxes.items() if box},
    }


def _replies(turn: Turn) -> dict[str, Any]:
    given = {"mine": turn.first, "final": turn.last}
    return {name: reply.as_dict() for name, reply in given.items() if reply}


def _told(turn: Turn) -> dict[str, Any]:
    """A case when the session is over: the figures of the end are computed from these."""
    content = {"round": str(turn.round), "pair": turn.pair, "truth": truth(turn.case)}
    return content | _replies(turn) | {"network": _named(turn.case)}
