"""What a training step does on a GPU, seen without one.

The network and all that it computes are on torch's `meta` device: they have shapes and no numbers.
Reading one of them on the host raises, as reading from a GPU would wait, and a mode sees every
copy. The kernels of CUDA itself, and the fused AdamW, are not seen.
"""

import contextlib
import dataclasses
import os
from pathlib import Path
from typing import ClassVar

import numpy as np
import pytest
import torch
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode

from chexnet import compute
from chexnet.config import TrainConfig
from chexnet.data.datasets import ChestXRayDataSet
from chexnet.data.loader import batch_loader
from chexnet.data.resident import ResidentDataSet
from chexnet.errors import ConfigError
from chexnet.evaluation.scoring import batch_size_on, score
from chexnet.model import DenseNet121
from chexnet.training import step as training_step
from chexnet.training.optim import make_optimizer
from chexnet.training.step import TrainStep, rank_shares, resolved, set_up_cuda, synchronises
from chexnet.transforms import Preprocessing

GPU, NOWHERE = torch.device("cuda", 0), torch.device("meta")
CLASSES = 15
IMAGES = 90
COPIES = ("_to_copy", "copy_", "to")  # `to` whole, in inference mode


class Copies(TorchDispatchMode):
    """Notes what is copied to the device, and whether it waits; what is read from there."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[bool] = []
        self.read: list[str] = []

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        kwargs, name = kwargs or {}, function.overloadpacket.__name__
        names = [argument.name for argument in function._schema.arguments]
        given = dict(zip(names, args, strict=False)) | kwargs
        source = given.get("src") if name == "copy_" else args[0] if args else None
        if isinstance(source, torch.Tensor) and source.device == NOWHERE:
            to_host = name in COPIES and given.get("device") == torch.device("cpu")
            if to_host or name in ("_local_scalar_dense", "nonzero", "equal"):
                self.read.append(name)
        made = function(*args, **kwargs)
        if name in COPIES and (source.device.type, made.device) == ("cpu", NOWHERE):
            self.waits.append(not given.get("non_blocking"))
        return made


class Autocast(contextlib.AbstractContextManager):
    """Stands where torch.autocast does, which does not know `meta`; knows whether it is on."""

    inside: ClassVar[list[bool]] = []

    def __init__(self, device: str, dtype: object = None, enabled: bool = True) -> None:
        self.enabled = enabled

    def __enter__(self) -> None:
        self.inside.append(self.enabled)

    def __exit__(self, *exception: object) -> None:
        self.inside.pop()


class Ranks(nn.Module):
    """Stands where DistributedDataParallel does."""

    def __init__(self, module: nn.Module, **options: object) -> None:
        super().__init__()
        self.module, self.broadcast_buffers = module, True
        self.no_sync = contextlib.nullcontext

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.module(images)


def be_rank(rank: int, world: int, monkeypatch) -> None:
    for name, value in (("RANK", rank), ("WORLD_SIZE", world), ("LOCAL_RANK", rank)):
        monkeypatch.setenv(name, str(value))


@pytest.fixture
def step_on_gpu(monkeypatch):
    """A step whose network has no numbers, set up as on a GPU with bfloat16."""
    monkeypatch.setattr(torch, "autocast", Autocast)
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", Ranks)
    as_on_gpu = {"precision": "bf16", "device": "auto"}  # not cuda: the fused AdamW refuses `meta`
    monkeypatch.setattr(
        training_step, "resolved", lambda config, _: dataclasses.replace(config, **as_on_gpu)
    )

    def make(**options: object) -> TrainStep:
        options = {"augment": "strong", "ema_decay": 0.999, **options}
        config = TrainConfig(data=Path("nih"), size=64, **options)
        with NOWHERE:
            model = DenseNet121(CLASSES)
        taken = TrainStep(model, config, Preprocessing(size=64), NOWHERE)
        taken.begin_epoch(0, IMAGES)
        return taken

    return make


def host_batch(count: int) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor]:
    """What the loader gives a rank, on the host."""
    images = np.zeros((count, 1, 64, 64), np.uint8)
    arrays = (images, np.zeros((count, CLASSES), np.float32), np.arange(count))
    return tuple(map(torch.from_numpy, arrays))


@pytest.mark.parametrize(
    ("rank", "world", "whole", "mine"), [(0, 1, 4, 4), (1, 2, 4, 2), (1, 2, 1, 1)]
)
def test_a_step_neither_waits_for_the_gpu_nor_reads_from_it(
    step_on_gpu, monkeypatch, rank, world, whole, mine
):
    """Average and augmentation on; also where a rank has no image of its own."""
    be_rank(rank, world, monkeypatch)
    taken = step_on_gpu(batch_size=80)
    batch = host_batch(mine)
    for _ in range(2):  # the average copies first, then averages
        with Copies() as seen:
            loss = taken(batch, whole, 0.0)
        assert len(seen.waits) >= 2 + (whole > 1)  # images, labels, indices
        assert not any(seen.waits), "a copy to the GPU waits"
        assert seen.read == []
        assert loss.device == NOWHERE
    assert taken.average.count == 2


@pytest.mark.parametrize(("rank", "world"), [(0, 1), (1, 2)])
def test_a_step_on_resident_images_copies_nothing_at_all(
    step_on_gpu, packed, monkeypatch, rank, world
):
    """Average and augmentation on; only the indices of an epoch go there, when it begins."""
    be_rank(rank, world, monkeypatch)
    taken = step_on_gpu(batch_size=80)
    data = ResidentDataSet(packed, NOWHERE)
    whole = np.arange(2 * world)
    batches = batch_loader(data, rank_shares([whole, whole]), 0)
    first = next(batches)
    taken(first, len(whole), 0.0)
    with Copies() as seen:
        images, targets, indices = batch = next(batches)
        assert {tensor.device for tensor in batch} == {NOWHERE}
        taken(batch, len(whole), 0.0)
    assert len(images) == len(targets) == len(indices) == 2
    assert (seen.waits, seen.read) == ([], [])


def test_the_trace_sees_what_waits():
    """The trap is set: each of these would make a GPU wait."""
    there = torch.zeros(2, device=NOWHERE)
    with Copies() as seen:
        torch.zeros(2).to(NOWHERE)
        there.copy_(torch.zeros(2))
        torch.zeros(2).to(NOWHERE, non_blocking=True)
        there.copy_(torch.zeros(2), non_blocking=True)
        for read in (there[0].item, there.cpu, lambda: torch.equal(there, there)):
            with contextlib.suppress(RuntimeError, NotImplementedError):
                read()
    assert seen.waits == [True, True, False, False]
    assert len(seen.read) == 3


class Compiled(nn.Module):
    """Stands where torch.compile's wrapper does, whose state has other names."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self._orig_mod, self.calls = module, 0

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.calls += 1
        return self._orig_mod(images)


