"""`scripts.weights list` and `import`, in this process."""

import torch

from chexnet.files import CACHE_VARIABLE
from chexnet.model import load_weights
from tests.networks.files import random_network


def test_list_names_licence_training_figure_and_stamp(here, tmp_path, monkeypatch):
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path))
    done = here("weights", "list")
    assert done.returncode == 0, done.stderr
    parts = done.stdout.split("\n\n")
    (mae,) = (part for part in parts if part.startswith("medmae-mae:"))
    for told in (
        "Apache-2.0",
        "official train_val list",
        "0.812, epoch chosen on the test list",
        "no: nobody has confirmed the real file",
        "in the cache      no",
    ):
        assert told in mae
    assert len(parts) == 8
    assert "xrv-nih" in done.stdout


def test_import_writes_a_weights_file_and_says_what_it_assumed(
    tiny_network, here, refused, tmp_path
):
    torch.save(random_network().state_dict(), tmp_path / "w.pth")
    out = ("--out", tmp_path / "out.pth")
    said = refused("weights", "import", tmp_path / "w.pth", *out)
    assert "Pass --classes nih14" in said
    done = here("weights", "import", tmp_path / "w.pth", *out, "--classes", "nih14")
    assert done.returncode == 0, done.stderr
    assert "Its preprocessing is assumed" in done.stdout
    assert "all of NIH's images count as seen" in done.stdout
    assert "scores" not in done.stderr
    _, metadata = load_weights(tmp_path / "out.pth")
    assert metadata.from_elsewhere
    images, patients = metadata.trained_hashes
    assert (len(images), len(patients)) == (112_120, 30_805)
    said = refused("weights", "import", tmp_path / "out.pth", "--out", tmp_path / "b.pth")
    assert "is a weights file of this project" in said
