"""How a PNG or a JPEG is put together: looked through before a decoder gets its bytes.

Both are chains of parts, each with its length. Going through them costs microseconds and needs no
pixel, so that what would keep a decoder busy for minutes is refused here.
"""

from collections.abc import Iterator

from chexnet.errors import ImageError

EXPORT = "Export it as an 8- or 16-bit grayscale PNG."
# A progressive JPEG is decoded whole once a scan: a small file of thousands of scans takes
# minutes. Ordinary ones have about ten.
MAX_JPEG_SCANS = 100
# Going through them costs a microsecond each, and a file of 20 MB can have five million.
MAX_JPEG_SEGMENTS = 5_000
# Pixels and their orientation, nothing else: profiles and texts are where small files unpack into
# large ones, and libpng complains about the profiles of some NIH pictures.
PNG_CHUNKS = frozenset((b"IHDR", b"PLTE", b"tRNS", b"acTL", b"eXIf", b"IDAT", b"IEND"))
MAX_PNG_CHUNKS = 100_000


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
    """Yield marker and position of each segment before the first scan of a JPEG or JPEG-LS.

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
        if marker == b"\xda":
            return
        yield marker[0], start
        # A second 0xFF is a fill byte and stands alone; else two bytes give the length.
        start += 1 if marker == b"\xff" else 2 + int.from_bytes(data[start + 2 : start + 4], "big")
    raise ImageError(f"is a JPEG of too many parts. {EXPORT}")
