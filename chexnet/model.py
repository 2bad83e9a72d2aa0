"""The network, and the one file that holds everything a reader of it needs.

Shapes: B batch, C = 1024 channels, D classes, H W pixels, h w = H/32 W/32 cells.
"""

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import nn
from torchvision.models import DenseNet121_Weights, densenet121

from chexnet.checkpoint import load_plain, load_sealed, save_sealed
from chexnet.data.download import file_sha256, optional
from chexnet.data.hub import is_offline, open_hub, reason_of
from chexnet.errors import CheckpointError
from chexnet.labels import LABELS
from chexnet.metadata import Metadata
from chexnet.transforms import Preprocessing

FORMAT = "chexnet weights 1"
FORMATS = (FORMAT, "chexnet weights 2")
"""2 where the preprocessing has a filter or a square that an older release would pass over."""
TIMM = "densenet121.ra_in1k"
"""Weights of the timm project that `--init timm` takes (RandAugment, ImageNet-1k)."""
OPTIONAL = ("trust", "validation_scores", "seen")
"""Attributes of `Metadata`, dicts, that a weights file holds only where they are not None."""

# torchvision's published DenseNet files write `norm.1` where the module has `norm1`.
_OLD_KEY = re.compile(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)")


class DenseNet121(nn.Module):
    """torchvision's DenseNet-121 with a linear head on raw logits (Huang et al., CVPR 2017).

    Its last ReLU is its own and not in place, so that the activation which heatmaps read is the
    one that the pooling sees. Parameter names are torchvision's.
    """

    def __init__(self, classes: int) -> None:
        """Random weights, head Linear(1024 -> classes)."""
        super().__init__()
        self.features = densenet121(weights=None).features
        self.classifier = nn.Linear(self.features.norm5.num_features, classes)

    def activation(self, images: torch.Tensor) -> torch.Tensor:
        """What the pooling sees: (B, 3, H, W) normalised -> (B, 1024, h, w), at least 0."""
        return torch.relu(self.features(images))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Normalised images (B, 3, H, W) -> logits (B, D).

        Under autocast the pooling and the head stay in full precision: logits rounded to
        bfloat16's 8 bits would tie with each other, and AUROC and thresholds live on their order.
        """
        pooled = self.activation(images).mean(dim=(2, 3), dtype=self.classifier.weight.dtype)
        with torch.autocast(images.device.type, enabled=False):
            logits: torch.Tensor = self.classifier(pooled)
        return logits


@dataclass(frozen=True)
class Start:
    """A network to start training from.

    Attributes:
        model: the network.
        origin: a sentence on where its weights come from.
        metadata: of the weights file that it was started from, None where there was none.
    """

    model: DenseNet121
    origin: str
    metadata: Metadata | None = None


def build(classes: dict[str, int], init: str, seed: int) -> Start:
    """A network to start training from.

    Args:
        classes: label to index.
        init: `imagenet` (torchvision's weights, downloaded once), `timm` or `timm:NAME` (a
            DenseNet-121 of the timm project on ImageNet, from the Hub), `none` (random), or a
            file: weights of this project, or torchvision's densenet121 file fetched by hand.
        seed: of the random weights (the head's at least).

    Raises:
        CheckpointError: the download or the file failed; there is no silent random start.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = DenseNet121(len(classes))
    if init == "none":
        return Start(model, "random weights")
    if init == "imagenet":
        try:
            state = densenet121(weights=DenseNet121_Weights.IMAGENET1K_V1).features.state_dict()
        except (OSError, RuntimeError) as error:  # no network, or a download cut short
            raise CheckpointError(
                "The ImageNet weights could not be downloaded. Pass --init FILE with torchvision's "
                f"{Path(DenseNet121_Weights.IMAGENET1K_V1.url).name} fetched elsewhere, or "
                "--init none to start from random weights."
            ) from error
        model.features.load_state_dict(state)
        return Start(model, "ImageNet weights (torchvision, IMAGENET1K_V1)")
    if init.partition(":")[0] == "timm":
        return _start_from_timm(model, init.partition(":")[2] or TIMM)
    return _start_from(model, classes, Path(init))


def save_weights(path: Path, model: DenseNet121, metadata: Metadata, *, half: bool = False) -> None:
    """Write the weights file: tensors, metadata and seal, atomically.

    Args:
        path: of the file.
        model: the network.
        metadata: what the file says of it.
        half: keep the parameters in float16, which halves the file. BatchNorm's running statistics
            stay in float32: a variance below 6e-5 would lose its digits.
    """
    state = dict(model.state_dict())
    if half:
        parameters = {name for name, _ in model.named_parameters()}
        state = {name: v.half() if name in parameters else v for name, v in state.items()}
    content = {
        "format": FORMATS[metadata.preprocessing.needs_format_2],
        "classes": dict(metadata.classes),
        "preprocessing": metadata.preprocessing.as_dict(),
        "state_dict": state,
    }
    _describe(content, metadata)
    save_sealed(path, content)


def update_metadata(path: Path, metadata: Metadata) -> None:
    """Write another description into a weights file, atomically; its tensors stay as they are.

    Raises:
        CheckpointError: see `load_weights`.
    """
    load_weights(path)  # refuses what is no weights file
    content = load_sealed(path)
    _describe(content, metadata)
    save_sealed(path, content)


def load_weights(path: Path) -> tuple[DenseNet121, Metadata]:
    """Read a weights file; the network is on the CPU, in float32 and in eval mode.

    Raises:
        CheckpointError: missing, damaged, no weights file, or with classes that are no labels.
    """
    content = load_sealed(path)
    if content.get("format") not in FORMATS:
        raise CheckpointError(
            f"{path} is no weights file: found {content.get('format', 'no format')!r}, expected "
            f"{FORMAT!r}. Pass a best_chexnet_params.pth."
        )
    classes = content["classes"]
    strange = sorted(set(classes) - set(LABELS))
    if strange or list(classes.values()) != list(range(len(classes))):
        raise CheckpointError(
            f"{path} has other classes than this project: found {', '.join(strange or classes)}, "
            f"expected some of {', '.join(LABELS)}."
        )
    model = DenseNet121(len(classes))
    try:
        model.load_state_dict(content["state_dict"])
        preprocessing = Preprocessing.from_dict(content["preprocessing"])
    except (RuntimeError, KeyError, TypeError, ValueError) as error:
        raise CheckpointError(f"{path} holds no DenseNet-121 of this project.") from error
    optional = {name: content[name] for name in OPTIONAL if name in content}
    means = content.get("mean_contributions")
    if not all(isinstance(value, dict) for value in optional.values()) or not (
        means is None or (isinstance(means, torch.Tensor) and means.shape[:1] == (len(classes),))
    ):
        raise CheckpointError(f"{path} holds metadata of another shape than this project writes.")
    if means is not None:
        optional["mean_contributions"] = means.numpy()
    return model.eval(), Metadata(
        classes, preprocessing, content["provenance"], content["validation"], **optional
    )


def parameters_sha256(model: DenseNet121) -> str:
    """SHA-256 of the network's tensors alone: what is said of them changes with every figure."""
    digest = hashlib.sha256()
    for name, tensor in model.state_dict().items():
        digest.update(name.encode() + tensor.cpu().numpy().tobytes())
    return digest.hexdigest()


def _start_from_timm(model: DenseNet121, name: str) -> Start:
    if not name.startswith("densenet121."):
        raise CheckpointError(
            f"--init timm:{name}: found another network, expected a DenseNet-121 as timm:{TIMM}."
        )
    hub, endpoint = open_hub()
    asked = {"repo_id": f"timm/{name}", "filename": "model.safetensors", "endpoint": endpoint}
    try:
        place = Path(hub.hf_hub_download(**asked, token=False, local_files_only=is_offline()))
    except Exception as error:  # huggingface_hub's, httpx's and the system's, of many bases
        raise CheckpointError(
            f"--init timm: timm/{name} could not be fetched from the Hub: {reason_of(error)}. Pass "
            "--init FILE with weights fetched elsewhere, or --init none for random ones."
        ) from error
    digest = place.resolve().name  # the cache calls a large file by its SHA-256
    try:
        if len(digest) == 64 and digest != file_sha256(place):
            raise ValueError("another SHA-256 than was published")
        state = optional("safetensors.torch", "networks").load_file(place)
        features = {k[9:]: v for k, v in state.items() if k.startswith("features.")}
        model.features.load_state_dict(features)
    except Exception as error:  # SafetensorError is no subclass of what the others raise
        raise CheckpointError(
            f"--init timm: {place} is damaged or no DenseNet-121 ({str(error)[:80]}). Remove it "
            "and give the same command again."
        ) from error
    return Start(model, f"ImageNet weights (timm, {name})")


def _start_from(model: DenseNet121, classes: dict[str, int], path: Path) -> Start:
    if not path.is_file():
        raise CheckpointError(
            f"--init: found no file {path}, expected imagenet, none or a weights file."
        )
    content = load_plain(path, legacy=True)
    if isinstance(content, dict) and content.get("format") in FORMATS:
        other, metadata = load_weights(path)
        model.features.load_state_dict(other.features.state_dict())
        shared = [name for name in classes if name in metadata.classes]
        with torch.no_grad():
            for name in shared:
                row, source = classes[name], metadata.classes[name]
                model.classifier.weight[row] = other.classifier.weight[source]
                model.classifier.bias[row] = other.classifier.bias[source]
        head = f"its head for {len(shared)} of {len(classes)} classes"
        return Start(model, f"{path.name} (and {head})", metadata)
    try:
        renamed = {_OLD_KEY.sub(r"\1\2", key): value for key, value in content.items()}
        features = {k[9:]: v for k, v in renamed.items() if k.startswith("features.")}
        model.features.load_state_dict(features)
    except (RuntimeError, AttributeError, TypeError) as error:
        raise CheckpointError(
            f"{path} holds no DenseNet-121. Pass --init a best_chexnet_params.pth or "
            "torchvision's densenet121 file."
        ) from error
    return Start(model, f"{path.name} (features only)")


def _describe(content: dict[str, Any], metadata: Metadata) -> None:
    content["provenance"], content["validation"] = metadata.provenance, metadata.validation
    content |= {k: getattr(metadata, k) for k in OPTIONAL if getattr(metadata, k) is not None}
    if metadata.mean_contributions is not None:
        content["mean_contributions"] = torch.from_numpy(metadata.mean_contributions.copy())
