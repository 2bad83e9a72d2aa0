"""The pixels of a DICOM radiograph, as its window shows them, and nothing that names a patient.

Shapes: H W are the picture's height and width, V the values that occur in it. Only `radiograph.py`
calls this; it turns whatever is raised here into one `ImageError`.
"""

import logging
import math
import zlib
from io import BytesIO
from typing import Any, BinaryIO

import numpy as np
from pydicom import Dataset, uid
from pydicom.filereader import _read_file_meta_info, read_dataset
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut
from pydicom.tag import Tag

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT, SILENT, Facts, check_size
from chexnet.imaging.frames import (
    COLOURS,
    DEFLATED,
    IN_COLOUR,
    READABLE,
    decode_frame,
    stored_numbers,
)
from chexnet.imaging.value_range import histogram, value_range

# DR is no term of the standard (it is DX), but of many machines.
MODALITIES = ("CR", "DX", "DR", "RG")
RADIOGRAPHS = (
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
)
PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
# All that pixels need. A tag that is not named here is skipped while reading.
TAGS: list[Any] = [
    Tag(name)
    for name in (
        *("BitsAllocated", "BitsStored", "BurnedInAnnotation", "Columns", "HighBit", "Modality"),
        *("ModalityLUTSequence", "NumberOfFrames", "PhotometricInterpretation", "PixelData"),
        *("PixelRepresentation", "RescaleIntercept", "RescaleSlope", "Rows"),
        *("SOPClassUID", "SamplesPerPixel", "VOILUTFunction", "VOILUTSequence", "WindowCenter"),
        *("WindowWidth", *PADDING),
    )
]
# pydicom needs a microsecond and more for each part; 200 MB can hold 25 million.
MAX_READS = 100_000
# What stands before the pixels of a deflated file, overlays and tables included.
MAX_HEADER = 2**23


def read_dicom(file: BinaryIO, max_pixels: int) -> tuple[np.ndarray, int, int, Facts]:
    """Read the one gray frame of a DICOM file.

    Args:
        file: an open DICOM file, where its first element stands (behind preamble and prefix).
        max_pixels: a larger picture is refused before it is decoded.

    Returns:
        Pixels (uint8 or uint16, (H, W), bone white), the values that stand for black and white,
        and the facts. Without a window, pixels keep the stored integers (signed ones are moved up
        by half their range, MONOCHROME1 is turned over within its bits), and the range of more
        than 8 bits is that in use, less outliers; with one they fill the stored bits and the range
        is the window's. Padding is black.

    Raises:
        ImageError: it is no single gray radiograph, is too large, or shows text.
        Exception: whatever pydicom or a decoder raises on a damaged file.
    """
    for name in ("pydicom", "openjpeg", "libjpeg", "pylibjpeg"):
        logging.getLogger(name).setLevel(SILENT)
    parts = _Parts(file)
    meta = _read_file_meta_info(parts)
    syntax, sop_class = meta.get("TransferSyntaxUID"), meta.get("MediaStorageSOPClassUID")
    if sop_class == uid.MediaStorageDirectoryStorage:
        raise ImageError("is a DICOMDIR, a list of pictures. Choose one of the files it lists.")
    if not syntax:
        raise ImageError(
            f"is a DICOM without a Transfer Syntax UID, which says how to read it. {EXPORT}"
        )
    if syntax not in READABLE:
        raise ImageError(f"is a DICOM in a compression that is not supported. {EXPORT}")
    if syntax == DEFLATED:
        parts = _inflated(parts, sop_class, max_pixels)
    data = _read(parts, syntax)
    _check(data, sop_class, max_pixels)
    words, depth, signed = decode_frame(data, syntax)
    kind = data.PhotometricInterpretation
    facts = Facts("DICOM", kind, data.BitsStored, inverted=kind == "MONOCHROME1")
    return *_shown(words, data, depth, signed), facts


class _Parts:
    """A file that can be read from a limited number of times: each part of a DICOM costs one."""

    def __init__(self, file: BinaryIO) -> None:
        self.seek, self.tell, self._read, self._left = file.seek, file.tell, file.read, MAX_READS

    def read(self, size: int = -1) -> bytes:
        self._left -= 1
        if self._left < 0:
            raise ImageError(f"is a DICOM of too many parts. {EXPORT}")
        return self._read(size)


def _read(parts: "_Parts", syntax: uid.UID) -> Dataset:
    # `dcmread` would inflate a file of any size.
    return read_dataset(
        parts,
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        specific_tags=TAGS,  # type: ignore
    )


def _inflated(parts: _Parts, sop_class: Any, max_pixels: int) -> _Parts:
    """Unpack a deflated data set, as far as its own header says that it goes."""
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    head = unpack.decompress(parts.read(), MAX_HEADER)
    data = _read(_Parts(BytesIO(head)), DEFLATED)
    _check(data, sop_class, max_pixels)
    size = data.Rows * data.Columns * data.SamplesPerPixel * data.BitsAllocated // 8
    return _Parts(BytesIO(head + unpack.decompress(unpack.unconsumed_tail, size)))


