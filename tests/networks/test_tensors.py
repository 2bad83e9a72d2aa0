"""The reader of foreign files: no code, no class, no more memory or time than a file is worth."""

import argparse
import collections
import functools
import operator
import os
import pickle
import random
import struct
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from chexnet import torch_files
from chexnet.checkpoint import load_plain
from chexnet.errors import CheckpointError
from chexnet.networks.tensors import read_tensors
from chexnet.pickles import StandIn
from tests.conftest import ROOT, needs_resource
from tests.data.copies import zip_of
from tests.test_checkpoint import _Runs, _zip, damaged, hostile_files

PROTO = b"\x80\x02"


def text(value: str) -> bytes:
    """A string's operation."""
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def stream(first: bytes) -> bytes:
    """The head of the container of before torch 1.6, and one pickle behind it."""
    heads = (119547037146038801333356, 1001, {"little_endian": True, "type_sizes": {}})
    return b"".join(pickle.dumps(head, 2) for head in heads) + first


def tensor_pickle(count: int, offset: int, size: tuple, stride: tuple, kind="Float") -> bytes:
    """A tensor whose description is given; the storage is "0"."""

    def numbers(values: tuple) -> bytes:
        return b"(" + b"".join(b"\x8a\x08" + struct.pack("<q", n) for n in values) + b"t"

    storage = b"(" + text("storage") + b"ctorch\n" + f"{kind}Storage\n".encode()
    storage += text("0") + text("cpu") + b"\x8a\x08" + struct.pack("<q", count) + b"tQ"
    parts = storage + b"\x8a\x08" + struct.pack("<q", offset) + numbers(size) + numbers(stride)
    call = b"ctorch._utils\n_rebuild_tensor_v2\n(" + parts + b"\x89)tR"
    return PROTO + b"}" + text("w") + call + b"s."


def code_files(folder: Path, mark: Path) -> list[Path]:
    """Every way in which a pickle can ask for a call, in both containers."""
    touch, shell = f"open({str(mark)!r}, 'w').close()", f"touch {mark}"
    system = b"cposix\nsystem\n"
    argument = text(shell)
    by_hand = {
        "reduce": system + argument + b"\x85R.",
        "stack_global": text("posix") + text("system") + b"\x93" + argument + b"\x85R.",
        "inst": b"(" + argument + b"iposix\nsystem\n.",
        "obj": b"(" + system + argument + b"o.",
        "newobj": system + argument + b"\x85\x81.",
        "newobj_ex": system + argument + b"\x85}\x92.",
        "build": b"cbuiltins\nexec\n)R}" + text("__setstate__") + system + b"s" + b"b.",
        "ext1": b"\x82\x01" + argument + b"\x85R.",
        "ext4": b"\x84\x01\0\0\0" + argument + b"\x85R.",
        "dotted": text("builtins") + text("eval.__call__") + b"\x93" + text(touch) + b"\x85R.",
        "import": b"cbuiltins\n__import__\n" + text("antigravity") + b"\x85R.",
        "hub": b"ctorch.hub\nload\n" + text("evil/repo") + text("x") + b"\x86R.",
        "load": b"ctorch.storage\n_load_from_bytes\n" + text("x") + b"\x85R.",
        "reconstructor": b"ccopyreg\n_reconstructor\n"
        b"csubprocess\nPopen\ncbuiltins\nobject\nN\x87R.",
        "of a type": b"ctorch._tensor\n_rebuild_from_type_v2\n("
        + system
        + b"ctorch\nTensor\n"
        + argument
        + b"\x85}tR"
        + system
        + argument
        + b"\x85R.",
        "persistent": b"(" + text("module") + system + argument + b"NtQ" + argument + b"\x85R.",
    }
    objects = {
        "partial": functools.partial(os.system, shell),
        "caller": _Runs(operator.methodcaller("system", shell), os),
        "attrgetter": operator.attrgetter("__class__.__bases__"),
        "popen": _Runs(subprocess.Popen, ["touch", str(mark)]),
        "beside": {"state_dict": {"w": torch.zeros(2)}, "args": _Runs(os.system, shell)},
        "default": collections.defaultdict(functools.partial(os.system, shell)),
        "key": {_Runs(os.system, shell): 1},
    }
    made = []
    for name, code in by_hand.items():
        made.append(folder / f"{name}.pth")
        _zip(made[-1], PROTO + code)
        made.append(folder / f"{name}-stream.pth")
        made[-1].write_bytes(stream(PROTO + code))
    for name, value in objects.items():
        for legacy in (False, True):
            made.append(folder / f"{name}-{legacy}.pth")
            try:
                torch.save(value, made[-1], _use_new_zipfile_serialization=not legacy)
            except (pickle.PicklingError, TypeError, AttributeError):  # a module as an argument
                made.pop().unlink(missing_ok=True)
    return made


