"""Tells whose network a file holds, and gives its tensors torchvision's names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from chexnet.errors import CheckpointError
from chexnet.model import FORMATS
from chexnet.pickles import StandIn, shown

# torchvision's files of 2017 write `norm.1` where the module has `norm1`.
_OLD_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")
# A head in a Sequential, beside what has no weights: Dropout before it, a Sigmoid behind it.
_HEAD_KEY = re.compile(r"classifier\.(\d+)\.(weight|bias)")
FIRST = "features.conv0.weight"
HEAD = ("classifier.weight", "classifier.bias")
USUAL_KEYS = ("state_dict", "model")
"""Where several parts of a file hold weights, such as an average beside them, these are meant."""


@dataclass(frozen=True)
class Located:
    """Tensors by name, and where in a file they stand.

    Attributes:
        state: name to tensor.
        place: keys that lead there, with slashes; empty for the whole file.
        module: attributes of the pickled module that they are of, empty where there is none.
    """

    state: dict[str, Any]
    place: str
    module: Mapping[str, Any]


@dataclass(frozen=True)
class Found:
    """Tensors of a file under torchvision's names.

    Attributes:
        tensors: name to tensor.
        named: name to the name that the file has for it.
        layout: one of `LAYOUTS`.
        prefix: what every name in the file began with.
        thresholds: the publisher's own, one an output, None where the file has none.
    """

    tensors: dict[str, Any]
    named: dict[str, str]
    layout: str
    prefix: str
    thresholds: torch.Tensor | None = None


def locate(file: Path, content: Any) -> Located:
    """The one network of a file, wherever in it its tensors stand.

    Raises:
        CheckpointError: a file of this project, or one that holds no network, or several.
    """
    if isinstance(content, dict) and content.get("format") in FORMATS:
        raise CheckpointError(f"{file} is a weights file of this project: pass it as it is.")
    if isinstance(content, dict) and {"fingerprints", "at", "processes"} <= set(content):
        raise CheckpointError(
            f"{file} is a training checkpoint of this project: pass the best_chexnet_params.pth "
            "beside it to --weights."
        )
    networks = _networks(content, "")
    dense = [network for network in networks if any(key.endswith(FIRST) for key in network.state)]
    networks = dense or networks
    if not networks:
        held = ", ".join(map(shown, content)) if isinstance(content, dict) else shown(content)
        raise CheckpointError(
            f"{file} holds no network: found {held[:200] or 'nothing'}, expected tensors by name, "
            "also within dicts, or a pickled module."
        )
    usual = [network for key in USUAL_KEYS for network in networks if network.place == key]
    if len(networks) > 1 and not usual:
        places = ", ".join(shown(network.place) for network in networks)
        raise CheckpointError(
            f"{file} holds several networks: {places[:200]}. Save one of them alone: "
            f"torch.save(torch.load(FILE)[{places.split(',')[0]!r}], NEW)"
        )
    return (usual or networks)[0]


def _networks(content: Any, place: str) -> list[Located]:
    """Each part that holds weights by name."""
    module = content.state if isinstance(content, StandIn) else {}
    state = _module_state(content) if isinstance(content, StandIn) else content
    if not isinstance(state, dict):
        return []
    named = {key: value for key, value in state.items() if isinstance(key, str)}
    if any(k.endswith(".weight") and isinstance(v, torch.Tensor) for k, v in named.items()):
        if len(named) < len(state):
            named["a key that is no text"] = None  # refused by its name
        return [Located(named, place, module)]
    return [
        network
        for key, value in named.items()
        for network in _networks(value, f"{place}/{key}" if place else key)
    ]


def _module_state(module: StandIn, prefix: str = "") -> dict[str, Any]:
    """What `state_dict()` of a pickled module would have given."""
    state: dict[str, Any] = {}
    passing = module.state.get("_non_persistent_buffers_set")
    passing = passing if isinstance(passing, set | list | tuple) else ()
    for kind in ("_parameters", "_buffers"):
        own = module.state.get(kind)
        for name, value in own.items() if isinstance(own, dict) else ():
            if value is not None and name not in passing:
                state[f"{prefix}{name}"] = value
    children = module.state.get("_modules")
    for name, child in children.items() if isinstance(children, dict) else ():
        if isinstance(child, StandIn):
            state |= _module_state(child, f"{prefix}{name}.")
    return state


def recognise(file: Path, state: dict[str, Any], layout: str) -> Found:
    """Torchvision's names for the tensors of a known layout.

    Raises:
        CheckpointError: no DenseNet-121, two of them, another layout than asked for, or two tensors
            of one name.
    """
    prefixes = [key.removesuffix(FIRST) for key in state if key.endswith(FIRST)]
    if not prefixes:
        raise CheckpointError(f"{file} holds no DenseNet-121: {_looks_like(state)}.")
    if len(prefixes) > 1:
        several = " and ".join(shown(start) or "no prefix" for start in prefixes[:4])
        raise CheckpointError(f"{file} holds several networks: {several}. Save one of them alone.")
    (prefix,) = prefixes
    heads = {match[1] for key in state if (match := _HEAD_KEY.fullmatch(key.removeprefix(prefix)))}
    is_2017 = prefix.endswith("densenet121.") or heads == {"0"}
    tensors: dict[str, Any] = {}
    named: dict[str, str] = {}
    for key, tensor in state.items():
        if not key.startswith(prefix):
            raise CheckpointError(
                f"{file}: {shown(key)}: no DenseNet-121 has a tensor of that name; the others "
                f"begin with {shown(prefix)}."
            )
        name = _OLD_KEY.sub(r"\1\2", key.removeprefix(prefix))
        if len(heads) == 1:
            name = _HEAD_KEY.sub(r"classifier.\2", name)
        if name in tensors:
            raise CheckpointError(
                f"{file}: found {shown(named[name])} and {shown(key)} for one tensor."
            )
        if isinstance(tensor, torch.Tensor) and tensor.dtype in (torch.float16, torch.bfloat16):
            tensor = tensor.float()
        tensors[name], named[name] = tensor, key
    first = tensors.get(FIRST)
    grey = isinstance(first, torch.Tensor) and first.ndim == 4 and first.shape[1] == 1
    seems = "chexnet-2017" if is_2017 else "torchxrayvision" if grey else "torchvision"
    if layout not in ("auto", seems):
        raise CheckpointError(f"{file}: found the layout {seems}, expected {layout}.")
    thresholds = None
    if seems == "torchxrayvision":
        # No weight: what the package compares its scores with.
        thresholds = tensors.pop("op_threshs", None)
    return Found(tensors, named, seems, prefix, _one_each(file, thresholds, tensors))


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
