"""The bytes of a PNG, JPEG, TIFF or WebP file to one gray array.

Shapes: H W are the picture's height and width.
"""

from collections import deque
from io import BytesIO

import numpy as np
from PIL import Image
from PIL.ImageFile import ImageFile
from PIL.MpoImagePlugin import MpoImageFile
from PIL.TiffImagePlugin import TiffImageFile

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT, PictureInfo, bare_png, check_size, jpeg_segments

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
JPEG_END = b"\xff\xd9"
SUBFILE, REDUCED_OR_MASK = 0x00FE, 0b101  # what a page of a TIFF is of the others
MP_ENTRIES = 0xB002  # the pictures of a JPEG of several (CIPA DC-007)
MAX_PAGES = 20
GRAY16 = ("I;16", "I;16L", "I;16B", "I;16N")
# Pillow would keep 8 of their 16 bits (of a 12-bit picture, 16 shades); libpng keeps all.
PNG16 = ("LA;16B", "RGB;16B", "RGBA;16B")


def read_picture(
    data: bytes, kind: str, max_pixels: int, own_process: bool
) -> tuple[np.ndarray, PictureInfo]:
    """Decode one picture to gray, bone white.

    Args:
        data: the file's bytes.
        kind: `PNG`, `JPEG`, `TIFF` or `WEBP`, by its first bytes.
        max_pixels: a larger picture is refused before it is decoded.
        own_process: see `read_radiograph`.

    Returns:
        The pixels as stored, uint8 or uint16 (H, W), and what was read beside them.

    Raises:
        ImageError: no single picture in shades of gray or colours. A damaged file raises whatever
            its decoder raises.
    """
    if kind == "PNG":
        data = bare_png(data)
    if kind == "JPEG":
        # Goes through what Pillow would be slow to go through, and refuses it.
        ((_, scan),) = deque(jpeg_segments(data), maxlen=1)
        if data.find(JPEG_END, scan) < 0:
            return _read_endless(data, max_pixels)
    with Image.open(BytesIO(data), formats=[kind]) as image:
        check_size(*image.size, max_pixels)
        _check(image, data, kind)
        if kind == "PNG" and _is_plain(image, data):
            pixels = _decode_plain(image, data, own_process)
            return pixels, PictureInfo(kind, image.mode, 8)
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
    facts = PictureInfo(kind, mode, bits, inverted=inverted, turned=turn is not None, colour=colour)
    return pixels, facts


def _read_endless(data: bytes, max_pixels: int) -> tuple[np.ndarray, PictureInfo]:
    """Read a JPEG without end marker, unless more than that is missing.

    A decoder fills what is missing with gray and says nothing. So whatever follows is appended: a
    whole picture does not change with it.

    Raises:
        ValueError: the picture is cut off.
    """
    last = data.rfind(b"\xff\xda") + 4  # of the scans: channels, two bytes for each, three
    if data[last + 2 * data[last] + 3] % 16:
        raise ValueError("cut off before its last scan, which adds the last bits")
    whole = data.removesuffix(JPEG_END[:1])
    # A decoder that waits for one of eight restart markers would skip anything else.
    junk = bytes(range(1, 251))
    filled = whole + junk + b"".join(bytes((0xFF, 0xD0 + restart)) + junk for restart in range(8))
    read = [read_picture(part + JPEG_END, "JPEG", max_pixels, False) for part in (whole, filled)]
    if not np.array_equal(read[0][0], read[1][0]):
        raise ValueError("cut off")
    return read[0]


def _is_main(data: bytes, kind: str) -> bool:
    """Whether the first picture is the only whole one: others are smaller, or parts of it."""
    with Image.open(BytesIO(data), formats=[kind]) as image:
        if not isinstance(image, TiffImageFile | MpoImageFile):
            return False  # an animation
        width, height = image.size
        for page in range(1, MAX_PAGES):
            try:
                image.seek(page)
            except EOFError:
                return True
            except Exception:
                if kind == "TIFF":
                    raise
                continue  # of a JPEG: named, but cut off on the way, as messengers do
            if image.width < width and image.height < height:
                continue
            if isinstance(image, TiffImageFile):
                part = image.tag_v2.get(SUBFILE, 0) & REDUCED_OR_MASK
            else:
                about = (image.mpinfo or {})[MP_ENTRIES][page]["Attribute"]
                of_one = about["DependentChildImageFlag"] and "Multi-Frame" not in about["MPType"]
                part = of_one or "Thumbnail" in about["MPType"]
            if not part:
                return False
    return False


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


def _read_png16(image: ImageFile, data: bytes) -> tuple[np.ndarray, PictureInfo]:
    """Read a PNG of 16 bits in more than one channel, opened and checked but not decoded."""
    pixels = _gray16(_decode_png(image, data, np.uint16))
    mode = _stored(image).partition(";")[0]
    # Without the chunk, Pillow would decode all pixels to look for it behind them.
    turn = TURNS.get(image.getexif().get(ORIENTATION, 1)) if b"eXIf" in data else None
    if turn is not None:
        pixels = np.array(Image.fromarray(pixels).transpose(turn))
    return pixels, PictureInfo("PNG", mode, 16, turned=turn is not None)


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


def _check(image: ImageFile, data: bytes, kind: str) -> None:
    """Refuse, by the header alone, what is no single picture in shades of gray or colours."""
    raw = _stored(image)
    if getattr(image, "is_animated", False) and not _is_main(data, kind):
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
