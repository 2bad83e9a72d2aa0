"""The safety choices that need no server."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys

import pytest

from chexnet.errors import ConfigError
from demo import security
from demo.middleware import RequestFilter
from tests.conftest import needs_links, needs_modes
from tests.demo.conftest import run

JOIN = "/api/step"
ARGUMENTS = {"method": "POST", "path": "/gradio_api/upload", "type": "http"}


def ask(wall: RequestFilter, *, headers=(), receive=None, **scope) -> tuple[int, bytes]:
    """Send one request through the wall; returns status and body."""
    sent = []

    async def nothing():
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message):
        sent.append(message)

    given = [(b"host", b"127.0.0.1:7860"), *headers]
    run(wall({**ARGUMENTS, "headers": given, **scope}, receive or nothing, send))
    return sent[0]["status"], sent[-1].get("body", b"")


async def behind(scope, receive, send):
    """Reads all it is sent, as Gradio would, and says so."""
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"reached"})


def test_an_honest_request_comes_through(tmp_path):
    assert ask(RequestFilter(behind, tmp_path, local=True), path=JOIN) == (200, b"reached")


def test_a_body_that_takes_too_long_is_dropped(tmp_path, monkeypatch):
    monkeypatch.setattr(security, "MAX_BODY_SECONDS", 0.05)

    async def slow():
        await asyncio.sleep(5)

    assert ask(RequestFilter(behind, tmp_path, local=True), receive=slow)[0] == 408


def test_a_full_folder_takes_no_more(tmp_path, monkeypatch):
    (tmp_path / "waiting").write_bytes(bytes(100))
    monkeypatch.setattr(security, "MAX_FOLDER", 99)
    assert ask(RequestFilter(behind, tmp_path, local=True))[0] == 503


def test_too_many_bytes_at_once_are_refused_and_forgotten(tmp_path, monkeypatch):
    monkeypatch.setattr(security, "MAX_HELD", 10)
    wall = RequestFilter(behind, tmp_path, local=True)

    async def much():
        return {"type": "http.request", "body": bytes(11), "more_body": True}

    assert ask(wall, receive=much)[0] == 503
    assert wall.held == 0


def test_an_upload_loses_its_name_and_nothing_else(tmp_path):
    content = bytes(range(256)) * 9
    body = (
        b'--x\r\nContent-Disposition: form-data; name="files"; filename="DOE_JANE.png"\r\n\r\n'
        + content
        + b"\r\n--x--\r\n"
    )
    got = []

    async def keeps(scope, receive, send):
        got.append(((await receive())["body"], dict(scope["headers"])[b"content-length"]))
        await behind(scope, lambda: asyncio.sleep(0, {"type": "http.disconnect"}), send)

    async def whole():
        return {"type": "http.request", "body": body, "more_body": False}

    kind = (b"content-type", b"multipart/form-data; boundary=x")
    wall = RequestFilter(keeps, tmp_path, local=True)
    assert ask(wall, headers=[kind], receive=whole)[0] == 200
    [(given, length)] = got
    assert b"DOE_" not in given
    assert given.split(b"\r\n\r\n", 1)[1] == content + b"\r\n--x--\r\n"
    assert int(length) == len(given)


def test_the_public_links_own_page_may_send_requests(tmp_path):
    wall = RequestFilter(behind, tmp_path, local=True, share_host=lambda: "abc.example")
    origin = (b"origin", b"https://abc.example")
    assert ask(wall, headers=[origin], path=JOIN)[0] == 200
    assert ask(wall, headers=[(b"origin", b"https://abd.example")])[0] == 403


def test_the_old_links_host_is_no_longer_answered(tmp_path):
    for local in (True, False):
        wall = RequestFilter(
            behind, tmp_path, local, lambda: "new.example:81", lambda: {"old.example"}
        )
        for host, status in (
            (b"new.example:81", 200), (b"new.example", 200), (b"127.0.0.1:7860", 200),
            (b"old.example", 421), (b"new.example.evil", 421 if local else 200),
        ):  # fmt: skip
            assert ask(wall, headers=[(b"host", host)], path=JOIN)[0] == status, host


def test_a_page_on_the_network_is_asked_by_any_name(tmp_path):
    wall = RequestFilter(behind, tmp_path, local=False)
    status, _ = ask(wall, headers=[(b"host", b"laptop.local:7860")], path=JOIN)
    assert status == 200


def test_places_are_counted_and_given_back():
    admission = security.Admission(2)
    with admission.one(), admission.one():
        with pytest.raises(security.Busy, match="The class is full"), admission.one():
            pass
        assert admission.count == 2
    assert admission.count == 0


@needs_modes
def test_the_private_folder_is_ours_alone_and_goes(tmp_path, monkeypatch):
    monkeypatch.setenv("GRADIO_ALLOWED_PATHS", "/")
    monkeypatch.setenv("GRADIO_TEMP_DIR", "elsewhere")
    with security.private_folder(tmp_path) as folder:
        assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
        assert os.environ["GRADIO_TEMP_DIR"] == str(folder)
        assert "GRADIO_ALLOWED_PATHS" not in os.environ
        (folder / "left.png").write_bytes(b"x")
    assert list(tmp_path.iterdir()) == []


HOLD = """
import sys, time
from pathlib import Path
from demo import security
with security.private_folder(Path(sys.argv[1])) as folder:
    (folder / "DOE_JANE.png").write_bytes(b"x")
    print("there", flush=True)
    time.sleep(60)
