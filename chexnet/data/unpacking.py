"""Unpacking an archive of images, so that nothing else comes out of it."""

import contextlib
import gzip
import os
import re
import shutil
import tarfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

from chexnet.data.download import Stopped
from chexnet.errors import ConfigError, FetchError
from chexnet.files import check_room, move_over

LARGEST_IMAGE = 32 << 20
"""Bytes; NIH's images have a megapixel each."""
LARGEST_READ = 1 << 20
"""Bytes that a header of an archive may have: tarfile reads it whole."""
IMAGE = re.compile(r"(?:\./)?(?:(images_\d{3})/)?images/(\d{8}_\d{3}\.png)")


class _Unsafe(Exception):
    """What an archive of images should not hold."""


DAMAGED = (tarfile.TarError, EOFError, gzip.BadGzipFile, zlib.error, ValueError, _Unsafe)


def unpack(
    source: Path,
    folder: Path,
    images: int,
    on_progress: Callable[[int, int], None] | None = None,
    stopped: Callable[[], bool] = lambda: False,
) -> int:
    """Unpack an archive of images to `folder`/images, whole or not at all.

    Only files with the names of NIH's images are written, and none that is no plain file.

    Args:
        source: a .tar.gz whose files lie in `images` or in `images_NNN/images`.
        folder: the final name; must not be there.
        images: how many there must be.
        on_progress: called with the bytes read and their number.
        stopped: asked at each image.

    Returns:
        How many other files were in it.

    Raises:
        FetchError: it is damaged, or holds what no archive of images should.
        Stopped: `stopped` was True.
    """
    if not hasattr(tarfile, "data_filter"):
        raise ConfigError("Unpacking needs Python 3.11.4 or newer.")
    temporary = folder.with_name(f".{folder.name}.unpacking")
    shutil.rmtree(temporary, ignore_errors=True)  # of a killed one
    size = source.stat().st_size
    try:
        check_room(folder.parent, size, f"Unpacking {source.name}")
        (temporary / "images").mkdir(parents=True)
        count = others = 0
        with source.open("rb") as raw, _reader(raw, 4 * size + (64 << 20)) as archive:
            for member in archive:
                if stopped():
                    raise Stopped
                if (name := _image_name(member, folder.name)) is None:
                    others += not member.isdir()
                    continue
                _write(archive, tarfile.data_filter(member, str(temporary)), temporary, name)
                count += 1
                if count > images:
                    raise _Unsafe(f"more than {images:,} images")
                if on_progress:
                    on_progress(raw.tell(), size)
        if count != images:
            raise _Unsafe(f"{count:,} images, expected {images:,}")
        if hasattr(os, "sync"):
            os.sync()  # once, instead of for each of 10,000 files
        move_over(temporary, folder)
    except DAMAGED as error:
        raise FetchError(f"{source}: {error}. Nothing of this archive was unpacked.") from error
    except OSError as error:
        raise FetchError(
            f"Could not unpack {source}: {os.strerror(error.errno or 0)}. Free some space, or make "
            "the folder writable, and give the same command again."
        ) from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return others


class _Bounded:
    """A stream that refuses to give more than is sensible."""

    def __init__(self, stream: gzip.GzipFile, most: int) -> None:
        self.stream, self.most = stream, most

    def read(self, count: int = -1) -> bytes:
        if not 0 <= count <= LARGEST_READ:
            raise _Unsafe("a header of many MB")
        self._check(self.stream.tell() + count)
        return self.stream.read(count)

    def seek(self, position: int, whence: int = 0) -> int:
        self._check(position)
        return self.stream.seek(position, whence)

    def tell(self) -> int:
        return self.stream.tell()

    def _check(self, position: int) -> None:
        if position > self.most:
            raise _Unsafe("it grows to many times its size")


@contextlib.contextmanager
def _reader(raw: BinaryIO, most: int) -> Iterator[tarfile.TarFile]:
    with (
        gzip.GzipFile(fileobj=raw) as stream,
        tarfile.open(fileobj=_Bounded(stream, most), mode="r:", errorlevel=2) as archive,  # type: ignore[call-overload]
    ):
        yield archive


def _image_name(member: tarfile.TarInfo, folder: str) -> str | None:
    """The name of an image, None for a folder or a file that is left out.

    Raises:
        _Unsafe: a link, a device, a path that leaves the folder, or a file that grows too large.
    """
    parts = member.name.split("/")
    if member.name.startswith("/") or ".." in parts or "\\" in member.name or ":" in member.name:
        raise _Unsafe(f"a path that leaves the folder ({member.name!r})")
    if member.isdir():
        return None
    if member.type not in (tarfile.REGTYPE, tarfile.AREGTYPE) or member.issparse():
        raise _Unsafe(f"a link, a device or a file with holes ({member.name!r})")
    if not 0 <= member.size <= LARGEST_IMAGE:
        raise _Unsafe(f"a file of {member.size:,} bytes ({member.name!r})")
    found = IMAGE.fullmatch(member.name)
    if found is None or found[1] not in (None, folder):
        return None
    return found[2]


def _write(archive: tarfile.TarFile, member: tarfile.TarInfo, folder: Path, name: str) -> None:
    source = archive.extractfile(member)
    if source is None:
        raise _Unsafe(f"no plain file ({member.name!r})")
    place = folder / "images" / name
    if place.exists():
        raise _Unsafe(f"{name} twice")
    with place.open("xb") as target:
        shutil.copyfileobj(source, target, LARGEST_READ)
