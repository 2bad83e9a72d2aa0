import warnings
from collections import Counter
from io import BytesIO
from threading import Thread

import numpy as np
import pytest
from imagecodecs import png_encode
from PIL import Image, ImageOps

from chexnet.errors import ImageError
from chexnet.imaging.radiograph import read_radiograph
from tests.conftest import SHARED
from tests.malformed import chunk, encoded, interlaced, png, ramp, smooth

needs_shared = pytest.mark.skipif(not SHARED.is_dir(), reason="the sample pictures are not here")


def picture(height: int = 96, width: int = 80, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)


def refusal(source, **options) -> str:
    with pytest.raises(ImageError) as caught:
        read_radiograph(source, **options)
    return str(caught.value)


# What is read


@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "P", "LA"])
def test_gray_stored_in_any_mode_keeps_its_integers(kind, mode):
    gray = Image.fromarray(picture())
    image = read_radiograph(encoded(gray.convert(mode), kind))
    assert np.array_equal(image.pixels, picture())
    assert image.as_uint8() is image.pixels
    assert np.allclose(image.brightness(), picture() / 255, atol=1e-7)
    assert (image.low, image.high) == (0, 255)
    assert (image.facts.format, image.facts.mode, image.facts.colour) == (kind, mode, 0)


def test_lossless_webp_keeps_its_integers():
    image = read_radiograph(encoded(Image.fromarray(picture()).convert("RGB"), "WEBP", lossless=1))
    assert np.array_equal(image.pixels, picture())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_equals_pillows_decoder(mode):
    file = encoded(Image.fromarray(smooth()).convert(mode), "JPEG")
    expected = np.asarray(Image.open(BytesIO(file)).convert("L"))
    assert np.array_equal(read_radiograph(file).pixels, expected)


def test_colours_are_weighted_and_noted():
    colours = np.random.default_rng(1).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    image = read_radiograph(encoded(Image.fromarray(colours)))
    assert np.abs(image.pixels - colours @ [0.299, 0.587, 0.114]).max() <= 0.51
    assert image.facts.colour > 50


@pytest.mark.parametrize(
    ("order", "compression"),
    [("<u2", "raw"), (">u2", "raw"), ("<u2", "tiff_lzw"), ("<u2", "tiff_adobe_deflate")],
)
def test_a_16_bit_tiff_keeps_its_integers(order, compression):
    file = encoded(Image.fromarray(ramp(4095).astype(order)), "TIFF", compression=compression)
    assert np.array_equal(read_radiograph(file).pixels, ramp(4095))


@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_a_16_bit_ramp_is_scaled_by_the_range_it_uses_and_never_clipped(top):
    image = read_radiograph(encoded(Image.fromarray(ramp(top))))
    assert np.array_equal(image.pixels, ramp(top))
    assert (image.low, image.high, image.facts.bits) == (0, top, 16)
    assert np.allclose(image.brightness(), ramp(top) / top, atol=1e-6)
    assert image.as_uint8().dtype == np.uint8
    assert np.abs(image.as_uint8() - ramp(top) / top * 255).max() <= 0.501
    assert (image.as_uint8() == 255).mean() < 0.01


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_large_picture_is_reduced_in_the_shades_it_came_with(dtype):
    top = np.iinfo(dtype).max
    rows = np.linspace(0, top, 640).round().astype(dtype)[:, None].repeat(640, axis=1)
    image = read_radiograph(encoded(rows)).reduced(80)
    assert (image.pixels.dtype, image.pixels.shape) == (dtype, (80, 80))
    assert np.abs(image.brightness()[:, 0] - (np.arange(80) + 0.5) / 80).max() < 0.005


