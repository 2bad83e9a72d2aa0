"""The network in training: one optimiser step, on one process or on several.

Shapes: B batch, D classes, H W pixels.
"""

import contextlib
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from chexnet import distributed
from chexnet.config import TrainConfig
from chexnet.data.datasets import Batch
from chexnet.model import DenseNet121
from chexnet.training.augmentation import augment, draw_parameters
from chexnet.training.optim import MovingAverage, learning_rate, make_optimizer
from chexnet.transforms import Preprocessing, normalise


def rank_shares(batches: list[np.ndarray]) -> list[np.ndarray]:
    """This rank's images of each batch; a rank without any gets one, which will not count."""
    rank, world = distributed.rank(), distributed.world()
    return [whole[rank::world] if rank < len(whole) else whole[:1] for whole in batches]


def performance_warning(config: TrainConfig, device: torch.device) -> str | None:
    """What a user should hear of a choice that is right and slow, None where there is nothing."""
    if config.bf16 != "on" or device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    if torch.ops.mkldnn._is_mkldnn_bf16_supported():
        return None
    # Measured on an AVX2 processor at 128 px, batch 32: 1.3 images/s, 13.8 without.
    return "This CPU has no bfloat16: without --bf16 on, training is about ten times as fast."


class TrainStep:
    """One optimiser step, with the network, its average and the optimiser that it changes.

    Attributes:
        model: the network, unwrapped.
        average: its moving average, None without one.
        optimizer: AdamW.
        bf16: whether autocast is on.
    """

    def __init__(
        self,
        model: DenseNet121,
        config: TrainConfig,
        preprocessing: Preprocessing,
        device: torch.device,
    ) -> None:
        """Move the network to its device and wrap it for several processes."""
        self.config, self.preprocessing, self.device = config, preprocessing, device
        self.bf16 = config.bf16 == "on" or (config.bf16 == "auto" and device.type == "cuda")
        self.model = model.to(device).to(memory_format=torch.channels_last)
        if device.type == "cuda" and distributed.world() > 1 and not config.freeze_bn:
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self.average = MovingAverage(self.model, config.ema_decay) if config.ema_decay else None
        self.optimizer = make_optimizer(self.model, config)
        self._parallel: nn.parallel.DistributedDataParallel | None = None
        if distributed.world() > 1:
            self._parallel = nn.parallel.DistributedDataParallel(
                self.model, device_ids=[device.index] if device.type == "cuda" else None
            )
        self._wrapped: nn.Module = self._parallel or self.model

    @property
    def eval_model(self) -> DenseNet121:
        """The network that is scored and kept: the average where there is one."""
        return cast(DenseNet121, self.average.module) if self.average else self.model

    def state(self) -> dict[str, Any]:
        """Everything that the next step depends on."""
        return {
            "model": dict(self.model.state_dict()),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average else None,
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])

    def sync_buffers(self) -> None:
        """Give every rank the BatchNorm statistics of rank 0, before scoring."""
        distributed.broadcast_buffers(self.model)
        if self.average:
            distributed.broadcast_buffers(self.average.module)

    def begin_epoch(self) -> None:
        """Put the network into training mode."""
        self._wrapped.train()
        if self.config.freeze_bn:
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def __call__(self, batch: Batch, count: int, epoch: int, epoch_progress: float) -> torch.Tensor:
        """Take one step on this rank's share of a batch.

        Args:
            batch: the share, see `rank_shares`.
            count: images of the whole batch, over all ranks.
            epoch: from 0; augmentation depends on it.
            epoch_progress: epochs done, with the fraction of this one, for the learning rate.

        Returns:
            This rank's part of the batch's mean loss.
        """
        images, targets, indices = batch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(epoch_progress, self.config)
        mine = len(range(distributed.rank(), count, distributed.world()))
        # As many parts on every rank as the largest share needs: ranks meet in each of them.
        largest = -(-count // distributed.world())
        parts = range(0, largest, -(-largest // self.config.accumulate))
        loss = torch.zeros((), device=self.device)
        for start in parts:
            empty = start >= mine  # such a rank still has to answer; it adds nothing
            piece = slice(0, 1) if empty else slice(start, start + parts.step)
            inputs = self._inputs(images[piece], indices[piece], epoch)
            wanted = targets[piece].to(self.device, non_blocking=True)
            last = start == parts[-1]
            with contextlib.nullcontext() if last else self._no_sync(), self._autocast():
                logits = self._wrapped(inputs)
                # The sum over this rank divided by the size of the whole batch: added over ranks
                # and parts it is the batch's mean, also when the shares are unequal.
                part = F.binary_cross_entropy_with_logits(
                    logits, wanted.to(logits), reduction="sum"
                )
                part = part / (count * wanted.shape[1])
                part = part * 0 if empty else part
                (part * distributed.world()).backward()  # DDP averages the gradients
            loss += part.detach()
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update()
        return loss

    def _inputs(self, images: torch.Tensor, indices: torch.Tensor, epoch: int) -> torch.Tensor:
        pixels = images.to(self.device, non_blocking=True)
        if self.config.augment == "strong":
            parameters = draw_parameters(indices.numpy(), self.config.seed, epoch)
            pixels = augment(pixels, parameters)
        inputs = normalise(pixels, self.preprocessing)
        return inputs.contiguous(memory_format=torch.channels_last)

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.bf16)

    def _no_sync(self) -> contextlib.AbstractContextManager[None]:
        return self._parallel.no_sync() if self._parallel else contextlib.nullcontext()