def repeated(first: bytes, again: bytes) -> bytes:
    """A small pickle that does the same to something large 40,000 times, by way of the memo."""
    return PROTO + b"(" + first + again * 40_000 + b"t."


def numbers(count: int, end: bytes = b"") -> bytes:
    return b"(" + b"".join(b"J" + struct.pack("<i", n) + end for n in range(count))


LIST = b"](" + b"K\x01" * 50_000 + b"e"
DICT = b"}" + numbers(20_000, b"N") + b"u"
FOUR_GB = b"\x8a\x05" + (4 << 30).to_bytes(5, "little")
TEXT = b"X" + struct.pack("<I", 1 << 20) + b"a" * (1 << 20)
BOMBS = {
    "torch.Size of a memoised list": repeated(
        b"ctorch\nSize\nq\0" + LIST + b"\x85q\1R", b"h\0h\1R"
    ),
    "sets of a memoised list": repeated(
        b"c__builtin__\nset\nq\0]" + numbers(20_000) + b"e\x85q\1R", b"h\0h\1R"
    ),
    "a dict's builds": repeated(b"ccollections\nOrderedDict\n)R" + DICT + b"q\1b", b"h\1b"),
    "a Namespace's builds": repeated(b"cargparse\nNamespace\n)\x81" + DICT + b"q\1b", b"h\1b"),
    "copies of a dict": repeated(
        b"ccollections\nOrderedDict\nq\0)R" + DICT[1:] + b"\x85q\1R", b"h\0h\1R"
    ),
    "many arguments": repeated(
        b"ca\nC\nq\0(" + b"N" * 50_000 + b"tq\1\x81", b"h\0h\1\x81"
    ),
    "bytes of a memoised text": repeated(
        b"c_codecs\nencode\nq\0" + TEXT + text("latin1") + b"\x86q\1R", b"h\0h\1R"
    ),
    "an encoding that takes long": PROTO
    + b"c_codecs\nencode\n" + TEXT + text("punycode") + b"\x86R.",
    "whole numbers with one hash": PROTO + b"}("
    + b"".join(b"\x8a\x0c" + (n * (2**61 - 1)).to_bytes(12, "little") + b"N"
               for n in range(1, 60_000)) + b"u.",
    "tuples that hash for ever": PROTO + b"})q\0" + b"".join(
        b"h%bh%b\x86q%b" % (bytes([n]), bytes([n]), bytes([n + 1])) for n in range(60)) + b"Ns.",
    "a long number": PROTO + b"\x8b" + struct.pack("<i", 10**7) + b"\1" * 10**7 + b".",
    "a bytearray of 4 GB": PROTO + b"c__builtin__\nbytearray\n" + FOUR_GB + b"\x85R.",
    "a storage of 4 GB": PROTO + b"ctorch.storage\nUntypedStorage\n" + FOUR_GB + b"\x85R.",
    "a tensor of 4 GB": PROTO + b"ctorch\nFloatTensor\n" + FOUR_GB + b"\x85R.",
    "a tensor built anew": tensor_pickle(0, 0, (0,), (1,))[:-2] + b"(Nb.",
    "a thousand classes": PROTO + b"(" + b"".join(b"ca\nC%d\n" % n for n in range(1000)) + b"t.",
    "deep lists": PROTO + b"]" * 70 + b"a" * 69 + b".",
    "a frame of an exabyte": b"\x80\x04\x95" + struct.pack("<Q", 1 << 60) + b"N",
    "no end": PROTO + b"N",
    "a line without an end": PROTO + b"S'" + b"a" * 10**6,
    "attributes of a list": PROTO + b"]}" + text("x") + b"Nsb.",
    "empty dicts": PROTO + b"(" + b"}" * 10**6 + b"t.",
}  # fmt: skip


