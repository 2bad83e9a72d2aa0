"""The page's own routes. The request filter stands before them: size, time, origin and login."""

import asyncio
import gzip
import hashlib
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from functools import wraps
from pathlib import Path
from urllib.parse import parse_qs

from starlette.requests import Request
from starlette.responses import (
    FileResponse,
    HTMLResponse,
    JSONResponse,
    Response,
    StreamingResponse,
)
from starlette.routing import Route

from chexnet.errors import ChexnetError, ConfigError
from demo import onnx_web, rendering
from demo.answer import answer_of, floats
from demo.bodies import json_object
from demo.classroom.handlers import Classroom
from demo.members import Members
from demo.page_files import PageFiles
from demo.refusals import FRESH, Refused, text
from demo.security import Busy
from demo.service import Service
from demo.teaching.parts import Parts

BEAT = 15.0
"""Seconds between two signs of life to a page; one that went without a word is noticed then."""
MOST_CORRECTED = 4
"""A picture that is turned again and again has no upright."""
_Handler = Callable[["Routes", Request], Awaitable[Response]]


def _told(handler: _Handler) -> _Handler:
    """Make every refusal a text that the page shows to its visitor."""

    @wraps(handler)
    async def called(self: "Routes", request: Request) -> Response:
        try:
            return await handler(self, request)
        except ChexnetError as error:
            return text(503 if isinstance(error, Busy) else 422, str(error))
        except Refused as refused:
            return text(refused.status, refused.text)

    return called


class Routes:
    """Answers a page; holds nothing of a visitor but what `Service.kept` and the readers do.

    Args:
        service: the network's answers.
        classroom: the readers of cases.
        members: who has logged in.
        weights: the file's name as the page shows it.
        root_path: path under which a proxy serves the page; empty for none.

    Attributes:
        files: scripts and styles.
        parts: what is asked for by name.
        open: pages that are open at the moment.
    """

    def __init__(
        self,
        service: Service,
        classroom: Classroom,
        members: Members,
        weights: str,
        root_path: str,
    ) -> None:
        """Render the page."""
        self._service, self._classroom, self._members = service, classroom, members
        self.files = PageFiles(onnx_web.page_files(service.predictor))
        self.parts, self.open = Parts(service), 0
        self._look = {"files": self.files.folder, "root_path": root_path, "styles": ("base.css",)}
        shown = (service.predictor, weights, classroom.words, self.files)
        page = rendering.index(*shown, root_path=root_path).encode()
        self._page, self._tag = gzip.compress(page), f'"{hashlib.sha256(page).hexdigest()[:32]}"'

    def routes(self) -> list[Route]:
        """For the server."""
        return [
            Route("/", self._index),
            Route("/page/{folder}/{name:path}", self._file),
            Route("/login", self._login, methods=["POST"]),
            Route("/api/analyse", self._analyse, methods=["POST"]),
            Route("/api/heat/{id}", self._heat),
            Route("/api/part/{name:path}", self._part),
            Route("/api/step", self._step, methods=["POST"]),
            Route("/api/present", self._present),
        ]

    async def _index(self, request: Request) -> Response:
        """The page, or the login."""
        if self._members.logins and not self._members.of(request.scope):
            return self._login_page()
        headers = {"cache-control": "no-cache", "etag": self._tag, "vary": "cookie"}
        if request.headers.get("if-none-match") == self._tag:
            return Response(status_code=304, headers=headers)
        return _packed(self._page, "text/html; charset=utf-8", headers)

    def _login_page(
        self, status: int = 200, *, wrong: bool = False, done: bool = False
    ) -> Response:
        page = rendering.render("login.html.jinja", wrong=wrong, done=done, **self._look)
        return HTMLResponse(page, status, FRESH)

    async def _login(self, request: Request) -> Response:
        given = parse_qs((await request.body()).decode("latin-1"), encoding="utf-8")
        user, password = (given.get(name, [""])[0] for name in ("username", "password"))
        cookie = self._members.enter(user, password)
        if cookie is None:
            return self._login_page(401, wrong=True)
        answer = self._login_page(done=True)
        answer.headers["set-cookie"] = cookie
        return answer

    async def _file(self, request: Request) -> Response:
        for_ever = {"cache-control": "public, max-age=31536000, immutable"}
        file = self.files.get(request.path_params["folder"], request.path_params["name"])
        if file is None:
            return text(404, "Not found.")
        data, kind = file
        if isinstance(data, Path):
            return FileResponse(data, media_type=kind, headers=for_ever)
        return _packed(data, kind, for_ever)

    @_told
    async def _analyse(self, request: Request) -> Response:
        """The answer to a picture; see `analyse` of page/source/server.js."""
        asked = request.query_params
        corrected = asked.get("corrected", "0")
        if corrected not in map(str, range(MOST_CORRECTED + 1)):
            raise ConfigError(
                f"Expected a picture that is corrected at most {MOST_CORRECTED} times."
            )
        analysis = await self._service.analyse(await request.body(), int(corrected))
        # In a thread, so that nobody else waits for the encoding.
        encoding = asyncio.to_thread(
            answer_of, analysis, self._service.predictor, anyway=asked.get("anyway") == "1"
        )
        answer = await encoding
        if answer["gate"]["open"]:
            self._service.kept.add(analysis.without_radiograph(), asked.get("instead", ""))
        return JSONResponse(answer, headers=FRESH)

    @_told
    async def _heat(self, request: Request) -> Response:
        """Another method's map."""
        asked = request.query_params
        analysis = self._service.kept.get(request.path_params["id"])
        finding, method = asked.get("finding", ""), asked.get("method", "")
        heat = await self._service.heatmap(analysis, finding, method)
        return JSONResponse({"cells": list(heat.shape), "data": floats(heat)}, headers=FRESH)

    @_told
    async def _part(self, request: Request) -> Response:
        return _packed(await self.parts.get(request.path_params["name"]), "application/json", FRESH)

    @_told
    async def _step(self, request: Request) -> Response:
        """A step of a reader.

        A refusal is an answer too: a page that went astray (the back button, two tabs of one
        reader) then asks where it is.
        """
        asked = json_object(await request.body())
        given = {
            name: asked.get(name) for name in ("action", "reader", "case", "answer", "pseudonym")
        }
        login, page = self._members.of(request.scope), asked.get("page")
        visitor = login[0] if login else page[:64] if isinstance(page, str) else ""
        try:
            # In a thread: nobody else waits for the encoding of a picture.
            content = await asyncio.to_thread(self._classroom.step, **given, visitor=visitor)
            body = await asyncio.to_thread(json.dumps, content)
        except ChexnetError as error:
            body = json.dumps({"problem": str(error)})
        return Response(body, media_type="application/json", headers=FRESH)

    async def _present(self, request: Request) -> Response:
        """Held open by a page for as long as it is open."""

        async def beats() -> AsyncIterator[bytes]:
            self.open += 1
            try:
                gone = False
                while not gone:
                    yield b"\n"
                    with suppress(TimeoutError):
                        async with asyncio.timeout(BEAT):
                            gone = (await request.receive())["type"] == "http.disconnect"
            finally:
                self.open -= 1

        return StreamingResponse(beats(), media_type="text/plain", headers=FRESH)


def _packed(data: bytes, kind: str, headers: dict[str, str]) -> Response:
    """What is kept gzipped; every browser takes that."""
    return Response(data, media_type=kind, headers={"content-encoding": "gzip", **headers})
