"""The lecturer's panel and the link, as requests."""

import csv
import os

import httpx
import pytest

from tests.conftest import SIGKILL
from tests.demo.classroom.made import reply
from tests.demo.classroom.test_endpoint import Student
from tests.demo.room.room import LOGINS, NOTE, wait_until


@pytest.fixture(scope="module")
def student(room):
    return room.student()


PRIVATE = ("/lecturer/state", "/lecturer/picture/1")


@pytest.mark.parametrize("path", PRIVATE)
def test_the_panel_refuses_the_class_and_whoever_has_not_logged_in(room, student, path):
    for client, status in ((student.client, 403), (room.client(None), 401)):
        answer = client.get(path)
        assert answer.status_code == status
        assert answer.text == '{"problem":"For the lecturer only."}'
    for cookie in ("", "access-token-x=lecturer", "user=lecturer"):
        answer = httpx.get(room.url.rstrip("/") + path, headers={"cookie": cookie})
        assert answer.status_code == 401
    # A POST, another spelling, and the page of Gradio lead nowhere either.
    assert student.client.post(path).status_code == 404
    for other in (path.upper(), f"{path}/", f"/{path}", path.replace("lecturer", "lecturer/.")):
        assert student.client.get(other).status_code in (403, 404)


def test_the_panels_own_page_tells_nothing(room, student):
    for client in (student.client, room.client(None)):
        text = client.get("/lecturer").text
        assert LOGINS.students[1] not in text
        assert LOGINS.lecturer[1] not in text
        assert "links.example" not in text
    config = student.client.get("/config").text
    assert LOGINS.lecturer[1] not in config
    assert "lecturer/state" not in config


def test_the_lecturer_sees_addresses_password_and_who_is_there(room, student):
    state = room.state()
    names = {entry["name"]: entry for entry in state["addresses"]}
    assert names["Everywhere"]["url"].endswith(".links.example")
    assert names["Everywhere"]["qr"].startswith("data:image/svg+xml")
    assert names["This machine"] == {"name": "This machine", "url": room.url, "qr": None}
    assert state["login"] == {"user": "class", "password": LOGINS.students[1]}
    assert LOGINS.lecturer[1] not in str(state)
    before = state["connected"]
    with student.client.stream("GET", "/api/present"), student.client.stream("GET", "/api/present"):
        assert wait_until(lambda: room.state()["connected"] == before + 2)
    assert wait_until(lambda: room.state()["connected"] == before)


def test_nobody_of_the_class_can_log_all_others_out(room, student):
    assert room.client(LOGINS.students).get("/logout").status_code == 404
    assert student.client.get("/config").status_code == 200


def test_the_class_reads_the_lecturers_case_and_five_answers_make_a_row(room):
    for number in range(5):
        assert not any(row["told"] for row in room.state()["rows"])
        phone = room.student()
        content = phone.begin()
        texts = [phone.text]
        assert (content["of"], content["number"]) == (1, 1)
        assert NOTE not in phone.text
        for step in ("commit", "settle"):
            mine = reply("Mass") if number else reply()
            content = phone.ask(step, case=content["case"], answer=mine)
            texts.append(phone.text)
        assert content["truth"]["note"] == NOTE
        assert content["truth"]["findings"][0]["boxes"] == [
            pytest.approx([100 / 512, 100 / 512, 300 / 512, 300 / 512])
        ]
        content = phone.ask("next", case=content["case"])
        texts.append(phone.text)
        assert (content["stage"], content["more"]) == ("done", False)
        assert "DOE_JANE" not in "".join(texts)
    [row] = room.state()["rows"]
    assert (row["number"], row["findings"]) == (1, ["Mass"])
    expected = {"answers": 5, "right": 4, "named": {"Mass": 4, "No Finding": 1}}
    assert [moment["when"] for moment in row["told"]] == ["before", "after"]
    assert all(moment | expected == moment for moment in row["told"])
    assert "DOE_JANE" not in str(room.state())
    with room.client(LOGINS.lecturer) as lecturer:
        picture = lecturer.get("/lecturer/picture/1")
        assert picture.headers["content-type"] == "image/png"
        assert "DOE_JANE" not in str(lecturer.get("/lecturer/picture/2").text)
        assert lecturer.get("/lecturer/picture/2").status_code == 404
    wait_until(lambda: len((room.base / "results.csv").read_text().splitlines()) == 3)
    written = list(csv.DictReader((room.base / "results.csv").read_text().splitlines()))
    assert [(row["when"], row["answers"], row["Mass"]) for row in written] == [
        ("before", "5", "4"),
        ("after", "5", "4"),
    ]


