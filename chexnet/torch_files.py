"""Reads what `torch.save` wrote, somebody else's as well: no code is run, and no class imported.

`torch.load(weights_only=True)` does the reading. It refuses names that it does not know; here each
gets an inert `StandIn`, so that a `Namespace` beside the weights, or a whole pickled module, is
read as data. Before, `chexnet.pickles` follows the pickle and refuses what would cost too much.
"""

import io
import threading
import zipfile
from pathlib import Path
from typing import Any

import torch

from chexnet.pickles import KNOWN, MAX_BYTES, Refused, Scan, StandIn, measure, shown

MAX_FILE = 1 << 29
"""Bytes of a file; the largest known network has 0.1 GB with its optimiser's state."""
MAX_RECORDS = 10_000
"""Files in a zip archive: one a tensor; a DenseNet-121 with its optimiser has 2,600."""
_DIRECTORY_ENTRY = b"PK\x01\x02"
LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001
_LOCK = threading.Lock()
"""torch keeps what stands for what in one list for all threads."""


def read_bytes(path: Path) -> bytes:
    """The content of a file that may be one of weights: read once, so that it is what was checked.

    Raises:
        Refused: it is too large.
    """
    size = path.stat().st_size
    if size > MAX_FILE:
        raise Refused(f"found {size / 1e9:.1f} GB, expected at most {MAX_FILE / 1e9:.1f} GB")
    return path.read_bytes()


def load_torch(data: bytes, *, foreign: bool) -> Any:
    """What a file of `torch.save` holds, every tensor on the CPU.

    Args:
        data: the file; a zip archive or the stream of before torch 1.6.
        foreign: take objects of other classes for `StandIn`; else they are refused.

    Returns:
        Dicts, lists, tuples, sets, plain values, tensors, stand-ins.

    Raises:
        Refused: it asks for code, or for more time or memory than weights need.
        Exception: of many kinds, where it is damaged.
    """
    scan = Scan(room=len(data))
    zipped = data.startswith(b"PK\x03\x04")
    file = _scan_zip(data, scan) if zipped else _scan_stream(data, scan)
    stand_ins = _stand_ins(scan)
    if stand_ins and not foreign:
        raise Refused(f"it holds code or foreign objects ({shown(min(scan.names))})")
    with _LOCK, torch.serialization.safe_globals(stand_ins):
        content = torch.load(file, map_location="cpu", weights_only=True)
    measure(content)
    return content


def _scan_zip(data: bytes, scan: Scan) -> io.BytesIO:
    """The archive again, of those files alone that were looked at.

    Programs differ in how they read a damaged directory: what torch reads is what was scanned.
    """
    if data.count(_DIRECTORY_ENTRY) > MAX_RECORDS:  # before Python makes an object of each
        raise Refused("its archive holds too many files")
    made = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(data)) as archive, zipfile.ZipFile(made, "w") as again:
        records = {record.filename: record for record in archive.infolist()}
        if len(records) < len(archive.infolist()):
            raise Refused("its archive holds files, two of one name")
        # torch stores without compressing; what is compressed may unfold to any size.
        if any(record.compress_type != zipfile.ZIP_STORED for record in records.values()):
            raise Refused("its archive is compressed, which torch.save never does")
        if sum(record.file_size for record in records.values()) > len(data):
            raise Refused("its archive claims more than the file holds")
        pickles = [name for name in records if name.split("/")[1:] == ["data.pkl"]]
        if len(pickles) != 1:
            raise Refused("it is a zip archive, but not of torch.save")
        prefix = pickles[0].split("/")[0]
        if f"{prefix}/constants.pkl" in records:
            raise Refused("it is a TorchScript program, which is code; pass a state dict")
        if records[pickles[0]].file_size > MAX_BYTES:
            raise Refused("what it holds beside tensors is too large")
        scan.pickle(io.BytesIO(archive.read(pickles[0])))
        kept = ["data.pkl", "version", *(f"data/{key}" for key in scan.storages)]
        if f"{prefix}/byteorder" in records:
            kept.append("byteorder")
        for name in kept:
            again.writestr(f"archive/{name}", archive.read(f"{prefix}/{name}"))
    made.seek(0)
    return made


def _scan_stream(data: bytes, scan: Scan) -> io.BytesIO:
    file = io.BytesIO(data)
    if LEGACY_MAGIC.to_bytes(10, "little") not in data[:32]:
        raise Refused("it is a bare pickle, not a file of torch.save")
    scan.pickle(file)
    version, machine = scan.pickle(file), scan.pickle(file).items
    if version != LEGACY_PROTOCOL or machine[machine.index("little_endian") + 1] is not True:
        raise Refused("it is of a torch, or of a machine, that is not known")
    scan.pickle(file)
    # torch leaves a storage that is not in this list without its numbers.
    if sorted(scan.pickle(file).items) != sorted(scan.storages):
        raise Refused("its tensors and what is stored of them do not fit")
    file.seek(0)
    return file


def _stand_ins(scan: Scan) -> list[Any]:
    """An inert class for each name that torch does not know.

    Raises:
        Refused: torch knows one that no weights need, and would give the real thing.
    """
    names = [name for name in sorted(scan.names) if not KNOWN.fullmatch(name)]
    asked = b"".join(
        f"c{name.rpartition('.')[0]}\n{name.rpartition('.')[2]}\n".encode() for name in names
    )
    probe = io.BytesIO()
    with zipfile.ZipFile(probe, "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + asked + b"N.")
        archive.writestr("archive/version", b"3\n")
    probe.seek(0)
    unknown = set(torch.serialization.get_unsafe_globals_in_checkpoint(probe))
    if known := [name for name in names if name not in unknown]:
        raise Refused(f"it asks to call {shown(known[0])}, which no weights need")
    return [(_stand_in(name, scan.kinds.get(name)), name) for name in names]


def _stand_in(name: str, kind: type | None) -> type:
    made: dict[str, Any] = {"name": name}
    if kind is not None:  # a subclass of dict or list: torch fills nothing else
        made["__new__"] = lambda cls, *_: kind()
    return type("StandIn", (StandIn,), made)
