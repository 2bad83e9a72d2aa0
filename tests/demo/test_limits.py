"""What one visitor may take from the others: short forms of attacks that once closed the demo."""

import asyncio
import json
import os
import sys
import time
from collections import defaultdict

import httpx
import numpy as np
import pytest

from chexnet.errors import ConfigError
from demo import security
from demo.bodies import question
from demo.kept import Analysis
from demo.members import Members
from demo.middleware import RequestFilter
from demo.refusals import Refused
from demo.room.addresses import checked_root_path, public_address
from demo.service import Service
from demo.uploads import Uploads
from tests.demo.conftest import run
from tests.demo.test_security import JOIN, ask, behind

HEADER = (
    b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n',
    b"\r\n--x--\r\n",
)
KIND = (b"content-type", b"multipart/form-data; boundary=x")


class Room:
    """A filter, and visitors that come at once."""

    def __init__(self, folder, **settings):
        self.cookies = {}
        members = None
        if settings.pop("members", False):
            members = Members(security.Logins(("class", "secret"), ("lecturer", "other")))
            for name in (b"s1", b"s2"):
                cookie = members.enter("class", "secret").partition(";")[0]
                self.cookies[name] = cookie.encode()
        self.wall = RequestFilter(behind, folder, local=True, members=members, **settings)

    async def send(self, path, receive, client="10.0.0.1", cookie=b"", kind=KIND) -> int:
        sent = []

        async def send(message):
            sent.append(message)

        headers = [(b"host", b"localhost"), (b"cookie", self.cookies.get(cookie, b"")), kind]
        scope = {"type": "http", "method": "POST", "path": path, "headers": headers}
        await self.wall({**scope, "client": (client, 1)}, receive, send)
        return sent[0]["status"]


def endless(chunk: bytes, first: bytes = b""):
    """A body of which something comes and then nothing."""
    parts = [first + chunk]

    async def receive():
        if parts:
            return {"type": "http.request", "body": parts.pop(), "more_body": True}
        await asyncio.sleep(3600)

    return receive


def whole(body: bytes):
    async def receive():
        return {"type": "http.request", "body": body, "more_body": False}

    return receive


@pytest.mark.parametrize("upload", ["/api/analyse", "/gradio_api/upload"])
@pytest.mark.parametrize("members", [True, False], ids=["with login", "without"])
def test_unfinished_uploads_of_one_visitor_stop_nobody_else(tmp_path, monkeypatch, members, upload):
    monkeypatch.setattr(security, "MAX_HELD", 8000)
    monkeypatch.setattr(security, "MAX_HELD_EACH", 2000)
    room = Room(tmp_path, members=members)

    async def attack():
        bad = [
            asyncio.create_task(
                room.send(upload, endless(bytes(900)), "10.6.6.6", b"s2" if members else b"")
            )
            for _ in range(22)
        ]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        mine = b"s1" if members else b""
        good = await room.send(upload, whole(b"picture".join(HEADER)), cookie=mine)
        step = await room.send(JOIN, whole(b"{}"), cookie=mine)
        kept = sum(not task.done() for task in bad)
        for task in bad:
            task.cancel()
        await asyncio.gather(*bad, return_exceptions=True)
        return good, step, kept

    assert run(attack()) == (200, 200, 2)
    assert room.wall.held == 0


def test_who_has_not_logged_in_is_told_before_a_byte_is_read(tmp_path):
    room = Room(tmp_path, members=True)

    async def never():
        raise AssertionError("a body was read")

    gradio = ("upload", "queue/join", "call/predict", "cancel", "reset")
    for path in ("/api/analyse", "/api/step", *(f"/gradio_api/{name}" for name in gradio)):
        assert run(room.send(path, never)) == 401
    assert run(room.send(JOIN, whole(b"{}"), cookie=b"s1")) == 200
    assert run(room.send("/login", whole(b"username=a"))) == 200


def test_small_bodies_do_not_count_against_uploads(tmp_path, monkeypatch):
    monkeypatch.setattr(security, "MAX_HELD", 10)
    assert run(Room(tmp_path).send(JOIN, whole(b'{"data": [1, 2, 3]}'))) == 200


def test_one_visitor_has_a_share_of_all_requests(tmp_path):
    room = Room(tmp_path, requests_each=3)

    async def attack():
        slow = [asyncio.create_task(room.send(JOIN, endless(b"{"), "10.6.6.6")) for _ in range(5)]
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        honest = await room.send(JOIN, whole(b"{}"))
        done = [task.result() for task in slow if task.done()]
        for task in slow:
            task.cancel()
        await asyncio.gather(*slow, return_exceptions=True)
        return honest, done

    assert run(attack()) == (200, [503, 503])


class Event:
    alive = True

    def __init__(self, session):
        self.session_hash = session


