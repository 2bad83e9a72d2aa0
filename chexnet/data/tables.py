"""How every table, list and mapping that a user brings is read, and how one of its rows is refused.

A file is looked at before it is read, unpacked and decoded within bounds, and whatever is wrong
becomes one `DataError` of one line, which shows at most `SHOWN` characters of a foreign file.
"""

import bz2
import codecs
import csv
import gzip
import lzma
import tarfile
import tomllib
import warnings
import zipfile
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence, Set
from io import BytesIO, StringIO
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from chexnet.errors import DataError
from chexnet.files import read_regular
from chexnet.labels import folded

LIMIT = 512 << 20
"""Bytes of a table, packed and unpacked; PadChest's, the largest with its reports, has 110 MB."""
MAX_HEADER, MAX_COLUMNS, MAX_ROWS = 1 << 20, 10_000, 5_000_000
"""Of a table; MIMIC's metadata have 377,110 rows."""
TRAILING = 8
"""Empty cells that a row may have beyond the header: what is left of a comma at its end."""
MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),  # before UTF-16's, which it begins with
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
    (codecs.BOM_UTF8, "utf-8-sig"),
)
PACKED = ((b"\x1f\x8b", gzip.open), (b"BZh", bz2.open), (b"\xfd7zXZ\0", lzma.open))
SHOWN = 80
ROUNDED = r"\d\.\d+[Ee]\+?\d+|\d[Ee]\+\d+"
NO_PATIENT = ("nan", "none", "null", "<na>")
"""What programs write for a number that they shortened, and for none."""


def shown(value: object) -> str:
    """Something of a foreign file as it may stand in a message: one line, at most `SHOWN` long."""
    text = str(value)[: SHOWN + 1]
    text = text if text.isprintable() else ascii(text)[1:-1]
    return text if len(text) <= SHOWN else text[: SHOWN - 3] + "..."


def read_text(source: Path, limit: int = LIMIT) -> str:
    """Read a text file: UTF-8, or what its byte order mark says, or Windows-1252; also packed.

    Args:
        source: the file; as it is, or as gzip, bzip2, xz, or the only file of a zip or a tar.
        limit: bytes that it may have, packed and unpacked.

    Raises:
        DataError: no regular file, too large, damaged, or no text.
    """
    data = _unpacked(source, read_regular(source, limit), limit)
    marked = next((name for mark, name in MARKS if data.startswith(mark)), None)
    for encoding in (marked,) if marked else ("utf-8", "cp1252"):
        try:
            text = data.decode(encoding)
        except UnicodeDecodeError:
            continue
        if "\0" not in text:
            return text
    raise DataError(f"{source} could not be read as text. Save it as CSV or text in UTF-8.")


def _unpacked(source: Path, data: bytes, limit: int) -> bytes:
    """What is in a packed file, or the bytes as they are."""
    try:
        for _ in range(3):  # a .tar.gz is packed twice
            if (inner := _inner(data, limit)) is None:
                return data
            if len(data := inner) > limit:
                raise DataError(f"{source} unpacks to over {limit >> 20} MB. Expected a table.")
    except DataError:
        raise
    except Exception as error:  # damaged files raise anything, some of it by way of C
        raise DataError(
            f"{source} could not be read: its compression is damaged, or it is not one packed "
            f"table ({type(error).__name__}). Unpack it, or fetch it again."
        ) from error
    raise DataError(f"{source} could not be read: it is packed more than twice. Unpack it.")


def _inner(data: bytes, limit: int) -> bytes | None:
    """One layer less, at most `limit` + 1 bytes of it; None of what is not packed."""

    def read(stream: Any) -> bytes:
        with stream:
            return bytes(stream.read(limit + 1))

    for mark, unpack in PACKED:
        if data.startswith(mark):
            return read(unpack(BytesIO(data)))
    if data.startswith(b"PK\x03\x04"):
        with zipfile.ZipFile(BytesIO(data)) as archive:
            # An Excel workbook is a zip of many files.
            [name] = [n for n in archive.namelist() if n[-1] != "/" and "__MACOSX" not in n]
            return read(archive.open(name))
    if data[257:262] == b"ustar":
        with tarfile.open(fileobj=BytesIO(data), mode="r:") as tape:
            [member] = [member for member in tape if member.isfile()]
            return read(tape.extractfile(member))
    return None


