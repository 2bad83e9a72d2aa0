"""The exported network: equal to PyTorch, whole in one file, refused where it is not."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnx as format_of_onnx
import onnxruntime
import pytest

from chexnet.data.nih import read_folder
from chexnet.errors import CheckpointError, ConfigError, ExportError
from chexnet.inference import engine, onnx_export
from chexnet.inference.engine import TorchEngine, open_engine
from chexnet.inference.onnx_runtime import OnnxEngine
from chexnet.inference.predictor import Predictor
from chexnet.model import load_weights, save_weights
from tests.conftest import BEST, ROOT, answers

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture(scope="module")
def own(trained) -> Path:
    """The weights that were exported."""
    return trained / BEST


@pytest.fixture(scope="module")
def exported(exported, own) -> Path:
    """As everywhere; the cache is given the same file."""
    place = engine.export_place(engine.file_digest(own))
    place.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(exported, place)
    place.with_suffix(".sha256").write_text(engine.file_digest(exported))
    return exported


@pytest.fixture
def weights(own, tmp_path) -> Path:
    """A copy, which a test may change."""
    return Path(shutil.copy(own, tmp_path / "w.pth"))


@pytest.fixture(scope="module")
def pictures(phantoms) -> list[Path]:
    return list(read_folder(phantoms).paths.values())[:5]


@pytest.fixture(scope="module")
def both(tiny_network, own, exported) -> tuple[Predictor, Predictor]:
    return Predictor(exported), Predictor(own, "cpu", "torch")


def agree(fast: Predictor, slow: Predictor, pictures: list[Path]) -> None:
    assert fast.engine.startswith("ONNX Runtime")
    assert slow.engine.startswith("PyTorch")
    for count in (5, 1):
        for given, expected in zip(
            answers(fast, pictures[:count]), answers(slow, pictures), strict=False
        ):
            assert given.probabilities == pytest.approx(expected.probabilities, abs=1e-4)
            np.testing.assert_allclose(given.heatmaps, expected.heatmaps, atol=1e-4)
            assert np.array_equal(given.pixels, expected.pixels)
            assert fast.findings_over_threshold(given) == slow.findings_over_threshold(expected)


def test_every_answer_is_that_of_pytorch(both, pictures):
    agree(*both, pictures)


@pytest.mark.slow
def test_every_answer_of_densenet_121_is_that_of_pytorch(
    real_network, real_weights, pictures, tmp_path
):
    onnx_export.export(real_weights, tmp_path / "real.onnx")
    agree(Predictor(tmp_path / "real.onnx"), Predictor(real_weights, "cpu", "torch"), pictures)


def test_the_file_says_all_that_the_weights_say(both, exported):
    fast, slow = both
    assert fast.classes == slow.classes
    assert fast.thresholds == slow.thresholds
    assert fast.metadata.preprocessing == slow.metadata.preprocessing
    assert fast.metadata.validation == json.loads(json.dumps(slow.metadata.validation))
    assert fast.metadata.trained_on == "phantoms"
    told = fast.metadata.provenance
    assert {k: slow.metadata.provenance[k] for k in told} == told
    # Hashes of names are for scoring, which takes the weights file.
    assert set(slow.metadata.provenance) - set(told) == {"trained_images", "trained_patients"}
    session = onnxruntime.InferenceSession(exported, providers=["CPUExecutionProvider"])
    assert "not for clinical use" in session.get_modelmeta().custom_metadata_map["notice"]


def test_a_graph_that_answers_otherwise_is_not_written(own, exported, tmp_path, monkeypatch):
    class Written:
        model_proto = format_of_onnx.load(exported)

    # The exporter gives the graph of this network's, the weights are those of another.
    model, metadata = load_weights(own)
    model.classifier.bias.data[0] += 2e-3
    save_weights(tmp_path / "other.pth", model, metadata)
    monkeypatch.setattr(onnx_export.torch.onnx, "export", lambda *_, **__: Written)
    with pytest.raises(ExportError, match=r"differs.*expected at most 1e-04"):
        onnx_export.export(tmp_path / "other.pth", tmp_path / "new" / "out.onnx")
    assert not list((tmp_path / "new").iterdir())
    onnx_export.export(own, tmp_path / "new" / "out.onnx")
    assert Predictor(tmp_path / "new" / "out.onnx").classes == list(metadata.classes)


def test_methods_of_the_package_need_the_weights_file(own, exported, pictures):
    pytest.importorskip("pytorch_grad_cam")
    fast = Predictor(own, "cpu", "onnx")
    slow = Predictor(own, "cpu", "torch")
    [answer] = answers(fast, pictures[:1])
    name = fast.classes[0]
    expected = slow.heatmap(answers(slow, pictures[:1])[0], name, "HiResCAM")
    np.testing.assert_allclose(fast.heatmap(answer, name, "HiResCAM"), expected, atol=1e-4)
    alone = Predictor(exported)
    with pytest.raises(ConfigError, match="Pass the weights file"):
        alone.heatmap(answers(alone, pictures[:1])[0], name, "HiResCAM")


def test_torch_is_not_imported_to_answer(exported, pictures):
    command = [sys.executable, "-X", "importtime", "-m", "scripts.predict", pictures[0]]
    command += ["--weights", exported]
    done = subprocess.run(list(map(str, command)), cwd=ROOT, capture_output=True, text=True)
    assert "Pleural Thickening" in done.stdout
    assert not re.search(r"\|\s+torch$", done.stderr, re.MULTILINE)


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setattr(engine.platformdirs, "user_cache_path", lambda _: tmp_path / "cache")
    return tmp_path / "cache" / "onnx"


def fake_export(exported, made: list):
    def write(weights: Path, out: Path) -> None:
        made.append(weights)
        out.write_bytes(exported.read_bytes())

    return write


def test_weights_are_exported_once_and_again_when_they_change(
    cache, weights, exported, monkeypatch
):
    made, told = [], []
    monkeypatch.setattr(onnx_export, "export", fake_export(exported, made))
    for _ in range(2):
        opened = open_engine(weights, "cpu", on_export=lambda: told.append(1))
        assert isinstance(opened, OnnxEngine)
    assert len(made) == len(told) == 1
    weights.write_bytes(weights.read_bytes() + b"x")
    open_engine(weights, "cpu")
    assert len(made) == 2
    for number in range(2 * engine.KEPT):
        weights.write_bytes(str(number).encode())
        open_engine(weights, "cpu")
    assert len(list(cache.glob("*.onnx"))) == engine.KEPT


def test_a_damaged_cache_is_made_again(cache, own, exported, monkeypatch):
    made: list[Path] = []
    monkeypatch.setattr(onnx_export, "export", fake_export(exported, made))
    open_engine(own, "cpu")
    [file] = cache.glob("*.onnx")
    whole = file.read_bytes()
    other = bytearray(whole)
    weight = format_of_onnx.load(exported).graph.initializer[0].raw_data
    other[whole.index(weight)] ^= 1  # within the numbers: ONNX Runtime reads it without a word
    for number, damaged in enumerate((whole[:1000], bytes(other)), 2):
        file.write_bytes(damaged)
        assert isinstance(open_engine(own, "cpu"), OnnxEngine)
        assert len(made) == number
        assert file.read_bytes() == whole


def test_weights_that_change_while_they_are_exported_are_not_cached(
    cache, weights, exported, monkeypatch
):

    def write(source: Path, out: Path) -> None:
        out.write_bytes(exported.read_bytes())
        source.write_bytes(b"better ones, of a run that goes on")

    monkeypatch.setattr(onnx_export, "export", write)
    with pytest.raises(CheckpointError, match="changed while it was read"):
        open_engine(weights, "cpu", "onnx")
    assert not list(cache.glob("*.onnx"))


def test_what_cannot_be_exported_is_tried_once_with_the_same_versions(cache, own, monkeypatch):
    told: list[int] = []

    def fail(*_: object, **__: object) -> None:
        raise RuntimeError("an operator that nobody knows")

    monkeypatch.setattr(onnx_export.torch.onnx, "export", fail)
    for _ in range(2):
        assert isinstance(open_engine(own, "cpu", on_export=lambda: told.append(1)), TorchEngine)
    assert told == [1]
    with pytest.raises(ExportError, match=r"^PyTorch could not export .*RuntimeError"):
        open_engine(own, "cpu", "onnx")
    for changed in ("torch", "onnxscript"):
        monkeypatch.setattr(engine, "version", lambda name, package=changed: f"9 {name == package}")
        open_engine(own, "cpu", on_export=lambda: told.append(2))
    [refused] = cache.glob("*.refused")  # as the last release wrote it
    refused.write_text("PyTorch could not export it.")
    open_engine(own, "cpu", on_export=lambda: told.append(3))
    assert told == [1, 2, 2, 3]


def test_another_method_never_comes_of_other_weights(weights, exported, pictures):
    pytest.importorskip("pytorch_grad_cam")
    predictor = Predictor(weights, "cpu", "onnx")
    [answer] = answers(predictor, pictures[:1])
    model, metadata = load_weights(weights)
    save_weights(weights, model, replace(metadata, provenance=metadata.provenance | {"epoch": 99}))
    with pytest.raises(ConfigError, match="written anew since it was opened"):
        predictor.heatmap(answer, predictor.classes[0], "HiResCAM")
    assert Predictor(exported).methods == ("Grad-CAM",)
    assert len(predictor.methods) > 1


def test_pytorch_answers_where_onnx_runtime_cannot(weights, tmp_path, monkeypatch):
    blocked = tmp_path / "file"
    blocked.write_text("no folder")
    monkeypatch.setattr(engine.platformdirs, "user_cache_path", lambda _: blocked)
    assert isinstance(open_engine(weights, "cpu"), TorchEngine)
    with pytest.raises(CheckpointError, match="cache that can be written"):
        open_engine(weights, "cpu", "onnx")
    monkeypatch.setattr(engine, "installed", lambda *names: "onnxruntime" not in names)
    assert isinstance(open_engine(weights, "cpu"), TorchEngine)


def test_what_is_no_exported_file_is_refused(own, exported, tmp_path):
    stranger = format_of_onnx.load(exported)
    del stranger.metadata_props[:]
    format_of_onnx.save(stranger, tmp_path / "stranger.onnx")
    with pytest.raises(CheckpointError, match="not exported by this project"):
        Predictor(tmp_path / "stranger.onnx")
    damaged = tmp_path / "damaged.onnx"
    damaged.write_bytes(exported.read_bytes()[:5000])
    with pytest.raises(CheckpointError, match="damaged"):
        Predictor(damaged)
    with pytest.raises(CheckpointError, match="Found no file"):
        Predictor(tmp_path / "none.onnx")
    with pytest.raises(ConfigError, match="Pass the weights file"):
        Predictor(exported, "cuda")
    with pytest.raises(ConfigError, match="--engine: found 'tensorrt', expected one of auto, onnx"):
        Predictor(own, "cpu", "tensorrt")
    for device, name in (("gpu", own), ("cuda:0", exported)):
        with pytest.raises(ConfigError, match=r"--device: found '.*', expected one of auto, cpu"):
            Predictor(name, device)
    with pytest.raises(ConfigError, match="runs on a CPU only"):
        Predictor(own, "cuda", "onnx")
    with pytest.raises(CheckpointError, match=r"none\.pth: No such file"):
        Predictor(tmp_path / "none.pth", "cpu", "onnx")


def test_damaged_weights_are_refused_as_without_onnx(cache, tmp_path):
    weights = tmp_path / BEST
    weights.write_bytes(b"nothing of use")
    with pytest.raises(CheckpointError):
        Predictor(weights, "cpu")
    assert not list(cache.glob("*.onnx"))


def test_the_readme_serves_the_file_without_pytorch(both, exported, pictures, tmp_path):
    readme = (ROOT / "docs" / "onnx.md").read_text(encoding="utf-8")
    [recipe] = re.findall(r"```python\n(import json\n.*?onnxruntime.*?)```", readme, re.DOTALL)
    recipe = recipe.replace("chexnet.onnx", str(exported)).replace(
        "radiograph.png", str(pictures[0])
    )
    recipe += "\nprint(json.dumps(probabilities))\nnp.save('maps.npy', heatmaps)\n"
    blocked = "import sys\nsys.modules['torch'] = sys.modules['chexnet'] = None\n"
    done = subprocess.run(
        [sys.executable, "-c", blocked + recipe], cwd=tmp_path, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    [expected] = answers(both[1], pictures[:1])
    probabilities = json.loads(done.stdout.splitlines()[-1])
    assert probabilities == pytest.approx(expected.probabilities, abs=1e-4)
    maps = np.load(tmp_path / "maps.npy")
    np.testing.assert_allclose(maps, expected.heatmaps, atol=1e-4)


def test_a_file_of_the_older_format_is_refused_with_the_command(exported, tmp_path):
    old = format_of_onnx.load(exported)
    for entry in old.metadata_props:
        if entry.key == "format":
            entry.value = json.dumps("chexnet onnx 1")
    format_of_onnx.save(old, tmp_path / "old.onnx")
    with pytest.raises(CheckpointError, match=r"python -m scripts\.export"):
        OnnxEngine(tmp_path / "old.onnx")
