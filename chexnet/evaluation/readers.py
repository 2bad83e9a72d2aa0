"""What a reader study says: how well people read alone, with a network and after it.

The study's CSV has one row an answer, and these columns:

| column | holds |
|---|---|
| `reader` | pseudonym; a reader stands in one arm |
| `case` | name of the picture |
| `arm` | name of the arm |
| `round` | `before`, `with` or `after` the cases that are read with the network |
| `when` | `before` or `after` this reader saw the network's answer to this case |
| `answer`, `truth`, `network` | findings joined by `|`, or `No Finding` |
| `confidence` | how sure the reader is, a number from 0; the greater the surer |
| `boxes`, `seconds` | where the reader saw what, as JSON, and the time taken; not needed here |

Every finding of every case is one question. Sensitivity is the share of findings that are there and
were named, specificity that of findings that are not there and were not named. The AUROC is of
ratings, from surely not to surely there: the answer's confidence, negative where the finding was
not named. Ratings of two readers are never compared; every pair counts alike.

Readers and cases are both drawn by chance. The variance is the one-shot estimate of Gallas (Acad.
Radiol. 13, 2006), unbiased for any design in which some readers read some cases (Gallas and Brown,
Neural Netw. 21, 2008), with all questions of a case as one cluster. As in Hillis' form of
Obuchowski and Rockette's test (Stat. Med. 26, 2007) it is at least the readers' part of it, and at
least what it is where all answers are independent. The t quantile has the degrees of freedom of
Obuchowski, Gallas and Hillis (Acad. Radiol. 19, 2012), at least those of readers or cases,
whichever are fewer. docs/teaching.md has the measured coverage.

Shapes: R readers, C cases, F findings, L distinct ratings.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import combinations, combinations_with_replacement, product
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.tables import read_csv, refuse_rows
from chexnet.errors import DataError
from chexnet.evaluation.clustered import holm
from chexnet.evaluation.intervals import MIN_PATIENTS, NO_INTERVAL, Interval, interval_of
from chexnet.evaluation.metrics import nan_where_zero
from chexnet.labels import FINDINGS, NO_FINDING

ROUNDS = ("before", "with", "after")
MOMENTS = ("before", "after")
_SETS = ("answer", "truth", "network")
COLUMNS = ("reader", "case", "arm", "round", "when", *_SETS, "confidence", "boxes", "seconds")
ACCURACY = ("sensitivity", "specificity", "auroc")
"""Figures that are compared; the others are shares of answers that went with or against the
network."""
_EXPECTED = f"Expected the CSV of a reader study: {', '.join(COLUMNS)}."
_NOTHING = 1e-12
"""A variance under this is the rounding's: all answers are alike."""


@dataclass(frozen=True)
class Estimate:
    """A figure of a group of answers.

    Attributes:
        value: in [0, 1]; NaN where nothing was asked.
        interval: 95 %, over readers and cases; `n/a` under five of either.
        readers: who were asked.
        cases: that were asked about; of an AUROC, with or without a finding, the fewer.
        asked: questions or, of an AUROC, pairs of them.
    """

    value: float
    interval: Interval
    readers: int
    cases: int
    asked: int


Key = tuple[str, str, str]
"""Arm, round and moment of some answers."""


@dataclass(frozen=True)
class Group:
    """The answers of an arm in a round, before or after its readers saw the network's.

    Attributes:
        figures: `sensitivity`, `specificity`, `auroc`; `followed_wrong`, the share of answers like
            the network's where it is wrong, and `left_right`, the share unlike it where it is
            right (before it was seen, both are what chance does); `gave_up_right`, the share of
            readers' own right answers that became wrong.
    """

    arm: str
    round: str
    when: str
    figures: dict[str, Estimate]


@dataclass(frozen=True)
class ReaderDifference:
    """A figure of one group less that of another.

    Attributes:
        value: in [-1, 1].
        interval: 95 %, over readers and cases.
        p: two-sided; NaN where there is no interval.
        holm: p corrected for every difference of the study (Holm); None where there is no p.
    """

    value: float
    interval: Interval
    p: float
    holm: float | None = field(default=None, metadata={"json": "p_holm"})


