"""Reads the tensors of somebody else's file, and nothing else: no class, no code.

Files of `torch.save`, also where they hold other objects (see `chexnet.torch_files`), and
safetensors.
"""

import io
import json
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

from chexnet.errors import CheckpointError, ConfigError
from chexnet.pickles import MAX_BYTES, Refused
from chexnet.torch_files import load_torch, read_bytes

_STRANGERS = (
    (b"\x89HDF", "it is an HDF5 file, which Keras writes"),
    (b"version https://git-lfs", "it is a pointer of Git LFS, not the file itself"),
    (b"<", "it is a web page: the download did not give the file"),
    (b"\x1f\x8b", "it is compressed with gzip: unpack it first"),
    (b"\x93NUMPY", "it is a NumPy array"),
    (b"\x08", "it seems to be an ONNX file, a graph; pass the weights it was made from"),
)


def read_tensors(path: Path) -> Any:
    """What a file holds, with every tensor on the CPU.

    Args:
        path: of `torch.save` or safetensors; the name's ending is not trusted.

    Returns:
        Dicts, lists, tuples, sets, plain values, tensors, and a `StandIn` for everything else. A
        pickled module is a stand-in with its state.

    Raises:
        CheckpointError: missing, damaged, hostile, too large or of another kind.
        ConfigError: safetensors is not installed.
    """
    if not path.is_file():
        raise CheckpointError(f"Found no file {path}. Pass the file of a network.")
    try:
        data = read_bytes(path)
        return _reader(data)(data)
    except ConfigError:
        raise
    except Refused as error:
        raise CheckpointError(f"{path} is refused: {error}") from error
    # Damaged files raise ValueError, KeyError, IndexError, BadZipFile, struct.error and more.
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read: it is cut short or was changed. Fetch it again."
        ) from error


def _reader(data: bytes) -> Callable[[bytes], Any]:
    if data.startswith((b"PK\x03\x04", b"\x80")):
        return lambda data: load_torch(data, foreign=True)
    if data[8:9] == b"{" and struct.unpack("<Q", data[:8])[0] <= len(data) - 8:
        return _read_safetensors
    if data[257:262] == b"ustar":
        raise Refused("it is a tar archive; unpack it, or save the network with a newer torch")
    for start, what in _STRANGERS:
        if data[:512].lstrip().startswith(start):
            raise Refused(what)
    raise Refused("it is no file of torch.save and no safetensors file")


def _read_safetensors(data: bytes) -> Any:
    try:
        from safetensors import SafetensorError
        from safetensors.torch import load
    except ImportError as error:
        raise ConfigError(
            "It is a safetensors file. pip install safetensors to read it."
        ) from error
    (length,) = struct.unpack("<Q", data[:8])
    if length > MAX_BYTES:
        raise Refused("its header is too large")
    header = json.load(io.BytesIO(data[8 : 8 + length]))
    ends = [tensor["data_offsets"][1] for n, tensor in header.items() if n != "__metadata__"]
    if max(ends, default=0) != len(data) - 8 - length:
        raise Refused("its tensors end elsewhere than the file")
    try:
        return load(data)  # the package compares sizes, offsets and types
    except SafetensorError as error:
        raise Refused("its header and its tensors do not fit") from error
