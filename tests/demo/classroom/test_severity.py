"""The chance of naming a finding against its severity, by hand and by SciPy."""

from types import SimpleNamespace

import pytest
from scipy.stats import binomtest

from demo.classroom.severity import class_curves, naming_curve


def test_each_band_has_its_share_and_wilsons_interval():
    points = [(0.0, 0.0), (0.0, 1.0), (0.1, 0.0), (0.25, 1.0), (0.26, 0.5), (1.0, 1.0), (0.9, 1.0)]
    found = naming_curve(points)
    assert [(one["from"], one["to"], one["findings"]) for one in found] == [
        (0, 0, 2), (0, 0.25, 2), (0.25, 0.5, 1), (0.75, 1, 2),
    ]  # fmt: skip
    assert [one["chance"] for one in found] == [0.5, 0.5, 0.5, 1]
    for one, named in ((found[0], 1), (found[3], 2)):
        interval = binomtest(named, 2).proportion_ci(method="wilson")
        assert one["interval"] == pytest.approx(list(interval), abs=1e-6)


def case(named: set[str], **findings: float | None) -> SimpleNamespace:
    truth, network = SimpleNamespace(findings=findings), SimpleNamespace(named=named)
    return SimpleNamespace(truth=truth, network=network)


def told(when: str, answers: int, **named: int) -> dict:
    return {"round": "with", "when": when, "answers": answers, "named": named}


def test_the_class_and_the_network_are_measured_on_the_same_pictures():
    cases = {
        "a": case({"Mass"}, Mass=0.2, Edema=0.9),
        "b": case(set(), Mass=0.1),
        "own": case({"Mass"}, Mass=None),
        "few": case({"Mass"}, Mass=0.9),
    }
    first = [told("before", 5, Mass=0, Edema=5), told("before", 5, Mass=3, Edema=5)]
    answers = {
        "a": [*first, told("after", 5, Mass=5)],
        "b": [told("before", 5, Mass=5, Edema=1)],
        "own": [told("before", 5, Mass=5)],
        "few": [],
    }
    found = class_curves([{"key": k, "told": some} for k, some in answers.items()], cases)
    assert [one["findings"] for one in found["class"]] == [25, 2, 1]
    assert [one["chance"] for one in found["class"]] == pytest.approx([0.2 / 25, 0.65, 1])
    assert [one["chance"] for one in found["network"]] == [0, 0.5, 0]
