"""AUROCs that others published, each with the split it was measured on: `published.toml`.

Figures of different splits are of different images, and on a split by image they are of patients
that the network has seen. So a published value stands beside a run's figure only where both are of
the same list of images, and apart, with the reason, where they are not.
"""

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.evaluation.intervals import Interval, minimum_detectable, read_interval
from chexnet.evaluation.report.render import Column, Table
from chexnet.evaluation.report.tables import MEAN
from chexnet.evaluation.truths import LIST_TITLES
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


def _same_list(key: str) -> list[Published]:
    return [one for one in published() if one.protocol == key]


def _values(
    found: Mapping[str, Any],
) -> Iterator[tuple[str, Mapping[str, Any], list[float | None]]]:
    """Each finding, then the mean: name, this run's figures, and a value of each table.

    Args:
        found: `key` of a list of images, and `figures` of this run, see `ProtocolFigures`.
    """
    figures, tables = found["figures"], _same_list(found["key"])
    for name in FINDINGS:
        if name in figures["classes"]:
            yield name, figures["classes"][name], [one.auroc.get(name) for one in tables]
    mean = figures["mean_auroc"]["findings"]
    if mean["of"] == len(FINDINGS):
        means = [None if np.isnan(one.mean) else one.mean for one in tables]
        yield MEAN, {"auroc": mean["value"], "interval": mean.get("interval")}, means


def compared(protocols: Mapping[str, Any], leaky: bool) -> list[Mapping[str, Any]]:
    """The lists, each with its `key`, that this run has figures of; none where these leak.

    Args:
        protocols: key to `ProtocolFigures`, as plain values.
        leaky: the figures leak.
    """
    return [one | {"key": key} for key, one in protocols.items() if one["figures"] and not leaky]


def lists(protocols: Mapping[str, Any]) -> Table:
    """The two lists of test images, with a figure or the reason why there is none."""
    columns = (
        Column("list", "List", "text"),
        Column("images", "Images scored", "text"),
        Column("auroc", "mean AUROC"),
        Column("auroc_interval", "95 % interval", "interval"),
    )
    rows = []
    for one in protocols.values():
        size = f"{one['images_of_list']:,}" if one["images_of_list"] else "n/a"
        begin = (one["title"], f"{one['images_scored']:,} of {size}")
        mean = one["figures"]["mean_auroc"]["findings"] if one["figures"] else {}
        blank = (mean["value"], mean.get("interval")) if mean else ("", f"blank: {one['reason']}")
        rows.append((*begin, *blank))
    caption = "Two lists of test images, never mixed: mean AUROC of the findings"
    return Table("lists", caption, columns, rows)


def beside(found: Mapping[str, Any]) -> Table:
    """This run, and beside it a column for each published table of the same list.

    Args:
        found: see `compared`.
    """
    columns = [
        Column("finding", "Finding", "label"),
        Column("auroc", "this run"),
        Column("auroc_interval", "95 % interval", "interval"),
        Column("detectable", "Detectable"),
    ]
    for one in _same_list(found["key"]):
        title = f"{one.name}\nepoch chosen on: {one.chosen_on}"
        columns.append(Column(one.name, title, "text"))
    rows = []
    for name, figures, values in _values(found):
        interval = read_interval(figures.get("interval"))
        begin = (name, figures["auroc"], interval, minimum_detectable(interval))
        others = ("n/a" if v is None else f"{v:.3f} {relation(v, interval)}" for v in values)
        rows.append((*begin, *others))
    scored, size = found["images_scored"], found["images_of_list"]
    caption = (
        f"On {found['title']}: this run ({scored:,} of {size:,} images) and published values of "
        "the same list"
    )
    return Table("beside", caption, columns, rows)


def page_tables(protocols: Mapping[str, Any], leaky: bool) -> list[Table]:
    """For the page: the lists, this run beside values of the same list, and every other table."""
    every = replace(
        with_reasons(protocols, leaky),
        caption="Every published table, and why one is not compared with this run",
    )
    return [lists(protocols), *map(beside, compared(protocols, leaky)), every]


def published_tables(protocols: Mapping[str, Any], leaky: bool) -> list[Table]:
    """For files: a row a published value of the same list, and every table with its reason."""
    columns = (
        Column("list", "Test list", "text"),
        Column("table", "Published", "text"),
        Column("epoch_chosen_on", "Epoch chosen on", "text"),
        Column("finding", "Finding", "label"),
        Column("published_auroc", "Published AUROC"),
        Column("auroc", "AUROC"),
        Column("auroc_interval", "95 % interval", "interval"),
        Column("where", "Published value is", "text"),
    )
    rows = []
    for found in compared(protocols, leaky):
        for place, one in enumerate(_same_list(found["key"])):
            for name, figures, values in _values(found):
                interval = read_interval(figures.get("interval"))
                if (value := values[place]) is not None:
                    about = (found["title"], one.name, one.chosen_on, name, value)
                    where = relation(value, interval)
                    rows.append((*about, figures["auroc"], interval, where))
    caption = (
        "Published values of the same list of test images: inside, above or below this run's 95 % "
        "interval"
    )
    return [Table("published", caption, columns, rows), with_reasons(protocols, leaky)]


def with_reasons(protocols: Mapping[str, Any], leaky: bool) -> Table:
    """Every published table, and why it is not compared with this run; empty where it is."""

    def reason(one: Published) -> str:
        if leaky:
            return "no: this run's figures leak"
        if not one.protocol:
            return "no: its list of test images was not published"
        own = protocols.get(one.protocol)
        if own is None or not own["figures"]:
            why = own["reason"] if own else "not scored"
            return f"no: of the {LIST_TITLES[one.protocol]}; {why}"
        return ""

    columns = (
        Column("table", "Published", "text"),
        Column("split", "Split", "long"),
        Column("epoch_chosen_on", "Epoch chosen on", "text"),
        Column("mean_auroc", "Mean AUROC"),
        Column("interval", "Printed interval", "interval"),
        Column("not_compared", "Not compared", "long"),
        Column("source", "Source", "text"),
    )
    rows = [
        (one.name, one.split, one.chosen_on, one.mean, one.interval, reason(one), one.source)
        for one in published()
    ]
    caption = "Published tables, and why one is not compared"
    return Table("published_tables", caption, columns, rows)


def relation(value: float | None, interval: Interval | None) -> str:
    """Where a published value lies: `inside`, `above` or `below` this run's interval, or `n/a`."""
    if value is None or interval is None or not interval.known:
        return "n/a"
    if value > interval.high:
        return "above"
    return "below" if value < interval.low else "inside"