@dataclass(frozen=True)
class Comparison:
    """Two groups that differ in one thing.

    Attributes:
        by: `arm`, `round` or `network` (before and after it was seen).
        first: one of them.
        second: the one that is taken off.
        figures: those of `ACCURACY`.
    """

    by: str
    first: Key
    second: Key
    figures: dict[str, ReaderDifference]


@dataclass(frozen=True)
class ReaderStudy:
    """All figures of a study; see `Group` and `Comparison`."""

    answers: int
    readers: int
    cases: int
    findings: Sequence[str]
    groups: list[Group]
    differences: list[Comparison]


def read_answers(source: Path) -> pd.DataFrame:
    """Read a study's CSV.

    Returns:
        The columns of the module's table but the last two: sets of findings as frozensets, the
        confidence as float, all else as text.

    Raises:
        DataError: a row is not what it should be, stands twice, or contradicts another.
    """
    table = read_csv(source, COLUMNS[:9], _EXPECTED)
    known = {name: frozenset([name]) for name in FINDINGS} | {NO_FINDING: frozenset[str]()}
    sets = {
        column: table[column].map(lambda cell: [known.get(name) for name in cell.split("|")])
        for column in _SETS
    }
    sure = pd.to_numeric(table["confidence"], errors="coerce")
    problems = {f"has no {column}": table[column] == "" for column in ("reader", "case", "arm")}
    for column, allowed in (("round", ROUNDS), ("when", MOMENTS)):
        wrong = ~table[column].isin(allowed)
        problems[f"has a {column} that is none of {', '.join(allowed)}"] = wrong
    for column, given in sets.items():
        wrong = given.map(lambda names: None in names or (len(names) > 1 and not all(names)))
        problems[f"has an unknown finding in {column}, or {NO_FINDING} beside one"] = wrong
    problems["has a confidence that is no number from 0"] = ~((sure >= 0) & np.isfinite(sure))
    problems["was answered twice"] = table.duplicated(["reader", "case", "round", "when"])
    for column, of in (("arm", "reader"), ("truth", "case"), ("network", "case")):
        wrong = table[column] != table.groupby(of)[column].transform("first")
        problems[f"has another {column} than an earlier row of the {of}"] = wrong
    refuse_rows(source, table["case"], problems, _EXPECTED)
    joined = {
        column: given.map(lambda names: frozenset().union(*names)) for column, given in sets.items()
    }
    return table.assign(confidence=sure, **joined)


def score_readers(answers: pd.DataFrame, findings: Sequence[str] = FINDINGS) -> ReaderStudy:
    """Score a study.

    Args:
        answers: see `read_answers`.
        findings: the questions of each case; the others count for nothing.

    Raises:
        DataError: a finding that NIH does not name so.
    """
    if unknown := set(findings) - set(FINDINGS):
        raise DataError(f"Found {', '.join(sorted(unknown))}, expected of {', '.join(FINDINGS)}.")
    kernels = _kernels(answers, findings)
    groups = [
        Group(*key, {name: _estimate(name, kernel) for name, kernel in figures.items()})
        for key, figures in kernels.items()
    ]
    compared = [
        (pair, name, _difference(kernels[pair[1]][name], kernels[pair[2]][name]))
        for pair in _pairs(list(kernels))
        for name in ACCURACY
    ]
    held = holm({f"{pair} {name}": estimate.p for pair, name, estimate in compared})
    differences = {pair: Comparison(*pair, {}) for pair, _, _ in compared}
    for pair, name, estimate in compared:
        differences[pair].figures[name] = replace(estimate, holm=held.get(f"{pair} {name}"))
    readers, cases = answers["reader"].nunique(), answers["case"].nunique()
    return ReaderStudy(len(answers), readers, cases, findings, groups, [*differences.values()])


def _pairs(keys: Sequence[Key]) -> Iterator[tuple[str, Key, Key]]:
    """Which groups are compared: each arm and round by its readers' last answers."""
    last = {key[:2]: key for key in keys}  # `after` comes later
    for first, second in combinations(last, 2):
        if first[1] == second[1] != "before":  # chance made the arms: there they do not differ
            yield "arm", last[second], last[first]
        elif first[0] == second[0] and first[1] == "before":
            yield "round", last[second], last[first]
    for key in keys:
        if key[2] == "after" and (own := (*key[:2], "before")) in keys:
            yield "network", key, own


