"""NIH's twelve archives of ChestX-ray14: fetched, compared with their checksums, unpacked."""

import gzip
import os
import shutil
import tarfile
import threading
import tomllib
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path

from chexnet.data.download import Progress as FileProgress
from chexnet.data.download import Stopped, download, download_lock
from chexnet.data.nih import BOXES, LISTS, TABLES
from chexnet.errors import ChexnetError, ConfigError, DataError, FetchError
from chexnet.files import check_room, move_over

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
    table = tomllib.loads(source.read_text(encoding="utf-8"))
    return [Archive(**entry) for entry in table["archive"]]


def by_hand(source: Path = KNOWN) -> str:
    """Where NIH's tables lie, which have no address of their own."""
    return str(tomllib.loads(source.read_text(encoding="utf-8"))["tables"])


def missing_tables(root: Path) -> list[str]:
    """What NIH has beside the archives and `root` has not; the boxes are optional."""
    table, newer = TABLES.values()
    missing = [] if (root / table).is_file() or (root / newer).is_file() else [table]
    return missing + [name for name in (*LISTS.values(), BOXES) if not (root / name).is_file()]


def fetch_archives(
    root: Path,
    archives: Sequence[Archive],
    *,
    remove: bool = False,
    on_progress: Progress = lambda *_: None,
    pause: float = 1.0,
) -> list[str]:
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
        The archives that were unpacked now.

    Raises:
        DataError: a folder of that name holds something else, or another download runs here.
        FetchError: what could not be fetched or unpacked, a line each; the others are there.
    """
    with download_lock(root):
        waiting = [archive for archive in archives if not is_unpacked(root, archive)]
        check_room(root, room_for(root, waiting, remove), f"Fetching {len(waiting)} archives")
        _all(root, waiting, remove, on_progress, pause)
        for archive in archives if remove else ():
            _archive(root, archive).unlink(missing_ok=True)
        return [archive.name for archive in waiting]


def _all(
    root: Path, archives: Sequence[Archive], remove: bool, show: Progress, pause: float
) -> None:
    """Two at a time, in threads; a stop of this one stops them."""
    stop = threading.Event()
    with ThreadPoolExecutor(AT_ONCE) as pool:
        tasks = {
            archive.name: pool.submit(_fetch, root, archive, remove, show, stop.is_set, pause)
            for archive in archives
        }
        try:
            while wait(tasks.values(), timeout=0.2).not_done:
                pass  # and be there for Ctrl-C
        except BaseException:
            stop.set()
            raise
    failed = {name: error for name, task in tasks.items() if (error := task.exception())}
    for error in failed.values():
        if not isinstance(error, ChexnetError):
            raise error
    if failed:
        raise FetchError("\n".join(f"{name}: {error}" for name, error in sorted(failed.items())))


def is_unpacked(root: Path, archive: Archive) -> bool:
    """Whether the images of an archive are all there.

    Raises:
        DataError: some of them are, or others.
    """
    folder = root / archive.name
    if not folder.exists():
        return False
    count = len(list((folder / "images").glob("*.png")))
    if count == archive.images:
        return True
    raise DataError(
        f"{folder} holds {count:,} images, expected {archive.images:,}. Move it away, or leave "
        f"part {archive.number} out."
    )


def room_for(root: Path, archives: Sequence[Archive], remove: bool) -> int:
    """Bytes that fetching and unpacking will take, about."""

    def left(archive: Archive) -> int:
        there = (_archive(root, archive), root / f".{archive.name}.tar.gz.part")
        done = sum(path.stat().st_size for path in there if path.exists())
        return max(0, archive.images * FETCHED_PER_IMAGE - done)

    fetched = sorted(map(left, archives))
    kept = fetched[-AT_ONCE:] if remove else fetched  # the others are gone by then
    return sum(kept) + sum(archive.images for archive in archives) * UNPACKED_PER_IMAGE


def _archive(root: Path, archive: Archive) -> Path:
    return root / f"{archive.name}.tar.gz"


def _fetch(
    root: Path,
    archive: Archive,
    remove: bool,
    show: Progress,
    stopped: Callable[[], bool],
    pause: float,
) -> None:
    def on_progress(stage: str, done: int, total: int | None) -> None:
        show(archive.name, stage, done, total)

    if stopped():
        raise Stopped
    place = _archive(root, archive)
    download(archive.url, place, archive.md5, on_progress=on_progress, stopped=stopped, pause=pause)
    _unpack(place, root / archive.name, archive.images, on_progress, stopped)
    if remove:  # at once, so that the disk has room for the next
        place.unlink()


def _unpack(
    source: Path, folder: Path, images: int, show: FileProgress, stopped: Callable[[], bool]
) -> None:
    """Unpack an archive whose checksum was compared to `folder`/images, whole or not at all."""
    if not hasattr(tarfile, "data_filter"):
        raise ConfigError("Unpacking needs Python 3.11.4 or newer.")
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed one
    size = source.stat().st_size
    try:
        check_room(folder.parent, size, f"Unpacking {source.name}")
        temporary.mkdir()
        with source.open("rb") as raw, tarfile.open(fileobj=raw, mode="r:gz") as archive:
            for member in archive:
                if stopped():
                    raise Stopped
                archive.extract(member, temporary, filter="data")
                show("unpacking", raw.tell(), size)
        inner = temporary / folder.name
        whole = inner if inner.is_dir() else temporary
        count = len(list((whole / "images").glob("*.png")))
        if count != images:
            raise FetchError(f"{source}: {count:,} images, expected {images:,}. Nothing was kept.")
        if hasattr(os, "sync"):
            os.sync()  # once, instead of for each of 10,000 files
        move_over(whole, folder)
    except (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError) as error:
        raise FetchError(f"{source} is damaged: {str(error)[:200]}. Nothing was kept.") from error
    except OSError as error:
        raise FetchError(
            f"Could not unpack {source}: {os.strerror(error.errno or 0)}. Free some space, or make "
            "the folder writable, and give the same command again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
