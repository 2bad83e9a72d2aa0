"""Listens for the page: its socket, its server, and what ends a connection that only holds a place.

uvicorn's own `limit_concurrency` counts whole requests only, so that half a header, sent a thousand
times, kept everybody out. Its documented hook for a protocol class (`http`) is the smallest one
that sees a connection before its first request.
"""

import asyncio
import logging
import socket
import threading
import time
from contextlib import suppress
from functools import partial
from typing import Any

import uvicorn
from uvicorn.protocols.http.h11_impl import H11Protocol

from chexnet.errors import ConfigError
from demo import security

PORTS = range(7860, 7960)
"""The first free one is taken where none was asked for."""
EVERYWHERE = ("0.0.0.0", "::")
_SPARE = 400
"""File descriptors for everything else: pictures, weights, and what is accepted before a look."""


def listen(host: str, port: int | None) -> socket.socket:
    """A socket that listens at an address; `::` also takes IPv4.

    Raises:
        ConfigError: the port is taken, or the address is not this machine's.
    """
    host = host.strip("[]")
    error: Exception | None = None
    for number in PORTS if port is None else (port,):
        try:
            if not 0 <= number < 2**16:
                raise OSError("no port")
            socket.getaddrinfo(host, None)  # else what cannot be a name leaves a socket open
            if ":" not in host:
                return socket.create_server((host, number))
            dual = host == "::" and socket.has_dualstack_ipv6()
            family = socket.AF_INET6
            return socket.create_server((host, number), family=family, dualstack_ipv6=dual)
        except (OSError, UnicodeError) as refused:
            error = refused
    asked = f"{PORTS[0]} to {PORTS[-1]}" if port is None else port
    raise ConfigError(
        f"Could not listen at {host}, port {asked}. Another program may use it, or the address is "
        "not this machine's: pass another --port or --host."
    ) from error


def address(host: str, port: int) -> str:
    """The page's address on this machine."""
    host = host.strip("[]")
    named = "localhost" if host in EVERYWHERE else f"[{host}]" if ":" in host else host
    return f"http://{named}:{port}/"


def most_connections() -> int:
    """How many connections are held at once; the process may open more files than that."""
    try:
        import resource
    except ImportError:  # Windows
        return security.CONNECTIONS
    wanted = security.CONNECTIONS + _SPARE
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        try:
            soft = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        except (OSError, ValueError):
            soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
        return max(64, min(security.CONNECTIONS, soft - _SPARE))
    return security.CONNECTIONS


class Connection(H11Protocol):
    """A connection that ends when a request's head takes too long or an answer is not read.

    When there are too many, the one that has waited longest without a request gives way: an honest
    request is whole within milliseconds.

    Args:
        idle: those of this server that have no request at the moment, the longest first.
        most: how many connections there may be.
    """

    def __init__(self, *given: Any, idle: "dict[Connection, None]", most: int, **more: Any) -> None:
        """See `uvicorn.protocols.http.h11_impl.H11Protocol`."""
        super().__init__(*given, **more)
        self._idle, self._most = idle, most
        self._head: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Keep it, and let another go where there are too many."""
        super().connection_made(transport)
        # asyncio asks for this only at a socket that names its protocol. Without it an answer's
        # body waits until its head is confirmed: 40 ms for each answer.
        with suppress(OSError):  # the visitor has left already
            transport.get_extra_info("socket").setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._wait()
        if len(self.connections) > self._most:
            oldest = next(iter(self._idle))
            oldest._stop()  # it is gone only in the loop's next round: it must not be chosen again
            oldest.transport.abort()

    def data_received(self, data: bytes) -> None:
        """Stop the clock once a request's head is whole."""
        super().data_received(data)
        if self._serving():
            self._stop()

    def on_response_complete(self) -> None:
        """Start the clock for the next request."""
        super().on_response_complete()
        self._wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Forget it."""
        super().connection_lost(exc)
        self._stop()
        if self._unread is not None:
            self._unread.cancel()

    def pause_writing(self) -> None:
        """The visitor reads slowly or not at all; nothing is kept for him for ever."""
        super().pause_writing()
        self._stop()
        self._unread = self.loop.call_later(security.UNREAD_SECONDS, self.transport.abort)

    def resume_writing(self) -> None:
        """He reads again."""
        super().resume_writing()
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None
        self._wait()

    def _serving(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _wait(self) -> None:
        if self._serving() or self._unread is not None or self.transport.is_closing():
            return
        self._stop()
        self._idle[self] = None
        self._head = self.loop.call_later(security.HEAD_SECONDS, self.transport.abort)

    def _stop(self) -> None:
        self._idle.pop(self, None)
        if self._head is not None:
            self._head.cancel()
            self._head = None


class Seldom(logging.Filter):
    """Lets a message through once a minute, in one line: no stranger may fill the log."""

    def __init__(self) -> None:
        """Nothing was said yet."""
        super().__init__()
        self._said: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether this was not said lately; cuts a traceback to the exception's name."""
        error = record.exc_info[0].__name__ if record.exc_info and record.exc_info[0] else ""
        key, now = str(record.msg).partition("\n")[0][:200] + error, time.monotonic()
        if now - self._said.get(key, -60.0) < 60:
            return False
        if len(self._said) > 100:
            self._said.clear()
        self._said[key] = now
        line = record.getMessage().partition("\n")[0][:200]
        record.msg, record.args = f"{line} ({error})" if error else line, ()
        record.exc_info = record.exc_text = record.stack_info = None
        return True


class Server:
    """Runs an ASGI application in a thread."""

    def __init__(self, app: Any, listening: socket.socket, behind_proxy: bool) -> None:
        """Serve at a socket that listens; returns when the application has started.

        Args:
            app: what answers.
            listening: see `listen`.
            behind_proxy: believe a proxy on this machine who the visitor is.
        """
        connection = partial(Connection, idle={}, most=most_connections())
        config = uvicorn.Config(
            app,
            http=connection,  # type: ignore[arg-type]
            ws="none",
            log_level="warning",
            access_log=False,
            server_header=False,
            proxy_headers=behind_proxy,
            # Of more at once each is accepted before any is looked at, beyond the files allowed;
            # asyncio then writes a traceback for each.
            backlog=128,
            timeout_graceful_shutdown=1,
        )
        seldom = Seldom()
        for name in ("asyncio", "uvicorn.error", "demo"):
            logging.getLogger(name).addFilter(seldom)
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(
            target=self._server.run, args=([listening],), name="server", daemon=True
        )
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise ConfigError("The page's server did not start; the reason stands above.")
            time.sleep(0.01)

    def close(self) -> None:
        """End it; called by Gradio when its page is closed."""
        self._server.should_exit = True
        self._thread.join(10)
