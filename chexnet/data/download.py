"""One large file over HTTP, so that a cut, a kill or a full disk costs nothing that was fetched.

`pypdl` was looked at and not taken: it asks for ranges without `If-Range`, so that a file that
changed on the server is sewn together from two, and it appends what a server sends that ignores
ranges. Here a part file and a note of what it is a part of lie beside the final name.
"""

import errno
import hashlib
import json
import os
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from chexnet.errors import FetchError
from chexnet.files import check_room, move_over, write_text

if TYPE_CHECKING:
    import httpx
    import tenacity

CHUNK = 1 << 20
FRUITLESS = 6
"""Attempts in a row that brought the file no further, after which we give up."""
LONGEST_WAIT = 60.0
"""Seconds between two attempts, at most."""
AGAIN = (408, 425, 429)
"""Status of a server that may answer later, beside all of 500 and above."""
Progress = Callable[[str, int, int | None], None]
"""Called with a stage (`fetching`, `checking` ...), the bytes done, and of how many."""


class Stopped(Exception):
    """The user has asked to stop; what was fetched is kept."""


class _Again(Exception):
    """This attempt has failed, another may not.

    Attributes:
        after: seconds that the server asks to wait.
    """

    def __init__(self, reason: str, after: float = 0.0) -> None:
        super().__init__(reason)
        self.after = after


def download(
    url: str,
    place: Path,
    md5: str,
    *,
    on_progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
    pause: float = 1.0,
) -> None:
    """Fetch `url` to `place`. A file that is there already is compared with its checksum only.

    What a cut connection or a killed process leaves is `.NAME.part`, and the next call goes on
    from there. `place` is the whole file with the right checksum, at every moment.

    Args:
        url: http or https.
        place: the final name.
        md5: 32 hex digits.
        on_progress: see `Progress`.
        stopped: asked at each piece that arrives; True ends the download.
        pause: seconds before the second attempt; they double from there.

    Raises:
        FetchError: gives the reason and the way out; what was fetched well is kept.
        Stopped: `stopped` was True.
    """
    _Download(url, place, md5, on_progress or (lambda *_: None), stopped, pause).run()


