"""Requests of somebody who means harm: each has its expected answer, none gets a server's file."""

import http.server
import json
import socket
import threading
import time
import zlib
from io import BytesIO
from urllib.parse import urlsplit

import httpx
import pytest
from PIL import Image

from demo import guard
from tests.demo.conftest import file_data, files, png

SECRET = "the-content-of-a-server-file-7f3a"


@pytest.fixture
def secret(tmp_path):
    """A file of the server that no visitor may read; a picture beside it that he may not either."""
    path = tmp_path / "secret.png"
    path.write_bytes(png() + SECRET.encode())
    return path


def refused(web, payload) -> str:
    """Ask for a prediction of `payload`, which has to fail; returns what was said."""
    kind, said = web.ask("predict", payload)
    assert kind in ("error", "413", "422"), said
    assert SECRET not in said
    assert "Traceback" not in said
    assert "root:" not in said
    return said


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/file=../../../etc/passwd",
        "/gradio_api/file/etc/passwd",
        "/gradio_api/file=http://127.0.0.1:1/",
        "/gradio_api/proxy=http://127.0.0.1:1/",
        "/gradio_api/proxy=https://example.hf.space/",
        "/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd",
        "/assets/..%2f..%2f..%2fetc%2fpasswd",
        "/gradio_api/stream/a/b/c/playlist.m3u8",
        "/gradio_api/custom_component/1/client/component/../../etc/passwd",
        "/gradio_api/openapi.json",
        "/openapi.json",
        "/docs",
        "/monitoring",
        "/monitoring/summary",
        "/gradio_api/dev/reload",
        "/gradio_api/runs",
        "/gradio_api/deep_link",
        "/gradio_api/vibe-code",
        "/gradio_api/token",
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(web, path):
    answer = web.get(path)
    assert answer.status_code == 404
    assert answer.text == "Not found."


@pytest.mark.parametrize(
    "path", ["component_server", "process_recording", "vibe-edit", "undo-vibe-edit"]
)
def test_routes_that_run_what_they_are_sent_are_closed(web, path):
    assert web.post(f"/gradio_api/{path}", json={}).status_code == 404


@pytest.mark.parametrize("meta", [True, False], ids=["with meta", "without meta"])
def test_no_file_of_the_server_can_be_named(web, secret, meta):
    payload = file_data(str(secret))
    if not meta:
        del payload["meta"]
    refused(web, payload)
    assert secret.exists()


@pytest.mark.parametrize("meta", [True, False], ids=["with meta", "without meta"])
def test_a_relative_path_out_of_the_folder_is_refused(web, folder, secret, meta):
    payload = file_data(f"{folder}/../../../../../{secret}")
    if not meta:
        del payload["meta"]
    refused(web, payload)
    assert secret.exists()


def test_a_link_inside_the_folder_leads_nowhere(web, folder, secret):
    link = folder / "link.png"
    link.symlink_to(secret)
    try:
        refused(web, file_data(str(link)))
        assert secret.exists()
    finally:
        link.unlink()


def test_a_folder_or_the_lock_is_no_upload(web, folder):
    refused(web, file_data(str(folder)))
    refused(web, file_data(str(folder.parent / "lock")))
    assert (folder.parent / "lock").exists()


@pytest.mark.parametrize(
    "payload",
    [
        "/etc/passwd",
        7,
        [1, 2],
        {"path": None},
        {"path": 5},
        {"path": "a\0b"},
        {"url": "/etc/passwd"},
    ],
    ids=str,
)
def test_a_payload_of_another_shape_is_refused(web, payload):
    refused(web, payload)


def test_a_small_data_url_is_refused(web):
    refused(web, file_data("data:image/png;base64,iVBORw0KGgo="))
    refused(web, {"url": "data:image/png;base64,iVBORw0KGgo="})


def test_a_large_data_url_never_reaches_gradio(web):
    body = {"data": [{"url": "data:image/png;base64," + "A" * 20_000_000}]}
    status = status_of(lambda: web.post("/gradio_api/call/predict", json=body))
    assert status in (413, None)


