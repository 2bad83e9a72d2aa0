"""Reader studies: figures by hand, the variance pair by pair, and simulated readers."""

import json
import re
from collections import Counter
from itertools import product

import numpy as np
import pandas as pd
import pytest
from scipy.stats import norm, t
from sklearn.metrics import roc_auc_score

from chexnet.errors import DataError
from chexnet.evaluation.readers import (
    ACCURACY,
    COLUMNS,
    Comparison,
    Group,
    read_answers,
    score_readers,
)

CUTS = (-1.2, -0.5, 0.4, 1.1, 1.9)
"""Between six ratings; from the third on the finding is named."""
ROE_METZ = {
    "LL": (0.1, 0.1, 0.2, 0.6, 0.0055),
    "HL": (0.3, 0.3, 0.2, 0.2, 0.0055),
    "LH": (0.1, 0.1, 0.2, 0.6, 0.03),
    "HH": (0.3, 0.3, 0.2, 0.2, 0.03),
}
"""Variances of cases, of cases in a group, of readers' views of cases, of chance, and of readers
(once in every group and once in each): Roe and Metz, Acad. Radiol. 4, 1997."""
OWN, SHOWN = ("none", "with", "before"), ("second", "with", "after")


def frame(rows) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=list(COLUMNS[:9]))
    for column in ("answer", "truth", "network"):
        table[column] = [frozenset(filter(None, cell.split("|"))) for cell in table[column]]
    return table


def random_study(seed: int, readers: int = 7, cases: int = 12) -> pd.DataFrame:
    """Three findings; two arms share the cases; some answers are missing."""
    random = np.random.default_rng(seed)
    names = ("Mass", "Nodule", "Edema")

    def some(share):
        return "|".join(name for name in names if random.random() < share)

    truth, network = ([some(0.5) for _ in range(cases)] for _ in range(2))
    rows = []
    for reader, case in product(range(2 * readers), range(cases)):
        arm, round_, when = SHOWN if reader % 2 else OWN
        if random.random() < 0.8:
            about = truth[case], network[case], float(random.integers(3))
            answer = truth[case] if random.random() < 0.4 + reader / 40 else some(0.4)
            rows.append((f"r{reader}", f"c{case}", arm, round_, when, answer, *about))
    return frame(rows)


def questions(answers: pd.DataFrame, findings) -> list[tuple]:
    """Reader, case, whether the finding is there, whether it was named, and the rating."""
    return [
        (
            answer.reader,
            answer.case,
            name in answer.truth,
            named,
            (answer.confidence + 1) * (1 if named else -1),
        )
        for answer in answers.itertuples()
        for name in findings
        for named in [name in answer.answer]
    ]


def items_of(figure: str, asked: list[tuple]) -> list[tuple]:
    """What a figure is the mean of: reader, its cases, value."""
    if figure == "auroc":
        return [
            (a[0], {a[1], b[1]}, (a[4] > b[4]) + (a[4] == b[4]) / 2)
            for a in asked
            for b in asked
            if a[2] and not b[2] and a[0] == b[0]
        ]
    there = figure == "sensitivity"
    return [(a[0], {a[1]}, float(a[3] == there)) for a in asked if a[2] == there]


def one_shot(first, second=()) -> tuple[float, float, float]:
    """Gallas' variance as it is printed: a second moment for each way in which pairs are alike.

    Returns:
        The variance, and those parts that readers and cases have in it.
    """
    parts = np.zeros(3)
    for (left, sign), (right, its) in product(((first, 1), (second, -1)), repeat=2):
        if not left or not right:
            continue
        sums = dict.fromkeys(product((False, True), repeat=2), (0, 0.0))
        for a, b in product(left, right):
            alike = a[0] == b[0], bool(a[1] & b[1])
            sums[alike] = sums[alike][0] + 1, sums[alike][1] + a[2] * b[2]
        squared = sums[False, False][1] / sums[False, False][0]
        for (reader, case), (pairs, total) in sums.items():
            if pairs:
                covariance = pairs * (total / pairs - squared) / (len(left) * len(right))
                parts += sign * its * covariance * np.array([1, reader, case])
    return tuple(parts)


