"""What computes a predictor's answers: PyTorch on a GPU, ONNX Runtime on a CPU.

Shapes: B batch, D classes, h w cells.
"""

import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from chexnet.card import Card
from chexnet.config import CHOICES
from chexnet.errors import CheckpointError, ChexnetError, ConfigError
from chexnet.explain import explain
from chexnet.onnx import OnnxEngine, cached
from chexnet.transforms import normalise

if TYPE_CHECKING:
    import torch

ENGINES = ("auto", "onnx", "torch")
GPU_FILES = ("/dev/nvidiactl", "/dev/nvidia0", "/dev/kfd", "/dev/dxg")
"""Of which one is there where a driver of NVIDIA's, AMD's or of Windows' Linux is loaded."""


class Engine(Protocol):
    """A network that answers for items.

    Attributes:
        name: for a reader.
        card: what its file says of itself.
    """

    name: str
    card: Card

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items uint8 (B, size, size) -> logits (B, D), heatmaps (B, D, h, w), float32."""


class TorchEngine:
    """The network in PyTorch. Threads may share it.

    Attributes:
        model: the network, in eval mode, without gradients.
    """

    def __init__(self, weights: Path, device: str = "auto") -> None:
        """Load a weights file.

        Raises:
            CheckpointError: see `load_weights`.
        """
        import torch

        from chexnet.distributed import pick_device
        from chexnet.model import load_weights

        model, self.card = load_weights(weights)
        self.model = model.to(pick_device(device)).requires_grad_(False)
        self.name = f"PyTorch {torch.__version__.partition('+')[0]}"

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items uint8 (B, size, size) -> logits (B, D), heatmaps (B, D, h, w), float32."""
        explained = explain(self.model, self.inputs(items))
        return explained.logits.cpu().numpy(), explained.heatmaps.cpu().numpy()

    def inputs(self, items: np.ndarray) -> "torch.Tensor":
        """What the network takes: normalised, (B, 3, size, size), on its device."""
        import torch

        device = next(self.model.parameters()).device
        batch = torch.from_numpy(items)[:, None].to(device)
        return normalise(batch, self.card.preprocessing)


def open_engine(
    weights: Path,
    device: str = "auto",
    engine: str = "auto",
    on_export: Callable[[], None] | None = None,
) -> Engine:
    """Open a weights file, or an exported one.

    Args:
        weights: a weights file, or an ONNX file of `chexnet.export`.
        device: `auto`, `cpu` or `cuda`.
        engine: `auto` is PyTorch on a GPU and ONNX Runtime elsewhere, where it is installed and
            the export succeeds, else PyTorch.
        on_export: called before weights are exported, once for each file: it takes about 20 s.

    Raises:
        CheckpointError: no weights, or damaged ones.
        ConfigError: an impossible combination.
    """
    for option, found, known in (
        ("engine", engine, ENGINES),
        ("device", device, CHOICES["device"]),
    ):
        if found not in known:
            raise ConfigError(f"--{option}: found {found!r}, expected one of {', '.join(known)}.")
    exported = weights.suffix == ".onnx"
    if exported and (engine == "torch" or device == "cuda"):
        raise ConfigError(
            f"{weights} runs on ONNX Runtime and a CPU only. Pass the weights file for PyTorch."
        )
    if exported:
        return OnnxEngine(weights)
    if engine == "onnx":
        return _exported(weights, device, on_export)
    if engine == "torch" or device == "cuda" or (device == "auto" and _has_gpu()):
        return TorchEngine(weights, device)
    if not all(map(find_spec, ("onnxruntime", "onnx", "onnxscript"))):
        return TorchEngine(weights, device)
    try:
        return cached(weights, on_export)
    except (ChexnetError, OSError):
        # A full disk, a folder that nobody may write, weights that round differently: PyTorch
        # answers all the same, and says of damaged weights what is wrong with them.
        return TorchEngine(weights, device)


def _exported(weights: Path, device: str, on_export: Callable[[], None] | None) -> Engine:
    if device == "cuda":
        raise ConfigError("--engine onnx runs on a CPU only. Leave out --device cuda.")
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
    import torch

    return torch.cuda.is_available()
