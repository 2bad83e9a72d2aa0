import builtins
import os
import pickle
import random
import signal
import struct
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from chexnet.checkpoint import load_plain, load_sealed, previous_of, save_sealed
from chexnet.errors import CheckpointError, ChexnetError
from tests import jobs
from tests.processes import start, wait, wait_for


def content() -> dict:
    torch.manual_seed(0)
    return {
        "name": "run",
        "numbers": [1, 2.5, None, True],
        "weights": {"a": torch.randn(40, 30), "b": torch.arange(7), "h": torch.randn(5).half()},
    }


def same(left: object, right: object) -> bool:
    if isinstance(left, torch.Tensor):
        return left.dtype == right.dtype and torch.equal(left, right)
    if isinstance(left, dict):
        return left.keys() == right.keys() and all(same(left[k], right[k]) for k in left)
    return left == right


def test_what_is_saved_is_loaded(tmp_path):
    save_sealed(tmp_path / "a.pth", content())
    assert same(load_sealed(tmp_path / "a.pth"), content())


@pytest.mark.parametrize("value", [Path("a"), np.float64(1.0), {1.5: "key"}, object()])
def test_what_could_not_be_loaded_again_is_refused_at_saving(tmp_path, value):
    with pytest.raises(TypeError):
        save_sealed(tmp_path / "a.pth", {"value": value})
    assert not list(tmp_path.iterdir())


def test_a_missing_file_is_refused_and_names_the_command(tmp_path):
    with pytest.raises(CheckpointError, match=r"Found no file.*scripts\.train"):
        load_sealed(tmp_path / "best.pth")


def test_a_damaged_last_checkpoint_names_the_one_before_it(tmp_path):
    last = tmp_path / "last.pth"
    save_sealed(last, {"n": 1}, keep_previous=True)
    save_sealed(last, {"n": 2}, keep_previous=True)
    last.write_bytes(last.read_bytes()[:200])
    with pytest.raises(CheckpointError, match=r"previous\.pth"):
        load_sealed(last)
    assert load_sealed(previous_of(last))["n"] == 1


def test_a_pickled_model_is_refused_and_its_code_does_not_run(tmp_path):
    torch.save(torch.nn.Linear(2, 2), tmp_path / "model.pth")
    with pytest.raises(CheckpointError, match="code or foreign objects"):
        load_sealed(tmp_path / "model.pth")


def test_a_plain_state_dict_is_no_sealed_file(tmp_path):
    torch.save({"weight": torch.zeros(2)}, tmp_path / "plain.pth")
    with pytest.raises(CheckpointError, match="no seal"):
        load_sealed(tmp_path / "plain.pth")


# --- hostile files ---------------------------------------------------------------------------


class _Runs:
    """Unpickles into a call."""

    def __init__(self, function, *arguments) -> None:
        self.call = function, arguments

    def __reduce__(self):
        return self.call


def _zip(path: Path, data: bytes, *, compression: int = zipfile.ZIP_STORED, extra=()) -> None:
    with zipfile.ZipFile(path, "w", compression) as archive:
        archive.writestr("archive/data.pkl", data)
        archive.writestr("archive/version", "3\n")
        archive.writestr("archive/byteorder", "little")
        for name, payload in extra:
            archive.writestr(name, payload)


def hostile_files(folder: Path, mark: Path) -> list[Path]:
    """Twelve files that try to run code, or to use up time or memory."""
    touch = f"open({str(mark)!r}, 'w').close()"
    made = []

    def new(name: str) -> Path:
        made.append(folder / name)
        return made[-1]

    torch.save(_Runs(os.system, f"touch {mark}"), new("system.pth"))
    torch.save({"state_dict": _Runs(builtins.exec, touch)}, new("exec.pth"))
    torch.save(
        {"a": _Runs(builtins.eval, f"__import__('os').system('touch {mark}')")}, new("e.pth")
    )
    torch.save(_Runs(subprocess.Popen, ["touch", str(mark)]), new("popen.pth"))
    torch.save(_Runs(os.mkdir, str(mark)), new("mkdir.pth"))
    new("bare.pkl").write_bytes(pickle.dumps(_Runs(os.system, f"touch {mark}")))
    torch.save(
        _Runs(os.system, f"touch {mark}"), new("old.pth"), _use_new_zipfile_serialization=False
    )
    _zip(new("bomb.pth"), b"\0" * 30_000_000, compression=zipfile.ZIP_DEFLATED)
    # A list in a list in a list ... that unfolds to 10**30 values.
    laugh = [0] * 10
    for _ in range(30):
        laugh = [laugh] * 10
    torch.save({"format": "x", "sha256": "0", "a": laugh}, new("laugh.pth"))
    # One stored number that claims to be a terabyte.
    wide = torch.zeros(1).expand(250_000_000_000)
    torch.save({"format": "x", "sha256": "0", "a": wide}, new("wide.pth"))
    _zip(new("deep.pth"), b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b".")
    # A pickle that asks for a string of 2 GB which is not there.
    _zip(new("long.pth"), b"\x80\x04\x8d" + struct.pack("<Q", 2 << 30) + b"a.")
    return made


def test_twelve_hostile_files_are_refused_in_two_seconds_and_run_nothing(tmp_path):
    mark = tmp_path / "ran"
    files = hostile_files(tmp_path, mark)
    assert len(files) == 12
    for path in files:
        told = tmp_path / "told"
        told.unlink(missing_ok=True)
        assert wait([start(jobs.load_hostile, path, told)], 60) == [0], path.name
        seconds, outcome = told.read_text().split("\n", 1)
        assert outcome.startswith("refused"), (path.name, outcome)
        # Measured in the process itself. Ten times the promise: a shared machine can be slow.
        assert float(seconds) < 20, (path.name, seconds)
        assert not mark.exists(), path.name