@pytest.mark.parametrize("figure", ACCURACY)
def test_figures_and_intervals_are_those_of_the_formulas_pair_by_pair(figure):
    findings = ("Mass", "Edema") if figure != "auroc" else ("Mass",)
    answers = random_study(3, readers=6, cases=13)
    report = score_readers(answers, findings)
    own, shown = (questions(answers[answers["arm"] == arm], findings) for arm in ("none", "second"))
    items = [items_of(figure, asked) for asked in (own, shown)]
    values = [np.mean([item[2] for item in some]) for some in items]
    groups = {(group.arm, group.round, group.when): group for group in report.groups}
    for key, value, some in zip((OWN, SHOWN), values, items, strict=True):
        estimate = groups[key].figures[figure]
        assert estimate.value == pytest.approx(value, abs=1e-12)
        assert estimate.asked == len(some)
    if figure == "auroc":  # of each reader, weighed by the pairs
        by_reader = pd.DataFrame(own).groupby(0)
        pairs = by_reader[2].apply(lambda there: there.sum() * (~there).sum())
        each = [roc_auc_score(rows[2], rows[4]) for _, rows in by_reader]
        assert values[0] == pytest.approx(np.average(each, weights=pairs), abs=1e-12)

    [pair] = report.differences
    assert (pair.by, pair.first, pair.second) == ("arm", SHOWN, OWN)
    difference = pair.figures[figure]
    variance, *parts = one_shot(items[1], items[0])
    variance = max(variance, parts[0], sum(parts) - variance)
    error, df = np.sqrt(variance), degrees(variance, parts, items)
    away = t.ppf(0.975, df) * error
    value = values[1] - values[0]
    assert difference.value == pytest.approx(value, abs=1e-12)
    expected = (value - away, value + away)
    assert (difference.interval.low, difference.interval.high) == pytest.approx(expected, abs=1e-9)
    assert difference.p == pytest.approx(2 * t.sf(abs(value) / error, df), rel=1e-6)


def degrees(variance: float, parts: list[float], items: list[list[tuple]]) -> float:
    """Satterthwaite's, with as many readers and cases as are worth so much."""
    least, spent = [], 0.0
    for part, units in zip(parts, (lambda item: [item[0]], lambda item: item[1]), strict=True):
        squares = Counter()
        for some in items:
            counts = Counter(unit for item in some for unit in units(item))
            squares.update({unit: (count / len(some)) ** 2 for unit, count in counts.items()})
        each = np.array(list(squares.values()))
        least.append(each.sum() ** 2 / (each**2).sum() - 1)
        spent += max(part, 0) ** 2 / least[-1]
    return max(variance**2 / spent, min(least))


def test_answers_with_and_against_the_network_are_counted():
    """Ten readers, six cases; the network is wrong on the last two of them."""
    rows = []
    for reader, case in product(range(10), range(6)):
        truth, network = "Mass", "Mass" if case < 4 else "Nodule"
        followed = reader < 3  # they take the network's wrong answer; all others stay with theirs
        about = (truth, network, 1.0)
        key = (f"r{reader}", f"c{case}", "second", "with")
        own = "Edema" if case == 0 and reader == 9 else "Mass"
        rows.append((*key, "before", own, *about))
        rows.append((*key, "after", network if followed else own, *about))
    own, shown = score_readers(frame(rows)).groups
    assert "gave_up_right" not in own.figures
    values = {name: shown.figures[name].value for name in shown.figures if name not in ACCURACY}
    assert values == pytest.approx(
        {"followed_wrong": 6 / 20, "left_right": 1 / 40, "gave_up_right": 6 / 59}
    )
    assert own.figures["followed_wrong"].value == 0
    assert not shown.figures["followed_wrong"].interval.known  # two cases
    assert shown.figures["gave_up_right"].interval.known


