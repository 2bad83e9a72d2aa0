"""Turns a file of a known layout into a weights file of ours, every tensor accounted for.

Nothing is loaded leniently: a tensor that is missing, left over, of another shape or of another
type is refused by its name, so that no layer keeps random numbers in silence. Files of before
torch 0.4.1 have no `num_batches_tracked`, which no inference reads; those alone may be missing.

Shapes: D classes of the result, K outputs in the file.
"""

import hashlib
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chexnet.errors import CheckpointError, ConfigError
from chexnet.labels import FINDINGS, LABELS
from chexnet.metadata import Metadata, code_version
from chexnet.model import DenseNet121, save_weights
from chexnet.networks.layouts import FIRST, HEAD, Found, kind_of, locate, recognise
from chexnet.networks.registry import LAYOUTS, PublishedNetwork, load_registry
from chexnet.networks.tensors import read_tensors
from chexnet.networks.training_lists import seen_by
from chexnet.pickles import shown
from chexnet.transforms import Preprocessing

NIH14 = (
    "Atelectasis Cardiomegaly Effusion Infiltration Mass Nodule Pneumonia Pneumothorax "
    "Consolidation Edema Emphysema Fibrosis Pleural_Thickening Hernia"
).split()
"""NIH's order, as the table's readme and most training code have it."""
XRV18 = (
    *"Atelectasis Consolidation Infiltration Pneumothorax Edema Emphysema Fibrosis".split(),
    *"Effusion Pneumonia Pleural_Thickening Cardiomegaly Nodule Mass Hernia".split(),
    *("Lung Lesion", "Fracture", "Lung Opacity", "Enlarged Cardiomediastinum"),
)
"""torchxrayvision's; the last four are none of ours, and empty in its NIH network."""
ORDERS: dict[str, tuple[str, ...]] = {
    "nih14": tuple(NIH14),
    "alphabetical14": tuple(sorted(NIH14)),
    "xrv18": XRV18,
}
_COUNTER = "num_batches_tracked"
NO_CLASS = "-"
"""In an order: an output that is left out."""

USUAL: dict[str, Preprocessing] = {
    "torchvision": Preprocessing(87.5, 224, keep_aspect=True),
    "torchxrayvision": Preprocessing(100, 224, (0.5,) * 3, (1 / 2048,) * 3, keep_aspect=True),
    "chexnet-2017": Preprocessing(87.5, 224, keep_aspect=True),
}
"""What is assumed where no registry entry says it: the layout's own publisher's."""


def import_network(
    file: Path,
    out: Path,
    *,
    layout: str = "auto",
    classes: str | None = None,
    network: PublishedNetwork | None = None,
) -> Metadata:
    """Read somebody else's DenseNet-121 and write it as a weights file of ours.

    Args:
        file: of the network; see `read_tensors`.
        out: the weights file to write, atomically.
        layout: one of `LAYOUTS`, or `auto`: what the names in the file say.
        classes: order of the outputs: `nih14`, `alphabetical14`, `xrv18`, or names with commas
            (`-` leaves an output out); None takes the registry's, or the layout's.
        network: what is known of it; None looks the file's SHA-256 up in the registry.

    Returns:
        What the weights file says of itself.

    Raises:
        CheckpointError: the file is damaged, hostile, or no such network; a tensor is named.
        ConfigError: an option is unknown, or nobody has said in which order the classes are.
    """
    if layout not in ("auto", *LAYOUTS):
        raise ConfigError(f"--layout: found {layout!r}, expected auto, {', '.join(LAYOUTS)}.")
    content = read_tensors(file)
    with file.open("rb") as opened:
        digest = hashlib.file_digest(opened, "sha256").hexdigest()
    network = network or _known(digest)
    if network and network.sha256 and network.sha256 != digest:
        raise CheckpointError(
            f"{file} is not the file of {network.name}: found SHA-256 {digest}, expected "
            f"{network.sha256}. Fetch it again, or import it without naming the network."
        )
    if layout == "auto" and network:
        layout = network.layout
    if out.exists() and out.samefile(file):
        raise ConfigError(f"--out: found {out}, the file itself. Pass another name.")
    located = locate(file, content)
    recognised = recognise(file, located.state, layout)
    order = _order(file, recognised, classes or (network.classes if network else None))
    _agree(file, order, located.module.get("pathologies"))
    model, rows = _model(file, recognised, order)
    names = {order[row]: index for index, row in enumerate(rows)}
    validation: dict[str, Any] = {}
    thresholds = network.thresholds if network else None
    if thresholds is None and recognised.thresholds is not None:
        own = {order[row]: float(recognised.thresholds[row]) for row in rows}
        thresholds = {name: value for name, value in own.items() if 0 < value < 1}
    if thresholds:
        validation["publisher_thresholds"] = {n: thresholds.get(n) for n in names}
    metadata = Metadata(
        names,
        network.preprocessing if network else USUAL[recognised.layout],
        _provenance(file, digest, recognised.layout, network)
        | {"place": located.place, "prefix": recognised.prefix},
        validation,
        seen=seen_by(network.seen if network else "unknown"),
    )
    save_weights(out, model, metadata)
    return metadata


