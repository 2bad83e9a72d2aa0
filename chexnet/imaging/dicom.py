"""The pixels of a DICOM radiograph, as its window shows them, and nothing that names a patient.

Shapes: H W are the picture's height and width. Only `radiograph.py` calls this; it turns whatever
is raised here into one `ImageError`.
"""

import logging
from typing import BinaryIO

import numpy as np
from pydicom import Dataset, dcmread, uid
from pydicom.encaps import get_frame
from pydicom.filereader import _read_file_meta_info, read_preamble
from pydicom.pixels.decoders.base import get_decoder
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.pixels.utils import pixel_array

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT, SILENT, Facts, check_size, jpeg_segments

MODALITIES = ("CR", "DX", "RG")
# All that pixels need. A tag that is not named here is skipped while reading.
TAGS = [
    "BitsAllocated",
    "BitsStored",
    "BurnedInAnnotation",
    "Columns",
    "HighBit",
    "Modality",
    "ModalityLUTSequence",
    "NumberOfFrames",
    "PhotometricInterpretation",
    "PixelData",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
    "Rows",
    "SamplesPerPixel",
    "VOILUTFunction",
    "VOILUTSequence",
    "WindowCenter",
    "WindowWidth",
]
PLAIN = (uid.ImplicitVRLittleEndian, uid.ExplicitVRLittleEndian, uid.ExplicitVRBigEndian)
# Not here on purpose: deflated files and run lengths, which pydicom unpacks without any limit.
JPEG = (uid.JPEGBaseline8Bit, uid.JPEGExtended12Bit, uid.JPEGLossless, uid.JPEGLosslessSV1)
JPEG_LS = (uid.JPEGLSLossless, uid.JPEGLSNearLossless)
JPEG_2000 = (uid.JPEG2000Lossless, uid.JPEG2000)
NEEDS_LIBJPEG = (
    "Export it in another compression or as a 16-bit grayscale PNG; whoever runs this may also "
    "install pylibjpeg-libjpeg (GPL-3.0), which reads it."
)
# A decoder of JPEG 2000 reserves some kilobytes a tile before it reads the first one.
MAX_TILES = 1024
# Frame headers: baseline, extended, progressive, lossless JPEG, and JPEG-LS.
SOF = (0xC0, 0xC1, 0xC2, 0xC3, 0xF7)


def read_dicom(file: BinaryIO, max_pixels: int) -> tuple[np.ndarray, int, int, Facts]:
    """Read the one grayscale frame of a DICOM file.

    Args:
        file: an open DICOM file, at its start.
        max_pixels: a larger picture is refused before it is decoded.

    Returns:
        Pixels (uint8 or uint16, (H, W), bone white), the values that stand for black and white,
        and the facts. Without a window, pixels keep the stored integers (signed ones are moved up
        by half their range, MONOCHROME1 is turned over within its bits) and the range is that in
        use; with one they fill the stored bits and the range is the window's.

    Raises:
        ImageError: it is no single grayscale radiograph, is too large, or shows text.
        Exception: whatever pydicom or a decoder raises on a damaged file.
    """
    for name in ("pydicom", "openjpeg", "libjpeg", "pylibjpeg"):
        logging.getLogger(name).setLevel(SILENT)
    read_preamble(file, force=False)
    syntax = _read_file_meta_info(file).get("TransferSyntaxUID")
    if syntax not in (*PLAIN, *JPEG, *JPEG_LS, *JPEG_2000):
        raise ImageError(f"is a DICOM in a compression that is not supported. {EXPORT}")
    file.seek(0)
    data = dcmread(file, force=False, specific_tags=TAGS)
    _check(data, max_pixels)
    stored = pixel_array(data) if syntax in PLAIN else _unpacked(data, syntax)
    bits, signed = data.BitsStored, data.PixelRepresentation == 1
    facts = Facts(
        "DICOM",
        data.PhotometricInterpretation,
        bits,
        inverted=data.PhotometricInterpretation == "MONOCHROME1",
    )
    return *_shown(stored, data, bits, signed), facts


