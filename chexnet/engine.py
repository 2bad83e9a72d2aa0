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
from chexnet.errors import ChexnetError, ConfigError
from chexnet.explain import explain
from chexnet.onnx import OnnxEngine, cached
from chexnet.transforms import normalise

if TYPE_CHECKING:
    import torch

ENGINES = ("auto", "onnx", "torch")


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
    if engine not in ENGINES:
        raise ConfigError(f"Found engine {engine!r}, expected one of {', '.join(ENGINES)}.")
    exported = weights.suffix == ".onnx"
    if exported and (engine == "torch" or device == "cuda"):
        raise ConfigError(
            f"{weights} runs on ONNX Runtime and a CPU only. Pass the weights file for PyTorch."
        )
    if exported:
        return OnnxEngine(weights)
    if engine == "torch" or device == "cuda" or (device == "auto" and _has_gpu()):
        return TorchEngine(weights, device)
    if engine == "auto" and not all(map(find_spec, ("onnxruntime", "onnx", "onnxscript"))):
        return TorchEngine(weights, device)
    try:
        return cached(weights, on_export)
    except (ChexnetError, OSError):
        if engine == "onnx":
            raise
        # A full disk, a folder that nobody may write, weights that round differently: PyTorch
        # answers all the same, and says of damaged weights what is wrong with them.
        return TorchEngine(weights, device)


def _has_gpu() -> bool:
    if shutil.which("nvidia-smi") is None:  # spares importing torch where it can have no GPU
        return False
    import torch

    return torch.cuda.is_available()
