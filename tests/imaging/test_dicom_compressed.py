"""Compressed DICOM: each decoder, and frames that are damaged or larger than they say."""

import struct
import subprocess
import sys
import zlib
from io import BytesIO

import imagecodecs
import numpy as np
import pytest
from PIL import Image
from pydicom import dcmread
from pydicom.data import get_testdata_file
from pydicom.encaps import encapsulate, get_frame
from pydicom.uid import (
    DeflatedExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    RLELossless,
)

from chexnet.errors import ImageError
from chexnet.imaging.radiograph import read_radiograph
from tests.conftest import needs_resource, peak_memory
from tests.imaging.test_dicom import ROOT, dataset, dicom, ramp, written
from tests.malformed import encoded, smooth


def jpeg_dicom(pixels: np.ndarray, bits: int, predictor: int = 1) -> bytes:
    data = dataset(pixels, bits, JPEGLosslessSV1 if predictor == 1 else JPEGLossless)
    unsigned = pixels.view(f"u{pixels.itemsize}")
    options = {"lossless": True, "predictor": predictor, "bitspersample": bits}
    data.PixelData = encapsulate([imagecodecs.jpeg8_encode(unsigned, **options)])
    return written(data)


def test_a_jpeg_within_a_dicom_is_decoded():
    buffer = BytesIO()
    Image.fromarray(ramp(255, np.uint8)).save(buffer, "JPEG", quality=95)
    data = dataset(ramp(255, np.uint8), 8, JPEGBaseline8Bit)
    data.PixelData = encapsulate([buffer.getvalue()])
    image = read_radiograph(written(data))
    assert np.abs(image.pixels.astype(int) - np.asarray(Image.open(buffer))).max() <= 1


@pytest.mark.parametrize("predictor", [1, 4, 7])
@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_a_lossless_jpeg_within_a_dicom_keeps_its_integers(predictor, top):
    pixels = ramp(top, np.uint8 if top == 255 else np.uint16)
    image = read_radiograph(jpeg_dicom(pixels, top.bit_length(), predictor))
    assert np.array_equal(image.pixels, pixels)


def test_a_lossless_jpeg_of_signed_values_is_the_plain_file():
    pixels = (ramp(60000).astype(np.int32) - 30000).astype(np.int16)
    image = read_radiograph(jpeg_dicom(pixels, 16))
    assert np.array_equal(image.pixels, read_radiograph(dicom(pixels, 16)).pixels)


def test_a_jpeg_of_twelve_bits_within_a_dicom_is_decoded():
    frame = imagecodecs.jpeg8_encode(ramp(4095), level=95, bitspersample=12)
    data = dataset(ramp(4095), 12, JPEGExtended12Bit)
    data.PixelData = encapsulate([frame])
    image = read_radiograph(written(data))
    assert np.abs(image.pixels.astype(int) - ramp(4095)).max() <= 20  # as level 95 rounds it


def test_a_jpeg_of_more_bits_than_the_header_names_is_refused():
    data = dataset(ramp(255, np.uint8), 8, JPEGLosslessSV1)
    data.PixelData = encapsulate([imagecodecs.jpeg8_encode(ramp(255), lossless=True)])
    with pytest.raises(ImageError, match="damaged"):
        read_radiograph(written(data))


def test_jpeg_ls_without_its_decoder_is_refused_and_names_the_package(monkeypatch):
    monkeypatch.setitem(sys.modules, "libjpeg", None)
    data = dataset(ramp(4095), 12, JPEGLSLossless)
    data.PixelData = encapsulate([imagecodecs.jpegls_encode(ramp(4095))])
    with pytest.raises(ImageError, match=r"JPEG-LS.*pylibjpeg-libjpeg"):
        read_radiograph(written(data))


def test_a_decoder_that_is_not_installed_is_named(monkeypatch):
    file = jpeg_dicom(ramp(4095), 12)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    with pytest.raises(ImageError, match=r"needs the package imagecodecs\. Run: pip install"):
        read_radiograph(file)


