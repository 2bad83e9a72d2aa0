"""What every reader of a table gives, and the steps that they share.

Shapes: N images.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.mappings import (
    BLANK_AS,
    NEGATIVE,
    POSITIVE,
    UNCERTAIN,
    Meaning,
)
from chexnet.errors import DataError

SIGNS = {"1": POSITIVE, "1.0": POSITIVE, "0": NEGATIVE, "0.0": NEGATIVE}
SIGNS |= {"-1": UNCERTAIN, "-1.0": UNCERTAIN}
"""How CheXpert's labeller, and most tables after it, write a label."""
SEXES = {"MALE": "M", "FEMALE": "F", "M": "M", "F": "F"}


@dataclass
class TableRows:
    """One row an image.

    Attributes:
        about: index: the line of the table; `image`, `patient` (empty where the table names none),
            `age`, `sex`, `view`, and `file`, where the image is sought: a path or a name.
        states: name of the data set's own label to what the table says, int8 (N,).
        notes: what was left out, joined or taken for something.
        by_patient: False where the table names no patients.
    """

    about: pd.DataFrame
    states: dict[str, np.ndarray]
    notes: list[str] = field(default_factory=list)
    by_patient: bool = True


def read_text(source: Path, needed: Sequence[str], title: str) -> pd.DataFrame:
    """Read a CSV with every cell as text without blanks around it.

    Args:
        source: the file; may be compressed (`.gz`).
        needed: columns that it must have.
        title: of what is expected.

    Raises:
        DataError: no CSV, a column is missing, or no rows.
    """
    try:
        raw = pd.read_csv(source, dtype=str, encoding="utf-8-sig", keep_default_na=False)
    except (OSError, ValueError) as error:
        raise DataError(f"{source} could not be read as a CSV table: {error}") from error
    raw.columns = raw.columns.str.strip()  # SIIM's has a blank before a name
    missing = [name for name in needed if name not in raw.columns]
    if missing:
        raise DataError(
            f"{source} has no column {', '.join(missing)}; found {', '.join(raw.columns[:6])}. "
            f"Expected {title}'s table, or another --format."
        )
    if raw.empty:
        raise DataError(f"{source} has no rows. Expected {title}'s table with one image or more.")
    stripped: pd.DataFrame = raw.apply(lambda column: column.str.strip())
    return stripped


def refuse_rows(
    source: Path, names: pd.Series, rows: pd.Series | np.ndarray, problem: str, expected: str
) -> None:
    """Refuse a table whose rows have a problem, naming the first of them.

    Args:
        source: the table.
        names: what to call each row.
        rows: True for those with the problem.
        problem: of them.
        expected: instead.

    Raises:
        DataError: any row has it.
    """
    wrong = np.asarray(rows)
    if wrong.any():
        first = int(wrong.argmax())
        raise DataError(
            f"{source}, line {names.index[first] + 2} ({names.iloc[first] or 'no name'}): "
            f"{problem}. Expected {expected}."
        )


def column_of(raw: pd.DataFrame, name: str) -> pd.Series:
    """A column, or empty text where the table has none of that name."""
    return raw[name] if name in raw else pd.Series("", raw.index)


def about_images(
    raw: pd.DataFrame,
    *,
    image: str,
    patient: pd.Series,
    age: str = "",
    sex: str = "",
    view: pd.Series | None = None,
) -> pd.DataFrame:
    """What `TableRows.about` says.

    Args:
        raw: the rows, a row an image.
        image: column of its name, and of its file until the reader knows better.
        patient: of each row.
        age: column of the age in years, also as `058Y`; impossible ones are NaN.
        sex: column of the sex in any usual way of writing.
        view: `AP`, `PA` or something else of each row.
    """
    years = pd.to_numeric(column_of(raw, age).str.rstrip("Yy"), errors="coerce")
    seen = pd.Series("", raw.index) if view is None else view
    return pd.DataFrame(
        {
            "image": raw[image],
            "file": raw[image],
            "patient": patient,
            "age": years.where(years.between(0, 120)),
            "sex": column_of(raw, sex).str.upper().map(SEXES).fillna(""),
            "view": seen.where(seen.isin(["AP", "PA"]), ""),
        }
    )


def frontal_only(raw: pd.DataFrame, frontal: pd.Series, notes: list[str]) -> pd.DataFrame:
    """The frontal rows; how many were left out is noted."""
    others = int((~frontal).sum())
    if others == len(raw):
        raise DataError(f"None of the {others:,} rows is a frontal view. Expected some that are.")
    if others:
        notes.append(f"{others:,} of {len(raw):,} rows are no frontal views and were left out.")
    return raw[frontal]


def signed_states(
    source: Path,
    raw: pd.DataFrame,
    meaning: Meaning,
    image: str,
    signs: dict[str, int],
    notes: list[str],
) -> dict[str, np.ndarray]:
    """A label a column, each cell one of `signs` or blank."""
    states, blanks = {}, 0
    for name in meaning.sources:
        cells = raw[name]
        wrong = ~cells.isin([*signs, ""])
        if wrong.any():
            shown = cells[wrong].iloc[0]
            expected = f"{', '.join(signs)} or nothing"
            refuse_rows(source, raw[image], wrong, f"{name} is {shown!r}", expected)
        blanks += int((cells == "").sum())
        of_blank = {"": BLANK_AS[meaning.blank]}
        states[name] = cells.map(signs | of_blank).to_numpy(np.int8)
    notes.append(f"A blank label counts as {meaning.blank} ({blanks:,} such labels).")
    return states


def states_of_terms(
    terms: Sequence[set[str]], meaning: Meaning, of_blank: int, notes: list[str]
) -> dict[str, np.ndarray]:
    """What lists of whole terms say: a term is there or it is not.

    Args:
        terms: of each image (N).
        meaning: of the table.
        of_blank: what a list without terms says of every label.
        notes: terms that the mapping does not know are noted here.
    """
    blank = np.array([not one for one in terms])
    states = {}
    for name in meaning.sources:
        has = np.array([name in one for one in terms])
        state = np.where(has, POSITIVE, NEGATIVE)
        states[name] = np.where(blank, of_blank, state).astype(np.int8)
    others = set().union(*terms) - {*meaning.sources, *meaning.unused}
    if others:
        shown = ", ".join(sorted(others)[:5])
        notes.append(
            f"{len(others):,} terms of the table stand in no mapping and say nothing: {shown}"
            f"{' ...' if len(others) > 5 else ''}."
        )
    return states
