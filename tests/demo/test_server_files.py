"""No request gets a file of the server, or anything that only the server could fetch."""

import http.server
import threading

import pytest

from tests.conftest import needs_links
from tests.demo.conftest import SECRET, file_data, png, refused


@pytest.fixture
def secret(tmp_path):
    """A file of the server that no visitor may read; a picture beside it that he may not either."""
    path = tmp_path / "secret.png"
    path.write_bytes(png() + SECRET.encode())
    return path


@pytest.fixture(params=[file_data, dict], ids=["with meta", "without meta"])
def named(request):
    """What a page says of a file, also without Gradio's mark of one."""
    return lambda path, **more: request.param(path=path, **more)


def test_no_file_of_the_server_can_be_named(web, secret, named):
    refused(web, named(str(secret)))
    assert secret.exists()


def test_a_relative_path_out_of_the_folder_is_refused(web, folder, secret, named):
    refused(web, named(f"{folder}/../../../../../{secret}"))
    assert secret.exists()


@needs_links
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


def test_the_server_fetches_no_address_for_a_visitor(web, named):
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
        refused(web, named(url, url=url))
        inside.shutdown()
        thread.join()
    assert asked == []
