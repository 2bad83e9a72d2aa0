"""The starter weights as ONNX, which come with the project, and what there is without PyTorch."""

import json
import shutil
import sys

import numpy as np
import onnx
import pytest

from chexnet.checkpoint import load_sealed
from chexnet.errors import CheckpointError, ConfigError
from chexnet.inference import engine, predictor
from chexnet.inference.onnx_runtime import BLANK, OnnxEngine, seal
from chexnet.inference.predictor import STARTER, Predictor, starter_export
from chexnet.model import load_weights, parameters_sha256
from chexnet.networks import fetch
from chexnet.networks.registry import load_registry
from demo.examples import EXAMPLES
from tests.conftest import BEST, answers

PICTURES = [example.path for example in EXAMPLES]
needs_starter = pytest.mark.skipif(
    starter_export() is None, reason="weights/starter.onnx: dev.starter has not written it"
)


@pytest.fixture(scope="module")
def small(exported) -> bytes:
    """A file with a seal, and with what the exported one says of itself, but with few numbers."""
    kept = onnx.load(exported)
    helper = onnx.helper
    name = [helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [1])]
    graph = helper.make_graph([helper.make_node("Neg", ["x"], ["y"])], "small", name, [])
    graph.output.append(helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1]))
    made = helper.make_model(
        graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=kept.ir_version
    )
    about = {entry.key: entry.value for entry in kept.metadata_props}
    own = {"parameters_sha256": json.dumps("1" * 64), "seal": json.dumps(BLANK)}
    helper.set_model_props(made, about | own)
    return seal(made.SerializeToString())


def test_each_changed_byte_of_a_sealed_file_is_noticed_without_onnx(small, tmp_path):
    place = tmp_path / "sealed.onnx"
    place.write_bytes(small)
    opened = OnnxEngine(place)
    assert opened.parameters_sha256 == "1" * 64
    assert not {"seal", "parameters_sha256"} & opened.metadata.validation.keys()
    at_random = np.random.default_rng(1).integers(0, len(small), 200)
    for at in (
        *range(len(small) - 250, len(small)),
        *at_random,
    ):  # the seal's own entry is the last
        changed = bytearray(small)
        changed[at] ^= 1 << int(at) % 8
        place.write_bytes(changed)
        with pytest.raises(CheckpointError, match=r"sealed\.onnx.*\. (Fetch|Export|Make one)"):
            OnnxEngine(place)
    place.write_bytes(small[:-10])
    with pytest.raises(CheckpointError, match="damaged"):
        OnnxEngine(place)


@needs_starter
def test_the_starter_weights_and_their_export_are_the_same_network():
    """After dev.starter, which writes both."""
    model, metadata = load_weights(STARTER)
    shipped = starter_export()
    assert OnnxEngine(shipped).parameters_sha256 == parameters_sha256(model)
    fast, slow = Predictor(STARTER, "cpu"), Predictor(STARTER, "cpu", "torch")
    assert fast.engine.startswith("ONNX Runtime")
    assert Predictor(shipped).is_starter
    assert fast.metadata.validation == json.loads(json.dumps(metadata.validation))
    for given, expected in zip(answers(fast, PICTURES), answers(slow, PICTURES), strict=True):
        assert given.probabilities == pytest.approx(expected.probabilities, abs=1e-5)
        assert given.logits == pytest.approx(expected.logits, abs=1e-4)
        np.testing.assert_allclose(given.heatmaps, expected.heatmaps, atol=1e-3)


@needs_starter
def test_the_export_of_the_starter_weights_is_small_and_names_nothing_of_a_machine():
    content = starter_export().read_bytes()
    assert len(content) < 16e6
    kept = onnx.load_from_string(content)
    kinds = {}
    for weight in kept.graph.initializer:
        values = onnx.numpy_helper.to_array(weight)
        kinds[weight.name.removesuffix("_half")] = str(values.dtype)
    state = load_sealed(STARTER)["state_dict"]
    half = [name for name, tensor in state.items() if str(tensor.dtype) == "torch.float16"]
    assert {kinds[f"model.{name}"] for name in half} == {"float16"}
    assert not [node for node in kept.graph.node if node.metadata_props]
    assert b".py" not in content


def test_a_damaged_export_of_the_starter_weights_is_refused_and_not_passed_over(
    small, tmp_path, monkeypatch
):
    monkeypatch.setattr(predictor, "STARTER", tmp_path / "starter.pth")
    shutil.copyfile(STARTER, tmp_path / "starter.pth")
    (tmp_path / "starter.onnx").write_bytes(small[:100] + b"x" + small[101:])
    with pytest.raises(CheckpointError, match=r"starter\.onnx is damaged"):
        Predictor(tmp_path / "starter.pth", "cpu")


def without(monkeypatch, *blocked: str) -> None:
    """As if these modules were not installed."""
    for name in list(sys.modules):
        if name.partition(".")[0] in blocked:
            monkeypatch.delitem(sys.modules, name)
    for name in blocked:
        monkeypatch.setitem(sys.modules, name, None)


def test_what_needs_pytorch_says_so_before_anything_is_done(trained, tmp_path, monkeypatch):
    without(monkeypatch, "torch", "torchvision", "pytorch_grad_cam")
    monkeypatch.setattr(engine.shutil, "which", lambda _: "/usr/bin/nvidia-smi")  # a GPU's driver
    monkeypatch.setattr(fetch, "_transfer", None)
    [network] = list(load_registry().values())[:1]
    for call in (
        lambda: Predictor(trained / BEST),
        lambda: Predictor(trained / BEST, "cuda"),
        lambda: fetch.imported(network),
    ):
        with pytest.raises(ConfigError, match=r"needs PyTorch.*: python -m pip install -r req"):
            call()


@needs_starter
def test_without_pytorch_the_starter_weights_answer_and_name_what_is_missing(monkeypatch):
    without(monkeypatch, "torch", "torchvision", "pytorch_grad_cam")
    monkeypatch.setattr(engine.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    alone = Predictor(STARTER)
    assert answers(alone, PICTURES[:1])
    assert alone.methods == ("Grad-CAM",)
    assert (
        alone.more_methods == "need PyTorch and grad-cam: python -m pip install -r requirements.txt"
    )
