"""The doctor names each fault that is really there, and no other."""

import json
import platform
import re
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import numpy as np
import pytest
import torch

from chexnet import compute
from chexnet.data import pack
from chexnet.data.nih import read_folder
from chexnet.errors import CheckpointError
from chexnet.files import CACHE_VARIABLE
from chexnet.inference import predictor
from chexnet.model import load_weights
from chexnet.transforms import Preprocessing
from scripts import doctor, supported
from scripts.doctor import Finding, State, guarded, wrong
from tests.conftest import rows_of


def ill(findings: dict[str, Finding]) -> list[str]:
    return [name for name, finding in findings.items() if finding.state is State.wrong]


def by_name(findings) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


# The network.


def test_both_engines_answer_what_is_shipped():
    """New starter weights: python -m scripts.doctor --record."""
    findings = by_name(doctor.starter())
    assert {name: finding.state for name, finding in findings.items()} == {
        "PyTorch": State.fine,
        "ONNX Runtime": State.fine,
    }


def test_without_pytorch_the_export_alone_is_examined(monkeypatch):
    monkeypatch.setattr(doctor, "installed", lambda name: name != "torch")
    findings = by_name(doctor.starter())
    assert [finding.state for finding in findings.values()] == [State.note, State.fine]


def test_another_answer_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr(predictor, "sigmoid", lambda logits: 1 / (1 + np.exp(-1.1 * logits)))
    findings = by_name(doctor.starter())
    assert ill(findings) == ["PyTorch", "ONNX Runtime"]
    assert "expected 0." in findings["PyTorch"].text
    known = json.loads(doctor.EXPECTED.read_text())
    answered = dict(known["probabilities"])
    monkeypatch.setattr(doctor, "answer", lambda *_: answered)
    known["probabilities"].pop("Mass")
    (tmp_path / "fewer.json").write_text(json.dumps(known))
    assert "has other classes" in next(doctor.starter(tmp_path / "fewer.json")).text


def test_damaged_and_missing_starter_weights_are_named(tmp_path, monkeypatch):
    content = bytearray(predictor.STARTER.read_bytes())
    content[len(content) // 2] ^= 1
    monkeypatch.setattr(predictor, "STARTER", tmp_path / "starter.pth")
    for damaged in (False, True):
        if damaged:
            (tmp_path / "starter.pth").write_bytes(content)
        [finding] = guarded("Starter weights", doctor.starter)
        assert finding.state is State.wrong
        assert "starter.pth" in finding.advice


def test_weights_that_are_given_are_opened_and_answer(exported):
    [finding] = doctor.given(exported)
    assert finding.state is State.fine
    assert "15 classes" in finding.text
    with pytest.raises(CheckpointError):
        list(doctor.given(exported.with_name("none.pth")))


# The machine.


@pytest.fixture
def looked(tmp_path):
    """What the doctor says of lists of our own."""

    def look(small: str, whole: str = "", pins: str = "") -> list[tuple[State, str]]:
        for name, text in zip(doctor.LISTS, (small, whole, pins), strict=True):
            (tmp_path / f"{name}.txt").write_text(text)
        return [
            (finding.state, finding.text + finding.advice)
            for finding in list(doctor.packages(tmp_path))[1:]
        ]

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
            f"{doctor.TESTS} (all)\nno-such-package",
            State.note,
            "tests alone, missing: no",
        ),
        (doctor.OPTIONAL, "", State.note, "JPEG-LS in DICOM is refused"),
    ],
)
def test_a_missing_package_is_named_with_what_needs_it(
    looked, monkeypatch, small, whole, state, said
):
    monkeypatch.setattr(doctor, "not_installed", str.split)
    notes = [(how, told) for how, told in looked(small, whole) if how is not State.fine]
    assert [how for how, _ in notes] == [state]
    assert re.search(said, notes[0][1])


def test_a_build_of_a_pinned_version_is_that_version(looked, monkeypatch):
    monkeypatch.setattr(doctor, "version", lambda _: "2.15.0+cpu")
    [(state, _)] = looked("torch\n", pins="torch==2.15.0\n")
    assert state is State.fine


def test_a_gpu_that_torch_does_not_find_is_named(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(doctor.shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    assert [finding.state for finding in doctor.gpu()] == [State.wrong]
    monkeypatch.setattr(doctor.shutil, "which", lambda _: None)
    assert [finding.state for finding in doctor.gpu()] == [State.fine]


@pytest.fixture(scope="module")
def starter_network():
    return load_weights(predictor.STARTER)


@pytest.mark.parametrize("kind", ["cuda", "mps"])
@pytest.mark.parametrize("fault", ["", "an answer differs by 1"])
def test_a_gpu_is_compared_with_the_cpu(monkeypatch, starter_network, kind, fault):
    monkeypatch.setattr("chexnet.model.load_weights", {predictor.STARTER: starter_network}.get)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: kind == "cuda")
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda: "a GPU")
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 1)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: kind == "mps")
    monkeypatch.setattr(compute, "compare_devices", lambda *_: fault)
    [finding] = doctor.gpu()
    assert (fault or "answers as the CPU does") in finding.text
    well = State.note if kind == "mps" else State.fine  # nobody has tried an Apple one
    assert finding.state is (State.wrong if fault else well)


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
    monkeypatch.setattr(doctor.sys, "version_info", (*python, "final", 0))
    finding = next(doctor.packages())
    assert (finding.state is State.wrong) is bool(said)


