"""What no program can be faster than: a training step's arithmetic and its bytes, on paper."""

from dataclasses import dataclass
from functools import cache

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from chexnet.labels import FINDINGS
from chexnet.model import DenseNet121

# Dense bfloat16 operations and bytes of memory a second, from NVIDIA's data sheets.
CARDS = {
    "H200": (989e12, 4.8e12),
    "H100 80GB HBM3": (989e12, 3.35e12),
    "A100-SXM4-80GB": (312e12, 2.04e12),
}
BFLOAT16 = 2  # bytes a number
PASSES = 3
"""A backward pass reads and writes each layer's numbers about twice more."""


@dataclass(frozen=True)
class Floors:
    """The least that an image's training step can take on a card.

    Attributes:
        operations, moved: operations and bytes of an image.
        arithmetic, memory: images a second at most, None of a card whose data sheet is not here.
    """

    operations: float
    moved: float
    arithmetic: float | None = None
    memory: float | None = None

    @property
    def text(self) -> str:
        told = f"{self.operations / 1e9:.1f} GFLOP and {self.moved / 1e9:.2f} GB an image"
        if self.arithmetic is None or self.memory is None:
            return told
        return (
            f"{told}: at most {self.arithmetic:,.0f} images/s by arithmetic and "
            f"{self.memory:,.0f} by bytes, on paper"
        )


@cache
def work_of(size: int) -> tuple[float, float]:
    """Operations and bytes of one image's training step.

    Operations are torch's own count of the forward and the backward pass (convolutions and the
    head). Bytes are what the layers read and write, every layer on its own, in bfloat16.
    """
    model = DenseNet121(len(FINDINGS)).train()
    moved = 0

    def count(_: nn.Module, given: tuple[torch.Tensor, ...], made: torch.Tensor) -> None:
        nonlocal moved
        taken = [t for one in given for t in ([one] if isinstance(one, torch.Tensor) else one)]
        moved += BFLOAT16 * (sum(t.numel() for t in taken) + made.numel())

    for module in model.modules():
        if not list(module.children()):
            module.register_forward_hook(count)
    images = torch.zeros(2, 3, size, size)
    with FlopCounterMode(display=False) as counter:
        model(images).sum().backward()
    return counter.get_total_flops() / 2, PASSES * moved / 2


def floors(size: int, card: str) -> Floors:
    """Both floors of a card, by its name."""
    operations, moved = work_of(size)
    for name, (rate, bandwidth) in CARDS.items():
        if name in card:
            return Floors(operations, moved, rate / operations, bandwidth / moved)
    return Floors(operations, moved)
