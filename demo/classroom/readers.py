"""All readers by an unguessable id.

Not in Gradio's session: that one ends with the page, so a phone that reloads would lose its
reading, its name is made by a browser's Math.random, and it shares 256 places with the uploads.
"""

import secrets
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass

from chexnet.errors import ConfigError
from demo import security
from demo.classroom.reading import UNKNOWN, Reader

FULL = "The class is full: {} readings are in progress. Try again in some minutes."
TOO_MANY = "You have begun {} readings already. Go on with one of them."


@dataclass
class _Kept:
    """A reader, since when he is idle, whose he is, and whether the class results count him."""

    reader: Reader
    since: float
    visitor: str | None
    counts: bool = False

    @property
    def answered(self) -> bool:
        """Whether he has committed an answer, now or in an earlier session."""
        turns = self.reader.turns
        return turns[0].first is not None or len(self.reader.seen) > len(turns)


class Readers:
    """Keeps a bounded number of readers, each for some time after the last action."""

    def __init__(
        self,
        limit: int = security.READERS,
        seconds: float = security.READING_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Keep at most `limit` readers, each for `seconds` of `clock` after the last action."""
        self._limit, self._seconds, self._clock = limit, seconds, clock
        self._kept: dict[str, _Kept] = {}  # the longest idle first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Readers that are kept."""
        return len(self._kept)

    def add(self, reader: Reader, visitor: str | None = None) -> str:
        """Keep a new reader; returns the id that only this browser is told (144 bits).

        Args:
            reader: before his first case.
            visitor: whose readings are counted together; None counts with nobody's.

        Raises:
            ConfigError: this visitor has begun too many, or all places are taken by readers who
                did something lately. Nobody who is reading loses his place.
        """
        with self._lock:
            self._forget_old()
            own = sum(kept.visitor == visitor for kept in self._kept.values())
            if visitor is not None and own >= security.READINGS:
                raise ConfigError(TOO_MANY.format(own))
            if len(self._kept) >= self._limit:
                self._make_room()
            name = secrets.token_urlsafe(18)
            self._kept[name] = _Kept(reader, self._clock(), visitor)
            return name

    def get(self, name: object) -> Reader:
        """A reader; his time begins anew.

        Raises:
            ConfigError: there is none, or no longer.
        """
        with self._lock:
            self._forget_old()
            kept = self._kept.pop(name, None) if isinstance(name, str) else None
            if kept is None:
                raise ConfigError(UNKNOWN)
            kept.since = self._clock()
            self._kept[str(name)] = kept
            return kept.reader

    def has_answered(self, name: object) -> bool:
        """Whether this is a reader who is kept and has committed an answer."""
        with self._lock:
            kept = self._kept.get(name) if isinstance(name, str) else None
            return bool(kept and kept.answered)

    def counts(self, name: str) -> bool:
        """Whether this reader is the one of his visitor whom the class results count.

        The first who answers is: many readings of one client would be many students otherwise.
        """
        with self._lock:
            kept = self._kept.get(name)
            if kept is None:
                return False
            same = [other for other in self._kept.values() if other.visitor == kept.visitor]
            if kept.visitor is None or not any(other.counts for other in same):
                kept.counts = True
            return kept.counts

    def replace(self, name: str, reader: Reader) -> None:
        """Another session for a reader who is kept."""
        with self._lock:
            if name in self._kept:
                self._kept[name].reader = reader

    def _make_room(self) -> None:
        """Forget the longest idle one, first of those who never answered."""
        lately = self._clock() - security.IDLE_SECONDS
        idle = [name for name, kept in self._kept.items() if kept.since < lately]
        if not idle:
            raise ConfigError(FULL.format(len(self._kept)))
        del self._kept[next((name for name in idle if not self._kept[name].answered), idle[0])]

    def _forget_old(self) -> None:
        oldest = self._clock() - self._seconds
        for name in [name for name, kept in self._kept.items() if kept.since < oldest]:
            del self._kept[name]