def test_a_compiled_network_trains_and_the_plain_one_is_kept(step_on_gpu, monkeypatch):
    made: list[Compiled] = []
    monkeypatch.setattr(torch, "compile", lambda module: made.append(Compiled(module)) or made[-1])
    taken = step_on_gpu(batch_size=4, accumulate=2, compile=True)
    taken(host_batch(4), 4, 0.0)
    [wrapper] = made
    assert wrapper.calls == 2
    assert wrapper._orig_mod is taken.model
    assert type(taken.eval_model) is DenseNet121
    state = taken.state()
    assert list(state["model"]) == list(taken.eval_model.state_dict())
    assert not any("_orig_mod" in name for name in [*state["model"], *state["average"]])
    taken.model.eval()
    taken.begin_epoch(1, IMAGES)
    assert taken.model.training


def test_the_backward_pass_runs_outside_autocast(step_on_gpu, monkeypatch):
    """The forward pass within it; the head's gradient would be rounded to bfloat16."""
    seen, inner = [], torch.Tensor.backward
    monkeypatch.setattr(
        torch.Tensor, "backward", lambda self: (seen.append(list(Autocast.inside)), inner(self))
    )
    taken = step_on_gpu(batch_size=8)
    taken.model.features.register_forward_hook(lambda *_: seen.append(list(Autocast.inside)))
    taken(host_batch(8), 8, 0.0)
    assert seen == [[True], []]


def test_ddp_sends_no_buffers_in_a_step(step_on_gpu, monkeypatch):
    be_rank(0, 2, monkeypatch)
    assert step_on_gpu(batch_size=80)._parallel.broadcast_buffers is False


def test_adamw_is_fused_on_cuda_alone():
    layer = nn.Linear(2, 2)
    for device, expected in (("cpu", False), ("cuda", True)):
        optimizer = make_optimizer(layer, TrainConfig(data=Path("nih"), device=device))
        assert optimizer.param_groups[0]["fused"] is expected


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


def test_a_rank_without_an_image_changes_no_statistics(monkeypatch):
    """Its filler image stays out of BatchNorm; every parameter still has a gradient to send."""
    be_rank(1, 2, monkeypatch)
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", Ranks)
    config = TrainConfig(data=Path("nih"), size=64, batch_size=2, augment="strong")
    model = DenseNet121(CLASSES)
    taken = TrainStep(model, config, Preprocessing(size=64), torch.device("cpu"))
    taken.begin_epoch(0, IMAGES)
    [share] = rank_shares([np.array([5])])
    assert len(share) == 1
    before = {name: value.clone() for name, value in model.named_buffers()}
    met = []
    monkeypatch.setattr(
        taken.optimizer, "step", lambda: met.extend(p.grad for p in model.parameters())
    )
    loss = taken(host_batch(1), 1, 0.0)
    assert float(loss) == 0
    assert all(grad is not None and not grad.any() for grad in met)
    after = dict(model.named_buffers())
    assert all(torch.equal(after[name], before[name]) for name in before if "running" in name)


