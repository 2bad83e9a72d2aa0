"""Files that are no radiograph, damaged ones and hostile ones: a reason each, and at once."""

import mmap
import os
import random
import re
import socket
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from imagecodecs import png_encode
from PIL import Image

from chexnet.errors import ImageError
from chexnet.imaging.radiograph import read_radiograph
from tests.conftest import needs_resource, peak_memory
from tests.imaging.test_radiograph import picture, refusal
from tests.malformed import (
    bombs,
    chunk,
    damaged,
    encoded,
    malformed,
    originals,
    png,
    ramp,
    smooth,
    strangers,
)

STATM = Path("/proc/self/statm")


def frames(kind: str, **options) -> bytes:
    first, second = Image.fromarray(picture()), Image.fromarray(picture(seed=1))
    return encoded(first, kind, save_all=True, append_images=[second], **options)


RAW = b"".join(b"\0" + b"\x10\x20" * 160 for _ in range(96))
RAW_RGB = (b"\0" + b"\x01\x02\x03" * 160) * 96
RAW_RGBA = (b"\0" + b"\x01\x02\x01\x03\x01\x02\xff\xff" * 80) * 96
RAW_UNSEEN = (b"\0" + b"\x01\x02\0\0\x03\x04\0\0" * 40) * 96
STRIPES = (b"\0" + b"\x5a" * 10) * 96
UNSEEN = np.dstack([picture()] * 3 + [picture() * 0])


REFUSED = {
    **{name: (strangers()[name], "not a PNG") for name in ("text", "SVG", "EPS", "PDF", "zip")},
    "empty": (b"", "empty"),
    "gif": (strangers()["GIF"], "GIF"),
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
    "blank 16 bit with alpha": (png(80, 96, 16, 4, RAW), "blank"),
    "transparent 16 bit": (png(80, 96, 16, 4, RAW_UNSEEN), "transparent"),
    "16 bit colour with alpha": (png(80, 96, 16, 6, RAW_RGBA), "16 bits in colour"),
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


def test_what_is_no_regular_file_is_refused_unopened(tmp_path):
    (tmp_path / "device.png").symlink_to("/dev/zero")
    os.mkfifo(tmp_path / "pipe.png")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(tmp_path / "socket.png"))
        for name, kind in (
            ("device", "a device"),
            ("pipe", "a named pipe"),
            ("socket", "a socket"),
        ):
            said = f"{name}.png cannot be opened: it is {kind}, no regular file."
            assert refusal(tmp_path / f"{name}.png") == said


@needs_resource
def test_a_large_file_is_refused_before_it_is_read(tmp_path):
    path = tmp_path / "sparse.png"
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n")
        file.truncate(4 * 2**30)
    memory = peak_memory()
    assert "4,295 MB, which is too large" in refusal(path)
    assert peak_memory() - memory < 50


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
    monkeypatch.setattr("imagecodecs.png_decode", undecoded)
    start = time.thread_time()
    assert re.search("at most 25,000,000|more pixels than", refusal(file))
    assert time.thread_time() - start < 0.1


def undecoded(*args):
    pytest.fail("was decoded")


@needs_resource
@pytest.mark.parametrize(("bits", "colour"), [(8, 0), (16, 4)])
def test_a_png_with_two_headers_is_refused_before_the_larger_one_costs_anything(bits, colour):
    small = png(80, 96, bits, colour, RAW)
    size = (20_000).to_bytes(4, "big") * 2
    two = small[:8] + chunk(b"IHDR", size + bytes((bits, colour, 0, 0, 0))) + small[8:]
    memory = peak_memory()
    assert "damaged" in refusal(two)
    assert peak_memory() - memory < 50


def test_a_png_that_ends_before_its_last_chunk_is_refused_at_once():
    file = encoded(Image.fromarray(picture(100, 100)))
    start = file.index(b"IDAT")
    claims = file[: start - 4] + b"\x7f\xff\xff\xff" + (file[start : start + 4] + bytes(8192))
    begun = time.thread_time()
    for cut in (claims, file[:-12], file[:-4]):
        assert "incomplete" in refusal(cut)
    assert time.thread_time() - begun < 0.1
    assert read_radiograph(file + b"what follows the picture").pixels.shape == (100, 100)


