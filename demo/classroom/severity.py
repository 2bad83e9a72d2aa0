"""How faint a drawn finding can be and still be named: by a class, and by the network."""

from collections.abc import Iterable, Mapping
from math import sqrt
from typing import Any

from chexnet.labels import FINDINGS
from demo.classroom.cases import Case

BANDS = (0.0, 0.25, 0.5, 0.75, 1.0)
"""Edges of the bands of severity; what was not drawn has severity 0 and a band of its own."""


def naming_curve(points: Iterable[tuple[float, float]]) -> list[dict[str, Any]]:
    """The chance of naming a finding, by its severity, all findings together.

    Args:
        points: of each finding in each picture, its severity (0 where it was not drawn) and the
            share of the answers that name it.

    Returns:
        For each band that has one: `from` and `to`, both 0 of what was not drawn; `findings`, how
        many; `chance`, their mean share; `interval`, Wilson's, 95 %. It counts findings, not
        answers: answers to one picture are alike. So it is too wide for many readers, never too
        narrow.
    """
    given = list(points)
    curve = []
    for low, high in zip((0.0, *BANDS), (0.0, *BANDS[1:]), strict=False):
        shares = [share for s, share in given if low < s <= high or s == low == high]
        if shares:
            chance = sum(shares) / len(shares)
            band = {"from": low, "to": high, "findings": len(shares), "chance": chance}
            curve.append(band | {"interval": wilson(chance, len(shares))})
    return curve


def wilson(share: float, count: int) -> list[float]:
    """The 95 % interval of a share of `count` trials (Wilson, JASA 1927)."""
    z = 1.959964
    centre = share + z * z / (2 * count)
    half = z * sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    scale = 1 + z * z / count
    return [max(0.0, (centre - half) / scale), min(1.0, (centre + half) / scale)]


def class_curves(
    rows: Iterable[Mapping[str, Any]], cases: Mapping[str, Case]
) -> dict[str, list[dict[str, Any]]]:
    """The class's curve, of all rounds before it saw the network, and the network's own.

    Args:
        rows: of `ClassResults.rows`; one without answers is left out.
        cases: key to case. A case with a finding whose severity nobody measured is left out.
    """
    people: list[tuple[float, float]] = []
    network: list[tuple[float, float]] = []
    for row in rows:
        case = cases[row["key"]]
        moments = [moment for moment in row["told"] if moment["when"] == "before"]
        answers = sum(moment["answers"] for moment in moments)
        if not answers or None in case.truth.findings.values():
            continue
        for name in FINDINGS:
            severity = case.truth.findings.get(name) or 0.0
            named = sum(moment["named"].get(name, 0) for moment in moments)
            people.append((severity, named / answers))
            network.append((severity, float(name in case.network.named)))
    return {"class": naming_curve(people), "network": naming_curve(network)}
