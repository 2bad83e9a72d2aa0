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
not named. Ratings of two readers are never compared; every pair counts alike. The intervals
are those of `one_shot.py`.

Shapes: R readers, C cases, F findings, L distinct ratings.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd

from chexnet.data.tables import read_csv, refuse_rows
from chexnet.errors import DataError
from chexnet.evaluation.clustered import holm
from chexnet.evaluation.one_shot import (
    Estimate,
    Kernel,
    ReaderDifference,
    auroc_kernel,
    difference,
    estimate,
)
from chexnet.labels import FINDINGS, NO_FINDING

ROUNDS = ("before", "with", "after")
MOMENTS = ("before", "after")
_SETS = ("answer", "truth", "network")
COLUMNS = ("reader", "case", "arm", "round", "when", *_SETS, "confidence", "boxes", "seconds")
ACCURACY = ("sensitivity", "specificity", "auroc")
"""Figures that are compared; the others are shares of answers that went with or against the
network."""
_EXPECTED = f"Expected the CSV of a reader study: {', '.join(COLUMNS)}."


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
        DataError: a row is not what it should be, is a duplicate, or contradicts another.
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
        Group(*key, {name: estimate(name, kernel) for name, kernel in figures.items()})
        for key, figures in kernels.items()
    ]
    compared = [
        (pair, name, difference(kernels[pair[1]][name], kernels[pair[2]][name]))
        for pair in _pairs(list(kernels))
        for name in ACCURACY
    ]
    held = holm({f"{pair} {name}": less.p for pair, name, less in compared})
    differences = {pair: Comparison(*pair, {}) for pair, _, _ in compared}
    for pair, name, less in compared:
        differences[pair].figures[name] = replace(less, holm=held.get(f"{pair} {name}"))
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


def _kernels(answers: pd.DataFrame, findings: Sequence[str]) -> dict[Key, dict[str, Kernel]]:
    """The kernels of every group, by arm, round and moment; all over the same readers and cases."""
    row, readers = pd.factorize(answers["reader"])
    column, cases = pd.factorize(answers["case"])
    shape = len(readers), len(cases)

    def flags(sets: Iterable[frozenset[str]]) -> np.ndarray:
        return np.array([[name in named for name in findings] for named in sets], bool)

    by_case = answers.groupby(column)
    there, network = flags(by_case["truth"].first()), flags(by_case["network"].first())
    network_right = (network == there).all(axis=1)
    kernels: dict[Key, dict[str, Kernel]] = {}
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
            "sensitivity": Kernel((named & sick).sum(axis=2), sick.sum(axis=2)),
            "specificity": Kernel((~named & well).sum(axis=2), well.sum(axis=2)),
            "auroc": auroc_kernel(np.where(named, 1, -1) * (sure + 1)[..., None], sick, well),
            "followed_wrong": Kernel(read & ~network_right & like, read & ~network_right),
            "left_right": Kernel(read & network_right & ~like, read & network_right),
        }
        if (own := own_right.get(key[:2])) is not None:
            figures["gave_up_right"] = Kernel(read & own & ~right, read & own)
        own_right[key[:2]] = read & right
    return kernels