def test_the_largest_size_can_be_chosen():
    file = encoded(Image.fromarray(picture(100, 100)))
    assert read_radiograph(file, max_pixels=10_000).pixels.shape == (100, 100)
    assert "at most 9,999" in refusal(file, max_pixels=9_999)


def test_texts_and_profiles_that_unpack_into_gigabytes_cost_nothing():
    file, start = bombs()["texts of gigabytes"], time.thread_time()
    assert np.array_equal(read_radiograph(file).pixels, smooth())
    assert time.thread_time() - start < 0.2


@pytest.mark.parametrize(
    "filler", [b"\xff\xfe\x00\x02", b"\xff", b"\0"], ids=["comments", "fill bytes", "zeros"]
)
def test_a_jpeg_with_megabytes_of_nothing_before_its_picture_is_refused_at_once(filler):
    file = encoded(Image.fromarray(smooth()), "JPEG")
    start = time.thread_time()
    message = refusal(file[:20] + filler * 2_000_000 + file[20:])  # 20: after the JFIF segment
    assert "too many parts" in message or "damaged" in message
    assert time.thread_time() - start < 0.2


@pytest.mark.parametrize(
    ("bomb", "reason"), [("thousands of scans", "scans"), ("a million chunks", "too many parts")]
)
def test_a_picture_of_too_many_parts_is_refused_at_once(bomb, reason):
    file, start = bombs()[bomb], time.thread_time()
    assert reason in refusal(file)
    assert time.thread_time() - start < 0.5


def read_malformed(count: int, seed: int) -> tuple[Counter, float, float]:
    """Read `count` malformed files: what became of them, the worst seconds and the memory in MB."""
    kinds, worst = Counter(), 0.0
    for file in originals().values():
        read_radiograph(file)  # all decoders are loaded, and every original can be read
    memory = peak_memory()
    for name, file in malformed(count, seed):
        start = time.thread_time()
        try:
            image = read_radiograph(file)
        except ImageError:
            kinds[name, "refused"] += 1
        else:
            kinds[name, "read"] += 1
            assert image.pixels.ndim == 2
            assert image.pixels.dtype in (np.uint8, np.uint16)
            assert image.low <= image.pixels.min() < image.pixels.max() <= image.high
        worst = max(worst, time.thread_time() - start)
    return kinds, worst, peak_memory() - memory


@needs_resource
def test_500_malformed_files_give_a_picture_or_a_reason_each():
    kinds, worst, memory = read_malformed(500, seed=1)
    assert worst < 0.5
    assert memory < 300
    assert {outcome for _, outcome in kinds} == {"read", "refused"}


@pytest.mark.parametrize("channels", [2, 3, 4])
def test_damaged_16_bit_pngs_of_several_channels_give_a_picture_or_a_reason_each(channels):
    file = png_encode(np.dstack([ramp(65535)] * channels))
    rng, outcomes = random.Random(channels), Counter()
    for _ in range(200):
        try:
            image = read_radiograph(damaged(file, rng))
        except ImageError:
            outcomes["refused"] += 1
        else:
            outcomes["read"] += 1
            assert image.pixels.ndim == 2
            assert image.low <= image.pixels.min() < image.pixels.max() <= image.high
    assert min(outcomes["read"], outcomes["refused"]) > 5, outcomes


def resident() -> int:
    """Memory that the process holds now, bytes."""
    return int(STATM.read_text().split()[1]) * mmap.PAGESIZE


@pytest.mark.skipif(not STATM.exists(), reason="needs Linux's count of a process's memory")
@pytest.mark.parametrize(("bits", "colour", "channels"), [(8, 0, 1), (16, 4, 2), (16, 6, 4)])
def test_damaged_pngs_leave_no_memory_behind(bits, colour, channels):
    rows = (b"\0" + b"\x10\x20\x30\x40" * (500 * channels * bits // 8)) * 2000
    file = png(2000, 2000, bits, colour, rows[: len(rows) // 2])
    assert "damaged" in refusal(file)
    before = resident()
    for _ in range(20):  # the decoder alone would keep 2 to 16 MB of each
        assert "damaged" in refusal(file)
    assert resident() - before < 20e6


@needs_resource
@pytest.mark.slow
def test_40000_malformed_files_give_a_picture_or_a_reason_each():
    kinds, worst, memory = read_malformed(40_000, seed=2)
    assert worst < 0.5
    assert memory < 300
    assert {name for name, _ in kinds} >= {*originals(), *bombs()}
