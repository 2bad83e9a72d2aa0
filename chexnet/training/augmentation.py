"""Augmentation of whole batches on the training device.

Each image's parameters are a pure function of (seed, epoch, image), drawn on the CPU and applied
together: one `grid_sample` for the geometry, a few elementwise operations for the intensities.

Shapes: B batch, H W pixels.
"""

import numpy as np
import torch
from torch.nn import functional as F

from chexnet.devices import copies_overlap
from chexnet.rng import keyed_generator

# Ranges of the geometry: small enough that left stays left and a nodule stays in the picture.
MAX_TURN = np.deg2rad(12.0)
MAX_SHIFT = 0.06  # of a side
MAX_SCALE = 0.12
MAX_SHEAR = 0.06
FLIP_SHARE = 0.5  # CheXNet flips as well (Rajpurkar et al. 2017), dextrocardia or not

# RandAugment (Cubuk et al., NeurIPS 2020): each image gets this many operations of the list.
OPERATIONS = ("gamma", "contrast", "brightness", "sharpness", "noise", "erase")
PICKED = 2
NOISE = 0.04
ERASED = 0.25  # of a side, at most

COMPARED = 12
"""Pictures that `augmentation_fault` compares: each operation comes on some of them."""
CLOSE, CLOSE_SHARE = 2e-3, 0.02
"""Greatest difference of a pixel, and the share of a picture's pixels that may differ by more.
Rounding the place of a pixel in a picture of 1,024 pixels moves its value by 5e-4 at most."""

PARAMETERS = ("a", "b", "shift_x", "c", "d", "shift_y", *OPERATIONS, "erase_x", "erase_y")


def draw_parameters(indices: np.ndarray, seed: int, epoch: int) -> np.ndarray:
    """What happens to each image of a batch.

    Args:
        indices: (B,) numbers of the images in the training set.
        seed: of the run.
        epoch: from 0.

    Returns:
        float32 (B, 14): the rows of a 2 x 3 affine matrix in grid_sample's coordinates, a strength
        in [-1, 1] for each operation (0 for none), and the centre of the erased square in [-1, 1].
    """
    return np.stack([_draw(keyed_generator("augment", seed, epoch, int(i))) for i in indices])


def augment(images: torch.Tensor, parameters: np.ndarray) -> torch.Tensor:
    """Apply `parameters` to a batch.

    Args:
        images: uint8 (B, 1, H, W).
        parameters: of `draw_parameters`.

    Returns:
        float32 (B, 1, H, W) in [0, 1].
    """
    values = torch.from_numpy(parameters)
    device = images.device
    if device.type not in ("cpu", "mps"):  # from pinned memory: the step does not wait for the copy
        values = values.pin_memory()
    values = values.to(device, non_blocking=copies_overlap(device))
    column = {name: values[:, i].view(-1, 1, 1, 1) for i, name in enumerate(PARAMETERS)}
    x = _resampled(images.float() / 255, values)
    x = x.clamp(1e-4, 1).pow(torch.exp(0.5 * column["gamma"]))
    mean = x.mean(dim=(2, 3), keepdim=True)
    x = mean + (x - mean) * (1 + 0.4 * column["contrast"]) + 0.15 * column["brightness"]
    blurred = F.avg_pool2d(x, 3, stride=1, padding=1, count_include_pad=False)
    x = x + column["sharpness"] * (x - blurred)
    x = x + NOISE * column["noise"] * _noise(x, column["noise"])
    return _erase(x, column).clamp(0, 1)


def augmentation_fault(reference: torch.device, device: torch.device, size: int) -> str:
    """Compare the augmentation of some pictures on two devices.

    Args:
        reference: the device that is right.
        device: the device that is asked.
        size: side of a picture in pixels.

    Returns:
        Empty where they agree, else what differs, for a reader.
    """
    numbers = np.arange(COMPARED)
    parameters = draw_parameters(numbers, 0, 0)
    generator = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COMPARED, 1, size, size), generator=generator).byte()

    def on(where: torch.device) -> tuple[torch.Tensor, torch.Tensor]:
        pixels, values = images.to(where), torch.from_numpy(parameters).to(where)
        return _resampled(pixels.float() / 255, values).cpu(), augment(pixels, parameters).cpu()

    turned, whole = on(reference)
    try:
        found = on(device)
    except RuntimeError as error:  # an operation that the device lacks is a NotImplementedError
        return " ".join(str(error).split())[:200]
    most = float((found[0] - turned).abs().max())
    if not most <= CLOSE:  # NaN as well
        return f"grid_sample differs by up to {most:.3g} of 1"
    # A pixel at the edge of an erased square may fall on either side of it.
    wrong = float((~((found[1] - whole).abs() <= CLOSE)).float().mean(dim=(1, 2, 3)).max())
    if wrong > CLOSE_SHARE:
        return f"{wrong:.0%} of a picture's pixels differ"
    return ""


def _resampled(x: torch.Tensor, values: torch.Tensor) -> torch.Tensor:
    """The pictures turned, shifted, scaled, sheared and mirrored, as `values` say."""
    grid = F.affine_grid(values[:, :6].view(-1, 2, 3), list(x.shape), align_corners=False)
    return F.grid_sample(x, grid, mode="bilinear", padding_mode="zeros", align_corners=False)


def _draw(random: np.random.Generator) -> np.ndarray:
    turn, shear, scale = random.uniform(-1, 1, 3) * (MAX_TURN, MAX_SHEAR, MAX_SCALE)
    shift = random.uniform(-2 * MAX_SHIFT, 2 * MAX_SHIFT, 2)  # the grid is 2 wide
    flip = -1.0 if random.random() < FLIP_SHARE else 1.0
    size = 1 + scale
    cosine, sine = size * np.cos(turn), size * np.sin(turn)
    matrix = [flip * cosine, -sine + shear, shift[0], flip * sine, cosine, shift[1]]
    strengths = np.zeros(len(OPERATIONS))
    picked = random.choice(len(OPERATIONS), PICKED, replace=False)
    strengths[picked] = random.uniform(-1, 1, PICKED)
    return np.array([*matrix, *strengths, *random.uniform(-0.8, 0.8, 2)], dtype=np.float32)


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
