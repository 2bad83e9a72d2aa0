import re
import resource
import time
import warnings
import zlib
from collections import Counter
from io import BytesIO
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from PIL import Image, ImageOps

from chexnet.errors import ImageError
from chexnet.images import read_radiograph
from tests.malformed import bombs, chunk, encoded, malformed, originals, png, ramp, smooth

SHARED = Path(__file__).parents[1].parent / "shared"
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
    found = read_radiograph(encoded(gray.convert(mode), kind))
    assert np.array_equal(found.pixels, picture())
    assert found.as_uint8() is found.pixels
    assert np.allclose(found.brightness(), picture() / 255, atol=1e-7)
    assert (found.low, found.high) == (0, 255)
    assert (found.facts.format, found.facts.mode, found.facts.colour) == (kind, mode, 0)


def test_lossless_webp_keeps_its_integers():
    found = read_radiograph(encoded(Image.fromarray(picture()).convert("RGB"), "WEBP", lossless=1))
    assert np.array_equal(found.pixels, picture())


@pytest.mark.parametrize("mode", ["L", "RGB"])
def test_a_jpeg_equals_pillows_decoder(mode):
    file = encoded(Image.fromarray(smooth()).convert(mode), "JPEG")
    expected = np.asarray(Image.open(BytesIO(file)).convert("L"))
    assert np.array_equal(read_radiograph(file).pixels, expected)


def test_colours_are_weighted_and_noted():
    colours = np.random.default_rng(1).integers(0, 256, (96, 80, 3), dtype=np.uint8)
    found = read_radiograph(encoded(Image.fromarray(colours)))
    assert np.abs(found.pixels - colours @ [0.299, 0.587, 0.114]).max() <= 0.51
    assert found.facts.colour > 50


@pytest.mark.parametrize(
    ("order", "compression"),
    [("<u2", "raw"), (">u2", "raw"), ("<u2", "tiff_lzw"), ("<u2", "tiff_adobe_deflate")],
)
def test_a_16_bit_tiff_keeps_its_integers(order, compression):
    file = encoded(Image.fromarray(ramp(4095).astype(order)), "TIFF", compression=compression)
    assert np.array_equal(read_radiograph(file).pixels, ramp(4095))


@pytest.mark.parametrize("top", [255, 4095, 65535])
def test_a_16_bit_ramp_is_scaled_by_the_range_it_uses_and_never_clipped(top):
    found = read_radiograph(encoded(Image.fromarray(ramp(top))))
    assert np.array_equal(found.pixels, ramp(top))
    assert (found.low, found.high, found.facts.bits) == (0, top, 16)
    assert np.allclose(found.brightness(), ramp(top) / top, atol=1e-6)
    assert found.as_uint8().dtype == np.uint8
    assert np.abs(found.as_uint8() - ramp(top) / top * 255).max() <= 0.501
    assert (found.as_uint8() == 255).mean() < 0.01


def test_the_range_of_a_16_bit_picture_starts_at_its_darkest_value():
    found = read_radiograph(encoded(Image.fromarray(ramp(2000) + np.uint16(30_000))))
    assert (found.low, found.high) == (30_000, 32_000)
    assert np.abs(found.as_uint8() - ramp(2000) / 2000 * 255).max() <= 0.501


@pytest.mark.parametrize("bits", [8, 16])
def test_a_tiff_with_white_as_zero_is_turned_over(bits):
    stored = picture() if bits == 8 else ramp(65535)
    # Pillow would turn the pixels over while saving, so the tag is changed in the finished file.
    entry = b"\x06\x01\x03\x00\x01\x00\x00\x00"
    file = encoded(Image.fromarray(stored), "TIFF").replace(entry + b"\x01", entry + b"\x00")
    found = read_radiograph(file)
    assert np.array_equal(found.pixels, 2**bits - 1 - stored)
    assert found.facts.inverted


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
    found = read_radiograph(encoded(image, kind, exif=exif, **options))
    assert np.array_equal(found.pixels, expected)
    assert found.facts.turned == (orientation > 1)


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


def test_a_damaged_colour_profile_is_ignored():
    plain = picture(96, 80)
    rows = b"".join(b"\0" + row.tobytes() for row in plain)
    file = png(80, 96, 8, 0, rows, chunk(b"iCCP", b"x\0\0" + b"no zlib stream"))
    assert np.array_equal(read_radiograph(file).pixels, plain)


