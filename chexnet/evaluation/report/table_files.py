"""Tables as CSV and LaTeX files.

The CSV holds every figure in full, an interval as two columns; the LaTeX shows the figures as the
page does.
"""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from chexnet.evaluation.intervals import read_interval
from chexnet.evaluation.report.tables import format_interval, format_value
from chexnet.files import write_text
from chexnet.labels import spoken

FOLDER = "tables"
LONG = 30
"""Rows from which a table may need more than a page: `longtable` instead of a float."""
_ESCAPES = str.maketrans(
    {
        "\\": r"\textbackslash{}",
        "~": r"\textasciitilde{}",
        "^": r"\textasciicircum{}",
        "<": r"\textless{}",
        ">": r"\textgreater{}",
        **{mark: f"\\{mark}" for mark in "&%$#_{}"},
    }
)


@dataclass(frozen=True)
class Column:
    """A column of a table.

    Attributes:
        key: its name in the CSV.
        title: its head in LaTeX.
        kind: `text`, `long` text that is broken into lines, `label`, `count`, `figure`, `p` (a
            p-value) or `interval`.
        digits: of a figure after the point.
        signed: show the sign of figures.
    """

    key: str
    title: str
    kind: str = "figure"
    digits: int = 3
    signed: bool = False


@dataclass(frozen=True)
class Table:
    """Rows of plain values, a cell a column: text, a number, an interval's dict, or None.

    Attributes:
        name: of its files.
        caption: what it shows, in plain text.
        columns: of every row.
        rows: in the order of the page.
    """

    name: str
    caption: str
    columns: Sequence[Column]
    rows: Sequence[Sequence[Any]]


def write_tables(tables: Sequence[Table], folder: Path, *, scored: str, stamp: str = "") -> str:
    """Write each table as CSV and LaTeX into `folder`/tables.

    Args:
        tables: see `paper.paper_tables`.
        folder: of the report.
        scored: what the figures are of, in a sentence; ends every caption.
        stamp: stands in every file's name and caption; empty for none.

    Returns:
        What was written, for the user.
    """
    name = f"{{}}.{stamp}" if stamp else "{}"
    texts = {}
    for one in tables:
        texts[name.format(one.name) + ".csv"] = to_csv(one)
        texts[name.format(one.name) + ".tex"] = to_latex(one, scored=scored, stamp=stamp)
    for file, text in texts.items():  # all of them are made before the first is written
        write_text(folder / FOLDER / file, text)
    return f"{len(tables)} tables as CSV and LaTeX in {FOLDER}"


def to_csv(table: Table) -> str:
    """The table with every figure in full; an empty cell where there is none."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    head: list[str] = []
    for column in table.columns:
        ends = ("_low", "_high") if column.kind == "interval" else ("",)
        head += [column.key + end for end in ends]
    writer.writerow(head)
    for row in table.rows:
        cells: list[Any] = []
        for column, value in zip(table.columns, row, strict=True):
            if column.kind == "interval":
                found = read_interval(value)
                cells += [found.low, found.high] if found.known else [None, None]
            else:
                cells.append(value)
        writer.writerow(cells)
    return text.getvalue()


def to_latex(table: Table, *, scored: str = "", stamp: str = "") -> str:
    """The table for LaTeX with booktabs, and longtable where it has many rows."""
    many = len(table.rows) > LONG
    kinds = {"text": "l", "label": "l", "long": r"p{0.4\linewidth}"}
    form = "".join(kinds.get(column.kind, "r") for column in table.columns)
    caption = ". ".join(text.rstrip(".") for text in (stamp, table.caption, scored) if text)
    said = f"\\caption{{{escape(caption)}.}}\n\\label{{tab:{table.name.replace('_', '-')}}}"
    head = " & ".join(escape(column.title) for column in table.columns)
    top = f"\\toprule\n{head} \\\\\n\\midrule\n"
    lines = [
        " & ".join(_cell(column, value) for column, value in zip(table.columns, row, strict=True))
        for row in table.rows
    ]
    body = "".join(f"{line} \\\\\n" for line in lines)
    packages = r"\usepackage{booktabs}" + (r"\usepackage{longtable}" if many else "")
    first = f"% Research and education only, never for clinical use. Needs {packages}.\n"
    if many:
        return (
            f"{first}\\begin{{longtable}}{{{form}}}\n{said} \\\\\n{top}\\endfirsthead\n{top}"
            f"\\endhead\n\\bottomrule\n\\endfoot\n{body}\\end{{longtable}}\n"
        )
    return (
        f"{first}\\begin{{table}}[htbp]\n\\centering\n{said}\n\\begin{{tabular}}{{{form}}}\n{top}"
        f"{body}\\bottomrule\n\\end{{tabular}}\n\\end{{table}}\n"
    )


def escape(text: str) -> str:
    """Text that stays text in LaTeX, on one line."""
    return " ".join(text.split()).translate(_ESCAPES)


def _cell(column: Column, value: Any) -> str:
    """A cell as the page shows it."""
    if column.kind == "interval":
        between = " to " if column.signed else "--"
        return _minus(
            format_interval(value, column.digits, between=between, signed=column.signed), between
        )
    if value is None:
        return "n/a" if column.kind in ("figure", "count", "p") else ""
    if column.kind == "p" and value < 0.0005:  # not 0.000
        return "$<$0.001"
    if column.kind in ("figure", "p"):
        return _minus(format_value(value, column.digits, signed=column.signed))
    if column.kind == "count":
        return f"{value:,}"
    return escape(spoken(value) if column.kind == "label" else str(value))


def _minus(text: str, between: str = "") -> str:
    """A negative number with a minus sign; the dash of an interval stays one."""
    parts = text.split(between) if between else [text]
    return between.join(part.replace("-", "$-$") for part in parts)
