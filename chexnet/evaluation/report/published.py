"""AUROCs that others published, each with the split it was measured on: `published.toml`.

Figures of different splits are of different images, and on a split by image they are of patients
that the network has seen. So a published value stands beside a run's figure only where both are of
the same list of images, and apart, with the reason, where they are not.
"""

import tomllib
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.evaluation.intervals import Interval, minimum_detectable, read_interval
from chexnet.evaluation.report.render import Column, Table, cell
from chexnet.evaluation.report.tables import AUROC, FINDING, INTERVAL, MEAN
from chexnet.evaluation.scores import Figures
from chexnet.evaluation.truths import LIST_TITLES
from chexnet.labels import FINDINGS

FILE = Path(__file__).with_name("published.toml")
NOT_SAID = {"chosen_on": "not said in what we read", "protocol": ""}


@cache
def published() -> tuple[Figures, ...]:
    """Every table, in the order of the file.

    Returns:
        `name`, `source` and `split` as the source says it; `protocol`, `official` or `2017` where
        its list of test images is one of these, else empty; `chosen_on`, what chose the epoch;
        `auroc`, label to value, often not all 14, or none; `mean` of the 14 findings, computed
        where it is not printed, None where it cannot be; and `interval`, where one is printed.
    """
    tables: list[dict[str, Any]] = tomllib.loads(FILE.read_text(encoding="utf-8"))["table"]

    def mean_of(auroc: Figures) -> float | None:
        whole = all(name in auroc for name in FINDINGS)
        return float(np.mean([auroc[name] for name in FINDINGS])) if whole else None

    return tuple(
        {
            **NOT_SAID,
            "auroc": {},
            "interval": None,
            "mean": mean_of(table.get("auroc", {})),
            **table,
        }
        for table in tables
    )


def _same_list(key: str) -> list[Figures]:
    return [table for table in published() if table["protocol"] == key]


def _values(run: Figures) -> Iterator[tuple[str, Figures, list[float | None]]]:
    """Each finding, then the mean: name, this run's figures, and a value of each table.

    Args:
        run: `key` of a list of images, and `figures` of this run, see `protocol_figures`.
    """
    figures, tables = run["figures"], _same_list(run["key"])
    for name in FINDINGS:
        if name in figures["classes"]:
            yield name, figures["classes"][name], [table["auroc"].get(name) for table in tables]
    mean = figures["mean_auroc"]["findings"]
    if mean["of"] == len(FINDINGS):
        yield MEAN, mean | {"auroc": mean["value"]}, [table["mean"] for table in tables]


def compared(protocols: Figures, leaky: bool) -> list[Figures]:
    """The lists, each with its `key`, that this run has figures of; none where these leak.

    Args:
        protocols: see `protocol_figures`, as plain values.
        leaky: the figures leak.
    """
    return [{**run, "key": key} for key, run in protocols.items() if run["figures"] and not leaky]


def lists(protocols: Figures) -> Table:
    """The two lists of test images, with a figure or the reason why there is none."""
    columns = (
        Column("list", "List", "text", path="title"),
        Column("images", "Images scored", "text"),
        replace(AUROC, title="mean AUROC", path="mean/value"),
        replace(INTERVAL, path="mean/interval"),
    )
    rows = []
    for run in protocols.values():
        size = f"{run['images_of_list']:,}" if run["images_of_list"] else "n/a"
        blank = {"value": "", "interval": f"blank: {run['reason']}"}
        mean = run["figures"]["mean_auroc"]["findings"] if run["figures"] else blank
        rows.append({**run, "images": f"{run['images_scored']:,} of {size}", "mean": mean})
    caption = "Two lists of test images, never mixed: mean AUROC of the findings"
    return Table.of("lists", caption, columns, rows)


def beside(run: Figures) -> Table:
    """This run, and beside it a column for each published table of the same list.

    Args:
        run: see `compared`.
    """
    tables = _same_list(run["key"])
    columns = [
        FINDING,
        replace(AUROC, title="this run"),
        INTERVAL,
        Column("detectable", "Detectable"),
    ]
    for table in tables:
        title = f"{table['name']}\nepoch chosen on: {table['chosen_on']}"
        columns.append(Column(table["name"], title, "text"))
    rows = []
    for name, figures, values in _values(run):
        interval = read_interval(figures.get("interval"))
        row = {"finding": name, **figures, "detectable": minimum_detectable(interval)}
        for table, value in zip(tables, values, strict=True):
            shown = cell(AUROC, value)
            row[table["name"]] = shown if value is None else f"{shown} {relation(value, interval)}"
        rows.append(row)
    scored, size = run["images_scored"], run["images_of_list"]
    caption = (
        f"On {run['title']}: this run ({scored:,} of {size:,} images) and published values of "
        "the same list"
    )
    return Table.of("beside", caption, columns, rows)


def page_tables(protocols: Figures, leaky: bool) -> list[Table]:
    """For the page: the lists, this run beside values of the same list, and every other table."""
    every = replace(
        with_reasons(protocols, leaky),
        caption="Every published table, and why one is not compared with this run",
    )
    return [lists(protocols), *map(beside, compared(protocols, leaky)), every]


def published_tables(protocols: Figures, leaky: bool) -> list[Table]:
    """For files: a row a published value of the same list, and every table with its reason."""
    columns = (
        Column("list", "Test list", "text"),
        Column("table", "Published", "text"),
        Column("epoch_chosen_on", "Epoch chosen on", "text"),
        FINDING,
        Column("published_auroc", "Published AUROC"),
        AUROC,
        INTERVAL,
        Column("where", "Published value is", "text"),
    )
    rows = [
        {
            "list": run["title"],
            "table": table["name"],
            "epoch_chosen_on": table["chosen_on"],
            "finding": name,
            "published_auroc": values[place],
            "where": relation(values[place], read_interval(figures.get("interval"))),
            **figures,
        }
        for run in compared(protocols, leaky)
        for place, table in enumerate(_same_list(run["key"]))
        for name, figures, values in _values(run)
        if values[place] is not None
    ]
    caption = (
        "Published values of the same list of test images: inside, above or below this run's 95 % "
        "interval"
    )
    return [Table.of("published", caption, columns, rows), with_reasons(protocols, leaky)]


def with_reasons(protocols: Figures, leaky: bool) -> Table:
    """Every published table, and why it is not compared with this run; empty where it is."""

    def reason(protocol: str) -> str:
        if leaky:
            return "no: this run's figures leak"
        if not protocol:
            return "no: its list of test images was not published"
        run = protocols.get(protocol)
        if run is None or not run["figures"]:
            why = run["reason"] if run else "not scored"
            return f"no: of the {LIST_TITLES[protocol]}; {why}"
        return ""

    columns = (
        Column("table", "Published", "text", path="name"),
        Column("split", "Split", "long"),
        Column("epoch_chosen_on", "Epoch chosen on", "text", path="chosen_on"),
        Column("mean_auroc", "Mean AUROC", path="mean"),
        Column("interval", "Printed interval", "interval"),
        Column("not_compared", "Not compared", "long"),
        Column("source", "Source", "text"),
    )
    rows = [{**table, "not_compared": reason(table["protocol"])} for table in published()]
    caption = "Published tables, and why one is not compared"
    return Table.of("published_tables", caption, columns, rows)


def relation(value: float | None, interval: Interval | None) -> str:
    """Where a published value lies: `inside`, `above` or `below` this run's interval, or `n/a`."""
    if value is None or interval is None or not interval.known:
        return "n/a"
    if value > interval.high:
        return "above"
    return "below" if value < interval.low else "inside"
