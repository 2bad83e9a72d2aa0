"""The doctor names each fault that is really there, and no other."""

import json
import os
import platform
import re
import shutil
import socket
import subprocess
import sys
from collections import namedtuple
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from chexnet import devices, transforms
from chexnet.data import pack
from chexnet.data.nih import read_folder
from chexnet.errors import CheckpointError, ExportError
from chexnet.files import CACHE_VARIABLE
from chexnet.inference import engine, onnx_export, predictor
from chexnet.inference.engine import export_place, file_digest
from chexnet.inference.onnx_runtime import BLANK, as_metadata, seal
from chexnet.labels import FINDINGS
from chexnet.metadata import Metadata
from chexnet.model import build, load_weights, save_weights
from chexnet.training import augmentation
from chexnet.transforms import Preprocessing
from scripts.doctor import data, machine, network, supported
from scripts.doctor.finding import Finding, State, guarded, wrong
from tests.conftest import rows_of

STAGES = (
    "Starter weights",
    "Reading",
    "Crop and resize",
    "Normalisation",
    "PyTorch",
    "ONNX Runtime",
    "Answer",
)


def write_export(
    place: Path, model, logits: dict[str, float], parameters: str | None = None
) -> None:
    """A graph that knows one answer: exporting takes 20 s, and tests/inference does it."""
    from onnx import TensorProto, helper, numpy_helper

    metadata = Metadata({name: n for n, name in enumerate(logits)}, Preprocessing(size=64))
    answer = numpy_helper.from_array(np.array([list(logits.values())], np.float32), "answer")
    cells = numpy_helper.from_array(np.zeros((1, len(logits), 2, 2), np.float32), "cells")
    graph = helper.make_graph(
        [
            helper.make_node("Identity", ["answer"], ["logits"]),
            helper.make_node("Identity", ["cells"], ["contributions"]),
        ],
        "one answer",
        [helper.make_tensor_value_info("pixels", TensorProto.UINT8, ["b", 1, 64, 64])],
        [
            helper.make_tensor_value_info("logits", TensorProto.FLOAT, [1, len(logits)]),
            helper.make_tensor_value_info("contributions", TensorProto.FLOAT, cells.dims),
        ],
        [answer, cells],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    about = as_metadata(metadata, model.classifier.bias.detach().numpy())
    if parameters:
        about |= {"seal": json.dumps(BLANK), "parameters_sha256": json.dumps(parameters)}
    helper.set_model_props(made, about)
    place.parent.mkdir(parents=True, exist_ok=True)
    content = made.SerializeToString()
    place.write_bytes(seal(content) if parameters else content)
    place.with_suffix(".sha256").write_text(file_digest(place))


@pytest.fixture(scope="module")
def recorded(tmp_path_factory) -> tuple[Path, Path]:
    """Random weights in the place of the starter's, what they answer, and an export."""
    folder = tmp_path_factory.mktemp("doctor")
    weights, expected = folder / "starter.pth", folder / "expected.json"
    classes = {name: index for index, name in enumerate(FINDINGS)}
    model = build(classes, "none", 0).model
    with torch.no_grad():
        model.classifier.weight.mul_(20)  # logits that differ from 0 as trained ones do
    save_weights(weights, model, Metadata(classes, Preprocessing(size=64)))
    known = network.expected_values(weights)
    expected.write_text(json.dumps(known))
    write_export(export_place(file_digest(weights)), model, known["logits_of_a_pattern"])
    return weights, expected


@pytest.fixture
def examine(recorded, monkeypatch):
    """Examine these weights; what was found, by name."""
    weights, expected = recorded
    monkeypatch.setattr(predictor, "STARTER", weights)

    def call() -> dict[str, Finding]:
        return {one.name: one for one in network.starter(expected)}

    return call


def ill(found: dict[str, Finding]) -> list[str]:
    return [name for name, one in found.items() if one.state is State.wrong]


def test_a_healthy_network_is_fine_at_every_stage(examine):
    found = examine()
    assert tuple(found) == STAGES
    assert {one.state for one in found.values()} == {State.fine}


def test_without_pytorch_the_export_that_is_shipped_is_examined(examine, recorded, monkeypatch):
    weights, expected = recorded
    shipped = weights.with_suffix(".onnx")
    known = json.loads(expected.read_text())
    model, _ = load_weights(weights)
    write_export(shipped, model, known["logits_of_a_pattern"], known["parameters_sha256"])
    monkeypatch.setattr(network, "installed", lambda *_: False)
    found = examine()
    assert [name for name in STAGES if name not in found] == ["Normalisation", "PyTorch"]
    assert set(ill(found)) <= {"Answer"}  # it knows one answer, to another picture
    write_export(shipped, model, known["logits_of_a_pattern"], "0" * 64)
    assert ill(examine()) == ["Starter weights"]
    shipped.unlink()
    assert ill(examine()) == ["Starter weights"]


def test_what_is_shipped_is_what_the_starter_weights_answer():
    """New starter weights: python -m scripts.doctor --record."""
    known = json.loads(network.EXPECTED.read_text())
    found = network.expected_values(predictor.STARTER)
    assert len(known["probabilities"]) == 15
    for key in ("logits_of_a_pattern", "probabilities"):
        assert found.pop(key) == pytest.approx(known.pop(key), abs=network.CLOSE)
    assert found == known


def test_an_altered_normalisation_is_named(examine, monkeypatch):
    def altered(images, preprocessing):
        return transforms.normalise(images, Preprocessing(mean=(0.5,) * 3, std=(0.5,) * 3))

    monkeypatch.setattr(engine, "normalise", altered)
    assert ill(examine()) == ["Normalisation", "Answer"]


@pytest.mark.parametrize("fault", ["filter", "crop"])
def test_a_wrong_resize_is_named(examine, monkeypatch, fault):
    if fault == "filter":
        monkeypatch.setitem(transforms.FILTERS, "bilinear", Image.Resampling.NEAREST)
    else:
        box = transforms.PercentCenterCrop.box
        moved = lambda *given: tuple(side + 3 for side in box(*given))  # noqa: E731
        monkeypatch.setattr(transforms.PercentCenterCrop, "box", moved)
    found = ill(examine())
    assert found[0] == "Crop and resize"
    assert set(found) <= {"Crop and resize", "Answer"}


def test_altered_pixels_are_named(examine, monkeypatch):
    from chexnet.imaging.radiograph import Radiograph

    real = Radiograph.as_uint8
    monkeypatch.setattr(Radiograph, "as_uint8", lambda self: 255 - real(self))
    assert ill(examine()) == ["Reading", "Answer"]


def test_an_altered_network_is_named(examine, monkeypatch):
    from chexnet.model import DenseNet121

    real = DenseNet121.activation
    monkeypatch.setattr(DenseNet121, "activation", lambda self, images: 1.05 * real(self, images))
    found = examine()
    assert "PyTorch" in ill(found)
    assert not {"Crop and resize", "Normalisation", "ONNX Runtime"} & set(ill(found))


def test_a_damaged_calibration_is_named(examine, monkeypatch):
    monkeypatch.setattr(predictor, "sigmoid", lambda logits: 1 / (1 + np.exp(-1.1 * logits)))
    found = examine()
    assert ill(found) == ["Answer"]
    assert "calibration" in found["Answer"].advice


@pytest.fixture
def damaged(recorded):
    """The export in the cache with other numbers; whole again afterwards."""
    import onnx

    place = export_place(file_digest(recorded[0]))
    good = place.read_bytes()
    graph = onnx.load_from_string(good)
    [answer] = [one for one in graph.graph.initializer if one.name == "answer"]
    values = onnx.numpy_helper.to_array(answer) + np.float32(0.01)
    answer.CopyFrom(onnx.numpy_helper.from_array(values, answer.name))
    onnx.save(graph, place)
    place.with_suffix(".sha256").write_text(file_digest(place))  # made that way, not damaged
    yield good, place
    place.write_bytes(good)
    place.with_suffix(".sha256").write_text(file_digest(place))


def test_a_damaged_export_in_the_cache_is_named_and_its_file_too(examine, damaged, monkeypatch):
    good, place = damaged
    monkeypatch.setattr(onnx_export, "export", lambda _, out: out.write_bytes(good))
    found = examine()
    assert ill(found) == ["ONNX Runtime"]
    assert "in the cache is damaged" in found["ONNX Runtime"].text
    assert str(place) in found["ONNX Runtime"].advice
    place.unlink()  # what was advised
    assert ill(examine()) == []


def test_an_export_that_is_broken_however_often_it_is_made_is_named(examine, damaged, monkeypatch):
    bad = damaged[1].read_bytes()
    monkeypatch.setattr(onnx_export, "export", lambda _, out: out.write_bytes(bad))
    found = examine()
    assert ill(found) == ["ONNX Runtime"]
    assert "the export is broken" in found["ONNX Runtime"].text
    assert "--engine torch" in found["ONNX Runtime"].advice


def test_an_export_that_fails_is_named(examine, monkeypatch):
    def fails(*_):
        raise ExportError("PyTorch could not export")

    monkeypatch.setattr(engine, "cached", fails)
    found = examine()
    assert ill(found) == ["ONNX Runtime"]
    assert "could not export" in found["ONNX Runtime"].text


def test_a_cache_that_nobody_may_write_does_not_hide_the_answer(examine, monkeypatch, tmp_path):
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    found = examine()
    assert tuple(found) == STAGES
    assert ill(found) == ["ONNX Runtime"]
    assert "cannot be kept" in found["ONNX Runtime"].text


def test_other_starter_weights_are_told_by_their_tensors_alone(
    examine, recorded, tmp_path, monkeypatch
):
    model, metadata = load_weights(recorded[0])
    copied = tmp_path / "starter.pth"
    monkeypatch.setattr(predictor, "STARTER", copied)
    save_weights(copied, model, replace(metadata, provenance={"date": "another day"}))
    write_export(
        export_place(file_digest(copied)),
        model,
        json.loads(recorded[1].read_text())["logits_of_a_pattern"],
    )
    assert ill(examine()) == []
    with torch.no_grad():
        model.classifier.bias[0] += 1e-3
    save_weights(copied, model, metadata)
    assert ill(examine()) == ["Starter weights"]


def test_damaged_starter_weights_are_named(recorded, tmp_path, monkeypatch):
    content = bytearray(recorded[0].read_bytes())
    content[len(content) // 2] ^= 1
    (tmp_path / "starter.pth").write_bytes(content)
    monkeypatch.setattr(predictor, "STARTER", tmp_path / "starter.pth")
    [found] = guarded("Starter weights", lambda: network.starter(recorded[1]))
    assert found.state is State.wrong
    assert "starter.pth" in found.advice
    monkeypatch.setattr(predictor, "STARTER", tmp_path / "none.pth")
    [found] = network.starter(recorded[1])
    assert found.state is State.wrong


def test_weights_that_are_given_are_opened_and_both_engines_compared(
    recorded, damaged, monkeypatch
):
    good, place = damaged
    monkeypatch.setattr(onnx_export, "export", lambda _, out: out.write_bytes(good))
    found = {one.name: one for one in network.given(recorded[0])}
    assert ill(found) == ["Weights, ONNX Runtime"]
    place.write_bytes(good)
    assert ill({one.name: one for one in network.given(recorded[0])}) == []
    with pytest.raises(CheckpointError):
        list(network.given(recorded[0].with_name("none.pth")))


# The machine.


@pytest.fixture
def looked(tmp_path):
    """What the doctor says of lists of our own."""

    def look(small: str, whole: str = "", pins: str = "") -> list[tuple[State, str]]:
        for name, text in zip(machine.LISTS, (small, whole, pins), strict=True):
            (tmp_path / f"{name}.txt").write_text(text)
        return [(one.state, one.text + one.advice) for one in machine.packages(tmp_path)]

    return look


def test_packages_are_compared_with_the_pins(looked):
    from importlib.metadata import version

    numpy = f"numpy=={version('numpy')}\n"
    [(state, told)] = looked("-c constraints.txt\nnumpy  # a remark\n", pins=f"# of\n{numpy}")
    assert (state, told) == (State.fine, "1 as pinned in constraints.txt")
    [(state, told)] = looked("numpy\n", pins="numpy==0.0.1\n")
    assert state is State.wrong
    assert f"numpy {version('numpy')} (pinned: 0.0.1)" in told


@pytest.mark.parametrize(
    ("small", "whole", "state", "said"),
    [
        ("no-such-package", "", State.wrong, "missing: no-such-package.*-r requirements-demo.txt"),
        ("", "no-such-package", State.note, "demo needs none of: no-such.*-r requirements.txt"),
        (
            "",
            f"{machine.TESTS} (all)\nno-such-package",
            State.note,
            "tests alone, missing: no",
        ),
        (machine.OPTIONAL, "", State.note, "JPEG-LS in DICOM is refused"),
    ],
)
def test_a_missing_package_is_named_with_what_needs_it(
    looked, monkeypatch, small, whole, state, said
):
    monkeypatch.setattr(machine, "not_installed", str.split)
    found = [(how, told) for how, told in looked(small, whole) if how is not State.fine]
    assert [how for how, _ in found] == [state]
    assert re.search(said, found[0][1])


def test_a_build_of_a_pinned_version_is_that_version(looked, monkeypatch):
    monkeypatch.setattr(machine, "version", lambda _: "2.15.0+cpu")
    [(state, _)] = looked("torch\n", pins="torch==2.15.0\n")
    assert state is State.fine


def test_a_gpu_that_torch_does_not_find_is_named(monkeypatch):
    import torch

    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(machine.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert [one.state for one in machine.processors()] == [State.fine, State.wrong]
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    assert [one.state for one in machine.processors()] == [State.fine, State.fine]


@pytest.mark.parametrize(
    ("network_says", "pictures_say", "told"),
    [
        ("", "", "computes as the CPU does"),
        ("an answer differs by 1", "", "an answer differs by 1; it is refused"),
        ("", "grid_sample differs", "augmented on the CPU: grid_sample differs"),
    ],
)
def test_an_apple_gpu_is_compared_with_the_cpu(monkeypatch, network_says, pictures_say, told):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(machine.shutil, "which", lambda _: None)
    monkeypatch.setattr(devices, "network_fault", lambda *_, **__: network_says)
    monkeypatch.setattr(augmentation, "augmentation_fault", lambda *_: pictures_say)
    _, found = machine.processors()
    assert found.state is State.note  # nobody has tried one
    assert told in found.text


@pytest.mark.parametrize(
    ("python", "system", "kind", "said"),
    [
        ((3, 11, 4), "Linux", "x86_64", ""),
        ((3, 12, 0), "Darwin", "arm64", ""),
        ((3, 12, 0), "Windows", "AMD64", ""),
        ((3, 9, 6), "Darwin", "arm64", "3.9, expected 3.11"),
        ((3, 12, 0), "Darwin", "x86_64", "for Intel Macs"),
        ((3, 12, 0), "Windows", "ARM64", "Take one for x64"),
        ((3, 12, 0), "Windows", "x86", "Take one with 64 bits"),
    ],
)
def test_a_python_that_nothing_can_be_installed_for_is_refused_in_a_line(
    monkeypatch, python, system, kind, said
):
    reason = supported.refusal(python, system, kind)
    assert said in reason
    assert bool(reason) is bool(said)
    assert "\n" not in reason
    monkeypatch.setattr(platform, "system", lambda: system)
    monkeypatch.setattr(platform, "machine", lambda: kind)
    monkeypatch.setattr(machine.sys, "version_info", (*python, "final", 0))
    [found] = machine.python()
    assert (found.state is State.wrong) is bool(said)


def test_make_asks_first_and_needs_no_package_for_it():
    """The file alone, without site-packages, as on an Intel Mac."""
    place = "scripts/doctor/supported.py"
    assert f"$(PYTHON) {place}" in (machine.ROOT / "Makefile").read_text(encoding="utf-8")
    code = (
        "import platform, runpy; platform.system = lambda: 'Darwin';"
        f"platform.machine = lambda: 'x86_64'; runpy.run_path({place!r}, run_name='__main__')"
    )
    for run, expected in (([place], 0), (["-c", code], 1)):
        command = [sys.executable, "-I", "-S", *run]
        done = subprocess.run(command, cwd=machine.ROOT, capture_output=True, text=True)
        assert done.returncode == expected, done.stderr
        assert done.stderr.count("\n") == expected
        assert done.stdout == ""


@pytest.mark.skipif(not hasattr(os, "sysconf"), reason="this system does not say its memory")
def test_little_memory_and_a_full_disk_are_named(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    assert [one.state for one in machine.disk([tmp_path])] == [State.fine]
    monkeypatch.setattr(machine.shutil, "disk_usage", lambda _: usage(10**12, 10**12, 10**9))
    assert [one.state for one in machine.disk([tmp_path])] == [State.wrong]
    assert [one.state for one in machine.memory()] == [State.fine]
    monkeypatch.setattr(machine.os, "sysconf", lambda name: 1 << (12 if "SIZE" in name else 18))
    assert [one.state for one in machine.memory()] == [State.wrong]


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    [found] = machine.cache()
    assert found.state is State.fine
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    [found] = machine.cache()
    assert found.state is State.wrong
    assert CACHE_VARIABLE in found.advice


def test_ports_that_are_taken_are_named(monkeypatch):
    with socket.socket() as first:
        first.bind(("127.0.0.1", 0))
        first.listen()
        taken = first.getsockname()[1]
        monkeypatch.setattr(machine, "PORTS", range(taken, taken + 1))
        [found] = machine.port()
        assert found.state is State.wrong
        monkeypatch.setattr(machine, "PORTS", [taken, 0])  # 0: any that is free
        [found] = machine.port()
        assert f"{taken} is taken" in found.text
        assert found.state is State.fine


# The data.


def looked_at(root: Path, packs: Path) -> dict[str, Finding]:
    return {one.name: one for one in data.data_folder(root, packs)}


def test_a_whole_folder_is_fine_and_what_it_lacks_is_said(make_folder, tmp_path):
    rows = rows_of(4, 2)
    names = [row[0] for row in rows]
    root = make_folder(rows, lists={"train_val": names[:4], "test": names[4:]})
    box = f"Image Index,Finding Label,Bbox [x,y,w,h]\n{names[0]},Mass,10,10,50,50\n"
    (root / "BBox_List_2017.csv").write_text(box)
    found = looked_at(root, tmp_path)
    assert ill(found) == []
    assert {"Table", "Images", "Lists", "Boxes"} <= set(found)
    assert found["Packs"].state is State.note
    assert "scripts.prepare" in found["Packs"].advice


def test_each_fault_of_a_folder_is_named(make_folder, tmp_path):
    rows = rows_of(4, 2)
    names = [row[0] for row in rows]
    root = make_folder(rows, lists={"train_val": names[:5], "test": names[4:]})
    found = looked_at(root, tmp_path)
    assert ill(found) == ["Lists"]
    assert "stand in both" in found["Lists"].text
    (root / "test_list.txt").write_text("\n".join(names[5:]))  # a patient's other image
    assert "1 patients stand in both" in looked_at(root, tmp_path)["Lists"].text
    (root / "test_list.txt").unlink()
    assert "no test_list.txt" in looked_at(root, tmp_path)["Table and lists"].text
    (root / "train_val_list.txt").unlink()
    assert looked_at(root, tmp_path)["Lists"].state is State.note
    (root / "BBox_List_2017.csv").write_text("nothing")
    assert "Boxes" in ill(looked_at(root, tmp_path))
    (root / ".images_004.tar.gz.part").touch()
    assert "images_004 is fetched in part" in looked_at(root, tmp_path)["Download"].text
    shutil.rmtree(root / "images_001")
    shutil.rmtree(root / "images_002")
    shutil.rmtree(root / "images_003")
    assert "Images" in ill(looked_at(root, tmp_path))
    (root / "Data_Entry_2017.csv").unlink()
    assert ill(looked_at(root, tmp_path)) == ["Table and lists"]
    assert ill(looked_at(root / "nowhere", tmp_path)) == ["Data"]


def test_packs_are_compared_with_the_images(make_folder, tmp_path):
    root, packs = make_folder(rows_of(3, 1)), tmp_path / "packs"
    place = pack.pack_folder(packs, root, Preprocessing())
    paths = read_folder(root).paths
    pack.prepare(paths, place, Preprocessing(), workers=1)
    found = looked_at(root, packs)["Packs"]
    assert found.state is State.fine
    assert "3 images, 0 unreadable" in found.text
    one = next(iter(paths.values()))
    one.write_bytes(one.read_bytes() + b"x")
    assert ill(looked_at(root, packs)) == ["Packs"]
    header = next(path for path in place.iterdir() if path.suffix == ".json")
    header.write_text("{")
    assert ill(looked_at(root, packs)) == ["Packs"]


# All together.


def test_a_check_that_fails_is_a_finding():
    def fails():
        yield Finding("one", "fine")
        raise KeyError("what nobody thought of")

    found = list(guarded("two", fails))
    assert [one.state for one in found] == [State.fine, State.wrong]
    assert "KeyError" in found[1].text


def test_the_exit_code_says_whether_anything_is_wrong(here, monkeypatch):
    for name in ("packages", "processors", "memory", "disk", "cache", "port"):
        monkeypatch.setattr(machine, name, lambda *_: iter(()))
    monkeypatch.setattr(network, "starter", lambda: iter([Finding("Network", "well")]))
    done = here("doctor")
    assert done.returncode == 0
    assert done.stdout.splitlines()[1:] == ["fine   Network: well", "", "Nothing is wrong."]
    monkeypatch.setattr(network, "starter", lambda: iter([wrong("Network", "ill", "Rest.")]))
    done = here("doctor")
    assert done.returncode == 1
    assert done.stdout.splitlines()[1:3] == ["WRONG  Network: ill", "       Do: Rest."]
    assert done.stdout.endswith("1 of 2 are wrong.\n")
