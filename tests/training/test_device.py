"""What a training step does on a GPU, seen without one.

The tensors are torch's fake ones: they are on "cuda", have shapes and no numbers. Reading one on
the host raises, and a mode sees every copy.
"""

import contextlib
import os
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import DynamicOutputShapeException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from chexnet.config import TrainConfig
from chexnet.model import DenseNet121
from chexnet.training.loop import READ_EVERY
from chexnet.training.step import TrainStep, rank_shares, resolved, set_up_cuda, synchronises
from chexnet.transforms import Preprocessing

# Copying a fake network (for the average) looks at its address.
pytestmark = pytest.mark.filterwarnings("ignore:Accessing the data pointer of FakeTensor")

GPU = torch.device("cuda", 0)
CLASSES = 15


class Copies(TorchDispatchMode):
    """Notes what is copied between host and GPU, and what is read."""

    def __init__(self) -> None:
        super().__init__()
        self.to_gpu: list[bool] = []  # whether each did not block
        self.to_host: list[str] = []
        self.types: set[tuple[str, torch.dtype]] = set()

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs = kwargs or {}
        name, made = function.overloadpacket.__name__, function(*args, **kwargs)
        if name in ("_to_copy", "copy_"):
            given = args[0] if name == "_to_copy" else args[1]
            waits = not (kwargs.get("non_blocking") or (name == "copy_" and args[2:] == (True,)))
            if (given.device.type, made.device.type) == ("cpu", "cuda"):
                self.to_gpu.append(not waits)
            if (given.device.type, made.device.type) == ("cuda", "cpu"):
                self.to_host.append(name)
        if name in ("_local_scalar_dense", "nonzero", "is_nonzero", "equal"):
            self.to_host += [name] * (args[0].device.type == "cuda")
        if name in ("convolution", "addmm", "mm"):
            self.types.add((name, made.dtype))
        return made


class Ranks(nn.Module):
    """Stands where DistributedDataParallel does: what it sends is none of the host's business."""

    def __init__(self, module: nn.Module, **options: object) -> None:
        super().__init__()
        self.module, self.options = module, options
        self.no_sync = contextlib.nullcontext

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.module(images)


@pytest.fixture
def gpu(monkeypatch):
    """A pretended GPU that computes in bfloat16."""
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda *_, **__: True)
    monkeypatch.setattr("torch.cuda.amp.common.amp_definitely_not_available", lambda: False)
    monkeypatch.setattr(nn.Module, "to", lambda self, *_, **__: self)  # made there in any case
    monkeypatch.setattr(torch.Tensor, "pin_memory", lambda self: self)
    monkeypatch.setattr(torch.backends.cudnn, "enabled", False)  # it would ask the card
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", Ranks)
    with FakeTensorMode(allow_non_fake_inputs=True):
        yield


def be_rank(rank: int, world: int, monkeypatch) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", world), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, str(value))


def step_on_gpu(monkeypatch, **options: object) -> TrainStep:
    config = TrainConfig(
        data=Path("nih"), size=64, **{"augment": "strong", "ema_decay": 0.999, **options}
    )
    with torch.device(GPU):
        model = DenseNet121(CLASSES)
    taken = TrainStep(model, config, Preprocessing(size=64), GPU)
    taken.begin_epoch()

    def backward(self: torch.Tensor) -> None:
        """Autograd's engine wants a real device; the gradients have the shapes of the weights."""
        assert not torch.is_autocast_enabled("cuda")
        for weight in model.parameters():
            weight.grad = torch.zeros_like(weight)

    monkeypatch.setattr(torch.Tensor, "backward", backward)
    return taken


