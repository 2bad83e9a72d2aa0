"""From a radiograph's pixels to the network's input: crop, resize, normalise.

Shapes: B batch, H W pixels. Crop and resize happen in 8-bit integers, because through float32
resizing costs more than decoding. Our own networks crop in percent and squash the rest to a square;
others keep the proportions and cut a square out, see `Preprocessing`.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from PIL import Image

from chexnet.compute import copies_overlap, memory_format

if TYPE_CHECKING:
    import torch

# Channel means and deviations of ImageNet in [0, 1], as torchvision's weights expect them.
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


@dataclass(frozen=True)
class Preprocessing:
    """How a picture becomes the network's input; stored in every weights file.

    Attributes:
        crop: percent of each side that the centre crop keeps; 87.5 is 224 of 256 pixels.
        size: side of the square input in pixels.
        mean: per channel, of brightness in [0, 1].
        std: per channel.
        resample: Pillow's antialiased filter, `bilinear` or `bicubic`.
        keep_aspect: False crops and then squashes the picture to a square. True keeps its
            proportions: the shorter side is resized, and the centre square is cut out of the
            result, as torchvision's `Resize` and `CenterCrop` do.
    """

    crop: float = 90
    size: int = 256
    mean: tuple[float, float, float] = IMAGENET_MEAN
    std: tuple[float, float, float] = IMAGENET_STD
    resample: str = "bilinear"
    keep_aspect: bool = False

    def __post_init__(self) -> None:
        """Keep a whole percentage as an integer, as all older files do.

        Raises:
            ValueError: a value that no picture can be prepared with.
        """
        if not 1 <= self.crop <= 100:
            raise ValueError(f"crop: found {self.crop}, expected 1 to 100 percent")
        if self.resample not in FILTERS:
            raise ValueError(f"resample: found {self.resample!r}, expected {', '.join(FILTERS)}")
        if self.crop == int(self.crop):
            object.__setattr__(self, "crop", int(self.crop))

    @property
    def needs_format_2(self) -> bool:
        """Whether a release that knew crop, size, mean and std alone would prepare otherwise."""
        return self.keep_aspect or self.resample != "bilinear"

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as weights files, packs and ONNX files keep them.

        `resample` and `square` (`keep_aspect`) stand there only where they are not the default: a
        file of our own networks keeps the bytes, and the seal, that it always had.
        """
        kept: dict[str, Any] = {"crop": self.crop, "size": self.size}
        kept |= {"mean": list(self.mean), "std": list(self.std)}
        if self.resample != "bilinear":
            kept["resample"] = self.resample
        if self.keep_aspect:
            kept["square"] = True
        return kept

    def frame(self, width: int, height: int) -> tuple[int, int, int, int]:
        """The region of a picture that the network sees, to the nearest pixel.

        Args:
            width: of the picture in pixels.
            height: the same.

        Returns:
            Left, top, right and bottom; at least one pixel each way.
        """
        if not self.keep_aspect:
            return PercentCenterCrop(self.crop).box(width, height)
        (across, down), (left, top) = self._square(width, height)
        x, y = width / across, height / down  # pixels of the picture in one of the resized
        box = (left * x, top * y, (left + self.size) * x, (top + self.size) * y)
        first, upper, last, lower = (round(value) for value in box)
        return first, upper, max(last, first + 1), max(lower, upper + 1)

    def _square(self, width: int, height: int) -> tuple[tuple[int, int], tuple[int, int]]:
        """Size (width, height) after resizing the shorter side, and the square's left and top.

        Both round as torchvision's `Resize` and `CenterCrop` do.
        """
        short = round(self.size * 100 / self.crop)
        long = int(short * max(width, height) / min(width, height))
        across, down = (short, long) if width <= height else (long, short)
        left, top = (round((side - self.size) / 2) for side in (across, down))
        return (across, down), (left, top)

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "Preprocessing":
        """What `as_dict` gave; mean and std may be left out, which means ImageNet's.

        Raises:
            KeyError: no crop or no size.
            TypeError: an unknown name.
            ValueError: a value that no picture can be prepared with.
        """
        values = {"crop": stored["crop"], "size": stored["size"], **stored}
        if "square" in values:
            values["keep_aspect"] = values.pop("square")
        for name in ("mean", "std"):
            if name in values:
                values[name] = tuple(values[name])
        return cls(**values)


