"""Fetching one file from a server that misbehaves."""

import hashlib
import json
import signal
import sys
from types import SimpleNamespace

import numpy as np
import pytest

from chexnet import files
from chexnet.data import download as module
from chexnet.data.download import Stopped, download
from chexnet.errors import FetchError
from tests.conftest import needs_resource
from tests.loopback import Answer, serving, without_length

CONTENT = np.random.default_rng(0).bytes(300_000)
OTHER = np.random.default_rng(1).bytes(300_000)
MD5 = hashlib.md5(CONTENT).hexdigest()


@pytest.fixture
def server():
    with serving() as server:
        server.files["/file"] = CONTENT
        yield server


@pytest.fixture
def fetch(server, tmp_path):
    """Fetch the file to `place`; the content that is there afterwards."""

    def call(path: str = "/file", md5: str = MD5, **more) -> bytes:
        download(server.url + path, tmp_path / "file", md5, pause=0.001, **more)
        assert sorted(path.name for path in tmp_path.iterdir()) == ["file"]
        return (tmp_path / "file").read_bytes()

    return call


def parts(folder) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_file_arrives_in_one_request(server, fetch):
    seen = []
    assert fetch(on_progress=lambda *event: seen.append(event)) == CONTENT
    assert server.ranges("/file") == [None]
    assert ("fetching", len(CONTENT), len(CONTENT)) in seen
    assert seen[-1] == ("checking", len(CONTENT), len(CONTENT))


OLD = Answer(cut=100_000, content=OTHER, etag='"old"')
ANSWERS = {  # before the good ones, and the `Range` of each request
    "cut three times": (
        [Answer(cut=100_000), Answer(cut=50_000), Answer(cut=0)],
        [None, 100_000, 150_000, 150_000],
    ),
    "no ranges": ([Answer(cut=100_000), Answer(ranges=False)], [None, 100_000]),
    "another file meanwhile": ([OLD], [None, 100_000]),
    "another file, and If-Range is ignored": ([OLD, Answer(if_range=False)], [None, 100_000, None]),
    "a range that begins later": ([Answer(cut=100_000), Answer(shift=7)], [None, 100_000, None]),
    "a range that begins before": ([Answer(cut=100_000), Answer(shift=-1)], [None, 100_000, None]),
    "a body shorter than told": ([Answer(length=400_000)], [None, 300_000]),
    **{f"{status}, twice": ([Answer(status=status)] * 2, [None] * 3) for status in (429, 500, 503)},
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_server_that_fails_is_asked_for_what_is_missing(server, fetch, name):
    answers, asked = ANSWERS[name]
    server.answers["/file"] = [*answers]
    assert fetch() == CONTENT
    assert server.ranges("/file") == [start and f"bytes={start}-" for start in asked]
    etags = [headers["if-range"] for _, headers in server.asked if "range" in headers]
    assert set(etags) <= {answers[0].etag}


def test_a_dead_server_ends_in_a_state_that_the_next_call_resumes(server, fetch, tmp_path):
    dead = [Answer(cut=0) for _ in range(module.FRUITLESS)]
    server.answers["/file"] = [Answer(cut=80_000), *dead]
    with pytest.raises(FetchError, match="goes on where it was"):
        fetch()
    assert parts(tmp_path) == [".file.part", ".file.part.json"]
    assert fetch() == CONTENT
    assert server.ranges("/file")[-1] == "bytes=80000-"


def test_a_server_without_ranges_that_cuts_each_time_is_given_up(server, fetch, tmp_path):
    server.usual = Answer(ranges=False, cut=70_000)
    with pytest.raises(FetchError, match="in a row"):
        fetch()
    assert len(server.asked) == 1 + module.FRUITLESS
    assert "file" not in parts(tmp_path)


def test_pieces_of_two_files_without_any_mark_are_told_by_the_checksum(server, fetch, tmp_path):
    server.usual = Answer(etag=None)
    server.answers["/file"] = [Answer(cut=100_000, content=OTHER, etag=None)]
    with pytest.raises(FetchError, match="may have changed meanwhile"):
        fetch()
    assert parts(tmp_path) == []
    assert fetch() == CONTENT


@pytest.mark.parametrize(
    ("more", "asked"), [(b"", ["bytes=300000-"]), (b"more", ["bytes=300004-", None])]
)
def test_a_part_that_was_whole_is_only_compared_and_a_longer_one_begins_again(
    server, fetch, tmp_path, more, asked
):
    note = {"url": f"{server.url}/file", "mark": '"first"'}
    (tmp_path / ".file.part").write_bytes(CONTENT + more)
    (tmp_path / ".file.part.json").write_text(json.dumps(note))
    assert fetch() == CONTENT
    assert server.ranges("/file") == asked


@pytest.mark.parametrize("note", ["", "[]", '{"url": "http://elsewhere/file"}', None])
def test_a_part_of_nobody_knows_what_is_not_used(server, fetch, tmp_path, note):
    (tmp_path / ".file.part").write_bytes(OTHER[:5000])
    if note is not None:
        (tmp_path / ".file.part.json").write_text(note)
    assert fetch() == CONTENT
    assert server.ranges("/file") == [None]


def test_a_body_longer_than_told_is_refused_by_its_checksum(server, fetch, tmp_path):
    server.usual = Answer(length=299_000)
    with pytest.raises(FetchError, match="expected " + MD5):
        fetch()
    assert parts(tmp_path) == []


def test_a_wrong_checksum_is_refused_and_nothing_stays(server, fetch, tmp_path):
    server.files["/file"] = OTHER
    with pytest.raises(FetchError, match=hashlib.md5(OTHER).hexdigest()):
        fetch()
    assert parts(tmp_path) == []
    assert len(server.asked) == 1  # nothing was sewn together: a second time would be the same


def test_a_file_that_is_there_is_compared_and_never_replaced(server, fetch, tmp_path):
    (tmp_path / "file").write_bytes(CONTENT)
    assert fetch() == CONTENT
    (tmp_path / "file").write_bytes(OTHER)
    with pytest.raises(FetchError, match="Remove it"):
        fetch()
    assert (tmp_path / "file").read_bytes() == OTHER
    assert server.asked == []


def test_redirects_are_followed_with_the_range(server, fetch):
    server.answers["/old"] = [Answer(status=302, content=b"", headers={"Location": "/file"})] * 2
    server.answers["/file"] = [Answer(cut=100_000)]
    assert fetch("/old") == CONTENT
    assert server.ranges("/file") == [None, "bytes=100000-"]


def test_redirects_without_end_are_refused(server, fetch):
    server.answers["/loop"] = [
        Answer(status=302, content=b"", headers={"Location": "/loop"}) for _ in range(30)
    ]
    with pytest.raises(FetchError, match="redirect"):
        fetch("/loop")


@pytest.mark.parametrize("status", [403, 404, 410])
def test_a_file_that_has_moved_is_refused_at_once(server, fetch, tmp_path, status):
    server.usual = Answer(status=status)
    with pytest.raises(FetchError, match=rf"answered {status}.*by hand"):
        fetch()
    assert len(server.asked) == 1
    assert parts(tmp_path) == []


def test_a_server_that_says_when_to_come_again_is_obeyed(server, fetch, monkeypatch):
    waits = []
    monkeypatch.setattr(module, "_wait", lambda seconds, _: waits.append(seconds))
    told = ("7", "9999", "soon", "\xb2")  # the last is a digit, and no number
    server.answers["/file"] = [Answer(status=503, headers={"Retry-After": t}) for t in told]
    assert fetch() == CONTENT
    assert waits[:2] == [7, module.LONGEST_WAIT]
    assert max(waits[2:]) < 1


def test_a_web_page_is_no_file(server, fetch, tmp_path):
    server.usual = Answer(content=b"<html>", headers={"Content-Type": "text/html; charset=utf-8"})
    with pytest.raises(FetchError, match="web page"):
        fetch()
    assert parts(tmp_path) == []


def test_no_server_is_one_line(tmp_path):
    with serving() as gone:
        url = gone.url
    with pytest.raises(FetchError, match="in a row"):
        download(f"{url}/file", tmp_path / "file", MD5, pause=0.001)
    assert parts(tmp_path) == []


def test_a_disk_without_room_is_told_before_anything_is_written(
    server, fetch, tmp_path, monkeypatch
):
    usage = SimpleNamespace(free=files.ROOM + 200_000)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FetchError, match="are free"):
        fetch()
    assert not (tmp_path / ".file.part").exists()
    monkeypatch.undo()
    assert fetch() == CONTENT