@dataclass(frozen=True)
class _Kernel:
    """How often it was asked, and how often it went so: (R, C), or (R, C, C) of pairs of cases."""

    went: np.ndarray
    asked: np.ndarray

    @property
    def value(self) -> float:
        return float(nan_where_zero(self.went.sum(), self.asked.sum()))

    @property
    def by_reader(self) -> np.ndarray:
        """How often each was asked, (R,)."""
        counts: np.ndarray = self.asked.sum(axis=tuple(range(1, self.asked.ndim)))
        return counts

    @property
    def by_case(self) -> list[np.ndarray]:
        """How often it was asked of each case, (C,), on either side of a pair."""
        every = self.asked.sum(axis=0)
        return [every] if every.ndim == 1 else [every.sum(axis=0), every.sum(axis=1)]

    @property
    def fewest(self) -> tuple[int, int]:
        """Readers and cases; of pairs the cases of the side that has fewer."""
        readers, *sides = (int((kind > 0).sum()) for kind in (self.by_reader, *self.by_case))
        return readers, min(sides)

    @property
    def enough(self) -> bool:
        return min(self.fewest) >= MIN_PATIENTS


def _kernels(answers: pd.DataFrame, findings: Sequence[str]) -> dict[Key, dict[str, _Kernel]]:
    """The kernels of every group, by arm, round and moment; all over the same readers and cases."""
    row, readers = pd.factorize(answers["reader"])
    column, cases = pd.factorize(answers["case"])
    shape = len(readers), len(cases)

    def flags(sets: Iterable[frozenset[str]]) -> np.ndarray:
        return np.array([[name in named for name in findings] for named in sets], bool)

    by_case = answers.groupby(column)
    there, network = flags(by_case["truth"].first()), flags(by_case["network"].first())
    network_right = (network == there).all(axis=1)
    kernels: dict[Key, dict[str, _Kernel]] = {}
    own_right: dict[tuple[str, str], np.ndarray] = {}
    arms = list(dict.fromkeys(answers["arm"]))
    rows = answers.groupby(["arm", "round", "when"]).indices
    for turn, arm, when in product(ROUNDS, arms, MOMENTS):
        key = arm, turn, when
        if key not in rows:
            continue
        chosen = rows[key]
        place = row[chosen], column[chosen]
        read, sure = np.zeros(shape, bool), np.zeros(shape)
        named = np.zeros((*shape, len(findings)), bool)
        read[place], sure[place] = True, answers["confidence"].iloc[chosen]
        named[place] = flags(answers["answer"].iloc[chosen])
        like, right = (named == network).all(axis=2), (named == there).all(axis=2)
        sick, well = read[..., None] & there, read[..., None] & ~there
        figures = kernels[key] = {
            "sensitivity": _Kernel((named & sick).sum(axis=2), sick.sum(axis=2)),
            "specificity": _Kernel((~named & well).sum(axis=2), well.sum(axis=2)),
            "auroc": _ranked(np.where(named, 1, -1) * (sure + 1)[..., None], sick, well),
            "followed_wrong": _Kernel(read & ~network_right & like, read & ~network_right),
            "left_right": _Kernel(read & network_right & ~like, read & network_right),
        }
        if (own := own_right.get(key[:2])) is not None:
            figures["gave_up_right"] = _Kernel(read & own & ~right, read & own)
        own_right[key[:2]] = read & right
    return kernels


def _ranked(ratings: np.ndarray, sick: np.ndarray, well: np.ndarray) -> _Kernel:
    """Pairs of a finding that is there and one that is not, of one reader; all (R, C, F)."""
    levels = np.unique(ratings[sick | well])
    high, low = (
        np.stack([((ratings == level) & kind).sum(axis=2) for level in levels], axis=2)
        for kind in (sick, well)
    )  # (R, C, L)
    below = low.cumsum(axis=2) - low / 2
    asked = high.sum(axis=2)[:, :, None] * low.sum(axis=2)[:, None, :]
    return _Kernel(high @ below.swapaxes(1, 2), asked)


