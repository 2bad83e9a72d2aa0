"""AUROCs that others published, each with the split it was measured on: `published.toml`.

Figures of different splits are of different images, and on a split by image they are of patients
that the network has seen. So a published value stands beside a run's figure only where both are of
the same list of images, and apart, with the reason, where they are not.
"""

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from chexnet.evaluation.intervals import Interval, read_interval
from chexnet.evaluation.truths import LIST_TITLES, ProtocolFigures
from chexnet.labels import FINDINGS

FILE = Path(__file__).with_name("published.toml")
NOT_SAID = "not said in what we read"


@dataclass(frozen=True)
class Published:
    """One published table.

    Attributes:
        name: short name.
        source: where it was read.
        split: the division it was measured on, as the source says.
        protocol: `official` or `2017` where its list of test images is one of these; else empty.
        chosen_on: what chose the epoch.
        auroc: label to value; often not all 14, or none.
        mean: of the 14 findings, computed where it is not printed; NaN where it cannot be.
        interval: 95 % interval of the mean, where one is printed.
    """

    name: str
    source: str
    split: str
    protocol: str
    chosen_on: str
    auroc: Mapping[str, float]
    mean: float
    interval: Interval


@cache
def published() -> tuple[Published, ...]:
    """Every table, in the order of the file."""
    found = []
    for row in tomllib.loads(FILE.read_text(encoding="utf-8"))["table"]:
        auroc = row.get("auroc", {})
        mean = float("nan")
        if all(name in auroc for name in FINDINGS):
            mean = float(np.mean([auroc[name] for name in FINDINGS]))
        found.append(
            Published(
                name=row["name"],
                source=row["source"],
                split=row["split"],
                protocol=row.get("protocol", ""),
                chosen_on=row.get("chosen_on", NOT_SAID),
                auroc=auroc,
                mean=row.get("mean", mean),
                interval=read_interval(row.get("interval")),
            )
        )
    return tuple(found)


@dataclass(frozen=True)
class Row:
    """One finding, or the mean, beside published values of the same list.

    Attributes:
        name: of the finding.
        value: this run's AUROC.
        interval: of it; None where none was drawn.
        others: a value (None where there is none) and its `relation`, a table each.
    """

    name: str
    value: float
    interval: Interval | None
    others: list[tuple[float | None, str]]


@dataclass(frozen=True)
class Comparison:
    """One list of images: this run and the tables that are of the same list."""

    title: str
    scored: int
    size: int
    tables: list[Published]
    rows: list[Row]


def comparisons(found: Sequence[ProtocolFigures], leaky: bool) -> list[Comparison]:
    """A table for each list that this run has a figure of; none where the figures leak."""
    made = []
    for one in found:
        tables = [other for other in published() if other.protocol == one.key]
        if leaky or not one.summary or not tables:
            continue
        summary, intervals = one.summary, one.summary.intervals
        rows = []
        for name in FINDINGS:
            if name in summary.classes:
                value = float(summary.auroc[summary.classes.index(name)])
                interval = intervals.classes[name] if intervals else None
                rows.append(_row(name, value, interval, [t.auroc.get(name) for t in tables]))
        if summary.findings.n_defined == len(FINDINGS):
            interval = intervals.findings if intervals else None
            means = [None if np.isnan(t.mean) else t.mean for t in tables]
            rows.append(_row("Mean of the findings", summary.findings.value, interval, means))
        made.append(Comparison(one.title, one.scored, one.size, tables, rows))
    return made


def _row(name: str, value: float, interval: Interval | None, others: Sequence[float | None]) -> Row:
    return Row(name, value, interval, [(other, relation(other, interval)) for other in others])


def with_reasons(found: Sequence[ProtocolFigures], leaky: bool) -> list[tuple[Published, str]]:
    """Every table, and why it is not compared with this run; empty where it is."""
    have = {one.key: one for one in found}

    def reason(one: Published) -> str:
        if leaky:
            return "no: this run's figures leak"
        if not one.protocol:
            return "no: its list of test images was not published"
        own = have.get(one.protocol)
        if own is None or not own.summary:
            return f"no: of the {LIST_TITLES[one.protocol]}; {own.reason if own else 'not scored'}"
        return ""

    return [(one, reason(one)) for one in published()]


def relation(value: float | None, interval: Interval | None) -> str:
    """Where a published value lies: `inside`, `above` or `below` this run's interval, or `n/a`."""
    if value is None or interval is None or not interval.known:
        return "n/a"
    if value > interval.high:
        return "above"
    return "below" if value < interval.low else "inside"
