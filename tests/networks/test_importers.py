"""Files of other projects against their own architecture, and what is refused.

What is said of a file does not depend on the network's size: it is the tiny one. DenseNet-121
itself is read once in each of the three layouts, at `real_network`.
"""

import argparse
import json
import pickle
import sys
import types
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from chexnet.checkpoint import load_sealed, save_sealed
from chexnet.errors import CheckpointError, ConfigError
from chexnet.inference.onnx_runtime import as_metadata, read_metadata
from chexnet.labels import FINDINGS
from chexnet.metadata import Metadata
from chexnet.model import DenseNet121, load_weights, save_weights
from chexnet.networks.importers import NIH14, XRV18, class_order, import_network
from chexnet.networks.registry import find_network
from chexnet.transforms import Preprocessing, normalise
from tests.networks.files import (
    Chexnet2017,
    changed,
    old_names,
    random_network,
    with_prefix,
)

pytestmark = pytest.mark.usefixtures("tiny_network")
ITEMS = np.random.default_rng(0).integers(0, 256, (2, 1, 64, 64), dtype=np.uint8)


@pytest.fixture(scope="module")
def network(tiny_network) -> nn.Module:
    return random_network()


@pytest.fixture(scope="module")
def grey(tiny_network) -> nn.Module:
    return random_network(classes=18, channels=1, seed=1)


def answers(network: nn.Module, preprocessing: Preprocessing) -> torch.Tensor:
    with torch.inference_mode():
        return network(normalise(torch.from_numpy(ITEMS), preprocessing))


def check(file: Path, out: Path, expected: torch.Tensor, names: list[str], **options) -> Metadata:
    """Import, read again, and compare the logits with those of the architecture itself."""
    told = import_network(file, out, **options)
    model, metadata = load_weights(out)
    assert list(metadata.classes) == list(told.classes) == names
    outputs = answers(model, metadata.preprocessing)
    scale = expected.abs().max().item()
    torch.testing.assert_close(outputs, expected, rtol=1e-4, atol=1e-4 * scale)
    return metadata


ADAM = {"state": {0: {"step": torch.tensor(3.0), "exp_avg": torch.ones(64, 3, 7, 7)}}}
TORCHVISION = {
    "state dict": lambda s, p: torch.save(s, p),
    "stream of before torch 1.6": lambda s, p: torch.save(
        s, p, _use_new_zipfile_serialization=False
    ),
    "safetensors": save_file,
    "checkpoint with a Namespace": lambda s, p: torch.save(
        {
            "model": s,
            "optimizer": {"state": {0: {"step": torch.tensor(3.0)}}, "param_groups": [{"lr": 1}]},
            "args": argparse.Namespace(lr=0.1, output_dir=Path("out"), device=torch.device("cpu")),
            "epoch": np.float64(3),
        },
        p,
    ),
    "PyTorch's tutorial": lambda s, p: torch.save(
        {"epoch": 5, "model_state_dict": s, "optimizer_state_dict": ADAM, "loss": torch.ones(1)}, p
    ),
    "nested, under another name": lambda s, p: torch.save({"a": {"weights": {"net": s}}}, p),
    "beside another kind of network": lambda s, p: torch.save({"net": s, "encoder": resnet()}, p),
    "average beside it": lambda s, p: torch.save(
        {"state_dict_ema": {k: v * 2 for k, v in s.items()}, "state_dict": s}, p
    ),
    "Dropout before the head": lambda s, p: torch.save(
        {k.replace("classifier.", "classifier.1."): v for k, v in s.items()}, p
    ),
    "names of 2017, without counters": lambda s, p: torch.save(old_names(s), p),
}


@pytest.mark.parametrize("write", TORCHVISION.values(), ids=TORCHVISION)
def test_torchvisions_layout_gives_torchvisions_logits(network, tmp_path, write):
    write(network.state_dict(), tmp_path / "w.bin")
    usual = Preprocessing(87.5, 224, keep_aspect=True)
    expected = answers(network, usual)
    metadata = check(tmp_path / "w.bin", tmp_path / "o", expected, NIH14, classes="nih14")
    assert metadata.preprocessing == usual
    assert metadata.provenance["layout"] == "torchvision"
    assert not metadata.provenance["tried"]
    assert metadata.seen["list"] == "unknown"  # so all of NIH counts as seen