# --- damage ----------------------------------------------------------------------------------


def damaged(data: bytes, chance: random.Random) -> bytes:
    """One fault: a flipped bit, a cut, a lost or doubled stretch, or a stretch of zeros."""
    kind = chance.randrange(5)
    at = chance.randrange(len(data))
    length = chance.randrange(1, 400)
    if kind == 0:
        return data[:at] + bytes([data[at] ^ 1 << chance.randrange(8)]) + data[at + 1 :]
    if kind == 1:
        return data[:at]
    if kind == 2:
        return data[:at] + data[at + length :]
    if kind == 3:
        return data[: at + length] + data[at:]
    return data[:at] + b"\0" * min(length, len(data) - at) + data[at + length :]


def check_damage(folder: Path, faults: int) -> tuple[int, int]:
    path = folder / "a.pth"
    save_sealed(path, content())
    whole, expected = path.read_bytes(), content()
    chance = random.Random(5)
    refused = same_numbers = 0
    for _ in range(faults):
        path.write_bytes(damaged(whole, chance))
        try:
            loaded = load_sealed(path)
        except CheckpointError:
            refused += 1
        else:
            assert same(loaded, expected), "a damaged file gave other numbers"
            same_numbers += 1
    return refused, same_numbers


def test_a_damaged_file_is_refused_or_gives_the_same_numbers(tmp_path):
    refused, same_numbers = check_damage(tmp_path, 200)
    assert refused > 100
    assert refused + same_numbers == 200


@pytest.mark.slow
def test_a_thousand_damaged_files_never_give_other_numbers(tmp_path):
    print(check_damage(tmp_path, 1000))


# --- crashes ---------------------------------------------------------------------------------


def check_kills(folder: Path, kills: int) -> None:
    chance = random.Random(1)
    last, newest = folder / "last.pth", 0
    for _ in range(kills):
        last.unlink(missing_ok=True)
        previous_of(last).unlink(missing_ok=True)
        process = start(jobs.save_for_ever, folder)
        wait_for(previous_of(last), [process])
        time.sleep(chance.uniform(0, 0.15))
        process.kill()
        process.join()
        for path in (last, previous_of(last)):
            loaded = load_sealed(path)
            assert (loaded["values"] == loaded["number"]).all()
            newest = max(newest, loaded["number"])
    assert newest > 2


def test_a_kill_while_saving_never_costs_the_checkpoint(tmp_path):
    check_kills(tmp_path, 12)


@pytest.mark.slow
def test_two_hundred_kills_while_saving_cost_no_checkpoint(tmp_path):
    check_kills(tmp_path, 200)


@pytest.mark.skipif(sys.platform != "linux", reason="limits a file's size as Linux does")
def test_a_full_disk_while_saving_leaves_the_old_checkpoint(tmp_path):
    import resource

    last = tmp_path / "last.pth"
    save_sealed(last, {"n": 1})
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(ChexnetError, match=r"Could not write .*last\.pth.*untouched"):
            save_sealed(last, {"n": 2, "values": torch.zeros(1_000_000)})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
        signal.signal(signal.SIGXFSZ, handler)
    assert load_sealed(last)["n"] == 1
    assert os.listdir(tmp_path) == ["last.pth"]


def test_a_folder_that_cannot_be_written_is_told(tmp_path):
    place = tmp_path / "file"
    place.write_text("no folder")
    with pytest.raises(ChexnetError, match="Pass a writable folder"):
        save_sealed(place / "last.pth", {"n": 1})


def test_file_systems_without_hard_links_keep_the_previous_one_too(tmp_path, monkeypatch):
    def no_links(*arguments: object) -> None:
        raise PermissionError(1, "no links here")

    monkeypatch.setattr(os, "link", no_links)
    last = tmp_path / "last.pth"
    save_sealed(last, {"n": 1}, keep_previous=True)
    save_sealed(last, {"n": 2}, keep_previous=True)
    assert (load_sealed(last)["n"], load_sealed(previous_of(last))["n"]) == (2, 1)


def test_a_file_of_the_older_format_is_read_only_where_it_is_asked_for(tmp_path):
    path = tmp_path / "old.pth"
    torch.save({"w": torch.ones(3)}, path, _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match="no zip archive"):
        load_plain(path)
    assert torch.equal(load_plain(path, legacy=True)["w"], torch.ones(3))


class Gpu(TorchDispatchMode):
    """Lets a tensor of the `meta` device, which has no numbers, be copied to the host as zeros."""

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        if function is torch.ops.aten._to_copy.default and args[0].device.type == "meta":
            return torch.zeros(args[0].shape, dtype=args[0].dtype)
        return function(*args, **kwargs)


def test_a_file_does_not_name_the_gpu_of_its_writer(tmp_path):
    path = tmp_path / "w.pth"
    with Gpu():
        tensors = [torch.empty(3, device="meta"), torch.ones(2)]
        save_sealed(path, {"state_dict": {"w": tensors[0]}, "more": [tuple(tensors)]})
    with zipfile.ZipFile(path) as archive:
        [pickled] = [archive.read(n) for n in archive.namelist() if n.endswith("data.pkl")]
    assert b"meta" not in pickled
    assert b"cpu" in pickled
    assert torch.equal(load_sealed(path)["more"][0][1], torch.ones(2))