def test_the_range_of_a_16_bit_picture_starts_at_its_darkest_value():
    image = read_radiograph(encoded(Image.fromarray(ramp(2000) + np.uint16(30_000))))
    assert (image.low, image.high) == (30_000, 32_000)
    assert np.abs(image.as_uint8() - ramp(2000) / 2000 * 255).max() <= 0.501


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_with_white_as_zero_is_turned_over(bits):
    stored = picture() if bits == 8 else ramp(65535)
    # Pillow would turn the pixels over while saving, so the tag is changed in the finished file.
    entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    file = encoded(Image.fromarray(stored), "TIFF").replace(entry + b"\x01", entry + b"\x00")
    image = read_radiograph(file)
    assert np.array_equal(image.pixels, 2**bits - 1 - stored)
    assert image.facts.inverted


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_the_orientation_noted_in_the_file_is_applied(kind, orientation):
    image = Image.fromarray(smooth())
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if kind == "WEBP" else {"quality": 95} if kind == "JPEG" else {}
    plain = Image.open(BytesIO(encoded(image, kind, **options))).convert("L")
    plain.getexif()[0x0112] = orientation
    expected = np.asarray(ImageOps.exif_transpose(plain))
    upright = read_radiograph(encoded(image, kind, exif=exif, **options))
    assert np.array_equal(upright.pixels, expected)
    assert upright.facts.turned == (orientation > 1)


def test_a_16_bit_tiff_is_turned_as_noted():
    file = encoded(Image.fromarray(ramp(4095)), "TIFF", tiffinfo={0x0112: 6})
    assert np.array_equal(read_radiograph(file).pixels, np.rot90(ramp(4095), -1))


def test_a_cmyk_jpeg_of_adobe_is_converted_and_one_without_its_mark_refused():
    gray = smooth()
    ink = np.zeros((96, 80, 4), np.uint8)
    ink[..., 3] = 255 - gray  # black ink only
    file = encoded(Image.fromarray(ink, "CMYK"), "JPEG", quality=100)
    assert b"Adobe" in file
    assert np.abs(read_radiograph(file).pixels.astype(int) - gray).max() <= 3
    start = file.index(b"Adobe") - 4
    bare = file[:start] + file[start + 2 + int.from_bytes(file[start + 2 : start + 4], "big") :]
    assert "grayscale" in refusal(bare)


def test_transparency_becomes_black():
    alpha = Image.fromarray(picture(seed=1))
    image = Image.merge("LA", (Image.fromarray(picture()), alpha))
    expected = picture() * (picture(seed=1) / 255)
    assert np.abs(read_radiograph(encoded(image)).pixels - expected).max() <= 0.51


def png16(pixels: np.ndarray, alpha: np.ndarray | None, channels: int) -> bytes:
    """uint16 (H, W) as a PNG of 16 bits: LA, RGB or RGBA by the number of channels."""
    colours = [pixels] * (channels - (alpha is not None))
    return png_encode(np.dstack(colours if alpha is None else [*colours, alpha]))


OPAQUE = np.full((96, 80), 65535, np.uint16)


@pytest.mark.parametrize(("mode", "alpha"), [("LA", OPAQUE), ("RGB", None), ("RGBA", OPAQUE)])
def test_gray_in_several_channels_of_16_bits_keeps_its_integers(mode, alpha, capfd):
    image = read_radiograph(png16(ramp(4095), alpha, len(mode)))
    plain = read_radiograph(encoded(ramp(4095)))
    assert np.array_equal(image.pixels, ramp(4095))
    assert (image.low, image.high) == (plain.low, plain.high) == (0, 4095)
    assert np.array_equal(image.as_uint8(), plain.as_uint8())
    assert (image.facts.format, image.facts.mode, image.facts.bits) == ("PNG", mode, 16)
    assert image.facts.colour == 0
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("channels", [2, 4])
def test_transparency_of_16_bits_becomes_black(channels):
    alpha = np.random.default_rng(0).integers(0, 65536, (96, 80), dtype=np.uint16)
    image = read_radiograph(png16(ramp(65535), alpha, channels))
    assert np.abs(image.pixels - ramp(65535) * (alpha / 65535)).max() <= 0.5


def test_one_transparent_colour_of_16_bits_becomes_black():
    pixels = np.dstack([ramp(4095) + np.uint16(1)] * 3)
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    image = read_radiograph(png(80, 96, 16, 2, rows, chunk(b"tRNS", b"\x10\0" * 3)))
    assert np.array_equal(image.pixels, np.where(pixels[..., 0] == 4096, 0, pixels[..., 0]))


