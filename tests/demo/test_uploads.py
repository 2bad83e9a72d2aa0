"""Uploads too large, too slow, of strange names, or no picture: refused, and nothing stays."""

import socket
from urllib.parse import urlsplit

import httpx
import pytest

from demo import security
from tests.demo.conftest import file_data, files, png, refused
from tests.malformed import bombs, strangers


def chunks(total: int):
    head = b'--x\r\nContent-Disposition: form-data; name="files"; filename="a.png"\r\n\r\n'
    yield head
    for _ in range(total // 2**16):
        yield b"0" * 2**16
    yield b"\r\n--x--\r\n"


def status_of(send) -> int | None:
    """The status, or None where the server closed the door while we were still sending."""
    try:
        return send().status_code
    except (httpx.WriteError, httpx.ReadError, httpx.RemoteProtocolError):
        return None


@pytest.mark.parametrize("path", ["upload", "queue/join", "call/predict"])
def test_a_chunked_body_is_counted_as_it_comes(web, folder, path):
    kind = "multipart/form-data; boundary=x" if path == "upload" else "application/json"
    status = status_of(
        lambda: web.post(
            f"/gradio_api/{path}", content=chunks(30 * 2**20), headers={"content-type": kind}
        )
    )
    assert status in (413, None)
    assert files(folder) == []


def test_a_large_data_url_never_reaches_gradio(web):
    body = {"data": [{"url": "data:image/png;base64," + "A" * 20_000_000}]}
    status = status_of(lambda: web.post("/gradio_api/call/predict", json=body))
    assert status in (413, None)


def test_an_upload_over_the_limit_is_refused_by_its_length(web, folder):
    data = bytes(security.MAX_UPLOAD + 2**20)
    status = status_of(lambda: web.post("/gradio_api/upload", files={"files": ("a.png", data)}))
    assert status in (413, None)
    assert files(folder) == []


def test_a_length_that_is_no_number_is_refused(served):
    place = urlsplit(served.url)
    with socket.create_connection((place.hostname, place.port), timeout=10) as raw:
        raw.sendall(
            f"POST /gradio_api/upload HTTP/1.1\r\nHost: {place.netloc}\r\n"
            "Content-Length: -5\r\n\r\n".encode()
        )
        assert b" 4" in raw.recv(200).split(b"\r\n")[0]


def test_slow_uploads_hold_up_nobody(served, web):
    place = urlsplit(served.url)
    slow = [socket.create_connection((place.hostname, place.port), timeout=30) for _ in range(8)]
    try:
        for raw in slow:
            raw.sendall(
                f"POST /gradio_api/upload HTTP/1.1\r\nHost: {place.netloc}\r\n"
                "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 9000\r\n\r\n"
                "--x\r\n".encode()
            )
        assert web.ask("predict", file_data(web.upload(png())))[0] == "complete"
    finally:
        for raw in slow:
            raw.close()


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (strangers()["SVG"], "not a PNG"),
        (strangers()["EPS"], "not a PNG"),
        (strangers()["GIF"], "GIF"),
        (strangers()["text"], "not a PNG"),
        (strangers()["nothing"], "empty"),
        (bombs()["177 million pixels"], "pixels"),
        (png()[:200], "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (png(size=32), "at least 64"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 64, "DICOM"),
    ],
    ids=["svg", "eps", "gif", "text", "empty", "bomb", "truncated", "signature", "tiny", "dicom"],
)
def test_what_is_no_picture_is_refused_with_a_reason_and_removed(web, folder, data, says):
    said = refused(web, file_data(web.upload(data)))
    assert says in said
    assert files(folder) == []


def test_the_same_upload_cannot_be_used_twice(web):
    path = web.upload(png())
    assert web.ask("predict", file_data(path))[0] == "complete"
    refused(web, file_data(path))


def test_a_file_name_with_markup_or_folders_is_never_shown_back(web, folder):
    for name in ('<script>alert("x")</script>.png', "../../up.png", "a" * 200 + ".png"):
        kind, said = web.ask("predict", file_data(web.upload(png(), name)))
        assert kind == "complete"
        assert "script" not in said
        assert files(folder) == []


def test_a_file_name_of_a_megabyte_is_refused(web, folder):
    status = status_of(
        lambda: web.post("/gradio_api/upload", files={"files": ("a" * 2**20 + ".png", png())})
    )
    assert status in (400, None)
    assert files(folder) == []


def test_two_files_in_one_upload_are_refused(web, folder):
    both = [("files", ("a.png", png())), ("files", ("b.png", png()))]
    assert web.post("/gradio_api/upload", files=both).status_code == 400
    assert files(folder) == []
