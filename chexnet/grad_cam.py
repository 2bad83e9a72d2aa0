"""Heatmaps by the other methods of the `grad-cam` package, one class at a time.

Shapes: B batch, D classes, h w cells.
"""

import copy
import threading
from collections.abc import Callable
from typing import Any

import torch
from torch import nn

from chexnet.errors import ConfigError
from chexnet.explain import CLOSED_FORM, METHODS, PACKAGE
from chexnet.model import DenseNet121

# The package hooks into the model it is given, and its errors vanish in its context manager: one
# call at a time, on a copy that nobody else uses (17 of 24 maps were wrong when shared).
_one_at_a_time = threading.Lock()


def package_heatmap(
    model: DenseNet121, image: torch.Tensor, index: int, method: str
) -> torch.Tensor:
    """One class's heatmap by a method of the `grad-cam` package.

    Args:
        model: left untouched; the package works on a copy.
        image: normalised (1, 3, H, W).
        index: of the class.
        method: a name of `PACKAGE`.

    Returns:
        float32 (h, w) in [0, 1]: these methods have no unit, so the greatest cell is 1 (all are 0
        where nothing speaks for the class).

    Raises:
        ConfigError: an unknown method, or the package is not installed.
    """
    cam_class = _package_class(method)
    with _one_at_a_time:
        holdout = _Subject(copy.deepcopy(model).float().eval())
        cam = cam_class(model=holdout, target_layers=[holdout.last])
        try:
            raw = _raw_map(cam, image.detach().float(), index)
        finally:
            cam.activations_and_grads.release()
    positive = raw.clamp(min=0)
    return positive / positive.max() if positive.max() > 0 else positive


class _Subject(nn.Module):
    """The network with the activation that the pooling sees as the output of a layer."""

    def __init__(self, model: DenseNet121) -> None:
        super().__init__()
        self.features, self.classifier = model.features, model.classifier
        self.last = nn.ReLU()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        with torch.no_grad():  # no method looks before the last layer: a backward pass ends there
            features = self.features(images)
        activation = self.last(features.requires_grad_(True))
        logits: torch.Tensor = self.classifier(activation.mean(dim=(2, 3)))
        return logits


def _raw_map(cam: Any, image: torch.Tensor, index: int) -> torch.Tensor:
    # The package's own steps without its last ones, which stretch each map to 0..1 and resize it.
    score = cam.activations_and_grads(image)[0, index]
    cam.model.zero_grad()
    score.backward()
    activations = cam.activations_and_grads.activations[0].cpu().numpy()
    gradients = cam.activations_and_grads.gradients[0].cpu().numpy()
    image_map = cam.get_cam_image(
        image, cam.target_layers[0], [_Class(index)], activations, gradients, False
    )
    return torch.from_numpy(image_map[0]).float()


class _Class:
    def __init__(self, index: int) -> None:
        self.index = index

    def __call__(self, output: torch.Tensor) -> torch.Tensor:
        return output[self.index]


def _package_class(method: str) -> Callable[..., Any]:
    if method not in PACKAGE:
        raise ConfigError(f"Found heatmap method {method!r}, expected one of {', '.join(METHODS)}.")
    try:
        import pytorch_grad_cam
    except ImportError as error:
        raise ConfigError(
            f"{method} needs the grad-cam package. Install it, or use {CLOSED_FORM}."
        ) from error
    cam_class: Callable[..., Any] = getattr(pytorch_grad_cam, PACKAGE[method])
    return cam_class