def test_the_names_ending_is_not_trusted(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(encoded(Image.fromarray(picture())))
    assert read_radiograph(path).facts.format == "PNG"


# What is refused


def frames(kind: str, **options) -> bytes:
    first, second = Image.fromarray(picture()), Image.fromarray(picture(seed=1))
    return encoded(first, kind, save_all=True, append_images=[second], **options)


RAW = b"".join(b"\0" + b"\x10\x20" * 160 for _ in range(96))
RAW_RGB = (b"\0" + b"\x01\x02\x03" * 160) * 96
STRIPES = (b"\0" + b"\x5a" * 10) * 96
UNSEEN = np.dstack([picture()] * 3 + [picture() * 0])
REFUSED = {
    "empty": (b"", "empty"),
    "text": (b"Findings: none. " * 20, "not a PNG"),
    "svg": (b'<svg xmlns="http://www.w3.org/2000/svg" width="99" height="99"/>', "not a PNG"),
    "eps": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 99 99\n", "not a PNG"),
    "gif": (encoded(Image.fromarray(picture()), "GIF"), "GIF"),
    "animated gif": (frames("GIF"), "GIF"),
    "apng": (frames("PNG"), "several"),
    "mpo": (frames("MPO"), "several"),
    "pages": (frames("TIFF"), "several"),
    "animated webp": (frames("WEBP"), "several"),
    "too small": (encoded(Image.fromarray(picture(80, 63))), "64"),
    "too long": (encoded(Image.fromarray(picture(64, 200))), "too long"),
    "1 bit": (encoded(Image.fromarray(picture()).convert("1")), "1 bit"),
    "1 bit palette": (png(80, 96, 1, 3, STRIPES, chunk(b"PLTE", b"\0\0\0\xff\xff\xff")), "1 bit"),
    "blank": (encoded(Image.new("L", (80, 80), 7)), "blank"),
    "blank 16 bit": (encoded(Image.fromarray(np.full((80, 80), 700, np.uint16))), "blank"),
    "transparent": (encoded(Image.fromarray(UNSEEN)), "transparent"),
    "float": (encoded(Image.fromarray(picture().astype(np.float32)), "TIFF"), "32-bit"),
    "32 bit": (encoded(Image.fromarray(picture().astype(np.int32)), "TIFF"), "32-bit"),
    "16 bit gray with alpha": (png(80, 96, 16, 4, RAW), "16 bits in colour"),
    "16 bit colour": (png(80, 96, 16, 2, RAW_RGB), "16 bits in colour"),
}


@pytest.mark.parametrize(("file", "reason"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_a_radiograph_is_refused_with_its_reason(file, reason, tmp_path):
    message = refusal(file)
    assert reason in message
    # By name it is the same, and of the path only the name is told.
    path = tmp_path / "upload.png"
    path.write_bytes(file)
    assert refusal(path) == message.replace("The picture", "upload.png")
    assert len(message) < 180


@pytest.mark.parametrize("kind", ["PNG", "JPEG", "TIFF", "WEBP"])
@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_a_truncated_picture_is_refused(kind, part):
    file = encoded(Image.fromarray(picture()), kind)
    message = refusal(file[: int(len(file) * part)])
    assert "damaged" in message or "not a PNG" in message


def test_a_missing_file_a_folder_and_a_forbidden_name_are_refused(tmp_path):
    assert refusal(tmp_path / "gone.png") == "gone.png was not found. Check the name."
    assert "cannot be opened" in refusal(tmp_path)
    assert str(tmp_path) not in refusal(tmp_path)
    assert "damaged" in refusal(Path("a\0.png"))


@pytest.mark.parametrize(
    "bomb",
    ["177 million pixels", "the largest PNG", "60 million pixels", "30 million pixels"],
)
def test_a_bomb_is_refused_by_its_header_without_decoding(bomb, monkeypatch):
    file = bombs()[bomb]  # made before nothing can be drawn any more
    for owner in (Image.Image, Image.core):
        monkeypatch.setattr(owner, "load" if owner is Image.Image else "new", undecoded)
    start = time.thread_time()
    assert re.search("at most 25,000,000|more pixels than", refusal(file))
    assert time.thread_time() - start < 0.1


def undecoded(*args):
    pytest.fail("was decoded")


def test_the_largest_size_can_be_chosen():
    file = encoded(Image.fromarray(picture(100, 100)))
    assert read_radiograph(file, max_pixels=10_000).pixels.shape == (100, 100)
    assert "at most 9,999" in refusal(file, max_pixels=9_999)


def test_texts_and_profiles_that_unpack_into_gigabytes_cost_nothing():
    rows = b"".join(b"\0" + row.tobytes() for row in picture())
    bomb = chunk(b"iCCP", b"x\0\0" + zlib.compress(bytes(2**20 - 1)))
    bomb += chunk(b"zTXt", b"x\0\0" + zlib.compress(bytes(2**20 - 1)))
    file = png(80, 96, 8, 0, rows, bomb * 2000)
    start = time.thread_time()
    assert np.array_equal(read_radiograph(file).pixels, picture())
    assert time.thread_time() - start < 0.2


def test_a_jpeg_of_thousands_of_scans_is_refused():
    file = encoded(Image.fromarray(smooth()), "JPEG", progressive=True)
    scan = file[file.rindex(b"\xff\xda") : -2]
    assert "scans" in refusal(file[:-2] + scan * 200 + file[-2:])


@pytest.mark.parametrize(
    "filler", [b"\xff\xfe\x00\x02", b"\xff", b"\0"], ids=["comments", "fill bytes", "zeros"]
)
def test_a_jpeg_with_megabytes_of_nothing_before_its_picture_is_refused_at_once(filler):
    file = encoded(Image.fromarray(smooth()), "JPEG")
    start = time.thread_time()
    message = refusal(file[:20] + filler * 2_000_000 + file[20:])  # 20: after the JFIF segment
    assert "too many parts" in message or "damaged" in message
    assert time.thread_time() - start < 0.2


def test_a_png_of_a_million_chunks_is_refused_at_once():
    start = time.thread_time()
    assert "too many parts" in refusal(png(80, 96, 8, 0, RAW, chunk(b"tEXt", b"") * 1_000_000))
    assert time.thread_time() - start < 0.5


def test_readers_in_threads_leave_the_warning_filters_as_they_were():
    before, file = list(warnings.filters), encoded(Image.fromarray(picture(256, 256)))
    threads = [Thread(target=lambda: [read_radiograph(file) for _ in range(30)]) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert warnings.filters == before


# Damage


def read_malformed(count: int, seed: int) -> tuple[Counter, float, float]:
    """Read `count` malformed files: what became of them, the worst seconds and the memory in MB."""
    kinds, worst = Counter(), 0.0
    for file in originals().values():
        read_radiograph(file)  # all decoders are loaded, and every original can be read
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for name, file in malformed(count, seed):
        start = time.thread_time()
        try:
            found = read_radiograph(file)
        except ImageError:
            kinds[name, "refused"] += 1
        else:
            kinds[name, "read"] += 1
            assert found.pixels.ndim == 2
            assert found.pixels.dtype in (np.uint8, np.uint16)
            assert found.low <= found.pixels.min() < found.pixels.max() <= found.high
        worst = max(worst, time.thread_time() - start)
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - memory
    return kinds, worst, memory / 1024


def test_500_malformed_files_give_a_picture_or_a_reason_each():
    kinds, worst, memory = read_malformed(500, seed=1)
    assert worst < 0.5
    assert memory < 300
    assert {outcome for _, outcome in kinds} == {"read", "refused"}


@pytest.mark.slow
def test_40000_malformed_files_give_a_picture_or_a_reason_each():
    kinds, worst, memory = read_malformed(40_000, seed=2)
    assert worst < 0.5
    assert memory < 300
    assert {name for name, _ in kinds} >= {*originals(), *bombs()}


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
        found = read_radiograph(path)
        modes[found.facts.mode] += 1
        assert np.array_equal(found.pixels, expected if expected.ndim == 2 else expected[..., 0])
    assert modes["RGBA"] == 6
    assert modes["L"] > 50


@needs_shared
def test_photographs_slices_and_turned_pictures_are_read():
    paths = sorted((SHARED / "odd").glob("*/*.[pj][np]g"))
    assert len(paths) > 20
    for path in paths:
        found = read_radiograph(path)
        assert (found.facts.colour > 5) == (path.suffix == ".jpg")
