"""Where and by how many processes it is computed: devices, ranks, and their messages.

Outside torchrun every function of ranks is a no-op. Control messages travel over gloo on the CPU,
so that asking "does anyone want to stop?" never waits for the GPU.

PyTorch's Apple GPU (`mps`) has given wrong numbers in silence, in releases that this project can
run on: `grid_sample` where a tensor may be read as channels_last (pytorch issue 174339), and copies
from the CPU that do not wait (issues 139550 and 189690). So the second are never asked for there,
pictures are augmented on the CPU, and a network's forward pass is compared with the CPU's before it
is used. Nobody has tried this project on such a GPU.

Shapes: B batch, D classes, H W pixels. torch is imported where it is needed: commands ask early
which process they are.
"""

import copy
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from chexnet.config import CHOICES
from chexnet.errors import ConfigError

if TYPE_CHECKING:
    import torch
    from torch import nn

TIMEOUT = timedelta(minutes=5)
"""A rank that is gone should be noticed in minutes; the default is half an hour."""
CHECKED = ("mps",)
"""Kinds of device that are compared with the CPU before they are used."""
CLOSE = 1e-3
"""Greatest difference of a logit; another layout or another CPU moves one by 1e-5 at most."""
IMAGES = 4

Network = TypeVar("Network", bound="nn.Module")
Answer = Callable[["nn.Module", "torch.Tensor"], "torch.Tensor"]


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


def local_world() -> int:
    """Number of processes on this machine, 1 outside torchrun."""
    return int(os.environ.get("LOCAL_WORLD_SIZE", 1))


def cores() -> int:
    """CPU cores for this process's readers and threads.

    OMP_NUM_THREADS where somebody set it; else the cores that it may use, divided over the
    processes of this machine. torchrun sets 1 for want of anything better, which counts as unset.
    """
    asked = os.environ.get("OMP_NUM_THREADS", "")
    if asked.isdigit() and int(asked) and (asked != "1" or local_world() == 1):
        return int(asked)
    if hasattr(os, "sched_getaffinity"):
        usable = len(os.sched_getaffinity(0))
    else:
        usable = os.cpu_count() or 1
    return max(1, usable // local_world())


def pick_device(name: str) -> "torch.device":
    """The device to compute on: CUDA where there is one, unless it is named.

    An Apple GPU (`mps`) is taken only where it is named: nobody has tried one yet, and PyTorch's
    has given wrong numbers in silence.

    On CUDA, convolutions in float32 compute in float32 from then on, not in TF32 as by default,
    which moved probabilities by up to 1.9e-4: more than lies between PyTorch and an exported file.
    Training is quick in bfloat16, and what serves answers as a CPU does.

    Raises:
        ConfigError: a GPU is asked for and not there, or an Apple GPU for several processes.
    """
    import torch

    if name not in CHOICES["device"]:
        known = ", ".join(CHOICES["device"])
        raise ConfigError(f"--device: found {name!r}, expected one of {known}.")
    if name == "mps":
        if not torch.backends.mps.is_available():
            raise ConfigError("--device mps: found no Apple GPU. Use --device cpu or auto.")
        if world() > 1:
            raise ConfigError(
                f"--device mps: found {world()} processes, expected one: no collective reaches an "
                "Apple GPU. Start it without torchrun."
            )
        return torch.device("mps")
    if name == "cuda" and not torch.cuda.is_available():
        raise ConfigError("--device cuda: found no CUDA GPU. Use --device cpu or auto.")
    if name == "cpu" or not torch.cuda.is_available():
        return torch.device("cpu")
    device = torch.device("cuda", local_rank())
    torch.cuda.set_device(device)
    torch.backends.cudnn.allow_tf32 = torch.backends.cuda.matmul.allow_tf32 = False
    return device


def backend(device: "torch.device") -> str:
    """What carries messages between processes: NCCL for gradients on CUDA, gloo elsewhere.

    PyTorch for Windows has no NCCL; gloo takes the gradients by way of the CPU then.
    """
    import torch.distributed as dist

    nccl = device.type == "cuda" and dist.is_nccl_available()
    return "cpu:gloo,cuda:nccl" if nccl else "gloo"


def backend_note(device: "torch.device") -> str | None:
    """What a user should hear of the backend, None where there is nothing to say."""
    if world() == 1 or device.type != "cuda" or backend(device) != "gloo":
        return None
    return (
        "This PyTorch has no NCCL: gradients travel by way of the CPU (gloo), which is slower. "
        "Not tried on several GPUs."
    )


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
        there = on(device)
    except (RuntimeError, TypeError) as error:  # what the device lacks: an operation, a type
        return " ".join(str(error).split())[:200]
    most = float((there - expected).abs().max())
    if not most <= CLOSE:  # NaN as well
        return f"an answer differs by {most:.3g}, at most {CLOSE:g} is right"
    return ""


@contextmanager
def process_group(device: "torch.device") -> Iterator[None]:
    """Join the others for the length of the block, see `backend`.

    A process that fails does not take leave: that would wait for the others, who wait for it. Its
    caller has to print what went wrong and end it at once (`os._exit`).
    """
    if not launched():
        yield
        return
    import torch.distributed as dist

    dist.init_process_group(backend(device), timeout=TIMEOUT)
    yield
    dist.destroy_process_group()


def any_rank(flag: bool) -> bool:
    """True on every rank when `flag` is True on one of them."""
    return any_rank_each(flag)[0]


def any_rank_each(*flags: bool) -> list[bool]:
    """For each flag: True on every rank when it is True on one of them."""
    if world() == 1:
        return list(flags)
    import torch
    import torch.distributed as dist

    votes = torch.tensor(flags, dtype=torch.int64)
    dist.all_reduce(votes, op=dist.ReduceOp.MAX)
    return [bool(vote) for vote in votes.tolist()]


def all_reduce_sum(values: list[float]) -> list[float]:
    """Sum of each value over the ranks."""
    if world() == 1:
        return values
    import torch
    import torch.distributed as dist

    summed = torch.tensor(values, dtype=torch.float64)
    dist.all_reduce(summed)
    return summed.tolist()


def mismatched(facts: dict[str, Any]) -> list[str]:
    """Names of the facts on which the ranks do not agree."""
    if world() == 1:
        return []
    import torch.distributed as dist

    all_facts: list[dict[str, Any]] = [{}] * world()
    dist.all_gather_object(all_facts, facts)
    return [name for name in facts if any(other[name] != facts[name] for other in all_facts)]


def barrier() -> None:
    """Wait until every rank is here."""
    any_rank(False)


def rank_indices(count: int) -> np.ndarray:
    """The indices of `range(count)` that this rank scores; nothing is padded or repeated."""
    return np.arange(rank(), count, world())


def gather_rows(part: np.ndarray, count: int) -> np.ndarray:
    """Put the ranks' results back in order.

    Args:
        part: (len(rank_indices(count)), ...), this rank's results.
        count: number of results of all ranks together.

    Returns:
        (count, ...), the same on every rank.
    """
    if world() == 1:
        return part
    import torch.distributed as dist

    parts: list[np.ndarray] = [np.empty(0)] * world()
    dist.all_gather_object(parts, part)
    whole = np.empty((count, *part.shape[1:]), part.dtype)
    for number, piece in enumerate(parts):
        whole[number :: world()] = piece
    return whole


def broadcast_buffers(model: "torch.nn.Module") -> None:
    """Give every rank the buffers of rank 0 (BatchNorm's statistics differ from rank to rank)."""
    if world() == 1:
        return
    import torch.distributed as dist

    for buffer in model.buffers():
        dist.broadcast(buffer, src=0)
