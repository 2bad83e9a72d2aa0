"""How many answered what, case by case, before and after they saw the network.

Counts only: no name, no address, no time, nothing that tells two readers apart. A case is shown
and written in steps of five answers: two states never differ by a single reader's answer.
"""

import csv
import io
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chexnet.errors import ConfigError
from chexnet.files import write_text
from chexnet.labels import FINDINGS, NO_FINDING
from demo.classroom.cases import Case
from demo.classroom.reading import Reply

FEWEST = 5
"""Answers from which a row appears, and after which it changes again."""
MOMENTS = ("before", "after")
EVERY = 1.0
"""Seconds between two writings of the file, at least."""
HEADER = ("case", "picture", "truth", "network", "when", "answers", "right", NO_FINDING, *FINDINGS)


@dataclass
class Count:
    """Answers to one case at one moment.

    Attributes:
        answers: how many.
        right: how many of them named exactly what is there.
        named: finding to how many named it; `NO_FINDING` for "nothing".
    """

    answers: int = 0
    right: int = 0
    named: Counter[str] = field(default_factory=Counter)

    def add(self, reply: Reply, case: Case) -> None:
        """Count one more."""
        self.answers += 1
        self.right += reply.right(case)
        self.named.update(reply.findings or [NO_FINDING])


class ClassResults:
    """The counts of a running demo, in memory; also in a file where somebody asked for one."""

    def __init__(self, path: Path | None = None) -> None:
        """Begin without an answer.

        Args:
            path: the counts are also written to this CSV file; it must not be there yet.

        Raises:
            ConfigError: the file is there already: a lesson's results are not overwritten.
            ChexnetError: it cannot be written.
        """
        self.path, self.problem = path, ""
        self._counts: dict[tuple[str, str], Count] = {}
        self._told: dict[tuple[str, str], dict[str, Any]] = {}  # at the last multiple of five
        self._cases: dict[str, Case] = {}
        self._lock = threading.Lock()
        self._changed, self._ended = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        if path is not None:
            if path.exists() or path.is_symlink():
                raise ConfigError(
                    f"Found {path} already, expected a new file: --class-results overwrites "
                    "nothing. Pass another name."
                )
            _remove_leftovers(path)
            write_text(path, self.csv())
            self._thread = threading.Thread(target=self._work, name="results", daemon=True)
            self._thread.start()

    def add(self, case: Case, moment: str, reply: Reply) -> None:
        """Count an answer `before` or `after`."""
        with self._lock:
            self._cases.setdefault(case.key, case)
            count = self._counts.setdefault((case.key, moment), Count())
            count.add(reply, case)
            if count.answers % FEWEST:
                return
            told = {"answers": count.answers, "right": count.right, "named": dict(count.named)}
            self._told[case.key, moment] = told
        self._changed.set()

    def expect(self, cases: Iterable[Case]) -> None:
        """Name the cases that the class reads, in their order."""
        with self._lock:
            for case in cases:
                self._cases.setdefault(case.key, case)

    def case(self, number: int) -> Case | None:
        """The case of a row."""
        with self._lock:
            return dict(enumerate(self._cases.values(), 1)).get(number)

    def rows(self) -> list[dict[str, Any]]:
        """Each case with its counts, as plain values; None for one of fewer than five answers."""
        with self._lock:
            return [
                {
                    "number": number,
                    "key": case.key,
                    "findings": [name for name in FINDINGS if name in case.truth.findings],
                    "network": [name for name in FINDINGS if name in case.network.named],
                    **{moment: self._told.get((case.key, moment)) for moment in MOMENTS},
                }
                for number, case in enumerate(self._cases.values(), 1)
            ]

    def csv(self) -> str:
        """The rows that may be told, as a table with a header."""
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(HEADER)
        for row in self.rows():
            for moment in MOMENTS:
                if (told := row[moment]) is None:
                    continue
                names = ["|".join(row[who]) or NO_FINDING for who in ("findings", "network")]
                counted = [told["named"].get(name, 0) for name in (NO_FINDING, *FINDINGS)]
                head = (row["number"], row["key"], *names, moment, told["answers"], told["right"])
                table.writerow((*head, *counted))
        return out.getvalue()

    def close(self) -> None:
        """Write what was not written yet."""
        if self._thread:
            self._ended.set()
            self._changed.set()
            self._thread.join()

    def _work(self) -> None:
        """Write the file when something has changed; a class commits many answers at once."""
        assert self.path is not None
        ended = False
        while not ended:
            self._changed.wait()
            self._changed.clear()
            ended = self._ended.is_set()
            try:
                write_text(self.path, self.csv())
                self.problem = ""
            except Exception as error:  # a full disk, or anything else: the lesson goes on
                self.problem = f"The class's results are not written. {error}"
            self._ended.wait(EVERY)


_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed demos left beside `path` while they wrote results."""
    head = ",".join(HEADER).encode()
    with suppress(OSError):
        for one in filter(lambda one: _TEMPORARY.fullmatch(one.name), path.parent.iterdir()):
            if one.is_symlink() or not one.is_file():
                continue
            with one.open("rb") as file:
                start = file.read(len(head))
            # Another name's: by its header, and no write that is under way takes a minute.
            old = head.startswith(start) and time.time() - one.stat().st_mtime > 60
            if old or one.name.startswith(f".{path.name}."):
                one.unlink()
