"""What is known of published networks, against the facts as they were collected."""

from pathlib import Path

import pytest

from chexnet.errors import ConfigError
from chexnet.networks.importers import class_order
from chexnet.networks.registry import find_network, load_registry
from chexnet.networks.training_lists import known_lists
from chexnet.transforms import Preprocessing

MEDMAE = Preprocessing(87.5, 224, (0.5056,) * 3, (0.252,) * 3, "bicubic", True)
XRV = Preprocessing(100, 224, (0.5,) * 3, (1 / 2048,) * 3, keep_aspect=True)


def test_seven_networks_are_known_and_none_was_tried():
    known = load_registry()
    assert list(known) == [
        *("medmae-mae", "medmae-mocov2", "medmae-imagenet", "taheera"),
        *("xrv-nih", "xrv-all", "chexnet-2017"),
    ]
    for network in known.values():
        assert not network.tried
        assert network.seen in known_lists()
        assert len(class_order(network.classes)) == (18 if network.layout[5:8] == "xra" else 14)
        assert network.published is None or network.published_source
        assert set(network.thresholds or {}) <= set(class_order(network.classes))
    assert [known[name].preprocessing for name in list(known)[:3]] == [MEDMAE] * 3
    assert [known[name].preprocessing for name in ("xrv-nih", "xrv-all")] == [XRV] * 2
    mae = known["medmae-mae"]
    assert (mae.bytes, len(mae.sha256 or "")) == (28_291_584, 64)
    assert (mae.published, mae.chosen_on, mae.licence) == (0.812, "test list", "Apache-2.0")


def test_an_unknown_name_is_refused_with_near_ones():
    with pytest.raises(ConfigError, match=r"'medmae_mae'; did you mean medmae-mae"):
        find_network("medmae_mae")
    with pytest.raises(ConfigError, match=r"'zzz'; expected one of medmae-mae, .*weights list"):
        find_network("zzz")


ENTRY = """
[ward-7]
title = "Ours"
source = "https://example.org/w.pth"
file = "w.pth"
layout = "torchvision"
classes = "Mass,Nodule"
licence = "MIT"
preprocessing = { crop = 100, size = 320 }
"""


def test_an_entry_of_ones_own_stands_beside_ours(tmp_path):
    (tmp_path / "mine.toml").write_text(ENTRY)
    network = find_network("ward-7", tmp_path / "mine.toml")
    assert (network.preprocessing, network.seen) == (Preprocessing(100, 320), "unknown")
    assert len(load_registry(tmp_path / "mine.toml")) == 8


WRONG = {
    "found no preprocessing": ENTRY.replace("preprocessing =", "extra ="),
    "found no crop": ENTRY.replace("crop = 100, ", ""),
    "unexpected keyword argument 'colour'": ENTRY + 'colour = "red"',
    "layout: found 'keras'": ENTRY.replace('"torchvision"', '"keras"'),
    "crop: found 300": ENTRY.replace("100", "300"),
    "name without slash and dot": ENTRY.replace("[ward-7]", '["a/b"]'),
    "cannot be read as TOML": "[",
    "missing 1 required": ENTRY.replace('licence = "MIT"', ""),
}


@pytest.mark.parametrize(("says", "text"), WRONG.items(), ids=WRONG)
def test_a_wrong_entry_is_refused_in_one_line(tmp_path, says, text):
    (tmp_path / "mine.toml").write_text(text)
    with pytest.raises(ConfigError, match=says) as refusal:
        load_registry(tmp_path / "mine.toml")
    assert "\n" not in str(refusal.value)
    with pytest.raises(ConfigError, match="cannot be read"):
        load_registry(Path(tmp_path / "nothing.toml"))
