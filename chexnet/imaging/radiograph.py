"""Any X-ray file to one grayscale array, or a plain refusal. The only file that opens an image.

Shapes: H W are the picture's height and width.

Decoders are handed bytes by strangers, so the order is fixed: look at the first bytes, read the
header, refuse by size, and only then decode. Whatever a decoder raises on the way becomes one
`ImageError`, whose text never repeats what the library said: that may quote the file.
"""

import contextlib
import logging
import threading
import warnings
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.TiffImagePlugin import TiffImageFile

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT, SILENT, Facts, bare_png, check_size, jpeg_segments

ORIENTATION, PHOTOMETRIC = 0x0112, 0x0106  # tags of EXIF and TIFF
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
MAX_PIXELS = 25_000_000
GRAY16 = ("I;16", "I;16L", "I;16B", "I;16N")
# Pillow would keep 8 of their 16 bits (of a 12-bit picture, 16 shades); libpng keeps all.
PNG16 = ("LA;16B", "RGB;16B", "RGBA;16B")


@dataclass(frozen=True)
class Radiograph:
    """One picture as a radiograph: a single channel, bone white.

    Attributes:
        pixels: (H, W), uint8 or uint16, in the integers that were stored.
        low: the value that `brightness` maps to 0.
        high: the value that `brightness` maps to 1. 0 and 255 for 8 bits; for 16 bits the range in
            use, because a 12-bit detector fills a sixteenth of what 16 bits could hold.
        facts: what was read beside the pixels.
    """

    pixels: np.ndarray
    low: int
    high: int
    facts: Facts

    def brightness(self) -> np.ndarray:
        """Return the picture as float32 (H, W) in [0, 1]."""
        bright = self.pixels.astype(np.float32)
        bright -= np.float32(self.low)
        bright /= np.float32(self.high - self.low)
        return bright

    def as_uint8(self) -> np.ndarray:
        """Return the picture as uint8 (H, W): 8 bits are the same array, 16 are scaled to fit."""
        if self.pixels.dtype == np.uint8:
            return self.pixels
        span = self.high - self.low
        # Values are at most 65,535 * 255, so int64 never overflows; half is added to round.
        steps = np.arange(span + 1, dtype=np.int64)
        table = np.zeros(self.high + 1, np.uint8)
        table[self.low :] = (steps * 255 + span // 2) // span
        scaled: np.ndarray = table[self.pixels]
        return scaled

    def reduced(self, side: int) -> "Radiograph":
        """Return the picture with at most `side` pixels a side, in as many shades as it came with.

        A narrow window over 8 bits would show stripes where a detector saw a smooth rise, so 16
        bits stay 16 bits; their range is scaled to the whole of uint16.
        """
        pixels = self.pixels
        if pixels.dtype != np.uint8:
            span = self.high - self.low
            steps = np.arange(span + 1, dtype=np.int64)
            table = np.zeros(self.high + 1, np.uint16)
            table[self.low :] = (steps * 65535 + span // 2) // span
            pixels = table[pixels]
        image = Image.fromarray(pixels)
        image.thumbnail((side, side))
        reduced = np.asarray(image)
        return Radiograph(reduced, 0, int(np.iinfo(reduced.dtype).max), self.facts)

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
        found = str(error)
    except Image.DecompressionBombError:
        found = "claims more pixels than can be read. Reduce it first."
    except ModuleNotFoundError as error:  # of the name of a package, never of the file's content
        found = f"needs the package {error.name}. Run: pip install -r requirements.txt"
    except Exception as error:
        # What the operating system says about a name has a number; what decoders raise has none.
        in_memory = isinstance(source, bytes)
        if in_memory or not isinstance(error, OSError) or error.errno is None:
            found = f"is damaged, incomplete or of an unusual kind. {EXPORT}"
        elif isinstance(error, FileNotFoundError):
            found = "was not found. Check the name."
        else:
            found = "cannot be opened. Check that it is a file you may read."
    # Raised out here, so that the library's exception, which may quote the file, does not hang on.
    named = "The picture" if isinstance(source, bytes) else Path(source).name
    raise ImageError(f"{named} {found}")


def _read(source: Path | bytes, max_pixels: int, own_process: bool) -> Radiograph:
    with BytesIO(source) if isinstance(source, bytes) else open(source, "rb") as file:
        size = file.seek(0, 2)
        file.seek(0)
        # 8 bytes a pixel is the most that any accepted format stores, and some for its header.
        if size > 8 * max_pixels + 2**24:
            raise ImageError(f"has {size / 1e6:,.0f} MB, which is too large. {EXPORT}")
        kind = _kind(file.read(132))
        file.seek(0)
        if kind == "DICOM":
            # Imported only here: pydicom takes longer to load than most pictures to read.
            from chexnet.imaging.dicom import read_dicom

            return Radiograph(*read_dicom(file, max_pixels))
        return _read_picture(file.read(), kind, max_pixels, own_process)


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
    if head.startswith((b"II*\0", b"MM\0*")):
        return "TIFF"
    if head.startswith(b"RIFF") and head[8:12] == b"WEBP":
        return "WEBP"
    if head[:1] in (b"\x02", b"\x08") and head[1:2] == head[3:4] == b"\0":
        raise ImageError(f"seems to be a DICOM without its first 128 bytes. {EXPORT}")
    if head.startswith((b"GIF87a", b"GIF89a")):
        raise ImageError(f"is a GIF, which has too few shades of gray. {EXPORT}")
    raise ImageError(f"is not a PNG, JPEG, TIFF, WebP or DICOM picture. {EXPORT}")


def _read_picture(data: bytes, kind: str, max_pixels: int, own_process: bool) -> Radiograph:
    if kind == "PNG":
        data = bare_png(data)
    if kind == "JPEG":
        deque(jpeg_segments(data), maxlen=0)  # refuses what Pillow would be slow to go through
    with Image.open(BytesIO(data), formats=[kind]) as image:
        check_size(*image.size, max_pixels)
        _check(image, kind)
        if kind == "PNG" and _is_plain(image, data):
            pixels = _decode_plain(image, data, own_process)
            return as_radiograph(pixels, Facts(kind, image.mode, 8))
        if kind == "PNG" and _stored(image) in PNG16:
            return _read_png16(image, data)
        mode, bits = image.mode, 16 if image.mode in GRAY16 else 8
        inverted = isinstance(image, TiffImageFile) and image.tag_v2.get(PHOTOMETRIC) == 0
        turn = TURNS.get(image.getexif().get(ORIENTATION, 1))
        image.load()
        # Pillow turns a TIFF while it loads.
        upright = image if turn is None or kind == "TIFF" else image.transpose(turn)
        colour = 0.0
        if mode not in ("L", "LA", *GRAY16):
            small = (upright.width // 4, upright.height // 4)
            sample = np.asarray(upright.resize(small, Image.Resampling.NEAREST).convert("RGB"))
            colour = float((sample.max(axis=2) - sample.min(axis=2)).mean())
        pixels = _gray(upright)
    if inverted and bits == 16:  # Pillow turns over only 8 bits
        pixels = 65535 - pixels
    facts = Facts(kind, mode, bits, inverted=inverted, turned=turn is not None, colour=colour)
    return as_radiograph(pixels, facts)


def _stored(image: ImageFile) -> str:
    """How a pixel is stored, in Pillow's words: "RGB;16B". WebP says nothing."""
    args = image.tile[0].args if image.tile else None
    return str(args if isinstance(args, str) else args[0] if args else "")


def _is_plain(image: ImageFile, data: bytes) -> bool:
    """Whether a PNG is 8 bits of gray and nothing else, as nearly all of NIH's are."""
    more = "transparency" in image.info or "interlace" in image.info or b"eXIf" in data
    return _stored(image) == "L" and not more


def _decode_plain(image: ImageFile, data: bytes, own_process: bool) -> np.ndarray:
    """Decode a plain gray PNG: uint8 (H, W), by kornia-rs where that is allowed and installed.

    It takes half of libpng's time and holds the GIL meanwhile. It compares each chunk's CRC, which
    finds what happened to a file on its way, but not the Adler-32 within the compressed stream.
    Whatever it refuses, libpng decides.
    """
    if own_process:
        try:
            from kornia_rs.io import decode_image_png_u8

            shape = (image.height, image.width)
            decoded: np.ndarray = decode_image_png_u8(data, shape, "mono")
            return decoded.reshape(shape)
        except BaseException as error:  # a panic of Rust is no Exception
            if isinstance(error, KeyboardInterrupt | SystemExit):
                raise
    return _decode_png(image, data, np.uint8)


def _decode_png(image: ImageFile, data: bytes, kind: type[np.generic]) -> np.ndarray:
    """Decode a PNG that has been opened and checked: (H, W), or (H, W, channels) where several."""
    # libpng, in four fifths of Pillow's time. Imported here: other kinds do without it.
    import imagecodecs

    channels = len(_stored(image).partition(";")[0]) + ("transparency" in image.info)
    shape = (image.height, image.width, channels)[: 2 if channels == 1 else 3]
    pixels = np.empty(shape, kind)
    try:
        imagecodecs.png_decode(data, out=pixels)
    except Exception:
        # Where libpng gives up, imagecodecs (2026.3.6) never drops its hold of the array, and each
        # damaged file would cost its whole size for good. So the memory is taken back by force.
        pixels.resize(0, refcheck=False)
        raise
    return pixels


def _read_png16(image: ImageFile, data: bytes) -> Radiograph:
    """Read a PNG of 16 bits in more than one channel, opened and checked but not decoded."""
    pixels = _gray16(_decode_png(image, data, np.uint16))
    mode = _stored(image).partition(";")[0]
    # Without the chunk, Pillow would decode all pixels to look for it behind them.
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1)) if b"eXIf" in data else None
    if turn is not None:
        pixels = np.array(Image.fromarray(pixels).transpose(turn))
    return as_radiograph(pixels, Facts("PNG", mode, 16, turned=turn is not None))


def _gray16(pixels: np.ndarray) -> np.ndarray:
    """Reduce uint16 (H, W, 2 to 4 channels) to gray (H, W); transparent becomes black."""
    opaque = pixels.shape[2] % 2 == 1  # no alpha, which is the last of 2 or 4 channels
    gray = pixels[..., 0].copy()
    for channel in range(1, pixels.shape[2] - (not opaque)):
        if not np.array_equal(gray, pixels[..., channel]):
            raise ImageError(f"has 16 bits in colour. {EXPORT}")
    if opaque:
        return gray
    alpha = pixels[..., -1]
    if not alpha.any():
        raise ImageError(f"is fully transparent. {EXPORT}")
    if alpha.min() < 65535:
        for row, part in zip(gray, alpha, strict=True):  # row by row, to save memory
            row[:] = (row.astype(np.uint32) * part + 32767) // 65535
    return gray


def _check(image: ImageFile, kind: str) -> None:
    """Refuse, by the header alone, what is no single picture in shades of gray or colours."""
    raw = _stored(image)
    if image.format == "MPO" or getattr(image, "is_animated", False):
        raise ImageError(f"holds several pictures. {EXPORT}")
    if image.mode == "1" or raw.endswith(";1"):
        raise ImageError(f"has 1 bit a pixel, only black and white. {EXPORT}")
    if image.mode in ("I", "F"):
        raise ImageError(f"stores 32-bit or signed numbers. {EXPORT}")
    if "16" in raw and image.mode not in GRAY16 and not (kind == "PNG" and raw in PNG16):
        raise ImageError(f"has 16 bits in colour or with transparency. {EXPORT}")
    if image.mode == "CMYK" and kind == "JPEG" and "adobe" not in image.info:
        # Without Adobe's mark nothing says whether 0 means no ink or full ink.
        raise ImageError(f"is a JPEG for printing (CMYK). {EXPORT}")


def as_radiograph(pixels: np.ndarray, facts: Facts) -> Radiograph:
    """Give a decoded array its range; refuse it where every pixel has the same value."""
    low, high = int(pixels.min()), int(pixels.max())
    if low == high:
        raise ImageError(f"is blank: every pixel has the same value. {EXPORT}")
    if pixels.dtype == np.uint8:
        low, high = 0, 255
    return Radiograph(pixels, low, high, facts)


def _gray(image: Image.Image) -> np.ndarray:
    """Reduce a loaded picture to one channel, in its own integers; transparent becomes black."""
    if image.mode in GRAY16:
        # A view of the right byte order; convert("L") would clip every value above 255.
        return np.array(image, dtype=np.uint16)
    if "transparency" in image.info and image.mode in ("L", "P", "RGB"):
        image = image.convert("LA" if image.mode == "L" else "RGBA")
    if image.mode not in ("LA", "RGBA"):
        # Pillow's weights of red, green and blue add up to 1: equal channels keep their value.
        return np.array(image if image.mode == "L" else image.convert("L"))
    alpha = image.getchannel("A")
    least, most = alpha.getextrema()
    if most == 0:
        raise ImageError(f"is fully transparent. {EXPORT}")
    gray = np.array(image.getchannel("L") if image.mode == "LA" else image.convert("L"))
    if least == 255:
        return gray
    shown: np.ndarray = (gray.astype(np.uint16) * np.asarray(alpha) + 127) // 255
    return shown.astype(np.uint8)


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
