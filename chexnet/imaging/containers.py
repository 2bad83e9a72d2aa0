"""How a PNG or a JPEG is put together: looked through before a decoder gets its bytes.

Both are chains of parts, each with its length. Going through them costs microseconds and needs no
pixel, so that what would keep a decoder busy for minutes is refused here.
"""

import logging
from collections.abc import Iterator
from dataclasses import dataclass

from chexnet.errors import ImageError

EXPORT = "Export it as an 8- or 16-bit grayscale PNG."
SILENT = logging.CRITICAL + 1
"""A level above all of logging's: what decoders log may quote the file."""
MIN_SIDE = 64
MAX_ASPECT = 3
# A progressive JPEG is decoded whole once a scan: a small file of thousands of scans takes
# minutes. Ordinary ones have about ten.
MAX_JPEG_SCANS = 100
# Going through them costs a microsecond each, and a file of 20 MB can have five million.
MAX_JPEG_SEGMENTS = 5_000
# Pixels and their orientation, nothing else: profiles and texts are where small files unpack into
# large ones, and libpng complains about the profiles of some NIH pictures.
PNG_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"acTL", b"eXIf", b"IDAT", b"IEND"))
MAX_PNG_CHUNKS = 100_000


@dataclass(frozen=True)
class PictureInfo:
    """What a picture says about its pixels; never anything about the patient.

    Attributes:
        format: "PNG", "JPEG", "TIFF", "WEBP" or "DICOM".
        mode: Pillow's mode ("L", "RGBA", "I;16", ...) or DICOM's photometric interpretation.
        bits: bits stored a channel.
        inverted: True where white was stored as the smallest number and has been turned over.
        turned: True where the orientation noted in the file has been applied.
        colour: mean difference between the strongest and the weakest channel, 0 (gray) to 255.
    """

    format: str
    mode: str
    bits: int
    inverted: bool = False
    turned: bool = False
    colour: float = 0.0


def check_size(width: int, height: int, max_pixels: int) -> None:
    """Refuse what is too large, too small or too long to be a radiograph, before decoding."""
    size = f"is {width:,} x {height:,} pixels"
    if width * height > max_pixels:
        raise ImageError(f"{size}; at most {max_pixels:,} in all can be read. Reduce it first.")
    if min(width, height) < MIN_SIDE:
        raise ImageError(f"{size}; a side needs at least {MIN_SIDE}. Export it in full size.")
    if max(width, height) > MAX_ASPECT * min(width, height):
        raise ImageError(f"{size}, too long for a chest radiograph. Crop it to the chest.")


def bare_png(data: bytes) -> bytes:
    """Return a PNG with the chunks its pixels need.

    Raises:
        ImageError: there are too many chunks.
        ValueError: the file ends before its last chunk does. (libpng would go through as many bytes
            as a chunk claims to have, up to 2 GB, whether they are there or not.)
    """
    parts, start = [data[:8]], 8
    for _ in range(MAX_PNG_CHUNKS):
        end = start + 12 + int.from_bytes(data[start : start + 4], "big")
        if end > len(data):
            raise ValueError("cut off")
        kind = data[start + 4 : start + 8]
        if kind in PNG_CHUNKS:
            parts.append(data[start:end])
        if kind == b"IEND":
            return b"".join(parts)
        start = end
    raise ImageError(f"is a PNG of too many parts. {EXPORT}")


def jpeg_segments(data: bytes) -> Iterator[tuple[int, int]]:
    """Yield marker and position of each segment of a JPEG or JPEG-LS, up to the first scan.

    Raises:
        ImageError: there are too many segments or scans; going through them would take long.
        ValueError: something else stands where a segment should begin.
    """
    if data.count(b"\xff\xda") > MAX_JPEG_SCANS:
        raise ImageError(f"is a JPEG of too many scans. {EXPORT}")
    start = 2
    for _ in range(MAX_JPEG_SEGMENTS):
        marker = data[start + 1 : start + 2]
        if data[start : start + 1] != b"\xff" or not marker:
            raise ValueError("no segment")
        yield marker[0], start
        if marker == b"\xda":
            return
        # A second 0xFF is a fill byte and stands alone; else two bytes give the length.
        start += 1 if marker == b"\xff" else 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    raise ImageError(f"is a JPEG of too many parts. {EXPORT}")
