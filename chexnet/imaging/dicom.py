"""The pixels of a DICOM radiograph, as its window shows them, and nothing that names a patient.

Shapes: H W are the picture's height and width. Only `radiograph.py` calls this; it turns whatever
is raised here into one `ImageError`.
"""

import logging
import zlib
from io import BytesIO
from typing import Any, BinaryIO, cast

import numpy as np
from pydicom import Dataset, uid
from pydicom.filereader import _read_file_meta_info, read_dataset
from pydicom.tag import Tag

from chexnet.errors import ImageError
from chexnet.imaging.containers import EXPORT, SILENT, PictureInfo, check_size
from chexnet.imaging.frames import COLOURS, DEFLATED, IN_COLOUR, READABLE, Parts, decode_frame
from chexnet.imaging.presentation import LUTS, PADDING, show

# DR is no term of the standard (it is DX), but of many machines.
MODALITIES = ("CR", "DX", "DR", "RG")
RADIOGRAPHS = (
    uid.ComputedRadiographyImageStorage,
    uid.DigitalXRayImageStorageForPresentation,
    uid.DigitalXRayImageStorageForProcessing,
)
# All that pixels need. A tag that is not named here is skipped while reading.
TAGS: list[Any] = [
    Tag(name)
    for name in (
        *("BitsAllocated", "BitsStored", "BurnedInAnnotation", "Columns", "HighBit", "Modality"),
        *("NumberOfFrames", "PhotometricInterpretation", "PixelData"),
        *("PixelRepresentation", "RescaleIntercept", "RescaleSlope", "Rows"),
        *("SOPClassUID", "SamplesPerPixel", "VOILUTFunction", "WindowCenter"),
        *("WindowWidth", *PADDING, *LUTS),
    )
]
# The text of a tag that is read here; pydicom would go through millions of values.
MAX_TEXT = 4096
LARGE = (*map(Tag, LUTS), Tag("PixelData"))
# What stands before the pixels of a deflated file, overlays and tables included.
MAX_HEADER = 2**23


def read_dicom(file: BinaryIO, max_pixels: int) -> tuple[np.ndarray, int, int, PictureInfo]:
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
    parts = Parts(file)
    meta = _read_file_meta_info(cast(BinaryIO, parts))
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
    facts = PictureInfo("DICOM", kind, data.BitsStored, inverted=kind == "MONOCHROME1")
    return *show(words, data, depth, signed), facts


def _read(parts: Parts, syntax: uid.UID) -> Dataset:
    # `dcmread` would inflate a file of any size.
    data = read_dataset(
        cast(BinaryIO, parts),
        syntax.is_implicit_VR,
        syntax.is_little_endian,
        specific_tags=TAGS,
    )
    for part in data.values():  # as they were read, not yet converted
        if part.tag not in LARGE and isinstance(part.value, bytes) and len(part.value) > MAX_TEXT:
            raise ValueError("a long value")
    return data


def _inflated(parts: Parts, sop_class: Any, max_pixels: int) -> Parts:
    """Unpack a deflated data set, as far as its own header says that it goes."""
    unpack = zlib.decompressobj(-zlib.MAX_WBITS)
    head = unpack.decompress(parts.read(), MAX_HEADER)
    data = _read(Parts(BytesIO(head)), DEFLATED)
    _check(data, sop_class, max_pixels)
    size = data.Rows * data.Columns * data.SamplesPerPixel * data.BitsAllocated // 8
    return Parts(BytesIO(head + unpack.decompress(unpack.unconsumed_tail, size)))


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
