"""The public link, and the watchdog that opens another when it has died."""

import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime
from typing import Protocol
from urllib.parse import urlsplit

import httpx

from chexnet.errors import ChexnetError

LOOK = 0.25
"""Seconds between two looks at the helper."""
CHECK, AGAIN, FAILS = 8.0, 2.0, 3
"""Every `CHECK` seconds the page is asked for through the link; after a failure every `AGAIN`.
`FAILS` failures in a row: 8 + 2 + 2 s and three times `CHECK_TIMEOUT` are at most 24 s."""
CHECK_TIMEOUT = 4.0
RETRY = 5.0
"""Seconds until a tunnel that could not be opened is tried again."""
CLOSE_SECONDS = 3.0


class AnyTunnel(Protocol):
    """What the watchdog needs of a tunnel."""

    @property
    def link(self) -> str:
        """Its link."""

    @property
    def alive(self) -> bool:
        """Whether its program runs."""

    def kill(self) -> None:
        """End it."""


def answers(link: str) -> bool:
    """Whether this page answers at a link."""
    try:
        return httpx.head(link, timeout=CHECK_TIMEOUT).status_code == 200
    except Exception:  # also a link that is none, and a SOCKS proxy that httpx cannot speak to
        return False


class PublicLink:
    """A link that is opened again when its tunnel dies; the page itself is never started anew.

    Attributes:
        url: the link; None while there is none.
        since: when it was opened.
        opened: links so far.
        problem: why there is none; empty where there is one.
    """

    def __init__(
        self,
        open_tunnel: Callable[[], AnyTunnel],
        on_link: Callable[[str], None] = lambda url: None,
        probe: Callable[[str], bool] = answers,
    ) -> None:
        """Open nothing yet.

        Args:
            open_tunnel: opens another one; raises ChexnetError where that fails.
            on_link: called with every new link but the first, in the watchdog's thread.
            probe: tells whether the page answers at a link.
        """
        self._open, self._on_link, self._probe = open_tunnel, on_link, probe
        self.url: str | None = None
        self.since: datetime | None = None
        self.opened, self.problem = 0, ""
        self._former: set[str] = set()
        self._tried, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="link", daemon=True)

    @property
    def host(self) -> str | None:
        """The link's host, with its port where it names one."""
        return urlsplit(self.url).netloc if self.url else None

    @property
    def former(self) -> Collection[str]:
        """Hosts of the links that have died."""
        return self._former

    def start(self, patience: float) -> None:
        """Open the first link; returns when it is there, has failed, or after so many seconds."""
        self._thread.start()
        self._tried.wait(patience)

    def close(self) -> None:
        """End the tunnel and the watchdog."""
        self._ended.set()
        # One that is just being opened is ended by the watchdog, or when this process ends.
        self._thread.join(CLOSE_SECONDS)

    def _work(self) -> None:
        while not self._ended.is_set():
            try:
                tunnel = self._open()
            except Exception as error:  # whatever it was: the lesson goes on, and so do we
                known = isinstance(error, ChexnetError)
                self.problem = str(error) if known else "The tunnel could not be opened."
                self._tried.set()
                self._ended.wait(RETRY)
                continue
            opened = time.monotonic()
            try:
                self._watch(tunnel)
            finally:
                self._lose()
                tunnel.kill()
                self._tried.set()
            if time.monotonic() - opened < RETRY:  # it dies at once: no reason to hurry
                self._ended.wait(RETRY)

    def _watch(self, tunnel: AnyTunnel) -> None:
        """Return when the tunnel is dead or the demo ends."""
        answered, fails, due = False, 0, time.monotonic() + AGAIN
        while not self._ended.is_set() and tunnel.alive:
            if tunnel.link != self.url:
                self._lose()
                self._gain(tunnel.link)
                answered = False
            if time.monotonic() >= due:
                good = self._probe(tunnel.link)
                # Some networks lead nobody back to himself: such a link was never seen to answer,
                # and only its program's end counts.
                answered = answered or good
                fails = 0 if good or not answered else fails + 1
                if fails >= FAILS:
                    return
                due = time.monotonic() + (AGAIN if fails else CHECK)
            self._ended.wait(LOOK)

    def _gain(self, url: str) -> None:
        self.url, self.since, self.problem = url, datetime.now().astimezone(), ""
        self._former.discard(str(self.host))
        self.opened += 1
        self._tried.set()
        if self.opened > 1:
            self._on_link(url)

    def _lose(self) -> None:
        if self.host:
            self._former.add(self.host)
        self.url = self.since = None
        self.problem = "The link was lost; another one is being opened."
