"""The other side of several rows: the pipeline that tutorials and course notebooks write."""

from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torchvision import transforms

from chexnet.model import load_weights
from chexnet.transforms import IMAGENET_MEAN, IMAGENET_STD, PercentCenterCrop


def item_transform(size: int) -> transforms.Compose:
    """Crop, resize, tensor."""
    return transforms.Compose(
        [PercentCenterCrop(90), transforms.Resize((size, size)), transforms.ToTensor()]
    )


def whole_transform(size: int) -> transforms.Compose:
    """The same, and ImageNet's normalisation."""
    return transforms.Compose(
        [item_transform(size), transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)]
    )


class Tutorial:
    """PIL, torchvision's transforms, and the grad-cam package as its own README uses it.

    Args:
        weights: read into a network of its own, because the package leaves hooks in it.
        size: side of the input in pixels.
    """

    def __init__(self, weights: Path, size: int) -> None:
        from pytorch_grad_cam import GradCAM

        model, metadata = load_weights(weights)
        self.classes = list(metadata.classes)
        self._item = item_transform(size)
        self._normalise = transforms.Normalize(IMAGENET_MEAN, IMAGENET_STD)
        self._cam = GradCAM(model=model, target_layers=[model.features[-1]])

    def open(self, path: Path) -> torch.Tensor:
        """A picture file as float32 (3, size, size) in [0, 1]."""
        return self._item(Image.open(path).convert("RGB"))

    def heatmap(self, item: torch.Tensor, label: str | None = None) -> np.ndarray:
        """One class's map, by default the most probable's: float32 (size, size) in [0, 1]."""
        from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

        chosen = None if label is None else [ClassifierOutputTarget(self.classes.index(label))]
        return self._cam(input_tensor=self._normalise(item)[None], targets=chosen)[0]

    def overlay(self, item: torch.Tensor, label: str | None = None) -> np.ndarray:
        """The map over the picture, uint8 (size, size, 3)."""
        from pytorch_grad_cam.utils.image import show_cam_on_image

        heat = self.heatmap(item, label)
        return show_cam_on_image(item.permute(1, 2, 0).numpy(), heat, use_rgb=True)

    def look(self, path: Path) -> tuple[np.ndarray, np.ndarray]:
        """Probabilities (D,) of a picture file, and the most probable class's overlay."""
        shown = self.overlay(self.open(path))
        return self._cam.outputs[0].sigmoid().detach().numpy(), shown
