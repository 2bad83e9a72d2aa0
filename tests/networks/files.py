"""Files of published layouts with random weights, and the networks that they are of."""

import re
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from chexnet import model


def random_network(classes: int = 14, channels: int = 3, seed: int = 0) -> nn.Module:
    """torchvision's own DenseNet, whose BatchNorm has seen something, in eval mode.

    DenseNet-121, or the tiny one where that stands for it.
    """
    torch.manual_seed(seed)
    network = model.densenet121(num_classes=classes)
    if channels != 3:
        outputs = network.features.conv0.out_channels
        network.features.conv0 = nn.Conv2d(channels, outputs, 7, stride=2, padding=3, bias=False)
    for name, buffer in network.named_buffers():
        if name.endswith("running_mean"):
            buffer.normal_(0, 0.1)
        elif name.endswith("running_var"):
            buffer.uniform_(0.5, 1.5)
        else:
            buffer.fill_(7)
    return network.eval()


class Chexnet2017(nn.Module):
    """The module of arnoweng/CheXNet and zoogzog/chexnet, written anew from its description."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.densenet121 = network
        self.densenet121.classifier = nn.Sequential(network.classifier, nn.Sigmoid())

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.densenet121(images)


def old_names(state: dict[str, torch.Tensor]) -> OrderedDict[str, torch.Tensor]:
    """As torchvision 0.2 wrote them: `norm.1`, and nothing that counts batches."""
    return OrderedDict(
        (re.sub(r"(denselayer\d+\.(?:norm|conv))([12])\.", r"\1.\2.", name), value)
        for name, value in state.items()
        if not name.endswith("num_batches_tracked")
    )


def with_prefix(state: dict[str, Any], prefix: str) -> OrderedDict[str, Any]:
    return OrderedDict((prefix + name, value) for name, value in state.items())


def changed(path: Path, state: dict[str, Any], change: Callable[[dict[str, Any]], object]) -> Path:
    """The file of a state dict that somebody has changed."""
    state = dict(state)
    change(state)
    torch.save(state, path)
    return path
