"""Files under a folder, written so that a crash never leaves half of one; optional packages."""

import dataclasses
import errno
import json
import os
import shutil
import stat
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from chexnet.errors import ChexnetError, ConfigError, DataError, FetchError

ROOM = 256 << 20
"""Bytes of a disk that a download leaves free."""
CACHE_VARIABLE = "WIN_PD_OVERRIDE_LOCAL_APPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME"
"""Names another place for the user's cache (platformdirs, which is asked for it)."""
IN_USE = (5, 32, 33, 1224)
"""Windows' numbers for a file that somebody has open, locked or mapped (5: "access denied")."""
PATIENCE = 2.0
"""Seconds that a rename waits for a virus scanner or an indexer to let go of a file (Windows)."""
FLUSHES_NO_FOLDER = (errno.EINVAL, errno.ENOTSUP, errno.EBADF, errno.EACCES)
"""What file systems answer that flush files only (network shares, FAT)."""
WHOLE_LIST = "python -m pip install -r requirements.txt"
"""The one command that installs what is left out of requirements-demo.txt, PyTorch above all."""

PICTURE_ENDINGS = (
    *(".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff"),
    *(".dcm", ".dicom", ".dic", ".ima"),
)
"""Endings, in lower case, of what `read_radiograph` reads; it looks at the bytes, not at these."""
OF_THE_SYSTEM = frozenset({"lost+found", "System Volume Information", "$RECYCLE.BIN"})
"""Folders at the top of a disk that hold nobody's pictures and that nobody may read."""


def files_under(root: Path) -> list[str]:
    """Every file under a folder, as text beginning with `root`, in the order of the paths' parts.

    Links are followed, each real folder is read once, where it lies itself rather than by a link.
    What is hidden (its name begins with a dot) and what is no regular file is left out.

    Raises:
        DataError: `root` is no folder, or it or one below it may not be read.
    """
    paths: list[str] = []
    seen: set[tuple[int, int]] = set()
    folders, links = [str(root)], list[str]()
    try:
        while folders or links:
            folder = folders.pop() if folders else links.pop(0)
            about = os.stat(folder)
            if (about.st_dev, about.st_ino) in seen:
                continue
            seen.add((about.st_dev, about.st_ino))
            with os.scandir(folder) as entries:
                for entry in sorted(entries, key=lambda entry: entry.name):
                    if entry.name[0] == "." or entry.name in OF_THE_SYSTEM:
                        continue
                    linked = entry.is_symlink()  # `entry.is_dir` fails on a link to itself
                    if os.path.isdir(entry.path) if linked else entry.is_dir():
                        (links if linked else folders).append(entry.path)
                    elif os.path.isfile(entry.path) if linked else entry.is_file():
                        paths.append(entry.path)
    except OSError as error:
        raise DataError(
            f"The folder {folder} cannot be read ({error.strerror}). Expected one of pictures; "
            "give it read permission, or move it away."
        ) from error
    return sorted(paths, key=lambda path: path.split(os.sep))


def read_regular(path: Path, limit: int) -> bytes:
    """The bytes of a file that is looked at first: no folder, pipe or device, and not too large.

    Raises:
        DataError: it is one of these, has more than `limit` bytes, or cannot be read.
    """
    try:
        about = os.stat(path)  # of what a link leads to, and before it is opened: a pipe waits
        if not stat.S_ISREG(about.st_mode):
            raise DataError(f"{path} is a folder, a pipe or a device. Expected a regular file.")
        with open(path, "rb") as file:
            data = file.read(limit + 1) if about.st_size <= limit else None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or "its name is no file's"
        raise DataError(f"{path} could not be read: {reason}.") from error
    if data is None or len(data) > limit:  # what /proc holds says that it is empty
        raise DataError(
            f"{path} has {gigabytes(max(about.st_size, limit))} or more, expected at most "
            f"{gigabytes(limit)}."
        )
    return data


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Give a temporary path in `path`'s folder; it takes `path`'s place when the block ends well.

    The data are flushed to the disk before the rename and the folder after it, so that at every
    moment `path` is either the old file or the whole new one, also after a power cut.

    Raises:
        ChexnetError: the disk is full, the folder cannot be written, or on Windows another program
            has the file open; the old file is untouched.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    with writing(path, "The file that was there is untouched. "):
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            yield temporary
            _flush(temporary)
            move_over(temporary, path)
            _flush_folder(path.parent)
        except BaseException:
            with suppress(OSError):  # what went wrong before is what the user has to know
                temporary.unlink(missing_ok=True)
            raise


