"""A lecturer's list of cases, `cases.csv`: read line by line, with every problem named at once.

Shapes: H W pixels of a picture.
"""

import csv
import io
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from chexnet.data.tables import shown
from chexnet.errors import DataError
from chexnet.labels import BOX_SPELLING, FINDINGS, NO_FINDING, spoken

LIST = "cases.csv"
COLUMNS = ("file", "findings", "boxes", "note", "source", "pair")
NEEDED = COLUMNS[:2]
MOST_CASES = 200
MOST_BYTES = 4 * 2**20
"""Of the list; 200 rows with long notes have a quarter of it."""
MOST_TEXT = 2000
"""Characters of a note or a source."""
MOST_BOXES = 50
"""Of a line: what two sets of boxes share takes time with the cube of their number."""

_NUMBER = r"(-?\d+(?:\.\d+)?)"
_BOX = re.compile(r"([^\[\];]*)\[\s*" + r"[\s,]+".join([_NUMBER] * 4) + r"\s*\]\s*;?\s*")
_NAMES = {name: name for name in FINDINGS} | {spoken(name): name for name in FINDINGS}
_NAMES |= BOX_SPELLING
_EXPECTED = f"one of {', '.join(FINDINGS)}, or {NO_FINDING}"


@dataclass(frozen=True)
class PixelBox:
    """A box as NIH gives it: its upper left corner and its size, in the picture's own pixels."""

    finding: str
    x: float
    y: float
    width: float
    height: float

    def inside(self, width: int, height: int) -> bool:
        """Whether it lies within a picture of this size and has an area."""
        fits = self.x + self.width <= width and self.y + self.height <= height
        return self.x >= 0 and self.y >= 0 and self.width > 0 and self.height > 0 and fits

    def __str__(self) -> str:
        """As NIH writes it."""
        return f"[{self.x:g}, {self.y:g}, {self.width:g}, {self.height:g}]"


@dataclass(frozen=True)
class Row:
    """One line of the list.

    Attributes:
        line: where it begins in the list, counted from 1.
        path: of the picture; it lies in the folder.
        findings: what is there; empty for "No Finding".
        boxes: of these findings.
        note: what the lecturer says of it.
        source: where it comes from.
        pair: a word that two lines share; empty for a case that is read with the network.
    """

    line: int
    path: Path
    findings: tuple[str, ...]
    boxes: tuple[PixelBox, ...]
    note: str
    source: str
    pair: str = ""


class Problems:
    """What is wrong with a list, line by line."""

    def __init__(self, path: Path) -> None:
        """For the list at `path`."""
        self._path = path
        self._found: list[tuple[int, str]] = []

    def add(self, line: int, text: str) -> None:
        """Note a problem of a line."""
        self._found.append((line, printable(text)))

    def check(self) -> None:
        """Go on only without any.

        Raises:
            DataError: there are some; all of them, in the order of the lines.
        """
        if not self._found:
            return
        many = f"{len(self._found)} problems" if len(self._found) > 1 else "a problem"
        lines = "".join(f"\n  line {line}: {text}" for line, text in sorted(self._found))
        raise DataError(f"{printable(self._path)} has {many}; no case was loaded.{lines}")


def printable(text: object) -> str:
    """A name or a cell as a terminal can show it: a byte that is not UTF-8 as \\udcff."""
    return "".join(c if c.isprintable() else repr(c)[1:-1] for c in str(text))


def read_list(folder: Path, problems: Problems) -> list[Row]:
    """Read the list of a folder; problems of single lines are added to `problems`.

    Raises:
        DataError: there is no list, or it cannot be read as one at all.
    """
    cells, names = _table(folder)
    rows: list[Row] = []
    first_of: dict[Path, int] = {}
    count = 0
    for line, values in cells:
        if not any(value.strip() for value in values):
            continue
        count += 1
        if count > MOST_CASES:
            problems.add(line, f"is case {count}; expected at most {MOST_CASES}.")
            break
        if len(values) != len(names):
            problems.add(
                line,
                f"found {len(values)} cells, expected {len(names)}. A cell that holds the "
                'separator has to stand in quotes: "Mass [10, 20, 30, 40]".',
            )
            continue
        row = _row(folder, line, dict(zip(names, map(str.strip, values), strict=True)), problems)
        if row is None:
            continue
        if row.path in first_of:
            problems.add(line, f"names the same picture as line {first_of[row.path]}.")
        first_of.setdefault(row.path, line)
        rows.append(row)
    if not count:
        raise DataError(
            f"{printable(folder / LIST)} holds no case. Expected one a line below the header."
        )
    return rows


