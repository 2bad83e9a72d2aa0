"""How many answered what, case by case, in each round, before and after they saw the network.

Counts and sums only: no name, no address, no time, nothing that tells two readers apart. They are
shown and written in steps of five readers: two states never differ by a single reader's answer.
"""

import csv
import io
import math
import re
import threading
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from chexnet.errors import ConfigError
from chexnet.files import write_text
from chexnet.labels import FINDINGS, NO_FINDING
from demo.classroom.cases import Case
from demo.classroom.reading import Reply, Round, Turn
from demo.classroom.severity import class_curves

FEWEST = 5
"""Answers from which a row appears, and after which it changes again."""
MOMENTS = (
    (Round.BEFORE, "before"),
    *((Round.WITH, w) for w in ("before", "after")),
    (Round.AFTER, "before"),
)
"""Rounds, and whether the network's answer to the case has been seen, in the order of a session."""
EVERY = 1.0
"""Seconds between two writings of the file, at least."""
HEADER = (
    *("case", "picture", "truth", "network", "when", "answers", "right", NO_FINDING, *FINDINGS),
    *("round", "right_before", "followed", "left"),
)


_Moment = tuple[str, Round, str]
"""Key of a case, round, and `before` or `after` the network."""


@dataclass
class Count:
    """Answers to one case at one moment.

    Attributes:
        answers: how many.
        right: how many of them named exactly what is there.
        right_before: how many of the same readers did before they saw the network.
        to_wrong: how many changed a right answer to a wrong one.
        named: finding to how many named it; `NO_FINDING` for "nothing".
    """

    answers: int = 0
    right: int = 0
    right_before: int = 0
    to_wrong: int = 0
    named: Counter[str] = field(default_factory=Counter)

    def add(self, reply: Reply, first: Reply, case: Case) -> None:
        """Count one more, and what the same reader said at first."""
        right, right_before = reply.right(case), first.right(case)
        self.answers += 1
        self.right += right
        self.right_before += right_before
        self.to_wrong += right_before and not right
        self.named.update(reply.findings or [NO_FINDING])

    def told(self, network_right: bool | None) -> dict[str, Any]:
        """As plain values; `network_right` is None where nobody has seen the network.

        Where it was wrong, `followed` of the `right_before` left their right answer. Where it was
        right, `left` of the others stayed wrong.
        """
        others = self.answers - self.right_before
        to_right = self.right - self.right_before + self.to_wrong
        return {
            "answers": self.answers,
            "right": self.right,
            "named": dict(self.named),
            "right_before": None if network_right is None else self.right_before,
            "followed": self.to_wrong if network_right is False else None,
            "left": others - to_right if network_right else None,
        }


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
        self._counts: dict[_Moment, Count] = {}
        self._told: dict[_Moment, dict[str, Any]] = {}  # at the last multiple of five
        self._finished = 0
        self._shares: dict[str, tuple[float, float]] = {}  # sum and sum of squares
        self._learning: list[dict[str, Any]] = []  # at the last multiple of five
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

    def add(self, turn: Turn) -> None:
        """Count the answer that a reader has just given."""
        case, first, reply = turn.case, turn.first, turn.last or turn.first
        if first is None or reply is None:
            return
        moment = (case.key, turn.round, "after" if turn.last else "before")
        network_right = case.network.named == set(case.truth.findings) if turn.last else None
        with self._lock:
            self._cases.setdefault(case.key, case)
            count = self._counts.setdefault(moment, Count())
            count.add(reply, first, case)
            if count.answers % FEWEST:
                return
            self._told[moment] = count.told(network_right)
        self._changed.set()

    def finish(self, turns: Sequence[Turn]) -> None:
        """Count a reader who is done: the share of cases that he had right at each moment."""
        right: dict[str, list[bool]] = {}
        for turn in turns:
            for when, reply in (("before", turn.first), ("after", turn.last)):
                if reply:
                    right.setdefault(f"{turn.round} {when}", []).append(reply.right(turn.case))
        shares = {name: sum(some) / len(some) for name, some in right.items()}
        if "after before" in shares:
            shares["change"] = shares["after before"] - shares["before before"]
        with self._lock:
            self._finished += 1
            for name, share in shares.items():
                total, squares = self._shares.get(name, (0.0, 0.0))
                self._shares[name] = (total + share, squares + share**2)
            if self._finished % FEWEST == 0:
                totals = self._shares.items()
                self._learning = [_mean(name, self._finished, *sums) for name, sums in totals]

    def learning(self) -> list[dict[str, Any]]:
        """Of the readers who are done: mean shares right, and the mean change, with intervals."""
        with self._lock:
            return list(self._learning)

    def severity(self) -> dict[str, list[dict[str, Any]]]:
        """The chance of naming a finding against its severity; see `class_curves`."""
        rows = self.rows()
        with self._lock:
            return class_curves(rows, self._cases)

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
        """Each case with its counts at each moment of five answers or more, as plain values."""
        with self._lock:
            return [
                {
                    "number": number,
                    "key": case.key,
                    "findings": [name for name in FINDINGS if name in case.truth.findings],
                    "network": [name for name in FINDINGS if name in case.network.named],
                    "told": [
                        {"round": str(round_), "when": when, **self._told[case.key, round_, when]}
                        for round_, when in MOMENTS
                        if (case.key, round_, when) in self._told
                    ],
                }
                for number, case in enumerate(self._cases.values(), 1)
            ]

    def csv(self) -> str:
        """The rows that may be told, as a table with a header."""
        out = io.StringIO()
        table = csv.writer(out, lineterminator="\n")
        table.writerow(HEADER)
        for row in self.rows():
            names = ["|".join(row[who]) or NO_FINDING for who in ("findings", "network")]
            for moment in row["told"]:
                named = [moment["named"].get(name, 0) for name in (NO_FINDING, *FINDINGS)]
                counts = (moment["when"], moment["answers"], moment["right"], *named)
                more = (moment[name] for name in HEADER[-4:])
                table.writerow((row["number"], row["key"], *names, *counts, *more))
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


def _mean(name: str, readers: int, total: float, squares: float) -> dict[str, Any]:
    """A mean over readers with Student's 95 % interval; none where all readers are equal."""
    from scipy.stats import t  # at the fifth reader, not at the page's start

    mean = total / readers
    spread = max(0.0, squares - total * mean) / (readers - 1)
    half = float(t.ppf(0.975, readers - 1)) * math.sqrt(spread / readers)
    least = -1.0 if name == "change" else 0.0
    bounds = (max(least, mean - half), min(1.0, mean + half)) if spread > 1e-12 else (None, None)
    return {"name": name, "readers": readers, "mean": mean, "low": bounds[0], "high": bounds[1]}


_TEMPORARY = re.compile(r"\..+\.\d+\.tmp")


def _remove_leftovers(path: Path) -> None:
    """Remove the temporary files that killed demos left beside `path` while they wrote results."""
    head = ",".join(HEADER).encode()
    with suppress(OSError):
        for entry in filter(lambda entry: _TEMPORARY.fullmatch(entry.name), path.parent.iterdir()):
            if entry.is_symlink() or not entry.is_file():
                continue
            with entry.open("rb") as file:
                start = file.read(len(head))
            # Another name's: by its header, and no write that is under way takes a minute.
            old = head.startswith(start) and time.time() - entry.stat().st_mtime > 60
            if old or entry.name.startswith(f".{path.name}."):
                entry.unlink()