@contextmanager
def writing(path: Path, kept: str = "") -> Iterator[None]:
    """Turn an error of the system that says nothing to a user into one that does.

    Args:
        path: what is written, removed or replaced.
        kept: a sentence on what is left of it, said where it is there.

    Raises:
        ChexnetError: says why and what to do.
    """
    try:
        yield
    except OSError as error:
        reason, advice = explained(error)
        raise ChexnetError(
            f"Could not write {path}: {reason}. {kept if os.path.exists(path) else ''}{advice}."
        ) from error


def explained(error: OSError) -> tuple[str, str]:
    """Why something could not be written, and what to do about it, for a reader."""
    if is_held(error):
        return (
            "another program has it open, or it may not be written (Windows)",
            "Close it there and give the same command again",
        )
    reason = os.strerror(error.errno) if error.errno else str(error)
    return reason, "Free some space" if error.errno == errno.ENOSPC else "Pass a writable folder"


def is_held(error: OSError) -> bool:
    """Whether Windows refuses because somebody has the file open; other systems do not mind."""
    return getattr(error, "winerror", None) in IN_USE


def move_over(source: Path, target: Path) -> None:
    """Rename `source` to `target`, in whose place it comes.

    Windows replaces nothing that is open, if only by a virus scanner for a moment: it is tried
    again for two seconds.

    Raises:
        OSError: it cannot be done; see `explained`.
    """
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            os.replace(source, target)
            return
        except OSError as error:
            if not is_held(error) or time.monotonic() >= deadline:
                raise
        time.sleep(0.05)


def plain(value: Any) -> Any:
    """What JSON and weights files can keep of any value; NaN becomes None.

    A dataclass becomes a dict: of what its method `as_dict` gives where it has one, else of its
    fields, each under the name `json` of its metadata or its own.
    """
    if hasattr(value, "as_dict"):
        return plain(value.as_dict())
    if dataclasses.is_dataclass(value):
        return {
            field.metadata.get("json", field.name): plain(getattr(value, field.name))
            for field in dataclasses.fields(value)
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    if hasattr(value, "tolist"):  # of NumPy
        return plain(value.tolist())
    return None if value != value else value


def write_json(path: Path, content: Any) -> None:
    """Write what `plain` makes of some content, as `write_text` writes."""
    write_text(path, json.dumps(plain(content), indent=2))


def write_text(path: Path, text: str) -> None:
    """Write `text` as UTF-8 through `replacing`; the same bytes on every system."""
    with replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8", newline="\n")


def is_name(text: str) -> bool:
    """Whether this may be the name of a published network, not a path: no slash, no suffix."""
    return bool(text) and not set(text) & set("/\\.")


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


def _flush(path: Path, mode: int = os.O_RDWR) -> None:
    handle = os.open(path, mode)  # Windows flushes only what is open for writing
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _flush_folder(folder: Path) -> None:
    """As durable as the system makes it: Windows opens no folders, some disks flush none."""
    try:
        _flush(folder, os.O_RDONLY)
    except OSError as error:
        if error.errno not in FLUSHES_NO_FOLDER:
            raise


def installed(*modules: str) -> bool:
    """Whether these can be imported; none of them is."""
    try:
        return all(find_spec(name) is not None for name in modules)
    except (ImportError, ValueError):  # a finder that refuses, a module half loaded
        return False


def not_installed(requirements: str) -> list[str]:
    """Packages that a list names, one a line and without versions, and that are not here."""
    lines = [line.partition("#")[0].strip() for line in requirements.splitlines()]
    missing = []
    for name in lines:
        if name and not name.startswith("-"):
            try:
                version(name)
            except PackageNotFoundError:
                missing.append(name)
    return missing


def require_torch(what: str, otherwise: str = "") -> None:
    """Refuse early what needs PyTorch where it is not installed.

    Raises:
        ConfigError: names the command that installs it.
    """
    if not installed("torch", "torchvision"):
        raise ConfigError(f"{what} needs PyTorch, which is not installed: {WHOLE_LIST}{otherwise}")
