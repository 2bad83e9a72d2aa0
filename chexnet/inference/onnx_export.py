"""Writes a network as one ONNX graph: stored pixels in, logits and contributions out.

Shapes: B batch, D classes, H W pixels, h w cells.
"""

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from chexnet.errors import ConfigError, ExportError
from chexnet.evaluation.metrics import sigmoid
from chexnet.explain import explain
from chexnet.files import replacing
from chexnet.inference.onnx_runtime import BLANK, OnnxEngine, as_metadata, seal
from chexnet.model import DenseNet121, load_weights, parameters_sha256
from chexnet.rng import keyed_generator
from chexnet.transforms import Preprocessing, normalise

TOLERANCE = 1e-4
"""Greatest difference from PyTorch, in a probability or in a heatmap's cell (measured: 4e-5)."""
DIGITS = 3e-6
"""The same, as a share of the greatest cell, where cells reach hundreds of logits: float32 has no
more (1.2e-6 with random weights behind torchxrayvision's input, whose cells reach 1,000)."""


def export(weights: Path, out: Path, *, compact: bool = False) -> None:
    """Write the weights as ONNX; nothing is written that answers otherwise than PyTorch.

    Input `pixels`, uint8 (B, 1, H, W) after crop and resize: normalisation is part of the graph,
    so that nobody can guess it wrong. Outputs `logits` (B, D) and `contributions`
    (B, D, h, w), float32; see `chexnet.explain`. B is free. For what the file says of itself see
    `onnx_runtime.as_metadata`.

    Args:
        weights: a weights file.
        out: of the ONNX file.
        compact: for a file that is shipped. Tensors that half precision holds exactly are stored
            so, which halves weights that were stored in it (`save_weights`); the file is sealed,
            and says from which tensors it was made. ONNX Runtime takes 0.2 s more to load it.

    Raises:
        ChexnetError: no weights, or the file cannot be written.
        ExportError: PyTorch cannot export it, or the graph differs by more than 1e-4.
        ConfigError: a package for exporting is not installed.
    """
    try:
        import onnx
        import onnxscript  # noqa: F401 - torch's exporter needs it and says so only late
    except ImportError as error:
        raise ConfigError(
            f"Exporting needs the package {error.name}. pip install onnx onnxscript."
        ) from error
    model, metadata = load_weights(weights)
    model.requires_grad_(False)
    size = metadata.preprocessing.size
    graph = _Graph(model, metadata.preprocessing).eval()
    example = torch.zeros(2, 1, size, size, dtype=torch.uint8)
    try:
        with _quiet(), torch.no_grad():
            program = torch.onnx.export(
                graph,
                (example,),
                dynamo=True,
                # Optimising folds BatchNorm into convolutions, whose weights then need 32 bits.
                optimize=not compact,
                input_names=["pixels"],
                output_names=["logits", "contributions"],
                dynamic_shapes={"pixels": {0: torch.export.Dim("batch")}},
            )
            if program is not None and compact:
                _fold_constants(program.model)
    except Exception as error:  # the exporter's errors have no class in common
        raise ExportError(
            f"PyTorch could not export {weights} ({type(error).__name__}). Use the weights file."
        ) from error
    if program is None:
        raise ExportError(f"PyTorch could not export {weights}. Use the weights file.")
    proto = program.model_proto
    about = as_metadata(metadata, model.classifier.bias.numpy())
    if compact:
        proto = _compacted(proto)
        about |= {"parameters_sha256": json.dumps(parameters_sha256(model))}
        about |= {"seal": json.dumps(BLANK)}
    onnx.helper.set_model_props(proto, about)
    content = proto.SerializeToString()
    with replacing(out) as temporary:
        temporary.write_bytes(seal(content) if compact else content)
        _compare(model, metadata.preprocessing, temporary)


def _fold_constants(graph: Any) -> None:
    """Compute what depends on no input; the optimiser would also fuse layers."""
    from onnxscript.optimizer import fold_constants, remove_unused_nodes

    fold_constants(graph)
    remove_unused_nodes(graph)


