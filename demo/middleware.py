"""What stands before Gradio: which requests come through, and how large and slow they may be.

A body is read whole before Gradio sees it. One that is too large, too slow or cut off then leaves
nothing behind (Gradio's parser writes parts of files to the disk and forgets them), and an upload
loses its file name here: in a hospital that is often the patient's.
"""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from demo import security
from demo.room.visitors import Visitors

Scope = dict[str, Any]
Receive = Callable[[], Awaitable[dict[str, Any]]]
Send = Callable[[dict[str, Any]], Awaitable[None]]

# Every path that the page and gradio_client use, and no other: Gradio also has routes that fetch
# URLs, serve files, run recordings and edit the app. Without /logout: it would log out everybody
# of the same name, that is the whole class.
_OPEN = (
    ("GET", r"/"),
    ("GET", r"/(config|theme\.css|favicon\.ico|robots\.txt|manifest\.json)/?"),
    ("GET", r"/lecturer(/state|/picture/\d{1,3})?"),
    ("GET", r"/(assets|static|svelte)/[\w./@+-]+"),
    ("POST", r"/login/?"),
    ("GET", r"/gradio_api/(info|user|app_id|login_check|theme\.css|startup-events)/?"),
    ("GET", r"/gradio_api/(queue/data|upload_progress)"),
    ("GET", r"/gradio_api/heartbeat/\w+"),
    ("GET", r"/gradio_api/call/\w+/\w+"),
    ("POST", r"/gradio_api/(upload|queue/join|cancel|reset)/?"),
    ("POST", r"/gradio_api/(call|run|api)/(v2/)?\w+/?"),
)
_PATHS = tuple((method, re.compile(pattern)) for method, pattern in _OPEN)
_HEARTBEAT = re.compile(r"/gradio_api/heartbeat/(\w+)")
_BOUNDARY = re.compile(
    rb'multipart/form-data; *boundary="?([\w\'()+,./:=?-]{1,70})"?', re.IGNORECASE
)
# Gradio keeps an upload under a hash of its bytes and this name: with one name for all, a class
# that uploads the same picture would share one file, which goes when the first is answered.
_PART = (
    b'Content-Disposition: form-data; name="files"; filename="%s"\r\n'
    b"Content-Type: application/octet-stream"
)

_LENGTHS = (b"content-length", b"transfer-encoding")
HEADERS = (
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"x-robots-tag", b"noindex"),
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

HUB = b" https://huggingface.co"
"""May show a Space in its page; stands after the last word of the policy."""


class Refused(Exception):
    """A request that does not come through."""

    def __init__(self, status: int, text: str) -> None:
        """Answer `status` and `text`."""
        super().__init__(text)
        self.status, self.text = status, text


class Left(Exception):
    """The visitor left while he was still sending."""


class RequestFilter:
    """ASGI middleware: paths, origin, size and time of every request.

    Args:
        app: Gradio.
        folder: of the uploads, to see how full it is.
        local: True where only this machine can reach the demo.
        share_host: tells the host of the public link, None where there is none.
        former_hosts: tells the hosts of public links that are no longer.
        visitors: is told which pages come and leave.
        public: True where the Hub may show the page in its own.
    """

    def __init__(
        self,
        app: Callable[[Scope, Receive, Send], Awaitable[None]],
        folder: Path,
        local: bool,
        share_host: Callable[[], str | None] = lambda: None,
        former_hosts: Callable[[], Collection[str]] = tuple,
        visitors: Visitors | None = None,
        public: bool = False,
    ) -> None:
        """Keep the settings."""
        self.app, self.folder, self.local = app, folder, local
        self.share_host, self.former_hosts = share_host, former_hosts
        self.visitors = visitors or Visitors()
        *others, (policy, words) = HEADERS
        self.headers = [*others, (policy, words + public * HUB)]
        self.held = 0  # bytes of all bodies that are being read

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            return

        async def answer(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", []), *self.headers]}
            await send(message)

        try:
            self._check(scope)
            if scope["method"] == "POST":
                scope, receive = await self._read(scope, receive)
        except Refused as refused:
            await _answer(answer, refused.status, refused.text)
            return
        except Left:
            return
        page = _HEARTBEAT.fullmatch(scope["path"])
        if not page:
            await self.app(scope, receive, answer)
            return
        self.visitors.come(page[1])
        try:
            await self.app(scope, receive, answer)
        finally:
            self.visitors.leave(page[1])

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
        shared = share is not None and name == urlsplit(f"//{share}").hostname
        elsewhere = self.local and name not in security.LOOPBACK
        if not shared and (elsewhere or host in self.former_hosts()):
            # Another name that leads to this machine: a page elsewhere may pretend to be ours.
            raise Refused(421, "Open the demo by the address that it printed.")
        origin = headers.get(b"origin")
        if origin is not None:
            given = urlsplit(origin.decode("latin-1")).netloc
            if not given or given not in (host, share):
                raise Refused(403, "Requests from other pages are not answered.")

    async def _read(self, scope: Scope, receive: Receive) -> tuple[Scope, Receive]:
        """Read a body; returns the scope and the receiver that Gradio gets."""
        headers = dict(scope["headers"])
        upload = scope["path"].rstrip("/").endswith("/upload")
        limit = security.MAX_UPLOAD + 2**10 if upload else security.MAX_BODY
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > limit):
            raise _too_large(limit)
        if upload and _size(self.folder) > security.MAX_FOLDER:
            raise Refused(503, "Too many pictures wait to be read. Try again in a few minutes.")
        body = bytearray()
        try:
            async with asyncio.timeout(security.MAX_BODY_SECONDS):
                await self._fill(body, limit, receive)
        except TimeoutError:
            raise Refused(408, "The upload took too long.") from None
        finally:
            self.held -= len(body)
        whole = _nameless(bytes(body), headers.get(b"content-type", b"")) if upload else bytes(body)
        given = False

        async def again() -> dict[str, Any]:
            nonlocal given
            if given:  # from here on only the news that the visitor left
                return await receive()
            given = True
            return {"type": "http.request", "body": whole, "more_body": False}

        counted = [(k, v) for k, v in scope["headers"] if k not in _LENGTHS]
        length = (b"content-length", str(len(whole)).encode())
        return {**scope, "headers": [*counted, length]}, again

    async def _fill(self, body: bytearray, limit: int, receive: Receive) -> None:
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Left
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > limit:
                raise _too_large(limit)
            body += chunk
            self.held += len(chunk)
            if self.held > security.MAX_HELD:
                raise Refused(503, "Too many uploads at once. Try again in a minute.")
            more = message.get("more_body", False)


def _too_large(limit: int) -> Refused:
    return Refused(413, f"At most {limit // 2**10:,} KB can be sent.")


def _nameless(body: bytes, kind: bytes) -> bytes:
    """An upload of one file, with a header and a name of our own instead of the visitor's.

    Raises:
        Refused: it is no upload of one file.
    """
    found = _BOUNDARY.match(kind)
    if not found:
        raise Refused(400, "Expected one picture as multipart/form-data.")
    line = b"--" + found[1]
    head, end, _ = body[: security.MAX_HEADERS].partition(b"\r\n\r\n")
    if not head.startswith(line + b"\r\n") or not end:
        raise Refused(400, "The name of the file is too long, or this is no upload.")
    if b"filename" not in head or body.count(b"\r\n" + line) != 1:
        raise Refused(400, "Expected one picture, and nothing else.")
    part = _PART % secrets.token_hex(16).encode()
    return b"".join((line, b"\r\n", part, b"\r\n\r\n", body[len(head) + 4 :]))


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
