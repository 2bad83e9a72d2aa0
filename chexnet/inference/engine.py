"""What computes a predictor's answers: PyTorch on a GPU, ONNX Runtime on a CPU.

Shapes: B batch, D classes, h w cells.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from contextlib import suppress
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import platformdirs
from filelock import FileLock

import chexnet
from chexnet.compute import memory_format, to_device
from chexnet.config import CHOICES
from chexnet.errors import CheckpointError, ChexnetError, ConfigError, ExportError
from chexnet.explain import explain
from chexnet.files import installed, require_torch, sweep, write_text
from chexnet.inference.onnx_runtime import VERSION, OnnxEngine
from chexnet.metadata import Metadata
from chexnet.transforms import network_inputs

if TYPE_CHECKING:
    import torch

KEPT = 4
"""Exported files that stay in the cache, 29 MB each; the longest unused go first."""
ENGINES = ("auto", "onnx", "torch")
GPUS = ("cuda", "mps")
EXPORTERS = ("onnxruntime", "onnx", "onnxscript")
"""What an export needs beside torch."""
GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""Of which one is there where a driver of NVIDIA's, AMD's or of Windows' Linux is loaded."""


class Engine(Protocol):
    """A network that answers for items.

    Attributes:
        name: for a reader.
        metadata: what its file says of itself.
        bias: float32 (D,), of the classifier: a logit is its bias and its contributions.
    """

    name: str
    metadata: Metadata
    bias: np.ndarray

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items uint8 (B, size, size) -> logits (B, D), contributions (B, D, h, w), float32."""


class TorchEngine:
    """The network in PyTorch. Threads may share it.

    Attributes:
        model: the network, in eval mode, without gradients.
        device: where it computes.
    """

    def __init__(self, weights: Path, device: str = "auto") -> None:
        """Load a weights file.

        Raises:
            CheckpointError: see `load_weights`.
            ConfigError: PyTorch is not installed.
        """
        export = "python -m scripts.export W OUT.onnx"
        require_torch(str(weights), f". Or export it elsewhere ({export}) and pass OUT.onnx.")
        import torch

        from chexnet.compute import pick_device
        from chexnet.model import load_weights

        model, self.metadata = load_weights(weights)
        # Convolutions are quick in channels_last; logits differ by rounding (2e-6 measured).
        size = self.metadata.preprocessing.size
        self.device = pick_device(device)
        self.model = to_device(model, self.device, size, answer=_explained)
        self.model = self.model.to(memory_format=memory_format(self.device)).requires_grad_(False)
        self.bias = model.classifier.bias.detach().float().cpu().numpy()
        self.name = f"PyTorch {torch.__version__.partition('+')[0]}"

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items uint8 (B, size, size) -> logits (B, D), contributions (B, D, h, w), float32."""
        explained = explain(self.model, self.inputs(items))
        return explained.logits.cpu().numpy(), explained.contributions.contiguous().cpu().numpy()

    def inputs(self, items: np.ndarray) -> "torch.Tensor":
        """What the network takes: normalised, (B, 3, size, size), on its device."""
        import torch

        batch = torch.from_numpy(items)[:, None]
        return network_inputs(batch, self.metadata.preprocessing, self.device)


def _explained(model: Any, images: "torch.Tensor") -> "torch.Tensor":
    """All that the engine answers, as one tensor (B, D, 1 + h w)."""
    import torch

    explained = explain(model, images)
    return torch.cat([explained.logits[..., None], explained.contributions.flatten(2)], -1)