def test_densenet_121_itself_gives_torchvisions_logits(real_network, tmp_path):
    network = random_network()
    torch.save(old_names(network.state_dict()), tmp_path / "w.pth")
    expected = answers(network, Preprocessing(87.5, 224, keep_aspect=True))
    check(tmp_path / "w.pth", tmp_path / "o", expected, NIH14, classes="nih14")


@pytest.mark.parametrize("prefix", ["module.", "model.module._orig_mod.", "a.densenet121."])
def test_one_common_prefix_is_taken_off_and_named(network, tmp_path, prefix):
    state = with_prefix(network.state_dict(), prefix)
    torch.save({"pytorch-lightning_version": "2.2", "state_dict": state}, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    expected = answers(network, Preprocessing(87.5, 224, keep_aspect=True))
    for name, place in (("w.pth", "state_dict"), ("w.safetensors", "")):
        metadata = check(tmp_path / name, tmp_path / "o", expected, NIH14, classes="nih14")
        assert (metadata.provenance["place"], metadata.provenance["prefix"]) == (place, prefix)


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_read_as_the_same_numbers(network, tmp_path, dtype):
    state = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in network.state_dict().items()
    }
    torch.save(state, tmp_path / "w.pth")
    save_file(state, tmp_path / "w.safetensors")
    for name in ("w.pth", "w.safetensors"):
        import_network(tmp_path / name, tmp_path / "o", classes="nih14")
        tensors = load_weights(tmp_path / "o")[0].state_dict()
        for key, value in state.items():
            assert torch.equal(tensors[key], value.to(tensors[key].dtype))
            assert tensors[key].dtype in (torch.float32, torch.int64)


def test_several_networks_of_one_file_are_named_and_refused(network, tmp_path):
    state = network.state_dict()
    torch.save({"student": state, "teacher": state}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"student, teacher.*\['student'\], NEW"):
        import_network(tmp_path / "w.pth", tmp_path / "o", classes="nih14")
    both = with_prefix(state, "student.") | with_prefix(state, "teacher.")
    torch.save(both, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"several networks: student\. and teacher\."):
        import_network(tmp_path / "w.pth", tmp_path / "o", classes="nih14")


def test_a_whole_module_is_read_although_its_class_is_gone(network, tmp_path, monkeypatch):
    gone = types.ModuleType("gone")
    gone.Net = type("Net", (type(network),), {"__module__": "gone"})
    monkeypatch.setitem(sys.modules, "gone", gone)
    monkeypatch.setattr(network, "__class__", gone.Net)
    torch.save({"model": network, "epoch": 1}, tmp_path / "w.pth")
    monkeypatch.undo()
    expected = answers(network, Preprocessing())
    check(tmp_path / "w.pth", tmp_path / "o", expected, NIH14, classes="nih14")


@pytest.mark.parametrize("legacy", [True, False])
def test_the_2017_layout_gives_the_2017_modules_sigmoids(request, tmp_path, legacy):
    if legacy:  # as it was published
        request.getfixturevalue("real_network")
    module = Chexnet2017(random_network(seed=2)).eval()
    state = with_prefix(old_names(module.state_dict()), "module.")
    assert "module.densenet121.features.denseblock1.denselayer1.norm.1.weight" in state
    assert "module.densenet121.classifier.0.weight" in state
    file = tmp_path / "model.pth.tar"
    content = {"epoch": 1, "state_dict": state, "best_loss": 0.1, "optimizer": {}}
    torch.save(content, file, _use_new_zipfile_serialization=not legacy)
    entry = find_network("chexnet-2017")
    expected = answers(module, entry.preprocessing)
    metadata = check(
        file, tmp_path / "o", torch.logit(expected.double()).float(), NIH14, network=entry
    )
    assert metadata.provenance["network"] == "chexnet-2017"
    assert metadata.seen["list"] == "lists-2017"


XRV = {
    "module": lambda n, p: torch.save(n, p),
    "state dict": lambda n, p: torch.save(n.state_dict(), p),
}