def bomb_files(folder: Path) -> list[Path]:
    """Small files that take gigabytes or minutes, in both containers."""
    made = []
    for name, data in BOMBS.items():
        made += [folder / f"{name} zip", folder / f"{name} stream"]
        _zip(made[-2], data, extra=[("archive/data/0", b"")])
        made[-1].write_bytes(stream(data) + pickle.dumps([], 2))
    return made


WATCHED = """
import sys, time
from pathlib import Path
from chexnet.errors import CheckpointError
from chexnet.networks.tensors import read_tensors
import encodings.cp437, tempfile, torch  # zipfile imports the first at some archives
with tempfile.TemporaryDirectory() as folder:  # what is imported at the first honest file
    for zipped in (True, False):
        path = Path(folder, "w")
        torch.save({"w": torch.ones(1)}, path, _use_new_zipfile_serialization=zipped)
        read_tensors(path)
happened = []
def watch(event, arguments):
    if event in ("os.system", "subprocess.Popen", "exec", "compile", "pickle.find_class",
                 "import", "os.exec", "os.mkdir", "os.remove", "socket.connect", "ctypes.dlopen"):
        happened.append((event, str(arguments)[:80]))
    if event == "open" and isinstance(arguments[1], str) and set(arguments[1]) & set("wax+"):
        happened.append((event, str(arguments)))
sys.addaudithook(watch)
for path in map(Path, sys.argv[1:]):
    happened.clear()
    begun = time.perf_counter()
    try:
        read_tensors(path)
        outcome = "READ"
    except CheckpointError as error:
        outcome = "refused " + str(error).replace(str(path), "")
    print(path.name, f"{time.perf_counter() - begun:.2f}", outcome, happened or "nothing", sep="|")
status = Path("/proc/self/status")
if status.exists():  # Linux: the peak of getrusage begins with that of the process that forked
    [peak] = [int(line.split()[1]) for line in status.read_text().splitlines() if "VmHWM" in line]
    print("peak|", peak // 2**10)
else:
    import resource
    print("peak|", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 2**20)
"""