def _compacted(proto: Any) -> Any:
    """The graph with its float32 tensors in half precision where that changes no value.

    The exporter's notes go: they name files of the machine, and take 1 MB.
    """
    from onnx import TensorProto, helper, numpy_helper

    graph = proto.graph
    del graph.value_info[:], proto.metadata_props[:], graph.metadata_props[:]
    casts = []
    for part in (*graph.input, *graph.output, *graph.node, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
    for tensor in graph.initializer:
        values = numpy_helper.to_array(tensor)
        if values.dtype != np.float32 or not values.ndim:
            continue
        with np.errstate(over="ignore"):
            half = values.astype(np.float16)
        if np.array_equal(half, values):
            name = tensor.name
            tensor.CopyFrom(numpy_helper.from_array(half, f"{name}_half"))
            casts.append(helper.make_node("Cast", [tensor.name], [name], to=TensorProto.FLOAT))
    nodes = [*casts, *graph.node]
    del graph.node[:]
    graph.node.extend(nodes)
    return proto


class _Graph(nn.Module):
    """What is exported."""

    scale: torch.Tensor
    shift: torch.Tensor

    def __init__(self, model: DenseNet121, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.model = model
        std, mean = (
            torch.tensor(v).view(1, 3, 1, 1) for v in (preprocessing.std, preprocessing.mean)
        )
        self.register_buffer("scale", 1 / (255 * std))
        self.register_buffer("shift", -mean / std)

    def forward(self, pixels: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        images = pixels.float() * self.scale + self.shift
        activation = self.model.activation(images)
        cells = activation.shape[-2] * activation.shape[-1]
        # What each cell adds to each logit is a 1 x 1 convolution, see chexnet.explain.
        weight = self.model.classifier.weight[:, :, None, None] / cells
        contributions = F.conv2d(activation, weight)
        return self.model.classifier(activation.mean(dim=(2, 3))), contributions


def _compare(model: DenseNet121, preprocessing: Preprocessing, path: Path) -> None:
    items = _trial_items(preprocessing.size)
    with torch.inference_mode():
        inputs = normalise(torch.from_numpy(items)[:, None], preprocessing)
    expected = explain(model, inputs)
    engine = OnnxEngine(path)
    for count in (len(items), 1):  # the batch is free
        logits, contributions = engine(items[:count])
        probability = np.abs(sigmoid(logits) - sigmoid(expected.logits.numpy()[:count])).max()
        cells = contributions.shape[-2] * contributions.shape[-1]  # to the scale of a heatmap
        reference = expected.contributions.numpy()[:count]
        cell = cells * np.abs(contributions - reference).max()
        allowed = max(TOLERANCE, DIGITS * cells * float(np.abs(reference).max()))
        if not (probability <= TOLERANCE and cell <= allowed):  # NaN as well
            raise ExportError(
                "ONNX Runtime differs from PyTorch: found "
                f"{probability:.1e} in a probability and {cell:.1e} in a heatmap's cell, expected "
                f"at most {TOLERANCE:.0e} and {allowed:.0e}. Nothing was written; use the "
                "weights file itself."
            )


def _trial_items(size: int) -> np.ndarray:
    """Pictures to compare on, uint8 (4, size, size): black, a ramp, noise, and a soft pattern."""
    random = keyed_generator("export", 0, "trial")
    ramp = np.linspace(0, 255, size)
    soft = 127 + 100 * np.sin(ramp / 9)[:, None] * np.cos(ramp / 17)
    pictures = (np.zeros((size, size)), np.tile(ramp, (size, 1)), soft)
    noise = random.integers(0, 256, (size, size))
    return np.stack([*pictures, noise]).astype(np.uint8)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporter's progress marks and notes to itself."""
    log = logging.getLogger("torch.onnx")
    level = log.level
    log.setLevel(logging.ERROR)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        log.setLevel(level)
