"""Rebuilds the tensors of somebody else's file, and nothing else: no class, no code.

Files of `torch.save` in both containers, the zip archive and the stream of before torch 1.6, also
where they hold a whole pickled module or other objects; and safetensors. A plain load with
`weights_only=True` refuses such files, and a load without it runs what they hold. What is no
tensor and no plain value comes back as an inert `Placeholder`.
"""

import io
import json
import math
import struct
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import torch

from chexnet.errors import CheckpointError, ConfigError
from chexnet.networks.calls import Builders, Placeholder, Refused, shown
from chexnet.networks.pickles import MAX_BYTES, Budget, measure, read_pickle

MAX_FILE = 2 << 30
"""Bytes of a file; the largest known network has 0.1 GB with its optimiser's state."""
MAX_DIMENSIONS = 8
MAX_RECORDS = 100_000
"""Files in a zip archive: one a tensor."""
MAX_DIRECTORY = 16 << 20
"""Bytes of its directory."""

LEGACY_MAGIC = 0x1950A86A20F9469CFC6C
LEGACY_PROTOCOL = 1001

_DTYPES = {
    "DoubleStorage": torch.float64,
    "FloatStorage": torch.float32,
    "HalfStorage": torch.float16,
    "BFloat16Storage": torch.bfloat16,
    "LongStorage": torch.int64,
    "IntStorage": torch.int32,
    "ShortStorage": torch.int16,
    "CharStorage": torch.int8,
    "ByteStorage": torch.uint8,
    "BoolStorage": torch.bool,
}

_STRANGERS = (
    (b"\x89HDF", "an HDF5 file, which Keras writes"),
    (b"version https://git-lfs", "a pointer of Git LFS, not the file itself"),
    (b"<", "a web page: the download did not give the file"),
    (b"\x1f\x8b", "compressed with gzip: unpack it first"),
    (b"\x93NUMPY", "a NumPy array"),
)


def read_tensors(path: Path) -> Any:
    """What a file holds, with every tensor on the CPU.

    Args:
        path: of `torch.save` or safetensors; the name's ending is not trusted.

    Returns:
        Dicts, lists, tuples, sets, plain values, tensors, and a `Placeholder` for everything else;
        at most `pickles.MAX_DEPTH` deep. A pickled module is a placeholder with its state.

    Raises:
        CheckpointError: missing, damaged, hostile, too large or of another kind.
        ConfigError: safetensors is not installed.
    """
    if not path.is_file():
        raise CheckpointError(f"Found no file {path}. Pass the file of a network.")
    size = path.stat().st_size
    if size > MAX_FILE:
        raise CheckpointError(
            f"{path}: found {size / 1e9:.1f} GB, expected at most {MAX_FILE / 1e9:.1f} GB."
        )
    try:
        with path.open("rb") as file:
            head = file.read(512)
            file.seek(0)
            found = _kind(head, size)(file, size, path)
        measure(found)
    except (CheckpointError, ConfigError):
        raise
    except Refused as error:
        raise CheckpointError(
            f"{path} is refused: {error}. Fetch it from its publisher."
        ) from error
    # Damaged files raise ValueError, KeyError, IndexError, BadZipFile, struct.error and more.
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read: it is cut short or was changed. Fetch it again."
        ) from error
    return found


def _kind(head: bytes, size: int) -> Callable[[BinaryIO, int, Path], Any]:
    if head.startswith(b"PK\x03\x04"):
        return _read_zip
    if head[:1] == b"\x80":
        return _read_stream
    if head[8:9] == b"{" and struct.unpack("<Q", head[:8])[0] <= size - 8:
        return _read_safetensors
    if head[:1] == b"\x08":  # its first field, the version of the format
        raise Refused("it seems to be an ONNX file, a graph; pass the weights it was made from")
    if head[257:262] == b"ustar":
        raise Refused("it is a tar archive; unpack it, or save the network with a newer torch")
    for start, what in _STRANGERS:
        if head.lstrip().startswith(start):
            raise Refused(f"it is {what}")
    raise Refused("it is no file of torch.save and no safetensors file")


# --- containers ------------------------------------------------------------------------------


