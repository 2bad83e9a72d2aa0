"""Tells whose network a file holds, and gives its tensors torchvision's names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chexnet.errors import CheckpointError
from chexnet.model import FORMATS
from chexnet.networks.calls import Placeholder, shown

# torchvision's files of 2017 write `norm.1` where the module has `norm1`.
_OLD_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
FIRST = "features.conv0.weight"
HEAD = ("classifier.weight", "classifier.bias")


@dataclass(frozen=True)
class Found:
    """Tensors of a file under torchvision's names.

    Attributes:
        tensors: name to tensor.
        named: name to the name that the file has for it.
        layout: one of `LAYOUTS`.
        thresholds: the publisher's own, one an output, None where the file has none.
    """

    tensors: dict[str, Any]
    named: dict[str, str]
    layout: str
    thresholds: torch.Tensor | None = None


def state_of(file: Path, content: Any) -> dict[str, Any]:
    """Name to tensor, wherever in the file they stand, without the prefix of `DataParallel`.

    Raises:
        CheckpointError: a file of this project, or one that holds no tensors by name.
    """
    if isinstance(content, dict) and content.get("format") in FORMATS:
        raise CheckpointError(f"{file} is a weights file of this project: pass it as it is.")
    if isinstance(content, dict) and {"fingerprints", "at", "processes"} <= set(content):
        raise CheckpointError(
            f"{file} is a training checkpoint of this project: pass the best_chexnet_params.pth "
            "beside it to --weights."
        )
    state = unwrapped(content)
    if isinstance(state, Placeholder):
        state = _module_state(state)
    if not isinstance(state, dict) or not any(isinstance(v, torch.Tensor) for v in state.values()):
        held = ", ".join(map(shown, state)) if isinstance(state, dict) else repr(state)[:80]
        raise CheckpointError(
            f"{file} holds no network: found {held[:200] or 'nothing'}, expected tensors by name, "
            "also under model or state_dict, or a pickled module."
        )
    strange = [key for key in state if not isinstance(key, str)]
    if strange:
        raise CheckpointError(f"{file}: found {shown(strange[0])} for the name of a tensor.")
    if all(key.startswith("module.") for key in state):
        state = {key.removeprefix("module."): value for key, value in state.items()}
    return state


def unwrapped(content: Any) -> Any:
    """What stands under `state_dict` or `model`, else the whole."""
    if isinstance(content, dict):
        for key in ("state_dict", "model"):
            if isinstance(content.get(key), dict | Placeholder):
                return content[key]
    return content


def _module_state(module: Placeholder, prefix: str = "") -> dict[str, Any]:
    """What `state_dict()` of a pickled module would have given."""
    found: dict[str, Any] = {}
    passing = module.state.get("_non_persistent_buffers_set")
    passing = passing if isinstance(passing, set | list | tuple) else ()
    for kind in ("_parameters", "_buffers"):
        own = module.state.get(kind)
        for name, value in own.items() if isinstance(own, dict) else ():
            if value is not None and name not in passing:
                found[f"{prefix}{name}"] = value
    children = module.state.get("_modules")
    for name, child in children.items() if isinstance(children, dict) else ():
        if isinstance(child, Placeholder):
            found |= _module_state(child, f"{prefix}{name}.")
    return found


def recognise(file: Path, state: dict[str, Any], layout: str) -> Found:
    """Torchvision's names for the tensors of a known layout.

    Raises:
        CheckpointError: no DenseNet-121, another layout than asked for, or two tensors of one name.
    """
    renamed = {key: _OLD_KEY.sub(r"\1\2", key) for key in state}
    is_2017 = any(name.startswith(("densenet121.", "classifier.0.")) for name in state)
    if is_2017:
        for key, name in renamed.items():
            name = name.removeprefix("densenet121.")
            renamed[key] = name.replace("classifier.0.", "classifier.", 1)
    tensors: dict[str, Any] = {}
    named: dict[str, str] = {}
    for key, name in renamed.items():
        if name in tensors:
            raise CheckpointError(
                f"{file}: found {shown(named[name])} and {shown(key)} for one tensor."
            )
        tensors[name], named[name] = state[key], key
    first = tensors.get(FIRST)
    if not isinstance(first, torch.Tensor):
        raise CheckpointError(f"{file} holds no DenseNet-121: {_looks_like(state)}.")
    grey = first.ndim == 4 and first.shape[1] == 1
    seems = "chexnet-2017" if is_2017 else "torchxrayvision" if grey else "torchvision"
    if layout not in ("auto", seems):
        raise CheckpointError(f"{file}: found the layout {seems}, expected {layout}.")
    thresholds = None
    if seems == "torchxrayvision":
        # No weight: what the package compares its scores with.
        thresholds = tensors.pop("op_threshs", None)
    return Found(tensors, named, seems, _one_each(file, thresholds, tensors))


def _one_each(file: Path, thresholds: Any, tensors: Mapping[str, Any]) -> torch.Tensor | None:
    if thresholds is None:
        return None
    bias = tensors.get(HEAD[1])
    if not isinstance(thresholds, torch.Tensor) or not isinstance(bias, torch.Tensor):
        raise CheckpointError(f"{file}: op_threshs is no tensor, or there is no classifier.bias.")
    if thresholds.shape != bias.shape or not thresholds.is_floating_point():
        raise CheckpointError(
            f"{file}: op_threshs: found {kind_of(thresholds)}, expected one for each of "
            f"{len(bias)} outputs."
        )
    return thresholds


def _looks_like(state: Mapping[str, Any]) -> str:
    if "layer1.0.conv1.weight" in state:
        return "it is a ResNet"
    if any(key.startswith(("blocks.0.attn", "vit.", "layers.0.blocks")) for key in state):
        return "it is a transformer"
    return f"found tensors like {shown(next(iter(state)))}, expected {FIRST}"


def kind_of(tensor: torch.Tensor) -> str:
    """Shape and type for a message: `64 x 3 x 7 x 7 of float32`."""
    sides = " x ".join(map(str, tensor.shape)) or "one value"
    return f"{sides} of {str(tensor.dtype).removeprefix('torch.')}"
