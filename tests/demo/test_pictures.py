"""What is drawn: the PNG that we write ourselves, windows, and the scale of the heat."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from chexnet.errors import ConfigError
from chexnet.imaging.radiograph import Facts, Radiograph
from chexnet.overlay import TOP
from demo.pictures import DisplaySettings, png, top_of, windowed

RNG = np.random.default_rng(3)


@pytest.mark.parametrize("shape", [(1, 1), (7, 5), (64, 33, 3), (2, 1, 3)])
def test_pillow_reads_our_png_as_the_same_pixels(shape):
    pixels = RNG.integers(0, 256, shape, dtype=np.uint8)
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png(pixels)))), pixels)


def test_a_picture_that_is_a_view_is_encoded_as_it_is_seen():
    pixels = RNG.integers(0, 256, (20, 30), dtype=np.uint8)[:, ::-1]
    np.testing.assert_array_equal(np.asarray(Image.open(BytesIO(png(pixels)))), pixels)


def test_window_and_level_choose_the_range_that_is_shown():
    ramp = np.arange(256, dtype=np.uint8)[None]
    np.testing.assert_array_equal(windowed(ramp, DisplaySettings()), ramp)
    shown = windowed(ramp, DisplaySettings(level=0.5, window=0.5))
    assert (shown[0, :63] == 0).all()
    assert (shown[0, 193:] == 255).all()
    assert (np.diff(shown[0].astype(int)) >= 0).all()
    np.testing.assert_array_equal(windowed(ramp, DisplaySettings(invert=True)), 255 - ramp)


def test_a_narrow_window_over_16_bits_shows_every_shade():
    # A 12-bit ramp of which the window shows a tenth: 410 values, more than 8 bits can tell apart.
    pixels = np.tile(np.linspace(1000, 5095, 700).round().astype(np.uint16), (64, 1))
    facts = Facts("PNG", "I;16", 16)
    look = DisplaySettings(level=0.5, window=0.1)
    fine = windowed(Radiograph(pixels, 1000, 5095, facts).reduced(768).pixels, look)
    assert fine.dtype == np.uint8
    expected = np.clip((np.linspace(0, 1, 700) - 0.5) / 0.1 + 0.5, 0, 1) * 255
    assert np.abs(fine[0] - expected).max() < 1
    # From 8 bits the same window would leave 26 shades.
    assert len(np.unique(fine)) > 60


def test_the_display_picture_is_small_and_spans_its_type():
    pixels = RNG.integers(300, 3000, (1500, 900), dtype=np.uint16)
    shown = Radiograph(pixels, 300, 2999, Facts("PNG", "I;16", 16)).reduced(768).pixels
    assert shown.dtype == np.uint16
    assert shown.shape == (768, 461)
    assert shown.nbytes < 1.2e6
    small = pixels[:700, :700]
    shown = Radiograph(small, 300, 2999, Facts("PNG", "I;16", 16)).reduced(768).pixels
    assert (shown.min(), shown.max()) == (0, 65535)
    plain = windowed(shown, DisplaySettings())
    assert np.abs(plain - (small - 300.0) / 2699 * 255).max() <= 0.51


def test_the_absolute_scale_is_the_same_for_every_map_and_the_stretched_is_its_own():
    heat = np.array([[0.0, 2.0]], np.float32)
    assert top_of(heat, DisplaySettings(), "Grad-CAM") == TOP
    assert top_of(heat, DisplaySettings(scale="stretched"), "Grad-CAM") == 2
    assert top_of(heat, DisplaySettings(scale="stretched"), "Grad-CAM++") == 1


@pytest.mark.parametrize(
    "wrong",
    [{"opacity": 2}, {"opacity": float("nan")}, {"window": 0}, {"level": True}, {"invert": 1}],
    ids=str,
)
def test_a_look_that_no_control_gives_is_refused(wrong):
    with pytest.raises(ConfigError, match="Expected"):
        DisplaySettings(**wrong)
