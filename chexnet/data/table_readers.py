"""Other data sets' tables, read into the same rows: what stands in them, not yet what it means.

A reader takes the table as text and gives one row an image and, for each name of the data set's own
labels, what the table says of it. `formats.open_folder` makes a `DataFolder` of that.

Shapes: N images.
"""

from collections.abc import Callable, Sequence
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
CSV_OPTIONS: dict[str, type | tuple[type, ...]] = {
    "image": str,
    "patient": str,
    "age": str,
    "sex": str,
    "view": str,
    "frontal": list,
    "labels_column": str,
    "separator": str,
    "positive": list,
    "negative": list,
    "uncertain": list,
    "images_of": str,
}
"""What a user's mapping file may say of a table of its own, beside what the labels mean."""


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


Reader = Callable[[Path, Meaning], TableRows]


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


def read_chexpert(source: Path, meaning: Meaning) -> TableRows:
    """CheXpert's `train.csv` or `valid.csv`: a label a column, the patient in the path."""
    needed = ("Path", "Frontal/Lateral", *meaning.sources)
    raw, notes = read_text(source, needed, meaning.title), list[str]()
    view = raw["Frontal/Lateral"]
    unknown = ~view.isin(["Frontal", "Lateral"])
    refuse_rows(source, raw["Path"], unknown, "no view", "Frontal or Lateral")
    raw = _frontal_only(raw, view == "Frontal", notes)
    patient = raw["Path"].str.extract(r"(patient\d+)", expand=False).fillna("")
    refuse_rows(source, raw["Path"], patient == "", "no patient in the path", "patient00001/...")
    about = _about(
        raw, image="Path", patient=patient, age="Age", sex="Sex", view=_column(raw, "AP/PA")
    )
    return TableRows(about, _signs(source, raw, meaning, "Path", SIGNS, notes), notes)


def read_vinbigdata(source: Path, meaning: Meaning) -> TableRows:
    """VinBigData's `train.csv`: a row a box and a reader; readers are joined by majority."""
    raw = read_text(source, ("image_id", "class_name", "rad_id"), meaning.title)
    known = {*meaning.sources, *meaning.unused}
    refuse_rows(
        source,
        raw["image_id"],
        ~raw["class_name"].isin(known),
        "a class that VinBigData does not have",
        f"one of {', '.join(sorted(known))}",
    )
    refuse_rows(source, raw["image_id"], raw["rad_id"] == "", "no reader", "a rad_id")
    images = raw.drop_duplicates("image_id")[["image_id"]]
    readers = raw.groupby("image_id")["rad_id"].nunique().loc[images["image_id"]].to_numpy()
    votes = (
        raw.drop_duplicates(["image_id", "class_name", "rad_id"])
        .groupby(["class_name", "image_id"])
        .size()
    )
    states, tied = {}, 0
    for name in meaning.sources:
        count = (
            votes.xs(name).reindex(images["image_id"], fill_value=0).to_numpy()
            if name in votes.index.get_level_values(0)
            else np.zeros(len(images), int)
        )
        state = np.where(2 * count > readers, POSITIVE, NEGATIVE)
        state[2 * count == readers] = UNCERTAIN
        tied += int((state == UNCERTAIN).sum())
        states[name] = state.astype(np.int8)
    notes = [
        "Readers were joined by majority: a label is positive where more than half of an image's "
        f"readers gave it ({', '.join(map(str, sorted(set(readers))))} readers an image); "
        f"{tied:,} labels with as many readers for as against count as uncertain."
    ]
    about = _about(images, image="image_id", patient=pd.Series("", images.index))
    return TableRows(about, states, notes, by_patient=False)


def read_csv_table(source: Path, meaning: Meaning) -> TableRows:
    """Any table of one row an image, as the user's mapping file describes it."""
    options = meaning.options
    if "image" not in options:
        raise DataError(
            "--mapping: found no image, expected the column with an image's path under --data, as "
            'in image = "path".'
        )
    places = [options[key] for key in ("image", "patient", "age", "sex", "view") if key in options]
    listed = options.get("labels_column")
    columns = [listed] if listed else meaning.sources
    raw, notes = read_text(source, (*places, *columns), meaning.title), list[str]()
    if "frontal" in options:
        if "view" not in options:
            raise DataError("--mapping: found frontal without view, expected both or neither.")
        values = [str(value) for value in options["frontal"]]
        raw = _frontal_only(raw, raw[options["view"]].isin(values), notes)
    image = options["image"]
    states = (
        _listed(raw, meaning, listed, notes)
        if listed
        else _signs(source, raw, meaning, image, _own_signs(meaning), notes)
    )
    patient = _column(raw, options.get("patient", ""))
    about = _about(
        raw,
        image=image,
        patient=patient,
        age=options.get("age", ""),
        sex=options.get("sex", ""),
        view=_column(raw, options.get("view", "")),
    )
    return TableRows(about, states, notes, by_patient="patient" in options)


READERS: dict[str, Reader] = {
    "csv": read_csv_table,
    "chexpert": read_chexpert,
    "vinbigdata": read_vinbigdata,
}


def _column(raw: pd.DataFrame, name: str) -> pd.Series:
    return raw[name] if name in raw else pd.Series("", raw.index)


def _about(
    raw: pd.DataFrame,
    *,
    image: str,
    patient: pd.Series,
    age: str = "",
    sex: str = "",
    view: pd.Series | None = None,
) -> pd.DataFrame:
    years = pd.to_numeric(_column(raw, age).str.rstrip("Yy"), errors="coerce")
    seen = pd.Series("", raw.index) if view is None else view
    return pd.DataFrame(
        {
            "image": raw[image],
            "file": raw[image],
            "patient": patient,
            "age": years.where(years.between(0, 120)),
            "sex": _column(raw, sex).str.upper().map(SEXES).fillna(""),
            "view": seen.where(seen.isin(["AP", "PA"]), ""),
        }
    )


def _frontal_only(raw: pd.DataFrame, frontal: pd.Series, notes: list[str]) -> pd.DataFrame:
    """The frontal rows; how many were left out is noted."""
    others = int((~frontal).sum())
    if others == len(raw):
        raise DataError(f"None of the {others:,} rows is a frontal view. Expected some that are.")
    if others:
        notes.append(f"{others:,} of {len(raw):,} rows are no frontal views and were left out.")
    return raw[frontal]


def _signs(
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


def _own_signs(meaning: Meaning) -> dict[str, int]:
    """The values that a user's mapping names, or CheXpert's."""
    kinds = {"positive": POSITIVE, "negative": NEGATIVE, "uncertain": UNCERTAIN}
    own = {
        str(value): state
        for kind, state in kinds.items()
        for value in meaning.options.get(kind, ())
    }
    return own or SIGNS


def _listed(
    raw: pd.DataFrame, meaning: Meaning, column: str, notes: list[str]
) -> dict[str, np.ndarray]:
    """All labels in one cell, divided by a sign; a cell without any says nothing."""
    separator = meaning.options.get("separator", "|")
    terms = [{one.strip() for one in cell.split(separator)} - {""} for cell in raw[column]]
    of_blank = BLANK_AS[meaning.blank]
    notes.append(f"A row without labels counts as {meaning.blank}.")
    return states_of_terms(terms, meaning, of_blank, notes)


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
