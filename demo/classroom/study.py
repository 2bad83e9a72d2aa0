"""A reader study: arms by chance, consent, and one row of a CSV for each answer.

Nothing of the page is in here. The study is a TOML file, and its answers lie beside it under the
same name with `.csv`, in the columns of `chexnet.evaluation.readers`. The file holds a hash of a
reader's pseudonym: only the browser that made the pseudonym can add to its rows or delete them.
"""

import csv
import glob
import io
import json
import re
import secrets
import threading
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chexnet.data.tables import read_text, read_toml, shown
from chexnet.errors import ConfigError, DataError
from chexnet.files import write_text, writing
from chexnet.labels import FINDINGS, NO_FINDING
from demo.classroom.cases import Case
from demo.classroom.reading import Reply

ORDERS = ("first", "second", "none")
"""When an arm's readers see the network: before they answer, after their own answer, or never."""
MOST_ARMS, MOST_WEIGHT = 8, 20
MOST_NAME, MOST_CONSENT = 60, 20_000
"""Characters."""
MOST_READERS, MOST_ANSWERS = 2_000, 20_000
"""Of a study; the file, which is written anew with each answer, then has 3 MB."""
FULL = "The study has all the readers and answers that it takes. Thank you."
_PSEUDONYM = re.compile(r"[A-Za-z0-9_-]{22,64}")  # 22 letters of base64 are 128 bits
_DEFAULTS: dict[str, Any] = {"heat": True, "weight": 1}

Key = tuple[str, str, str, str]
"""Reader, case, round and moment: what has one answer."""


@dataclass(frozen=True)
class Arm:
    """What some of the readers are shown.

    Attributes:
        name: as it stands in the CSV.
        network: one of `ORDERS`.
        heat: whether the network's heatmap is shown with its answer.
        weight: readers of a block that get this arm.
    """

    name: str
    network: str
    heat: bool
    weight: int


class Study:
    """A study that is running; safe in threads, and one process at a time has it."""

    def __init__(self, path: Path) -> None:
        """Open the study of a TOML file, with the answers that are there already.

        Raises:
            ConfigError: another demo runs this study.
            DataError: a file is not what it should be.
            ChexnetError: the answers cannot be written.
        """
        from chexnet.evaluation.readers import COLUMNS  # SciPy: not at the page's start

        self.name, self.consent, self.arms = _read_study(path)
        self.path = path.with_suffix(".csv")
        self._header = ",".join(COLUMNS) + "\n"
        self._lock = threading.Lock()
        place = self.path.with_name(f".{self.path.name}.lock")
        self._only = FileLock(place, timeout=0, thread_local=False)
        with writing(place):
            try:
                self._only.acquire()
            except Timeout as error:
                raise ConfigError(f"Another demo runs the study {path}. Stop it first.") from error
        try:
            # A killed demo's: they may hold what a reader had deleted since.
            for leftover in self.path.parent.glob(f".{glob.escape(self.path.name)}.*.tmp"):
                leftover.unlink(missing_ok=True)
            self._rows = self._read() if self.path.exists() else {}
            arms = {arm.name: arm for arm in self.arms}
            self._arms = {key[0]: arms[row[2]] for key, row in self._rows.items()}
            self._write(self._rows)
        except BaseException:
            self.close()
            raise

    def arm_of(self, pseudonym: object) -> Arm:
        """A reader's arm, by chance when first asked for.

        Of each block of as many readers as the weights add up to, every arm gets its weight.

        Raises:
            ConfigError: no pseudonym, or the study is full.
        """
        reader = _reader(pseudonym)
        with self._lock:
            if reader not in self._arms:
                if len(self._arms) >= MOST_READERS:
                    raise ConfigError(FULL)
                have = Counter(self._arms.values())
                blocks = len(self._arms) // sum(arm.weight for arm in self.arms) + 1
                left = [max(blocks * arm.weight - have[arm], 0) for arm in self.arms]
                self._arms[reader] = secrets.SystemRandom().choices(self.arms, left)[0]
            return self._arms[reader]

    def add(
        self, pseudonym: object, case: Case, reply: Reply, turn: str, when: str, seconds: float
    ) -> bool:
        """Write an answer; it is on the disk when this returns.

        Args:
            pseudonym: the reader's.
            case: what was read.
            reply: the answer.
            turn: the round, `before`, `with` or `after`.
            when: `before` or `after` this reader saw the network's answer to the case.
            seconds: that the reader took.

        Returns:
            False where this reader has answered the case already, whose first answer stays.

        Raises:
            ConfigError: see `arm_of`.
            ChexnetError: it cannot be written; the file is as it was.
        """
        arm, reader = self.arm_of(pseudonym), _reader(pseudonym)
        sets = (reply.findings, case.truth.findings, case.network.named)
        named = ["|".join(name for name in FINDINGS if name in set_) or NO_FINDING for set_ in sets]
        boxes = json.dumps(dict(reply.boxes)) if reply.boxes else ""
        row = [reader, case.key, arm.name, turn, when, *named, reply.sure, boxes, f"{seconds:.1f}"]
        key = (reader, case.key, turn, when)
        with self._lock:
            if key in self._rows:
                return False
            if len(self._rows) >= MOST_ANSWERS:
                raise ConfigError(FULL)
            self._write(self._rows | {key: list(map(str, row))})
        return True

    def forget(self, pseudonym: object) -> int:
        """Delete all answers of a reader.

        Returns:
            How many there were.

        Raises:
            ConfigError: no pseudonym.
            ChexnetError: the file cannot be written; nothing is deleted.
        """
        reader = _reader(pseudonym)
        with self._lock:
            before = len(self._rows)
            self._write({key: row for key, row in self._rows.items() if key[0] != reader})
            self._arms.pop(reader, None)
            return before - len(self._rows)

    def close(self) -> None:
        """Let another process have the study."""
        self._only.release()

    def _write(self, rows: dict[Key, list[str]]) -> None:
        """The whole file takes the old one's place, so that a kill leaves one of them."""
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerows(rows.values())
        write_text(self.path, self._header + text.getvalue())
        self._rows = rows

    def _read(self) -> dict[Key, list[str]]:
        header, _, body = read_text(self.path).partition("\n")
        rows = list(csv.reader(io.StringIO(body, newline="")))
        names = [arm.name for arm in self.arms]
        if header + "\n" != self._header or any(len(row) != header.count(",") + 1 for row in rows):
            raise DataError(
                f"{self.path} is no file of a study's answers. Expected the columns "
                f"{self._header.strip()}; move it away."
            )
        for row in rows:
            if row[2] not in names:
                raise DataError(
                    f"{self.path} holds answers of the arm {shown(row[2])}, expected one of "
                    f"{', '.join(names)}. Name the arms as they were, or move the file away."
                )
        return {(row[0], row[1], row[3], row[4]): row for row in rows}