@pytest.mark.parametrize(
    ("name", "capability", "native", "expected"),
    [
        ("NVIDIA H100", (9, 0), True, "bf16"),
        ("Tesla T4", (7, 5), False, "fp16"),
        ("Tesla V100", (7, 0), False, "fp16"),
        ("NVIDIA GeForce GTX 1660", (7, 5), False, "fp32"),
        ("Tesla P100", (6, 0), False, "fp32"),
    ],
)
def test_auto_is_resolved_to_what_the_card_computes_in(
    monkeypatch, name, capability, native, expected
):
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: name)
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda _: capability)
    monkeypatch.setattr(
        torch.cuda,
        "is_bf16_supported",
        lambda including_emulation=True: including_emulation or native,
    )
    config = TrainConfig(data=Path("nih"))
    there = resolved(config, GPU)
    assert (there.device, there.precision) == ("cuda", expected)
    here = resolved(config, torch.device("cpu"))
    assert (here.device, here.precision) == ("cpu", "fp32")
    assert resolved(TrainConfig(data=Path("nih"), precision="bf16"), GPU).precision == "bf16"


def test_a_step_whose_gradients_overflow_is_left_out_and_halves_the_scale():
    config = TrainConfig(data=Path("nih"), size=64, batch_size=2, precision="fp16")
    taken = TrainStep(DenseNet121(CLASSES), config, Preprocessing(size=64), torch.device("cpu"))
    taken.begin_epoch(0, IMAGES)
    before = {name: p.clone() for name, p in taken.model.named_parameters()}
    hook = next(taken.model.parameters()).register_hook(lambda grad: grad * float("inf"))
    taken(host_batch(2), 2, 0.0)
    assert taken.scaler.get_scale() == 32768
    assert all(torch.equal(p, before[name]) for name, p in taken.model.named_parameters())
    hook.remove()
    taken.scaler.update(1.0)
    taken(host_batch(2), 2, 0.0)
    assert taken.scaler.get_scale() == 1.0
    assert any(not torch.equal(p, before[name]) for name, p in taken.model.named_parameters())


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


def test_the_heads_gradient_is_not_rounded_to_bfloat16():
    """With bfloat16 on, against the head's gradient written out in float32."""
    config = TrainConfig(data=Path("nih"), size=64, batch_size=8, precision="bf16")
    torch.manual_seed(0)
    model = DenseNet121(CLASSES)
    taken = TrainStep(model, config, Preprocessing(size=64), torch.device("cpu"))
    taken.begin_epoch(0, IMAGES)
    images = torch.randint(0, 256, (8, 1, 64, 64), dtype=torch.uint8)
    targets = torch.randint(0, 2, (8, CLASSES)).float()
    seen = {}
    model.classifier.register_forward_hook(
        lambda _, given, made: seen.update(pooled=given[0].detach(), logits=made.detach())
    )
    taken.optimizer.step = lambda: seen.update(found=model.classifier.weight.grad.clone())
    taken((images, targets, torch.arange(8)), 8, 0.0)
    slope = (seen["logits"].sigmoid() - targets) / targets.numel()
    expected = slope.T @ seen["pooled"]
    assert (seen["found"] - expected).norm() / expected.norm() < 1e-5


def test_scoring_reads_from_the_gpu_once(phantoms, monkeypatch):
    monkeypatch.setattr(torch, "autocast", Autocast)
    data = ChestXRayDataSet(phantoms, rows=range(9), preprocessing=Preprocessing(size=64))
    with NOWHERE:
        model = DenseNet121(len(data.classes))
    with Copies() as seen, pytest.raises(NotImplementedError):  # there are no numbers to be had
        score(model, data, batch_size=3)
    assert seen.read == ["_to_copy"]
    assert len(seen.waits) == 3
    assert not any(seen.waits)


def test_a_gpu_scores_more_images_at_once_than_a_cpu():
    assert batch_size_on(GPU) == 256
    assert batch_size_on(torch.device("cpu")) == 32  # as ever: other sizes round otherwise


def test_pictures_are_augmented_on_the_cpu_for_an_apple_gpu(step_on_gpu, monkeypatch):
    """`meta` stands in for it: the network is there."""
    copied, inner, cpu = [], training_step.augment, torch.device("cpu")
    assert compute.augmentation_device(torch.device("mps")) == cpu
    assert compute.augmentation_device(GPU) == GPU
    monkeypatch.setattr(compute, "augmentation_device", lambda _: cpu)
    taken = step_on_gpu(batch_size=4)
    monkeypatch.setattr(
        training_step, "augment", lambda x, values: copied.append(x.device) or inner(x, values)
    )
    taken(host_batch(4), 4, 0.0)
    assert copied == [cpu]


def test_neither_bfloat16_nor_compiled_code_is_asked_of_an_apple_gpu():
    apple = torch.device("mps")
    there = resolved(TrainConfig(data=Path("nih"), device="mps"), apple)
    assert (there.device, there.precision) == ("mps", "fp32")
    for option, value in (("precision", "fp16"), ("compile", True)):
        with pytest.raises(ConfigError, match=f"--{option}.*found --device mps"):
            resolved(TrainConfig(data=Path("nih"), **{option: value}), apple)
