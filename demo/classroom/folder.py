"""Cases of a lecturer's own: a folder with pictures and a list."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from chexnet.errors import ImageError
from chexnet.inference.prediction import ModelInput
from chexnet.inference.predictor import Predictor
from chexnet.overlay import MAX_SIDE
from demo import security
from demo.classroom.case_list import LIST, Problems, Row, printable, read_list
from demo.classroom.cases import Case, Session, Truth, Words, make_case
from demo.classroom.draw import Box

BATCH = 8
MOST_BYTES = 4 * security.MAX_PIXELS
"""Of a picture: the largest that is taken, with 32 bits a pixel and nothing compressed."""

Progress = Callable[[str, int, int], None]
"""Called with what is done, how many of it are done, and how many there are."""


@dataclass(frozen=True)
class Checked:
    """A line whose picture was read.

    Attributes:
        row: the line.
        pixels: uint8, at most 768 pixels a side, as the page shows it.
        input: for the network; the radiograph in it is that small one too.
        boxes: finding to its boxes in shares of the picture.
    """

    row: Row
    pixels: np.ndarray = field(repr=False)
    input: ModelInput = field(repr=False)
    boxes: dict[str, tuple[Box, ...]]


def check_folder(
    folder: Path, predictor: Predictor, on_progress: Progress = lambda *_: None
) -> list[Checked]:
    """Read a folder's list and all its pictures.

    Raises:
        DataError: something is wrong with it; every line with a problem is named.
    """
    problems = Problems(folder / LIST)
    rows = read_list(folder, problems)
    checked: list[Checked] = []
    line_of: dict[bytes, int] = {}
    for number, row in enumerate(rows):
        on_progress("pictures read", number, len(rows))
        case = _check(row, predictor, problems, line_of)
        if case:
            checked.append(case)
    on_progress("pictures read", len(rows), len(rows))
    _check_pairs(rows, problems)
    problems.check()
    return checked


def _check_pairs(rows: list[Row], problems: Problems) -> None:
    lines: dict[str, list[int]] = {}
    for row in rows:
        lines.setdefault(row.pair, []).append(row.line)
    alone = lines.pop("", None)
    for some in lines.values():
        if len(some) != 2:
            problems.add(some[0], f"its pair has {len(some)} lines, expected two.")
    if lines and not alone:
        problems.add(
            rows[0].line, "all lines are of pairs; expected others, to read with the network."
        )


def _check(
    row: Row, predictor: Predictor, problems: Problems, line_of: dict[bytes, int]
) -> Checked | None:
    try:
        if (size := row.path.stat().st_size) > MOST_BYTES:  # looked at first: it is read whole
            raise ImageError(
                f"{row.path.name} has {size:,} bytes, expected at most {MOST_BYTES:,}."
            )
        read = predictor.read(row.path, max_pixels=security.MAX_PIXELS)
    except ImageError as error:
        problems.add(row.line, str(error))
        return None
    whole = read.radiograph.pixels
    height, width = whole.shape
    digest = hashlib.sha256(repr(whole.shape).encode() + whole.tobytes()).digest()
    first = line_of.setdefault(digest, row.line)
    good = True
    # The same file twice was noted by the list.
    if first != row.line:
        problems.add(row.line, f"{row.path.name} is the same picture as that of line {first}.")
        good = False
    if not read.verdict.fine:
        problems.add(
            row.line,
            f"{row.path.name} is no upright frontal chest radiograph: it seems to be "
            f"{read.verdict.kind}. {read.verdict.message}",
        )
        good = False
    for box in row.boxes:
        if not box.inside(width, height):
            problems.add(
                row.line,
                f"the box {box} of {box.finding} does not lie inside {row.path.name}, which has "
                f"{width} x {height} pixels; expected x, y, width and height in these pixels.",
            )
            good = False
    if not good:
        return None
    boxes: dict[str, tuple[Box, ...]] = {}
    for box in row.boxes:
        shares = (
            box.x / width,
            box.y / height,
            (box.x + box.width) / width,
            (box.y + box.height) / height,
        )
        boxes[box.finding] = (*boxes.get(box.finding, ()), shares)
    small = read.radiograph.reduced(MAX_SIDE)
    return Checked(row, small.as_uint8(), replace(read, radiograph=small), boxes)


class FolderCases:
    """The cases of a folder: all of them, in the order of the list, for every reader."""

    def __init__(
        self,
        folder: Path,
        predictor: Predictor,
        on_progress: Progress = lambda *_: None,
        alone: bool = True,
    ) -> None:
        """Read all pictures, then ask the network for all answers: nothing is half-loaded.

        With `alone` the list's pairs are read without the network, before and after the others.

        Raises:
            DataError: see `check_folder`.
        """
        checked = check_folder(folder, predictor, on_progress)
        cases: list[Case] = []
        pairs: dict[str, list[Case]] = {}
        for start in range(0, len(checked), BATCH):
            batch = checked[start : start + BATCH]
            answers = predictor.predict([case.input for case in batch])
            for case, answer in zip(batch, answers, strict=True):
                truth = Truth(
                    dict.fromkeys(case.row.findings), case.boxes, case.row.note, case.row.source
                )
                key = f"line {case.row.line}: {printable(case.row.path.name)}"
                into = pairs.setdefault(case.row.pair, []) if alone and case.row.pair else cases
                into.append(make_case(key, case.pixels, truth, answer, predictor))
            on_progress("answers of the network", start + len(batch), len(checked))
        matched = tuple((first, second) for first, second in pairs.values())
        self._session = Session(tuple(cases), matched, ordered=True)
        count = len(checked)
        self.words = Words(
            title=f"Read {count} chest pictures yourself" if count > 1 else "Read a chest picture",
            about="Your lecturer chose the pictures and says what is on them.",
            more=False,
            alone=len(matched),
        )

    def start(self) -> None:
        """Nothing is left to prepare."""

    def progress(self) -> tuple[int, int]:
        """All are ready."""
        return len(self._session.all), len(self._session.all)

    def first(self) -> Session:
        """All cases."""
        return self._session

    def another(self, seen: frozenset[str]) -> None:
        """There are no others."""

    def close(self) -> None:
        """Nothing is to be ended."""
