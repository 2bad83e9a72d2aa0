import logging
import subprocess
import sys
import traceback
import warnings
from io import BytesIO

import numpy as np
import pytest
from pydicom import Dataset, dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.pixels import apply_modality_lut, apply_voi_lut
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    RLELossless,
    generate_uid,
)

from chexnet.errors import ImageError
from chexnet.imaging.radiograph import read_radiograph
from tests.conftest import ROOT

SHARED = ROOT.parent / "shared" / "odd" / "dicom"
PATIENT = "Mustermann^Erika"


def ramp(top: int, dtype=np.uint16) -> np.ndarray:
    """Every value from 0 to `top`, spread over 96 x 80 pixels."""
    return np.linspace(0, top, 96 * 80).round().astype(dtype).reshape(96, 80)


def dataset(pixels: np.ndarray, bits: int | None = None, syntax=ExplicitVRLittleEndian, **tags):
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = syntax
    data.SOPClassUID = DigitalXRayImageStorageForPresentation
    data.SOPInstanceUID = generate_uid()
    data.PatientName, data.PatientID, data.Modality = PATIENT, "Mustermann-17", "DX"
    data.Rows, data.Columns = pixels.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = pixels.dtype.itemsize * 8
    data.BitsStored = bits or data.BitsAllocated
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(pixels.dtype.kind == "i")
    big = syntax == ExplicitVRBigEndian
    data.PixelData = pixels.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    data["PixelData"].VR = "OB" if data.BitsAllocated == 8 else "OW"
    for name, value in tags.items():
        setattr(data, name, value)
    return data


def written(data: Dataset) -> bytes:
    buffer = BytesIO()
    data.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def dicom(pixels: np.ndarray, *args, **tags) -> bytes:
    return written(dataset(pixels, *args, **tags))


@pytest.mark.parametrize(
    "syntax", [ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian]
)
def test_a_twelve_bit_dicom_keeps_its_integers_and_uses_its_real_range(syntax):
    pixels = ramp(3000) + np.uint16(100)
    found = read_radiograph(dicom(pixels, 12, syntax))
    assert np.array_equal(found.pixels, pixels)
    assert (found.low, found.high) == (100, 3100)
    assert found.as_uint8().min() == 0
    assert found.as_uint8().max() == 255
    assert (found.facts.format, found.facts.bits, found.facts.inverted) == ("DICOM", 12, False)


def test_signed_values_keep_their_order_and_distances():
    pixels = (ramp(4000).astype(np.int32) - 2000).astype(np.int16)
    found = read_radiograph(dicom(pixels, 12))
    assert np.allclose(found.brightness(), (pixels + 2000.0) / 4000, atol=1e-6)


def test_monochrome1_is_inverted_after_the_window_and_within_its_range():
    window = {"RescaleSlope": 2, "RescaleIntercept": -100, "WindowCenter": 2500}
    window["WindowWidth"] = 3000
    data = dataset(ramp(4095), 12, PhotometricInterpretation="MONOCHROME1", **window)
    found = read_radiograph(written(data))
    # pydicom's own steps are the reference; its output runs over the rescaled range.
    shown = apply_voi_lut(apply_modality_lut(ramp(4095), data), data)
    low, high = -100, 2 * 4095 - 100
    assert np.abs(found.brightness() - (1 - (shown - low) / (high - low))).max() < 1 / 4095
    assert found.facts.inverted
    assert found.brightness()[0, 0] == 1


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
    found = read_radiograph(written(data))
    expected = np.vectorize(windowed, otypes=[float])(pixels, center, width, function)
    assert np.abs(found.brightness() - expected).max() <= 0.501 / top
    assert np.abs(found.brightness() - apply_voi_lut(pixels, data) / top).max() <= 0.501 / top


@pytest.mark.parametrize("signed", [False, True])
def test_a_window_after_a_negative_slope_shows_its_lowest_values_dark(signed):
    """pydicom's own range runs downwards there, and would turn the picture over once more."""
    pixels = ramp(4095).astype(np.int16) - 2048 if signed else ramp(4095)
    window = {"WindowCenter": 1000, "WindowWidth": 1500}
    found = read_radiograph(dicom(pixels, 12, RescaleSlope=-1, RescaleIntercept=2000, **window))
    expected = np.vectorize(windowed, otypes=[float])(2000.0 - pixels, 1000, 1500, "LINEAR")
    assert np.abs(found.brightness() - expected).max() <= 0.501 / 4095


@pytest.mark.parametrize("function", ["LINEAR", "LINEAR_EXACT", "SIGMOID"])
@pytest.mark.parametrize("width", [0, -3])
def test_a_window_without_a_width_is_refused(function, width):
    tags = {"WindowCenter": 1000, "WindowWidth": width, "VOILUTFunction": function}
    with pytest.raises(ImageError, match="damaged"):
        read_radiograph(dicom(ramp(4095), 12, **tags))


def test_empty_tags_of_window_and_slope_are_as_if_they_were_not_there():
    tags = {"WindowCenter": "", "WindowWidth": 5, "RescaleSlope": "", "RescaleIntercept": 7}
    found = read_radiograph(dicom(ramp(4095), 12, **tags))
    assert np.array_equal(found.pixels, ramp(4095))
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
    found = read_radiograph(dicom(ramp(2000), 12, syntax, **{name: [item]}))
    shown = np.array(entries)[np.clip(ramp(2000).astype(int) - 500, 0, 999)]
    assert np.abs(found.brightness() - shown / (2**bits - 1)).max() <= 0.501 / 4095


