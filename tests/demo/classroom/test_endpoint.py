"""Readers as raw requests: nothing of a case is told before its commit, whatever is asked."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from demo.classroom.cases import union_iou
from tests.demo.classroom.made import reply
from tests.demo.classroom.served import case_in, leaks

BEFORE = {"stage", "of", "case", "number", "preview"}


class Student:
    """One browser without its manners."""

    def __init__(self, client: httpx.Client, name: str) -> None:
        self.client, self.name, self.reader, self.text = client, name, None, ""

    def ask(self, action: object, **more: object) -> dict:
        """Do a step; keeps the response's text."""
        step = {"action": action, "reader": self.reader, "page": self.name} | more
        answer = self.client.post("/api/step", json=step)
        self.text = answer.text
        assert answer.status_code == 200, answer.text
        return answer.json()

    def begin(self) -> dict:
        """Begin, as soon as the pictures are drawn."""
        while (content := self.ask("begin"))["stage"] == "wait":
            assert set(content) == {"stage", "ready", "of"}
        self.reader = content.pop("reader")
        return content


@pytest.fixture
def student(served):
    clients = []

    def made(name: str = "one") -> Student:
        clients.append(httpx.Client(base_url=served.url, timeout=60))
        return Student(clients[-1], name)

    yield made
    for client in clients:
        client.close()


def read_all(student: Student, cases: dict, change: bool) -> list[dict]:
    """Read a dozen; every response is looked at. Returns the truths that were told."""
    content, told = student.begin(), []
    for number in range(1, 13):
        case = case_in(cases, content)
        assert set(content) == BEFORE
        assert (content["stage"], content["number"]) == ("read", number)
        assert leaks(student.text, case) == []
        turn, there = content["case"], sorted(case.truth.findings)
        mine = reply(*there[:1], boxes={name: [[0.2, 0.3, 0.7, 0.9]] for name in there[:1]})
        content = student.ask("commit", case=turn, answer=mine)
        assert set(content) == {"stage", "of", "case", "number", "mine", "network"}
        probabilities = content["network"]["probability"]
        assert probabilities == pytest.approx(case.network.probabilities, abs=1e-4)
        assert leaks(student.text, case), "the search finds what is told now"
        assert "truth" not in student.text
        assert '"boxes"' not in json.dumps(content["network"])
        last = reply(*there) | {"boxes": mine["boxes"]} if change else mine
        content = student.ask("settle", case=turn, answer=last)
        found = content["truth"]
        assert sorted(one["name"] for one in found["findings"]) == there
        for one in found["findings"]:
            boxes = case.truth.boxes[one["name"]]
            assert one["boxes"] == [list(box) for box in boxes]
            drawn = [tuple(box) for box in mine["boxes"].get(one["name"], [])]
            assert one["iou"]["mine"] == (union_iou(drawn, boxes) if drawn else None)
        told.append(content)
        content = student.ask("next", case=turn)
    assert content["stage"] == "done"
    right = content["figures"]["right"]
    assert right["before"] == sum(len(one["truth"]["findings"]) < 2 for one in told)
    assert right["after"] == (12 if change else right["before"])
    return told


def test_a_dozen_by_requests_tells_the_truth_and_never_too_early(student, cases):
    told = read_all(student(), cases, change=True)
    assert len({one["case"] for one in told}) == 12


def test_sixteen_at_once_get_right_answers_and_none_mixed(student, cases):
    students = [student(f"session{k}") for k in range(16)]
    with ThreadPoolExecutor(16) as pool:
        told = list(
            pool.map(lambda one: read_all(one[1], cases, one[0] % 2 == 0), enumerate(students))
        )
    orders = {tuple(case["case"] for case in one) for one in told}
    assert len({name for order in orders for name in order}) == 16 * 12
    pictures = [
        tuple(tuple(sorted(f["name"] for f in case["truth"]["findings"])) for case in one)
        for one in told
    ]
    assert len(set(pictures)) > 8, "each has an order of his own"


HOSTILE = [
    ("settle", {"answer": reply()}),
    ("next", {}),
    ("another", {}),
    ("truth", {}),
    (None, {}),
    (["commit"], {}),
    ("commit", {"case": "wrong", "answer": reply()}),
    ("commit", {"case": None, "answer": reply()}),
    ("commit", {"answer": None}),
    ("commit", {"answer": reply("Mass") | {"findings": ["<script>"]}}),
    ("resume", {"reader": None}),
    ("resume", {"reader": "x" * 24}),
    ("resume", {"reader": {"$ne": ""}}),
]


def test_nothing_out_of_order_is_told_or_done(student, cases):
    one = student()
    content = one.begin()
    case, turn = case_in(cases, content), content["case"]
    for action, more in HOSTILE:
        refused = one.ask(action, **({"case": turn} | more))
        assert set(refused) == {"problem"}, (action, more)
        assert leaks(one.text, case) in ([], [*leaks(refused["problem"], case)])
        assert "<script>" not in one.text
    again = one.ask("resume")
    assert again == content, "nothing was done"


def test_a_step_is_done_once_and_another_sessions_case_is_refused(student, cases):
    one, other = student("one"), student("other")
    mine, theirs = one.begin(), other.begin()
    assert set(one.ask("commit", case=theirs["case"], answer=reply())) == {"problem"}
    one.ask("commit", case=mine["case"], answer=reply())
    assert set(one.ask("commit", case=mine["case"], answer=reply("Mass"))) == {"problem"}
    assert one.ask("resume")["mine"]["findings"] == []
    one.ask("settle", case=mine["case"], answer=reply())
    assert set(one.ask("settle", case=mine["case"], answer=reply("Mass"))) == {"problem"}
    # The first reader is further; the second is told nothing of that.
    still = other.ask("resume")
    assert set(still) == BEFORE
    assert leaks(other.text, case_in(cases, still)) == []
    following = one.ask("next", case=mine["case"])
    assert set(following) == BEFORE
    assert leaks(one.text, case_in(cases, following)) == []
    assert set(one.ask("next", case=following["case"])) == {"problem"}


def test_no_other_way_tells_of_a_case(student, cases):
    one = student()
    content = one.begin()
    case = case_in(cases, content)
    step = {"action": "settle", "reader": one.reader, "case": content["case"], "answer": reply()}
    for body in (b"", b"[]", b"{", json.dumps({"data": [step]}).encode()):
        answer = one.client.post("/api/step", content=body)
        assert leaks(answer.text, case) == [], body
    for path in ("/", "/config", "/gradio_api/info"):
        told = one.client.get(path).text
        assert case.key not in told
        assert "phantom-" not in told
    assert one.ask("resume")["stage"] == "read"


def test_a_reader_survives_another_page(student):
    one = student("first")
    content = one.begin()
    one.ask("commit", case=content["case"], answer=reply())
    after = student("reloaded")
    after.reader = one.reader
    assert after.ask("resume")["stage"] == "revise"