@needs_resource
def test_no_file_runs_code_imports_a_class_or_opens_a_file(tmp_path):
    """Watched from within by an audit hook, and by a mark that the code would leave."""
    mark = tmp_path / "ran"
    (tmp_path / "old").mkdir()
    files = code_files(tmp_path, mark) + hostile_files(tmp_path / "old", mark)
    files += bomb_files(tmp_path)
    assert len(files) > 80
    command = [sys.executable, "-c", WATCHED, *map(str, files)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    *lines, peak = done.stdout.splitlines()
    assert len(lines) == len(files)
    for line in lines:
        name, seconds, outcome, happened = line.split("|")
        assert outcome.startswith("refused"), line
        assert happened == "nothing", line
        assert float(seconds) < 20, line  # measured: at most 2; a shared machine can be slow
        assert len(outcome) < 400, name
    assert not mark.exists()
    assert int(peak.split("|")[1]) < 1500, peak  # MB; torch itself takes 400 to 600


@pytest.mark.parametrize("name", BOMBS)
def test_our_own_reader_of_weights_refuses_the_same(tmp_path, name):
    _zip(tmp_path / "w", BOMBS[name], extra=[("archive/data/0", b"")])
    with pytest.raises(CheckpointError, match=r"is refused|cannot be read"):
        load_plain(tmp_path / "w")


def test_what_is_refused_is_named(tmp_path):
    torch.save({"w": torch.ones(1), "x": _Runs(os.system, "true")}, tmp_path / "w.pth")
    with pytest.raises(CheckpointError, match=r"asks to call posix\.system, which no weights need"):
        read_tensors(tmp_path / "w.pth")


# --- tensors ---------------------------------------------------------------------------------


def every_kind() -> dict[str, torch.Tensor]:
    torch.manual_seed(0)
    whole = torch.randn(6, 4)
    kinds = (torch.float64, torch.float16, torch.bfloat16, torch.int64, torch.int32, torch.int16)
    made = {str(kind): (10 * whole).to(kind) for kind in (*kinds, torch.int8, torch.uint8)}
    return made | {
        "bool": whole > 0,
        "view": whole[2:5, 1:3],
        "transposed": whole.t(),
        "same storage": whole,
        "empty": torch.zeros(0, 3),
        "scalar": torch.tensor(2.5),
        "parameter": torch.nn.Parameter(whole.clone()),
    }


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_every_tensor_is_what_torch_reads(tmp_path, zipped):
    expected = every_kind()
    content = {"t": expected, "list": [1, (2.5, None, True)], "s": {1, 2}, "size": torch.Size([3])}
    torch.save(content, tmp_path / "w", _use_new_zipfile_serialization=zipped)
    loaded = read_tensors(tmp_path / "w")
    assert (loaded["list"], loaded["s"], loaded["size"]) == ([1, (2.5, None, True)], {1, 2}, (3,))
    assert list(loaded["t"]) == list(expected)
    for name, tensor in expected.items():
        assert loaded["t"][name].dtype == tensor.dtype, name
        assert torch.equal(loaded["t"][name], tensor), name


@pytest.mark.parametrize("protocol", [1, 3, 4, 5])
def test_another_protocol_of_pickle_is_refused_with_the_line_that_saves_it_again(
    tmp_path, protocol
):
    torch.save({"w": torch.ones(1), "n": 2**40}, tmp_path / "w", pickle_protocol=protocol)
    with pytest.raises(CheckpointError, match=r"Save it again .*torch\.save\(torch\.load"):
        read_tensors(tmp_path / "w")


class Settings(dict):
    """Stands for the many classes of configurations, which are dicts."""


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_other_objects_become_inert_stand_ins(tmp_path, zipped):
    content = {
        "d": np.float64(2),
        "args": argparse.Namespace(lr=0.1, out=Path("x")),
        "config": Settings(depth=121),
        "history": collections.defaultdict(list, {"loss": [1.0]}),
        "call": torch.nn.functional.relu,
    }
    torch.save(content, tmp_path / "w", _use_new_zipfile_serialization=zipped)
    loaded = read_tensors(tmp_path / "w")
    assert isinstance(loaded["d"], StandIn)
    assert loaded["args"].name == "argparse.Namespace"
    assert loaded["args"].state["lr"] == 0.1
    assert isinstance(loaded["args"].state["out"], StandIn)
    assert (loaded["config"], loaded["history"]) == ({"depth": 121}, {"loss": [1.0]})
    assert issubclass(loaded["call"], StandIn)


def test_a_whole_module_is_read_with_its_state_and_in_an_old_stream_refused(tmp_path):
    torch.save({"m": torch.nn.Linear(2, 1)}, tmp_path / "w")
    module = read_tensors(tmp_path / "w")["m"]
    assert (type(module).__mro__[1], module.name) == (StandIn, "torch.nn.modules.linear.Linear")
    assert module.state["in_features"] == 2
    assert module.state["_parameters"]["weight"].shape == (1, 2)
    torch.save(torch.nn.Linear(2, 1), tmp_path / "w", _use_new_zipfile_serialization=False)
    with pytest.raises(CheckpointError, match=r"whole module .*\.state_dict\(\), NEW\)"):
        read_tensors(tmp_path / "w")


OUTSIDE = {
    "behind the end": (4, 1, (4,), (1,)),
    "a stride too long": (4, 0, (2, 2), (3, 1)),
    "an offset before the start": (4, -1, (2,), (1,)),
    "a stride backwards": (4, 3, (4,), (-1,)),
    "a size below zero": (4, 0, (-4,), (1,)),
    "larger than what is stored": (4, 0, (250_000_000_000,), (0,)),
    "a product that overflows": (4, 0, (2**40, 2**40), (0, 0)),
    "a size and no stride": (4, 0, (2, 2), (1,)),
    "too many dimensions": (4, 0, (1,) * 9, (1,) * 9),
    "an offset far away": (4, 2**62, (1,), (1,)),
    "another length of the storage": (5, 0, (4,), (1,)),
    "a length below zero": (-1, 0, (0,), (1,)),
}


@pytest.mark.parametrize("told", OUTSIDE.values(), ids=OUTSIDE)
def test_a_tensor_outside_of_its_storage_is_refused(tmp_path, told):
    numbers = np.arange(4, dtype="<f4").tobytes()
    _zip(tmp_path / "w", tensor_pickle(*told), extra=[("archive/data/0", numbers)])
    with pytest.raises(CheckpointError, match=r"is refused: |cannot be read"):
        read_tensors(tmp_path / "w")
    _zip(tmp_path / "w", tensor_pickle(4, 1, (3,), (1,)), extra=[("archive/data/0", numbers)])
    assert read_tensors(tmp_path / "w")["w"].tolist() == [1, 2, 3]


def test_storages_that_a_stream_does_not_hold_take_no_memory(tmp_path):
    told = tensor_pickle(10**12, 0, (1,), (1,))
    (tmp_path / "w").write_bytes(stream(told) + pickle.dumps(["0"], 2) + struct.pack("<q", 10**12))
    with pytest.raises(CheckpointError, match="claim more than the file holds"):
        read_tensors(tmp_path / "w")


PICKLE = ("a/data.pkl", PROTO + b"N.")


@pytest.mark.filterwarnings("ignore:Duplicate name")
def test_archives_that_torch_never_writes_are_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(torch_files, "MAX_RECORDS", 900)
    for data in (
        zip_of([PICKLE, *((f"a/x{n}", b"") for n in range(1_000))]),  # too many files
        zip_of([("a/data", b"N.")]),  # not of torch
        zip_of([PICKLE])[:-30],  # cut short
    ):
        (tmp_path / "w").write_bytes(data)
        with pytest.raises(CheckpointError, match=r"is refused|cannot be read"):
            read_tensors(tmp_path / "w")
    (tmp_path / "w").write_bytes(zip_of([PICKLE, PICKLE]))
    with pytest.raises(CheckpointError, match="two of one name"):
        read_tensors(tmp_path / "w")


# --- safetensors -----------------------------------------------------------------------------


def safetensors_file(header: bytes, data: bytes) -> bytes:
    return struct.pack("<Q", len(header)) + header + data


BROKEN = {
    "longer than the file": (b'{"w":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}', 12),
    "bytes behind the tensors": (b'{"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}', 16),
    "a shape that is too large": (b'{"w":{"dtype":"F32","shape":[9],"data_offsets":[0,16]}}', 16),
    "a shape that overflows": (
        b'{"w":{"dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,16]}}', 16,
    ),
    "a hole": (
        b'{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},'
        b'"b":{"dtype":"F32","shape":[1],"data_offsets":[8,12]}}', 12,
    ),
    "no JSON": (b"{]]", 8),
    "a list": (b"{}[]", 8),
}  # fmt: skip


@pytest.mark.parametrize(("header", "length"), BROKEN.values(), ids=BROKEN)
def test_safetensors_whose_sizes_do_not_fit_are_refused(tmp_path, header, length):
    (tmp_path / "w").write_bytes(safetensors_file(header, bytes(length)))
    with pytest.raises(CheckpointError, match=r"is refused|cannot be read"):
        read_tensors(tmp_path / "w")


def test_safetensors_are_read_as_the_package_does(tmp_path):
    from safetensors.torch import save_file

    whole = {"a": torch.arange(6.0).reshape(2, 3), "b": torch.ones(2, dtype=torch.bfloat16)}
    save_file(whole, tmp_path / "w")
    loaded = read_tensors(tmp_path / "w")
    assert all(torch.equal(loaded[name], whole[name]) for name in whole)
    damaged = bytearray((tmp_path / "w").read_bytes())
    (tmp_path / "w").write_bytes(damaged[:-1])
    with pytest.raises(CheckpointError, match="end elsewhere than the file"):
        read_tensors(tmp_path / "w")


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "stream"])
def test_damaged_files_end_in_tensors_or_a_reason(tmp_path, zipped):
    """200 single faults each; the checksum that `fetch` compares is what tells other numbers."""
    content = {"w": torch.arange(40.0).reshape(5, 8), "b": [1, {"c": (2.0, None)}]}
    path = tmp_path / "w"
    torch.save(content, path, _use_new_zipfile_serialization=zipped)
    whole, chance, refused = path.read_bytes(), random.Random(7), 0
    for _ in range(200):
        path.write_bytes(damaged(whole, chance))
        try:
            read_tensors(path)
        except CheckpointError:
            refused += 1
    assert refused > 50
