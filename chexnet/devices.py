"""What an Apple GPU (`mps`) needs beside a name, and whether a device computes as the CPU does.

PyTorch's `mps` has given wrong numbers in silence, in releases that this project can run on:
`grid_sample` where a tensor may be read as channels_last (pytorch issue 174339), and copies from
the CPU that do not wait (issues 139550 and 189690). So the second are never asked for there, and a
network is compared with the CPU before it is used. Nobody has tried this project on such a GPU.

Shapes: B batch, D classes, H W pixels. torch is imported where it is needed.
"""

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, TypeVar

from chexnet.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

CHECKED = ("mps",)
"""Kinds of device that are compared with the CPU before they are used."""
CLOSE = 1e-3
"""Greatest difference of a logit; another layout or another CPU moves one by 1e-5 at most."""
IMAGES = 4

Network = TypeVar("Network", bound="nn.Module")
Answer = Callable[["nn.Module", "torch.Tensor"], "torch.Tensor"]


def copies_overlap(device: "torch.device") -> bool:
    """Whether a copy to `device` may go on while the program does (`non_blocking`)."""
    return device.type != "mps"


def memory_format(device: "torch.device") -> "torch.memory_format":
    """The layout that networks and their inputs take: channels_last, where convolutions are quick.

    Not on an Apple GPU, where faults were published of that layout alone.
    """
    import torch

    return torch.contiguous_format if device.type == "mps" else torch.channels_last


def augmentation_device(device: "torch.device") -> "torch.device":
    """Where pictures are augmented: for an Apple GPU, whose `grid_sample` was wrong, the CPU."""
    import torch

    return torch.device("cpu") if device.type == "mps" else device


def to_device(
    model: Network,
    device: "torch.device",
    size: int,
    *,
    answer: Answer | None = None,
) -> Network:
    """The network, moved to its device; on an Apple GPU it is compared with the CPU first.

    It is refused rather than taken back to the CPU: who names a device waits for its speed, and a
    run's checkpoint says on which device its numbers came about.

    Args:
        model: on the CPU; moved in place.
        device: where it shall compute.
        size: side of its input in pixels.
        answer: see `compare_devices`.

    Raises:
        ConfigError: it computes something else there, or cannot.
    """
    import torch

    if device.type in CHECKED:
        fault = compare_devices(model, torch.device("cpu"), device, size, answer=answer)
        if fault:
            raise ConfigError(
                f"--device {device.type}: this PyTorch ({torch.__version__}) computes otherwise "
                f"there than on the CPU: {fault}. Use --device cpu, or another PyTorch."
            )
    return model.to(device)


def compare_devices(
    model: "nn.Module",
    reference: "torch.device",
    device: "torch.device",
    size: int,
    *,
    answer: Answer | None = None,
) -> str:
    """Compare a network's forward pass on two devices, with the same images that look like noise.

    Args:
        model: from (B, 3, size, size) to (B, D); it stays as it is.
        reference: the device that is right.
        device: the device that is asked.
        size: side of the input in pixels.
        answer: what is compared, from the network and images to a tensor; the forward pass by
            default.

    Returns:
        Empty where they agree, else what differs, for a reader.
    """
    import torch

    generator = torch.Generator().manual_seed(0)
    images = (torch.rand(IMAGES, 3, size, size, generator=generator) - 0.5) * 4

    def on(where: "torch.device") -> "torch.Tensor":
        form = memory_format(where)
        there = copy.deepcopy(model).eval().to(where).to(memory_format=form)
        inputs = images.to(where).contiguous(memory_format=form)
        with torch.inference_mode():
            return (answer(there, inputs) if answer else there(inputs)).cpu()

    expected = on(reference)
    try:
        found = on(device)
    except (RuntimeError, TypeError) as error:  # what the device lacks: an operation, a type
        return " ".join(str(error).split())[:200]
    most = float((found - expected).abs().max())
    if not most <= CLOSE:  # NaN as well
        return f"an answer differs by {most:.3g}, at most {CLOSE:g} is right"
    return ""