def test_under_five_readers_or_cases_there_are_no_intervals_and_from_five_there_are():
    answers = random_study(1)
    few_readers = answers[answers["reader"].isin([f"r{n}" for n in range(8)])]
    few_cases = answers[answers["case"].isin(["c0", "c1", "c2", "c3"])]
    for part, known in ((answers, True), (few_readers, False), (few_cases, False)):
        report = score_readers(part)
        of_groups = [
            group.figures[name].interval.known for group in report.groups for name in ACCURACY
        ]
        of_pairs = [
            pair.figures[name].interval.known for pair in report.differences for name in ACCURACY
        ]
        assert {*of_groups, *of_pairs} == {known}
        ps = [pair.figures[name].holm for pair in report.differences for name in ACCURACY]
        assert all((p is not None) == known for p in ps)


def test_all_right_has_the_exact_interval_of_proportions_and_no_auroc_interval():
    rows = [
        (f"r{r}", f"c{c}", *OWN, truth, truth, "", 1.0)
        for r, c in product(range(8), range(20))
        for truth in ["Mass" if c % 2 else ""]
    ]
    [group] = score_readers(frame(rows)).groups
    interval = group.figures["sensitivity"].interval
    assert (interval.low, interval.high) == (pytest.approx(0.025 ** (1 / 8)), 1)
    assert group.figures["auroc"].value == 1
    assert not group.figures["auroc"].interval.known


def known(effect: float, structure: str) -> dict[str, float]:
    """The true figures of the simulation; ratings of one group are normal, cut at `CUTS`."""
    cases, grouped, views, chance, readers = ROE_METZ[structure]
    spread = np.sqrt(cases + grouped + views + chance + 2 * readers)
    ends = np.array([-np.inf, *CUTS, np.inf])
    ill, well = (np.diff(norm.cdf((ends - mean) / spread)) for mean in (1.5 + effect, 0))
    return {
        "sensitivity": ill[3:].sum(),
        "specificity": well[:3].sum(),
        "auroc": float(ill @ (well.cumsum() - well / 2)),
    }


def simulated(random, structure: str, readers: int, cases: int, effect: float) -> pd.DataFrame:
    """Two arms of other readers who read the same cases, every second with the finding."""
    case, grouped, view, chance, reader = np.sqrt(ROE_METZ[structure])
    ill = np.arange(cases) % 2 == 0
    everywhere, parts = random.normal(0, case, cases), []
    for key, more in ((OWN, 0.0), (SHOWN, effect)):
        seen = everywhere + random.normal(0, grouped, cases) + ill * (1.5 + more)
        skill = random.normal(0, reader * np.sqrt(2), (2, readers, 1))
        seen = seen + np.where(ill, *skill) + random.normal(0, view, (readers, cases))
        level = np.searchsorted(CUTS, seen + random.normal(0, chance, (readers, cases))).ravel()
        truth = np.tile(np.where(ill, "Mass", ""), readers)
        answer = np.where(level >= 3, "Mass", "")
        who = [f"{key[0]}{n}" for n in np.repeat(np.arange(readers), cases)]
        columns = [who, np.tile(np.arange(cases), readers).astype(str), *key, answer, truth, truth]
        parts.append(pd.DataFrame(dict(zip(COLUMNS, columns, strict=False))))
        parts[-1]["confidence"] = np.where(level >= 3, level - 3, 2 - level).astype(float)
    answers = pd.concat(parts, ignore_index=True)
    for column in ("answer", "truth", "network"):
        answers[column] = [frozenset(filter(None, [cell])) for cell in answers[column]]
    return answers


