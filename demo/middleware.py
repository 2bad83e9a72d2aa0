"""What stands before the page and Gradio: which requests come through, how large and how slow.

A body is read whole before anything else sees it. One too large, too slow or cut off then leaves
nothing behind (Gradio's parser writes parts of files to the disk and forgets them), and an upload
loses its file name here: in a hospital that is often the patient's.
"""

import asyncio
import errno
import logging
import re
import secrets
from collections import Counter
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from demo import security
from demo.bodies import nameless, question
from demo.members import Members
from demo.refusals import HEADERS, HUB, Left, Refused, refuse, too_large
from demo.uploads import Uploads

# Every path that the page and gradio_client use, and no other: Gradio also has a page of its own,
# and routes that fetch URLs, serve files, run recordings and edit the app. Without /logout: it
# would log out everybody of the same name, that is the whole class.
_OPEN = (
    ("GET", r"/"),
    ("GET", r"/page/[0-9a-f]{16}/(?!onnx/)[\w./-]+"),
    ("GET", r"/lecturer(/state|/picture/\d{1,3})?"),
    ("POST", r"/login"),
)
# These are for those who have logged in, where the page has a login.
_MEMBERS = (
    ("POST", r"/api/(analyse|step)"),
    ("GET", r"/api/(heat/\w{1,64}|part/[\w/]{1,64}|present)"),
    ("GET", r"/page/[0-9a-f]{16}/onnx/[\w.-]+"),
    ("GET", r"/config/?"),
    ("GET", r"/gradio_api/(info|queue/data)/?"),
    ("GET", r"/gradio_api/heartbeat/[\w-]+"),
    ("GET", r"/gradio_api/call/(v2/)?\w+/\w+"),
    ("POST", r"/gradio_api/(upload|queue/join|cancel|reset)/?"),
    ("POST", r"/gradio_api/call/(v2/)?\w+/?"),
)
_PATHS = tuple(
    (method, re.compile(pattern), members)
    for paths, members in ((_OPEN, False), (_MEMBERS, True))
    for method, pattern in paths
)
_ASKS = re.compile(r"/gradio_api/(?:call/(?:v2/)?(\w+)|queue/join)/?")
_FETCHES = re.compile(r"/gradio_api/call/(?:v2/)?\w+/(\w+)")
# A host as the browsers say it, with its port where it has one.
_HOST = re.compile(r"([\w.-]+|\[[\da-fA-F:.]+\])(?::\d{1,5})?")
_PROXY = "Behind a reverse proxy start it with --public-host NAME; docs/demo.md says how."
_ELSEWHERE = f"Open the demo by the address that it printed. {_PROXY}"
_FOREIGN = f"Requests from other pages are not answered. {_PROXY}"
_LENGTHS = (b"content-length", b"transfer-encoding")


