"""Any X-ray file to one grayscale array, or a plain refusal. The only way to open an image.

Shapes: H W are the picture's height and width.

Decoders are handed bytes by strangers, so the order is fixed: look at the first bytes, read the
header, refuse by size, and only then decode. Whatever a decoder raises on the way becomes one
`ImageError`, whose text never repeats what the library said: that may quote the file.
"""

import contextlib
import logging
import os
import stat
import threading
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT, SILENT
from chexnet.imaging.containers import PictureInfo as PictureInfo  # handed on to those who make one
from chexnet.imaging.picture import read_picture
from chexnet.imaging.value_range import histogram, value_range

MAX_PIXELS = 25_000_000
KINDS = {stat.S_IFDIR: "a folder", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}


@dataclass(frozen=True)
class Radiograph:
    """One picture as a radiograph: a single channel, bone white.

    Attributes:
        pixels: (H, W), uint8 or uint16, in the integers that were stored, from `low` to `high`.
        low: the value that `brightness` maps to 0.
        high: the value that `brightness` maps to 1. 0 and 255 for 8 bits; for 16 bits the range in
            use, because a 12-bit detector fills a sixteenth of what 16 bits could hold; without
            outliers (see `value_range.py`), which are drawn black or white.
        facts: what was read beside the pixels.
    """

    pixels: np.ndarray
    low: int
    high: int
    facts: PictureInfo

    def brightness(self) -> np.ndarray:
        """Return the picture as float32 (H, W) in [0, 1]."""
        bright = self.pixels.astype(np.float32)
        bright -= np.float32(self.low)
        bright /= np.float32(self.high - self.low)
        return bright

    def as_uint8(self) -> np.ndarray:
        """Return the picture as uint8 (H, W): 8 bits are the same array, 16 are scaled to fit."""
        return self.pixels if self.pixels.dtype == np.uint8 else self._stretched(np.uint8)

    def reduced(self, side: int) -> "Radiograph":
        """Return the picture with at most `side` pixels a side, in as many shades as it came with.

        A narrow window over 8 bits would show stripes where a detector saw a smooth rise, so 16
        bits stay 16 bits; their range is scaled to the whole of uint16.
        """
        pixels = self.pixels if self.pixels.dtype == np.uint8 else self._stretched(np.uint16)
        image = Image.fromarray(pixels)
        # Pillow reduces in two steps only pictures of 8 bits, and is no faster with them.
        image.thumbnail((side, side), reducing_gap=None)
        reduced = np.asarray(image)
        return Radiograph(reduced, 0, int(np.iinfo(reduced.dtype).max), self.facts)

    def _stretched(self, kind: type[np.unsignedinteger]) -> np.ndarray:
        """The range in use stretched over all values of a type."""
        span, top = self.high - self.low, int(np.iinfo(kind).max)
        # Values are at most 65,535 * 65,535, so int64 never overflows; half is added to round.
        steps = np.arange(span + 1, dtype=np.int64)
        table = np.zeros(self.high + 1, kind)
        table[self.low :] = (steps * top + span // 2) // span
        stretched: np.ndarray = table[self.pixels]
        return stretched

    def corrected(self, turns: int, inverted: bool) -> "Radiograph":
        """Return the picture turned to the left by quarters, and with light and dark exchanged."""
        pixels = np.ascontiguousarray(np.rot90(self.pixels, turns))
        low, high = self.low, self.high
        if inverted:
            top = int(np.iinfo(pixels.dtype).max)
            pixels, low, high = top - pixels, top - high, top - low
        return Radiograph(pixels, low, high, self.facts)


def read_radiograph(
    source: Path | bytes, *, max_pixels: int = MAX_PIXELS, own_process: bool = False
) -> Radiograph:
    """Read one picture as a radiograph.

    Args:
        source: a file or its bytes: PNG, JPEG, TIFF, WebP or DICOM. The name's ending is not
            trusted.
        max_pixels: a larger picture is refused before it is decoded.
        own_process: nothing else runs in this process, so that a decoder which keeps all other
            threads waiting may be used; the pixels are the same.

    Returns:
        The pixels as stored (uint8 or uint16, (H, W)), bone white, and the range they use.

    Raises:
        ImageError: the file is missing, damaged, no picture, or none that could be a radiograph.
            The message can be shown to a visitor.
    """
    try:
        with _quiet():
            return _read(source, max_pixels, own_process)
    except ImageError as error:
        reason = str(error)
    except Image.DecompressionBombError:
        reason = "claims more pixels than can be read. Reduce it first."
    except ModuleNotFoundError as error:  # of the name of a package, never of the file's content
        reason = f"needs the package {error.name}. Run: pip install -r requirements.txt"
    except Exception as error:
        # What the operating system says about a name has a number; what decoders raise has none.
        in_memory = isinstance(source, bytes)
        if in_memory or not isinstance(error, OSError) or error.errno is None:
            reason = f"is damaged, incomplete or of an unusual kind. {EXPORT}"
        elif isinstance(error, FileNotFoundError):
            reason = "was not found. Check the name."
        else:
            reason = "cannot be opened. Check that it is a file you may read."
    # Raised out here, so that the library's exception, which may quote the file, does not hang on.
    named = "The picture" if isinstance(source, bytes) else Path(source).name
    raise ImageError(f"{named} {reason}")


def _read(source: Path | bytes, max_pixels: int, own_process: bool) -> Radiograph:
    if not isinstance(source, bytes):
        # Opening a pipe waits for its writer, and a device never ends.
        mode = stat.S_IFMT(os.stat(source).st_mode)
        if mode != stat.S_IFREG:
            named = KINDS.get(mode, "a device")
            raise ImageError(f"cannot be opened: it is {named}, no regular file.")
    with BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        # 8 bytes a pixel is the most that any accepted format stores, and some for its header.
        if size > 8 * max_pixels + 2**24:
            raise ImageError(f"has {size / 1e6:,.0f} MB, which is too large. {EXPORT}")
        head = file.read(132)
        kind = _kind(head)
        if kind == "DICOM":
            # Imported only here: pydicom takes longer to load than most pictures to read.
            from chexnet.imaging.dicom import read_dicom

            # Behind the preamble of 128 bytes and the prefix, or what there is of them.
            file.seek(132 if head[128:] == b"DICM" else 4 if head.startswith(b"DICM") else 0)
            return Radiograph(*read_dicom(file, max_pixels))
        file.seek(0)
        return as_radiograph(*read_picture(file.read(), kind, max_pixels, own_process))


def _kind(head: bytes) -> str:
    """Name the format by its first bytes, or refuse."""
    if not head:
        raise ImageError(f"is empty. {EXPORT}")
    if head[128:] == b"DICM":  # first, for the bytes before it may be those of a TIFF
        return "DICOM"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "PNG"
    if head.startswith(b"\xff\xd8\xff"):
        return "JPEG"
    if head.startswith((b"II*\0", b"MM\0*", b"II+\0")):
        return "TIFF"
    if head.startswith(b"MM\0+"):  # Pillow reads BigTIFF of the other order only
        raise ImageError(f"is a big-endian BigTIFF, which cannot be read. {EXPORT}")
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head.startswith(b"DICM") or (head[:1] in b"\2\x08" and head[1:2] == head[3:4] == b"\0"):
        return "DICOM"  # without preamble; by its first element, of group 2 or 8
    if head.startswith((b"GIF87a", b"GIF89a")):
        raise ImageError(f"is a GIF, which has too few shades of gray. {EXPORT}")
    raise ImageError(f"is not a PNG, JPEG, TIFF, WebP or DICOM picture. {EXPORT}")


def as_radiograph(pixels: np.ndarray, facts: PictureInfo) -> Radiograph:
    """Give a decoded array its range; refuse it where every pixel has the same value."""
    if pixels.dtype != np.uint8:
        low, high = value_range(pixels, histogram(pixels))
        return Radiograph(np.clip(pixels, low, high), low, high, facts)
    if pixels.min() == pixels.max():
        raise ImageError(f"is blank: every pixel has the same value. {EXPORT}")
    return Radiograph(pixels, 0, 255, facts)


class _Quiet:
    """How many reads are under way, and what silences the libraries meanwhile."""

    lock = threading.Lock()
    depth = 0
    caught = contextlib.ExitStack()


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the decoders' warnings and log lines to themselves: they quote what a file holds.

    Python keeps one list of warning filters for all threads, so that two readers who each restore
    it can leave it wrong for good: the first one in silences, the last one out restores.
    """
    with _Quiet.lock:
        if _Quiet.depth == 0:
            for library in ("PIL", "imagecodecs"):
                logging.getLogger(library).setLevel(SILENT)  # for good: their lines list tags
            _Quiet.caught.enter_context(warnings.catch_warnings())
            warnings.simplefilter("ignore")
        _Quiet.depth += 1
    try:
        yield
    finally:
        with _Quiet.lock:
            _Quiet.depth -= 1
            if _Quiet.depth == 0:
                _Quiet.caught.close()
