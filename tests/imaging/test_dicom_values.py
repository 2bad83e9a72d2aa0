"""What stored values of a DICOM mean: slope, windows, tables, padding, and the bits of a pixel."""

import imagecodecs
import numpy as np
import pytest
from pydicom import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from chexnet.imaging.radiograph import read_radiograph
from tests.imaging.test_dicom import dataset, dicom, ramp, written
from tests.imaging.test_dicom_compressed import run_lengths


def test_monochrome1_is_inverted_after_the_window_and_within_its_range():
    window = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 2500}
    window["WindowWidth"] = 3000
    data = dataset(ramp(4095), 12, PhotometricInterpretation="MONOCHROME1", **window)
    image = read_radiograph(written(data))
    # pydicom's own steps are the reference; its output runs over the rescaled range.
    shown = apply_voi_lut(apply_modality_lut(ramp(4095), data), data)
    low, high = -100, 2 * 4095 - 100
    assert np.abs(image.brightness() - (1 - (shown - low) / (high - low))).max() < 1 / 4095
    assert image.facts.inverted
    assert image.brightness()[0, 0] == 1


def windowed(value: float, center: float, width: float, function: str) -> float:
    """One value in a window from 0 to 1, as PS3.3 C.11.2.1.2.1 and C.11.2.1.3 write it."""
    if function == "SIGMOID":
        return 1 / (1 + np.exp(-4 * (value - center) / width))
    if function == "LINEAR":
        if value <= center - 0.5 - (width - 1) / 2:
            return 0
        if value > center - 0.5 + (width - 1) / 2:
            return 1
        return (value - (center - 0.5)) / (width - 1) + 0.5
    if value <= center - width / 2:
        return 0
    return 1 if value > center + width / 2 else (value - center) / width + 0.5


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("top", [255, 4095])
def test_each_kind_of_window_equals_the_standards_formula_and_pydicoms(function, top):
    pixels = ramp(top, np.uint8 if top == 255 else np.uint16)
    center, width = top * 0.4, top * 0.6
    data = dataset(
        pixels,
        top.bit_length(),
        WindowCenter=[center, 1],
        WindowWidth=[width, 2],
        VOILUTFunction=function,
    )
    image = read_radiograph(written(data))
    expected = np.vectorize(windowed, otypes=[float])(pixels, center, width, function)
    assert np.abs(image.brightness() - expected).max() <= 0.501 / top
    assert np.abs(image.brightness() - apply_voi_lut(pixels, data) / top).max() <= 0.501 / top


@pytest.mark.parametrize("signed", [False, True])
def test_a_window_after_a_negative_slope_shows_its_lowest_values_dark(signed):
    """pydicom's own range runs downwards there, and would turn the picture over once more."""
    pixels = ramp(4095).astype(np.int16) - 2048 if signed else ramp(4095)
    window = {"WindowCenter": 1000, "WindowWidth": 1500}
    image = read_radiograph(dicom(pixels, 12, RescaleSlope=-1, RescaleIntercept=2000, **window))
    expected = np.vectorize(windowed, otypes=[float])(2000.0 - pixels, 1000, 1500, "LINEAR")
    assert np.abs(image.brightness() - expected).max() <= 0.501 / 4095


@pytest.mark.parametrize(
    ("centers", "widths"),
    [
        ("1000", "0"),
        ("1000", "-3"),
        ("wide", "500"),
        ("1000", "1e999"),
        ("\\", "\\"),
        ("1000\\2000", "0"),
    ],
)
def test_windows_that_are_none_are_as_if_they_were_not_there(centers, widths):
    image = read_radiograph(with_windows(centers, widths))
    assert np.array_equal(image.pixels, ramp(4095))
    assert (image.low, image.high) == (0, 4095)


@pytest.mark.parametrize("first", [("", ""), ("700", "0"), ("wide", "9"), ("700", "-1"), ("", "9")])
def test_the_first_window_that_is_one_is_applied(first):
    image = read_radiograph(with_windows(f"{first[0]}\\1000", f"{first[1]}\\500"))
    expected = read_radiograph(dicom(ramp(4095), 12, WindowCenter=1000, WindowWidth=500))
    assert np.array_equal(image.pixels, expected.pixels)


def with_windows(centers: str, widths: str) -> bytes:
    """A DICOM whose windows are any text, which pydicom would refuse to write."""
    file = dicom(ramp(4095), 12, WindowCenter="1" * 16, WindowWidth="2" * 16)
    for place, text in (("1", centers), ("2", widths)):
        file = file.replace(place.encode() * 16, text.ljust(16).encode())
    return file


