"""One large file over HTTP, so that a cut, a kill or a full disk costs nothing that was fetched.

A part file, and a note of what it is a part of, lie beside the final name; the checksum decides at
the end.
"""

import errno
import hashlib
import json
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING, Any

from filelock import FileLock, Timeout

from chexnet.errors import DataError, FetchError
from chexnet.files import check_room, move_over, write_text

if TYPE_CHECKING:
    import httpx

CHUNK = 1 << 20
FRUITLESS = 6
"""Attempts in a row that brought the file no further, after which we give up."""
LONGEST_WAIT = 60.0
"""Seconds between two attempts, at most."""
AGAIN = (408, 425, 429)
"""Status of a server that may answer later, beside all of 500 and above."""
Progress = Callable[[str, int, int | None], None]
"""Called with a stage (`fetching`, `checking` ...), the bytes done, and of how many."""


@contextmanager
def download_lock(root: Path) -> Iterator[None]:
    """Make a folder, and let one process at a time download into it.

    Raises:
        DataError: another download runs there.
        FetchError: it cannot be written.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock", timeout=0):
            yield
    except Timeout as error:
        raise DataError(f"Another download into {root} is running. Wait for it.") from error
    except OSError as error:
        raise FetchError(
            f"{root} cannot be written: {error.strerror or error}. Pass another folder."
        ) from error


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
    md5: str = "",
    *,
    on_progress: Progress = lambda *_: None,
    stopped: Callable[[], bool] = lambda: False,
    pause: float = 1.0,
) -> None:
    """Fetch `url` to `place`. A file that is there already is compared with its checksum only.

    What a cut connection or a killed process leaves is `.NAME.part`, and the next call goes on
    from there. `place` is the whole file with the right checksum, at every moment.

    Args:
        url: http or https.
        place: the final name.
        md5: 32 hex digits; empty where nobody published it: what is there counts as whole.
        on_progress: see `Progress`.
        stopped: asked at each piece that arrives; True ends the download.
        pause: seconds before the second attempt; they double from there.

    Raises:
        FetchError: gives the reason and the way out; what was fetched well is kept.
        Stopped: `stopped` was True.
    """
    if place.exists():
        if md5 and _md5(place, on_progress, stopped) != md5:
            raise FetchError(
                f"{place} is not the file that was published: another MD5 than {md5}. Remove it "
                "and give the same command again."
            )
        return
    part, note = (place.with_name(f".{place.name}.part{end}") for end in ("", ".json"))
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _until_whole(url, part, note, on_progress, stopped, pause)
        if md5 and (digest := _md5(part, on_progress, stopped)) != md5:
            part.unlink()
            note.unlink(missing_ok=True)
            raise FetchError(
                f"{url} gave a file with MD5 {digest}, expected {md5}. It was removed. Try again: "
                "it may have changed meanwhile. If it stays so, fetch this file by hand."
            )
        with part.open("rb+") as file:
            os.fsync(file.fileno())
        move_over(part, place)
        note.unlink(missing_ok=True)
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        advice = "Free some space" if full else "Make the folder writable"
        raise FetchError(
            f"Could not write {place}: {os.strerror(error.errno or errno.EIO)}. {advice} "
            "and give the same command again; what was fetched is kept."
        ) from error


def _until_whole(
    url: str,
    part: Path,
    note: Path,
    on_progress: Progress,
    stopped: Callable[[], bool],
    pause: float,
) -> None:
    """Attempts until the part file is whole."""
    httpx = optional("httpx", "download")
    fruitless, furthest = 0, _size(part)
    with httpx.Client(follow_redirects=True, timeout=30.0) as client:
        while True:
            try:
                return _attempt(client, url, part, note, on_progress, stopped)
            except (httpx.TooManyRedirects, httpx.InvalidURL) as error:
                raise FetchError(f"{url}: {error}. Fetch this file by hand.") from error
            except (httpx.TransportError, _Again) as error:
                # Against the furthest ever: without ranges every attempt begins at the start again.
                fruitless = 0 if _size(part) > furthest else fruitless + 1
                furthest = max(furthest, _size(part))
                if fruitless >= FRUITLESS:
                    raise FetchError(
                        f"{url}: {error or type(error).__name__}, {FRUITLESS} times in a row. Give "
                        "the same command again later; it goes on where it was."
                    ) from error
                asked = error.after if isinstance(error, _Again) else 0.0
                own = pause * 2.0 ** max(0, fruitless - 1)
                _wait(min(LONGEST_WAIT, max(asked, own)), stopped)


def _attempt(
    client: "httpx.Client",
    url: str,
    part: Path,
    note: Path,
    on_progress: Progress,
    stopped: Callable[[], bool],
) -> None:
    """Ask for what is missing, and append it."""
    known = _noted(note)
    have = _size(part) if known.get("url") == url else 0
    headers = {"Accept-Encoding": "identity"}
    if have:
        headers["Range"] = f"bytes={have}-"
        if known.get("mark"):
            headers["If-Range"] = known["mark"]
    with client.stream("GET", url, headers=headers) as response:
        _refuse(url, response)
        said = response.headers.get("content-range", "")
        if response.status_code == 416 and have and said == f"bytes */{have}":
            return  # it was whole already
        etag = response.headers.get("etag", "")
        # A weak one says that the meaning is the same, not the bytes.
        mark = response.headers.get("last-modified", "") if etag[:2] in ("", "W/") else etag
        resumed = response.status_code == 206 and said.startswith(f"bytes {have}-")
        if response.status_code in (206, 416) and not (resumed and mark == known.get("mark")):
            part.unlink(missing_ok=True)
            raise _Again("the server sent another range, or of another file")
        # Any other answer is the whole file: the server knows no ranges, or it has changed.
        done = have if resumed else 0
        length = response.headers.get("content-length", "")
        total = done + int(length) if re.fullmatch("[0-9]{1,18}", length) else None
        if not resumed:
            part.unlink(missing_ok=True)
            write_text(note, json.dumps({"url": url, "mark": mark}))
        check_room(part.parent, (total or 0) - done, part.name)
        with part.open("ab") as file:
            for chunk in response.iter_raw():  # pieces of a size would lose the last at a cut
                if stopped():
                    raise Stopped
                file.write(chunk)
                done += len(chunk)
                on_progress("fetching", done, total)
                if total is None:  # it may have no end, and must not take the whole disk
                    _check_growing(part)
    if total is not None and done != total:
        raise _Again(f"the server sent {done:,} of {total:,} bytes")


def _check_growing(part: Path) -> None:
    """Refuse to go on, and remove what came, where a body of unknown length leaves no room."""
    try:
        check_room(part.parent, 0, part.name)
    except FetchError as error:
        os.truncate(part, 0)
        raise FetchError(
            f"{part.name}: the server did not say how large it is, and the disk is full. What came "
            "was removed. Free some space, or fetch this file by hand."
        ) from error


def _refuse(url: str, response: "httpx.Response") -> None:
    """Raise where this answer is no part of the file."""
    way = [*response.history, response]
    if url.startswith("https:") and any(step.url.scheme != "https" for step in way):
        raise FetchError(f"{url} leads to an address without https. It was not followed.")
    status = response.status_code
    if status in AGAIN or status >= 500:
        after = response.headers.get("retry-after", "")
        raise _Again(f"answered {status}", float(after) if re.fullmatch("[0-9]+", after) else 0.0)
    if status not in (200, 206, 416):
        raise FetchError(f"{url} answered {status}. The file may have moved: fetch it by hand.")
    if response.headers.get("content-type", "").startswith("text/html") and status != 416:
        raise FetchError(f"{url} answered with a web page instead of a file. Fetch it by hand.")


def _noted(note: Path) -> dict[str, Any]:
    try:
        content = json.loads(note.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0


def _wait(seconds: float, stopped: Callable[[], bool]) -> None:
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        if stopped():
            raise Stopped
        time.sleep(min(left, 0.2))


def _md5(path: Path, on_progress: Progress, stopped: Callable[[], bool]) -> str:
    digest, done = hashlib.md5(usedforsecurity=False), 0
    with path.open("rb") as file:
        while chunk := file.read(CHUNK):
            if stopped():
                raise Stopped
            digest.update(chunk)
            done += len(chunk)
            on_progress("checking", done, path.stat().st_size)
    return digest.hexdigest()


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