def trials(times: int, structure: str, readers: int, cases: int, effect: float):
    """How often the intervals hold the truth, of groups and of differences, and family errors."""
    random, hits, family = np.random.default_rng(0), {Group: [], Comparison: []}, 0
    true = {OWN: known(0, structure), SHOWN: known(effect, structure)}
    for _ in range(times):
        report = score_readers(simulated(random, structure, readers, cases, effect), ("Mass",))
        [pair] = report.differences
        for name in ACCURACY:
            figures = [
                (true[group.arm, group.round, group.when][name], group) for group in report.groups
            ]
            figures.append((true[SHOWN][name] - true[OWN][name], pair))
            for value, entry in figures:
                if (interval := entry.figures[name].interval).known:
                    hits[type(entry)].append(interval.low <= value <= interval.high)
        family += any(
            figure.holm is not None and figure.holm < 0.05 for figure in pair.figures.values()
        )
    return np.mean(hits[Group]), np.mean(hits[Comparison]), family / times


def test_intervals_of_simulated_readers_mostly_hold_the_truth():
    of_groups, of_pairs, _ = trials(40, "HL", readers=10, cases=24, effect=0.5)
    assert 0.9 <= of_groups <= 0.99  # 0.95, and what 40 studies can be off
    assert 0.9 <= of_pairs <= 1


@pytest.mark.slow
@pytest.mark.parametrize("structure", ROE_METZ)
@pytest.mark.parametrize(("readers", "cases"), [(8, 24), (15, 40)])
def test_intervals_hold_the_truth_in_95_of_100_studies(structure, readers, cases):
    of_groups, of_pairs, _ = trials(250, structure, readers, cases, effect=0.5)
    assert 0.93 <= of_groups <= 0.97
    assert 0.93 <= of_pairs <= 0.98
    assert trials(250, structure, readers, cases, effect=0)[2] < 0.06


def test_a_study_is_read_and_shown_and_written(tmp_path, shown, refused):
    rows = [
        (f"r{r}", f"c{c}", *(SHOWN if r % 2 else OWN), answer, "Mass|Nodule", "No Finding", 2)
        for r, c in product(range(12), range(9))
        for answer in ["Nodule|Mass" if (r + c) % 3 else "No Finding"]
    ]
    file = tmp_path / "study.csv"
    pd.DataFrame(rows, columns=list(COLUMNS[:9])).to_csv(file, index=False)
    text = shown("readers", file, "--out", tmp_path / "out")
    assert "108 answers of 12 readers to 9 cases" in text
    assert "second, with, after  none, with, before  sensitivity" in text
    report = json.loads((tmp_path / "out" / "readers.json").read_text())
    assert report["groups"][0]["figures"]["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert pd.read_csv(tmp_path / "out" / "groups.csv")["sensitivity"][0] == pytest.approx(2 / 3)
    assert len(pd.read_csv(tmp_path / "out" / "differences.csv")) == 3
    assert "Cold" in refused("readers", file, "--finding", "Cold", "--out", tmp_path / "out")


@pytest.mark.parametrize(
    ("column", "value", "problem"),
    [
        ("round", "during", "a round that is none of before, with, after"),
        ("when", "", "a when that is none of"),
        ("arm", "third", "another arm than an earlier row of the reader"),
        ("truth", "Mass", "another truth than an earlier row of the case"),
        ("answer", "Cold", "an unknown finding in answer"),
        ("answer", "Mass|No Finding", "No Finding beside one"),
        ("confidence", "-1", "no number from 0"),
        ("confidence", "inf", "no number from 0"),
        ("reader", "r0", "was answered twice"),
    ],
)
def test_a_row_that_cannot_be_is_refused_by_its_line(tmp_path, column, value, problem):
    rows = [(f"r{n}", "c", *OWN, "Mass", "No Finding", "Mass", "1") for n in (0, 1, 1)]
    rows[2] = ("r1", "d", *rows[2][2:])
    table = pd.DataFrame(rows, columns=list(COLUMNS[:9]))
    table.loc[1 if column in ("truth", "reader") else 2, column] = value
    table.to_csv(tmp_path / "study.csv", index=False)
    with pytest.raises(DataError, match=r"line [34]: [cd] .*" + re.escape(problem)):
        read_answers(tmp_path / "study.csv")