class RequestFilter:
    """ASGI middleware: paths, origin, size and time of every request.

    Args:
        app: the page's routes, and Gradio.
        folder: of the uploads, or what counts them.
        local: True where only this machine, and a proxy on it, can reach the demo.
        share_host: tells the host of the public link, None where there is none.
        former_hosts: tells the hosts of public links that are no longer.
        public_host: by which a proxy serves the page; None where none does.
        root_path: the path under which it does, which it may leave out or not; empty for none.
        members: who has logged in; None where the page has no login.
        answers: that wait in Gradio's queue; None where they are not counted.
        requests_each: requests of one visitor at once, of whatever kind.
        public: True where the Hub may show the page in its own.
    """

    def __init__(
        self,
        app: ASGIApp,
        folder: Path | Uploads,
        local: bool,
        share_host: Callable[[], str | None] = lambda: None,
        former_hosts: Callable[[], Collection[str]] = tuple,
        *,
        public_host: str | None = None,
        root_path: str = "",
        members: Members | None = None,
        answers: Any = None,
        requests_each: int = security.CONNECTIONS // 2,
        public: bool = False,
    ) -> None:
        """Keep the settings."""
        self.app, self.local, self.root_path = app, local, root_path
        self.uploads = folder if isinstance(folder, Uploads) else Uploads(folder)
        self.share_host, self.former_hosts = share_host, former_hosts
        self.public_host = public_host and _name(public_host)
        self.members, self.answers, self.requests_each = members, answers, requests_each
        *others, (policy, words) = HEADERS
        self.headers = [*others, (policy, words + public * HUB)]
        self.held = 0  # bytes of all uploads that are being received
        self._held: Counter[str] = Counter()  # the same by visitor
        self._requests: Counter[str] = Counter()  # of each visitor at the moment

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let one request through or answer it."""
        if scope["type"] == "lifespan":
            await self.app(scope, receive, send)
            return
        if scope["type"] != "http":  # no web sockets
            return
        login = self.members.of(scope) if self.members else None
        visitor = login[0] if login else str((scope.get("client") or ("",))[0])
        self._requests[visitor] += 1
        try:
            if self._requests[visitor] > self.requests_each:
                raise Refused(503, "Too many requests at once. Try again in a minute.")
            scope = self._checked(scope, login is not None)
            if scope["method"] == "POST":
                await self._post(scope, receive, send, visitor)
            else:
                await self._pass(scope, receive, send)
        except Refused as refused:
            await refuse(send, refused, "/gradio_api/" in scope["path"])
        except Left:
            return
        finally:
            self._requests[visitor] -= 1
            if not self._requests[visitor]:
                del self._requests[visitor]

    async def _pass(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let it be answered; what was not foreseen is one line here and one for the visitor."""
        asked = _ASKS.fullmatch(scope["path"])
        kept: list[Message] = []  # an error's, until it is known whether Gradio meant it

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                # A file does nothing by itself; with all of them forty files weigh 10 kB more.
                more = HEADERS[:1] if scope["path"].startswith("/page/") else self.headers
                message = {**message, "headers": [*message.get("headers", []), *more]}
            if kept or message.get("status", 0) >= 500:
                kept.append(message)
            else:
                await send(message)

        try:
            await self.app(scope, receive, answer)
        except Exception as error:
            full = isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT)
            said = f"{scope['method']} {scope['path'][:80]}: {type(error).__name__}"
            logging.getLogger("demo").error(said)
            if kept:
                status, text = (507, "The disk is full.") if full else (500, "This went wrong.")
                raise Refused(422 if asked and not full else status, text) from None
        else:
            for message in kept:
                # A refusal in words: Gradio calls it its own error.
                refusal = asked and message.get("status") == 500
                await send({**message, "status": 422} if refusal else message)

    def _checked(self, scope: Scope, member: bool) -> Scope:
        """The request as it is answered, or a refusal."""
        headers = dict(scope["headers"])
        method, path = scope["method"], scope["path"]
        self._check_host(headers)
        if self.root_path and (path + "/").startswith(self.root_path + "/"):
            path = path[len(self.root_path) :] or "/"
        asked = "GET" if method == "HEAD" else method
        closed = [members for m, p, members in _PATHS if m == asked and p.fullmatch(path)]
        if not closed or ".." in path:
            raise Refused(404, "Not found.")
        if closed[0] and self.members and not member:
            raise Refused(401, "Log in first.")
        query = scope.get("query_string", b"")
        if not path.startswith("/api/") and not path.endswith("/queue/data"):
            query = b""  # Gradio knows pages and links by it
        elif self.answers and path.endswith("/queue/data"):
            session = parse_qs(query.decode("latin-1")).get("session_hash", [""])[-1]
            if not self.answers.has_session(session):
                raise Refused(404, "There is no such session.")
        if self.answers and (event := _FETCHES.fullmatch(path)):
            if method != "POST" and not self.answers.has_event(event[1]):
                raise Refused(404, "There is no such answer.")
        return {**scope, "path": path, "raw_path": path.encode(), "query_string": query}

    def _check_host(self, headers: dict[bytes, bytes]) -> None:
        host = headers.get(b"host", b"").decode("latin-1")
        name = _name(host)
        if name is None:
            raise Refused(400, "The host is not a name.")
        share = self.share_host()
        known = name in (self.public_host, share and _name(share))
        elsewhere = self.local and name not in security.LOOPBACK
        if not known and (elsewhere or host in self.former_hosts()):
            # Another name that leads to this machine: a page elsewhere may pretend to be ours.
            raise Refused(421, _ELSEWHERE)
        origin = headers.get(b"origin")
        if origin is not None:
            given = origin.decode("latin-1").partition("://")[2]
            # Without its port: cookies do not know it either, and a proxy may have its own.
            public = self.public_host is not None and _name(given) == self.public_host
            if not given or not (given in (host, share) or public):
                raise Refused(403, _FOREIGN)

    async def _post(self, scope: Scope, receive: Receive, send: Send, visitor: str) -> None:
        """Read a body, and let it be answered; a picture counts as held until it is."""
        headers = dict(scope["headers"])
        upload = scope["path"].rstrip("/").endswith("/upload")
        picture = upload or scope["path"] == "/api/analyse"
        limit = security.MAX_UPLOAD + upload * 2**10 if picture else security.MAX_BODY
        length = headers.get(b"content-length")
        if length is not None and (not length.isdigit() or int(length) > limit):
            raise too_large(limit)
        if upload and self.uploads.full_for(visitor):
            raise Refused(503, "Too many pictures wait to be read. Try again in a few minutes.")
        body = bytearray()
        seconds = security.MAX_BODY_SECONDS if picture else security.SMALL_BODY_SECONDS
        try:
            try:
                async with asyncio.timeout(seconds):
                    await self._fill(body, limit, receive, visitor if picture else None)
            except TimeoutError:
                raise Refused(408, "The upload took too long.") from None
            whole = bytes(body)
            if upload:
                name = secrets.token_hex(16)
                whole = nameless(whole, headers.get(b"content-type", b""), name)
                self.uploads.add(name, len(whole), visitor)
            elif whole and (asks := _ASKS.fullmatch(scope["path"])):
                await self._look(whole, asks[1], visitor)
            await self._pass(*_with_body(scope, receive, whole), send)
        finally:
            if picture:
                self.held -= len(body)
                self._held[visitor] -= len(body)
                if not self._held[visitor]:
                    del self._held[visitor]

    async def _look(self, body: bytes, name: str | None, visitor: str) -> None:
        """Refuse a question that Gradio would not understand, or whose answer has no room."""
        asked = question(body)
        if self.answers is None:
            return
        if not self.answers.understands(name, asked):
            raise Refused(404, "There is no such function with so many inputs.")
        if not await self.answers.make_room(asked.get("session_hash"), visitor):
            raise Refused(429, "Fetch the answers that wait before you ask for more.")

    async def _fill(
        self, body: bytearray, limit: int, receive: Receive, visitor: str | None
    ) -> None:
        """Receive a body; an upload's visitor has a share of all that is held."""
        more = True
        while more:
            message = await receive()
            if message["type"] != "http.request":
                raise Left
            chunk = message.get("body", b"")
            if len(body) + len(chunk) > limit:
                raise too_large(limit)
            body += chunk
            if visitor is not None:
                self.held += len(chunk)
                self._held[visitor] += len(chunk)
                share = self._held[visitor] > security.MAX_HELD_EACH
                if share or self.held > security.MAX_HELD:
                    raise Refused(503, "Too many uploads at once. Try again in a minute.")
            more = message.get("more_body", False)


def _with_body(scope: Scope, receive: Receive, whole: bytes) -> tuple[Scope, Receive]:
    """The scope and the receiver of a request whose body was read."""
    given = False

    async def again() -> Message:
        nonlocal given
        if given:  # from here on only the news that the visitor left
            return await receive()
        given = True
        return {"type": "http.request", "body": whole, "more_body": False}

    counted = [(k, v) for k, v in scope["headers"] if k not in _LENGTHS]
    length = (b"content-length", str(len(whole)).encode())
    return {**scope, "headers": [*counted, length]}, again


def _name(host: str) -> str | None:
    """The name of a host that may have a port; None where it is none."""
    match = _HOST.fullmatch(host)
    return match[1].strip("[]").lower() if match else None
