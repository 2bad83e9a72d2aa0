"""The one frame of a DICOM, in whatever way it was compressed, as words of gray.

Shapes: H W are the picture's height and width, C its channels. Only `dicom.py` calls this.
"""

from typing import BinaryIO

import numpy as np
from pydicom import Dataset, uid
from pydicom.encaps import get_frame

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT, jpeg_segments

DEFLATED = uid.DeflatedExplicitVRLittleEndian
PLAIN = (
    uid.ImplicitVRLittleEndian,
    uid.ExplicitVRLittleEndian,
    uid.ExplicitVRBigEndian,
    DEFLATED,  # `dicom.py` has unpacked it
)
JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (
    uid.JPEG2000Lossless,
    uid.JPEG2000,
    uid.HTJ2KLossless,
    uid.HTJ2KLosslessRPCL,
    uid.HTJ2K,
)
READABLE = (*PLAIN, uid.RLELossless, *JPEG, *JPEG_LS, *JPEG_2000)
COLOURS = ("RGB", "YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")
IN_COLOUR = f"is a DICOM in colour. {EXPORT}"
NEEDS_LIBJPEG = (
    "is a DICOM compressed as JPEG-LS. Export it in another compression or as a 16-bit grayscale "
    "PNG; whoever runs this may also install pylibjpeg-libjpeg (GPL-3.0), which reads it."
)
# A decoder of JPEG 2000 reserves some kilobytes a tile before it reads the first one.
MAX_TILES = 1024
# One frame may be cut into several; each costs microseconds, and 20 MB can hold two million.
MAX_FRAGMENTS = 10_000
# Frame headers: baseline, extended, progressive, lossless JPEG, and JPEG-LS.
SOF = (0xC0, 0xC1, 0xC2, 0xC3, 0xF7)

# pydicom needs some microseconds for each part of a file; 200 MB can hold 25 million.
MAX_READS = 50_000


class Parts:
    """A file that can be read from a limited number of times: each part of a DICOM costs one."""

    def __init__(self, file: BinaryIO) -> None:
        """Go on where a file stands."""
        self.seek, self.tell, self._read, self._left = file.seek, file.tell, file.read, MAX_READS

    def read(self, size: int = -1) -> bytes:
        """As the file's own.

        Raises:
            ImageError: it was read from `MAX_READS` times already.
        """
        self._left -= 1
        if self._left < 0:
            raise ImageError(f"is a DICOM of too many parts. {EXPORT}")
        return self._read(size)


# Which decoder reads what was chosen by giving each some thousands of damaged frames (measured in
# processes of their own): GDCM, which pydicom prefers wherever it is installed, ends the process
# at 1 to 3 % of them, and CharLS (pyjpegls, imagecodecs) needs more than 20 s for some hundred
# bytes of JPEG-LS. libjpeg-turbo (imagecodecs), OpenJPEG and pylibjpeg-libjpeg did neither.


def decode_frame(data: Dataset, syntax: uid.UID) -> tuple[np.ndarray, int, bool]:
    """Decode the one frame, once its own header has been found to fit the file's.

    Args:
        data: a data set whose size has been checked.
        syntax: one of `READABLE`.

    Returns:
        Words (H, W), uint8 or uint16, with all bits that were stored; how many of them the
        compression kept; and whether they are signed, for which the codestream counts more.

    Raises:
        ImageError: it is in colour, or not of the size that the header names.
        Exception: whatever a decoder raises on a damaged frame.
    """
    shape = (data.Rows, data.Columns, data.SamplesPerPixel)
    word = np.dtype(f"u{data.BitsAllocated // 8}")
    depth, signed = data.BitsAllocated, data.PixelRepresentation == 1
    if syntax in PLAIN:
        return _plain(data, shape, word, syntax.is_little_endian), depth, signed
    if data.PixelData.count(b"\xfe\xff\x00\xe0") > MAX_FRAGMENTS:
        raise ImageError(f"is a DICOM of too many parts. {EXPORT}")
    frame = get_frame(data.PixelData, 0, number_of_frames=1)
    if syntax == uid.RLELossless:
        return _gray(data.BitsStored, _run_lengths(frame, shape, word)), depth, signed
    described = _described_2000(frame) if syntax in JPEG_2000 else _described_jpeg(frame)
    if described[:3] != shape:
        raise ImageError(f"is a DICOM whose picture is not what its header says. {EXPORT}")
    depth = described[3]
    if depth > data.BitsAllocated:
        raise ValueError("more bits than the header names")
    # Imported only here: they take longer to load than most pictures to read.
    unsigned = depth < data.BitsStored  # has no place for a sign, or JPEG 2000 says so
    if syntax in JPEG_2000:
        import openjpeg.utils

        planes = openjpeg.utils.decode(frame)
        unsigned = planes.dtype.kind == "u"
        signed |= not unsigned
    elif syntax in JPEG:
        import imagecodecs

        # Named alike, channels are left as they are stored; else YBR would become RGB.
        space = "RGB" if data.SamplesPerPixel == 3 else None
        planes = imagecodecs.jpeg8_decode(frame, colorspace=space, outcolorspace=space)
    else:
        try:
            import libjpeg.utils
        except ModuleNotFoundError:
            raise ImageError(NEEDS_LIBJPEG) from None
        planes = libjpeg.utils.decode(frame)
    words = _gray(data.BitsStored, planes.reshape(shape)).astype(word, copy=False)
    return words, depth, signed and not (unsigned and not _is_wrapped(words, data, depth))