@pytest.mark.parametrize("meta", [True, False], ids=["with meta", "without meta"])
def test_the_server_fetches_no_address_for_a_visitor(web, meta):
    asked = []

    class Inside(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()
            self.wfile.write(SECRET.encode())

        def log_message(self, *_):
            pass

    with http.server.HTTPServer(("127.0.0.1", 0), Inside) as inside:
        thread = threading.Thread(target=inside.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{inside.server_port}/inside.png"
        payload = file_data(url, url=url)
        if not meta:
            del payload["meta"]
        refused(web, payload)
        inside.shutdown()
        thread.join()
    assert asked == []


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


@pytest.mark.parametrize("path", ["upload", "queue/join", "run/predict", "call/predict"])
def test_a_chunked_body_is_counted_as_it_comes(web, folder, path):
    kind = "multipart/form-data; boundary=x" if path == "upload" else "application/json"
    status = status_of(
        lambda: web.post(
            f"/gradio_api/{path}", content=chunks(30 * 2**20), headers={"content-type": kind}
        )
    )
    assert status in (413, None)
    assert files(folder) == []


def test_an_upload_over_the_limit_is_refused_by_its_length(web, folder):
    data = bytes(guard.MAX_UPLOAD + 2**20)
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


def svg() -> bytes:
    return b'<svg xmlns="http://www.w3.org/2000/svg"><script>alert(1)</script></svg>'


def gif() -> bytes:
    file = BytesIO()
    Image.new("L", (96, 96)).save(file, "GIF")
    return file.getvalue()


def bomb() -> bytes:
    """A PNG that says 13,300 x 13,300 pixels."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        crc = zlib.crc32(kind + data).to_bytes(4, "big")
        return len(data).to_bytes(4, "big") + kind + data + crc

    side = (13_300).to_bytes(4, "big")
    rows = zlib.compress(bytes(13_301) * 200)
    return (
        b"\x89PNG\r\n\x1a\n"
        + chunk(b"IHDR", side + side + b"\x08\0\0\0\0")
        + chunk(b"IDAT", rows)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (svg(), "not a PNG"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a PNG"),
        (gif(), "GIF"),
        (b"root:x:0:0 is only text", "not a PNG"),
        (bomb(), "pixels"),
        (png()[:200], "damaged"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (png(size=32), "at least 64"),
        (b"\0" * 128 + b"DICM" + b"\xff" * 64, "DICOM"),
    ],
    ids=["svg", "eps", "gif", "text", "bomb", "truncated", "signature", "tiny", "dicom"],
)
def test_what_is_no_picture_is_refused_with_a_reason_and_removed(web, folder, data, says):
    said = refused(web, file_data(web.upload(data)))
    assert says in said
    assert files(folder) == []


def test_an_empty_upload_is_refused_and_removed(web, folder):
    assert "empty" in refused(web, file_data(web.upload(b"")))
    assert files(folder) == []


def test_the_same_upload_cannot_be_used_twice(web):
    path = web.upload(png())
    assert web.ask("predict", file_data(path))[0] == "complete"
    refused(web, file_data(path))


@pytest.mark.parametrize(
    "wrong",
    [
        {"finding": "../../etc/passwd"},
        {"finding": "No Finding"},
        {"finding": None},
        {"finding": ["Mass"]},
        {"method": "__class__"},
        {"opacity": 1e9},
        {"opacity": "x"},
        {"colours": "jet"},
        {"scale": {}},
        {"window": 0},
        {"invert": "yes"},
    ],
    ids=str,
)
def test_an_unknown_finding_or_look_is_refused(web, wrong):
    session = f"s{time.monotonic_ns()}"
    assert web.ask("predict", file_data(web.upload(png())), session=session)[0] == "complete"
    given = {
        "finding": "Mass", "method": "Grad-CAM", "opacity": 0.5, "colours": "inferno",
        "scale": "absolute", "level": 0.5, "window": 1.0, "invert": False,
    }  # fmt: skip
    assert web.ask("heatmap", *given.values(), session=session)[0] == "complete"
    kind, said = web.ask("heatmap", *(given | wrong).values(), session=session)
    assert kind == "error"
    assert "Traceback" not in said
    assert "passwd" not in said


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["upload", "queue/join", "call/predict"])
def test_pages_of_other_hosts_cannot_send_requests(web, origin, path):
    answer = web.post(f"/gradio_api/{path}", headers={"origin": origin}, content=b"{}")
    assert answer.status_code == 403
    assert answer.text == "Requests from other pages are not answered."


def test_another_name_for_this_machine_is_refused(web):
    assert web.get("/config", headers={"host": "elsewhere.example"}).status_code == 421


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


def test_every_answer_forbids_other_hosts(web):
    policy = web.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


def test_results_hold_nothing_of_the_file_but_its_pixels(web):
    kind, said = web.ask("predict", file_data(web.upload(png(), "DOE_JANE.png")))
    assert kind == "complete"
    assert "DOE_" not in said
    assert set(json.loads(said)[-1]) >= {"probabilities", "thresholds", "overlay", "gate"}
