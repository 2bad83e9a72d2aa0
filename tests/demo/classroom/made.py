"""Cases that need no network and no drawing."""

from collections.abc import Sequence

import numpy as np

from chexnet.labels import FINDINGS, NO_FINDING
from demo.classroom.cases import Case, NetworkAnswer, Truth
from demo.classroom.draw import Box
from demo.pictures import png


def case(
    key: str = "a",
    there: dict | None = None,
    said: dict | None = None,
    *,
    named: set | None = None,
    boxes: dict | None = None,
    network_boxes: dict | None = None,
    sure: float = 0.6,
) -> Case:
    """A case with findings `there` (severities), of which the network `said` probabilities."""
    probabilities = dict.fromkeys([*FINDINGS, NO_FINDING], 0.2) | (said or {})
    answer = NetworkAnswer(
        probabilities=probabilities,
        contributions=np.zeros((len(probabilities), 2, 2), np.float32),
        logits=dict.fromkeys(probabilities, 0.0),
        named=frozenset(named or ()),
        sure=sure,
        boxes=dict.fromkeys(FINDINGS) | (network_boxes or {}),
    )
    picture = png(np.zeros((64, 64), np.uint8))
    return Case(key, 64, 64, picture, Truth(there or {}, boxes or {}), answer)


def reply(*findings: str, sure: int = 1, boxes: dict | None = None) -> dict:
    """An answer as the page sends it."""
    return {
        "findings": list(findings),
        "nothing": not findings,
        "sure": sure,
        "boxes": boxes or {},
    }


def union_iou(set_a: Sequence[Box], set_b: Sequence[Box]) -> float:
    """Area that both sets of boxes cover over the area that either covers, 0 to 1.

    Exact: the picture is cut along every edge of a box, and each piece lies wholly in or out.
    """
    boxes = np.array([*set_a, *set_b], float).reshape(-1, 4)
    if not len(set_a) or not len(set_b):
        return 0.0
    x, y = np.unique(boxes[:, [0, 2]]), np.unique(boxes[:, [1, 3]])
    areas = np.outer(np.diff(y), np.diff(x))

    def covered(some: Sequence[Box]) -> np.ndarray:
        inside = np.zeros(areas.shape, bool)
        for left, top, right, bottom in some:
            inside |= np.outer(
                (y[:-1] >= top) & (y[1:] <= bottom), (x[:-1] >= left) & (x[1:] <= right)
            )
        return inside

    first, second = covered(set_a), covered(set_b)
    either = areas[first | second].sum()
    return float(areas[first & second].sum() / either) if either > 0 else 0.0
