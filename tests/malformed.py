"""Files that somebody broke, for all who open files: the reader of pictures and the demo."""

import random
import zlib
from collections.abc import Iterator
from functools import cache
from io import BytesIO
from itertools import cycle, islice
from pathlib import Path

import imagecodecs
import numpy as np
import pydicom.data
from PIL import Image

BROKEN_DICOMS = Path(pydicom.data.__file__).parent / "test_files"
"""What pydicom tests itself with, good and bad; it comes with the package."""


def encoded(image: Image.Image | np.ndarray, kind: str = "PNG", **options: object) -> bytes:
    """A picture, uint8 or uint16 (H, W) or (H, W, channels), as a file of a format."""
    image = Image.fromarray(image) if isinstance(image, np.ndarray) else image
    buffer = BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def smooth(height: int = 96, width: int = 80) -> np.ndarray:
    """Differs in every corner, and changes slowly, as JPEG likes it: uint8 (H, W)."""
    y, x = np.mgrid[:height, :width]
    return (2 * y + x / 2 + 10).astype(np.uint8)


def ramp(top: int) -> np.ndarray:
    """Rises from 0 to `top`: uint16 (96, 80)."""
    return np.linspace(0, top, 96 * 80).round().astype(np.uint16).reshape(96, 80)


def chunk(kind: bytes, data: bytes) -> bytes:
    """One part of a PNG."""
    return len(data).to_bytes(4, "big") + kind + data + zlib.crc32(kind + data).to_bytes(4, "big")


def png(width: int, height: int, bits: int, colour: int, rows: bytes, extra: bytes = b"") -> bytes:
    """A PNG whose header may say what its rows do not hold; `extra` are chunks before them."""
    size = width.to_bytes(4, "big") + height.to_bytes(4, "big")
    header = chunk(b"IHDR", size + bytes((bits, colour, 0, 0, 0)))
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + header + extra + body


def interlaced(pixels: np.ndarray) -> bytes:
    """A PNG of 96 x 80 pixels in Adam7's seven passes, uint8 gray or 16 bits of gray and alpha."""
    passes = ((0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4))
    passes += ((0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2))  # first x and y, steps
    parts = [pixels[y::down, x::right] for x, y, right, down in passes]
    rows = b"".join(b"\0" + row.tobytes() for part in parts for row in part)
    plain = png(80, 96, 8 * pixels.itemsize, 0 if pixels.ndim == 2 else 4, rows)
    return plain[:8] + chunk(b"IHDR", plain[16:28] + b"\1") + plain[33:]


@cache
def originals() -> dict[str, bytes]:
    """A whole file of each kind that is read; all of them can be."""
    from tests.imaging.test_dicom import dicom

    gray = Image.fromarray(smooth())
    exif = Image.Exif()
    exif[0x0112] = 6
    files = {
        "PNG": encoded(gray, exif=exif),
        "PNG gray": encoded(gray),
        "PNG RGBA": encoded(gray.convert("RGBA")),
        "PNG P": encoded(gray.convert("P")),
        "PNG 16": encoded(ramp(4095)),
        "JPEG": encoded(gray, "JPEG", exif=exif),
        "JPEG MPF": encoded(
            gray, "MPO", save_all=True, append_images=[Image.fromarray(smooth(48, 40))]
        ),
        "JPEG CMYK": encoded(gray.convert("RGB").convert("CMYK"), "JPEG"),
        "JPEG progressive": encoded(gray.convert("RGB"), "JPEG", progressive=True),
        "TIFF": encoded(gray, "TIFF"),
        "TIFF LZW": encoded(ramp(4095), "TIFF", compression="tiff_lzw"),
        "TIFF deflate": encoded(gray, "TIFF", compression="tiff_adobe_deflate"),
        "WEBP": encoded(gray, "WEBP"),
        "WEBP lossless": encoded(gray, "WEBP", lossless=True, exif=exif),
        "DICOM": dicom(ramp(4095), 12, WindowCenter=2000, WindowWidth=3000),
    }
    return files | _packed_dicoms()


