"""Heatmaps by the other methods of the `grad-cam` package, one class at a time.

Shapes: B batch, D classes, h w cells.
"""

import copy
import threading
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
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
        where no contribution is positive).

    Raises:
        ConfigError: an unknown method, or the package is not installed.
    """
    return package_heatmaps(model, image, index, [method])[method]


def package_heatmaps(
    model: DenseNet121, image: torch.Tensor, index: int, methods: Sequence[str]
) -> dict[str, torch.Tensor]:
    """The same by several methods, from one pass through the network; see `package_heatmap`."""
    cam_classes = {method: _package_class(method) for method in methods}
    with _one_at_a_time:
        holdout = _Subject(copy.deepcopy(model).float().eval())
        activation, gradient = holdout.activation_and_gradient(image.detach().float(), index)
        heatmaps = {}
        for method, cam_class in cam_classes.items():
            cam = cam_class(model=holdout, target_layers=[holdout.last])
            cam.activations_and_grads.release()
            # The package's own weights; its next steps would stretch the map to 0..1 and resize it.
            about = image, holdout.last, [_Class(index)], activation, gradient, False
            raw = torch.from_numpy(cam.get_cam_image(*about)[0]).float()
            positive = raw.clamp(min=0)
            heatmaps[method] = positive / positive.max() if positive.max() > 0 else positive
    return heatmaps


class _Subject(nn.Module):
    """The network with the activation that the pooling sees as the output of a layer."""

    def __init__(self, model: DenseNet121) -> None:
        super().__init__()
        self.features, self.classifier = model.features, model.classifier
        self.last = nn.ReLU()

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        logits: torch.Tensor = self.classifier(self.last(self.features(images)).mean(dim=(2, 3)))
        return logits

    def activation_and_gradient(
        self, image: torch.Tensor, index: int
    ) -> tuple[np.ndarray, np.ndarray]:
        """Of the last layer, float32 (1, C, h, w): no method looks before it."""
        with torch.no_grad():
            activation = self.last(self.features(image))
        activation.requires_grad_(True)
        logit = self.classifier(activation.mean(dim=(2, 3)))[0, index]
        [gradient] = torch.autograd.grad(logit, activation)
        return activation.detach().cpu().numpy(), gradient.cpu().numpy()


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
