"""Commands about networks from elsewhere: leakage --list, compare --weights, weights check."""

import json

import numpy as np

from chexnet.networks.training_lists import image_names, members


def test_the_command_needs_no_data_and_says_what_a_file_is(tmp_path, shown):
    path = tmp_path / "mine.txt"
    names = [*np.array(image_names())[members("torchxrayvision_nih")], "00000001_000.png"]
    path.write_text("\n".join(names))
    printed = shown("leakage", "--list", path, "--out", tmp_path)
    assert "It is torchxrayvision's NIH list." in printed
    assert "1,355 of the 25,596 official test images are in it; 13,711 are of" in printed
    assert "1 stand twice" in printed
    assert json.loads((tmp_path / "list.json").read_text())["exact"] == [
        "torchxrayvision's NIH list"
    ]
    path.write_text("\n".join(names[:20]))
    assert "It is no known list. Closest:" in shown("leakage", "--list", path, "--out", tmp_path)
