"""The network on ONNX Runtime, without torch: reads a file that `onnx_export` wrote.

Shapes: B batch, D classes, h w cells.
"""

import hashlib
import json
import re
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.compute import cores
from chexnet.errors import CheckpointError, ConfigError
from chexnet.metadata import Metadata
from chexnet.transforms import Preprocessing

VERSION = 2
"""1 gave heatmaps, cut off at 0; 2 gives signed contributions, and the bias."""
FORMATS = (f"chexnet onnx {VERSION}", f"chexnet onnx {VERSION + 1}")
"""The second where the preprocessing has a filter or a square that an older release passes over."""
CARRIED = ("trust", "mean_contributions", "validation_scores")
"""Further fields of `Metadata` that a page needs: of heatmaps, and of its curves."""
BLANK = "0" * 64
"""What stands in the seal's place while the seal is computed."""
_SEAL = re.compile(rb'\n\x04seal\x12B"([0-9a-f]{64})"')
"""A metadata entry as protobuf writes it: a key of 4 bytes, a value of 66 (JSON, with quotes)."""


class OnnxEngine:
    """Answers for items, on the CPU. Threads may share it.

    Attributes:
        name: of the engine, for a reader.
        path: of the file.
        metadata: what the file says of itself.
        bias: float32 (D,), of the classifier.
        parameters_sha256: of the tensors that a compact export was made from, see
            `model.parameters_sha256`; None for another.
    """

    def __init__(self, path: Path) -> None:
        """Open an exported file. A sealed one was compared with its seal before anything reads it.

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
        content = path.read_bytes()
        sealed = _matches_seal(content)
        damaged = CheckpointError(
            f"{path} is damaged: its bytes do not match its seal. Fetch the project again, or "
            "export the weights again: python -m scripts.export WEIGHTS.pth OUT.onnx"
        )
        if sealed is False:
            raise damaged
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = cores()
        options.log_severity_level = 3  # its warnings are about graphs, not about users' files
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
            about = self._session.get_modelmeta().custom_metadata_map
        except Exception as error:  # its errors have no class in common
            raise CheckpointError(f"{path} is damaged or no ONNX file. Export it again.") from error
        made_from = about.pop("parameters_sha256", None)
        if about.pop("seal", made_from) is not None and not sealed:
            raise damaged  # within the seal's own entry
        self.parameters_sha256 = made_from and json.loads(made_from)
        self.metadata, self.bias = read_metadata(about, path)
        self.name, self.path = f"ONNX Runtime {onnxruntime.__version__}", path

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items uint8 (B, size, size) -> logits (B, D), contributions (B, D, h, w), float32."""
        names = ["logits", "contributions"]
        logits, contributions = self._session.run(names, {"pixels": items[:, None]})
        return logits, contributions


def seal(content: bytes) -> bytes:
    """The bytes of an ONNX file, whose metadata hold `seal` = `BLANK`, with their seal.

    ONNX has no checksum: a changed byte gives other numbers without a word. The seal is the SHA-256
    of the file's own bytes with the seal's 64 digits as `BLANK`.
    """
    match = _SEAL.search(content)
    if match is None:
        raise ValueError("found no blank seal in the metadata")
    digest = hashlib.sha256(content).hexdigest().encode()
    return content[: match.start(1)] + digest + content[match.end(1) :]


def _matches_seal(content: bytes) -> bool | None:
    """Whether the seal is that of these bytes; None where there is no seal."""
    match = _SEAL.search(content)
    if match is None:
        return None
    digest = hashlib.sha256(content[: match.start(1)])
    digest.update(BLANK.encode() + content[match.end(1) :])
    return digest.hexdigest().encode() == match[1]


def as_metadata(metadata: Metadata, bias: np.ndarray) -> dict[str, str]:
    """What a weights file says of itself as an ONNX file's metadata: one JSON text a name.

    The hashes of what was trained on stay behind; who scores a network uses its weights file.
    """
    provenance = {k: v for k, v in metadata.provenance.items() if not k.startswith("trained_")}
    content = {
        "format": FORMATS[metadata.preprocessing.needs_format_2],
        "notice": "Research and education only, not for clinical use.",
        "classes": list(metadata.classes),
        "preprocessing": metadata.preprocessing.as_dict(),
        "provenance": provenance,
        "bias": dict(zip(metadata.classes, bias.tolist(), strict=True)),
        **_carried(metadata),
        **metadata.validation,
    }
    return {name: json.dumps(value) for name, value in content.items()}


def read_metadata(metadata: dict[str, str], path: Path) -> tuple[Metadata, np.ndarray]:
    """What `as_metadata` wrote: metadata and bias.

    Raises:
        CheckpointError: an ONNX file of somebody else.
    """
    try:
        content = {name: json.loads(text) for name, text in metadata.items()}
        form = content.pop("format")
        del content["notice"]
        classes, processing = content.pop("classes"), content.pop("preprocessing")
        provenance = content.pop("provenance")
        bias = content.pop("bias", {})
        carried = {name: content.pop(name) for name in CARRIED if name in content}
        if "mean_contributions" in carried:
            carried["mean_contributions"] = np.array(carried["mean_contributions"], np.float32)
        preprocessing = Preprocessing.from_dict(processing)
    except (KeyError, ValueError, TypeError) as error:
        raise CheckpointError(
            f"{path} was not exported by this project, so nobody knows what goes in and comes out. "
            "Make one with python -m scripts.export."
        ) from error
    if form not in FORMATS:
        raise CheckpointError(
            f"{path}: found format {form!r}, expected {FORMATS[0]!r}. Export the weights again: "
            "python -m scripts.export WEIGHTS.pth OUT.onnx"
        )
    about = Metadata(
        {name: n for n, name in enumerate(classes)}, preprocessing, provenance, content, **carried
    )
    return about, np.array([bias[name] for name in classes], np.float32)


def _carried(metadata: Metadata) -> dict[str, object]:
    fields = {name: getattr(metadata, name) for name in CARRIED}
    return {name: _listed(value) for name, value in fields.items() if value is not None}


def _listed(value: Any) -> Any:
    """Arrays and tensors, wherever they stand in dicts, as lists."""
    if isinstance(value, dict):
        return {name: _listed(inner) for name, inner in value.items()}
    return value.tolist() if hasattr(value, "tolist") else value