def file_md5(
    path: Path,
    on_progress: Progress | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> "hashlib._Hash":
    """MD5 of a file, as an object that more bytes can be added to."""
    found = hashlib.md5(usedforsecurity=False)
    size, done = path.stat().st_size, 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if stopped():
                raise Stopped
            found.update(chunk)
            done += len(chunk)
            if on_progress:
                on_progress("checking", done, size)
    return found


def file_sha256(path: Path) -> str:
    """SHA-256 of a file, 64 hex digits."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def optional(name: str, extra: str) -> ModuleType:
    """Import a package that not everybody needs.

    Raises:
        FetchError: it is not installed; names what installs it.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError as error:
        raise FetchError(
            f"{name} is not installed, and fetching needs it: pip install {name} "
            f"(or pip install 'chexnet[{extra}]')."
        ) from error


class _Download:
    def __init__(
        self,
        url: str,
        place: Path,
        md5: str,
        on_progress: Progress,
        stopped: Callable[[], bool],
        pause: float,
    ) -> None:
        self.httpx, self.tenacity = (optional(n, "download") for n in ("httpx", "tenacity"))
        self.url, self.place, self.md5 = url, place, md5
        self.on_progress, self.stopped, self.pause = on_progress, stopped, pause
        self.part = place.with_name(f".{place.name}.part")
        self.note = place.with_name(f".{place.name}.part.json")
        self.hash, self.hashed = hashlib.md5(usedforsecurity=False), 0
        self.fruitless, self.furthest = 0, 0
        self.resumed = False

    def run(self) -> None:
        if self.place.exists():
            if file_md5(self.place, self.on_progress, self.stopped).hexdigest() != self.md5:
                raise FetchError(
                    f"{self.place} is not the file that was published: another MD5 than "
                    f"{self.md5}. Remove it and give the same command again."
                )
            return
        try:
            self.place.parent.mkdir(parents=True, exist_ok=True)
            self._fetch()
            if self.hash.hexdigest() != self.md5 and self.resumed:
                # Pieces of several answers: one of them may have been of another file.
                self._discard()
                self._fetch()
            if self.hash.hexdigest() != self.md5:
                found, self.hashed = self.hash.hexdigest(), 0
                self._discard()
                raise FetchError(
                    f"{self.url} gave a file with MD5 {found}, expected {self.md5}. It was "
                    "removed. Try again; if it stays so, fetch this file by hand."
                )
            with self.part.open("rb+") as file:
                os.fsync(file.fileno())
            move_over(self.part, self.place)
            self.note.unlink(missing_ok=True)
        except OSError as error:
            full = error.errno in (errno.ENOSPC, errno.EDQUOT)
            advice = "Free some space" if full else "Make the folder writable"
            raise FetchError(
                f"Could not write {self.place}: {os.strerror(error.errno or errno.EIO)}. {advice} "
                "and give the same command again; what was fetched is kept."
            ) from error

    def _fetch(self) -> None:
        """Attempts until the part file is whole."""
        self.fruitless, self.furthest = 0, self._size()
        timeout = self.httpx.Timeout(30.0)
        attempts = self.tenacity.Retrying(
            retry=self.tenacity.retry_if_exception_type(_Again),
            stop=lambda _: self.fruitless >= FRUITLESS,
            wait=self._wait,
            sleep=self._sleep,
            reraise=True,
        )
        try:
            with self.httpx.Client(follow_redirects=True, timeout=timeout) as client:
                attempts(self._attempt, client)
        except _Again as last:
            raise FetchError(
                f"{self.url}: {last}, {FRUITLESS} times in a row. Give the same command again "
                "later; it goes on where it was."
            ) from last

    def _attempt(self, client: "httpx.Client") -> None:
        if self.stopped():
            raise Stopped
        try:
            self._ask(client, self._resume_from())
        except (self.httpx.TransportError, _Again) as error:
            # Against the furthest ever: without ranges every attempt begins at the start again.
            self.fruitless = 0 if self._size() > self.furthest else self.fruitless + 1
            self.furthest = max(self.furthest, self._size())
            if isinstance(error, _Again):
                raise
            raise _Again(str(error) or type(error).__name__) from error
        except (self.httpx.TooManyRedirects, self.httpx.InvalidURL) as error:
            raise FetchError(f"{self.url}: {error}. Fetch this file by hand.") from error

    def _ask(self, client: "httpx.Client", have: int) -> None:
        note = self._noted()
        if have and have == note.get("total"):
            return
        headers = {"Accept-Encoding": "identity"}
        if have:
            headers["Range"] = f"bytes={have}-"
            if mark := note.get("etag") or note.get("modified"):
                headers["If-Range"] = mark
        with client.stream("GET", self.url, headers=headers) as response:
            self._refuse(response)
            if response.status_code == 416:
                if _range(response)[1] != have:
                    self._discard()
                    raise _Again("the server has another length than the part that was fetched")
                return
            start, total = 0, _length(response)
            if response.status_code == 206:
                start, total = _range(response)
                new = _marks(response, total)
                if start != have or any(note.get(key, new[key]) != new[key] for key in new):
                    self._discard()
                    raise _Again("the server sent another range, or of another file")
            # Any other answer is the whole file: the server knows no ranges, or it has changed.
            if start == 0:
                self._discard()
                write_text(self.note, json.dumps({"url": self.url, **_marks(response, total)}))
            self.resumed = self.resumed or start > 0
            check_room(self.place.parent, (total or 0) - start, self.place.name)
            self._append(response, start, total)

    def _append(self, response: "httpx.Response", done: int, total: int | None) -> None:
        with open_part(self.part) as file:
            for chunk in response.iter_raw():  # pieces of a size would lose the last at a cut
                if self.stopped():
                    raise Stopped
                file.write(chunk)
                self.hash.update(chunk)
                self.hashed += len(chunk)
                done += len(chunk)
                self.on_progress("fetching", done, total)
        if total is not None and done != total:
            raise _Again(f"the server sent {done:,} of {total:,} bytes")

    def _refuse(self, response: "httpx.Response") -> None:
        """Raise where this answer is no part of the file."""
        way = [*response.history, response]
        if self.url.startswith("https:") and any(one.url.scheme != "https" for one in way):
            raise FetchError(f"{self.url} leads to an address without https. It was not followed.")
        status = response.status_code
        if status in AGAIN or status >= 500:
            after = response.headers.get("retry-after", "")
            raise _Again(f"answered {status}", float(after) if after.isdigit() else 0.0)
        if status not in (200, 206, 416):
            raise FetchError(
                f"{self.url} answered {status}. The file may have moved: fetch it by hand."
            )
        if response.headers.get("content-type", "").startswith("text/html") and status != 416:
            raise FetchError(
                f"{self.url} answered with a web page instead of a file. Fetch it by hand."
            )

    def _resume_from(self) -> int:
        """Bytes that are here already and that the hash has seen."""
        have, note = self._size(), self._noted()
        if have and (note.get("url") != self.url or have > (note.get("total") or have)):
            self._discard()
            return 0
        if have != self.hashed:
            self.hash = file_md5(self.part, self.on_progress, self.stopped)
            self.hashed = have
        self.resumed = self.resumed or have > 0
        return have

    def _noted(self) -> dict[str, Any]:
        try:
            found = json.loads(self.note.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return {}
        return found if isinstance(found, dict) else {}

    def _size(self) -> int:
        return self.part.stat().st_size if self.part.exists() else 0

    def _discard(self) -> None:
        self.part.unlink(missing_ok=True)
        self.note.unlink(missing_ok=True)
        self.hash, self.hashed = hashlib.md5(usedforsecurity=False), 0
        self.resumed = False

    def _wait(self, state: "tenacity.RetryCallState") -> float:
        failed = state.outcome.exception() if state.outcome else None
        asked = failed.after if isinstance(failed, _Again) else 0.0
        own = self.pause * 2.0 ** max(0, self.fruitless - 1)
        return min(LONGEST_WAIT, max(asked, own))

    def _sleep(self, seconds: float) -> None:
        import time

        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            if self.stopped():
                raise Stopped
            time.sleep(min(left, 0.2))


def open_part(path: Path) -> BinaryIO:
    """The part file, to append to; whatever was written is in it when it is closed."""
    return path.open("ab")


def _marks(response: "httpx.Response", total: int | None) -> dict[str, Any]:
    """What tells this file from a later one under the same address; only what the server says."""
    etag = response.headers.get("etag", "")
    found = {
        # A weak one says that the meaning is the same, not the bytes.
        "etag": "" if etag.startswith("W/") else etag,
        "modified": response.headers.get("last-modified", ""),
        "total": total,
    }
    return {key: value for key, value in found.items() if value}


def _length(response: "httpx.Response") -> int | None:
    with suppress(KeyError, ValueError):
        return int(response.headers["content-length"])
    return None


def _range(response: "httpx.Response") -> tuple[int, int | None]:
    """First byte and whole length of `Content-Range`; -1 where it is not said."""
    said = re.fullmatch(
        r"bytes (?:(\d+)-\d+|\*)/(\d+|\*)", response.headers.get("content-range", "")
    )
    if said is None:
        return -1, None
    first, total = said.groups()
    return int(first or -1), None if total == "*" else int(total)
