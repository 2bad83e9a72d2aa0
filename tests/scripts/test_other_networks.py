"""Commands about networks from elsewhere: leakage --list, compare --weights, weights check."""

import json

import numpy as np

from chexnet.evaluation.comparison import MEAN
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


def test_networks_are_compared_by_their_weights(phantoms, trained, tmp_path, here, refused):
    weights = []
    for name in ("a", "b"):  # copies: each scoring of test images is noted beside them
        (tmp_path / name).mkdir()
        weights.append(tmp_path / name / "w.pth")
        weights[-1].write_bytes((trained / "best_chexnet_params.pth").read_bytes())
    options = ("--data", phantoms, "--out", tmp_path, "--replicates", 20)
    quick = ("--device", "cpu", "--workers", 0)
    done = here("compare", *options, *quick, "--weights", *weights)
    assert done.returncode == 0, done.stderr
    assert "2 of 2: w" in done.stderr
    assert "w (2)" in done.stdout
    found = json.loads((tmp_path / "comparison.json").read_text())
    assert [one["name"] for one in found["networks"]] == ["w", "w (2)"]
    assert found["networks"][1]["against_first"][MEAN]["difference"] == 0
    assert {"comparison.csv", "comparison.html", "predictions-2.csv"} <= {
        path.name for path in tmp_path.iterdir()
    }
    assert all((path.parent / "test_scores.csv").exists() for path in weights)
    assert "found 1, expected two" in refused("compare", *options, "--weights", weights[0])
    for wrong in ((), (weights[0],), (*weights, "--allow-leak", "--weights", *weights)):
        assert here("compare", *options, *wrong).returncode == 2


def test_leakage_takes_data_or_a_list(here, tmp_path):
    assert here("leakage").returncode == 2
    assert here("leakage", "--data", tmp_path, "--list", tmp_path).returncode == 2