def test_a_body_without_a_length_never_fills_the_disk(server, fetch, tmp_path, monkeypatch):
    server.respond = without_length
    part = tmp_path / ".file.part"

    def left(_: object):
        taken = part.stat().st_size if part.exists() else 0
        return SimpleNamespace(free=files.ROOM + 1_000_000 - taken)

    monkeypatch.setattr(files.shutil, "disk_usage", left)
    with pytest.raises(FetchError, match="the disk is full"):
        fetch()
    assert part.stat().st_size == 0
    assert not (tmp_path / "file").exists()


@needs_resource
def test_a_disk_that_fills_up_keeps_what_was_written(server, fetch, tmp_path):
    import resource

    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (150_000, limit[1]))
    try:
        with pytest.raises(FetchError, match=r"Could not write .* what was fetched is kept"):
            fetch()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
        signal.signal(signal.SIGXFSZ, handler)
    kept = (tmp_path / ".file.part").stat().st_size
    assert kept > 100_000
    assert fetch() == CONTENT
    assert server.ranges("/file")[-1] == f"bytes={kept}-"


def test_a_stop_is_obeyed_and_resumed(server, fetch, tmp_path):
    calls = iter([False] * 5 + [True] * 10)
    with pytest.raises(Stopped):
        fetch(stopped=lambda: next(calls))
    kept = (tmp_path / ".file.part").stat().st_size
    assert kept > 0
    assert fetch() == CONTENT
    assert server.ranges("/file")[-1] == f"bytes={kept}-"


def test_a_missing_package_is_named_with_what_installs_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "httpx", None)
    with pytest.raises(FetchError, match="pip install httpx"):
        download("http://127.0.0.1/file", tmp_path / "file", MD5)


def test_https_is_never_left_for_http():
    """A redirect of a secure address to an insecure one; no certificate is needed to ask."""
    import httpx

    def answer(request: httpx.Request) -> httpx.Response:
        if request.url.scheme == "https":
            return httpx.Response(302, headers={"Location": "http://elsewhere/file"})
        return httpx.Response(200, content=CONTENT)

    with httpx.Client(transport=httpx.MockTransport(answer), follow_redirects=True) as client:
        response = client.get("https://nih/file")
    with pytest.raises(FetchError, match="without https"):
        module._refuse("https://nih/file", response)
