"""What is drawn: the PNG that we write ourselves, and the picture at display size."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from chexnet.imaging.radiograph import PictureInfo, Radiograph
from demo.pictures import png

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 33, 3), (2, 1, 3)])
def test_pillow_reads_our_png_as_the_same_pixels(shape):
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png(pixels)))), pixels)


def test_a_picture_that_is_a_view_is_encoded_as_it_is_seen():
    pixels = RNG.integers(0, 256, (20, 30), dtype=np.uint8)[:, ::-1]
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png(pixels)))), pixels)


def test_the_display_picture_is_small_and_spans_its_type():
    pixels = RNG.integers(300, 3000, (1500, 900), dtype=np.uint16)
    shown = Radiograph(pixels, 300, 2999, PictureInfo("PNG", "I;16", 16)).reduced(768)
    assert shown.pixels.dtype == np.uint16
    assert shown.pixels.shape == (768, 461)
    assert shown.pixels.nbytes < 1.2e6
    small = pixels[:700, :700]
    shown = Radiograph(small, 300, 2999, PictureInfo("PNG", "I;16", 16)).reduced(768)
    assert (shown.pixels.min(), shown.pixels.max()) == (0, 65535)
    assert np.abs(shown.as_uint8() - (small - 300.0) / 2699 * 255).max() <= 0.51


@pytest.mark.parametrize("kind", [np.uint8, np.uint16])
def test_a_picture_of_any_size_and_depth_is_reduced_for_the_page(kind):
    pixels = np.tile(np.arange(3200, dtype=np.uint16)[:, None] // 13, (1, 1600)).astype(kind)
    shown = Radiograph(pixels, 0, 246, PictureInfo("PNG", "L", 8 * pixels.itemsize)).reduced(768)
    assert shown.pixels.shape == (768, 384)
    assert shown.pixels.dtype == kind
