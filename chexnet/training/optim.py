"""The optimiser's parts that are arithmetic of the step alone, so that nothing has to be saved."""

import math

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel

from chexnet.config import TrainConfig

Tensors = tuple[torch.Tensor, ...] | list[torch.Tensor]


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over all parameters; its fused form on CUDA."""
    fused = next(model.parameters()).is_cuda
    return torch.optim.AdamW(
        model.parameters(), lr=config.lr, weight_decay=config.weight_decay, fused=fused
    )


def learning_rate(epoch_progress: float, config: TrainConfig) -> float:
    """Learning rate after so many epochs (fractions count): linear warm-up, then the schedule.

    The cosine falls to zero at the last epoch (Loshchilov and Hutter, ICLR 2017).
    """
    if epoch_progress < config.warmup_epochs:
        return config.lr * epoch_progress / config.warmup_epochs
    if config.schedule == "constant":
        return config.lr
    whole = max(config.epochs - config.warmup_epochs, 1e-9)
    share = min((epoch_progress - config.warmup_epochs) / whole, 1.0)
    return config.lr * 0.5 * (1 + math.cos(math.pi * share))


def averaged(model: nn.Module, decay: float) -> AveragedModel:
    """An exponential moving average of the weights; BatchNorm's buffers are copied.

    The decay rises as (1 + n) / (10 + n) over the first n updates, so that a short run's average
    is not its random start (as in TensorFlow's ExponentialMovingAverage).
    """

    def update(means: Tensors, news: Tensors, count: torch.Tensor | int) -> None:
        # A tensor: no waiting for a GPU.
        kept = torch.clamp(torch.as_tensor((1 + count) / (10 + count)), max=decay)
        torch._foreach_mul_(means, kept)
        torch._foreach_add_(means, torch._foreach_mul(news, 1 - kept))

    return AveragedModel(model, multi_avg_fn=torch.no_grad()(update))
