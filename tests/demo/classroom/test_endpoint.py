"""Readers as raw requests: nothing of a case is told before its commit, whatever is asked."""

import json
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.demo.classroom.made import reply
from tests.demo.classroom.served import case_in, leaks, values

BEFORE = {"stage", "of", "round", "case", "number", "preview"}
ROUNDS = ["before"] * 4 + ["with"] * 8 + ["after"] * 4


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

    def go_to_the_network(self, content: dict) -> dict:
        """Answer the round before; gives the first case that is read with the network."""
        while content["round"] == "before":
            content = self.ask("commit", case=content["case"], answer=reply())
        return content

    def begin(self) -> dict:
        """Begin, as soon as the pictures are drawn."""
        while (content := self.ask("begin"))["stage"] == "wait":
            assert set(content) == {"stage", "ready", "of"}
        self.reader = content.pop("reader")
        return content


@pytest.fixture
def student(served):
    clients = []

    def new_student(name: str = "one") -> Student:
        clients.append(httpx.Client(base_url=served.url, timeout=60))
        return Student(clients[-1], name)

    yield new_student
    for client in clients:
        client.close()


def read_all(student: Student, cases: dict, change: bool) -> list[dict]:
    """Read a session; every response is looked at. Returns the turns that the end told."""
    content, alone, read = student.begin(), [], []
    for number, part in enumerate(ROUNDS, 1):
        case = case_in(cases, content)
        assert set(content) == BEFORE
        assert (content["stage"], content["round"], content["number"]) == ("read", part, number)
        assert leaks(student.text, case) == []
        turn, there = content["case"], sorted(case.truth.findings)
        mine = reply(*there[:1], boxes={name: [[0.2, 0.3, 0.7, 0.9]] for name in there[:1]})
        last = reply(*there) | {"boxes": mine["boxes"]} if change else mine
        read.append((turn, there, mine["findings"], last["findings"]))
        content = student.ask("commit", case=turn, answer=mine)
        if part != "with":
            alone.append(case)
            if number == 16:
                break
            # Neither now nor when the page asks again, nor by a step that is not open.
            for action in ("resume", "settle", "next", "another"):
                response = student.ask(action, case=turn, answer=mine)
                assert set(response) == (BEFORE if action == "resume" else {"problem"})
                assert leaks(student.text, case) == []
            continue
        assert set(content) == BEFORE - {"preview"} | {"mine", "network", "heat"}
        probabilities = content["network"]["probability"]
        assert probabilities == pytest.approx(case.network.probabilities, abs=1e-4)
        assert leaks(student.text, case), "the search finds what is told now"
        assert "truth" not in student.text
        sides = [repr(side) for some in case.truth.boxes.values() for box in some for side in box]
        assert not [side for side in sides if len(side) > 5 and side in student.text]
        content = student.ask("settle", case=turn, answer=last)
        truth = content["truth"]
        assert sorted(finding["name"] for finding in truth["findings"]) == there
        for finding in truth["findings"]:
            assert finding["boxes"] == [list(box) for box in case.truth.boxes[finding["name"]]]
        for other in alone:
            long = {value for value in values(other) if len(value) > 8} - values(case)
            assert not [value for value in long if value in student.text]
        content = student.ask("next", case=turn)
    assert content["stage"] == "done"
    for part, (_, *expected), end in zip(ROUNDS, read, content["turns"], strict=True):
        named = [finding["name"] for finding in end["truth"]["findings"]], end["mine"]["findings"]
        assert (end["round"], *map(sorted, named)) == (part, *expected[:2])
        assert ("final" in end) == (part == "with")
        assert part != "with" or sorted(end["final"]["findings"]) == expected[2]
    return read


def test_a_session_by_requests_tells_the_truth_and_never_too_early(student, cases):
    turns = read_all(student(), cases, change=True)
    assert len({turn for turn, *_ in turns}) == 16


def test_sixteen_at_once_get_right_answers_and_none_mixed(student, cases):
    students = [student(f"session{k}") for k in range(16)]
    with ThreadPoolExecutor(16) as pool:
        sessions = list(
            pool.map(lambda pair: read_all(pair[1], cases, pair[0] % 2 == 0), enumerate(students))
        )
    assert len({turn for session in sessions for turn, *_ in session}) == 16 * 16
    pictures = {tuple(tuple(there) for _, there, *_ in session) for session in sessions}
    assert len(pictures) > 8, "each has an order of his own"


HOSTILE = [
    ("settle", {"answer": reply()}),
    ("next", {}),
    ("another", {}),
    ("truth", {}),
    ("forget", {}),
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
    pupil = student()
    content = pupil.begin()
    case, turn = case_in(cases, content), content["case"]
    for action, more in HOSTILE:
        refused = pupil.ask(action, **({"case": turn} | more))
        assert set(refused) == {"problem"}, (action, more)
        assert leaks(pupil.text, case) in ([], [*leaks(refused["problem"], case)])
        assert "<script>" not in pupil.text
    again = pupil.ask("resume")
    assert again == content, "nothing was done"


def test_a_step_is_done_once_and_another_sessions_case_is_refused(student, cases):
    first, other = student("one"), student("other")
    mine, theirs = first.go_to_the_network(first.begin()), other.begin()
    assert set(first.ask("commit", case=theirs["case"], answer=reply())) == {"problem"}
    first.ask("commit", case=mine["case"], answer=reply())
    assert set(first.ask("commit", case=mine["case"], answer=reply("Mass"))) == {"problem"}
    assert first.ask("resume")["mine"]["findings"] == []
    first.ask("settle", case=mine["case"], answer=reply())
    assert set(first.ask("settle", case=mine["case"], answer=reply("Mass"))) == {"problem"}
    # The first reader is further; the second is told nothing of that.
    still = other.ask("resume")
    assert set(still) == BEFORE
    assert leaks(other.text, case_in(cases, still)) == []
    following = first.ask("next", case=mine["case"])
    assert set(following) == BEFORE
    assert leaks(first.text, case_in(cases, following)) == []
    assert set(first.ask("next", case=following["case"])) == {"problem"}


def test_no_other_way_tells_of_a_case(student, cases):
    pupil = student()
    content = pupil.begin()
    case = case_in(cases, content)
    step = {"action": "settle", "reader": pupil.reader, "case": content["case"], "answer": reply()}
    for body in (b"", b"[]", b"{", json.dumps({"data": [step]}).encode()):
        answer = pupil.client.post("/api/step", content=body)
        assert leaks(answer.text, case) == [], body
    for path in ("/", "/config", "/gradio_api/info"):
        page = pupil.client.get(path).text
        assert case.key not in page
        assert "phantom-" not in page
    assert pupil.ask("resume")["stage"] == "read"


def test_a_reader_survives_another_page(student):
    before = student("first")
    content = before.go_to_the_network(before.begin())
    before.ask("commit", case=content["case"], answer=reply())
    after = student("reloaded")
    after.reader = before.reader
    assert after.ask("resume")["stage"] == "revise"
