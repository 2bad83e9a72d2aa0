"""Which of several processes this one is, as torchrun says it. No torch: it is asked early."""

import os


def launched() -> bool:
    """True under torchrun."""
    return "RANK" in os.environ and "WORLD_SIZE" in os.environ


def rank() -> int:
    """This process's number, 0 outside torchrun."""
    return int(os.environ["RANK"]) if launched() else 0


def world() -> int:
    """Number of processes, 1 outside torchrun."""
    return int(os.environ["WORLD_SIZE"]) if launched() else 1


def is_main() -> bool:
    """True in the one process that writes."""
    return rank() == 0


def local_rank() -> int:
    """This process's number on its machine: the GPU that it uses."""
    return int(os.environ.get("LOCAL_RANK", 0))
