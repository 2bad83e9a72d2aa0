"""What is black and white in more than 8 bits without a window, whatever single pixels say."""

import numpy as np
import pytest
from PIL import Image

from chexnet.errors import ImageError
from chexnet.imaging.radiograph import read_radiograph
from tests.imaging.test_dicom import dicom
from tests.malformed import encoded, ramp

HEIGHT, WIDTH = 120, 100


def body(offset: int = 0, noise: float = 0) -> np.ndarray:
    """Twelve bits of a smooth picture with letters of thin strokes: uint16 (H, W)."""
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    smooth = 1200 + 900 * np.sin(y / 19) * np.cos(x / 23) + 4 * y
    picture = smooth + np.random.default_rng(0).normal(0, noise, smooth.shape)
    picture[8:28, 80], picture[18, 74:87], picture[7, 60:70] = 2900, 2950, 3000
    picture[100:, :9] = 40
    return (picture + offset).clip(0, 65535).astype(np.uint16)


def spots(*values: int) -> np.ndarray:
    """Single pixels, at the edges too: a mask with the value of each, or -1."""
    mask = np.full((HEIGHT, WIDTH), -1)
    places = [(60, 40), (0, 33), (90, 70), (HEIGHT - 1, WIDTH - 1), (45, 0)]
    for place, value in zip(places, values, strict=False):
        mask[place] = value
    return mask


def area(value: int, *place: slice | int) -> np.ndarray:
    mask = np.full((HEIGHT, WIDTH), -1)
    mask[place] = value
    return mask


OUTLIERS = {
    "one hot pixel": (0, spots(65535)),
    "one that is hardly brighter": (0, spots(4300)),
    "several of any value": (0, spots(65535, 20000, 9000, 4600, 5100)),
    "two side by side": (0, area(5000, 60, slice(40, 42))),
    "one dead pixel": (1000, spots(0)),
    "one that is hardly darker": (500, spots(300)),
    "dead and hot": (5000, spots(0, 65535, 200, 60000)),
    "a dead row": (3000, area(0, 50)),
    "a hot column": (0, area(65535, slice(None), 30)),
    "a lead marker": (0, area(65535, slice(90, 100), slice(80, 92))),
    "a lead marker and dead pixels": (3000, np.maximum(area(65535, 90, slice(80, 92)), spots(0))),
}


@pytest.mark.parametrize("name", OUTLIERS)
@pytest.mark.parametrize("noise", [0, 30])
def test_outliers_leave_the_range_of_a_picture_as_it_is(name, noise):
    offset, outliers = OUTLIERS[name]
    plain = body(offset, noise)
    touched = np.where(outliers >= 0, outliers, plain).astype(np.uint16)
    expected, image = (read_radiograph(encoded(pixels)) for pixels in (plain, touched))
    assert (expected.low, expected.high) == (plain.min(), plain.max())
    assert (image.low, image.high) == (expected.low, expected.high)
    same = outliers < 0
    assert np.array_equal(image.as_uint8()[same], expected.as_uint8()[same])
    assert set(image.as_uint8()[~same]) <= {0, 255}


def as_dicom(pixels: np.ndarray, kind: str) -> bytes:
    if kind == "signed":
        return dicom((pixels.astype(int) - 32768).astype(np.int16))
    if kind == "white is least":
        return dicom(65535 - pixels, PhotometricInterpretation="MONOCHROME1")
    if kind == "downwards":
        return dicom(65535 - pixels, RescaleSlope=-1, RescaleIntercept=65535)
    return dicom(pixels)


@pytest.mark.parametrize("kind", ["plain", "signed", "white is least", "downwards", "TIFF", "RGB"])
def test_one_hot_pixel_changes_nothing_in_whatever_it_is_stored(kind):
    plain, touched = body(), np.where(spots(65535) >= 0, 65535, body()).astype(np.uint16)
    if kind == "TIFF":
        files = [encoded(Image.fromarray(pixels), "TIFF") for pixels in (plain, touched)]
    elif kind == "RGB":
        from imagecodecs import png_encode

        files = [png_encode(np.dstack([pixels] * 3)) for pixels in (plain, touched)]
    else:
        files = [as_dicom(pixels, kind) for pixels in (plain, touched)]
    expected, shades = (read_radiograph(file).as_uint8() for file in files)
    differ = np.abs(shades.astype(int) - expected) > (1 if kind == "downwards" else 0)
    assert np.argwhere(differ).tolist() == [[60, 40]]


@pytest.mark.parametrize("noise", [0, 30, 200])
@pytest.mark.parametrize("scale", [1, 4, 15])
def test_a_whole_picture_keeps_its_least_and_greatest_value(noise, scale):
    pixels = body(100, noise) * np.uint16(scale)
    image = read_radiograph(encoded(pixels))
    assert (image.low, image.high) == (pixels.min(), pixels.max())
    assert np.array_equal(image.pixels, pixels)


def test_eight_bits_and_windows_know_no_outliers():
    pixels = np.full((80, 80), 90, np.uint8)
    pixels[40, 40], pixels[:, :40] = 255, 60
    image = read_radiograph(encoded(pixels))
    assert np.array_equal(image.pixels, pixels)
    window = {"WindowCenter": 30000, "WindowWidth": 60000}
    image = read_radiograph(dicom(pixels.astype(np.uint16) * 257, **window))
    assert len(np.unique(image.pixels)) == 3


def test_a_picture_of_nothing_but_outliers_is_blank():
    pixels = np.full((80, 80), 700, np.uint16)
    pixels[40, 40] = 65535
    with pytest.raises(ImageError, match="blank"):
        read_radiograph(encoded(pixels))


def test_a_ramp_is_not_cut():
    image = read_radiograph(encoded(ramp(65535)))
    assert (image.low, image.high) == (0, 65535)
