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
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset, write_file_meta_info
from pydicom.pixels import apply_voi_lut
from pydicom.uid import (
    ComputedRadiographyImageStorage,
    CTImageStorage,
    DigitalXRayImageStorageForPresentation,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    MediaStorageDirectoryStorage,
    SecondaryCaptureImageStorage,
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
    image = read_radiograph(dicom(pixels, 12, syntax))
    assert np.array_equal(image.pixels, pixels)
    assert (image.low, image.high) == (100, 3100)
    assert image.as_uint8().min() == 0
    assert image.as_uint8().max() == 255
    assert (image.facts.format, image.facts.bits, image.facts.inverted) == ("DICOM", 12, False)


def test_signed_values_keep_their_order_and_distances():
    pixels = (ramp(4000).astype(np.int32) - 2000).astype(np.int16)
    image = read_radiograph(dicom(pixels, 12))
    assert np.allclose(image.brightness(), (pixels + 2000.0) / 4000, atol=1e-6)


REFUSED = {
    "several frames": ({"NumberOfFrames": 2}, "several frames"),
    "palette": ({"PhotometricInterpretation": "PALETTE COLOR"}, "colour"),
    "ct": ({"Modality": "CT"}, "modality CT"),
    "ct by class": ({"Modality": "", "SOPClassUID": CTImageStorage}, "missing.*CT Image Storage"),
    "scan": ({"Modality": "", "SOPClassUID": SecondaryCaptureImageStorage}, "modality is missing"),
    "no class": ({"Modality": "", "SOPClassUID": "1.2.3"}, "modality is missing.*class is not"),
    "nothing but padding": ({"PixelPaddingValue": 0, "PixelPaddingRangeLimit": 4095}, "padding"),
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


@pytest.mark.parametrize("modality", ["CR", "DR", "dx "])
def test_the_modalities_of_radiographs_are_read(modality):
    tags = {"Modality": modality, "SOPClassUID": SecondaryCaptureImageStorage}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert read_radiograph(dicom(ramp(255), **tags)).pixels.shape == (96, 80)


@pytest.mark.parametrize("where", ["data set", "meta header"])
def test_without_a_modality_the_sop_class_decides(where):
    data = dataset(ramp(4095), 12, Modality="", SOPClassUID=ComputedRadiographyImageStorage)
    file = written(data)
    if where == "meta header":
        del data.Modality, data.SOPClassUID
        file = headed(data, MediaStorageSOPClassUID=ComputedRadiographyImageStorage)
    assert np.array_equal(read_radiograph(file).pixels, ramp(4095))


def headed(data: Dataset, **meta: str) -> bytes:
    """A DICOM with nothing else in its meta header, which pydicom would fill in."""
    header, file = FileMetaDataset(), DicomBytesIO()
    for name, value in ({"TransferSyntaxUID": ExplicitVRLittleEndian} | meta).items():
        setattr(header, name, value)
    write_file_meta_info(file, header, enforce_standard=False)
    file.is_little_endian, file.is_implicit_VR = True, False
    write_dataset(file, data)
    return bytes(128) + b"DICM" + file.getvalue()


@pytest.mark.parametrize("missing", [128, 132])
def test_a_dicom_without_preamble_is_read(missing):
    assert np.array_equal(read_radiograph(dicom(ramp(4095), 12)[missing:]).pixels, ramp(4095))


def test_a_dicom_without_transfer_syntax_is_refused_in_its_own_words():
    data = dataset(ramp(255))
    body = dicom(ramp(255))
    for file in (headed(data, TransferSyntaxUID=""), body[body.index(b"\x08\0\x16\0UI") :]):
        with pytest.raises(ImageError, match="without a Transfer Syntax UID"):
            read_radiograph(file)


def test_a_dicomdir_is_called_one():
    file = headed(Dataset(), MediaStorageSOPClassUID=MediaStorageDirectoryStorage)
    with pytest.raises(ImageError, match="is a DICOMDIR"):
        read_radiograph(file)


ITEM, END = b"\xfe\xff\0\xe0\0\0\0\0", b"\xfe\xff\xdd\xe0\0\0\0\0"
OPEN, CLOSED = b"SQ\0\0\xff\xff\xff\xff", b"SQ\0\0" + (8_000_000).to_bytes(4, "little")
MANY = {
    "elements": b"\x09\0\x01\0LO\0\0" * 1_000_000,
    "items": b"\x09\0\x01\0" + OPEN + ITEM * 1_000_000 + END,
    "items of a table": b"\x28\0\x10\x30" + CLOSED + ITEM * 1_000_000,
    "values": b"\x09\0\x01\0LO\0\0\x28\0\x51\x10UT\0\0" + CLOSED[4:] + b"1\\" * 4_000_000,
}


@pytest.mark.parametrize("name", MANY)
def test_a_dicom_of_millions_of_parts_is_refused_at_once(name):
    file = dicom(ramp(255))
    place = file.index(b"\xe0\x7f\x10\0O")
    with pytest.raises(ImageError, match=r"too many parts|damaged"):
        read_radiograph(file[:place] + MANY[name] + file[place:])


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
        seen.append(read_dataset(*args, **options))
        return seen[-1]

    monkeypatch.setattr("chexnet.imaging.dicom.read_dataset", spy)
    read_radiograph(dicom(ramp(4095), 12))
    assert "PixelData" in seen[0]
    assert "PatientName" not in seen[0]
    assert "PatientID" not in seen[0]


def test_reading_a_png_does_not_import_pydicom():
    code = "import sys, chexnet.imaging.radiograph; sys.exit('pydicom' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=False).returncode == 0


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample DICOMs are not here")
def test_the_same_pixels_declared_monochrome1_come_out_inverted():
    monochrome1, monochrome2 = (
        read_radiograph(SHARED / f"chest_pa_monochrome{n}_jpeg.dcm").pixels for n in (1, 2)
    )
    assert np.array_equal(monochrome1, 255 - monochrome2)


@pytest.mark.skipif(not SHARED.is_dir(), reason="the sample DICOMs are not here")
def test_a_real_jpeg_2000_equals_pydicoms_windowed_pixels_turned_over():
    path = SHARED / "chest_pa_monochrome1_15bit_j2k.dcm"
    data = dcmread(path)
    expected = 32767 - np.rint(apply_voi_lut(data.pixel_array, data))
    image = read_radiograph(path)
    assert np.abs(image.pixels - expected).max() <= 1
    assert image.facts.bits == 15
