"""What a viewer shows for the words of a DICOM: its padding, slope, window or table, and range.

Shapes: H W are the picture's height and width, V the values that occur in it.
"""

import math
from io import BytesIO
from typing import Any, BinaryIO, cast

import numpy as np
from pydicom import Dataset
from pydicom.dataelem import RawDataElement
from pydicom.filereader import read_sequence
from pydicom.pixels.processing import apply_modality_lut, apply_voi_lut

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT
from chexnet.imaging.frames import Parts, stored_numbers
from chexnet.imaging.value_range import histogram, value_range

PADDING = ("PixelPaddingValue", "PixelPaddingRangeLimit")
LUTS = ("ModalityLUTSequence", "VOILUTSequence")


def show(words: np.ndarray, data: Dataset, depth: int, signed: bool) -> tuple[np.ndarray, int, int]:
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
    half: int = 2 ** (bits - 1)
    return (number % (2 * half) ^ half) - half


# Slope and window are pydicom's. Its LUTs are not used (3.0.2): it counts the places of a table in
# the type of the entries (one of 8 bits for a 12-bit picture comes out wrong without a word), cuts
# fractions off, and fails on modality LUTs of 10 to 15 bits and on entries of one byte.


def _modality(values: np.ndarray, data: Dataset) -> np.ndarray:
    """Apply the modality LUT or the rescale slope and intercept (PS3.3 C.11.1)."""
    if table := _first(data, LUTS[0]):
        return _look_up(values, table)[0]
    if data.get("RescaleSlope") is None or data.get("RescaleIntercept") is None:
        return values  # pydicom would multiply by a tag that is there and empty
    return apply_modality_lut(values, data)


def _windowed(values: np.ndarray, data: Dataset) -> tuple[np.ndarray, tuple[int, int] | None]:
    """Apply the first VOI LUT or window (PS3.3 C.11.2); the range is None where there is none."""
    if table := _first(data, LUTS[1]):
        return _look_up(values, table)
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
        value = data.get(name)
    except ValueError:  # one of them; pydicom then gives none of the others either
        value = data.get_item(name).value.decode("ascii", "replace").split("\\")
    parts: list[Any] = [value] if isinstance(value, str | float | None) else list(value)
    numbers = []
    for part in parts:
        try:
            numbers.append(float(part))
        except (TypeError, ValueError):
            numbers.append(math.nan)
    return numbers


def _first(data: Dataset, name: str) -> Dataset | None:
    """The first item of a sequence, read as carefully as the rest of the file."""
    element = data.get_item(name)
    items = element.value if element else None
    if isinstance(element, RawDataElement) and items:
        implicit, little = element.is_implicit_VR or element.VR == "UN", element.is_little_endian
        parts = cast(BinaryIO, Parts(BytesIO(items)))
        items = read_sequence(parts, implicit, little, len(items), "iso8859")
    return items[0] if items else None


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