@pytest.mark.parametrize("orientation", range(1, 9))
def test_a_16_bit_png_with_alpha_is_turned_as_noted(orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    note = chunk(b"eXIf", exif.tobytes().removeprefix(b"Exif\0\0"))
    file = png16(ramp(4095), OPAQUE, 2)
    image = read_radiograph(file[:33] + note + file[33:])
    behind = read_radiograph(file[:-12] + note + file[-12:])
    expected = read_radiograph(encoded(Image.fromarray(ramp(4095)), exif=exif))
    assert np.array_equal(image.pixels, expected.pixels)
    assert image.facts.turned == (orientation > 1)
    assert np.array_equal(behind.pixels, image.pixels)
    assert behind.facts == image.facts


def test_a_damaged_colour_profile_is_ignored():
    plain = picture(96, 80)
    rows = b"".join(b"\0" + row.tobytes() for row in plain)
    file = png(80, 96, 8, 0, rows, chunk(b"iCCP", b"x\0\0" + b"no zlib stream"))
    assert np.array_equal(read_radiograph(file).pixels, plain)


@pytest.mark.parametrize("bits", [2, 4, 8])
def test_a_gray_png_equals_pillows_decoder_whatever_its_depth_and_filters(bits):
    random = np.random.default_rng(bits)
    stored = random.integers(0, 256, (96, 80 * bits // 8), dtype=np.uint8)
    rows = b"".join(bytes([y % 5]) + row.tobytes() for y, row in enumerate(stored))
    file = png(80, 96, bits, 0, rows)
    expected = np.asarray(Image.open(BytesIO(file)).convert("L"))
    assert np.array_equal(read_radiograph(file).pixels, expected)


def test_a_decoders_warnings_are_kept_to_itself(caplog, capfd):
    plain = picture(96, 80)
    rows = b"".join(b"\0" + row.tobytes() for row in plain)
    file = png(80, 96, 8, 0, rows, chunk(b"PLTE", b"\0\1\2"))  # libpng: "ignored in grayscale PNG"
    assert np.array_equal(read_radiograph(file).pixels, plain)
    assert not caplog.records
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("bits", [8, 16])
def test_an_interlaced_png_is_put_together(bits, capfd):
    stored = picture() if bits == 8 else np.dstack([ramp(65535), OPAQUE]).astype(">u2")
    expected = picture() if bits == 8 else ramp(65535)
    assert np.array_equal(read_radiograph(interlaced(stored)).pixels, expected)
    assert capfd.readouterr() == ("", "")


def test_the_names_ending_is_not_trusted(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.fromarray(picture())))
    assert read_radiograph(path).facts.format == "PNG"


def test_readers_in_threads_leave_the_warning_filters_as_they_were():
    before, file = list(warnings.filters), encoded(Image.fromarray(picture(256, 256)))
    threads = [Thread(target=lambda: [read_radiograph(file) for _ in range(30)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


# Real files


@needs_shared
def test_nih_pictures_keep_pillows_integers():
    paths = sorted((SHARED / "nih").glob("images_*/images/*.png"))
    modes = Counter()
    for number, path in enumerate(paths):
        with Image.open(path) as image:
            if number % 30 and image.mode == "L":
                continue
            expected = np.asarray(image)
        radiograph = read_radiograph(path)
        modes[radiograph.facts.mode] += 1
        assert np.array_equal(
            radiograph.pixels, expected if expected.ndim == 2 else expected[..., 0]
        )
    assert modes["RGBA"] == 6
    assert modes["L"] > 50


@needs_shared
def test_photographs_slices_and_turned_pictures_are_read():
    paths = sorted((SHARED / "odd").glob("*/*.[pj][np]g"))
    assert len(paths) > 20
    for path in paths:
        image = read_radiograph(path)
        assert (image.facts.colour > 5) == (path.suffix == ".jpg")
