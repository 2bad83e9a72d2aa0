"""What may be asked at all: closed routes, other pages, and values that no control gives."""

import re
import time

import pytest

from tests.conftest import ROOT
from tests.demo.conftest import file_data, files, png


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
        "/gradio_api/theme.css",
        "/theme.css",
        "/assets/index.js",
        "/api/other",
        "/page/../server.py",
        "/page/0123456789abcdef/../../server.py",
    ],
)
def test_routes_that_the_page_does_not_need_are_closed(web, path):
    answer = web.get(path)
    assert answer.status_code == 404
    assert answer.text == "Not found."


@pytest.mark.parametrize(
    "path", ["component_server", "process_recording", "vibe-edit", "run/predict", "api/predict"]
)
def test_routes_that_run_what_they_are_sent_are_closed(web, path):
    assert web.post(f"/gradio_api/{path}", json={}).status_code == 404


@pytest.mark.parametrize("origin", ["https://elsewhere.example", "null", "http://127.0.0.1:1"])
@pytest.mark.parametrize("path", ["api/analyse", "api/step", "login", "gradio_api/upload"])
def test_pages_of_other_hosts_cannot_send_requests(web, origin, path):
    answer = web.post(f"/{path}", headers={"origin": origin}, content=b"{}")
    assert answer.status_code == 403
    assert "Requests from other pages are not answered." in answer.text


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


def test_every_answer_forbids_other_hosts_and_scripts_that_are_no_file(web):
    for path in ("/", "/config", "/lecturer", "/nothing"):
        policy = web.get(path).headers["content-security-policy"]
        assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
        assert "unsafe" not in policy
        assert "http" not in policy
    page = web.get("/").text
    assert re.findall(r"<script[^>]*>[^<]", page) == []
    assert re.findall(r"<[^>]* (?:style|on\w+)=", page) == []


def test_files_of_the_page_are_kept_for_ever_by_their_hash_and_come_compressed(web):
    page = web.get("/")
    assert page.headers["cache-control"] == "no-cache"
    same = web.get("/", headers={"if-none-match": page.headers["etag"]})
    assert (same.status_code, same.content) == (304, b"")
    names = re.findall(r'(?:href|src)="(page/[^"]+)"', page.text)
    assert len(names) > 20
    size = int(page.headers["content-length"])
    for name in sorted(set(names)):
        answer = web.get(f"/{name}")
        assert answer.status_code == 200, name
        assert "immutable" in answer.headers["cache-control"]
        assert answer.headers["content-encoding"] == "gzip"
        size += int(answer.headers["content-length"])
    assert size < 120_000, "of the first load, without the example's answer"
    other = names[0].replace(names[0].split("/")[1], "0" * 16)
    assert web.get(f"/{other}").status_code == 404


def test_a_part_of_the_page_is_named_or_refused(web):
    for name in ("split", "example/mass", "patient/2"):
        assert web.get(f"/api/part/{name}").status_code == 200
    for name in ("other", "example/../mass", "patient/9", "patient/-1", "example/etc"):
        answer = web.get(f"/api/part/{name}")
        assert answer.status_code in (404, 422), name
        assert "Traceback" not in answer.text


@pytest.mark.parametrize(
    "wrong",
    [
        {"finding": "../../etc/passwd"},
        {"finding": "No Finding"},
        {"finding": None},
        {"finding": ["Mass"]},
        {"method": "__class__"},
    ],
    ids=str,
)
def test_an_unknown_finding_or_method_is_refused(web, wrong):
    session = f"s{time.monotonic_ns()}"
    assert web.ask("predict", file_data(web.upload(png())), session=session)[0] == "complete"
    given = {"finding": "Mass", "method": "Grad-CAM"}
    assert web.ask("heatmap", *given.values(), session=session)[0] == "complete"
    kind, said = web.ask("heatmap", *(given | wrong).values(), session=session)
    assert kind == "error"
    assert "Traceback" not in said
    assert "passwd" not in said


@pytest.mark.parametrize("wrong", [{"id": "0" * 32}, {"finding": "Cat"}, {"method": "__class__"}])
def test_a_map_that_is_not_kept_or_known_is_refused_in_words(web, wrong):
    answer = web.post("/api/analyse?anyway=1", content=png()).json()
    given = {"id": answer["id"], "finding": "Mass", "method": "Grad-CAM"}
    path = "/api/heat/{id}?finding={finding}&method={method}"
    assert web.get(path.format(**given)).json()["cells"] == answer["cells"]
    refused = web.get(path.format(**given | wrong))
    assert refused.status_code == 422
    assert refused.headers["content-type"].startswith("text/plain")
    assert "__class__" not in refused.text


def test_a_picture_of_the_page_never_touches_the_disk(web, folder):
    before = files(folder)
    for data in (png(1), b"only text", b""):
        web.post("/api/analyse", content=data)
        assert files(folder) == before
    for how in ("corrected=9", "corrected=-1", "corrected=x"):
        assert web.post(f"/api/analyse?{how}", content=png()).status_code == 422


def test_an_answer_has_the_fields_of_its_jsdoc_type(web):
    text = (ROOT / "demo" / "page" / "source" / "answer.js").read_text()
    of_it, tag, _ = text.partition("@typedef {Head & Partial<Result>} Answer")
    assert tag
    named = re.findall(r"@property \{.*\} (\w+)", of_it)
    answer = web.post("/api/analyse?anyway=1", content=png()).json()
    assert sorted(answer) == sorted(named)