def test_a_window_narrower_than_one_is_exact():
    tags = {"RescaleSlope": 1 / 4096, "RescaleIntercept": 0}
    tags |= {"WindowCenter": 0.5, "WindowWidth": 0.5}
    image = read_radiograph(dicom(ramp(4095), 12, **tags))
    expected = np.clip((ramp(4095) / 4096 - 0.25) / 0.5, 0, 1)
    assert np.abs(image.brightness() - expected).max() <= 0.501 / 4095


def test_empty_tags_of_window_and_slope_are_as_if_they_were_not_there():
    tags = {"WindowCenter": "", "WindowWidth": 5, "RescaleSlope": "", "RescaleIntercept": 7}
    image = read_radiograph(dicom(ramp(4095), 12, **tags))
    assert np.array_equal(image.pixels, ramp(4095))
    tags = {"WindowCenter": 0, "WindowWidth": 4096, "VOILUTFunction": ""}
    half = read_radiograph(dicom(ramp(4095), 12, **tags)).brightness()
    assert (half.min(), half.max()) == (np.float32(np.rint(0.5001 * 4095) / 4095), 1)


def lut(entries: list[int], bits: int, first: int = 0, words: str | None = None) -> Dataset:
    """A look-up table, its entries as numbers (US) or as bytes (OW) of the type `words`."""
    item = Dataset()
    item.LUTDescriptor = [len(entries), first, bits]
    item.LUTData = entries if words is None else np.array(entries, words).tobytes()
    item["LUTDescriptor"].VR = "US"
    item["LUTData"].VR = "US" if words is None else "OW"
    return item


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
@pytest.mark.parametrize("bits", [8, 12, 16])
@pytest.mark.parametrize("words", [None, "<u2", ">u2"], ids=["numbers", "words", "big-endian"])
def test_a_look_up_table_of_any_depth_is_applied_entry_by_entry(name, bits, words):
    equals_its_entries(name, bits, words)


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_look_up_table_of_bytes_is_applied_entry_by_entry(name):
    equals_its_entries(name, 8, "u1")


def equals_its_entries(name: str, bits: int, words: str | None) -> None:
    entries = [round((2**bits - 1) * (i / 999) ** 2) for i in range(1000)]
    item = lut(entries, bits, 500, words)
    if name == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    syntax = ExplicitVRBigEndian if words == ">u2" else ExplicitVRLittleEndian
    image = read_radiograph(dicom(ramp(2000), 12, syntax, **{name: [item]}))
    shown = np.array(entries)[np.clip(ramp(2000).astype(int) - 500, 0, 999)]
    assert np.abs(image.brightness() - shown / (2**bits - 1)).max() <= 0.501 / 4095


def test_a_look_up_table_rounds_the_fractions_that_a_slope_leaves():
    item = lut(list(range(0, 4000, 40)), 12)
    tags = {"RescaleSlope": 0.1, "RescaleIntercept": 0}
    image = read_radiograph(dicom(ramp(990), 12, VOILUTSequence=[item], **tags))
    shown = np.rint(ramp(990) * 0.1) * 40
    assert np.abs(image.brightness() - shown / 3960).max() <= 0.501 / 4095


@pytest.mark.parametrize("name", ["VOILUTSequence", "ModalityLUTSequence"])
def test_a_look_up_table_equals_pydicoms(name):
    item = Dataset()
    item.LUTDescriptor = [1000, 500, 16]
    item.LUTData = [round(4095 * (i / 999) ** 2) for i in range(1000)]
    item["LUTDescriptor"].VR = item["LUTData"].VR = "US"
    if name == "ModalityLUTSequence":
        item.ModalityLUTType = "US"
    data = dataset(ramp(2000), 12, **{name: [item]})
    expected = apply_voi_lut(apply_modality_lut(ramp(2000), data), data)
    image = read_radiograph(written(data))
    assert np.abs(image.brightness() - expected / 4095).max() <= 0.501 / 4095


def test_a_negative_slope_turns_the_picture_over():
    image = read_radiograph(dicom(ramp(4095), 12, RescaleSlope=-1, RescaleIntercept=4095))
    assert np.array_equal(image.pixels, 4095 - ramp(4095))


def test_a_window_of_width_one_is_a_threshold():
    image = read_radiograph(dicom(ramp(4095), 12, WindowCenter=2000, WindowWidth=1))
    assert np.array_equal(image.brightness(), (ramp(4095) > 1999.5).astype(np.float32))


