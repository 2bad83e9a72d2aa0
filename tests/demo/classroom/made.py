"""Cases that need no network and no drawing."""

import numpy as np

from chexnet.labels import FINDINGS, NO_FINDING
from demo.classroom.cases import Case, NetworkAnswer, Truth
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
    found = dict.fromkeys([*FINDINGS, NO_FINDING], 0.2) | (said or {})
    answer = NetworkAnswer(
        probabilities=found,
        contributions=np.zeros((len(found), 2, 2), np.float32),
        logits=dict.fromkeys(found, 0.0),
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