def test_many_readings_of_one_login_count_once(room):
    def first():
        return room.state()["rows"][0]["told"][0]

    phone, before = room.student(), first()
    for number in range(6):
        again = Student(phone.client, f"page{number}")  # a page that was loaded again
        again.ask("commit", case=again.begin()["case"], answer=reply("Hernia"))
    assert first() == before
    for _ in range(4):
        other = room.student()
        other.ask("commit", case=other.begin()["case"], answer=reply("Mass"))
    assert first()["answers"] == before["answers"] + 5
    assert first()["named"]["Hernia"] == 1


def link(room) -> str:
    """The host of the link that there is now, or nothing."""
    urls = [entry["url"] for entry in room.state()["addresses"] if entry["name"] == "Everywhere"]
    return urls[0].removeprefix("http://") if urls else ""


def lose_links(room, times: int) -> None:
    """Kill the tunnel's helper; each time another link has to come and everybody go on."""
    phone = room.student()
    case = phone.begin()["case"]
    phone.ask("commit", case=case, answer=reply("Mass"))
    hosts = [link(room)]
    opened = room.state()["link"]["opened"]
    for number in range(times):
        os.kill(room.helper(), SIGKILL)
        wait_until(lambda: link(room) not in ("", hosts[-1]))
        hosts.append(link(room))
        state = room.state()["link"]
        assert state["opened"] == opened + number + 1
        assert state["since"]
        # The new link's page opens with the same password, the old one's no longer.
        with room.client(LOGINS.students, host=hosts[-1]) as client:
            assert client.get("/config").status_code == 200
        with room.client(None, host=hosts[-2]) as client:
            assert client.get("/").status_code == 421
            origin = {"origin": f"http://{hosts[-2]}", "host": hosts[-1]}
            assert client.post("/api/step", headers=origin).status_code == 403
        still = phone.ask("resume")
        assert (still["stage"], still["mine"]["findings"]) == ("revise", ["Mass"])
    assert len(set(hosts)) == times + 1
    with room.client(None, host="elsewhere.example") as client:
        assert client.get("/").status_code == 421
    log = (room.base / "log").read_text()
    assert [line for line in log.splitlines() if line.startswith("New ")][-times:] == [
        f"New http://{host}" for host in hosts[1:]
    ]


def test_a_dead_tunnel_is_opened_again_and_no_session_is_lost(room):
    lose_links(room, 2)


@pytest.mark.slow
def test_ten_dead_tunnels_are_opened_again(opened):
    lose_links(opened(quick=False), 10)


def test_the_helper_is_started_as_gradio_starts_it(room):
    said = (room.base / "arguments").read_text().split("\n")
    assert said[0] == "http"
    port = httpx.URL(room.url).port
    for name, value in (
        ("-l", str(port)),
        ("-i", "127.0.0.1"),
        ("--server_addr", "127.0.0.1:7000"),
    ):
        assert said[said.index(name) + 1] == value


def test_a_shared_page_takes_its_script_from_here(room):
    with room.client(None, host=link(room)) as client:
        text = client.get("/").text
    assert "Password" in text
    assert "http" not in text.replace("http-equiv", "")
