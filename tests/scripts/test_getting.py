"""Networks by their name, as a user types it: a loopback Hub and a file of its layout."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from chexnet.files import CACHE_VARIABLE
from chexnet.networks.fetch import weights_path
from chexnet.transforms import Preprocessing
from tests.conftest import ROOT
from tests.loopback import Answer, serving

NIH14 = (
    "Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax "
    "Consolidation Edema Emphysema Fibrosis Pleural_Thickening Hernia"
).split()
COMMIT = "a" * 40
pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def published(tiny_network) -> bytes:
    """A file like those of the Hub: torchvision's names, 14 classes, random weights."""
    import torch
    from safetensors.torch import save

    from chexnet import model

    torch.manual_seed(3)
    return save(model.densenet121(weights=None, num_classes=14).state_dict())


@pytest.fixture
def named(published, monkeypatch, tmp_path):
    """The registry knows `mine`, and a Hub on this machine has its file; the Hub."""
    from chexnet.networks import registry

    entry = Preprocessing().as_dict()
    (tmp_path / "registry.toml").write_text(
        '[mine]\ntitle = "x"\nsource = "hub:me/net"\nfile = "model.safetensors"\n'
        'layout = "torchvision"\nclasses = "nih14"\nlicence = "none"\n[mine.preprocessing]\n'
        + "".join(f"{key} = {json.dumps(value)}\n" for key, value in entry.items())
    )
    monkeypatch.setattr(registry, "REGISTRY", tmp_path / "registry.toml")
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "cache"))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("HF_HUB_OFFLINE", "CHEXNET_OFFLINE", "http_proxy", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        for revision in ("main", COMMIT):
            server.files[f"/me/net/resolve/{revision}/model.safetensors"] = published
        server.usual = Answer(headers={"X-Repo-Commit": COMMIT})
        yield server


def of_the_original(published: bytes, picture: Path) -> np.ndarray:
    """Probabilities of torchvision's own network for the picture, prepared as ours."""
    import torch
    from safetensors.torch import load

    from chexnet import model
    from chexnet.imaging.radiograph import read_radiograph
    from chexnet.transforms import item_pixels

    original = model.densenet121(weights=None, num_classes=14)
    original.load_state_dict(load(published))
    usual = Preprocessing()
    pixels = item_pixels(read_radiograph(picture).as_uint8(), usual)
    shown = torch.tensor(pixels)[None].expand(3, -1, -1) / 255
    mean, std = (torch.tensor(values)[:, None, None] for values in (usual.mean, usual.std))
    with torch.inference_mode():
        return torch.sigmoid(original.eval()(((shown - mean) / std)[None]))[0].numpy()


def test_predict_takes_a_name_and_answers_like_the_published_file(named, published, here):
    picture = ROOT / "demo/examples/mass.png"
    asked = (picture, "--weights", "mine", "--json", "--device", "cpu", "--engine", "torch")
    done = here("predict", *asked)
    assert done.returncode == 0, done.stderr
    assert "mine: fetching" in done.stderr
    assert "mine: importing" in done.stderr
    probabilities = json.loads(done.stdout)["probabilities"]
    expected = of_the_original(published, picture)
    assert list(probabilities) == NIH14
    np.testing.assert_allclose(list(probabilities.values()), expected, rtol=1e-4)
    named.asked.clear()
    assert here("predict", *asked).stdout == done.stdout
    assert named.asked == []


def test_get_says_what_it_fetched_and_writes_it_where_asked(named, published, here, tmp_path):
    done = here("weights", "get", "mine", "--out", tmp_path / "w.pth")
    assert done.returncode == 0, done.stderr
    digest = hashlib.sha256(published).hexdigest()
    assert f"SHA-256 {digest}" in done.stderr
    assert f"{len(published):,} bytes" in done.stderr
    assert COMMIT in done.stderr
    assert "No checksum of it was published" in done.stderr
    assert "python -m demo --weights" in done.stdout
    assert (tmp_path / "w.pth").read_bytes() == weights_path("mine").read_bytes()
    again = here("weights", "get", "mine", "--offline")
    assert again.returncode == 0, again.stderr
    assert "No checksum" not in again.stderr
    assert "--weights mine" in again.stdout


def test_every_command_that_takes_weights_takes_a_name(named, here, tmp_path):
    """Each refuses an unknown one in the same words; nothing is read before."""
    data = tmp_path / "no-data"
    for name, *arguments in (
        ("predict", "x.png", "--weights", "min"),
        ("eval", "--data", data, "--weights", "mine.pth", "--weights", "min"),
        ("localize", "--data", data, "--weights", "min"),
        ("export", "min", tmp_path / "out.onnx"),
        ("dev.bench", "--weights", "min"),
        ("dev.screenshots", "--weights", "min"),
    ):
        done = here(name, *arguments)
        assert done.returncode == 1
        assert done.stderr.startswith("Error: Found no file 'min'. Found no network 'min'"), name
        assert "did you mean mine" in done.stderr
    assert named.asked == []
