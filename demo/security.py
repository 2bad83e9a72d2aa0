"""Every safety choice of the demo, with its reason. No Gradio here: the folder comes before it.

The page is shown to strangers: a class, or whoever has the link. Gradio's defaults are made for
trusted users, so the demo's rule is the other way round: what the page does not need is closed.
"""

import os
import secrets
import shutil
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chexnet.errors import ChexnetError, ConfigError

MAX_PIXELS = 25_000_000
"""A larger picture is refused before it is decoded: 172 KB of PNG can claim 2 GB of pixels."""
MAX_UPLOAD = 25 * 2**20
"""Bytes of one upload; a detector's 16-bit picture of 12 million pixels still fits."""
MAX_BODY = 64 * 2**10
"""Bytes of any other request. Gradio limits only uploads: a 20 MB `data:` URL in the JSON route
would be decoded."""
MAX_HEADERS = 8 * 2**10
"""Bytes of a part's header within an upload: a file name may not be a megabyte."""
MAX_BODY_SECONDS = 120.0
"""An upload that takes longer is dropped; the slowest honest one is 25 MB at 2 Mbit/s."""
SMALL_BODY_SECONDS = 20.0
"""The same of any other body."""
MAX_HELD, MAX_HELD_EACH = 512 * 2**20, 64 * 2**20
"""Bytes of all uploads together that are being received, and of one visitor's; they are held in
memory meanwhile. Other bodies do not count: all connections together can hold 64 MB of them."""
MAX_FOLDER, MAX_FILES = 2 * 2**30, 512
"""Bytes and number of all uploads together that wait to be read, a quarter of them one visitor's;
then the demo asks to come back later."""
CONNECTIONS = 1000
"""At once, fewer where the process may open fewer files; half of them for one visitor. A page holds
two, and six more while it loads."""
HEAD_SECONDS = 10.0
"""A connection that has sent no whole request by then is closed."""
UNREAD_SECONDS = 120.0
"""The same of one that does not take its answer: 1.6 MB at 0.1 Mbit/s."""
ANSWERS, ANSWERS_EACH = 128, 16
"""Answers of up to 1.6 MB that may wait in Gradio's queue, of all and of a session. Nobody needs
more than one for each that is admitted."""
SESSIONS = 512
"""Sessions of the named API that Gradio remembers, 17 kB each, the oldest forgotten first: twice as
many as there are results to ask about again. It would remember 10,000."""
METHODS = 8
"""Heatmaps of other methods that wait or run, one at a time and about a second each; apart from
those who look at pictures, because one lesson asks for ten each time."""
ADMITTED = 64
"""Requests waiting or running. Gradio's own limit counts only waiting events, of all functions
together, and let 5 of 6 through at 4; so the demo counts by itself."""
KEPT = 256
"""Results that are kept, one of a page or a program; each takes 0.1 MB, one of `/predict` 1 MB. The
oldest is forgotten first."""
KEPT_SECONDS = 30 * 60
"""Lifetime of a result in memory; then the picture has to be uploaded again."""
READERS = 512
"""Readers of cases whose progress is kept, at most about 0.1 MB each. Then a newcomer takes the
place of one who is idle, or is asked to come back: whoever only knocks pushes nobody out."""
READINGS = 100
"""Readings that one visitor may have begun: a class that shares one login still fits."""
IDLE_SECONDS = 20 * 60
"""A reader who did nothing for so long may lose his place to a newcomer when all are taken."""
READING_SECONDS = 2 * 60 * 60
"""Lifetime of a reader's progress after the last action: a lesson is longer than an upload's."""
SWEEP = (60, 600)
"""Every 60 s, uploads older than 600 s go: a net for those whose visitor left before the queue.
It must be longer than the longest wait, since it does not ask whether somebody still waits."""
LECTURER = "lecturer"
"""Name of the login that opens the panel."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")

_PREFIX = "chexnet-demo-"
_LOCK = "lock"


class Busy(ChexnetError):
    """As many requests as are admitted are waiting or running."""


class Admission:
    """Counts requests that wait or run, and turns away the next one."""

    def __init__(self, limit: int = ADMITTED, what: str = "pictures are being looked at") -> None:
        """Admit at most `limit` at once."""
        self.limit, self.what = limit, what
        self._count = 0
        self._left = time.monotonic()
        self._lock = threading.Lock()

    @property
    def count(self) -> int:
        """Requests that are admitted at the moment."""
        return self._count

    def quiet(self, seconds: float) -> bool:
        """Whether nobody has waited or been served for so long."""
        return not self._count and time.monotonic() - self._left >= seconds

    @contextmanager
    def one(self) -> Iterator[None]:
        """Hold one place.

        Raises:
            Busy: there is none; the message can be shown to a visitor.
        """
        with self._lock:
            if self._count >= self.limit:
                raise Busy(
                    f"The class is full: {self.limit} {self.what}. "
                    "Wait a few seconds and try again."
                )
            self._count += 1
        try:
            yield
        finally:
            with self._lock:
                self._count -= 1
                self._left = time.monotonic()


@contextmanager
def private_folder(base: Path | None = None) -> Iterator[Path]:
    """A folder that only this user may enter, for all that Gradio writes; empty when done.

    Gradio's default is readable by everybody on the machine and keeps original file names. This
    has to stand in the environment before Gradio is imported. Folders that killed demos left are
    removed first; one whose lock is held belongs to a demo that still runs.

    Args:
        base: where it is made; the system's temporary folder by default.
    """
    base = Path(tempfile.gettempdir()) if base is None else base
    remove_leftovers(base)
    folder = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=base))  # 0700 by mkdtemp
    lock = FileLock(folder / _LOCK)
    lock.acquire()
    uploads = folder / "uploads"
    uploads.mkdir(mode=0o700)
    # Parts of an upload are first written by tempfile.
    old = tempfile.tempdir
    tempfile.tempdir = str(uploads)
    os.environ["GRADIO_TEMP_DIR"] = str(uploads)
    # An empty list of allowed paths would fall back to this variable.
    os.environ.pop("GRADIO_ALLOWED_PATHS", None)
    # Else pandas sums up the last 10,000 requests after each one.
    os.environ["GRADIO_ANALYTICS_CACHE_FREQUENCY"] = str(2**62)
    bypass_proxy()
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
    try:
        yield uploads
    finally:
        tempfile.tempdir = old
        lock.release()
        shutil.rmtree(folder, ignore_errors=True)


def bypass_proxy() -> None:
    """Ask this machine itself without the proxy of a hospital or a university."""
    names = ("no_proxy", "NO_PROXY")
    given = ",".join(os.environ.get(name, "") for name in names).split(",")
    hosts = dict.fromkeys(host.strip() for host in (*given, *LOOPBACK) if host.strip())
    os.environ |= dict.fromkeys(names, ",".join(hosts))
    import httpx

    try:  # Gradio makes a client when it is imported
        httpx.Client().close()
    except Exception as error:  # SOCKS without socksio, a port that is none, ...
        os.environ |= dict.fromkeys(names, "*")
        reason = str(error).partition(". ")[0]
        print(f"The demo goes without the proxy of the environment: {reason}.", file=sys.stderr)


def remove_leftovers(base: Path) -> None:
    """Remove the folders of demos that were killed; those of running ones stay."""
    for folder in base.glob(f"{_PREFIX}*"):
        lock = folder / _LOCK
        # Without its lock a folder may be one that another demo makes at this moment.
        if folder.is_symlink() or not lock.is_file():
            continue
        with suppress(Timeout, OSError):
            with FileLock(lock, timeout=0):
                shutil.rmtree(folder, ignore_errors=True)
            shutil.rmtree(folder, ignore_errors=True)  # Windows removes no lock that is held


def upload_inside(path: object, folder: Path) -> Path:
    """The real path of an upload, or a refusal.

    Gradio's image component lets a client name any file on the server, so nothing that a request
    says is believed: links are followed first, and what remains has to lie in the folder.

    Raises:
        ConfigError: a URL, or a path elsewhere. The message does not repeat it.
    """
    refusal = ConfigError("This is no upload of this demo. Upload the picture again.")
    if not isinstance(path, str) or "\0" in path or len(path) > 4096:
        raise refusal
    try:
        real = Path(path).resolve(strict=True)
    except (OSError, RuntimeError, ValueError):
        raise refusal from None
    if not path.startswith("/") and not Path(path).is_absolute():
        raise refusal
    if not real.is_file() or folder.resolve() not in real.parents:
        raise refusal
    return real


@dataclass(frozen=True)
class Logins:
    """Names and passwords of the page.

    Attributes:
        students: name and password of the whole class.
        lecturer: of whoever may see the panel as well.
        made: whether the class's password was made here.
    """

    students: tuple[str, str]
    lecturer: tuple[str, str]
    made: bool = True

    @property
    def both(self) -> list[tuple[str, str]]:
        """As Gradio takes them."""
        return [self.students, self.lecturer]


def credentials(auth: str | None, host: str, share: bool) -> Logins | None:
    """Names and passwords for the page, None where only this machine reaches it.

    A page that others can reach is never open. Gradio's login has no rate limit, so a password
    that is made here has 144 bits. The lecturer's is always made here.

    Raises:
        ConfigError: `auth` is no `USER:PASSWORD`, or its name is the lecturer's.
    """
    lecturer = (LECTURER, secrets.token_urlsafe(18))
    if auth is not None:
        user, colon, password = auth.partition(":")
        if not (user and colon and password):
            raise ConfigError("Found --auth without a colon, expected USER:PASSWORD.")
        if user.strip() == LECTURER:
            raise ConfigError(f"Found --auth {LECTURER}:..., expected another name for the class.")
        return Logins((user, password), lecturer, made=False)
    if share or host not in LOOPBACK:
        return Logins(("class", secrets.token_urlsafe(18)), lecturer)
    return None


def gradio_safety() -> dict[str, Any]:
    """What `gradio.mount_gradio_app` is given.

    `run_history`: since 6.24 each browser would keep inputs and outputs in its storage.
    `allowed_paths`: no file is served. `show_error`: no traceback reaches a visitor.
    `ssr_mode`, `pwa`, `mcp_server`, `enable_monitoring`: more doors, not needed.
    `app_kwargs`: openapi.json would answer without a login.
    """
    return {
        "show_error": False,
        "run_history": False,
        "allowed_paths": [],
        "mcp_server": False,
        "enable_monitoring": False,
        "footer_links": [],
        "max_file_size": MAX_UPLOAD,
        "ssr_mode": False,
        "pwa": False,
        "app_kwargs": {"openapi_url": None, "docs_url": None, "redoc_url": None},
    }
