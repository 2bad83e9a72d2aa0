import numpy as np

from chexnet.phantom.sheet import example_sheet


def test_the_sheet_shows_fifteen_different_chests_with_their_boxes():
    sheet = np.asarray(example_sheet(size=96))
    assert sheet.shape == (3 * 102, 5 * 96, 3)
    cells = [
        sheet[row * 102 + 6 : row * 102 + 102, column * 96 : column * 96 + 96]
        for row in range(3)
        for column in range(5)
    ]
    assert len({cell.tobytes() for cell in cells}) == 15
    outlined = [bool((cell[..., 0] != cell[..., 2]).any()) for cell in cells]
    assert outlined == [False] + [True] * 14