"""


def test_a_killed_demos_folder_goes_at_the_next_start_and_a_running_ones_stays(tmp_path):
    def begin():
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, str(tmp_path)], stdout=subprocess.PIPE, text=True
        )
        assert process.stdout.readline() == "there\n"
        return process

    with begin() as killed, begin() as running:
        killed.kill()
        killed.wait()
        assert len(list(tmp_path.rglob("DOE_JANE.png"))) == 2
        with security.private_folder(tmp_path):
            assert len(list(tmp_path.rglob("DOE_JANE.png"))) == 1
            running.kill()
        running.wait()
        with security.private_folder(tmp_path):
            assert list(tmp_path.rglob("DOE_JANE.png")) == []


@pytest.mark.parametrize("share", [True, False])
def test_a_page_that_others_reach_gets_two_long_passwords(share):
    logins = security.credentials(None, "127.0.0.1" if share else "0.0.0.0", share)
    assert logins.made
    assert [user for user, _ in logins.both] == ["class", "lecturer"]
    again = security.credentials(None, "0.0.0.0", False)
    passwords = {password for _, password in (*logins.both, *again.both)}
    assert len(passwords) == 4
    assert all(len(password) >= 24 for password in passwords)


def test_a_page_for_this_machine_alone_needs_no_password():
    assert security.credentials(None, "127.0.0.1", False) is None


def test_a_given_password_may_hold_colons():
    logins = security.credentials("a:b:c", "0.0.0.0", True)
    assert (logins.students, logins.made) == (("a", "b:c"), False)
    assert logins.lecturer[0] == "lecturer"
    assert logins.lecturer[1] != "b:c"


@pytest.mark.parametrize("auth", ["", "user", "user:", ":password"])
def test_half_a_login_is_refused(auth):
    with pytest.raises(ConfigError, match="USER:PASSWORD"):
        security.credentials(auth, "127.0.0.1", False)


def test_the_class_cannot_be_given_the_lecturers_name():
    with pytest.raises(ConfigError, match="another name for the class"):
        security.credentials("lecturer:secret", "127.0.0.1", False)


@needs_links
def test_an_upload_is_known_by_where_it_really_lies(tmp_path):
    inside = tmp_path / "uploads"
    inside.mkdir()
    good, outside = inside / "a.png", tmp_path / "b.png"
    good.write_bytes(b"x")
    outside.write_bytes(b"x")
    (inside / "link").symlink_to(outside)
    assert security.upload_inside(str(good), inside) == good.resolve()
    for wrong in (str(outside), f"{inside}/../b.png", str(inside / "link"), "a.png", str(inside)):
        with pytest.raises(ConfigError, match="no upload"):
            security.upload_inside(wrong, inside)


def test_uploads_outlive_the_longest_wait():
    # 64 admitted at half a second each wait 32 s; the net must not take what somebody waits for.
    assert security.SWEEP[1] > 10 * security.ADMITTED * 0.5


def test_a_lock_that_cannot_be_removed_while_it_is_held_goes_afterwards(tmp_path, monkeypatch):
    """As on Windows, where an open file stays."""
    folder = tmp_path / "chexnet-demo-old"
    (folder / "uploads").mkdir(parents=True)
    (folder / "lock").touch()
    remove, calls = shutil.rmtree, []

    def as_on_windows(path, **options):
        calls.append(1)
        remove(path / "uploads" if len(calls) == 1 else path, **options)

    monkeypatch.setattr(shutil, "rmtree", as_on_windows)
    security.remove_leftovers(tmp_path)
    assert list(tmp_path.iterdir()) == []
