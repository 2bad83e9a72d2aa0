"""What every row of dev.bench is made of: two sides measured in turn, and their ratio.

The rows themselves stand in <group>.py, one file a group, each with
`rows(setting) -> Iterator[Row | Skipped]`. No torch here: --help has to be quick.
"""

import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from dev.bench.setting import Setting


class Group(StrEnum):
    """Rows that are measured together."""

    READING = "reading"
    EVALUATION = "evaluation"
    EXPLAINING = "explaining"
    DEMO = "demo"


@dataclass(frozen=True)
class Row:
    """One measurement of speed.

    Attributes:
        work: what was done.
        unit: of the times, for example `ms an image`.
        ours, other: one value a repeat.
        beside: what the other side is.
        target: what is asked of ours or of the ratio.
    """

    work: str
    unit: str
    ours: list[float]
    other: list[float]
    beside: str
    target: str

    @property
    def ratio(self) -> float:
        """How many times longer the other takes (of the medians): above 1, ours is faster."""
        return statistics.median(self.other) / statistics.median(self.ours)

    @property
    def ratio_text(self) -> str:
        return f"{_times(self.ratio)} as fast"

    @property
    def ours_text(self) -> str:
        return f"{_spread(self.ours)} {self.unit}"

    @property
    def other_text(self) -> str:
        return f"{_spread(self.other)} {self.unit}"

    def as_dict(self) -> dict[str, Any]:
        return asdict(self) | {"ratio": self.ratio, "ratio_text": self.ratio_text}


@dataclass(frozen=True)
class CostRow(Row):
    """A measurement of what ours costs on top of the other: the smaller, the better."""

    @property
    def ratio(self) -> float:
        """How many times longer ours takes (of the medians)."""
        return statistics.median(self.ours) / statistics.median(self.other)

    @property
    def ratio_text(self) -> str:
        return f"{_times(self.ratio)} the time"


@dataclass(frozen=True)
class LimitRow(Row):
    """A measurement that has a limit and nothing beside it: the ratio is its share of the limit.

    Attributes:
        limit: in the row's unit.
    """

    limit: float = 1.0

    @property
    def ratio(self) -> float:
        return statistics.median(self.ours) / self.limit

    @property
    def ratio_text(self) -> str:
        return f"{100 * self.ratio:.0f} % of the limit"

    @property
    def other_text(self) -> str:
        return f"{_short(self.limit)} {self.unit}"


@dataclass(frozen=True)
class Skipped:
    """Rows that could not be measured here, and why."""

    work: str
    reason: str


def measure(setting: "Setting", groups: list[Group]) -> Iterator[Row | Skipped]:
    """Yield each row of the groups when it is measured."""
    for group in groups:
        try:
            yield from import_module(f"dev.bench.{group}").rows(setting)
        except ModuleNotFoundError as error:
            yield Skipped(group, f"{error}; pip install -r requirements.txt")


def in_turn(
    ours: Callable[[], object], other: Callable[[], object], repeats: int, scale: float = 1.0
) -> tuple[list[float], list[float]]:
    """Seconds of each call times `scale`, A B A B ..., after one of each that is not counted."""
    mine: list[float] = []
    theirs: list[float] = []
    for number in range(repeats + 1):
        for function, times in ((ours, mine), (other, theirs)):
            began = time.perf_counter()
            function()
            if number:
                times.append(scale * (time.perf_counter() - began))
    return mine, theirs


def table(rows: list[Row], skipped: list[Skipped]) -> str:
    """The rows in Markdown: medians, with minimum and maximum."""
    lines = ["| work | ours | beside | ratio | target |", "|---|---|---|---|---|"]
    for row in rows:
        lines.append(
            f"| {row.work} | {row.ours_text} | {row.beside}: {row.other_text} "
            f"| {row.ratio_text} | {row.target} |"
        )
    lines += [f"\nNot measured: {row.work} ({row.reason})." for row in skipped]
    return "\n".join(lines)


def _times(ratio: float) -> str:
    return f"{ratio:,.0f}x" if ratio >= 20 else f"{ratio:.2f}x"


def _spread(values: list[float]) -> str:
    return f"{_short(statistics.median(values))} ({_short(min(values))}-{_short(max(values))})"


def _short(value: float) -> str:
    return f"{value:,.0f}" if value >= 1000 else f"{value:.3g}"