@pytest.mark.parametrize("form", XRV)
def test_torchxrayvisions_one_channel_folds_exactly_into_three(request, tmp_path, form):
    if form == "module":  # as they are published
        request.getfixturevalue("real_network")
    grey = random_network(classes=18, channels=1, seed=1)
    grey.register_buffer("op_threshs", torch.tensor([0.25] * 14 + [float("nan")] * 4))
    XRV[form](grey, tmp_path / "w.pt")
    del grey.op_threshs
    with torch.inference_mode():  # torchxrayvision's own normalisation, (2 p / 255 - 1) * 1024
        expected = grey((2 * torch.from_numpy(ITEMS).float() / 255 - 1) * 1024)[:, :14]
    metadata = check(tmp_path / "w.pt", tmp_path / "o", expected, list(XRV18[:14]))
    assert metadata.provenance["layout"] == "torchxrayvision"
    assert metadata.validation["publisher_thresholds"] == dict.fromkeys(XRV18[:14], 0.25)


def test_torchxrayvisions_own_class_gives_the_same_logits(real_network, tmp_path):
    models = pytest.importorskip("torchxrayvision.models")
    torch.manual_seed(4)
    theirs = models.DenseNet(
        num_classes=18, in_channels=1, **models.get_densenet_params("densenet")
    )
    theirs.eval()
    torch.save(theirs, tmp_path / "w.pt")
    with torch.inference_mode():
        expected = theirs((2 * torch.from_numpy(ITEMS).float() / 255 - 1) * 1024)[:, :14]
    check(tmp_path / "w.pt", tmp_path / "o", expected, list(XRV18[:14]))


def test_an_entry_of_the_registry_says_everything(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "pytorch_model.bin")
    entry = find_network("taheera")
    metadata = import_network(tmp_path / "pytorch_model.bin", tmp_path / "o", network=entry)
    told = metadata.provenance
    assert (told["network"], told["licence"], told["published"]) == ("taheera", "none shown", 0.801)
    assert metadata.preprocessing == Preprocessing(100, 224)
    assert metadata.seen["list"] == "official-train-val"
    mae = find_network("medmae-mae")
    with pytest.raises(CheckpointError, match="is not the file of medmae-mae: found SHA-256"):
        import_network(tmp_path / "pytorch_model.bin", tmp_path / "p", network=mae)