def _table(folder: Path) -> tuple[Iterator[tuple[int, list[str]]], list[str]]:
    """The list's lines with their numbers, and the names of its columns."""
    path = printable(folder / LIST)
    if not folder.is_dir():
        raise DataError(f"Found no folder {printable(folder)}. Pass the folder that holds {LIST}.")
    if not (folder / LIST).exists():
        raise DataError(f"Found no {LIST} in {printable(folder)}. Expected {', '.join(COLUMNS)}.")
    try:
        real = _inside(folder, LIST)
        size = real.stat().st_size
        if size > MOST_BYTES:
            raise DataError(f"has {size:,} bytes, expected at most {MOST_BYTES:,}.")
        data = real.read_bytes()
    except DataError as error:
        raise DataError(f"{path}: {error}") from None
    except OSError as error:
        raise DataError(f"{path} cannot be read: {error.strerror}.") from error
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise DataError(f"{path} is no UTF-8 text. Save it as CSV UTF-8.") from None
    header = text.partition("\n")[0]
    # Spreadsheets of half of Europe write semicolons.
    separator = ";" if ";" in header and "," not in header else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)

    def lines() -> Iterator[tuple[int, list[str]]]:
        start = reader.line_num + 1
        try:
            for values in reader:
                yield start, values
                start = reader.line_num + 1
        except csv.Error as error:
            raise DataError(f"{path}, line {start}: {error}. Nothing was loaded.") from error

    rows = lines()
    names = [name.strip().lower() for name in next(rows, (1, []))[1]]
    missing = [name for name in NEEDED if name not in names]
    unknown = [name for name in names if name not in COLUMNS]
    if missing or unknown or len(set(names)) != len(names):
        raise DataError(
            f"{path}, line 1: found the columns {shown(', '.join(names)) or 'none'}; expected "
            f"{', '.join(NEEDED)}, and if wanted {', '.join(COLUMNS[2:])}, each once."
        )
    return rows, names


def _row(folder: Path, line: int, cells: dict[str, str], problems: Problems) -> Row | None:
    """One line; None where something is wrong with it, which is noted."""
    wrong = []
    path = None
    try:
        path = _inside(folder, cells["file"])
    except DataError as error:
        wrong.append(str(error))
    findings: tuple[str, ...] = ()
    boxes: tuple[PixelBox, ...] = ()
    try:
        findings = _findings(cells["findings"])
        boxes = _boxes(cells.get("boxes", ""), findings)
    except DataError as error:
        wrong.append(str(error))
    note, source, pair = (cells.get(name, "") for name in COLUMNS[3:])
    for name, text in (("note", note), ("source", source), ("pair", pair)):
        if len(text) > MOST_TEXT:
            wrong.append(f"the {name} has {len(text)} characters, expected at most {MOST_TEXT}.")
    for text in wrong:
        problems.add(line, text)
    return None if wrong or path is None else Row(line, path, findings, boxes, note, source, pair)


def _inside(folder: Path, name: str) -> Path:
    """The real path of a picture, which has to lie in the folder.

    Raises:
        DataError: it does not, or is not there.
    """
    if not name:
        raise DataError("names no file.")
    if "\0" in name:
        raise DataError("the name of the file holds a null character.")
    root = folder.resolve()
    try:
        real = (root / name).resolve()
        if Path(name).is_absolute() or root not in real.parents:
            raise DataError(f"{shown(name)} leads out of the folder. Copy the file into it.")
        if real.is_file():  # no pipe and no device: these would be waited for without end
            return real
        there = real.exists()
    except (OSError, RuntimeError, ValueError):
        there = False
    raise DataError(f"{shown(name)} is {'no regular file' if there else 'not in the folder'}.")


def _findings(cell: str) -> tuple[str, ...]:
    """The findings of a cell, as NIH writes them: `Effusion|Mass`, or `No Finding`."""
    names = [name.strip() for name in cell.split("|")]
    if names == [""]:
        raise DataError(f"names no finding. Write {NO_FINDING} where nothing is there.")
    if names == [NO_FINDING]:
        return ()
    if NO_FINDING in names:
        raise DataError(f"names {NO_FINDING} beside a finding.")
    return tuple(dict.fromkeys(map(_finding, names)))


def _finding(name: str) -> str:
    if name not in _NAMES:
        raise DataError(f"found the finding {shown(name)!r}, expected {_EXPECTED}.")
    return _NAMES[name]


def _boxes(cell: str, findings: tuple[str, ...]) -> tuple[PixelBox, ...]:
    """The boxes of a cell: `Mass [x, y, w, h]; Mass [x, y, w, h]`.

    The finding may be left out where the line has one only.
    """
    boxes: list[PixelBox] = []
    at = 0
    while at < len(cell):
        if len(boxes) >= MOST_BOXES:
            raise DataError(f"has more than {MOST_BOXES} boxes, the most that are taken.")
        match = _BOX.match(cell, at)
        if not match:
            raise DataError(
                f"found the boxes {shown(cell)!r}, expected each as: Mass [x, y, w, h], with "
                "semicolons between them."
            )
        at = match.end()
        name = match[1].strip(" ,")
        if not name and len(findings) != 1:
            raise DataError(
                f"a box of {shown(cell)!r} names no finding, expected: Mass [x, y, w, h]."
            )
        finding = _finding(name) if name else findings[0]
        if finding not in findings:
            raise DataError(f"has a box of {finding}, which is not among its findings.")
        boxes.append(PixelBox(finding, *map(float, match.groups()[1:])))
    return tuple(boxes)