AS_SEEN = Preprocessing(crop=100)
"""Of pictures that are what the network saw already, as the items of a data set are."""


class PercentCenterCrop:
    """Keep the central `percent` of each side of a PIL image or a (..., H, W) array or tensor."""

    def __init__(self, percent: float = 90) -> None:
        """Store the share of each side to keep, 1 to 100 percent.

        Raises:
            ValueError: outside that range.
        """
        if not 1 <= percent <= 100:
            raise ValueError(f"percent: found {percent}, expected 1 to 100")
        self.percent = percent

    def __call__(self, image: Any) -> Any:
        """Crop; what comes in as an image, an array or a tensor goes out as the same."""
        if isinstance(image, Image.Image):
            return image.crop(self.box(*image.size))
        left, top, right, bottom = self.box(image.shape[-1], image.shape[-2])
        return image[..., top:bottom, left:right]

    def box(self, width: int, height: int) -> tuple[int, int, int, int]:
        """Left, top, right and bottom of what is kept, in pixels."""
        new_width = max(1, round(width * self.percent / 100))
        new_height = max(1, round(height * self.percent / 100))
        left, top = (width - new_width) // 2, (height - new_height) // 2
        return left, top, left + new_width, top + new_height

    def __repr__(self) -> str:
        """As it would be written."""
        return f"PercentCenterCrop({self.percent})"


def item_pixels(pixels: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """Crop and resize one picture: the one way from a radiograph to an item.

    Args:
        pixels: uint8 (H, W), any size.
        preprocessing: its crop, size, filter and `keep_aspect` are used.

    Returns:
        uint8 (size, size), resized with Pillow's antialiased filter.
    """
    side, chosen = preprocessing.size, FILTERS[preprocessing.resample]
    if preprocessing.keep_aspect:
        size, (left, top) = preprocessing._square(pixels.shape[1], pixels.shape[0])
        resized = np.asarray(Image.fromarray(pixels).resize(size, chosen))
        return np.ascontiguousarray(resized[top : top + side, left : left + side])
    cropped = Image.fromarray(PercentCenterCrop(preprocessing.crop)(pixels))
    return np.asarray(cropped.resize((side, side), chosen))


def normalise(images: "torch.Tensor", preprocessing: Preprocessing) -> "torch.Tensor":
    """Repeat gray to three channels and normalise, on the device where the batch is.

    Args:
        images: (B, 1, H, W), uint8 in 0..255 or floating point in [0, 1].
        preprocessing: its mean and std are used.

    Returns:
        (B, 3, H, W) in torch's default precision, float32.
    """
    import torch

    unit = 1.0 if images.is_floating_point() else 255.0
    brightness = images[:, 0].to(torch.get_default_dtype())
    normal = brightness.new_empty(len(images), 3, *images.shape[2:])
    # Channel by channel with plain numbers: constants on a GPU would make every step wait for it.
    for channel, (mean, std) in enumerate(zip(preprocessing.mean, preprocessing.std, strict=True)):
        torch.mul(brightness, 1 / (unit * std), out=normal[:, channel]).sub_(mean / std)
    return normal


def network_inputs(
    images: "torch.Tensor", preprocessing: Preprocessing, device: "torch.device"
) -> "torch.Tensor":
    """What a network takes: the batch on its device, normalised, in the layout of convolutions.

    Args:
        images: see `normalise`.
        preprocessing: its mean and std are used.
        device: where the network computes; the copy does not wait where that is safe.

    Returns:
        (B, 3, H, W), float32.
    """
    there = images.to(device, non_blocking=copies_overlap(device))
    return normalise(there, preprocessing).contiguous(memory_format=memory_format(device))


def eval_transform(preprocessing: Preprocessing | None = None) -> Callable[[Image.Image], Any]:
    """The default pipeline as torchvision's users write it.

    Returns:
        A transform from a gray PIL image to float32 (3, 256, 256), ImageNet-normalised.
    """
    import torch

    chosen = preprocessing or Preprocessing()

    def transform(image: Image.Image) -> torch.Tensor:
        pixels = item_pixels(np.asarray(image.convert("L")), chosen)
        return normalise(torch.from_numpy(pixels.copy())[None, None], chosen)[0]

    return transform
