import hashlib
from dataclasses import replace

import numpy as np
import pytest
import torch

from chexnet import model as model_module
from chexnet.checkpoint import load_sealed, save_sealed
from chexnet.errors import CheckpointError
from chexnet.metadata import Metadata
from chexnet.model import DenseNet121, build, load_weights, save_weights
from chexnet.transforms import Preprocessing
from tests.loopback import Answer, serving

pytestmark = pytest.mark.usefixtures("tiny_network")
CLASSES = {"Atelectasis": 0, "Mass": 1, "No Finding": 2}


@pytest.fixture
def weights(tmp_path):
    model = build(CLASSES, "none", 3).model
    path = tmp_path / "best.pth"
    save_weights(path, model, Metadata(CLASSES, Preprocessing(90, 64), {"n": 1}, {}))
    return path


def test_the_network_computes_what_torchvisions_does(real_network):
    torch.manual_seed(0)
    ours = DenseNet121(5).eval()
    theirs = model_module.densenet121(num_classes=5).eval()
    theirs.load_state_dict(ours.state_dict())
    images = torch.randn(2, 3, 64, 96)
    with torch.no_grad():
        torch.testing.assert_close(ours(images), theirs(images))


def test_the_head_gives_raw_logits_of_1024_channels(real_network):
    model = DenseNet121(15).eval()
    assert (model.classifier.in_features, model.classifier.out_features) == (1024, 15)
    with torch.no_grad():
        images = torch.randn(1, 3, 64, 64)
        cells = model.activation(images)
        assert cells.shape == (1, 1024, 2, 2)
        assert cells.min() >= 0
        expected = cells.mean(dim=(2, 3)) @ model.classifier.weight.T + model.classifier.bias
        torch.testing.assert_close(model(images), expected)


def test_logits_under_bfloat16_autocast_keep_full_precision():
    """bfloat16 logits would tie: 8 bits of mantissa cannot keep an order among many images."""
    model = build({"Edema": 0, "Mass": 1}, "none", 0).model.eval()
    images = torch.randn(2, 3, 64, 64, generator=torch.manual_seed(0))
    with torch.inference_mode():
        exact = model(images)
        with torch.autocast("cpu", torch.bfloat16):
            rounded = model(images)
    assert rounded.dtype == torch.float32
    assert not torch.equal(rounded, rounded.bfloat16().float())
    torch.testing.assert_close(rounded, exact, rtol=0.05, atol=0.05)


def test_random_weights_are_a_function_of_the_seed_and_touch_no_global_state():
    state = torch.get_rng_state()
    first, again = build(CLASSES, "none", 1).model, build(CLASSES, "none", 1).model
    other = build(CLASSES, "none", 2).model
    assert torch.equal(first.classifier.weight, again.classifier.weight)
    assert not torch.equal(first.classifier.weight, other.classifier.weight)
    assert torch.equal(state, torch.get_rng_state())


def test_an_impossible_download_names_both_ways_out(monkeypatch):
    def offline(**options: object) -> None:
        raise OSError("no network")

    monkeypatch.setattr(model_module, "densenet121", offline)
    monkeypatch.setattr(model_module, "DenseNet121", lambda classes: torch.nn.Linear(1, classes))
    with pytest.raises(CheckpointError, match=r"--init FILE.*densenet121.*--init none"):
        build(CLASSES, "imagenet", 0)


def test_a_weights_file_gives_back_network_and_card(real_network, weights):
    model, metadata = load_weights(weights)
    expected = build(CLASSES, "none", 3).model.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in model.state_dict().items())
    assert not model.training
    assert metadata == Metadata(CLASSES, Preprocessing(90, 64), {"n": 1}, {})


def test_optional_metadata_is_stored_where_there_is_some_and_given_back(weights, tmp_path):
    model, bare = load_weights(weights)
    assert set(load_sealed(weights)) == {
        *("format", "classes", "preprocessing", "provenance", "validation", "state_dict")
    }
    assert bare.trust is bare.validation_scores is bare.seen is bare.mean_contributions is None
    means = np.random.default_rng(0).normal(size=(3, 2, 2)).astype(np.float32)
    full = replace(
        bare,
        trust={"Mass": 0.5},
        validation_scores={"logits": torch.ones(2, 3)},
        seen={"images": torch.arange(4)},
        mean_contributions=means,
    )
    save_weights(tmp_path / "full.pth", model, full)
    _, metadata = load_weights(tmp_path / "full.pth")
    assert metadata.trust == {"Mass": 0.5}
    assert torch.equal(metadata.validation_scores["logits"], torch.ones(2, 3))
    assert torch.equal(metadata.seen["images"], torch.arange(4))
    assert np.array_equal(metadata.mean_contributions, means)


def test_changed_optional_metadata_is_noticed_by_the_seal(weights, tmp_path):
    model, bare = load_weights(weights)
    save_weights(weights, model, replace(bare, mean_contributions=np.zeros((3, 2, 2), np.float32)))
    content = torch.load(weights, weights_only=True)
    content["mean_contributions"][0, 0, 0] = 1.0
    torch.save(content, weights)
    with pytest.raises(CheckpointError, match="does not match its seal"):
        load_weights(weights)


