"""The chance of naming a finding against its severity, by hand and by SciPy."""

from types import SimpleNamespace

import pytest
from scipy.stats import binomtest

from demo.classroom.severity import class_curves, naming_curve


def test_each_band_has_its_share_and_wilsons_interval():
    points = [(0.0, 0.0), (0.0, 1.0), (0.1, 0.0), (0.25, 1.0), (0.26, 0.5), (1.0, 1.0), (0.9, 1.0)]
    curve = naming_curve(points)
    assert [(band["from"], band["to"], band["findings"]) for band in curve] == [
        (0, 0, 2), (0, 0.25, 2), (0.25, 0.5, 1), (0.75, 1, 2),
    ]  # fmt: skip
    assert [band["chance"] for band in curve] == [0.5, 0.5, 0.5, 1]
    for band, named in ((curve[0], 1), (curve[3], 2)):
        interval = binomtest(named, 2).proportion_ci(method="wilson")
        assert band["interval"] == pytest.approx(list(interval), abs=1e-6)


def case(named: set[str], **findings: float | None) -> SimpleNamespace:
    truth, network = SimpleNamespace(findings=findings), SimpleNamespace(named=named)
    return SimpleNamespace(truth=truth, network=network)


def moment(when: str, answers: int, **named: int) -> dict:
    return {"round": "with", "when": when, "answers": answers, "named": named}


def test_the_class_and_the_network_are_measured_on_the_same_pictures():
    cases = {
        "a": case({"Mass"}, Mass=0.2, Edema=0.9),
        "b": case(set(), Mass=0.1),
        "own": case({"Mass"}, Mass=None),
        "few": case({"Mass"}, Mass=0.9),
    }
    first = [moment("before", 5, Mass=0, Edema=5), moment("before", 5, Mass=3, Edema=5)]
    answers = {
        "a": [*first, moment("after", 5, Mass=5)],
        "b": [moment("before", 5, Mass=5, Edema=1)],
        "own": [moment("before", 5, Mass=5)],
        "few": [],
    }
    curves = class_curves([{"key": k, "told": some} for k, some in answers.items()], cases)
    assert [band["findings"] for band in curves["class"]] == [25, 2, 1]
    assert [band["chance"] for band in curves["class"]] == pytest.approx([0.2 / 25, 0.65, 1])
    assert [band["chance"] for band in curves["network"]] == [0, 0.5, 0]