def _check(data: Dataset, max_pixels: int) -> None:
    """Refuse by the header whatever is no single grayscale radiograph of a sensible size."""
    modality = data.get("Modality") or "none"
    if modality not in MODALITIES:
        # Only a code of the standard's form is repeated; the field can hold any text.
        known = modality if len(modality) == 2 and modality.isalpha() else "other"
        raise ImageError(
            f"is a DICOM of modality {known}; radiographs are {', '.join(MODALITIES)}."
        )
    if int(data.get("NumberOfFrames") or 1) != 1:
        raise ImageError(f"is a DICOM of several frames. {EXPORT}")
    if data.SamplesPerPixel != 1 or not data.PhotometricInterpretation.startswith("MONOCHROME"):
        raise ImageError(f"is a DICOM in colour. {EXPORT}")
    if (data.get("BurnedInAnnotation") or "").upper() == "YES":
        raise ImageError("is marked as having text burned into it. Use one without patient data.")
    if data.BitsAllocated not in (8, 16) or not 2 <= data.BitsStored <= data.BitsAllocated:
        raise ImageError(f"is a DICOM of neither 8 nor 16 bits a pixel. {EXPORT}")
    check_size(data.Columns, data.Rows, max_pixels)


# Which decoder reads what was chosen by giving each some thousands of damaged frames (measured in
# processes of their own): GDCM, which pydicom prefers wherever it is installed, ends the process
# at 1 to 3 % of them, and CharLS (pyjpegls, imagecodecs) needs more than 20 s for some hundred
# bytes of JPEG-LS. libjpeg-turbo (imagecodecs), OpenJPEG and pylibjpeg-libjpeg did neither.


def _unpacked(data: Dataset, syntax: uid.UID) -> np.ndarray:
    """Decode the one compressed frame, once its own header has been found to fit the file's."""
    frame = get_frame(data.PixelData, 0, number_of_frames=1)
    size = _size_2000(frame) if syntax in JPEG_2000 else _size_jpeg(frame)
    if size != (data.Rows, data.Columns, 1):
        raise ImageError(f"is a DICOM whose picture is not what its header says. {EXPORT}")
    if syntax in JPEG:
        import imagecodecs  # only here: it takes longer to load than most pictures to read

        pixels = imagecodecs.jpeg8_decode(frame)
        kind = np.dtype(f"{'i' if data.PixelRepresentation else 'u'}{data.BitsAllocated // 8}")
        if pixels.itemsize > kind.itemsize:
            raise ValueError("more bits than the header names")
        return pixels.astype(kind)  # from uint16 to int16 the bits stay as they are
    if "pylibjpeg" not in get_decoder(syntax).available_plugins:
        raise ImageError(f"is a DICOM compressed as JPEG-LS. {NEEDS_LIBJPEG}")
    return pixel_array(data, decoding_plugin="pylibjpeg")


# A decoder reserves memory by the compressed frame's own header, which the file's rows and columns
# do not bind. Without these two checks, flipped bits kept a decoder busy for minutes.


def _number(frame: bytes, start: int, length: int) -> int:
    return int.from_bytes(frame[start : start + length], "big")