def _packed_dicoms() -> dict[str, bytes]:
    from pydicom import dcmread
    from pydicom.encaps import encapsulate
    from pydicom.uid import (
        DeflatedExplicitVRLittleEndian,
        HTJ2KLossless,
        JPEG2000Lossless,
        JPEGBaseline8Bit,
        RLELossless,
    )

    from tests.imaging.test_dicom import dataset, dicom, written

    files = {"DICOM deflated": dicom(ramp(4095), 12, DeflatedExplicitVRLittleEndian)}
    data = dataset(ramp(4095), 12)
    data.compress(RLELossless, encoding_plugin="pydicom")
    files["DICOM run lengths"] = written(data)
    data = dataset(ramp(4095), 12, HTJ2KLossless)
    data.PixelData = encapsulate([imagecodecs.htj2k_encode(ramp(4095), reversible=True)])
    files["DICOM HTJ2K"] = written(data)
    for kind, syntax in (("JPEG", JPEGBaseline8Bit), ("JPEG2000", JPEG2000Lossless)):
        data = dataset(smooth(), 8, syntax)
        options = {"no_jp2": True} if kind == "JPEG2000" else {}
        data.PixelData = encapsulate([encoded(smooth(), kind, **options)])
        files[f"DICOM {kind}"] = written(data)
    data = dcmread(BROKEN_DICOMS / "MR_small_jpeg_ls_lossless.dcm")
    data.Modality = "CR"
    return files | {"DICOM JPEG-LS": written(data)}


@cache
def bombs() -> dict[str, bytes]:
    """Small files that cost much to whoever believes them."""
    rows = b"".join(b"\0" + row.tobytes() for row in smooth())
    unpacks = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**20 - 1)))
    unpacks += chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**20 - 1)))
    jpeg = encoded(smooth(), "JPEG", progressive=True)
    scan = jpeg[jpeg.rindex(b"\xff\xda") : -2]
    stripes = (b"\0" + b"\x10\x60" * 2499) * 4998
    return {
        "177 million pixels": png(13_300, 13_300, 8, 0, b"\0"),
        "the largest PNG": png(2**31 - 1, 2**31 - 1, 8, 0, b"\0"),
        "60 million pixels": encoded(
            Image.new("L", (13_300, 4_500)), "TIFF", compression="tiff_lzw"
        ),
        "30 million pixels": encoded(Image.new("L", (6_000, 5_000)), "JPEG"),
        "the largest that is read": png(4_998, 4_998, 8, 0, stripes),
        "texts of gigabytes": png(80, 96, 8, 0, rows, unpacks * 500),
        "thousands of scans": jpeg[:-2] + scan * 2_000 + jpeg[-2:],
        "a million chunks": png(80, 96, 8, 0, rows, chunk(b"tEXt", b"") * 200_000),
        "megabytes of comments": jpeg[:20] + b"\xff\xfe\x00\x02" * 500_000 + jpeg[20:],
    }


@cache
def strangers() -> dict[str, bytes]:
    """Whole files of other kinds, which somebody gave a picture's name."""
    gray = Image.fromarray(smooth())
    return {
        "nothing": b"",
        "text": b"Findings: none. " * 20,
        "zeros": bytes(5_000),
        "SVG": b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>',
        "EPS": b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n",
        "GIF": encoded(gray, "GIF"),
        "BMP": encoded(gray, "BMP"),
        "PDF": encoded(gray, "PDF"),
        "zip": b"PK\x03\x04" + bytes(96),
        "a DICOM's beginning": bytes(128) + b"DICM",
    }


@cache
def dicoms_of_pydicom() -> dict[str, bytes]:
    """pydicom's own: cut off, of wrong lengths, without a header, in colour, no picture at all."""
    return {path.name: path.read_bytes() for path in sorted(BROKEN_DICOMS.glob("*.dcm"))}


def damaged(file: bytes, rng: random.Random) -> bytes:
    """Cut off, with flipped bits or strange bytes; half of the damage is done to the header."""
    data = bytearray(file)
    if data and rng.random() < 0.25:
        del data[rng.randrange(len(data)) :]
    for _ in range(rng.choice((0, 1, 1, 2, 4, 16)) if data else 0):
        reach = len(data) if rng.random() < 0.5 else min(len(data), 600)
        where = rng.randrange(reach)
        if rng.random() < 0.7:
            data[where] ^= 1 << rng.randrange(8)
        else:
            data[where] = rng.choice((0, 1, 0x7F, 0x80, 0xFF))
    return bytes(data)


def malformed(count: int, seed: int) -> Iterator[tuple[str, bytes]]:
    """Make `count` malformed files, the same for the same seed.

    Half are damaged files of the kinds that are read, three in ten pydicom's (damaged and whole),
    one in ten a bomb, one in ten another file under a picture's name.

    Yields:
        What it was made of, and its bytes.
    """
    rng = random.Random(seed)
    pictures, dicoms, whole_dicoms, costly, others = (
        cycle(files.items())
        for files in (originals(), dicoms_of_pydicom(), dicoms_of_pydicom(), bombs(), strangers())
    )
    order = [
        (pictures, True), (dicoms, True), (pictures, True), (whole_dicoms, False),
        (pictures, True), (costly, False), (pictures, True), (dicoms, True),
        (pictures, True), (others, False),
    ]  # fmt: skip
    for source, broken in islice(cycle(order), count):
        name, file = next(source)
        yield name, damaged(file, rng) if broken else file