def run_lengths(pixels: np.ndarray) -> bytes:
    """A frame as pydicom packs it."""
    data = dataset(pixels)
    data.compress(RLELossless, encoding_plugin="pydicom")
    return get_frame(data.PixelData, 0, number_of_frames=1)


@pytest.mark.parametrize("top", [255, 4095])
@pytest.mark.parametrize("syntax", [RLELossless, DeflatedExplicitVRLittleEndian, HTJ2KLossless])
def test_run_lengths_deflated_files_and_htj2k_keep_their_integers(syntax, top):
    pixels = ramp(top, np.uint8 if top == 255 else np.uint16)
    data = dataset(pixels, top.bit_length(), syntax)
    if syntax == RLELossless:
        data.PixelData = encapsulate([run_lengths(pixels)])
    if syntax == HTJ2KLossless:
        data.PixelData = encapsulate([imagecodecs.htj2k_encode(pixels, reversible=True)])
    assert np.array_equal(read_radiograph(written(data)).pixels, pixels)


@pytest.mark.parametrize("layout", [0, 1], ids=["by pixel", "by channel"])
@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL", "YBR_FULL_422"])
def test_gray_in_three_channels_is_read_and_colour_is_refused(kind, layout):
    gray = ramp(255, np.uint8)
    colour = gray if kind == "RGB" else np.full_like(gray, 128)
    tags = {"SamplesPerPixel": 3, "PhotometricInterpretation": kind, "PlanarConfiguration": layout}
    for spot in (0, 1):
        planes = np.stack([gray, colour, colour])
        planes[2, 50, 40] += spot
        if kind == "YBR_FULL_422":
            pairs = np.stack([gray.reshape(-1, 2)[:, :1], gray.reshape(-1, 2)[:, 1:]], axis=1)
            shared = planes[1:, :, ::2].reshape(2, -1).T
            stored = np.hstack([pairs[..., 0], shared])
        else:
            stored = planes if layout else np.moveaxis(planes, 0, 2)
        data = dataset(gray, 8, **tags)
        data.PixelData = np.ascontiguousarray(stored).tobytes()
        if spot:
            with pytest.raises(ImageError, match="in colour"):
                read_radiograph(written(data))
        else:
            assert np.array_equal(read_radiograph(written(data)).pixels, gray)


@pytest.mark.parametrize("options", [{}, {"subsampling": 0}, {"keep_rgb": True}])
@pytest.mark.parametrize("kind", ["RGB", "YBR_FULL_422"])
def test_gray_in_a_jpeg_of_three_channels_is_read_whatever_it_is_called(kind, options):
    file = encoded(np.dstack([smooth()] * 3), "JPEG", quality=95, **options)
    data = dataset(smooth(), 8, JPEGBaseline8Bit, SamplesPerPixel=3, PlanarConfiguration=0)
    data.PhotometricInterpretation = kind
    data.PixelData = encapsulate([file])
    expected = np.asarray(Image.open(BytesIO(file)).convert("L")).astype(int)
    assert np.abs(read_radiograph(written(data)).pixels - expected).max() <= 1


@needs_resource
def test_what_unpacks_into_gigabytes_is_refused_at_once():
    memory = peak_memory()
    zeros = struct.pack("<16L", 2, 64, 68, *[0] * 13) + b"\x81\0" * 5_000_000  # 640 MB
    data = dataset(ramp(4095), 12, RLELossless)
    data.PixelData = encapsulate([zeros])
    plain = dicom(ramp(4095), 12, DeflatedExplicitVRLittleEndian)
    place = plain.index(DeflatedExplicitVRLittleEndian.encode()) + 22
    pack = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    megabyte = pack.compress(bytes(2**20)) + pack.flush(zlib.Z_FULL_FLUSH)  # stands for itself
    bomb = megabyte * 1000 + pack.flush()
    for file in (written(data), plain[:place] + bomb):
        with pytest.raises(ImageError, match=r"damaged|too many parts"):
            read_radiograph(file)
    assert peak_memory() - memory < 100


