"""Every private name of Gradio's that the server leans on, and why."""

import logging
import sys
from collections import Counter
from types import SimpleNamespace
from typing import Any

from gradio import queueing, route_utils, routes
from starlette.requests import Request

from demo import security


def ask_where_the_page_is(root_path: str) -> None:
    """Let the page ask the host that it came from, whatever the server knows of its own name.

    Gradio writes its idea of its public address into the page, taken from Host and X-Forwarded-*;
    behind a proxy that tells it neither, a browser then asks its own machine.

    Args:
        root_path: the path under which a proxy serves the page; empty for none.
    """
    route_utils.get_root_url = lambda *_, **__: root_path or "/"


def log_in_one_line() -> None:
    """Log what Gradio did not foresee in one line.

    It prints a traceback of 30 lines for each question that it does not understand: a stranger
    could fill the log, with values that he sent.
    """
    quiet = SimpleNamespace(print_exc=_log_exception, format_exc=lambda: "")
    queueing.traceback = routes.traceback = quiet


def _log_exception() -> None:
    kind = sys.exc_info()[0]
    logging.getLogger("demo").error(f"Gradio could not answer: {kind and kind.__name__}")


def login_of(app: Any, scope: dict[str, Any]) -> tuple[str, str] | None:
    """The token and the name of whoever logged in, as Gradio looks them up; None for others."""
    cookies = Request(scope).cookies
    for kind in ("access-token", "access-token-unsecure"):
        token = cookies.get(f"{kind}-{app.cookie_id}", "")
        if user := app.tokens.get(token):
            return token, user
    return None


class Answers:
    """Answers that wait in Gradio's queue; it keeps them for ever where nobody fetches them."""

    def __init__(self, blocks: Any) -> None:
        """Look after the queue of `blocks`."""
        self._blocks, self._queue = blocks, blocks._queue
        self._owners: dict[str, str] = {}

    def has_session(self, session: str) -> bool:
        """Whether something was asked in this session that may still be fetched."""
        return session in self._queue.pending_messages_per_session

    def has_event(self, event: str) -> bool:
        """The same of one event."""
        waiting = self._queue.pending_event_ids_session
        return event in self._queue.event_ids_to_events or any(event in i for i in waiting.values())

    def understands(self, name: str | None, asked: dict[str, Any]) -> bool:
        """Whether the page has this function, and with so many inputs."""
        number, data = asked.get("fn_index"), asked.get("data")
        if number is None:
            found = [one for one in self._blocks.fns.values() if name and one.api_name == name]
        else:
            found = [one for key, one in self._blocks.fns.items() if key == number]
        if not found or not isinstance(data, list):
            return bool(found)
        inputs = found[0].inputs
        return len(data) in (len(inputs), sum(not one.skip_api for one in inputs))

    async def make_room(self, session: str | None, owner: str) -> bool:
        """Whether another answer may be asked for; others that nobody fetched may go for it.

        Args:
            session: that asks; None for one of its own.
            owner: the visitor. Whoever lets the most wait loses his oldest.
        """
        waiting = self._queue.pending_event_ids_session
        if session is not None and len(waiting.get(session, ())) >= security.ANSWERS_EACH:
            return False
        if len(waiting) + len(self._owners) > 4 * security.ANSWERS:  # most wait for nothing
            for name in [name for name, events in waiting.items() if not events]:
                await self._forget(name)
            self._owners = {n: owner for n, owner in self._owners.items() if n in waiting}
        while sum(map(len, waiting.values())) >= security.ANSWERS:
            count: Counter[str] = Counter()
            for name, events in waiting.items():
                count[self._owners.get(name, "")] += len(events)
            [(most, _)] = count.most_common(1)
            whose = (n for n in waiting if waiting[n] and self._owners.get(n, "") == most)
            await self._forget(next(whose))
        if session is not None:
            self._owners[session] = owner
        return True

    async def _forget(self, session: str) -> None:
        await self._queue.clean_events(session_hash=session)
        self._queue.pending_messages_per_session.pop(session, None)
        self._queue.pending_event_ids_session.pop(session, None)
        self._owners.pop(session, None)


class FirstScript:
    """Puts a script of ours before the page's others; what `head` holds is written by those."""

    def __init__(self, app: Any, script: str) -> None:
        """Put `script` into the page of `app`."""
        self.app, self.script = app, f"<script>{script}</script>".encode()

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        """Answer a request."""
        if (scope["type"], scope.get("path"), scope.get("method")) != ("http", "/", "GET"):
            await self.app(scope, receive, send)
            return
        plain = [(k, v) for k, v in scope["headers"] if k != b"accept-encoding"]
        start, parts = {}, []

        async def collect(message: dict[str, Any]) -> None:
            if message["type"] == "http.response.start":
                start.update(message)
                return
            parts.append(message.get("body", b""))
            if not message.get("more_body"):
                mark = b"<script data-gradio-mode>"
                page = b"".join(parts).replace(mark, self.script + mark, 1)
                headers = [(k, v) for k, v in start["headers"] if k != b"content-length"]
                headers.append((b"content-length", str(len(page)).encode()))
                await send({**start, "headers": headers})
                await send({"type": "http.response.body", "body": page})

        await self.app({**scope, "headers": plain}, receive, collect)
