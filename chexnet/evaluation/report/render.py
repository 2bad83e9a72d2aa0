"""A figure as text, and a table as text, HTML cells, Markdown, CSV and LaTeX.

CSV holds every figure in full, an interval as two columns. The others show figures alike, to the
digits of their column.
"""

import csv
import io
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from html import escape as html_escape
from typing import Any

import numpy as np

from chexnet.evaluation.intervals import Interval, read_interval
from chexnet.labels import spoken

NOT_CLINICAL = "Research and education only, never for clinical use."
LONG = 30
"""Rows from which a table may need more than a page of LaTeX: `longtable` instead of a float."""
_LATEX = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    }
)
_FORMS = {"text": "l", "label": "l", "long": r"p{0.4\linewidth}"}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: its name in the CSV.
        title: its head; a second line of it is shown smaller.
        kind: `text`, `long` text that is broken into lines, `label`, `count`, `figure`, `p` (a
            p-value) or `interval`.
        digits: of a figure after the point.
        signed: show the sign of figures.
        small: shown small beneath the column before it, with this word before it, in HTML and
            Markdown; a small cell with a word is left out where there is no value. None for a
            column of its own.
        in_files: stands in CSV and LaTeX.
        path: where a value stands in a row of JSON, its parts divided by /; the key where empty.
    """

    key: str
    title: str
    kind: str = "figure"
    digits: int = 3
    signed: bool = False
    small: str | None = None
    in_files: bool = True
    path: str = ""

    def look_up(self, row: Any) -> Any:
        """The value of a row of JSON; None where it has none."""
        for part in (self.path or self.key).split("/"):
            row = row.get(part) if isinstance(row, Mapping) else None
        return row


@dataclass(frozen=True)
class Table:
    """Rows of plain values, a cell a column: text, a number, an interval (or its dict), or None.

    Attributes:
        name: of its files.
        caption: what it shows, in plain text.
        columns: of every row.
        rows: in the order of the page.
        foot: further rows, set apart beneath; not in CSV and LaTeX.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]
    foot: Sequence[Sequence[Any]] = ()

    @classmethod
    def of(
        cls,
        name: str,
        caption: str,
        columns: Sequence[Column],
        rows: Iterable[Mapping[str, Any]],
        foot: Iterable[Mapping[str, Any]] = (),
    ) -> "Table":
        """A table of rows of JSON, in which each column finds its value."""
        above, beneath = (
            [[column.look_up(row) for column in columns] for row in group] for group in (rows, foot)
        )
        return cls(name, caption, columns, above, beneath)

    def only(self, *keys: str) -> "Table":
        """The same with these columns, in this order; one that it does not have is left out."""
        own = [column.key for column in self.columns]
        return self._of([own.index(key) for key in keys if key in own])

    def main(self) -> "Table":
        """The same without small columns."""
        return self._of([n for n, column in enumerate(self.columns) if column.small is None])

    def for_files(self) -> "Table":
        """What CSV and LaTeX hold of it."""
        return self._of([n for n, column in enumerate(self.columns) if column.in_files])

    def _of(self, places: Sequence[int]) -> "Table":
        rows, foot = (
            [[row[place] for place in places] for row in group] for group in (self.rows, self.foot)
        )
        return replace(self, columns=[self.columns[p] for p in places], rows=rows, foot=foot)