def _plain(data: Dataset, shape: tuple[int, int, int], word: np.dtype, little: bool) -> np.ndarray:
    """Gray words (H, W) of pixels that were not compressed; bytes that follow are ignored."""
    stored, bits = data.PixelData, data.BitsStored
    count = shape[0] * shape[1] * shape[2]
    if not little and word.itemsize == 1 and data["PixelData"].VR == "OW":
        stored = np.frombuffer(stored, ">u2").astype("<u2").tobytes()
    word = word.newbyteorder("<" if little else ">")
    if data.PhotometricInterpretation == "YBR_FULL_422" and len(stored) < count * word.itemsize:
        # Y Y Cb Cr: two pixels share their colours (PS3.3 C.7.6.3.1.2).
        pairs = np.frombuffer(stored, word, count // 3 * 2).reshape(-1, 4)
        if np.any(pairs[:, 2:] != 2 ** (bits - 1)):
            raise ImageError(IN_COLOUR)
        return pairs[:, :2].reshape(shape[:2])
    planes = np.frombuffer(stored, word, count)
    # By pixel or by channel: some writers name the wrong one, but a gray picture is gray in one.
    gray = _gray(bits, planes.reshape(shape), _by_pixel(planes, shape))
    return gray.astype(word.newbyteorder("="), copy=False)


def _by_pixel(planes: np.ndarray, shape: tuple[int, int, int]) -> np.ndarray:
    """Channels that are stored one after the other, as (H, W, C)."""
    return planes.reshape(shape[2], *shape[:2]).transpose(1, 2, 0)


def _run_lengths(frame: bytes, shape: tuple[int, int, int], word: np.dtype) -> np.ndarray:
    """Unpack run lengths (PS3.5 G) into (H, W, C), never into more than that."""
    import imagecodecs

    size = shape[0] * shape[1] * shape[2] * word.itemsize
    unpacked = imagecodecs.dicomrle_decode(frame, word, out=bytearray(size))
    if len(unpacked) < size:
        raise ValueError("cut off")
    return _by_pixel(np.frombuffer(unpacked, word), shape)


def _gray(bits: int, *layouts: np.ndarray) -> np.ndarray:
    """Reduce (H, W, C) to (H, W) where that loses nothing: equal channels, or no colour in YBR."""
    for planes in layouts:
        gray, others = planes[..., 0], planes[..., 1:]
        if np.all(others == gray[..., None]) or np.all(others == 2 ** (bits - 1)):
            return gray
    raise ImageError(IN_COLOUR)


def stored_numbers(words: np.ndarray, data: Dataset, depth: int, signed: bool) -> np.ndarray:
    """Read the numbers in words of which a compression kept `depth` bits (PS3.5 8.1.1).

    High Bit shifts, what lies beyond Bits Stored is no part of them (old overlays), and the sign
    is extended from there.
    """
    bits, above = data.BitsStored, data.get("HighBit")
    shift = above + 1 - bits if above is not None and bits <= above + 1 <= depth else 0
    numbers: np.ndarray = (words.astype(np.int32) >> shift) & (2**bits - 1)
    half = 2 ** (min(bits, depth) - 1)
    return (numbers % (2 * half) ^ half) - half if signed else numbers


def _is_wrapped(words: np.ndarray, data: Dataset, depth: int) -> bool:
    """Whether words that a codestream takes for unsigned are signed, as the header says.

    The codestream is right (PS3.5 A.4.4), unless an encoder took signed numbers for unsigned ones
    (pydicom issue 1149): read as signed, neighbours then differ by less.
    """
    leaps = []
    for signed in (False, True):
        numbers = stored_numbers(words[::4], data, depth, signed)
        leaps.append(sum(float(np.abs(np.diff(numbers, axis=axis)).sum()) for axis in (0, 1)))
    return leaps[1] < leaps[0]


# A decoder reserves memory by the compressed frame's own header, which the file's rows and columns
# do not bind. Without these two checks, flipped bits kept a decoder busy for minutes.


def _number(frame: bytes, start: int, length: int) -> int:
    return int.from_bytes(frame[start : start + length], "big")


def _described_2000(frame: bytes) -> tuple[int, int, int, int]:
    """Height, width, channels and bits in the SIZ segment of JPEG 2000 (ISO/IEC 15444-1, A.5.1)."""
    if not frame.startswith(b"\xff\x4f\xff\x51"):
        raise ValueError("no JPEG 2000 codestream")
    right, bottom, left, top, tile_width, tile_height = (
        _number(frame, start, 4) for start in range(8, 32, 4)
    )
    if -(-right // tile_width) * -(-bottom // tile_height) > MAX_TILES:
        raise ValueError("too many tiles")
    return bottom - top, right - left, _number(frame, 40, 2), _number(frame, 42, 1) % 128 + 1


def _described_jpeg(frame: bytes) -> tuple[int, int, int, int]:
    """Height, width, channels and bits in the frame header (SOF) of JPEG or JPEG-LS."""
    for marker, start in jpeg_segments(frame):
        if marker in SOF:
            height, width = _number(frame, start + 5, 2), _number(frame, start + 7, 2)
            return height, width, _number(frame, start + 9, 1), _number(frame, start + 4, 1)
    raise ValueError("no frame header")
