"""A small web server on this machine that misbehaves as told."""

import re
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

ELSEWHERE = "http_proxy https_proxy all_proxy HF_TOKEN HF_HUB_OFFLINE CHEXNET_OFFLINE".split()
"""What in the environment would keep a request from this server, or say who asks."""


@dataclass
class Answer:
    """How one request is answered. What is None is done as a good server does it."""

    status: int | None = None
    headers: dict = field(default_factory=dict)
    content: bytes | None = None
    cut: int | None = None
    """The connection is cut after so many bytes of the body."""
    length: int | None = None
    """Content-Length, where another than the body's is told."""
    total: int | None = None
    """The whole length that Content-Range tells."""
    shift: int = 0
    """Content-Range begins so many bytes later than asked for."""
    ranges: bool = True
    if_range: bool = True
    """Whether the server looks at If-Range."""
    etag: str | None = '"first"'
    pause: float = 0.0
    """Seconds before each 16 KiB."""


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        self.files: dict[str, bytes] = {}
        self.answers: dict[str, list[Answer]] = {}
        self.usual = Answer()
        self.asked: list[tuple[str, dict]] = []
        self.respond: Callable | None = None
        super().__init__(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def ranges(self, path: str) -> list[str | None]:
        """The `Range` of each request for a path."""
        return [headers.get("range") for name, headers in self.asked if name == path]

    def handle_error(self, *_: object) -> None:
        """A client that hangs up is what these tests are about."""


def without_length(handler: BaseHTTPRequestHandler) -> bool:
    """Answer 4 MiB whose length nobody is told; for `Server.respond`."""
    handler.send_response(200)
    handler.send_header("Connection", "close")
    handler.end_headers()
    handler.close_connection = True
    for _ in range(64):
        handler.wfile.write(bytes(65536))
    return True


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.asked.append((self.path, headers))
        if self.server.respond and self.server.respond(self):
            return
        waiting = self.server.answers.get(self.path)
        answer = waiting.pop(0) if waiting else self.server.usual
        content = self.server.files.get(self.path) if answer.content is None else answer.content
        if content is None:
            return self._send(Answer(status=404), b"", {})
        told = dict(answer.headers)
        if answer.etag:
            told["ETag"] = answer.etag
        start = self._start(answer, headers)
        if answer.status is not None or start is None:
            return self._send(answer, content, told)
        total = answer.total or len(content)
        if start >= len(content):
            told["Content-Range"] = f"bytes */{total}"
            return self._send(Answer(status=416), b"", told)
        told["Content-Range"] = f"bytes {start + answer.shift}-{len(content) - 1}/{total}"
        self._send(answer, content[start:], told, status=206)

    do_HEAD = do_GET

    def _start(self, answer: Answer, headers: dict) -> int | None:
        asked = re.fullmatch(r"bytes=(\d+)-", headers.get("range", ""))
        if not asked or not answer.ranges:
            return None
        if answer.if_range and headers.get("if-range") not in (None, answer.etag):
            return None
        return int(asked[1])

    def _send(self, answer: Answer, body: bytes, told: dict, status: int = 200) -> None:
        self.send_response(answer.status or status)
        for name, value in told.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(answer.length or len(body)))
        self.end_headers()
        if self.command == "HEAD":
            return
        end = len(body) if answer.cut is None else answer.cut
        for first in range(0, end, 1 << 14):
            time.sleep(answer.pause)
            self.wfile.write(body[first : min(first + (1 << 14), end)])
            self.wfile.flush()
        if answer.cut is not None or answer.length:
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Silence."""


@contextmanager
def serving() -> Iterator[Server]:
    """A server in a thread until the block ends, which every request reaches."""
    with Server() as server, pytest.MonkeyPatch.context() as patch:
        for name in ELSEWHERE:
            patch.delenv(name, raising=False)
            patch.delenv(name.upper(), raising=False)
        thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
        thread.start()
        try:
            yield server
        finally:
            server.shutdown()
            thread.join()