def _estimate(name: str, kernel: _Kernel) -> Estimate:
    value, interval = kernel.value, NO_INTERVAL
    if kernel.enough and value in (0, 1) and name != "auroc":
        interval = interval_of(np.array([value]), min(kernel.fewest), value)
    elif kernel.enough and 0 < value < 1:
        from scipy.special import expit, logit
        from scipy.stats import t

        error, df = _error(kernel)
        away = t.ppf(0.975, df) * error / (value * (1 - value))
        if error:
            low, high = (float(expit(logit(value) + side * away)) for side in (-1, 1))
            interval = Interval(low, high)
    return Estimate(value, interval, *kernel.fewest, int(kernel.asked.sum()))


def _difference(first: _Kernel, second: _Kernel) -> ReaderDifference:
    from scipy.stats import t

    value = first.value - second.value
    error, df = _error(first, second) if first.enough and second.enough else (0.0, 0.0)
    if not error:
        return ReaderDifference(value, NO_INTERVAL, float("nan"))
    away = float(t.ppf(0.975, df)) * error
    p = float(2 * t.sf(abs(value) / error, df))
    return ReaderDifference(value, Interval(value - away, value + away), p)


def _error(*kernels: _Kernel) -> tuple[float, float]:
    """Standard error and degrees of freedom of a figure, or of the first less the second.

    The square of what a figure estimates is seen in pairs of answers that have neither a reader nor
    a case in common; what other pairs have beyond it is their covariance.

    Returns:
        Both 0 where they cannot be estimated.
    """
    signed = list(zip(kernels, (1, -1), strict=False))
    parts = np.zeros(3)
    for (first, sign), (second, its) in combinations_with_replacement(signed, 2):
        weights = _products(first.asked / first.asked.sum(), second.asked / second.asked.sum())
        products = _products(first.went / first.asked.sum(), second.went / second.asked.sum())
        if weights[3] < _NOTHING:
            return 0.0, 0.0
        both = 1 if first is second else 2
        parts += both * sign * its * (products - weights * products[3] / weights[3])[:3]
    # Not under the readers' part, nor under the part of what one reader says of one case.
    variance = max(parts[0], parts[1], parts[1] + parts[2] - parts[0])
    if variance < _NOTHING:
        return 0.0, 0.0
    shares = [
        [kernel.by_reader / kernel.asked.sum() for kernel in kernels],
        [sum(kernel.by_case) / kernel.asked.sum() for kernel in kernels],
    ]
    # As many readers and cases as are worth so much if all weighed the same, less one.
    squares = [sum(share**2 for share in kind) for kind in shares]
    most = np.array([square.sum() ** 2 / (square**2).sum() - 1 for square in squares])
    spent = (np.maximum(parts[1:], 0) ** 2 / most).sum()
    return float(np.sqrt(variance)), float(max(variance**2 / spent if spent else 0, most.min()))


def _products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums of x times y over pairs of answers: all, one reader's, one case's, and of neither."""
    x_sums, y_sums = (each.reshape(len(each), -1).sum(axis=1) for each in (x, y))
    every = x_sums.sum() * y_sums.sum()
    apart = _apart(x.sum(axis=0, keepdims=True), y.sum(axis=0, keepdims=True)).sum()
    return np.array([every, x_sums @ y_sums, every - apart, apart - _apart(x, y).sum()])


def _apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums of x times y over pairs without a case in common, (R, C) or (R, C, C) -> (R,)."""
    sums: np.ndarray
    if x.ndim == 2:
        sums = x.sum(axis=1) * y.sum(axis=1) - (x * y).sum(axis=1)
        return sums
    own = np.diagonal(y, axis1=1, axis2=2)
    touched = y.sum(axis=1) + y.sum(axis=2) - own
    shared = touched[:, :, None] + touched[:, None, :] - y - y.swapaxes(1, 2)
    cases = np.arange(x.shape[1])
    shared[:, cases, cases] = touched
    sums = x.sum(axis=(1, 2)) * y.sum(axis=(1, 2)) - (x * shared).sum(axis=(1, 2))
    return sums
