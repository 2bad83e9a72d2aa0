"""The optimiser's parts that are arithmetic of the step alone, so that nothing has to be saved."""

import copy
import math

import numpy as np
import torch
from torch import nn

from chexnet.config import TrainConfig


def make_optimizer(model: nn.Module, config: TrainConfig) -> torch.optim.AdamW:
    """AdamW over all parameters; its fused form on CUDA.

    Args:
        model: on its device.
        config: resolved, so that its device is known.
    """
    return torch.optim.AdamW(
        model.parameters(),
        lr=config.lr,
        weight_decay=config.weight_decay,
        fused=config.device == "cuda",
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


class MovingAverage:
    """An exponential moving average of the weights; BatchNorm's buffers are copied.

    The decay rises as (1 + n) / (10 + n) over the first n updates, so that a short run's average
    is not its random start (as in TensorFlow's ExponentialMovingAverage).

    The numbers are those of `torch.optim.swa_utils.AveragedModel` with that decay, to the last bit
    (a lerp would round differently), and so are the names of the state. The count stays on the
    host: AveragedModel keeps it in a tensor and copies it to the GPU in each step, which waits.

    Attributes:
        module: the averaged network.
        count: updates made.
    """

    def __init__(self, model: nn.Module, decay: float) -> None:
        """Average `model`, whose parameters stay the same objects."""
        self.module, self.count, self._decay = copy.deepcopy(model), 0, decay
        self._means: list[torch.Tensor] = list(self.module.parameters())
        self._news: list[torch.Tensor] = list(model.parameters())
        # One type a call: a mixed list would be copied one by one.
        self._buffers: dict[torch.dtype, tuple[list[torch.Tensor], list[torch.Tensor]]] = {}
        for mean, new in zip(self.module.buffers(), model.buffers(), strict=True):
            means, news = self._buffers.setdefault(mean.dtype, ([], []))
            means.append(mean)
            news.append(new)

    @torch.no_grad()
    def update(self) -> None:
        """Take in the network's present weights."""
        if self.count == 0:
            torch._foreach_copy_(self._means, self._news)
        else:
            # In the weights' own precision, as the tensor that AveragedModel hands over.
            number = np.float64 if self._means[0].dtype == torch.float64 else np.float32
            kept = min(number(1 + self.count) / number(10 + self.count), number(self._decay))
            torch._foreach_mul_(self._means, float(kept))
            torch._foreach_add_(self._means, torch._foreach_mul(self._news, float(1 - kept)))
        for means, news in self._buffers.values():
            torch._foreach_copy_(means, news)
        self.count += 1

    def state_dict(self) -> dict[str, torch.Tensor]:
        """What `load_state_dict` takes."""
        tensors = {f"module.{name}": value for name, value in self.module.state_dict().items()}
        return {"n_averaged": torch.tensor(self.count), **tensors}

    def load_state_dict(self, state: dict[str, torch.Tensor]) -> None:
        """Go on from what `state_dict` gave, also of an AveragedModel."""
        self.count = int(state["n_averaged"])
        self.module.load_state_dict(
            {name.removeprefix("module."): v for name, v in state.items() if name != "n_averaged"}
        )