def test_columns_follow_the_order_that_was_named(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pth")
    names = sorted(NIH14)
    expected = answers(network, Preprocessing())
    check(tmp_path / "w.pth", tmp_path / "o", expected, names, classes="alphabetical14")
    # Eight outputs are ours, one of them spelled for people; six are left out.
    text = ",".join(["pleural thickening", *NIH14[:7], *"------"])
    kept = ["Pleural_Thickening", *NIH14[:7]]
    check(tmp_path / "w.pth", tmp_path / "o", expected[:, :8], kept, classes=text)


# --- refused by name -------------------------------------------------------------------------

BLOCK = "features.denseblock2.denselayer1"
REFUSED = {
    "renamed": (
        lambda s: s.update({f"{BLOCK}.norm3.weight": s.pop(f"{BLOCK}.norm1.weight")}),
        rf"{BLOCK}.norm3.weight: no DenseNet-121 has",
    ),
    "missing": (lambda s: s.pop(f"{BLOCK}.conv2.weight"), rf"{BLOCK}.conv2.weight: it is missing"),
    "missing head": (lambda s: s.pop("classifier.weight"), "classifier.weight: it is missing"),
    "missing bias": (lambda s: s.pop("classifier.bias"), "classifier.bias: it is missing"),
    "added": (lambda s: s.update(extra=torch.zeros(2)), "extra: no DenseNet-121 has"),
    "reshaped": (
        lambda s: s.update({f"{BLOCK}.norm1.bias": s[f"{BLOCK}.norm1.bias"][None]}),
        rf"{BLOCK}.norm1.bias: found 1 x 6 of float32, expected 6 of float32",
    ),
    "another type": (
        lambda s: s.update({f"{BLOCK}.conv1.weight": s[f"{BLOCK}.conv1.weight"].double()}),
        rf"{BLOCK}.conv1.weight: found .* of float64, expected .* of float32",
    ),
    "outside of the prefix": (
        lambda s: s.update(
            {f"net.{name}": s.pop(name) for name in list(s)}, pos_weight=torch.ones(1)
        ),
        r"pos_weight: no DenseNet-121 has .* begin with net\.",
    ),
    "two layers of a head": (
        lambda s: s.update({f"classifier.{i}.bias": s["classifier.bias"] for i in (0, 2)}),
        "classifier.0.bias: no DenseNet-121 has",
    ),
    "an overflow of float16": (
        lambda s: s.update({f"{BLOCK}.norm1.bias": torch.full((6,), 1e6).half()}),
        rf"{BLOCK}.norm1.bias: found values that are no finite numbers",
    ),
    "no number": (
        lambda s: s.update({f"{BLOCK}.norm1.bias": torch.full((6,), float("nan"))}),
        rf"{BLOCK}.norm1.bias: found values that are no finite numbers",
    ),
    "negative variance": (
        lambda s: s.update({"features.norm5.running_var": torch.full((8,), -1.0)}),
        "features.norm5.running_var: found a variance below 0",
    ),
    "no tensor": (
        lambda s: s.update({"features.norm5.weight": [1.0]}),
        r"features.norm5.weight: found \[1.0\], expected a tensor",
    ),
    "two of one": (
        lambda s: s.update({f"{BLOCK}.norm.1.bias": s[f"{BLOCK}.norm1.bias"]}),
        f"found {BLOCK}.norm1.bias and {BLOCK}.norm.1.bias for one tensor",
    ),
    "a name of control letters": (
        lambda s: s.update({"\x1b[2J" * 40: torch.zeros(1)}),
        r"\\x1b\[2J.{0,75}: no DenseNet-121 has",
    ),
}


@pytest.mark.parametrize(("change", "says"), REFUSED.values(), ids=REFUSED)
def test_one_changed_tensor_is_refused_by_its_name(network, tmp_path, change, says):
    file = changed(tmp_path / "w.pth", network.state_dict(), change)
    with pytest.raises(CheckpointError, match=says) as refusal:
        import_network(file, tmp_path / "o", classes="nih14")
    assert "\n" not in str(refusal.value)
    assert "\x1b" not in str(refusal.value)
    assert not (tmp_path / "o").exists()


def test_torchxrayvisions_files_are_compared_as_strictly(grey, tmp_path):
    state = grey.state_dict()
    wrong = {
        "op_threshs: found 14 of float32": {"op_threshs": torch.zeros(14)},
        "features.conv0.weight: found 8 x 1 x 7 x 7 of float64": {
            "features.conv0.weight": state["features.conv0.weight"].double()
        },
        "features.conv0.weight: found 4 x 1 x 7 x 7": {
            "features.conv0.weight": state["features.conv0.weight"][:4]
        },
        "upsample.weight: no DenseNet-121 has": {"upsample.weight": torch.zeros(1)},
    }
    for says, change in wrong.items():
        torch.save(state | change, tmp_path / "w.pt")
        with pytest.raises(CheckpointError, match=says):
            import_network(tmp_path / "w.pt", tmp_path / "o")


def test_an_order_that_contradicts_the_module_is_refused(grey, tmp_path):
    grey.pathologies = [*XRV18[:13], "Fracture", "", "", "", ""]
    torch.save(grey, tmp_path / "w.pt")
    del grey.pathologies
    with pytest.raises(CheckpointError, match="output 14: found Fracture in the file, expected He"):
        import_network(tmp_path / "w.pt", tmp_path / "o")


def test_a_module_with_nonsense_for_attributes_is_refused_or_read(grey, tmp_path):
    grey.pathologies, grey._non_persistent_buffers_set = 3, {"a": 1}
    torch.save(grey, tmp_path / "w.pt")
    del grey.pathologies
    grey._non_persistent_buffers_set = set()
    assert len(import_network(tmp_path / "w.pt", tmp_path / "o").classes) == 14
    torch.save({"model": nn.Identity(), "state_dict": 3}, tmp_path / "w.pt")
    with pytest.raises(CheckpointError, match="holds no network"):
        import_network(tmp_path / "w.pt", tmp_path / "o")


def test_an_order_is_asked_for_and_never_guessed(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pth")
    with pytest.raises(ConfigError, match="Pass --classes nih14, alphabetical14 or NAME"):
        import_network(tmp_path / "w.pth", tmp_path / "o")
    with pytest.raises(CheckpointError, match="found 14 outputs, expected 2"):
        import_network(tmp_path / "w.pth", tmp_path / "o", classes="Mass,Nodule")
    for text, says in (("Mass,Mass", "Mass stands there twice"), ("Mass,Cough", "found 'Cough'")):
        with pytest.raises(ConfigError, match=says):
            class_order(text)
    assert set(class_order("alphabetical14")) == set(class_order("nih14")) == set(FINDINGS)


def resnet() -> dict[str, torch.Tensor]:
    return {"conv1.weight": torch.zeros(64, 3, 7, 7), "layer1.0.conv1.weight": torch.zeros(64)}


@pytest.fixture(scope="module")
def strangers(tmp_path_factory, network) -> dict[str, tuple[Path, str]]:
    """Files of other kinds, and what is said of each."""
    root = tmp_path_factory.mktemp("strangers")
    ours, last = root / "best.pth", root / "last.pth"
    save_weights(ours, DenseNet121(1), Metadata({"Mass": 0}, Preprocessing()))
    save_sealed(last, {"config": {}, "processes": 1, "fingerprints": {}, "at": {}, "state": {}})
    torch.save(resnet(), root / "resnet.pth")
    imagenet = network.state_dict() | {
        "classifier.weight": torch.zeros(1000, 1024),
        "classifier.bias": torch.zeros(1000),
    }
    torch.save(imagenet, root / "imagenet.pth")
    torch.save([1, 2], root / "list.pth")
    with zipfile.ZipFile(root / "script.pt", "w") as archive:
        for name in ("data.pkl", "constants.pkl", "code/__torch__.py"):
            archive.writestr(f"script/{name}", b"\x80\x02}.")
    (root / "page.bin").write_text("<!DOCTYPE html><html>Too many requests</html>")
    (root / "lfs.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n")
    (root / "x.onnx").write_bytes(b"\x08\x08\x12\x07pytorch" + bytes(50))
    (root / "bare.pkl").write_bytes(pickle.dumps({"w": 1}))
    (root / "empty").write_bytes(b"")
    return {
        "weights of ours": (ours, "is a weights file of this project"),
        "checkpoint of ours": (last, "is a training checkpoint of this project"),
        "ResNet": (root / "resnet.pth", "holds no DenseNet-121: it is a ResNet"),
        "ImageNet": (root / "imagenet.pth", "has 1,000 outputs, ImageNet's"),
        "no network": (root / "list.pth", "holds no network"),
        "TorchScript": (root / "script.pt", "TorchScript program"),
        "web page": (root / "page.bin", "is a web page"),
        "LFS": (root / "lfs.bin", "a pointer of Git LFS"),
        "ONNX": (root / "x.onnx", "seems to be an ONNX file"),
        "bare pickle": (root / "bare.pkl", "a bare pickle"),
        "empty": (root / "empty", "no file of torch.save"),
        "missing": (root / "nothing.pth", "Found no file"),
    }


def test_files_of_other_kinds_are_refused_in_one_line_each(strangers, tmp_path):
    for kind, (file, says) in strangers.items():
        with pytest.raises(CheckpointError, match=says) as refusal:
            import_network(file, tmp_path / "o", classes="nih14")
        assert "\n" not in str(refusal.value), kind
    assert not list(tmp_path.iterdir())


def test_a_layout_that_is_not_the_files_is_refused(network, tmp_path):
    torch.save(network.state_dict(), tmp_path / "w.pth")
    with pytest.raises(
        CheckpointError, match="found the layout torchvision, expected chexnet-2017"
    ):
        import_network(tmp_path / "w.pth", tmp_path / "o", layout="chexnet-2017", classes="nih14")
    with pytest.raises(ConfigError, match="--layout: found 'keras'"):
        import_network(tmp_path / "w.pth", tmp_path / "o", layout="keras")
    with pytest.raises(ConfigError, match="the file itself"):
        import_network(tmp_path / "w.pth", tmp_path / "w.pth", classes="nih14")


def test_an_exported_file_says_the_same_of_an_imported_network(grey, tmp_path):
    torch.save(grey, tmp_path / "w.pt")
    entry = find_network("xrv-nih")
    metadata = import_network(tmp_path / "w.pt", tmp_path / "o", network=entry)
    told = as_metadata(metadata, np.arange(14, dtype=np.float32))
    assert json.loads(told["format"]) == "chexnet onnx 3"  # an older release would squash
    again, bias = read_metadata(told, tmp_path / "x.onnx")
    assert again.preprocessing == metadata.preprocessing == entry.preprocessing
    assert again.provenance == metadata.provenance
    assert again.validation == metadata.validation
    assert bias.tolist() == list(range(14))
    assert load_sealed(tmp_path / "o")["format"] == "chexnet weights 2"