def test_a_look_up_table_rounds_the_fractions_that_a_slope_leaves():
    item = lut(list(range(0, 4000, 40)), 12)
    tags = {"RescaleSlope": 0.1, "RescaleIntercept": 0}
    found = read_radiograph(dicom(ramp(990), 12, VOILUTSequence=[item], **tags))
    shown = np.rint(ramp(990) * 0.1) * 40
    assert np.abs(found.brightness() - shown / 3960).max() <= 0.501 / 4095


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
    found = read_radiograph(written(data))
    assert np.abs(found.brightness() - expected / 4095).max() <= 0.501 / 4095


def test_a_negative_slope_turns_the_picture_over():
    found = read_radiograph(dicom(ramp(4095), 12, RescaleSlope=-1, RescaleIntercept=4095))
    assert np.array_equal(found.pixels, 4095 - ramp(4095))


def test_a_window_of_width_one_is_a_threshold():
    found = read_radiograph(dicom(ramp(4095), 12, WindowCenter=2000, WindowWidth=1))
    assert np.array_equal(found.brightness(), (ramp(4095) > 1999.5).astype(np.float32))


REFUSED = {
    "several frames": ({"NumberOfFrames": 2}, "several frames"),
    "colour": ({"PhotometricInterpretation": "RGB", "SamplesPerPixel": 3}, "colour"),
    "ct": ({"Modality": "CT"}, "modality CT"),
    "none": ({"Modality": ""}, "modality"),
    "burned in": ({"BurnedInAnnotation": "YES"}, "burned"),
    "too large": ({"Rows": 13_300, "Columns": 13_300}, "at most 25,000,000"),
    "short": ({"Rows": 200}, "damaged"),
    "unknown function": (
        {"WindowCenter": 9, "WindowWidth": 9, "VOILUTFunction": "X"},
        "damaged",
    ),
    "blank in its window": ({"WindowCenter": 60000, "WindowWidth": 10}, "blank"),
}


@pytest.mark.parametrize(("tags", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_single_radiograph_is_refused_with_its_reason(tags, reason):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom doubts some of what is written here
        file = dicom(ramp(4095), 12, **tags)
    with pytest.raises(ImageError, match=reason):
        read_radiograph(file)


@pytest.mark.parametrize("syntax", [DeflatedExplicitVRLittleEndian, RLELossless])
def test_a_compression_without_a_limit_is_refused_before_it_is_unpacked(syntax, monkeypatch):
    monkeypatch.setattr("chexnet.imaging.dicom.dcmread", lambda *a, **k: pytest.fail("was read"))
    data = dataset(ramp(4095), 12, syntax)
    if syntax == RLELossless:
        data.PixelData = encapsulate([b"\0" * 128])
    with pytest.raises(ImageError, match="compression that is not supported"):
        read_radiograph(written(data))


def test_a_dicom_without_preamble_is_refused_with_its_reason():
    with pytest.raises(ImageError, match="without its first 128 bytes"):
        read_radiograph(dicom(ramp(255))[132:])


def test_a_dicom_whose_preamble_is_that_of_a_tiff_is_read():
    file = b"II*\0" + dicom(ramp(4095), 12)[4:]
    assert np.array_equal(read_radiograph(file).pixels, ramp(4095))


@pytest.mark.parametrize("damage", ["none", "cut", "window", "rows"])
def test_the_patient_is_nowhere(damage, caplog, capfd, recwarn):
    caplog.set_level(logging.DEBUG)
    data = dataset(ramp(4095), 12)
    if damage == "window":
        data.WindowCenter, data.WindowWidth, data.VOILUTFunction = 1, 2, "MUSTERMANN"
    if damage == "rows":
        data.Rows = 5000
    file = written(data)
    if damage == "cut":
        file = file[: file.index(b"Mustermann-17") + 30]
    assert b"Mustermann" in file
    if damage == "none":
        said = repr(read_radiograph(file))
    else:
        with pytest.raises(ImageError) as refusal:
            read_radiograph(file)
        said = "".join(traceback.format_exception(refusal.value)) + repr(refusal.value)
        # Nothing of the library's exception may hang on either: it holds the data it met.
        assert refusal.value.__context__ is None
    said += caplog.text + "".join(capfd.readouterr()) + "".join(str(w.message) for w in recwarn)
    assert "mustermann" not in said.lower()


def test_names_and_numbers_are_skipped_while_reading(monkeypatch):
    seen = []

    def spy(*args, **options):
        seen.append(dcmread(*args, **options))
        return seen[-1]

    monkeypatch.setattr("chexnet.imaging.dicom.dcmread", spy)
    read_radiograph(dicom(ramp(4095), 12))
    assert "PixelData" in seen[0]
    assert "PatientName" not in seen[0]
    assert "PatientID" not in seen[0]


def test_reading_a_png_does_not_import_pydicom():
    code = "import sys, chexnet.imaging.radiograph; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample DICOMs are not here")
def test_the_same_pixels_declared_monochrome1_come_out_inverted():
    one, two = (read_radiograph(SHARED / f"chest_pa_monochrome{n}_jpeg.dcm").pixels for n in (1, 2))
    assert np.array_equal(one, 255 - two)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample DICOMs are not here")
def test_a_real_jpeg_2000_equals_pydicoms_windowed_pixels_turned_over():
    path = SHARED / "chest_pa_monochrome1_15bit_j2k.dcm"
    data = dcmread(path)
    expected = 32767 - np.rint(apply_voi_lut(data.pixel_array, data))
    found = read_radiograph(path)
    assert np.abs(found.pixels - expected).max() <= 1
    assert found.facts.bits == 15
