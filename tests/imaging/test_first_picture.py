"""Files of several pictures, and pictures whose file ends early or is of the larger TIFF."""

import re

import numpy as np
import pytest
from PIL import Image

from chexnet.imaging.radiograph import read_radiograph
from tests.imaging.test_radiograph import picture, refusal
from tests.malformed import encoded, ramp, smooth


def two_pictures(attribute: int, side: int = 96) -> bytes:
    """A JPEG of a phone, whose second picture has an attribute of MPF and a height."""
    second = Image.fromarray(picture(seed=1)).resize((side * 5 // 6, side))
    first = Image.fromarray(smooth())
    file = encoded(first, "MPO", save_all=True, append_images=[second])
    # Behind the first entry, which says that it is primary, and where it begins: at 0.
    entry = re.search(rb"\x00\x00\x03\x00.{4}\x00{8}", file, re.DOTALL).end()
    return file[:entry] + attribute.to_bytes(4, "little") + file[entry + 4 :]


def pages(*sides: int) -> bytes:
    """A TIFF of 96 x 80 pixels, and square pages of these sides (0: of its own size)."""
    others = [Image.new("L", (side, side) if side else (80, 96), 7) for side in sides]
    return encoded(Image.fromarray(smooth()), "TIFF", save_all=True, append_images=others)


MAIN = {
    "a smaller one": (two_pictures(0, 48), smooth()),
    "a thumbnail": (two_pictures(0x010002), smooth()),
    "a dependent one": (two_pictures(0x40000000), smooth()),
    "one that was cut off": (two_pictures(0).rpartition(b"\xff\xd8")[0], smooth()),
    "smaller pages": (pages(40, 60), smooth()),
}


@pytest.mark.parametrize("name", MAIN)
def test_the_first_picture_is_read_where_the_others_are_parts_of_it(name):
    file, expected = MAIN[name]
    image = read_radiograph(file)
    assert np.abs(image.pixels.astype(int) - expected).max() <= 4  # as JPEG rounds it
    assert image.facts.format in ("JPEG", "TIFF")


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 2}])
@pytest.mark.parametrize("end", [-1, -2])
def test_a_jpeg_without_its_end_marker_is_read_and_one_that_is_cut_is_not(options, end):
    file = encoded(Image.fromarray(picture()).convert("RGB"), "JPEG", **options)
    assert np.array_equal(read_radiograph(file[:end]).pixels, read_radiograph(file).pixels)
    for cut in (8, 40, *range(100, 130), len(file) // 3):
        assert "damaged" in refusal(file[: end - cut])


REFUSED = {
    "a second frame": (two_pictures(0), "several"),
    "a stereo pair": (two_pictures(0x40020002), "several"),
    "a larger page": (pages(40, 200), "several"),
    "thirty thumbnails": (pages(*[40] * 30), "several"),
    "a big-endian BigTIFF": (b"MM\0+\0\x08" + bytes(200), "BigTIFF"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_pictures_that_may_be_meant_as_well_as_the_first_are_refused(name):
    file, reason = REFUSED[name]
    assert reason in refusal(file)


def test_a_progressive_jpeg_that_ends_between_its_scans_is_refused():
    file = encoded(Image.fromarray(picture()), "JPEG", progressive=True)
    for scan in [marker.start() for marker in re.finditer(b"\xff\xda", file)][1:-1]:
        assert "damaged" in refusal(file[:scan])


def test_a_bigtiff_is_read():
    file = encoded(ramp(4095), "TIFF", big_tiff=True)
    assert file[2] == 43
    assert np.array_equal(read_radiograph(file).pixels, ramp(4095))