def host_batch(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the loader gives a rank: real tensors on the host."""
    images = np.zeros((count, 1, 64, 64), np.uint8)
    arrays = (images, np.zeros((count, CLASSES), np.float32), np.arange(count))
    return tuple(map(torch.from_numpy, arrays))


@pytest.fixture
def batches():
    """Made before the tensors turn fake; by number of images."""
    return {count: host_batch(count) for count in (1, 4, 8)}


@pytest.mark.parametrize(
    ("rank", "world", "whole", "mine"), [(0, 1, 8, 8), (0, 2, 8, 4), (1, 2, 8, 4), (1, 2, 1, 1)]
)
def test_a_step_neither_waits_for_the_gpu_nor_reads_from_it(
    batches, gpu, monkeypatch, rank, world, whole, mine
):
    """Average and augmentation on; also where a rank has no image of its own."""
    be_rank(rank, world, monkeypatch)
    taken = step_on_gpu(monkeypatch, batch_size=80)
    assert taken.optimizer.param_groups[0]["fused"]
    with Copies() as seen:
        losses = [taken(batches[mine], whole, 0, 0.0) for _ in range(3)]
        with pytest.raises((RuntimeError, DynamicOutputShapeException)):
            torch.stack(losses).tolist()  # the one reading, once in READ_EVERY steps
    assert READ_EVERY == 20
    assert len(seen.to_gpu) >= 6
    assert all(seen.to_gpu), "a copy to the GPU waits"
    assert seen.to_host == ["_local_scalar_dense"] * len(seen.to_host)
    assert {loss.device.type for loss in losses} == {"cuda"}


def test_convolutions_are_in_bfloat16_and_the_head_is_in_float32(batches, gpu, monkeypatch):
    taken = step_on_gpu(monkeypatch, batch_size=8)
    with Copies() as seen:
        taken(batches[8], 8, 0, 0.0)
    assert ("convolution", torch.bfloat16) in seen.types
    assert ("convolution", torch.float32) not in seen.types
    assert {kind for name, kind in seen.types if name in ("mm", "addmm")} == {torch.float32}


def test_ddp_sends_no_buffers_in_a_step(gpu, monkeypatch):
    be_rank(0, 2, monkeypatch)
    assert step_on_gpu(monkeypatch, batch_size=80)._parallel.options["broadcast_buffers"] is False


@pytest.mark.parametrize(
    ("options", "world", "expected"),
    [
        ({"batch_size": 32}, 2, True),
        ({"batch_size": 64}, 2, False),
        ({"batch_size": 64, "accumulate": 2}, 2, True),
        ({"batch_size": 32}, 1, False),
        ({"batch_size": 32, "freeze_bn": True}, 2, False),
    ],
)
def test_batchnorm_meets_over_ranks_only_where_a_gpu_sees_few_images(
    monkeypatch, options, world, expected
):
    be_rank(0, world, monkeypatch)
    config = TrainConfig(data=Path("nih"), **options)
    assert synchronises(config, GPU) is expected
    assert not synchronises(config, torch.device("cpu"))


def test_a_rank_without_an_image_changes_no_statistics(batches, monkeypatch):
    """Its filler image stays out of BatchNorm; every parameter still has a gradient to send."""
    be_rank(1, 2, monkeypatch)
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", Ranks)
    config = TrainConfig(data=Path("nih"), size=64, batch_size=2, augment="strong")
    model = DenseNet121(CLASSES)
    taken = TrainStep(model, config, Preprocessing(size=64), torch.device("cpu"))
    taken.begin_epoch()
    [share] = rank_shares([np.array([5])])
    assert len(share) == 1
    before = {name: value.clone() for name, value in model.named_buffers()}
    met = []
    monkeypatch.setattr(
        taken.optimizer, "step", lambda: met.extend(p.grad for p in model.parameters())
    )
    loss = taken(batches[1], 1, 0, 0.0)
    assert float(loss) == 0
    assert all(grad is not None and not grad.any() for grad in met)
    after = dict(model.named_buffers())
    assert all(torch.equal(after[name], before[name]) for name in before if "running" in name)


@pytest.mark.parametrize(("native", "expected"), [(True, "on"), (False, "off")])
def test_auto_is_resolved_to_what_the_card_computes_in(monkeypatch, native, expected):
    monkeypatch.setattr(
        torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or native
    )
    config = TrainConfig(data=Path("nih"))
    there = resolved(config, GPU)
    assert (there.device, there.bf16) == ("cuda", expected)
    here = resolved(config, torch.device("cpu"))
    assert (here.device, here.bf16) == ("cpu", "off")
    assert resolved(TrainConfig(data=Path("nih"), bf16="on"), GPU).bf16 == "on"


def test_deterministic_algorithms_are_an_option(monkeypatch):
    chosen = []
    monkeypatch.setattr(torch, "use_deterministic_algorithms", chosen.append)
    monkeypatch.setattr(torch.backends.cudnn, "benchmark", False)
    monkeypatch.delenv("CUBLAS_WORKSPACE_CONFIG", raising=False)
    set_up_cuda(deterministic=False)
    assert torch.backends.cudnn.benchmark
    assert chosen == []
    set_up_cuda(deterministic=True)
    assert not torch.backends.cudnn.benchmark
    assert chosen == [True]
    assert os.environ["CUBLAS_WORKSPACE_CONFIG"] == ":4096:8"


def test_the_heads_gradient_is_not_rounded_to_bfloat16(batches):
    """With bfloat16 on, against the head's gradient written out in float32."""
    config = TrainConfig(data=Path("nih"), size=64, batch_size=8, bf16="on")
    torch.manual_seed(0)
    model = DenseNet121(CLASSES)
    taken = TrainStep(model, config, Preprocessing(size=64), torch.device("cpu"))
    taken.begin_epoch()
    images = torch.randint(0, 256, (8, 1, 64, 64), dtype=torch.uint8)
    targets = torch.randint(0, 2, (8, CLASSES)).float()
    seen = {}
    model.classifier.register_forward_hook(
        lambda _, given, made: seen.update(pooled=given[0].detach(), logits=made.detach())
    )
    taken.optimizer.step = lambda: seen.update(found=model.classifier.weight.grad.clone())
    taken((images, targets, torch.arange(8)), 8, 0, 0.0)
    slope = (seen["logits"].sigmoid() - targets) / targets.numel()
    expected = slope.T @ seen["pooled"]
    assert (seen["found"] - expected).norm() / expected.norm() < 1e-5