def _check(data: Dataset, sop_class: Any, max_pixels: int) -> None:
    """Refuse by the header whatever is no single gray radiograph of a sensible size."""
    modality = str(data.get("Modality") or "").strip().upper()
    sop_class = data.get("SOPClassUID") or sop_class
    radiographs = f"radiographs are {', '.join(MODALITIES)}"
    if modality and modality not in MODALITIES:
        # Only a code of the standard's form is repeated; the field can hold any text.
        known = modality if len(modality) == 2 and modality.isalpha() else "other"
        raise ImageError(f"is a DICOM of modality {known}; {radiographs}.")
    if not modality and sop_class not in RADIOGRAPHS:
        name = uid.UID(sop_class or "").name
        named = f" ({name})" if sop_class and name != sop_class else ""
        raise ImageError(
            f"is a DICOM whose modality is missing, and its SOP class{named} is not that of a "
            f"radiograph; {radiographs}."
        )
    if int(data.get("NumberOfFrames") or 1) != 1:
        raise ImageError(f"is a DICOM of several frames. {EXPORT}")
    kind, channels = data.PhotometricInterpretation, data.SamplesPerPixel
    if not (kind.startswith("MONOCHROME") if channels == 1 else channels == 3 and kind in COLOURS):
        raise ImageError(IN_COLOUR)
    if (data.get("BurnedInAnnotation") or "").upper() == "YES":
        raise ImageError("is marked as having text burned into it. Use one without patient data.")
    if data.BitsAllocated not in (8, 16) or not 2 <= data.BitsStored <= data.BitsAllocated:
        raise ImageError(f"is a DICOM of neither 8 nor 16 bits a pixel. {EXPORT}")
    check_size(data.Columns, data.Rows, max_pixels)


def _shown(
    words: np.ndarray, data: Dataset, depth: int, signed: bool
) -> tuple[np.ndarray, int, int]:
    """Turn stored words into what a viewer shows: modality, then window, then MONOCHROME1.

    Every step is a function of one word, so it is applied to the few that occur, not to the
    pixels: exact, and a 16-bit picture never becomes floats.
    """
    counts = histogram(words)
    occurring = np.flatnonzero(counts)
    stored = stored_numbers(occurring, data, depth, signed)
    padding = _is_padding(occurring, stored, data, signed)
    if padding.all():
        raise ImageError(f"is blank: it holds nothing but padding. {EXPORT}")
    steps, place = np.unique(stored[~padding], return_inverse=True)  # (V,)
    first, last, bits = int(steps[0]), int(steps[-1]), data.BitsStored
    if first == last:
        raise ImageError(f"is blank: every pixel has the same value. {EXPORT}")
    base, top = -(2 ** (bits - 1)) if signed else 0, 2**bits - 1
    shown, span = steps, None
    if data.SamplesPerPixel == 1:  # in colour, neither has a meaning
        shown, span = _windowed(_modality(steps, data), data)
    low: float
    high: float
    if span is None and bits >= 8 and np.all(np.diff(shown) > 0):
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
    whole = np.zeros(len(counts), np.uint8 if bits <= 8 else np.uint16)
    whole[occurring[~padding]] = table[place]
    black = occurring[padding]
    if span is not None or bits <= 8:
        whole[black] = low
        return np.take(whole, words), int(low), int(high)
    own = np.bincount(whole[occurring], np.where(padding, 0, counts[occurring]), 2**16)
    whole[black] = own.argmax()  # where no outlier is looked for, until the range is known
    low, high = value_range(np.take(whole, words), own)
    whole = np.clip(whole, low, high)
    whole[black] = low
    return np.take(whole, words), low, high


def _is_padding(words: np.ndarray, stored: np.ndarray, data: Dataset, signed: bool) -> np.ndarray:
    """Which of the words that occur, and the numbers in them, are no picture (C.7.5.1.1.2).

    A padding value of more bits than are stored (65,535 beside 12 bits) is meant as a whole word.
    """
    ends = [int(data[n].value) for n in PADDING if data.get(n) not in (None, "")]
    if data.get(PADDING[0]) in (None, ""):
        return np.zeros(len(words), bool)
    # The tags may be written as unsigned where the pixels are signed, and the other way round.
    ends = [_signed(end, 16) if signed else end % 2**16 for end in ends]
    least = -(2 ** (data.BitsStored - 1)) if signed else 0
    if min(ends) < least or max(ends) >= least + 2**data.BitsStored:
        size = data.BitsAllocated
        stored = np.array([_signed(word, size) for word in words.tolist()]) if signed else words
    return (stored >= min(ends)) & (stored <= max(ends))


def _signed(number: int, bits: int) -> int:
    half = 2 ** (bits - 1)
    return (number % (2 * half) ^ half) - half


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
    pairs = zip(_numbers(data, "WindowCenter"), _numbers(data, "WindowWidth"), strict=False)
    center, width = next((p for p in pairs if np.isfinite(p).all() and p[1] > 0), (0, 0))
    if not width:
        return values, None
    # One unsigned bit makes pydicom's window run from 0 to 1. By the file's own tags it would run
    # over the rescaled range, and downwards where the slope is negative.
    window = Dataset()
    window.PhotometricInterpretation, window.PixelRepresentation = "MONOCHROME2", 0
    window.BitsStored = 1
    window.add_new("WindowCenter", "FD", center)
    window.add_new("WindowWidth", "FD", width)
    function = data.get("VOILUTFunction") or "LINEAR"
    # LINEAR has no width below 1; over a range of 0 to 1, LINEAR_EXACT is meant.
    window.VOILUTFunction = "LINEAR_EXACT" if function == "LINEAR" and width < 1 else function
    return apply_voi_lut(values, window), (0, 1)


def _numbers(data: Dataset, name: str) -> list[float]:
    """The numbers of a tag, NaN for what is none."""
    try:
        found = data.get(name)
    except ValueError:  # one of them; pydicom then gives none of the others either
        found = data.get_item(name).value.decode("ascii", "replace").split("\\")
    numbers = []
    for part in [found] if isinstance(found, str | float | None) else found:
        try:
            numbers.append(float(part))
        except (TypeError, ValueError):
            numbers.append(math.nan)
    return numbers


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
