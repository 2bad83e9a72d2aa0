"""What may be asked at all: closed routes, other pages, and values that no control gives."""

import time

import pytest

from tests.demo.conftest import file_data, png


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


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["upload", "queue/join", "call/predict"])
def test_pages_of_other_hosts_cannot_send_requests(web, origin, path):
    answer = web.post(f"/gradio_api/{path}", headers={"origin": origin}, content=b"{}")
    assert answer.status_code == 403
    assert answer.text == "Requests from other pages are not answered."


def test_another_name_for_this_machine_is_refused(web):
    assert web.get("/config", headers={"host": "elsewhere.example"}).status_code == 421


def test_the_panel_is_open_where_only_this_machine_reaches_the_page(web):
    state = web.get("/lecturer/state")
    assert state.status_code == 200
    assert (state.json()["login"], state.json()["link"]) == (None, None)
    for headers, status in (
        ({"host": "elsewhere.example"}, 421),
        ({"origin": "https://elsewhere.example"}, 403),
    ):
        assert web.get("/lecturer/state", headers=headers).status_code == status


def test_every_answer_forbids_other_hosts(web):
    policy = web.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy
    assert "http" not in policy


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