def read_csv(
    source: Path, needed: Sequence[str], expected: str, also: Sequence[str] = ()
) -> pd.DataFrame:
    """Read columns of a CSV, each cell as text without blanks around it.

    Args:
        source: see `read_text`.
        needed: columns that it must have; one that is spelled otherwise in case, blanks,
            underscores and hyphens only is the column. Any other column of the file is left out.
        expected: a sentence on what was expected, for messages.
        also: columns that it may have.

    Returns:
        The columns that are there by the names asked for; the index is the line less two, for
        `refuse_rows`. Rows may end with commas that the header lacks.

    Raises:
        DataError: no CSV, a needed column is missing, or no rows.
    """
    try:
        text = read_text(source)
    except DataError as error:  # the message also says where the file comes from
        raise DataError(f"{error} {expected}".rstrip()) from error
    fault = f"{source} could not be read as a CSV table"
    if "\n" not in text[:MAX_HEADER] and "\r" not in text[:MAX_HEADER] and len(text) > MAX_HEADER:
        raise DataError(f"{fault}: its first line has over {MAX_HEADER:,} letters. {expected}")
    try:
        # Only universal newlines divide what an old Mac wrote.
        lines = csv.reader(StringIO(text[: 2 * MAX_HEADER], newline=None))
        header = next((cells for cells in lines if any(cells)), [])
        if not header:
            raise ValueError("it is empty")
        if len(header) > MAX_COLUMNS or max(map(text.count, "\r\n")) > MAX_ROWS:
            raise ValueError(f"over {MAX_COLUMNS:,} columns or {MAX_ROWS:,} rows")
        with warnings.catch_warnings(action="error"):  # it only warns of cells that it leaves out
            raw = pd.read_csv(
                StringIO(text),
                header=None,
                names=range(len(header) + TRAILING),
                skiprows=lines.line_num,
                index_col=False,
                dtype=object,
                keep_default_na=False,
                skip_blank_lines=False,
            )
    except (ValueError, csv.Error, Warning) as error:
        raise DataError(f"{fault}: {shown(error)}. {expected}") from error
    raw.index += lines.line_num - 1
    beyond = raw[raw.columns[len(header) :]] != ""
    if beyond.to_numpy().any():
        first = raw.index[beyond.any(axis=1)][0]
        raise DataError(f"{fault}: line {first + 2} has more cells than the header. {expected}")
    places = _places(source, header, (*needed, *also))
    missing = [name for name in needed if name not in places]
    if missing:
        header_cells = shown(", ".join(cell.strip() for cell in header[:6] if cell.strip()))
        raise DataError(
            f"{source} has no column {shown(', '.join(missing))}; found {header_cells}. {expected}"
        )
    table = raw[list(places.values())].apply(by_value, change=lambda cells: cells.str.strip())
    table.columns = pd.Index(places)
    if len(table) and (table.iloc[:, 0] == "").any():
        table = table[(raw != "").any(axis=1)]  # empty lines
    if table.empty:
        raise DataError(f"{source} has no rows. {expected}")
    return table


def _places(source: Path, header: Sequence[str], names: Sequence[str]) -> dict[str, int]:
    """Where the columns asked for stand, in the order asked for."""
    cells = [cell.strip() for cell in header]
    places = {}
    for name in dict.fromkeys(names):
        matches = [place for place, cell in enumerate(cells) if cell == name] or [
            place for place, cell in enumerate(cells) if cell and folded(cell) == folded(name)
        ]
        if len(matches) > 1:
            raise DataError(f"{source} has the column {shown(name)} twice. Expected it once.")
        if matches:
            places[name] = matches[0]
    return places


