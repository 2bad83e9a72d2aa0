"""The network on ONNX Runtime, without torch: reads a file that `onnx_export` wrote.

Shapes: B batch, D classes, h w cells.
"""

import json
import os
from pathlib import Path

import numpy as np

from chexnet.errors import CheckpointError, ConfigError
from chexnet.metadata import Metadata
from chexnet.transforms import Preprocessing

VERSION = 1
FORMAT = f"chexnet onnx {VERSION}"


class OnnxEngine:
    """Answers for items, on the CPU. Threads may share it.

    Attributes:
        name: of the engine, for a reader.
        metadata: what the file says of itself.
    """

    def __init__(self, path: Path) -> None:
        """Open an exported file.

        Raises:
            CheckpointError: missing, damaged, or not written by this project.
            ConfigError: ONNX Runtime is not installed.
        """
        try:
            import onnxruntime
        except ImportError as error:
            raise ConfigError(
                "ONNX Runtime is not installed. pip install onnxruntime, or pass the weights file "
                "that this one was exported from."
            ) from error
        if not path.is_file():
            raise CheckpointError(f"Found no file {path}. Make one with python -m scripts.export.")
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 3  # its warnings are about graphs, not about users' files
        try:
            self._session = onnxruntime.InferenceSession(
                path, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its errors have no class in common
            raise CheckpointError(f"{path} is damaged or no ONNX file. Export it again.") from error
        self.metadata = read_metadata(self._session.get_modelmeta().custom_metadata_map, path)
        self.name = f"ONNX Runtime {onnxruntime.__version__}"

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items uint8 (B, size, size) -> logits (B, D), heatmaps (B, D, h, w), float32."""
        logits, heatmaps = self._session.run(["logits", "heatmaps"], {"pixels": items[:, None]})
        return logits, heatmaps


def as_metadata(metadata: Metadata) -> dict[str, str]:
    """A card as an ONNX file's metadata: one JSON text a name.

    The hashes of what was trained on stay behind; who scores a network uses its weights file.
    """
    told = {k: v for k, v in metadata.provenance.items() if not k.startswith("trained_")}
    processing = metadata.preprocessing
    content = {
        "format": FORMAT,
        "notice": "Research and education only, not for clinical use.",
        "classes": list(metadata.classes),
        "preprocessing": {
            "crop": processing.crop,
            "size": processing.size,
            "mean": processing.mean,
            "std": processing.std,
        },
        "provenance": told,
        **metadata.validation,
    }
    return {name: json.dumps(value) for name, value in content.items()}


def read_metadata(metadata: dict[str, str], path: Path) -> Metadata:
    """What `as_metadata` wrote.

    Raises:
        CheckpointError: an ONNX file of somebody else.
    """
    try:
        content = {name: json.loads(text) for name, text in metadata.items()}
        found = content.pop("format")
        del content["notice"]
        classes, processing = content.pop("classes"), content.pop("preprocessing")
        provenance = content.pop("provenance")
        preprocessing = Preprocessing(
            processing["crop"],
            processing["size"],
            tuple(processing["mean"]),
            tuple(processing["std"]),
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} was not exported by this project, so nobody knows what goes in and comes out. "
            "Make one with python -m scripts.export."
        ) from error
    if found != FORMAT:
        raise CheckpointError(
            f"{path}: found format {found!r}, expected {FORMAT!r}. Export the weights again."
        )
    return Metadata({name: n for n, name in enumerate(classes)}, preprocessing, provenance, content)


def cores() -> int:
    """Cores that this process may use: OMP_NUM_THREADS where it is set, as torchrun does."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
