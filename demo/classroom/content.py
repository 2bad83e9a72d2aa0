"""What a browser is sent at each step of a reading, as plain values for JSON.

Before a commit that is the picture, its random id and how far the reader is, and nothing else.
"""

from typing import Any

from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, SIGNS, spoken
from demo.answer import result_of
from demo.classroom.cases import Case, union_iou
from demo.classroom.figures import figures_of
from demo.classroom.pool import CLEAR, FAINT
from demo.classroom.reading import Reader, Stage, step_of


class Content:
    """Makes the page's content; what the network says of a case is put together once for all."""

    def __init__(self, predictor: Predictor, more: bool = True) -> None:
        """For this network; `more` tells whether another dozen may follow."""
        self._predictor, self._more = predictor, more
        self._answers: dict[str, dict[str, Any]] = {}

    def of(self, reader: Reader, *, picture: bool = True) -> dict[str, Any]:
        """What this reader may see now.

        Args:
            reader: where he is decides what is in it.
            picture: whether to send the case's picture too; the page may have it already.
        """
        found: dict[str, Any] = {"stage": str(reader.stage), "of": len(reader.turns)}
        if reader.stage is Stage.DONE:
            return found | {"figures": figures_of(reader), "more": self._more}
        case = reader.turn.case
        found |= {"case": reader.turn.id, "number": reader.place + 1}
        if picture:
            found["preview"] = case.preview()
        if reader.stage is Stage.READ:
            return found
        found |= {"mine": reader.before[-1].as_dict(), "network": self._network(case)}
        if reader.stage is Stage.TRUTH:
            found |= {"final": reader.after[-1].as_dict(), "truth": self._truth(reader, case)}
        return found

    def _network(self, case: Case) -> dict[str, Any]:
        """The network's answer with its maps, as the viewer's functions take it."""
        if case.key not in self._answers:
            answer = case.network
            values = answer.probabilities, answer.logits, answer.contributions
            result = result_of(self._predictor, *values, (case.height, case.width))
            self._answers[case.key] = result.plain() | {
                "named": [name for name in FINDINGS if name in answer.named],
                "sure": None if answer.sure is None else step_of(answer.sure),
            }
        return self._answers[case.key]

    def _truth(self, reader: Reader, case: Case) -> dict[str, Any]:
        before, after = reader.before[-1], reader.after[-1]
        there = case.truth.findings
        others = (before.findings | after.findings | case.network.named) - set(there)
        return {
            "findings": [self._finding(reader, case, name) for name in FINDINGS if name in there],
            # Of what it names as well: where a false alarm comes from.
            "network_boxes": {
                name: list(box)
                for name, box in case.network.boxes.items()
                if box and name in case.network.named | set(there)
            },
            "not_there": [
                {"name": name, "title": spoken(name), "sign": SIGNS[name]}
                for name in FINDINGS
                if name in others
            ],
            "right": {
                "before": before.right(case),
                "after": after.right(case),
                "network": case.network.named == frozenset(there),
            },
            "false_alarms": [name for name in FINDINGS if name in case.false_alarms],
            "misses": [name for name in FINDINGS if name in case.misses],
            "note": case.truth.note,
            "source": case.truth.source,
        }

    def _finding(self, reader: Reader, case: Case, name: str) -> dict[str, Any]:
        boxes = case.truth.boxes.get(name, ())
        drawn = reader.after[-1].boxes.get(name, ())
        theirs = case.network.boxes.get(name)
        return {
            "name": name,
            "title": spoken(name),
            "sign": SIGNS[name],
            "strength": strength(case.truth.findings[name]),
            "boxes": [list(box) for box in boxes],
            "iou": {
                "mine": union_iou(drawn, boxes) if drawn and boxes else None,
                "network": union_iou([theirs], boxes) if theirs and boxes else None,
            },
        }


def strength(severity: float | None) -> str:
    """A severity in a word; empty where nobody measured one."""
    if severity is None:
        return ""
    return "clear" if severity >= CLEAR else "faint" if severity < FAINT else "moderate"