def test_make_asks_first_and_needs_no_package_for_it():
    """The file alone, without site-packages, as on an Intel Mac."""
    place = "scripts/supported.py"
    assert f"$(PYTHON) {place}" in (doctor.ROOT / "Makefile").read_text(encoding="utf-8")
    code = (
        "import platform, runpy; platform.system = lambda: 'Darwin';"
        f"platform.machine = lambda: 'x86_64'; runpy.run_path({place!r}, run_name='__main__')"
    )
    for run, expected in (([place], 0), (["-c", code], 1)):
        command = [sys.executable, "-I", "-S", *run]
        done = subprocess.run(command, cwd=doctor.ROOT, capture_output=True, text=True)
        assert done.returncode == expected, done.stderr
        assert done.stderr.count("\n") == expected
        assert done.stdout == ""


def test_a_full_disk_is_named(monkeypatch, tmp_path):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage(10**12, 10**12, 10**9))
    assert ill(by_name(doctor.folders([tmp_path]))) == ["Disk"]


def test_a_cache_that_cannot_be_written_is_named(monkeypatch, tmp_path):
    assert ill(by_name(doctor.folders([]))) == []
    (tmp_path / "file").touch()
    monkeypatch.setenv(CACHE_VARIABLE, str(tmp_path / "file"))
    [finding] = doctor.folders([])
    assert finding.state is State.wrong
    assert CACHE_VARIABLE in finding.advice


# The data.


def looked_at(root: Path, packs: Path) -> dict[str, Finding]:
    return by_name(guarded("Data", lambda: doctor.data_folder(root, packs)))


def test_a_whole_folder_is_fine_and_what_it_lacks_is_said(make_folder, tmp_path):
    rows = rows_of(4, 2)
    names = [row[0] for row in rows]
    root = make_folder(rows, lists={"train_val": names[:4], "test": names[4:]})
    findings = looked_at(root, tmp_path)
    assert ill(findings) == []
    assert "8 images, 4 patients; 8 of the images are here" in findings["Table"].text
    assert "official" in findings["Split"].text
    assert (findings["Packs"].state, findings["Boxes"].state) == (State.note, State.note)
    assert "scripts.prepare" in findings["Packs"].advice
    box = f"Image Index,Finding Label,Bbox [x,y,w,h]\n{names[0]},Mass,10,10,50,50\n"
    (root / "BBox_List_2017.csv").write_text(box)
    assert looked_at(root, tmp_path)["Boxes"].text == "1"
    (root / ".images_004.tar.gz.part").touch()
    assert "images_004 is fetched in part" in looked_at(root, tmp_path)["Download"].text


def test_each_fault_of_a_folder_is_named(make_folder, tmp_path):
    rows = rows_of(4, 2)
    names = [row[0] for row in rows]
    root = make_folder(rows, lists={"train_val": names[:5], "test": names[4:]})
    assert "stand on both lists" in looked_at(root, tmp_path)["Data"].advice
    (root / "test_list.txt").write_text("\n".join(names[5:]))  # a patient's other image
    assert "1 patients in training and in another" in looked_at(root, tmp_path)["Data"].advice
    (root / "test_list.txt").unlink()
    assert "no test_list.txt" in looked_at(root, tmp_path)["Data"].advice
    assert ill(looked_at(root / "nowhere", tmp_path)) == ["Data"]


def test_packs_are_compared_with_the_images(make_folder, tmp_path):
    root, packs = make_folder(rows_of(3, 1)), tmp_path / "packs"
    place = pack.pack_folder(packs, root, Preprocessing())
    paths = read_folder(root).paths
    pack.prepare(paths, place, Preprocessing(), workers=1)
    finding = looked_at(root, packs)["Packs"]
    assert (finding.state, finding.text) == (State.fine, "3 images")
    path = next(iter(paths.values()))
    path.write_bytes(path.read_bytes() + b"x")
    assert "have changed since" in looked_at(root, packs)["Data"].advice


# All together.


def test_a_check_that_fails_is_a_finding():
    def fails():
        yield Finding("one", "fine")
        raise KeyError("what nobody thought of")

    findings = list(guarded("two", fails))
    assert [finding.state for finding in findings] == [State.fine, State.wrong]
    assert "KeyError" in findings[1].text


def test_the_exit_code_says_whether_anything_is_wrong(here, monkeypatch):
    for name in ("packages", "gpu", "folders"):
        monkeypatch.setattr(doctor, name, lambda *_: iter(()))
    monkeypatch.setattr(doctor, "starter", lambda: iter([Finding("Network", "well")]))
    done = here("doctor")
    assert done.returncode == 0
    assert done.stdout.splitlines() == ["fine   Network: well", "", "Nothing is wrong."]
    monkeypatch.setattr(doctor, "starter", lambda: iter([wrong("Network", "ill", "Rest.")]))
    done = here("doctor")
    assert done.returncode == 1
    assert done.stdout.splitlines()[:2] == ["WRONG  Network: ill", "       Do: Rest."]
    assert done.stdout.endswith("1 of 1 are wrong.\n")
