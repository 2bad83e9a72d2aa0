import copy

import pytest
import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from chexnet.training.optim import MovingAverage


def network(dtype: torch.dtype) -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Conv2d(1, 8, 3), nn.BatchNorm2d(8), nn.Conv2d(8, 4, 1)).to(dtype)


def averaged_model(model: nn.Module, decay: float) -> AveragedModel:
    """The average as it was first written, on torch's own class."""

    def update(means, news, count) -> None:
        kept = torch.clamp(torch.as_tensor((1 + count) / (10 + count)), max=decay)
        torch._foreach_mul_(means, kept)
        torch._foreach_add_(means, torch._foreach_mul(news, 1 - kept))

    return AveragedModel(model, multi_avg_fn=torch.no_grad()(update))


def step(model: nn.Module) -> None:
    with torch.no_grad():
        for value in (*model.parameters(), *model.buffers()):
            value += torch.rand(value.shape).to(value) if value.is_floating_point() else 1


@pytest.fixture
def precision(request):
    before = torch.get_default_dtype()
    torch.set_default_dtype(request.param)
    yield request.param
    torch.set_default_dtype(before)


@pytest.mark.parametrize("precision", [torch.float32, torch.float64], indirect=True)
@pytest.mark.parametrize("decay", [0.5, 0.999])
def test_the_moving_average_is_that_of_averaged_model_to_the_last_bit(decay, precision):
    model = network(precision)
    ours, reference = MovingAverage(model, decay), averaged_model(model, decay)
    for _ in range(30):
        step(model)
        ours.update()
        reference.update_parameters(model)
    state, expected = ours.state_dict(), reference.state_dict()
    assert list(state) == list(expected)
    assert all(torch.equal(state[name], expected[name]) for name in expected)


def test_an_average_goes_on_from_the_state_that_averaged_model_left():
    model = network(torch.float32)
    reference = averaged_model(model, 0.9)
    for _ in range(3):
        step(model)
        reference.update_parameters(model)
    ours = MovingAverage(model, 0.9)
    ours.load_state_dict(copy.deepcopy(reference.state_dict()))
    step(model)
    ours.update()
    reference.update_parameters(model)
    assert ours.count == 4
    expected = reference.state_dict()
    assert all(torch.equal(value, expected[name]) for name, value in ours.state_dict().items())
