"""The figures at the end of a reading: the reader before and after, beside the network."""

from collections.abc import Iterable
from typing import Any

from chexnet.labels import spoken
from demo.classroom.cases import Case, union_iou
from demo.classroom.pool import FALSE_ALARMS, MISSES, mistakes
from demo.classroom.reading import SURE, Reader, Reply, step_of


def figures_of(reader: Reader) -> dict[str, Any]:
    """Figures of a reader who is done, as plain values.

    A case is right when exactly the findings that are there were named, no more and no fewer.
    """
    cases = [turn.case for turn in reader.turns]
    before = [reply.right(case) for reply, case in zip(reader.before, cases, strict=True)]
    after = [reply.right(case) for reply, case in zip(reader.after, cases, strict=True)]
    network = [case.network.named == frozenset(case.truth.findings) for case in cases]
    to_wrong = [b and not a for b, a in zip(before, after, strict=True)]
    alarms, misses = mistakes(cases)
    theirs = [None if c.network.sure is None else step_of(c.network.sure) for c in cases]
    return {
        "cases": len(cases),
        "scores": None in theirs,  # it was not calibrated, and cannot say how sure it is
        "right": {"before": sum(before), "after": sum(after), "network": sum(network)},
        "to_right": sum(a and not b for b, a in zip(before, after, strict=True)),
        "to_wrong": sum(to_wrong),
        # He left a right answer for a machine that was wrong.
        "followed": sum(w and not n for w, n in zip(to_wrong, network, strict=True)),
        "findings": {
            "there": sum(len(case.truth.findings) for case in cases),
            "before": _found(cases, (reply.findings for reply in reader.before)),
            "after": _found(cases, (reply.findings for reply in reader.after)),
            "network": _found(cases, (case.network.named for case in cases)),
        },
        "sure": [
            {
                "step": name,
                "mine": _share(before, [reply.sure == step for reply in reader.before]),
                "network": _share(network, [one == step for one in theirs]),
            }
            for step, name in enumerate(SURE)
        ],
        "overlap": _overlap(cases, reader.after),
        "mistakes": {
            "false_alarms": alarms,
            "misses": misses,
            "looked_through": reader.dozen.looked_through,
            "fewer": not reader.dozen.ordered and (alarms < FALSE_ALARMS or misses < MISSES),
        },
        "table": [
            {
                "there": _names(case.truth.findings),
                "before": _names(reader.before[k].findings),
                "after": _names(reader.after[k].findings),
                "network": _names(case.network.named),
                "right": {"before": before[k], "after": after[k], "network": network[k]},
            }
            for k, case in enumerate(cases)
        ],
    }


def _found(cases: list[Case], named: Iterable[Iterable[str]]) -> dict[str, int]:
    """Findings rightly named, and named though not there, over all cases."""
    found = wrong = 0
    for case, names in zip(cases, named, strict=True):
        here = set(names)
        found += len(here & set(case.truth.findings))
        wrong += len(here - set(case.truth.findings))
    return {"found": found, "wrong": wrong}


def _share(right: list[bool], chosen: list[bool]) -> dict[str, int]:
    """Of the chosen cases: how many there are, and how many are right."""
    counted = [r for r, c in zip(right, chosen, strict=True) if c]
    return {"cases": len(counted), "right": sum(counted)}


def _overlap(cases: list[Case], replies: list[Reply]) -> dict[str, Any]:
    """Mean IoU of the reader's boxes and of the network's, over the same boxed findings."""
    mine, network = [], []
    for case, reply in zip(cases, replies, strict=True):
        for name, boxes in case.truth.boxes.items():
            drawn, theirs = reply.boxes.get(name), case.network.boxes.get(name)
            if not drawn:
                continue
            mine.append(union_iou(drawn, boxes))
            network.append(union_iou([theirs], boxes) if theirs else 0.0)
    if not mine:
        return {"findings": 0, "mine": None, "network": None}
    count = len(mine)
    return {"findings": count, "mine": sum(mine) / count, "network": sum(network) / count}


def _names(findings: Iterable[str]) -> list[str]:
    return sorted(map(spoken, findings))