def test_a_frame_of_a_million_fragments_is_refused_at_once():
    data = dataset(ramp(255, np.uint8), 8, JPEGBaseline8Bit)
    data.PixelData = encapsulate([b"\0"]) + b"\xfe\xff\0\xe0\0\0\0\0" * 1_000_000
    with pytest.raises(ImageError, match="too many parts"):
        read_radiograph(written(data))


def test_damaged_compressed_frames_end_in_a_picture_or_a_reason():
    """In a process of its own: a native decoder that fails takes the process with it."""
    code = "from tests.imaging.test_dicom_compressed import read_damaged; read_damaged()"
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    read, refused = map(int, done.stdout.split())
    assert read + refused == 300
    assert min(read, refused) > 30


def read_damaged() -> None:
    """Read 300 damaged frames of five compressions; print how many were read and refused."""
    random, counts = np.random.default_rng(0), [0, 0]
    frames = [
        (JPEGLosslessSV1, imagecodecs.jpeg8_encode(ramp(4095), lossless=True, bitspersample=12)),
        (JPEGExtended12Bit, imagecodecs.jpeg8_encode(ramp(4095), bitspersample=12)),
        (JPEG2000Lossless, imagecodecs.jpeg2k_encode(ramp(4095), codecformat="j2k", level=0)),
        (HTJ2KLossless, imagecodecs.htj2k_encode(ramp(4095), reversible=True)),
        (RLELossless, run_lengths(ramp(4095))),
    ]
    for number in range(300):
        syntax, whole = frames[number % 5]
        frame = bytearray(whole)
        for _ in range(random.integers(1, 6)):
            frame[random.integers(len(frame))] ^= 1 << random.integers(8)
        if number % 2:
            del frame[random.integers(4, len(frame)) :]
        data = dataset(ramp(4095), 12, syntax)
        data.PixelData = encapsulate([bytes(frame)])
        try:
            read_radiograph(written(data))
            counts[0] += 1
        except ImageError:
            counts[1] += 1
    print(*counts)


@pytest.mark.parametrize("syntax", [JPEG2000Lossless, JPEGBaseline8Bit])
def test_a_compressed_frame_larger_than_its_header_says_is_refused_undecoded(syntax, monkeypatch):
    for decoder in ("openjpeg.utils.decode", "imagecodecs.jpeg8_decode"):
        monkeypatch.setattr(decoder, lambda *a, **k: pytest.fail("was decoded"))
    buffer = BytesIO()
    kind = "JPEG" if syntax == JPEGBaseline8Bit else "JPEG2000"
    options = {"no_jp2": True} if kind == "JPEG2000" else {}
    Image.new("L", (4000, 4000)).save(buffer, kind, **options)
    data = dataset(ramp(255, np.uint8), 8, syntax)
    data.PixelData = encapsulate([buffer.getvalue()])
    with pytest.raises(ImageError, match="not what its header says"):
        read_radiograph(written(data))


@pytest.mark.parametrize(
    ("name", "syntax"),
    [
        ("MR_small_jpeg_ls_lossless.dcm", JPEGLSLossless),
        ("MR_small_jp2klossless.dcm", JPEG2000Lossless),
    ],
)
def test_lossless_compressions_give_the_pixels_of_the_plain_file(name, syntax):
    """The same MR slice lies in pydicom's package plain and compressed; CR is written over MR."""
    if syntax == JPEGLSLossless:
        pytest.importorskip("libjpeg", reason="reads JPEG-LS; under the GPL, so not required")
    plain, packed = (get_testdata_file(n, download=False) for n in ("MR_small.dcm", name))
    if not plain or not packed:
        pytest.skip(f"pydicom's {name} is not installed")
    pictures = []
    for path in (plain, packed):
        data = dcmread(path)
        data.Modality = "CR"
        pictures.append(read_radiograph(written(data)))
    assert data.file_meta.TransferSyntaxUID == syntax
    assert np.array_equal(pictures[0].pixels, pictures[1].pixels)
