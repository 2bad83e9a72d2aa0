"""NIH's twelve archives of ChestX-ray14: fetched, compared with their checksums, unpacked."""

import contextlib
import threading
import tomllib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from queue import Empty, SimpleQueue

from filelock import FileLock, Timeout

from chexnet.data.download import Stopped, download
from chexnet.data.nih import BOXES, LISTS, TABLES
from chexnet.data.unpacking import unpack
from chexnet.errors import ChexnetError, DataError, FetchError
from chexnet.files import check_room

KNOWN = Path(__file__).with_name("nih_archives.toml")
FETCHED_PER_IMAGE, UNPACKED_PER_IMAGE = 380_000, 410_000
"""Bytes, about: 42 GB of archives and 45 GB of images are 112,120 images."""
AT_ONCE = 2
Progress = Callable[[str, str, int, int | None], None]
"""Called with an archive's name, a stage, the bytes done, and of how many."""


@dataclass(frozen=True)
class Archive:
    """One of NIH's archives.

    Attributes:
        number: 1 to 12.
        url: its address.
        md5: 32 hex digits.
        images: how many are in it.
    """

    number: int
    url: str
    md5: str
    images: int

    @property
    def name(self) -> str:
        """The folder that it becomes, and the archive's name without its endings."""
        return f"images_{self.number:03d}"


def known_archives(source: Path = KNOWN) -> list[Archive]:
    """The archives of a table, NIH's own by default."""
    found = tomllib.loads(source.read_text(encoding="utf-8"))
    return [Archive(**one) for one in found["archive"]]


def by_hand(source: Path = KNOWN) -> str:
    """Where NIH's tables lie, which have no address of their own."""
    return str(tomllib.loads(source.read_text(encoding="utf-8"))["tables"])


def missing_tables(root: Path) -> list[str]:
    """What NIH has beside the archives and `root` has not; the boxes are optional."""
    table, newer = TABLES.values()
    found = [] if (root / table).is_file() or (root / newer).is_file() else [table]
    return found + [name for name in (*LISTS.values(), BOXES) if not (root / name).is_file()]


def fetch_archives(
    root: Path,
    archives: Sequence[Archive],
    *,
    remove: bool = False,
    on_progress: Progress | None = None,
    pause: float = 1.0,
) -> dict[str, int]:
    """Fetch and unpack archives, two at a time. What is there already is left as it is.

    At every moment a folder `images_NNN` is a whole one; a stop or a kill leaves part files, from
    which the next call goes on.

    Args:
        root: the data folder; made where it is not there.
        archives: which.
        remove: delete an archive once its images are unpacked.
        on_progress: called from several threads.
        pause: seconds before a second attempt to fetch.

    Returns:
        The archives that were unpacked now, and how many of their files are no images of NIH's
        and were not written.

    Raises:
        DataError: a folder of that name holds something else, or another download runs here.
        FetchError: what could not be fetched or unpacked, a line each; the others are there.
    """
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock", timeout=0):
            waiting = [one for one in archives if not is_unpacked(root, one)]
            check_room(root, room_for(root, waiting, remove), f"Fetching {len(waiting)} archives")
            unpacked = _work(root, waiting, remove, on_progress, pause)
            for one in archives if remove else ():
                _archive(root, one).unlink(missing_ok=True)
            return unpacked
    except Timeout as error:
        raise DataError(f"Another download into {root} is running. Wait for it.") from error
    except OSError as error:
        raise FetchError(
            f"{root} cannot be written: {error.strerror or error}. Pass another folder."
        ) from error


def is_unpacked(root: Path, archive: Archive) -> bool:
    """Whether the images of an archive are all there.

    Raises:
        DataError: some of them are, or others.
    """
    folder = root / archive.name
    if not folder.exists():
        return False
    found = len(list((folder / "images").glob("*.png")))
    if found == archive.images:
        return True
    raise DataError(
        f"{folder} holds {found:,} images, expected {archive.images:,}. Move it away, or leave "
        f"part {archive.number} out."
    )


def room_for(root: Path, archives: Sequence[Archive], remove: bool) -> int:
    """Bytes that fetching and unpacking will take, about."""

    def left(one: Archive) -> int:
        there = (_archive(root, one), root / f".{one.name}.tar.gz.part")
        done = sum(path.stat().st_size for path in there if path.exists())
        return max(0, one.images * FETCHED_PER_IMAGE - done)

    fetched = sorted(map(left, archives))
    kept = fetched[-AT_ONCE:] if remove else fetched  # the others are gone by then
    return sum(kept) + sum(one.images for one in archives) * UNPACKED_PER_IMAGE


def _archive(root: Path, archive: Archive) -> Path:
    return root / f"{archive.name}.tar.gz"


def _work(
    root: Path,
    archives: Sequence[Archive],
    remove: bool,
    on_progress: Progress | None,
    pause: float,
) -> dict[str, int]:
    """Fetch and unpack in threads; a stop of this one stops them."""
    show = on_progress or (lambda *_: None)
    tasks: SimpleQueue[Archive] = SimpleQueue()
    for one in archives:
        tasks.put(one)
    stop = threading.Event()
    unpacked: dict[str, int] = {}
    failed: dict[str, BaseException] = {}

    def one_after_another() -> None:
        with contextlib.suppress(Empty):
            while not stop.is_set():
                task = tasks.get_nowait()
                try:
                    unpacked[task.name] = _one(root, task, show, stop.is_set, pause)
                    if remove:  # at once, so that the disk has room for the next
                        _archive(root, task).unlink()
                except Stopped:
                    return
                except BaseException as error:  # told by the thread that waits
                    failed[task.name] = error

    # Daemons: a stopped program does not wait for a server's answer. Nothing is lost by it.
    threads = [threading.Thread(target=one_after_another, daemon=True) for _ in range(AT_ONCE)]
    try:
        for thread in threads:
            thread.start()
        while any(thread.is_alive() for thread in threads):
            threads[0].join(0.2)
            threads[1].join(0.2)
    except BaseException:
        stop.set()
        for thread in threads:
            thread.join(5)
        raise
    for error in failed.values():
        if not isinstance(error, ChexnetError):
            raise error
    if failed:
        raise FetchError("\n".join(f"{name}: {error}" for name, error in sorted(failed.items())))
    return unpacked


def _one(
    root: Path, archive: Archive, show: Progress, stopped: Callable[[], bool], pause: float
) -> int:
    place = _archive(root, archive)

    def on_progress(stage: str, done: int, total: int | None) -> None:
        show(archive.name, stage, done, total)

    download(archive.url, place, archive.md5, on_progress=on_progress, stopped=stopped, pause=pause)
    return unpack(
        place,
        root / archive.name,
        archive.images,
        lambda done, total: on_progress("unpacking", done, total),
        stopped,
    )