@pytest.mark.parametrize("kind", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("window", [{}, {"WindowCenter": 1500, "WindowWidth": 3000}])
@pytest.mark.parametrize("padding", [(0,), (4095,), (50000,), (-32768,), (3000, 3999)])
def test_padding_is_black_and_changes_nothing_else(kind, signed, window, padding):
    shift = 2048 if signed else 0
    pixels = (ramp(2000).astype(int) + 500 - shift).astype(np.int16 if signed else np.uint16)
    window = {n: v - shift * (n == "WindowCenter") for n, v in window.items()}
    plain = read_radiograph(dicom(pixels, 12, PhotometricInterpretation=kind, **window))
    values = [value - shift if 0 <= value < 4096 else value for value in padding]
    padded = pixels.copy()
    padded[:20] = np.array(values[-1]).astype(pixels.dtype)
    tags = dict(zip(("PixelPaddingValue", "PixelPaddingRangeLimit"), values, strict=False))
    data = dataset(padded, 12, PhotometricInterpretation=kind, **window)
    for name, value in tags.items():
        data.add_new(name, "SS" if value < 0 else "US", value)
    image = read_radiograph(written(data))
    part = read_radiograph(dicom(pixels[20:], 12, PhotometricInterpretation=kind, **window))
    assert np.array_equal(image.pixels[20:], plain.pixels[20:])
    assert (image.low, image.high) == (part.low, part.high)
    assert np.all(image.pixels[:20] == image.low)


def test_padding_that_the_anatomy_has_too_is_black():
    file = dicom(ramp(4095), 12, PhotometricInterpretation="MONOCHROME1", PixelPaddingValue=0)
    image = read_radiograph(file)
    assert image.pixels[0, 0] == image.low == 0
    assert np.array_equal(image.pixels.ravel()[1:], 4095 - ramp(4095).ravel()[1:])


@pytest.mark.parametrize("signed", [False, True])
@pytest.mark.parametrize("high_bit", [11, 13, 15])
@pytest.mark.parametrize(
    "packed",
    ["implicit", "big-endian", "run lengths", "JPEG", "JPEG 2000", "JPEG-LS"],
)
def test_bits_beyond_those_stored_are_no_part_of_a_pixel(packed, high_bit, signed):
    """As old overlays left them; the words of a signed picture are those of an unsigned one."""
    numbers = ramp(4095).astype(int) - (2048 if signed else 0)
    others = np.random.default_rng(0).integers(0, 2**16, numbers.shape)
    shift = high_bit - 11
    words = ((numbers & 4095) << shift | others & ~(4095 << shift)).astype(np.uint16)
    syntaxes = {
        "implicit": ImplicitVRLittleEndian,
        "big-endian": ExplicitVRBigEndian,
        "run lengths": RLELossless,
        "JPEG": JPEGLosslessSV1,
        "JPEG 2000": JPEG2000Lossless,
        "JPEG-LS": JPEGLSLossless,
    }
    data = dataset(words, 12, syntaxes[packed], PixelRepresentation=int(signed), HighBit=high_bit)
    if packed == "run lengths":
        data.PixelData = encapsulate([run_lengths(words)])
    if packed == "JPEG":
        data.PixelData = encapsulate(
            [imagecodecs.jpeg8_encode(words, lossless=True, bitspersample=16)]
        )
    if packed == "JPEG 2000":
        frame = imagecodecs.jpeg2k_encode(words, codecformat="j2k", level=0)
        data.PixelData = encapsulate([frame])
    if packed == "JPEG-LS":
        pytest.importorskip("libjpeg", reason="reads JPEG-LS; under the GPL, so not required")
        data.PixelData = encapsulate([imagecodecs.jpegls_encode(words)])
    assert np.array_equal(read_radiograph(written(data)).pixels, ramp(4095))


@pytest.mark.parametrize("header", [0, 1], ids=["unsigned header", "signed header"])
@pytest.mark.parametrize("stream", ["signed", "unsigned", "signed taken for unsigned"])
def test_the_sign_of_a_codestream_counts_more_than_the_headers(stream, header):
    numbers = ramp(4000).astype(np.int16) - (0 if stream == "unsigned" else 2000)
    frame = imagecodecs.jpeg2k_encode(
        numbers if stream == "signed" else numbers.astype(np.uint16) & 4095,
        codecformat="j2k",
        level=0,
        bitspersample=12,
    )
    data = dataset(numbers, 12, JPEG2000Lossless, PixelRepresentation=header)
    data.PixelData = encapsulate([frame])
    image = read_radiograph(written(data))
    if (stream, header) == ("signed taken for unsigned", 0):
        assert np.array_equal(image.pixels, numbers & 4095)  # nothing says that it is signed
    else:
        assert np.array_equal(image.pixels - image.low, ramp(4000))