class Queue:
    """Gradio's, as far as `Answers` knows it."""

    def __init__(self):
        self.pending_messages_per_session, self.event_ids_to_events = {}, {}
        self.pending_event_ids_session = defaultdict(set)
        self.fns, self._queue = {}, self

    async def clean_events(self, session_hash):
        pass

    def push(self, session):
        self.pending_messages_per_session[session] = ["an answer"]
        self.pending_event_ids_session[session].add(object())

    def waiting(self):
        return sum(map(len, self.pending_event_ids_session.values()))


def test_answers_that_nobody_fetches_are_bounded_and_cost_whoever_asks_for_the_most():
    from demo.gradio_private import Answers

    queue = Queue()
    answers = Answers(queue)

    async def join(session, owner):
        if room := await answers.make_room(session, owner):
            queue.push(session)
        return room

    async def attack():
        assert await join("mine", "me")
        joined = [await join("one", "bad") for _ in range(3000)]
        assert sum(joined) == security.ANSWERS_EACH
        for number in range(3000):
            assert await join(f"many{number}", "bad")
            assert queue.waiting() <= security.ANSWERS
        assert answers.has_session("mine")
        assert not answers.has_session("one")
        assert len(queue.pending_messages_per_session) <= security.ANSWERS

    run(attack())


def test_a_sweep_outlives_what_comes_and_goes_and_removes_what_nobody_reads(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path)
    old, new, part = tmp_path / "a" / "old", tmp_path / "b" / "new", tmp_path / "part"
    for path in (old, new, part):
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(b"12345")
        uploads.add(path.name, 5)
    os.utime(old, (0, 0))
    os.utime(part, (time.time() - 100,) * 2)
    uploads.sweep(600)
    assert [path.name for path in tmp_path.rglob("*")] == ["b", "new"]
    monkeypatch.setattr(security, "SWEEP", (0.01, 0.01))
    calls = []

    def sweep():
        calls.append(1)
        raise RuntimeError("Set changed size during iteration")

    monkeypatch.setattr(uploads, "sweep", sweep)
    uploads.start()
    deadline = time.monotonic() + 20
    while len(calls) < 3:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    uploads.close()


def test_uploads_are_counted_without_a_look_at_the_disk(tmp_path, monkeypatch):
    uploads = Uploads(tmp_path)
    monkeypatch.setattr(security, "MAX_FILES", 3)
    monkeypatch.setattr(os, "walk", None)
    names = [tmp_path / name for name in "abc"]
    for path in names:
        assert not uploads.full
        uploads.add(path.name, 5)
    assert uploads.full
    assert ask(RequestFilter(behind, uploads, local=True))[0] == 503
    uploads.discard(names[0])
    assert not uploads.full
    monkeypatch.setattr(security, "MAX_FOLDER", 9)
    assert uploads.full


def test_uploads_that_one_visitor_never_reads_leave_room_for_the_others(tmp_path, monkeypatch):
    monkeypatch.setattr(security, "MAX_FILES", 8)
    room = Room(tmp_path)
    for client, expected in (("10.6.6.6", [200, 200, 503, 503]), ("10.0.0.1", [200])):
        body = b"picture".join(HEADER)
        sent = [room.send("/gradio_api/upload", whole(body), client) for _ in expected]
        assert [run(request) for request in sent] == expected


def test_a_full_disk_is_one_line_and_no_file(tmp_path, caplog):
    async def full(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"Internal Server Error"})
        raise OSError(28, "No space left on device")

    wall = RequestFilter(full, tmp_path, local=True)
    body = b"picture".join(HEADER)
    assert ask(wall, headers=[KIND], receive=whole(body))[0] == 507
    [record] = caplog.records
    assert record.exc_info is None
    assert "OSError" in record.getMessage()


class Slow:
    """A network whose other methods take a while."""

    classes = ("Mass",)
    methods = ("Grad-CAM", "EigenCAM", "LayerCAM")

    def heatmap(self, prediction, finding, method):
        time.sleep(0.01)
        return np.ones((2, 2))


def test_a_lesson_of_heatmaps_closes_no_other_tab(tmp_path, monkeypatch):
    monkeypatch.setattr(Service, "_answered", lambda self, example: None)
    monkeypatch.setattr(Slow, "predict", None, raising=False)
    service = Service(Slow(), tmp_path)

    async def attack():
        shared = Analysis(Slow(), None, None, (2, 2), None)  # an example: computed once for all
        await asyncio.gather(*[service.heatmap(shared, "Mass", "LayerCAM") for _ in range(84)])
        analyses = [Analysis(Slow(), None, None, (2, 2), None) for _ in range(84)]
        asked = [
            asyncio.create_task(service.heatmap(analysis, "Mass", "EigenCAM"))
            for analysis in analyses
        ]
        await asyncio.sleep(0.005)
        assert service.admission.count == 0  # all places of the Radiograph tab are free
        return await asyncio.gather(*asked, return_exceptions=True)

    outcomes = run(attack())
    refused = [outcome for outcome in outcomes if isinstance(outcome, security.Busy)]
    assert len(refused) == 84 - security.METHODS
    assert "heatmaps" in str(refused[0])
    service.close()


