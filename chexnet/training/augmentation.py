"""Augmentation of whole batches on the training device.

Each image's parameters are a pure function of (seed, epoch, image). Those of a whole epoch are
drawn on the CPU when it begins and lie where pictures are augmented; a batch's are applied
together: one `grid_sample` for the geometry, a few elementwise operations for the intensities.

Shapes: N images, B batch, H W pixels.
"""

import numpy as np
import torch
from torch.nn import functional as F

from chexnet.rng import keyed_generator

# Ranges of the geometry: small enough that left stays left and a nodule stays in the picture.
MAX_TURN = np.deg2rad(12.0)
MAX_SHIFT = 0.06  # of a side
MAX_SCALE = 0.12
MAX_SHEAR = 0.06
FLIP_SHARE = 0.5  # CheXNet flips as well (Rajpurkar et al. 2017), dextrocardia or not

# RandAugment (Cubuk et al., NeurIPS 2020): each image gets this many operations of the list.
OPERATIONS = ("gamma", "contrast", "brightness", "sharpness", "noise", "erase")
NOISE = 0.04
ERASED = 0.25  # of a side, at most

PARAMETERS = ("a", "b", "shift_x", "c", "d", "shift_y", *OPERATIONS, "erase_x", "erase_y")


def draw_parameters(images: int, seed: int, epoch: int) -> np.ndarray:
    """What happens to each image in an epoch.

    One generator, keyed by (seed, epoch), gives each image its own row, whichever batch and rank
    it falls to.

    Args:
        images: N, of the training set.
        seed: of the run.
        epoch: from 0.

    Returns:
        float32 (N, 14): the rows of a 2 x 3 affine matrix in grid_sample's coordinates, a strength
        in [-1, 1] for each operation (0 for none), and the centre of the erased square in [-1, 1].
    """
    unit = keyed_generator("augment", seed, epoch).random((images, 12))  # (N, 12) in [0, 1)
    turn, shear = (2 * unit[:, 0] - 1) * MAX_TURN, (2 * unit[:, 1] - 1) * MAX_SHEAR
    size = 1 + (2 * unit[:, 2] - 1) * MAX_SCALE
    shift = (2 * unit[:, 3:5] - 1) * 2 * MAX_SHIFT  # the grid is 2 wide
    flip = np.where(unit[:, 5] < FLIP_SHARE, -1.0, 1.0)
    cosine, sine = size * np.cos(turn), size * np.sin(turn)
    first = np.floor(unit[:, 6] * len(OPERATIONS)).astype(int)
    second = np.floor(unit[:, 7] * (len(OPERATIONS) - 1)).astype(int)
    second += second >= first  # another than the first
    strengths = np.zeros((images, len(OPERATIONS)))
    np.put_along_axis(strengths, np.stack([first, second], 1), 2 * unit[:, 8:10] - 1, axis=1)
    erased = (2 * unit[:, 10:12] - 1) * 0.8
    matrix = [flip * cosine, -sine + shear, shift[:, 0], flip * sine, cosine, shift[:, 1]]
    return np.column_stack([*matrix, strengths, erased]).astype(np.float32)


def augment(images: torch.Tensor, parameters: torch.Tensor) -> torch.Tensor:
    """Apply `parameters` to a batch.

    Args:
        images: uint8 (B, 1, H, W).
        parameters: float32 (B, 14) of `draw_parameters`, on the same device.

    Returns:
        float32 (B, 1, H, W) in [0, 1].
    """
    column = {name: parameters[:, i].view(-1, 1, 1, 1) for i, name in enumerate(PARAMETERS)}
    x = _resampled(images.float() / 255, parameters)
    x = x.clamp(1e-4, 1).pow(torch.exp(0.5 * column["gamma"]))
    mean = x.mean(dim=(2, 3), keepdim=True)
    x = mean + (x - mean) * (1 + 0.4 * column["contrast"]) + 0.15 * column["brightness"]
    blurred = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    x = x + column["sharpness"] * (x - blurred)
    x = x + NOISE * column["noise"] * _noise(x, column["noise"])
    return _erase(x, column).clamp(0, 1)


def _resampled(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The pictures turned, shifted, scaled, sheared and mirrored, as `values` say."""
    grid = F.affine_grid(values[:, :6].view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _noise(x: torch.Tensor, strength: torch.Tensor) -> torch.Tensor:
    """Noise of mean 0 and deviation 1, uniform, (B, 1, H, W).

    A hash of the pixel's place and of the image's own parameter, in integers alone: a random state
    would have to be saved, and a sine of large numbers differs between devices and compilers.
    """
    height, width = x.shape[-2:]
    rows = torch.arange(height, device=x.device, dtype=torch.int32).view(1, 1, -1, 1)
    columns = torch.arange(width, device=x.device, dtype=torch.int32).view(1, 1, 1, -1)
    place = _mixed(rows * 65536 + columns)
    key = _mixed(strength.contiguous().view(torch.int32))
    upper = (_mixed(place + key) >> 8) & 0xFFFFFF  # 24 bits, which float32 holds exactly
    return (upper.to(x.dtype) * 2.0**-24 - 0.5) * 3.4641


def _mixed(bits: torch.Tensor) -> torch.Tensor:
    """Every bit of an int32 made to depend on every other (Wellons' lowbias32, public domain).

    int32 wraps around as uint32 does; its shift to the right keeps the sign, hence the masks.
    """
    bits = (bits ^ ((bits >> 16) & 0xFFFF)) * 0x7FEB352D
    bits = (bits ^ ((bits >> 15) & 0x1FFFF)) * (0x846CA68B - 2**32)
    return bits ^ ((bits >> 16) & 0xFFFF)


def _erase(x: torch.Tensor, column: dict[str, torch.Tensor]) -> torch.Tensor:
    # Random erasing (Zhong et al., AAAI 2020): a square takes the picture's mean.
    height, width = x.shape[-2:]
    rows = torch.linspace(-1, 1, height, device=x.device).view(1, 1, -1, 1)
    columns = torch.linspace(-1, 1, width, device=x.device).view(1, 1, 1, -1)
    half = ERASED * column["erase"].abs()
    inside = ((rows - column["erase_y"]).abs() < half) & (
        (columns - column["erase_x"]).abs() < half
    )
    return torch.where(inside, x.mean(dim=(2, 3), keepdim=True), x)