@pytest.mark.parametrize(
    "wrong", [{"trust": [1]}, {"mean_contributions": 3}, {"mean_contributions": torch.zeros(2, 2)}]
)
def test_optional_metadata_of_another_shape_is_refused(weights, wrong):
    save_sealed(weights, {**load_sealed(weights), **wrong})
    with pytest.raises(CheckpointError, match="another shape"):
        load_weights(weights)


def test_weights_of_other_classes_are_refused_by_name(weights):
    content = load_sealed(weights)
    content["classes"] = {"Cat": 0, "Dog": 1, "No Finding": 2}
    save_sealed(weights, content)
    with pytest.raises(CheckpointError, match="found Cat, Dog, expected some of Atelectasis"):
        load_weights(weights)


def test_a_sealed_file_that_holds_another_network_is_refused(weights):
    content = load_sealed(weights)
    content["state_dict"] = {"weight": torch.zeros(1)}
    save_sealed(weights, content)
    with pytest.raises(CheckpointError, match="no DenseNet-121"):
        load_weights(weights)


def test_a_checkpoint_is_no_weights_file(tmp_path):
    save_sealed(tmp_path / "last.pth", {"at": {}})
    with pytest.raises(CheckpointError, match="is no weights file"):
        load_weights(tmp_path / "last.pth")


def test_training_can_start_from_a_weights_file_with_other_classes(weights):
    classes = {"Mass": 0, "Hernia": 1}
    start = build(classes, str(weights), 9)
    model = start.model
    old, _ = load_weights(weights)
    assert torch.equal(model.classifier.weight[0], old.classifier.weight[1])
    assert torch.equal(model.features.conv0.weight, old.features.conv0.weight)
    assert "1 of 2 classes" in start.origin
    assert start.metadata == load_weights(weights)[1]


@pytest.mark.parametrize("zipped", [True, False])
def test_training_can_start_from_torchvisions_file_with_its_old_names(request, tmp_path, zipped):
    if not zipped:  # as it is published
        request.getfixturevalue("real_network")
    torch.manual_seed(1)
    source = model_module.densenet121()
    old = {
        name.replace("norm1.", "norm.1.").replace("conv2.", "conv.2."): value
        for name, value in source.state_dict().items()
    }
    assert old.keys() != source.state_dict().keys()
    path = tmp_path / "densenet121.pth"
    torch.save(old, path, _use_new_zipfile_serialization=zipped)
    features = build(CLASSES, str(path), 0).model.features.state_dict()
    for name, value in source.features.state_dict().items():
        assert torch.equal(features[name], value)


def test_a_start_that_is_no_file_is_told_in_its_own_words(tmp_path):
    with pytest.raises(CheckpointError, match="--init: found no file"):
        build(CLASSES, str(tmp_path / "nowhere.pth"), 0)


def test_a_file_without_a_densenet_is_no_start(tmp_path):
    torch.save({"a": torch.zeros(1)}, tmp_path / "a.pth")
    with pytest.raises(CheckpointError, match="holds no DenseNet-121"):
        build(CLASSES, str(tmp_path / "a.pth"), 0)


@pytest.fixture
def hub_of_timm(tiny_network, monkeypatch, tmp_path):
    """A Hub on this machine with a file as timm publishes them; its network and the server."""
    from safetensors.torch import save

    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))
    for name in ("http_proxy", "HTTP_PROXY", "HF_HUB_OFFLINE", "CHEXNET_OFFLINE"):
        monkeypatch.delenv(name, raising=False)
    published = model_module.densenet121()
    data = save(published.state_dict())
    with serving() as server:
        monkeypatch.setenv("HF_ENDPOINT", server.url)
        digest = hashlib.sha256(data).hexdigest()
        server.usual = Answer(headers={"X-Repo-Commit": "a" * 40}, etag=f'"{digest}"')
        for name in ("ra_in1k", "tv_in1k"):
            for revision in ("main", "a" * 40):
                path = f"/timm/densenet121.{name}/resolve/{revision}/model.safetensors"
                server.files[path] = data
        yield published, server


@pytest.mark.parametrize("init", ["timm", "timm:densenet121.tv_in1k"])
def test_a_start_from_timm_has_the_published_features(hub_of_timm, init):
    published, _ = hub_of_timm
    start = build({"Mass": 0}, init, seed=0)
    expected = published.features.state_dict()
    assert all(torch.equal(v, expected[k]) for k, v in start.model.features.state_dict().items())
    assert start.origin.startswith("ImageNet weights (timm, densenet121.")


def test_a_start_from_timm_that_is_not_there_or_damaged_is_one_line(hub_of_timm, tmp_path):
    build({"Mass": 0}, "timm", seed=0)
    [blob] = [path for path in (tmp_path / "hub").rglob("blobs/*") if path.is_file()]
    blob.write_bytes(blob.read_bytes()[:-1] + b"x")
    for init, told in (
        ("timm", "another SHA-256 than was published"),
        ("timm:resnet50.a1_in1k", "expected a DenseNet-121"),
        ("timm:densenet121.none", "could not be fetched from the Hub"),
    ):
        with pytest.raises(CheckpointError, match=told) as refusal:
            build({"Mass": 0}, init, seed=0)
        assert "\n" not in str(refusal.value)