@pytest.mark.parametrize(
    "body",
    [
        b"{",
        b"\xff\xfe",
        b"[]",
        b"1",
        b"null",
        b"[" * 30_000 + b"]" * 30_000,
        b'{"data": [1' + b"0" * 400 + b"]}",
        b'{"data": [-1' + b"0" * 5000 + b"]}",
        b'{"data": [1e400]}',
        b'{"data": [NaN]}',
        b'{"data": "x"}',
        b'{"event_data": [1]}',
        b'{"event_data": "x"}',
        b'{"fn_index": "0"}',
        b'{"fn_index": true}',
        b'{"session_hash": "a/b"}',
        b'{"session_hash": 5}',
    ],
    ids=lambda body: body[:24].decode("latin-1"),
)
def test_a_question_of_another_shape_is_refused(body):
    with pytest.raises(Refused) as caught:
        question(body)
    assert caught.value.status == 422


def test_an_ordinary_question_is_understood():
    asked = {"data": [0.5, -3, 2**53, None], "event_data": {"at": 1e-9}, "session_hash": "a1"}
    assert question(json.dumps(asked).encode()) == asked


HOSTS = ("[", "[::1", "a b", "a:x", "127.0.0.1:999999", "é", "", "a/b", "localhost@evil")


@pytest.mark.parametrize("local", [True, False])
@pytest.mark.parametrize("host", HOSTS)
def test_a_host_that_is_no_name_is_refused(tmp_path, host, local):
    wall = RequestFilter(behind, tmp_path, local)
    assert ask(wall, headers=[(b"host", host.encode())], path=JOIN)[0] == 400


@pytest.mark.parametrize("origin", ["http://[", "http://", "http://[::1]:x", "x", "http://a b"])
def test_an_origin_that_is_none_is_refused(tmp_path, origin):
    wall = RequestFilter(behind, tmp_path, local=False, public_host="demo.example.org")
    assert ask(wall, headers=[(b"origin", origin.encode())], path=JOIN)[0] == 403


@pytest.mark.parametrize("host", ["demo.example.org", "DEMO.example.org:8443", "127.0.0.1:7860"])
def test_a_reverse_proxys_host_and_origin_are_answered_whether_it_keeps_them_or_not(tmp_path, host):
    wall = RequestFilter(behind, tmp_path, local=True, public_host="demo.example.org")
    for origin in ("https://demo.example.org", "http://demo.example.org:8811"):
        headers = [(b"host", host.encode()), (b"origin", origin.encode())]
        assert ask(wall, headers=headers, path=JOIN)[0] == 200
    for origin in ("https://demo.example.org.evil", "https://evil.example"):
        headers = [(b"host", host.encode()), (b"origin", origin.encode())]
        assert ask(wall, headers=headers, path=JOIN)[0] == 403
    assert ask(wall, headers=[(b"host", b"evil.example")], path=JOIN)[0] == 421


def test_a_path_that_a_proxy_leaves_in_place_is_taken_off(tmp_path):
    wall = RequestFilter(behind, tmp_path, local=True, root_path="/xray")
    assert ask(wall, path="/xray" + JOIN)[0] == 200
    assert ask(wall, path=JOIN)[0] == 200
    assert ask(wall, path="/xrays" + JOIN)[0] == 404
    assert ask(wall, path="/xray", method="GET")[0] == 200


@pytest.mark.parametrize(
    ("host", "root", "url"),
    [
        ("demo.example.org", "", "https://demo.example.org/"),
        ("http://demo.example.org:8080/", "/xray/", "http://demo.example.org:8080/xray/"),
    ],
)
def test_the_address_behind_a_proxy(host, root, url):
    assert public_address(host, checked_root_path(root)) == url


@pytest.mark.parametrize("wrong", ["", "a b", "https://a/b", "ftp://a", "a:b", "[", "a?b"])
def test_what_is_no_public_host_is_refused(wrong):
    with pytest.raises(ConfigError, match="--public-host"):
        public_address(wrong)
    with pytest.raises(ConfigError, match="--root-path"):
        checked_root_path("xray" + wrong)


def test_this_machine_is_asked_without_a_proxy_and_the_users_list_stays(monkeypatch):
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "all_proxy", "https_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "intra.example, .uni.example")
    monkeypatch.setenv("no_proxy", "localhost")
    security.bypass_proxy()
    for name in ("NO_PROXY", "no_proxy"):
        hosts = os.environ[name].split(",")
        assert {"intra.example", ".uni.example", *security.LOOPBACK} == set(hosts)
        assert len(hosts) == len(set(hosts))


@pytest.mark.parametrize("proxy", ["socks5://127.0.0.1:9", "what://127.0.0.1:9"])
def test_a_proxy_that_cannot_be_asked_is_left_out_in_one_line(monkeypatch, capsys, proxy):
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ALL_PROXY", proxy)
    monkeypatch.setitem(sys.modules, "socksio", None)
    security.bypass_proxy()
    httpx.Client().close()
    [line] = capsys.readouterr().err.splitlines()
    assert line.startswith("The demo goes without the proxy of the environment: ")