class _Guarded(io.BufferedIOBase):
    """A file whose zip directory may not be larger than that of an honest archive.

    Python reads the directory whole, and makes an object of each entry, before anybody can count.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file, self.limit = file, MAX_DIRECTORY

    def read(self, size: int | None = -1, /) -> bytes:
        wanted = self.limit + 1 if size is None or not 0 <= size <= self.limit else size
        data = self._file.read(wanted)
        if len(data) > self.limit:
            raise Refused("its archive holds too many files")
        return data

    def seek(self, offset: int, whence: int = 0, /) -> int:
        return self._file.seek(offset, whence)

    def tell(self) -> int:
        return self._file.tell()

    def seekable(self) -> bool:
        return True

    def readable(self) -> bool:
        return True


def _read_zip(file: BinaryIO, size: int, path: Path) -> Any:
    guarded = _Guarded(file)
    with zipfile.ZipFile(guarded) as archive:
        guarded.limit = size
        records = {record.filename: record for record in archive.infolist()}
        if len(archive.infolist()) > MAX_RECORDS or len(records) < len(archive.infolist()):
            # Which of two files of one name is read differs between programs.
            raise Refused("its archive holds too many files, or two of one name")
        # torch stores without compressing; what is compressed may unfold to any size.
        if any(one.compress_type != zipfile.ZIP_STORED for one in records.values()):
            raise Refused("its archive is compressed, which torch.save never does")
        if sum(one.file_size for one in records.values()) > size:
            raise Refused("its archive claims more than the file holds")
        found = [name for name in records if name.split("/")[1:] == ["data.pkl"]]
        if len(found) != 1:
            raise Refused("it is a zip archive, but not of torch.save")
        prefix = found[0].split("/")[0]
        if f"{prefix}/constants.pkl" in records:
            raise Refused("it is a TorchScript program, which is code; pass a state dict")
        if records[found[0]].file_size > MAX_BYTES:
            raise Refused("what it holds beside tensors is too large")
        order = f"{prefix}/byteorder"
        if order in records and archive.read(order).strip() != b"little":
            raise Refused("its numbers are stored in the other byte order")
        storages: dict[str, torch.Tensor] = {}

        def load(key: str, dtype: torch.dtype, count: int) -> torch.Tensor:
            if key not in storages:
                data = bytearray(archive.read(f"{prefix}/data/{key}"))
                if len(data) != count * dtype.itemsize:
                    raise Refused(
                        f"storage {shown(key)}: found {len(data)} bytes for {count} values"
                    )
                storages[key] = _numbers(data, dtype)
            return _same(storages[key], key, dtype, count)

        data = io.BytesIO(archive.read(found[0]))
        return read_pickle(data, _TENSORS, _storage(load), Budget())


def _read_stream(file: BinaryIO, size: int, path: Path) -> Any:
    budget = Budget()
    storages: dict[str, torch.Tensor] = {}
    room = [size]

    def load(key: str, dtype: torch.dtype, count: int) -> torch.Tensor:
        # The numbers follow behind the pickles: room now, filled in below.
        if key not in storages:
            room[0] -= count * dtype.itemsize
            if room[0] < 0:
                raise Refused("its tensors claim more than the file holds")
            storages[key] = torch.zeros(count, dtype=dtype)
        return _same(storages[key], key, dtype, count)

    def plain() -> Any:
        return read_pickle(file, {}, _no_storage, budget)

    if plain() != LEGACY_MAGIC:
        raise Refused("it is a bare pickle, not a file of torch.save")
    if plain() != LEGACY_PROTOCOL or not dict(plain()).get("little_endian"):
        raise Refused("it is of a torch, or of a machine, that is not known")
    found = read_pickle(file, _TENSORS, _storage(load), budget)
    keys = plain()
    if not isinstance(keys, list) or sorted(map(str, keys)) != sorted(storages):
        raise Refused("its tensors and what is stored of them do not fit")
    for key in keys:
        target = storages[str(key)].view(torch.uint8).numpy()
        (count,) = struct.unpack("<q", file.read(8))
        if count != len(storages[str(key)]) or file.readinto(target.data) != target.nbytes:  # type: ignore[attr-defined]
            raise Refused(f"storage {shown(str(key))} is cut short")
    return found


def _read_safetensors(file: BinaryIO, size: int, path: Path) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load_file
    except ImportError as error:
        raise ConfigError(
            f"{path} is a safetensors file. pip install safetensors to read it."
        ) from error
    (length,) = struct.unpack("<Q", file.read(8))
    if length > MAX_BYTES:
        raise Refused("its header is too large")
    header = json.loads(file.read(length))
    ends = [one["data_offsets"][1] for n, one in header.items() if n != "__metadata__"]
    if max(ends, default=0) != size - 8 - length:
        raise Refused("its tensors end elsewhere than the file")
    try:
        # The package compares sizes, offsets and types; a copy, because it maps the file.
        return {name: tensor.clone() for name, tensor in load_file(path).items()}
    except SafetensorError as error:
        raise Refused("its header and its tensors do not fit") from error


# --- tensors ---------------------------------------------------------------------------------


def _numbers(data: bytearray, dtype: torch.dtype) -> torch.Tensor:
    return torch.frombuffer(data, dtype=dtype) if data else torch.empty(0, dtype=dtype)


def _same(stored: torch.Tensor, key: str, dtype: torch.dtype, count: int) -> torch.Tensor:
    if stored.dtype != dtype or len(stored) != count:
        raise Refused(f"storage {shown(key)} is described twice, each time otherwise")
    return stored


def _no_storage(name: Any) -> Any:
    raise Refused("a storage where none is expected")


def _storage(load: Callable[[str, torch.dtype, int], torch.Tensor]) -> Callable[[Any], Any]:
    """What stands for a persistent id: the stored numbers, or the class of a module's source."""

    def found(name: Any) -> Any:
        if not isinstance(name, tuple) or len(name) < 4:
            raise Refused("a storage without a description")
        if name[0] == "module":  # class, its file and its source, of before torch 1.6
            return name[1]
        _, kind, key, _, count, *view = name
        whole = isinstance(count, int) and not isinstance(count, bool) and count >= 0
        if name[0] != "storage" or not isinstance(kind, Placeholder) or not whole:
            raise Refused("a storage without a description")
        dtype = _DTYPES.get(kind.name.rsplit(".", 1)[-1])
        if dtype is None or not kind.name.startswith("torch."):
            return kind  # quantised or complex numbers: no tensor is made of it
        stored = load(str(key), dtype, count)
        if view and view[0] is not None:
            _, start, length = view[0]
            return stored[_within(start, count) : _within(start, count) + _within(length, count)]
        return stored

    return found