def refuse_rows(
    source: Path, names: pd.Series, problems: Mapping[str, pd.Series], expected: str
) -> None:
    """Refuse a table whose rows have a problem, naming the first of them.

    Args:
        source: the table.
        names: what to call each row; the index as `read_csv` gives it.
        problems: a predicate to True for the rows with it, of the same index or some of it.
        expected: a sentence on what was expected.

    Raises:
        DataError: any row has any of them.
    """
    for problem, rows in problems.items():
        if rows.any():
            line = rows.index[int(rows.to_numpy().argmax())]
            name = shown(names[line]) or "an image without a name"
            raise DataError(f"{source}, line {line + 2}: {name} {problem}. {expected}")


def patient_names(source: Path, names: pd.Series, cells: pd.Series) -> pd.Series:
    """The patient of each row as text: a whole number that was written as a float is that number.

    Args:
        source: the table.
        names: of the rows, for `refuse_rows`.
        cells: its column of patients. Numbers that a program wrote for none are empty.

    Raises:
        DataError: a spreadsheet has rounded a number (`9.0E+07`), so that patients are lost.
    """
    rounded = by_value(cells, lambda cells: cells.str.fullmatch(ROUNDED))
    problem = "has a patient number that a spreadsheet or a program has rounded"
    refuse_rows(source, names, {problem: rounded}, "Expected it in full, as text.")
    whole = by_value(cells, lambda cells: cells.str.replace(r"^(\d+)\.0*$", r"\1", regex=True))
    return whole.where(~whole.str.lower().isin(NO_PATIENT), "")


def years_of(cells: pd.Series) -> pd.Series:
    """Ages in years, NaN where impossible; also with units, as in `058Y`, `011M` and `003D`."""

    def years(ages: pd.Series) -> pd.Series:
        number = pd.to_numeric(ages.str.rstrip("YMDymd"), errors="coerce")
        age = number / ages.str[-1:].str.upper().map({"M": 12.0, "D": 365.25}).fillna(1.0)
        return age.where(age.between(0, 120))  # NIH's table has ages above 400

    return by_value(cells, years)


def by_value(cells: pd.Series, change: Callable[[pd.Series], pd.Series]) -> pd.Series:
    """What `change` makes of the cells; it sees each distinct one once."""
    places, distinct = pd.factorize(cells)
    return pd.Series(change(pd.Series(distinct)).to_numpy()[places], cells.index)


def listed(names: Iterable[str]) -> Iterable[str]:
    """The same names, a column's as a list: pandas walks through one ten times as slowly."""
    return names.tolist() if isinstance(names, pd.Series | pd.Index) else names


def is_among(names: Iterable[str], wanted: Collection[str]) -> np.ndarray:
    """Whether each name is among those wanted: boolean, one for each name.

    `Series.isin` makes an Arrow scalar of each wanted one: half a second for NIH's 112,120 names.
    """
    among = wanted if isinstance(wanted, Set | Mapping) else set(listed(wanted))
    return np.array([name in among for name in listed(names)], dtype=bool)


def column_of(raw: pd.DataFrame, name: str) -> pd.Series:
    """A column, or empty text where the table has none of that name."""
    return raw[name] if name in raw else pd.Series("", raw.index)


def read_toml(source: Path) -> dict[str, Any]:
    """Read a small TOML file that a user wrote.

    Raises:
        DataError: no regular file, over 1 MB, or no TOML.
    """
    try:
        return tomllib.loads(read_text(source, MAX_HEADER).removeprefix("\ufeff"))
    except (ValueError, RecursionError) as error:
        reason = "nested too deeply" if isinstance(error, RecursionError) else shown(error)
        raise DataError(f"{source} could not be read as TOML: {reason}.") from error
