import numpy as np
import pytest
from PIL import Image

from chexnet.overlay import COLOURS, MAX_SIDE, enlarge, overlay, spread
from chexnet.transforms import AS_SEEN, Preprocessing


def test_heat_lies_where_its_cell_saw_the_picture():
    heat = np.zeros((4, 4))
    heat[1, 2] = 3.0
    whole = spread(heat, (200, 100), Preprocessing(80))
    y, x = np.unravel_index(whole.argmax(), whole.shape)
    # The crop keeps rows 20..180 and columns 10..90: cells of 40 x 20 pixels.
    assert 60 <= y < 100
    assert 50 <= x < 70
    assert not whole[:20].any()
    assert not whole[:, 90:].any()
    assert whole.min() >= 0


def test_without_heat_the_radiograph_is_left_as_it_is():
    pixels = np.random.default_rng(0).integers(0, 256, (64, 80), dtype=np.uint8)
    shown = overlay(pixels, np.zeros((2, 2)), Preprocessing())
    assert shown.shape == (64, 80, 3)
    assert np.array_equal(shown, np.stack([pixels] * 3, axis=-1))


@pytest.mark.parametrize("colours", COLOURS)
def test_more_heat_changes_more(colours):
    pixels = np.full((64, 64), 40, np.uint8)
    faint, strong = (
        overlay(pixels, np.full((2, 2), level), AS_SEEN, colours=colours) for level in (1.0, 8.0)
    )
    assert np.abs(strong.astype(int) - 40).mean() > np.abs(faint.astype(int) - 40).mean() > 0


def test_the_scale_is_absolute_unless_it_is_stretched():
    pixels = np.full((64, 64), 40, np.uint8)
    weak = np.full((2, 2), 0.5)
    absolute = overlay(pixels, weak, AS_SEEN)
    stretched = overlay(pixels, weak, AS_SEEN, top=float(weak.max()))
    strongest = overlay(pixels, np.full((2, 2), 8.0), AS_SEEN)
    assert np.array_equal(stretched, strongest)
    assert not np.array_equal(absolute, stretched)


def test_an_overlay_is_no_larger_than_a_page_shows():
    shown = overlay(np.zeros((2000, 1000), np.uint8), np.ones((2, 2)), Preprocessing())
    assert max(shown.shape[:2]) == MAX_SIDE
    assert Image.fromarray(shown).mode == "RGB"


@pytest.mark.parametrize("cell", [(0, 0), (0, 7), (7, 3), (4, 4)])
def test_an_enlarged_map_is_hottest_in_the_middle_of_its_hottest_cell(cell):
    heat = np.zeros((8, 8))
    heat[cell] = 1
    row, column = np.unravel_index(np.argmax(enlarge(heat, (256, 256))), (256, 256))
    assert abs(row + 0.5 - 32 * (cell[0] + 0.5)) <= 1
    assert abs(column + 0.5 - 32 * (cell[1] + 0.5)) <= 1


def test_a_map_that_is_the_same_everywhere_stays_so():
    np.testing.assert_allclose(enlarge(np.full((2, 3), 4.0), (90, 60)), 4.0, rtol=1e-6)
