"""The page behind a reverse proxy, in Chromium."""

import http.client
import http.server
import threading
from contextlib import closing, contextmanager, suppress
from urllib.parse import urlsplit

import pytest

from tests.demo.conftest import INPUT, ROW, png


@contextmanager
def reverse_proxy(url: str, prefix: str, keep: bool):
    """Serves `url` under a path at another port; keeps the host that the browser names or not."""
    up = urlsplit(url).netloc

    class Proxy(http.server.BaseHTTPRequestHandler):
        def handle_request(self):
            if not self.path.startswith(prefix):  # somebody else's
                return self.send_error(404)
            size = int(self.headers.get("content-length", 0))
            headers = {k: v for k, v in self.headers.items() if k.lower() != "host"}
            headers["Host"] = "127.0.0.1" if keep else up
            if keep:  # as one of a name that leads to this machine
                headers |= {"Origin": "http://127.0.0.1"} if "Origin" in headers else {}
            with closing(http.client.HTTPConnection(up, timeout=60)) as client:
                path = self.path.removeprefix(prefix)
                body = self.rfile.read(size) if size else None
                client.request(self.command, path, body, headers)
                with client.getresponse() as answer, suppress(OSError):  # the browser may leave
                    self.send_response(answer.status)
                    for name, value in answer.getheaders():
                        if name.lower() not in ("transfer-encoding", "connection"):
                            self.send_header(name, value)
                    self.send_header("Connection", "close")
                    self.end_headers()
                    while part := answer.read1(65536):
                        self.wfile.write(part)

        do_GET = do_POST = handle_request

        def log_message(self, *_):
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Proxy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}{prefix}"
        server.shutdown()


@pytest.fixture
def page(page_of):
    with page_of(viewport={"width": 1360, "height": 1000}) as page:
        yield page


def test_a_page_whose_requests_are_refused_says_why(page, served):
    with reverse_proxy(served.url, "/xray", keep=False) as url:
        page.goto(f"{url}/")
        empty = page.locator("#cx-empty")
        assert not empty.is_visible(), "the scripts may still come"
        empty.evaluate("p => p.getAnimations().forEach((wait) => wait.finish())")
        assert empty.is_visible()
        assert "--public-host NAME" in empty.inner_text()


def test_a_page_without_its_scripts_says_why_it_is_empty(page, served):
    with reverse_proxy(served.url, "/xray", keep=True) as url:
        page.goto(url)  # without the / at its end, where no script is found
        assert "--public-host NAME" in page.wait_for_selector("#cx-empty").inner_text()


def test_a_page_under_a_path_asks_its_own_address(page, served):
    with reverse_proxy(served.url, "/xray", keep=True) as url:
        asked = []
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{url}/")
        page.wait_for_selector(ROW)
        page.set_input_files(INPUT, {"name": "a.png", "mimeType": "image/png", "buffer": png()})
        page.wait_for_function(
            "document.querySelector('[data-part=facts]').textContent.includes('96 x')"
        )
        assert [link for link in asked if not link.startswith((f"{url}/", "data:", "blob:"))] == []