def class_order(text: str) -> tuple[str, ...]:
    """The names of an order: `nih14`, `alphabetical14`, `xrv18`, or names with commas.

    Raises:
        ConfigError: a name that is none of ours, or one that stands there twice.
    """
    if text in ORDERS:
        return ORDERS[text]
    known = {_simple(name): name for name in LABELS} | {NO_CLASS: NO_CLASS}
    names = [known.get(_simple(name), name.strip()) for name in text.split(",")]
    strange = [name for name in names if name not in known.values()]
    if strange:
        raise ConfigError(
            f"--classes: found {strange[0]!r}, expected nih14, alphabetical14, or names with "
            f"commas, each one of {', '.join(LABELS)}, or {NO_CLASS} for an output to leave out."
        )
    twice = [name for name in names if name != NO_CLASS and names.count(name) > 1]
    if twice:
        raise ConfigError(f"--classes: {twice[0]} stands there twice.")
    return tuple(names)


def _simple(name: str) -> str:
    return name.strip().lower().replace("_", " ")


def _known(digest: str) -> PublishedNetwork | None:
    return next((network for network in load_registry().values() if network.sha256 == digest), None)


def _provenance(
    file: Path, digest: str, layout: str, network: PublishedNetwork | None
) -> dict[str, Any]:
    told: dict[str, Any] = {"title": None, "source": None, "licence": None, "seen_note": None}
    told |= {"published": None, "published_source": None, "chosen_on": None, "tried": False}
    if network:
        told = {name: getattr(network, name) for name in told}
    where = f" ({network.source})" if network else ""
    return {
        "origin": f"{network.name if network else 'another project'}{where}, file {file.name}",
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(),
        "network": network.name if network else None,
        "layout": layout,
        "file": file.name,
        "sha256": digest,
        **told,
    }


# --- its classes ------------------------------------------------------------------------------


def _order(file: Path, recognised: Found, text: str | None) -> tuple[str, ...]:
    bias = recognised.tensors.get(HEAD[1])
    outputs = len(bias) if isinstance(bias, torch.Tensor) and bias.ndim == 1 else None
    if outputs == 1000:
        raise CheckpointError(
            f"{file} has 1,000 outputs, ImageNet's classes: it knows no finding. Train from it: "
            "pass it to python -m scripts.train as --init."
        )
    if text is None and recognised.layout == "torchxrayvision":
        text = "xrv18"
    if text is None:
        raise ConfigError(
            f"{file} does not say which of its {outputs or 'missing'} outputs is which finding. "
            "Pass --classes nih14, alphabetical14 or NAME,NAME,... as its publisher states it, or "
            "--network NAME where it is in the registry."
        )
    order = class_order(text)
    if outputs is not None and outputs != len(order):
        raise CheckpointError(
            f"{file}: {shown(recognised.named[HEAD[1]])}: found {outputs} outputs, expected "
            f"{len(order)} for the classes {text[:60]}."
        )
    return order


def _agree(file: Path, order: Sequence[str], stated: Any) -> None:
    """Refuse an order that differs from what torchxrayvision's module says itself."""
    named = stated if isinstance(stated, list | tuple) else ()
    for number, (name, own) in enumerate(zip(order, named, strict=False), 1):
        if isinstance(own, str) and own and name != NO_CLASS and own != name:
            raise CheckpointError(
                f"{file}: output {number}: found {shown(own)} in the file, expected {name}."
            )


# --- its tensors -----------------------------------------------------------------------------


def _model(file: Path, recognised: Found, order: Sequence[str]) -> tuple[DenseNet121, list[int]]:
    """The network with the rows of those outputs that are classes of ours."""
    model = DenseNet121(len(order))
    expected = model.state_dict()
    _compare(file, recognised, expected)
    state = dict(recognised.tensors)
    if recognised.layout == "torchxrayvision":
        state[FIRST] = _folded(state[FIRST])
    rows = [row for row, name in enumerate(order) if name in LABELS]
    if not set(order) & set(FINDINGS):
        raise ConfigError("--classes: found no finding of ours among them.")
    for name in HEAD:
        state[name] = state[name][rows]
    if len(rows) < len(order):
        model.classifier = nn.Linear(model.classifier.in_features, len(rows))
    counters = {name: value for name, value in expected.items() if name.endswith(_COUNTER)}
    model.load_state_dict(counters | state)
    return model.eval(), rows


def _compare(file: Path, recognised: Found, expected: Mapping[str, torch.Tensor]) -> None:
    """Refuse the first tensor that is not what a DenseNet-121 has."""

    def refuse(name: str, says: str) -> None:
        raise CheckpointError(f"{file}: {shown(recognised.named.get(name, name))}: {says}.")

    for name in recognised.tensors:
        if name not in expected:
            refuse(name, "no DenseNet-121 has a tensor of that name")
    for name, wanted in expected.items():
        if name not in recognised.tensors:
            if not name.endswith(_COUNTER):
                refuse(name, "it is missing")
            continue
        given = recognised.tensors[name]
        if not isinstance(given, torch.Tensor):
            refuse(name, f"found {given!r:.80}, expected a tensor")
        if name == FIRST and recognised.layout == "torchxrayvision":
            wanted = wanted[:, :1]  # folded into three channels afterwards
        if given.shape != wanted.shape or given.dtype != wanted.dtype:
            refuse(name, f"found {kind_of(given)}, expected {kind_of(wanted)}")
        if given.is_floating_point() and not bool(torch.isfinite(given).all()):
            refuse(name, "found values that are no finite numbers")
        if name.endswith("running_var") and bool((given < 0).any()):
            refuse(name, "found a variance below 0")


def _folded(weight: torch.Tensor) -> torch.Tensor:
    """A convolution of one channel as one of three that all hold that channel: (C, 1) -> (C, 3)."""
    return (weight / 3).repeat(1, 3, 1, 1)