def _size_2000(frame: bytes) -> tuple[int, int, int]:
    """Height, width and channels in the SIZ segment of JPEG 2000 (ISO/IEC 15444-1, A.5.1)."""
    if not frame.startswith(b"\xff\x4f\xff\x51"):
        raise ValueError("no JPEG 2000 codestream")
    right, bottom, left, top, tile_width, tile_height = (
        _number(frame, start, 4) for start in range(8, 32, 4)
    )
    if -(-right // tile_width) * -(-bottom // tile_height) > MAX_TILES:
        raise ValueError("too many tiles")
    return bottom - top, right - left, _number(frame, 40, 2)


def _size_jpeg(frame: bytes) -> tuple[int, int, int]:
    """Height, width and channels in the frame header (SOF) of JPEG or JPEG-LS."""
    for marker, start in jpeg_segments(frame):
        if marker in SOF:
            height, width = _number(frame, start + 5, 2), _number(frame, start + 7, 2)
            return height, width, _number(frame, start + 9, 1)
    raise ValueError("no frame header")


def _shown(
    stored: np.ndarray, data: Dataset, bits: int, signed: bool
) -> tuple[np.ndarray, int, int]:
    """Turn stored values into what a viewer shows: modality, then window, then MONOCHROME1.

    Every step is a function of one value, so it is applied to the few values that occur, not to
    the pixels: exact, and a 16-bit picture never becomes floats.
    """
    first, last = int(stored.min()), int(stored.max())
    if first == last:
        raise ImageError(f"is blank: every pixel has the same value. {EXPORT}")
    base, top = -(2 ** (bits - 1)) if signed else 0, 2**bits - 1
    if first < base or last > base + top:
        raise ValueError("values beyond the bits that the header names")
    steps = np.arange(first, last + 1)
    values = _modality(steps, data)
    shown, span = _windowed(values, data)
    low: float
    high: float
    if span is None and bits >= 8 and np.all(np.diff(values) > 0):
        table = steps - base  # nothing but an offset and a scale, which brightness does not see
        low, high = (0, top) if bits == 8 else (first - base, last - base)
    else:
        low, high = span or (shown.min(), shown.max())
        if low == high or shown.min() == shown.max():
            raise ImageError(f"is blank as its window shows it. {EXPORT}")
        top = max(top, 255)
        table = np.rint((shown - low) / (high - low) * top)
        low, high = 0, top
    if data.PhotometricInterpretation == "MONOCHROME1":
        table, low, high = top - table, top - high, top - low
    table = table.astype(np.uint8 if bits <= 8 else np.uint16)
    index = stored.astype(np.uint16) - np.uint16(first % 2**16)  # wraps where values are signed
    return np.take(table, index), int(low), int(high)


# Slope and window are pydicom's. Its LUTs are not used (3.0.2): it counts the places of a table in
# the type of the entries (one of 8 bits for a 12-bit picture comes out wrong without a word), cuts
# fractions off, and fails on modality LUTs of 10 to 15 bits and on entries of one byte.


def _modality(values: np.ndarray, data: Dataset) -> np.ndarray:
    """Apply the modality LUT or the rescale slope and intercept (PS3.3 C.11.1)."""
    if data.get("ModalityLUTSequence"):
        return _look_up(values, data.ModalityLUTSequence[0])[0]
    if data.get("RescaleSlope") is None or data.get("RescaleIntercept") is None:
        return values  # pydicom would multiply by a tag that is there and empty
    return apply_modality_lut(values, data)


def _windowed(values: np.ndarray, data: Dataset) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Apply the first VOI LUT or window (PS3.3 C.11.2); the range is None where there is none."""
    if data.get("VOILUTSequence"):
        return _look_up(values, data.VOILUTSequence[0])
    if data.get("WindowCenter") is None or data.get("WindowWidth") is None:
        return values, None
    # One unsigned bit makes pydicom's window run from 0 to 1. By the file's own tags it would run
    # over the rescaled range, and downwards where the slope is negative.
    window = Dataset()
    window.PhotometricInterpretation, window.PixelRepresentation = "MONOCHROME2", 0
    window.BitsStored = 1
    for name in ("WindowCenter", "WindowWidth", "VOILUTFunction"):
        if data.get(name) not in (None, ""):
            window[name] = data[name]
    return apply_voi_lut(values, window), (0, 1)


def _look_up(values: np.ndarray, item: Dataset) -> tuple[np.ndarray, tuple[int, int]]:
    """Map values through a LUT of the file; its range is that of its entries."""
    count, first, _ = item.LUTDescriptor
    entries = item.LUTData
    if isinstance(entries, bytes):
        order = "<" if item.original_encoding[1] else ">"
        entries = np.frombuffer(entries, "u1" if len(entries) == count else f"{order}u2")
    entries = np.asarray(entries, np.int64)[: count or 2**16]
    shown = entries[np.clip(np.rint(values).astype(np.int64) - first, 0, len(entries) - 1)]
    return shown, (int(entries.min()), int(entries.max()))