def _reader(pseudonym: object) -> str:
    """What stands in the CSV for a pseudonym, 96 bits that lead to it for nobody."""
    if not isinstance(pseudonym, str) or not _PSEUDONYM.fullmatch(pseudonym):
        raise ConfigError("Expected a pseudonym of 22 to 64 letters, digits, - and _.")
    return blake2b(pseudonym.encode(), digest_size=12).hexdigest()


def _read_study(path: Path) -> tuple[str, str, tuple[Arm, ...]]:
    """Name, consent text and arms of a study's TOML.

    Raises:
        DataError: a part is missing, unknown or not what it should be.
    """

    def refuse(value: object, expected: str) -> DataError:
        return DataError(f"{path}: found {shown(value)}, expected {expected}.")

    def is_text(value: Any, most: int) -> bool:
        return isinstance(value, str) and 0 < len(value.strip()) and len(value) <= most

    if path.suffix != ".toml":  # the answers' file has the same name with another ending
        raise refuse(path.name, "a name that ends with .toml")
    content = read_toml(path)
    if set(content) != {"name", "consent", "arms"}:
        raise refuse(", ".join(content) or "nothing", "name, consent and [[arms]]")
    for part, most in (("name", MOST_NAME), ("consent", MOST_CONSENT)):
        if not is_text(content[part], most):
            raise refuse(f"{part} = {content[part]!r}", f"text of at most {most} characters")
    given = content["arms"]
    if not isinstance(given, list) or not 1 <= len(given) <= MOST_ARMS:
        raise refuse("arms of another kind or number", f"1 to {MOST_ARMS} of [[arms]]")
    arms: list[Arm] = []
    for values in given:
        if not isinstance(values, dict) or set(_DEFAULTS | values) != {*Arm.__annotations__}:
            raise refuse(values, "an arm with name and network, and if wanted heat and weight")
        arm = Arm(**(_DEFAULTS | values))
        if not is_text(arm.name, MOST_NAME) or arm.name in [other.name for other in arms]:
            raise refuse(f"name = {arm.name!r}", f"another name of at most {MOST_NAME} characters")
        if arm.network not in ORDERS:
            raise refuse(f"network = {arm.network!r}", f"one of {', '.join(ORDERS)}")
        if not isinstance(arm.heat, bool):
            raise refuse(f"heat = {arm.heat!r}", "true or false")
        if type(arm.weight) is not int or not 1 <= arm.weight <= MOST_WEIGHT:
            raise refuse(f"weight = {arm.weight!r}", f"a whole number from 1 to {MOST_WEIGHT}")
        arms.append(arm)
    return content["name"], content["consent"], tuple(arms)
