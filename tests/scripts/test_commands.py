"""The commands as a user runs them: exit code and text."""

import errno
import json
import platform
import shlex
import shutil
import signal
import subprocess
import sys
from pathlib import Path, PurePosixPath, PureWindowsPath
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chexnet.checkpoint import load_sealed, save_sealed
from chexnet.data.nih import read_folder
from scripts import cli
from scripts.doctor import data_folder
from scripts.train import console
from tests import jobs
from tests.conftest import ROOT, needs_signals, rows_of
from tests.processes import start, start_ranks, wait

SCRIPTS = (
    "compare",
    "doctor",
    "download",
    "eval",
    "export",
    "export_page",
    "leakage",
    "localize",
    "phantom",
    "predict",
    "prepare",
    "readers",
    "space",
    "train",
    "weights",
)
DEV = ("bench", "gate", "screenshots", "starter")
COMMANDS = (*(f"scripts.{name}" for name in SCRIPTS), *(f"dev.{name}" for name in DEV))


pytestmark = pytest.mark.usefixtures("tiny_network")


def test_help_is_quick_to_have_because_torch_is_not_imported():
    """One interpreter for all: what one command imports, the next ones do not take away."""
    code = f"""
import runpy, sys
sys.argv = ["x", "--help"]
for name in {COMMANDS}:
    print("==", name, flush=True)
    try: runpy.run_module(name, run_name="__main__")
    except SystemExit as end: print("code", end.code, "torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    told = dict(part.split("\n", 1) for part in done.stdout.split("== ")[1:])
    assert set(told) == set(COMMANDS), done.stderr
    for name, text in told.items():
        assert "Usage" in text, name
        assert text.endswith("code 0 False\n"), name


def test_every_command_stands_in_this_test():
    modules = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__main__")
        for room in ("scripts", "dev")
        for path in [*(ROOT / room).glob("[!_]*.py"), *(ROOT / room).glob("*/__main__.py")]
    }
    # `supported` is make's own question, of any Python.
    assert modules - {"scripts.cli", "scripts.supported"} == set(COMMANDS)


def test_no_helper_of_the_scripts_hides_behind_an_underscore():
    assert [p.name for p in (ROOT / "scripts").rglob("_*.py") if not p.name.startswith("__")] == []


def test_the_way_from_phantoms_to_figures(request, tmp_path, refused, here):
    """phantom, prepare, train, eval, and eval of the predictions that eval wrote."""
    data, out, packs = tmp_path / "data", tmp_path / "run", tmp_path / "packs"
    common = ("--data", data, "--packs", packs)
    command = [sys.executable, "-m", "scripts.phantom", str(data), "--patients", "16"]
    command += ["--size", "96", "--seed", "4", "--workers", "1"]
    drawn = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert drawn.returncode == 0, drawn.stderr
    assert "scripts.train --data" in drawn.stdout
    packed = here("prepare", *common, "--size", 64, "--workers", 1)
    assert packed.returncode == 0, packed.stderr
    assert "are packed at 64x64" in packed.stdout

    options = (*common, "--size", 64, "--out", out, "--init", "none", "--epochs", 1)
    options = (*options, "--batch-size", 8, "--lr", "3e-4")
    trained = here("train", *options)
    assert trained.returncode == 0, trained.stderr
    assert "Validation AUROC per class:" in trained.stdout
    assert "\nMean AUROC: " in trained.stdout
    assert "\nVal Loss  : 0." in trained.stdout
    assert "Labels" in trained.stdout or "labels: unknown" in trained.stdout
    assert {path.name for path in out.iterdir()} >= {
        "best_chexnet_params.pth",
        "last.pth",
        "steps.csv",
        "epochs.csv",
        "curves.png",
    }
    weights = out / "best_chexnet_params.pth"
    then = f"scripts.eval --data {data} --weights {weights} --out {out} --packs {packs}\n"
    assert trained.stdout.endswith(f"Next: python -m {then}")
    again = here("train", *options)
    assert again.returncode == 0
    assert "is finished (1 epochs)" in again.stdout
    assert "--restart" in again.stdout
    assert "batch_size: found 4, expected 8" in refused("train", *options, "--batch-size", 4)

    scored = here("eval", *common, "--weights", weights, "--out", out, "--device", "cpu")
    assert scored.returncode == 0, scored.stderr
    assert "Mean of the" in scored.stdout
    metrics = json.loads((out / "eval-test" / "metrics.json").read_text())
    rows = pd.read_csv(out / "eval-test" / "predictions.csv")
    assert metrics["images"] == len(rows)
    for name in ("auroc.png", "roc.png"):
        with Image.open(out / "eval-test" / name) as picture:
            assert picture.size[0] > 300

    request.getfixturevalue("undrawn")
    again = here(
        *("eval", *common, "--predictions", out / "eval-test" / "predictions.csv"),
        *("--out", tmp_path, "--replicates", 20),
    )
    assert again.returncode == 0, again.stderr
    same = json.loads((tmp_path / "eval-test" / "metrics.json").read_text())
    for key in ("images", "patients", "classes", "mean_auroc", "loss"):
        assert same[key] == metrics[key]


@pytest.mark.usefixtures("undrawn")
def test_a_leaky_run_is_stamped_wherever_it_is_shown(tiny_options, tmp_path, refused, here):
    out = tmp_path / "run"
    options = ("--data", tiny_options["data"], "--size", 64, "--out", out, "--init", "none")
    options = (*options, "--epochs", 1, "--batch-size", 8, "--split", "image")
    assert "--allow-leak" in refused("train", *options)
    trained = here("train", *options, "--allow-leak")
    assert trained.returncode == 0, trained.stderr
    assert trained.stdout.count("LEAKY") >= 2
    assert (out / "epochs.csv").read_text().splitlines()[1].count("LEAKY") == 1
    weights = ("--weights", out / "best_chexnet_params.pth", "--out", out)
    assert "stamped LEAKY" in refused("eval", "--data", tiny_options["data"], *weights)
    allowed = ("--allow-leak", "--replicates", 20)
    scored = here("eval", "--data", tiny_options["data"], *weights, *allowed)
    assert scored.returncode == 0, scored.stderr
    assert scored.stdout.count("LEAKY") >= 2
    assert (out / "eval-test" / "predictions.LEAKY.csv").exists()
    assert json.loads((out / "eval-test" / "metrics.json").read_text())["stamp"] == "LEAKY"


def test_printed_commands_can_be_pasted_and_repeat_what_was_given(phantoms, tmp_path, shown):
    data, packs = tmp_path / "it's $mine (2)", tmp_path / "my packs"
    shutil.copytree(phantoms, data)
    options = ("--data", data, "--packs", packs, "--size", 64)
    line = shown("prepare", *options, "--workers", 1).splitlines()[-1].removeprefix("Next: ")
    assert shlex.split(line) == ["python", "-m", "scripts.train", *map(str, options)]
    (data / ".images_003.tar.gz.part").touch()
    advice = [
        finding.advice or finding.text for finding in data_folder(data, tmp_path / "none yet")
    ]
    wanted = ["scripts.download", str(data)], ["scripts.prepare", "--data", str(data), "--packs"]
    commands = [shlex.split(text) for text in advice if text.startswith("python -m")]
    assert [words[2:][: len(some)] for words, some in zip(commands, wanted, strict=True)] == [
        *wanted
    ]


def test_commands_are_quoted_as_each_shell_does_and_leave_out_what_is_usual(monkeypatch):
    given = {"packs": Path("packs"), "format": "csv", "allow_leak": True, "mapping": None}
    place = PurePosixPath("a b/x.csv")
    text = "python -m scripts.eval --table 'a b/x.csv' --format csv --allow-leak"
    assert cli.command("scripts.eval", table=place, **given) == text
    monkeypatch.setattr(cli, "os", SimpleNamespace(name="nt"))
    words = (PureWindowsPath("C:\\my data"), PureWindowsPath("D:\\x(1)&y"), "E:\\plain-1")
    quoted = '"C:\\my data" "D:\\x(1)&y" E:\\plain-1'
    assert cli.command("demo", *words) == f"python -m demo {quoted}"


# --- bad input -------------------------------------------------------------------------------


def test_a_folder_without_images(make_folder, refused):
    root = make_folder(rows_of(3, 2), images=[])
    for name in ("prepare", "train"):
        assert "Pass --data the folder that holds the pictures." in refused(name, "--data", root)


@pytest.mark.parametrize("below", ["file", "file/below", "name" * 70])
def test_a_folder_that_cannot_be_made_is_one_line(make_folder, tmp_path, refused, below):
    (tmp_path / "file").touch()
    root, target = make_folder(rows_of(3, 2)), tmp_path / below
    told = [
        refused("phantom", target, "--patients", 1, "--size", 64, "--workers", 1),
        refused("prepare", "--data", root, "--packs", target, "--size", 64, "--workers", 1),
        refused("train", "--data", root, "--init", "none", "--size", 64, "--out", target),
    ]
    assert all(text.count("\n") <= 1 or "images of" in text for text in told)
    assert all(str(target) in text for text in told)


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (IsADirectoryError(errno.EISDIR, "Is a directory", "a/log.csv"), "a/log.csv: Is a dir"),
        (OSError(errno.ENOSPC, "No space left on device"), "The disk: No space left on device"),
    ],
)
def test_what_the_system_says_of_a_path_is_one_line(monkeypatch, capsys, error, text):
    monkeypatch.setattr(cli, "break_as_interrupt", lambda: None)

    def fail() -> None:
        raise error

    with pytest.raises(SystemExit, match="1"):
        cli.run(fail)
    assert capsys.readouterr().err.startswith(f"Error: {text}")
    with pytest.raises(OSError, match="of no path"):
        cli.run(lambda: (_ for _ in ()).throw(OSError("of no path")))


def test_a_table_without_a_needed_column(make_folder, refused):
    root = make_folder(rows_of(3, 2))
    table = root / "Data_Entry_2017.csv"
    table.write_text(table.read_text().replace("Patient ID", "Patient"))
    assert "no column Patient ID" in refused("train", "--data", root)


def test_unreadable_pictures_are_all_named_then_skipped_when_asked(
    make_folder, tmp_path, refused, here
):
    root = make_folder(rows_of(20, 2))
    paths = read_folder(root).paths
    bad = sorted(paths)[4:7]
    for name in bad:
        paths[name].write_bytes(b"")
    options = ("--data", root, "--packs", tmp_path / "packs", "--size", 64)
    told = refused("prepare", *options, "--workers", 1)
    assert all(name in told for name in bad)
    assert "--skip-unreadable" in told
    skipped = here("prepare", *options, "--workers", 1, "--skip-unreadable")
    assert skipped.returncode == 0, skipped.stderr
    assert "3 unreadable ones are left out" in skipped.stdout
    run_options = (*options, "--init", "none", "--epochs", 1, "--out", tmp_path / "run")
    trained = here("train", *run_options, "--batch-size", 8)
    assert trained.returncode == 0, trained.stderr
    assert "3 of them left out as unreadable" in trained.stdout
    for path in paths.values():
        path.write_bytes(b"")
    for _ in range(2):
        told = refused("prepare", *options, "--workers", 1, "--skip-unreadable")
        assert "40 of 40 images cannot be read" in told
        assert "nothing is packed" in told


@pytest.mark.usefixtures("real_network")
def test_no_imagenet_weights_to_be_had_is_told_not_replaced(
    phantoms, tmp_path, monkeypatch, refused
):
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    monkeypatch.setenv("https_proxy", "http://127.0.0.1:9")  # nobody listens there
    told = refused("train", "--data", phantoms, "--size", 64, "--out", tmp_path / "run")
    assert "--init none" in told
    assert "--init FILE" in told
    assert not (tmp_path / "run" / "last.pth").exists()


def test_weights_that_are_missing_cut_short_foreign_or_of_other_classes(
    phantoms, trained, tmp_path, refused
):
    whole = (trained / "best_chexnet_params.pth").read_bytes()
    path = tmp_path / "w.pth"
    options = ("--data", phantoms, "--weights", path, "--out", tmp_path)
    assert "Found no file" in refused("eval", *options)
    path.write_bytes(whole[: len(whole) // 2])
    assert "cannot be read: it is cut short" in refused("eval", *options)
    path.write_text("these are no weights")
    assert "found no zip archive of torch.save" in refused("eval", *options)
    content = load_sealed(trained / "best_chexnet_params.pth")
    content["classes"] = {f"Cat {number}": number for number in content["classes"].values()}
    save_sealed(path, content)
    assert "other classes" in refused("eval", *options)


@pytest.mark.parametrize("options", [(), ("--weights", "a", "--predictions", "b")])
def test_options_that_contradict_each_other_are_usage_errors(phantoms, here, options):
    done = here("eval", "--data", phantoms, *options)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr


@pytest.fixture
def on_two_ranks(tmp_path):
    """Run a command in two processes, as torchrun starts them; gives their stdout and stderr."""

    def call(name: str, *arguments: object) -> tuple[str, str]:
        given = [f"scripts.{name}", *map(str, arguments)]
        codes = wait(start_ranks(jobs.run_command, given, tmp_path))
        printed, complained = (
            "".join((tmp_path / f"{stream}{rank}").read_text() for rank in (0, 1))
            for stream in ("stdout", "stderr")
        )
        assert codes == [0, 0], complained
        return printed, complained

    return call


def test_two_processes_share_a_folder_and_a_bad_picture_ends_none(
    phantoms, trained, tmp_path, here, on_two_ranks
):
    """Also without --out: torchrun would end the other process for an exit code."""
    pictures = tmp_path / "pictures"
    shutil.copytree(phantoms / "images_001" / "images", pictures)
    good = sorted(map(str, pictures.iterdir()))
    options = ("--weights", trained / "best_chexnet_params.pth", "--engine", "torch")
    alone = map(json.loads, here("predict", pictures, *options, "--json").stdout.splitlines())
    (pictures / "00000000_bad.png").write_bytes(b"no picture")
    printed, complained = on_two_ranks("predict", pictures, *options, "--json")
    assert "1 of " in complained
    shared = {answer["file"]: answer for answer in map(json.loads, printed.splitlines())}
    assert sorted(shared) == good
    for answer in alone:
        assert shared[answer["file"]]["probabilities"] == pytest.approx(answer["probabilities"])
    out = tmp_path / "out"
    on_two_ranks("predict", pictures, *options, "--out", out)
    assert pd.read_csv(out / "part-00000.csv")["file"].tolist() == good
    assert pd.read_csv(out / "errors.csv")["file"].tolist() == [str(pictures / "00000000_bad.png")]
    again = here("predict", pictures, *options, "--out", out)
    assert again.returncode == 1, "what torchrun may not say without ending the others"
    assert f"{len(good) + 1} of {len(good) + 1} pictures were done before" in again.stdout


def test_torchrun_trains_and_two_processes_score_like_one(
    tiny_options, tmp_path, here, on_two_ranks
):
    data, out, told = tiny_options["data"], tmp_path / "run", tmp_path / "told"
    command = ["scripts.train", "--data", data, "--size", 64, "--out", out, "--init", "none"]
    command += ["--epochs", 1, "--batch-size", 8, "--workers", 0]
    launched = start(jobs.torchrun, list(map(str, command)), ROOT, told)
    assert wait([launched], 300) == [0], told.read_text()
    trained = told.read_text()
    assert trained.count("Validation AUROC per class:") == 1
    assert trained.count("Best weights:") == 1
    options = ("--data", data, "--weights", out / "best_chexnet_params.pth", "--out", out)
    options = (*options, "--workers", 0, "--replicates", 20)
    on_two_ranks("eval", *options)
    shared_metrics = json.loads((out / "eval-test" / "metrics.json").read_text())
    probabilities = pd.read_csv(out / "eval-test" / "predictions.csv").iloc[:, 1:].to_numpy()
    shutil.rmtree(out / "eval-test")
    assert here("eval", *options).returncode == 0
    metrics = json.loads((out / "eval-test" / "metrics.json").read_text())
    alone = pd.read_csv(out / "eval-test" / "predictions.csv").iloc[:, 1:].to_numpy()
    assert np.abs(probabilities - alone).max() < 1e-6
    assert shared_metrics["images"] == metrics["images"]


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the setting is glibc's")
def test_training_keeps_the_memory_of_a_step_for_the_next():
    code = r"""
import re
import numpy as np
from scripts.train.console import keep_memory

def resident():
    return int(re.search(r"VmRSS:\s+(\d+)", open("/proc/self/status").read())[1]) / 1000

def kept():
    before = resident()
    array = np.ones(25_000_000)  # 200 MB
    del array
    return resident() - before

print(kept())
keep_memory()
print(kept())
"""
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    without, with_it = map(float, done.stdout.split())
    assert without <= 150 < with_it


@needs_signals
def test_training_hears_windows_ctrl_break_as_it_hears_ctrl_c(monkeypatch):
    """SIGUSR1 stands in for it."""
    monkeypatch.setattr(console, "INTERRUPTS", (signal.SIGINT, signal.SIGUSR1))
    before = {n: signal.getsignal(n) for n in (signal.SIGINT, signal.SIGUSR1, signal.SIGTERM)}
    try:
        signals = console.Signals()
        assert not signals.received()
        signal.raise_signal(signal.SIGUSR1)
        assert signals.received()
        assert signals.exit_code == 128 + signal.SIGUSR1
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