def format_value(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A figure with so many digits after the point, `n/a` for None and NaN."""
    if value is None or np.isnan(value):
        return "n/a"
    return f"{value:{'+' if signed else ''}.{digits}f}"


def format_interval(
    interval: Interval | Mapping[str, Any] | Sequence[float] | None,
    digits: int = 3,
    *,
    between: str = "-",
    signed: bool = False,
) -> str:
    """An interval, for example `0.812-0.901`, or `n/a` where there is none.

    Args:
        interval: as computed, or as it stands in a JSON file, see `read_interval`.
        digits: after the point.
        between: what stands between the ends.
        signed: show the sign of both.
    """
    read = read_interval(interval)
    if not read.known:
        return "n/a"
    return between.join(format_value(end, digits, signed=signed) for end in (read.low, read.high))


def cell(column: Column, value: Any, digits: int | None = None, between: str = "\u2013") -> str:
    """One cell as people read it.

    Args:
        column: that it stands in.
        value: see `Table`; text stays text in every column.
        digits: instead of the column's.
        between: what stands between the ends of an interval without signs.
    """
    digits = column.digits if digits is None else digits
    if isinstance(value, str):
        return spoken(value) if column.kind == "label" else value
    if column.kind == "interval":
        between = " to " if column.signed else between
        return format_interval(value, digits, between=between, signed=column.signed)
    if value is None or np.isnan(value):
        return "" if column.kind in _FORMS else "n/a"
    if column.kind == "p" and value < 0.0005:  # not 0.000
        return "<0.001"
    if column.kind == "count":
        return f"{value:,}"
    return format_value(value, digits, signed=column.signed)


def to_text(table: Table, digits: int | None = None) -> str:
    """Aligned columns for a terminal.

    Args:
        table: with the columns that a terminal has room for.
        digits: of figures and their intervals, where their column has the usual three.
    """

    def shown(row: Sequence[Any]) -> list[str]:
        texts = []
        for column, value in zip(table.columns, row, strict=True):
            usual = column.digits == Column.digits and column.kind != "p"
            texts.append(cell(column, value, digits if usual else None, "-"))
        return texts

    lines = [[column.title.replace("\n", " ") for column in table.columns]]
    lines += map(shown, [*table.rows, *table.foot])
    widths = [max(map(len, texts)) for texts in zip(*lines, strict=True)]
    left = [column.kind in (*_FORMS, "interval") for column in table.columns]
    return "\n".join(
        "  ".join(
            f"{text:<{width}}" if to_left else f"{text:>{width}}"
            for text, width, to_left in zip(line, widths, left, strict=True)
        ).rstrip()
        for line in lines
    )


def grid(table: Table, rows: Sequence[Sequence[Any]]) -> list[list[tuple[str, list[str], str]]]:
    """Rows as pages show them: of each cell its text, small texts beneath it, and `text` or not."""
    lines = []
    for row in rows:
        cells: list[tuple[str, list[str], str]] = []
        for column, value in zip(table.columns, row, strict=True):
            text = cell(column, value)
            if column.small is None:
                cells.append((text, [], "text" if column.kind in _FORMS else ""))
            elif isinstance(value, str):
                cells[-1][1].extend([text] if text else [])
            elif not column.small or text != "n/a":
                cells[-1][1].append(f"{column.small} {text}".strip())
        lines.append(cells)
    return lines


def heads(table: Table) -> list[tuple[str, str]]:
    """The heads of `grid`'s columns, and `text` or not."""
    return [
        (column.title, "text" if column.kind in _FORMS else "")
        for column in table.columns
        if column.small is None
    ]


def to_markdown(table: Table) -> str:
    """A table of GitHub's Markdown; what is small on the page stands in brackets, the foot bold."""

    def line(cells: Sequence[str]) -> str:
        return f"| {' | '.join(cells)} |".replace("|  |", "| |").replace("|  |", "| |")

    def joined(text: str, small: list[str], _: str) -> str:
        return markdown(text) + "".join(f" ({markdown(part)})" for part in small)

    titles = [markdown(title) for title, _ in heads(table)]
    lines = [line(titles), "|" + "---|" * len(titles)]
    lines += [line([joined(*cells) for cells in row]) for row in grid(table, table.rows)]
    for row in grid(table, table.foot):
        lines.append(line([f"**{joined(*cells)}**" if cells[0] else "" for cells in row]))
    return "\n".join(lines)


def markdown(value: Any) -> str:
    """Text that stays text in Markdown, also within a table."""
    flat = " ".join(str(value).split())
    return html_escape(re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat), quote=False)


def to_csv(table: Table) -> str:
    """The table with every figure in full; an empty cell where there is none."""
    table, text = table.for_files(), io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    names = []
    for column in table.columns:
        ends = ("_low", "_high") if column.kind == "interval" else ("",)
        names += [(column.key + end).removeprefix("_") for end in ends]
    writer.writerow(names)
    for row in table.rows:
        cells: list[Any] = []
        for column, value in zip(table.columns, row, strict=True):
            if column.kind == "interval":
                interval = read_interval(value)
                cells += [interval.low, interval.high] if interval.known else [None, None]
            else:
                cells.append(None if value != value else value)
        writer.writerow(cells)
    return text.getvalue()


def to_latex(table: Table, *, scored: str = "", stamp: str = "") -> str:
    """The table for LaTeX with booktabs, and longtable where it has many rows.

    Args:
        table: with at least one row.
        scored: what the figures are of, in a sentence; ends the caption.
        stamp: begins the caption; empty for none.
    """
    import pandas as pd

    table = table.for_files()
    many = len(table.rows) > LONG
    caption = ". ".join(text.rstrip(".") for text in (stamp, table.caption, scored) if text)
    frame = pd.DataFrame(
        [
            [_latex_cell(column, value) for column, value in zip(table.columns, row, strict=True)]
            for row in table.rows
        ],
        columns=[latex(column.title) for column in table.columns],
        dtype=object,
    )
    text: str = frame.style.hide(axis="index").to_latex(
        column_format="".join(_FORMS.get(column.kind, "r") for column in table.columns),
        caption=f"{latex(caption)}.",
        label=f"tab:{table.name.replace('_', '-')}",
        environment="longtable" if many else None,
        position=None if many else "htbp",
        position_float=None if many else "centering",
        hrules=True,
    )
    packages = r"\usepackage{booktabs}" + (r"\usepackage{longtable}" if many else "")
    return f"% {NOT_CLINICAL.rstrip('.')}. Needs {packages}.\n{text}"


def latex(text: str) -> str:
    """Text that stays text in LaTeX, on one line."""
    return " ".join(text.split()).translate(_LATEX)


def _latex_cell(column: Column, value: Any) -> str:
    """As the page shows it, a minus as one."""
    if isinstance(value, str) or column.kind in _FORMS:
        return latex(cell(column, value))
    text = cell(column, value).replace("-", "$-$").replace("<", "$<$")
    return text.replace("\u2013", "--")