def _within(value: Any, limit: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= limit:
        raise Refused(f"found {shown(value)} where a number of 0 to {limit} is expected")
    return value


def _tensor(storage: Any, offset: Any, size: Any, stride: Any, *_: Any) -> Any:
    """A view of stored numbers whose every element lies inside of them."""
    if isinstance(storage, Placeholder):
        return Placeholder(storage.name)
    if not isinstance(storage, torch.Tensor):
        raise Refused("a tensor of nothing")
    sizes, strides = _lengths(size), _lengths(stride)
    count = len(storage)
    if len(sizes) != len(strides) or math.prod(sizes) > count:
        raise Refused("a tensor larger than what is stored of it")
    last = sum((n - 1) * step for n, step in zip(sizes, strides, strict=True))
    if math.prod(sizes) and _within(offset, count) + last >= count:
        raise Refused("a tensor that reaches beyond what is stored of it")
    # The offset counts from the start of what is stored, also for a view of a part of it.
    return storage.as_strided(sizes, strides, storage.storage_offset() + _within(offset, count))


def _lengths(value: Any) -> Sequence[int]:
    if not isinstance(value, list | tuple) or len(value) > MAX_DIMENSIONS:
        raise Refused("a tensor without a shape")
    return [_within(one, MAX_FILE) for one in value]


def _of_type(function: Any, kind: Any, arguments: Any, *_: Any) -> Any:
    """A tensor that has attributes, or is of a class of its own: the tensor alone."""
    if isinstance(function, Placeholder) and function.name in _TENSORS:
        return _TENSORS[function.name](*arguments)
    return Placeholder("torch.Tensor")


_TENSORS: Builders = {
    "torch._utils._rebuild_tensor": _tensor,
    "torch._utils._rebuild_tensor_v2": _tensor,
    "torch._utils._rebuild_parameter": lambda data, *_: data,
    "torch._utils._rebuild_parameter_with_state": lambda data, *_: data,
    "torch._tensor._rebuild_from_type_v2": _of_type,
}
