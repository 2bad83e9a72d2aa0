"""What every reader of a table gives, and the steps that they share.

Shapes: N images.
"""

from collections.abc import Mapping, Sequence
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
from chexnet.data.tables import SHOWN, by_value, column_of, refuse_rows, shown, years_of
from chexnet.errors import DataError
from chexnet.labels import folded

CELL_CODES = {"1": POSITIVE, "1.0": POSITIVE, "0": NEGATIVE, "0.0": NEGATIVE}
CELL_CODES |= {"-1": UNCERTAIN, "-1.0": UNCERTAIN}
"""How CheXpert's labeller, and most tables after it, write a label."""
PHOTOMETRIC = "PhotometricInterpretation_DICOM"
INVERT = "--format padchest-inverted turns them over, a mapping does with invert = true"
SEXES = {"MALE": "M", "FEMALE": "F", "M": "M", "F": "F"}


@dataclass
class TableRows:
    """One row an image.

    Attributes:
        about: index: the line of the table; `image`, `patient` (empty where the table names none),
            `age`, `sex`, `view`, and `file`, where the image is sought: a path or a name; also
            `inverted` where files are to be turned over.
        states: name of the data set's own label to what the table says, int8 (N,).
        notes: what was left out, joined or taken for something.
        by_patient: False where the table names no patients.
    """

    about: pd.DataFrame
    states: dict[str, np.ndarray]
    notes: list[str] = field(default_factory=list)
    by_patient: bool = True


def about_images(
    raw: pd.DataFrame,
    image: str,
    patient: pd.Series | str = "",
    age: str = "",
    sex: str = "",
    view: pd.Series | str = "",
) -> pd.DataFrame:
    """What `TableRows.about` says.

    Args:
        raw: the rows, a row an image.
        image: column of its name, and of its file until the reader knows better; Windows' paths
            are written as everybody else's.
        patient: of each row; none.
        age: column of the age, see `years_of`.
        sex: column of the sex in any usual way of writing.
        view: `AP`, `PA` or something else of each row.
    """
    names = [name.replace("\\", "/").removeprefix("./") for name in raw[image].tolist()]
    sexes = by_value(column_of(raw, sex), lambda cells: cells.str.upper().map(SEXES).fillna(""))
    return pd.DataFrame(
        {
            "image": names,
            "file": names,
            "patient": patient,
            "age": years_of(column_of(raw, age)),
            "sex": sexes,
            "view": view if isinstance(view, str) else view.where(view.isin(["AP", "PA"]), ""),
        },
        raw.index,
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
    signs: Mapping[str, int],
    notes: list[str],
) -> dict[str, np.ndarray]:
    """A label a column, each cell one of `signs` or blank."""
    states, blanks = {}, 0
    codes = np.array([*signs.values(), BLANK_AS[meaning.blank], -1], np.int8)
    known = pd.Index([*signs, ""])
    for name in (name for name in meaning.sources if name in raw):
        which = known.get_indexer(pd.Index(raw[name]))
        if (which < 0).any():
            problem = f"has {raw[name][which < 0].iloc[0][:SHOWN]!r} for {name}"
            expected = f"Expected {', '.join(map(shown, signs))} or nothing."
            refuse_rows(source, raw[image], {problem: pd.Series(which < 0, raw.index)}, expected)
        blanks += int((which == len(signs)).sum())
        states[name] = codes[which]
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
    blank = np.array([not names for names in terms])
    spelled = {folded(name): name for name in (*meaning.sources, *meaning.unused)}
    heard = [{spelled.get(folded(name), name) for name in names} for names in terms]
    states = {}
    for name in meaning.sources:
        has = np.array([name in names for names in heard])
        state = np.where(has, POSITIVE, NEGATIVE)
        states[name] = np.where(blank, of_blank, state).astype(np.int8)
    others = set().union(*heard) - {*meaning.sources, *meaning.unused}
    if others:
        named = ", ".join(map(shown, sorted(others)[:5]))
        notes.append(
            f"{len(others):,} terms of the table stand in no mapping and say nothing: {named}"
            f"{' ...' if len(others) > 5 else ''}."
        )
    return states


def note_monochrome1(
    raw: pd.DataFrame, about: pd.DataFrame, meaning: Meaning, notes: list[str]
) -> None:
    """Count the images whose values were stored the other way round, and turn them if asked to.

    PadChest's PNGs hold the values as its DICOM files did, so that bone is black in MONOCHROME1.

    Args:
        raw: may have the column `PHOTOMETRIC`.
        about: gets the column `inverted`, where `meaning` asks for it.
        meaning: of the table.
        notes: the count is noted here.
    """
    stored = column_of(raw, PHOTOMETRIC).str.upper() == "MONOCHROME1"
    if not stored.any():
        return
    if meaning.invert:
        about["inverted"] = stored
    done = "are turned over" if meaning.invert else f"are read as they are ({INVERT})"
    notes.append(
        f"{int(stored.sum()):,} images were stored as MONOCHROME1 (bone black) and {done}."
    )
