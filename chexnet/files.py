"""Writing files so that a crash never leaves half of one; room on a disk."""

import errno
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from chexnet.errors import ChexnetError, FetchError

ROOM = 256 << 20
"""Bytes of a disk that a download leaves free."""


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in `path`'s folder; it takes `path`'s place when the block ends well.

    The data are flushed to the disk before the rename and the folder after it, so that at every
    moment `path` is either the old file or the whole new one, also after a power cut.

    Raises:
        ChexnetError: the disk is full or the folder cannot be written; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        _flush(temporary)
        os.replace(temporary, path)
        _flush(path.parent)
    except OSError as error:
        _forget(temporary)
        reason = os.strerror(error.errno) if error.errno else str(error)
        advice = "Free some space" if error.errno == errno.ENOSPC else "Pass a writable folder"
        old = "The file that was there is untouched. " if path.exists() else ""
        raise ChexnetError(f"Could not write {path}: {reason}. {old}{advice}.") from error
    except BaseException:
        _forget(temporary)
        raise


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 through `replacing`."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def sweep(folder: Path) -> None:
    """Remove what killed writers left in `folder`; call it only while nobody writes there."""
    for leftover in folder.glob(".*.tmp"):
        leftover.unlink(missing_ok=True)


def check_room(folder: Path, needed: int, what: str) -> None:
    """Refuse what the disk of `folder` has no room for.

    Raises:
        FetchError: says how much is missing.
    """
    free = shutil.disk_usage(folder).free
    if free < needed + ROOM:
        raise FetchError(
            f"{what} needs {gigabytes(needed + ROOM)} in {folder}, and {gigabytes(free)} are free. "
            "Free some space and give the same command again; what was fetched is kept."
        )


def gigabytes(count: int) -> str:
    """A number of bytes for a reader."""
    return f"{count / 1e9:.1f} GB" if count >= 1e8 else f"{count / 1e6:.1f} MB"


def _forget(temporary: Path) -> None:
    with suppress(OSError):  # what went wrong before is what the user has to know
        temporary.unlink(missing_ok=True)


def _flush(path: Path) -> None:
    try:
        # Windows flushes only what is open for writing, and POSIX opens no folder for writing.
        handle = os.open(path, os.O_RDONLY if path.is_dir() else os.O_RDWR)
    except PermissionError:  # Windows opens no folders; its rename is durable enough
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
