"""A DenseNet of 13,000 weights in place of DenseNet-121's seven million.

What a test proves of the training loop, of a checkpoint, a resume, ranks or a kill does not depend
on the network's size. `python -m tests.tiny scripts.train ...` runs a command with it.
"""

import runpy
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from torchvision.models import DenseNet

from chexnet import model


def tiny_densenet(weights: None = None, num_classes: int = 1000) -> DenseNet:
    """Stands where torchvision's `densenet121` does: one layer a block, growth 4, 8 channels."""
    return DenseNet(
        growth_rate=4, block_config=(1, 1, 1, 1), num_init_features=8, num_classes=num_classes
    )


def is_used() -> bool:
    return model.densenet121 is tiny_densenet


def use() -> None:
    """From here on, in this process."""
    model.densenet121 = tiny_densenet


@contextmanager
def used() -> Iterator[None]:
    """Within a block."""
    before, model.densenet121 = model.densenet121, tiny_densenet
    try:
        yield
    finally:
        model.densenet121 = before


if __name__ == "__main__":
    from tests import tiny  # by its name: this file runs as `__main__`

    tiny.use()
    del sys.argv[0]
    runpy.run_module(sys.argv[0], run_name="__main__", alter_sys=True)
