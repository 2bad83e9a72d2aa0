"""What stands before Gradio: which requests come through, and how large and slow they may be."""

import asyncio
import re
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demo import guard

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Every path that the page and gradio_client use, and no other: Gradio also has routes that fetch
# URLs, serve files, run recordings and edit the app.
_OPEN = (
    ("GET", r"/"),
    ("GET", r"/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?"),
    ("GET", r"/(assets|static|svelte)/[\w./@+-]+"),
    ("POST", r"/login/?"),
    ("GET", r"/logout"),
    ("GET", r"/gradio_api/(info|user|app_id|login_check|theme\.css|startup-events)/?"),
    ("GET", r"/gradio_api/(queue/data|upload_progress)"),
    ("GET", r"/gradio_api/heartbeat/\w+"),
    ("GET", r"/gradio_api/call/\w+/\w+"),
    ("POST", r"/gradio_api/(upload|queue/join|cancel|reset)/?"),
    ("POST", r"/gradio_api/(call|run|api)/(v2/)?\w+/?"),
)
_PATHS = tuple((method, re.compile(pattern)) for method, pattern in _OPEN)
_PART_HEADER = re.compile(rb"\r\n\r\n")

HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    # Pictures come as data: URLs; nothing of another host is ever asked for. Gradio's page needs
    # inline scripts, styles, and eval for its templates.
    (
        b"content-security-policy",
        b"default-src 'self'; script-src 'self' 'unsafe-inline' 'unsafe-eval' blob:; "
        b"style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; font-src 'self' data:; "
        b"connect-src 'self' data: blob:; worker-src 'self' blob:; object-src 'none'; "
        b"base-uri 'self'; form-action 'self'; frame-ancestors 'self'",
    ),
)


class Refused(Exception):
    """A request that does not come through."""

    def __init__(self, status: int, text: str) -> None:
        """Answer `status` and `text`."""
        super().__init__(text)
        self.status, self.text = status, text


class Wall:
    """ASGI middleware: paths, origin, size and time of every request.

    Args:
        app: Gradio.
        folder: of the uploads, to see how full it is.
        local: True where only this machine can reach the demo.
        share_host: tells the host of the public link, None where there is none.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        folder: Path,
        local: bool,
        share_host: Callable[[], str | None] = lambda: None,
    ) -> None:
        """Keep the settings."""
        self.app, self.folder, self.local, self.share_host = app, folder, local, share_host

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            return
        started = False

        async def watched(message: dict[str, Any]) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                message = {**message, "headers": [*message.get("headers", []), *HEADERS]}
            await send(message)

        body = None
        try:
            self._check(scope)
            body = _Body(receive, *self._limits(scope))
            await self.app(scope, body, watched)
        except Refused as refused:
            if not started:
                await _answer(watched, refused.status, refused.text)
        else:
            # Gradio may turn the refusal of a body into an error of its own; both are refusals.
            return

    def _check(self, scope: Scope) -> None:
        headers = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        asked = "GET" if method == "HEAD" else method
        allowed = any(m == asked and p.fullmatch(path) for m, p in _PATHS)
        if not allowed or ".." in path:
            raise Refused(404, "Not found.")
        host = headers.get(b"host", b"").decode("latin-1")
        name = urlsplit(f"//{host}").hostname
        share = self.share_host()
        if self.local and share is None and name not in guard.LOOPBACK:
            # Another name that leads to this machine: a page elsewhere may pretend to be ours.
            raise Refused(421, "Open the demo by the address that it printed.")
        origin = headers.get(b"origin")
        if origin is not None:
            given = urlsplit(origin.decode("latin-1")).netloc
            if not given or given not in (host, share):
                raise Refused(403, "Requests from other pages are not answered.")

    def _limits(self, scope: Scope) -> tuple[int, bool]:
        headers = dict(scope["headers"])
        upload = scope["path"].rstrip("/").endswith("/upload")
        limit = guard.MAX_UPLOAD + guard.MAX_HEADERS if upload else guard.MAX_BODY
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > limit):
            raise Refused(413, f"At most {limit // 2**10:,} KB can be sent.")
        if upload and _size(self.folder) > guard.MAX_FOLDER:
            raise Refused(503, "Too many pictures wait to be read. Try again in a few minutes.")
        return limit, upload


class _Body:
    """A request's body, counted as it comes: `Content-Length` may be missing or wrong."""

    def __init__(self, receive: Receive, limit: int, upload: bool) -> None:
        self.receive, self.limit, self.upload = receive, limit, upload
        self.seen, self.head, self.done = 0, b"", False
        self.deadline = time.monotonic() + guard.MAX_BODY_SECONDS

    async def __call__(self) -> dict[str, Any]:
        if self.done:  # from here on only the news that the visitor left
            return await self.receive()
        try:
            left = max(0.0, self.deadline - time.monotonic())
            message = await asyncio.wait_for(self.receive(), left)
        except TimeoutError:
            raise Refused(408, "The upload took too long.") from None
        if message["type"] != "http.request":
            return message
        chunk = message.get("body", b"")
        self.seen += len(chunk)
        if self.seen > self.limit:
            raise Refused(413, f"At most {self.limit // 2**10:,} KB can be sent.")
        if self.upload and self.head is not None:
            self._look_at_head(chunk)
        self.done = not message.get("more_body", False)
        return message

    def _look_at_head(self, chunk: bytes) -> None:
        # The first part's header; it holds the file's name.
        head = self.head + chunk[: guard.MAX_HEADERS + 4]
        if _PART_HEADER.search(head):
            self.head = None
        elif len(head) > guard.MAX_HEADERS:
            raise Refused(400, "The name of the file is too long.")
        else:
            self.head = head


async def _answer(send: Send, status: int, text: str) -> None:
    body = text.encode()
    headers = [
        (b"content-type", b"text/plain; charset=utf-8"),
        (b"content-length", str(len(body)).encode()),
        (b"connection", b"close"),
    ]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def _size(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except OSError:  # removed meanwhile
            continue
    return total
