"""What an Apple GPU needs. None is here: the CPU stands in for it, with a fault planted."""

import copy
from collections.abc import Callable

import pytest
import torch
from torch import nn

from chexnet import compute
from chexnet.errors import ConfigError

CPU = torch.device("cpu")


@pytest.fixture
def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, padding=1),
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 5),
    )


class Faulty(nn.Sequential):
    """Right in the first copy that is made of it, which the CPU runs; wrong in the second."""

    def __init__(self, network: nn.Module, fault: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__(network)
        self.fault, self.copies = fault, 0

    def __deepcopy__(self, memo: dict) -> nn.Module:
        self.copies += 1
        made = nn.Sequential(copy.deepcopy(self[0]))
        if self.copies == 2:
            made.register_forward_hook(lambda _, given, answer: self.fault(answer))
        return made


def double(made: torch.Tensor) -> torch.Tensor:
    raise TypeError("Cannot convert a MPS Tensor to float64 dtype")


def missing(made: torch.Tensor) -> torch.Tensor:
    raise NotImplementedError("The operator 'aten::x' is not implemented for the device.")


def test_a_network_that_answers_alike_is_moved_and_stays_as_it_was(network, monkeypatch):
    monkeypatch.setattr(compute, "CHECKED", ("cpu",))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    assert compute.compare_devices(network, CPU, CPU, 16) == ""
    assert compute.to_device(network, CPU, 16) is network
    assert all(torch.equal(before[name], now) for name, now in network.state_dict().items())
    assert network.training
    assert all(parameter.grad is None for parameter in network.parameters())


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (lambda made: made + 2e-3, "an answer differs by 0.002"),
        (lambda made: made * float("nan"), "an answer differs by nan"),
        (missing, "aten::x"),
        (double, "float64"),
    ],
)
def test_a_device_that_answers_otherwise_is_refused(network, monkeypatch, fault, said):
    assert said in compute.compare_devices(Faulty(network, fault), CPU, CPU, 16)
    monkeypatch.setattr(compute, "CHECKED", ("cpu",))
    with pytest.raises(ConfigError, match=r"computes otherwise.*Use --device cpu"):
        compute.to_device(Faulty(network, fault), CPU, 16)


def test_an_apple_gpu_gets_no_layout_and_no_copy_whose_faults_were_published():
    """Nor does `auto` choose it: nobody has tried one."""
    apple, gpu = torch.device("mps"), torch.device("cuda", 0)
    assert compute.memory_format(apple) == torch.contiguous_format
    assert compute.memory_format(gpu) == compute.memory_format(CPU) == torch.channels_last
    assert not compute.copies_overlap(apple)
    assert compute.copies_overlap(gpu)


def test_an_apple_gpu_is_taken_by_name_where_there_is_one_and_by_one_process(monkeypatch):
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    with pytest.raises(ConfigError, match="found no Apple GPU"):
        compute.pick_device("mps")
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert compute.pick_device("mps").type == "mps"
    assert compute.pick_device("auto") == CPU
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(ConfigError, match="2 processes, expected one"):
        compute.pick_device("mps")


@pytest.mark.parametrize(("nccl", "expected"), [(True, "cpu:gloo,cuda:nccl"), (False, "gloo")])
def test_without_nccl_gloo_takes_the_gradients_and_it_is_said(monkeypatch, nccl, expected):
    gpu = torch.device("cuda", 0)
    monkeypatch.setattr(torch.distributed, "is_nccl_available", lambda: nccl)
    assert compute.backend(gpu) == expected
    assert compute.backend(CPU) == "gloo"
    assert compute.backend_note(gpu) is None
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert (compute.backend_note(gpu) is None) is nccl
    assert compute.backend_note(CPU) is None
