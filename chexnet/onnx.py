"""The network on ONNX Runtime: a file that `chexnet.export` wrote, read without torch.

Shapes: B batch, D classes, h w cells.
"""

import hashlib
import json
import os
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import numpy as np
import platformdirs
from filelock import FileLock

from chexnet.card import Card
from chexnet.errors import CheckpointError, ConfigError, ExportError
from chexnet.files import sweep, write_text
from chexnet.transforms import Preprocessing

VERSION = 1
FORMAT = f"chexnet onnx {VERSION}"
KEPT = 4
"""Exported files that stay in the cache, 29 MB each; the longest unused go first."""


class OnnxEngine:
    """Answers for items, on the CPU. Threads may share it.

    Attributes:
        name: of the engine, for a reader.
        card: what the file says of itself.
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
        self.card = read_card(self._session.get_modelmeta().custom_metadata_map, path)
        self.name = f"ONNX Runtime {onnxruntime.__version__}"

    def __call__(self, items: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Items uint8 (B, size, size) -> logits (B, D), heatmaps (B, D, h, w), float32."""
        logits, heatmaps = self._session.run(["logits", "heatmaps"], {"pixels": items[:, None]})
        return logits, heatmaps


def as_metadata(card: Card) -> dict[str, str]:
    """A card as an ONNX file's metadata: one JSON text a name.

    The hashes of what was trained on stay behind; who scores a network uses its weights file.
    """
    told = {k: v for k, v in card.provenance.items() if not k.startswith("trained_")}
    processing = card.preprocessing
    content = {
        "format": FORMAT,
        "notice": "Research and education only, not for clinical use.",
        "classes": list(card.classes),
        "preprocessing": {
            "crop": processing.crop,
            "size": processing.size,
            "mean": processing.mean,
            "std": processing.std,
        },
        "provenance": told,
        **card.validation,
    }
    return {name: json.dumps(value) for name, value in content.items()}


def read_card(metadata: dict[str, str], path: Path) -> Card:
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
    return Card({name: n for n, name in enumerate(classes)}, preprocessing, provenance, content)


def cached(weights: Path, on_export: Callable[[], None] | None = None) -> OnnxEngine:
    """Open the export of a weights file; it is made when it is first asked for.

    It lies in the user's cache folder under the SHA-256 of the weights, so that it can never be of
    other weights.

    Args:
        weights: a weights file.
        on_export: called before an export, which takes about 20 s.

    Raises:
        CheckpointError: damaged weights, or they changed meanwhile.
        ExportError: they cannot be exported, or could not the last time.
        OSError: the weights or the cache cannot be read or written.
    """
    folder = platformdirs.user_cache_path("chexnet") / "onnx"
    folder.mkdir(parents=True, exist_ok=True)
    with FileLock(folder / ".lock"):
        sweep(folder)
        mark = mark_of(weights)
        place, refused = (folder / f"{mark}-{VERSION}{end}" for end in (".onnx", ".refused"))
        if refused.exists():
            raise ExportError(refused.read_text(encoding="utf-8"))
        if place.exists():
            os.utime(place)
            with suppress(CheckpointError):  # a damaged one is made again
                return OnnxEngine(place)
        from chexnet.export import export

        if on_export:
            on_export()
        try:
            export(weights, place)
        except ExportError as error:
            write_text(refused, str(error))  # or every start would try again
            raise
        if mark_of(weights) != mark:  # a training run has written better ones meanwhile
            place.unlink()
            raise CheckpointError(f"{weights} has changed while it was read. Try again.")
        for old in sorted(folder.glob("*.onnx"), key=_used)[:-KEPT]:
            old.unlink(missing_ok=True)
        return OnnxEngine(place)


def mark_of(weights: Path) -> str:
    """The beginning of a file's SHA-256, 32 hex digits."""
    with weights.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()[:32]


def cores() -> int:
    """Cores that this process may use: OMP_NUM_THREADS where it is set, as torchrun does."""
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _used(path: Path) -> float:
    return path.stat().st_mtime