def open_engine(
    weights: Path,
    device: str = "auto",
    engine: str = "auto",
    on_export: Callable[[], None] | None = None,
    shipped: Path | None = None,
) -> Engine:
    """Open a weights file, or an exported one.

    Args:
        weights: a weights file, or an ONNX file of `chexnet.inference.onnx_export`.
        device: see `compute.pick_device`.
        engine: `auto` is PyTorch on a GPU and ONNX Runtime elsewhere, where it is installed and
            the export succeeds, else PyTorch.
        on_export: called before weights are exported, once for each file: it takes about 20 s.
        shipped: an export that comes with the weights, so that none is made.

    Raises:
        CheckpointError: no weights, or damaged ones.
        ConfigError: an impossible combination.
    """
    for option, given, known in (
        ("engine", engine, ENGINES),
        ("device", device, CHOICES["device"]),
    ):
        if given not in known:
            raise ConfigError(f"--{option}: found {given!r}, expected one of {', '.join(known)}.")
    exported = weights.suffix == ".onnx"
    if exported and (engine == "torch" or device in GPUS):
        raise ConfigError(
            f"{weights} runs on ONNX Runtime and a CPU only. Pass the weights file for PyTorch."
        )
    if exported:
        return OnnxEngine(weights)
    if engine == "onnx" and device in GPUS:
        raise ConfigError(f"--engine onnx runs on a CPU only. Leave out --device {device}.")
    if engine == "torch" or device in GPUS or (engine == device == "auto" and _has_gpu()):
        return TorchEngine(weights, device)
    if shipped and (engine == "onnx" or installed("onnxruntime")):
        return OnnxEngine(shipped)
    if engine == "onnx":
        return _exported(weights, on_export)
    if not installed("torch", *EXPORTERS):
        return TorchEngine(weights, device)
    try:
        return cached(weights, on_export)
    except (ChexnetError, OSError):
        # A full disk, a folder that nobody may write, weights that round differently: PyTorch
        # answers all the same, and says of damaged weights what is wrong with them.
        return TorchEngine(weights, device)


def _exported(weights: Path, on_export: Callable[[], None] | None) -> Engine:
    try:
        return cached(weights, on_export)
    except OSError as error:
        raise CheckpointError(
            f"{error.filename or weights}: {error.strerror or error}. Pass a weights file, and a "
            "home folder with a cache that can be written; or --engine torch."
        ) from error


def _has_gpu() -> bool:
    # Asking torch means importing it, for seconds: only where there are signs of a GPU.
    if shutil.which("nvidia-smi") is None and not any(Path(p).exists() for p in GPU_FILES):
        return False
    if not installed("torch"):
        return False
    import torch

    return torch.cuda.is_available()


def cached(weights: Path, on_export: Callable[[], None] | None = None) -> OnnxEngine:
    """Open the export of a weights file; it is made when it is first asked for.

    It lies in the user's cache folder under the SHA-256 of the weights, so that it can never be of
    other weights.

    Args:
        weights: a weights file.
        on_export: called before an export, which takes about 20 s.

    Raises:
        CheckpointError: damaged weights, or they changed meanwhile.
        ExportError: they cannot be exported, or could not with these versions of the exporter.
        OSError: the weights or the cache cannot be read or written.
    """
    folder = export_place("").parent
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        sweep(folder)
        mark = file_digest(weights)
        place = export_place(mark)
        refused, tried_with = place.with_suffix(".refused"), _versions()
        if refused.exists():
            versions, _, reason = refused.read_text(encoding="utf-8").partition("\n")
            if versions == tried_with:
                raise ExportError(reason)
        digest = place.with_suffix(".sha256")
        if place.exists() and digest.exists() and digest.read_text() == file_digest(place):
            os.utime(place)
            with suppress(CheckpointError):  # a damaged one is made again
                return OnnxEngine(place)
        from chexnet.inference.onnx_export import export

        if on_export:
            on_export()
        try:
            export(weights, place)
        except ExportError as error:
            write_text(refused, f"{tried_with}\n{error}")  # or every start would try again
            raise
        if file_digest(weights) != mark:  # a training run has written better ones meanwhile
            place.unlink()
            raise CheckpointError(f"{weights} has changed while it was read. Try again.")
        # ONNX has no checksum of its own: a changed byte would give other numbers in silence.
        write_text(digest, file_digest(place))
        for old in sorted(folder.glob("*.onnx"), key=_used)[:-KEPT]:
            with suppress(OSError):  # on Windows another program may have it open
                old.unlink(missing_ok=True)
                old.with_suffix(".sha256").unlink(missing_ok=True)
        return OnnxEngine(place)


def export_place(mark: str) -> Path:
    """Where the export of the weights with this `file_digest` lies in the user's cache."""
    return platformdirs.user_cache_path("chexnet") / "onnx" / f"{mark}-{VERSION}.onnx"


def _versions() -> str:
    """Of everything that decides whether weights can be exported."""
    versions = [f"chexnet {chexnet.__version__}"]
    for name in ("torch", *EXPORTERS):
        with suppress(PackageNotFoundError):  # ONNX Runtime for a GPU has another name
            versions.append(f"{name} {version(name)}")
    return ", ".join(versions)


def file_digest(weights: Path) -> str:
    """The beginning of a file's SHA-256, 32 hex digits."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def _used(path: Path) -> float:
    return path.stat().st_mtime
