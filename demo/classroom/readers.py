"""All readers by an unguessable id.

Not in Gradio's session: that one ends with the page, so a phone that reloads would lose its
reading, its name is made by a browser's Math.random, and it shares 256 places with the uploads.
"""

import secrets
import threading
import time
from collections.abc import Callable

from chexnet.errors import ConfigError
from demo import security
from demo.classroom.reading import UNKNOWN, Reader


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
        self._kept: dict[str, tuple[Reader, float]] = {}  # the longest idle first
        self._lock = threading.Lock()

    def __len__(self) -> int:
        """Readers that are kept."""
        return len(self._kept)

    def add(self, reader: Reader) -> str:
        """Keep a new reader; returns the id that only this browser is told (144 bits)."""
        with self._lock:
            self._forget_old()
            while len(self._kept) >= self._limit:
                idle = (name for name, (one, _) in self._kept.items() if not one.before)
                del self._kept[next(idle, next(iter(self._kept)))]
            name = secrets.token_urlsafe(18)
            self._kept[name] = reader, self._clock()
            return name

    def get(self, name: object) -> Reader:
        """A reader; his time begins anew.

        Raises:
            ConfigError: there is none, or no longer.
        """
        with self._lock:
            self._forget_old()
            found = self._kept.pop(name, None) if isinstance(name, str) else None
            if found is None:
                raise ConfigError(UNKNOWN)
            self._kept[name] = found[0], self._clock()  # type: ignore[index]
            return found[0]

    def has_answered(self, name: object) -> bool:
        """Whether this is a reader who is kept and has committed an answer."""
        with self._lock:
            found = self._kept.get(name) if isinstance(name, str) else None
            return bool(found and found[0].before)

    def replace(self, name: str, reader: Reader) -> None:
        """Another dozen for a reader who is kept."""
        with self._lock:
            self._kept.pop(name, None)
            self._kept[name] = reader, self._clock()

    def _forget_old(self) -> None:
        oldest = self._clock() - self._seconds
        for name in [name for name, (_, since) in self._kept.items() if since < oldest]:
            del self._kept[name]
