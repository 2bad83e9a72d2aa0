"""The network in training: one optimiser step, on one process or on several.

Shapes: B batch, D classes, H W pixels.
"""

import contextlib
import dataclasses
import os
from collections.abc import Callable
from typing import Any, cast

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from chexnet import compute
from chexnet.config import TrainConfig
from chexnet.data.datasets import Batch
from chexnet.errors import ConfigError
from chexnet.model import DenseNet121
from chexnet.training.augmentation import augment, draw_parameters
from chexnet.training.optim import MovingAverage, learning_rate, make_optimizer
from chexnet.transforms import Preprocessing, network_inputs

SYNCHRONISED_BELOW = 32
"""Images that a GPU sees at once, below which BatchNorm's statistics are those of all ranks."""


HALF = {"bf16": torch.bfloat16, "fp16": torch.float16}
"""Precisions of autocast."""


def rank_shares(batches: list[np.ndarray]) -> list[np.ndarray]:
    """This rank's images of each batch; a rank without any gets one, which will not count."""
    rank, world = compute.rank(), compute.world()
    return [whole[rank::world] if rank < len(whole) else whole[:1] for whole in batches]


def performance_warning(config: TrainConfig, device: torch.device) -> str | None:
    """What a user should hear of a choice that is right and slow, None where there is nothing."""
    name = config.precision
    if name not in HALF or device.type != "cpu" or not torch.backends.mkldnn.is_available():
        return None
    if getattr(torch.ops.mkldnn, f"_is_mkldnn_{name}_supported")():
        return None
    # Measured with bf16 on an AVX2 processor at 128 px, batch 32: 1.3 images/s, 13.8 without.
    return f"This CPU has no {name}: with --precision fp32, training is about ten times as fast."


def resolved(config: TrainConfig, device: torch.device) -> TrainConfig:
    """The configuration with each `auto` replaced by what it means on this device.

    The checkpoint keeps it, so that a run of a GPU does not go on on a CPU in silence. bfloat16
    only where the card computes in it: the T4 and the V100 emulate it, and are slower than with
    float32. They have tensor cores for float16 (capability 7.x), which the GTX 16 series lacks.

    Raises:
        ConfigError: half precision or compiled code is asked for on an Apple GPU, where
            `chexnet.compute` would not notice its faults.
    """
    precision = config.precision
    if precision in HALF and device.type == "mps":
        raise ConfigError(f"--precision {precision}: found --device mps, expected cpu or cuda.")
    if config.compile and device.type == "mps":
        raise ConfigError("--compile: found --device mps, expected cpu or cuda.")
    if precision == "auto":
        precision = _precision_of(device)
    return dataclasses.replace(config, device=device.type, precision=precision)


def _precision_of(device: torch.device) -> str:
    """What a device computes in fastest, of `HALF` or fp32."""
    if device.type != "cuda":
        return "fp32"
    if torch.cuda.is_bf16_supported(including_emulation=False):
        return "bf16"
    tensor_cores = torch.cuda.get_device_capability(device)[0] == 7
    return "fp16" if tensor_cores and "GTX 16" not in torch.cuda.get_device_name(device) else "fp32"


def set_up_cuda(deterministic: bool) -> None:
    """Choose how cuDNN picks its algorithms: the fastest by trial, or deterministic ones."""
    torch.backends.cudnn.benchmark = not deterministic
    if deterministic:
        os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # read when cuBLAS starts
        torch.use_deterministic_algorithms(True)


def synchronises(config: TrainConfig, device: torch.device) -> bool:
    """Whether BatchNorm takes its statistics over all ranks (SyncBatchNorm, CUDA only).

    It waits for the GPU three times a layer and sends 242 messages a step, so only where the images
    that one rank sees at once are few.
    """
    if device.type != "cuda" or compute.world() == 1 or config.freeze_bn:
        return False
    seen = config.batch_size // config.accumulate // compute.world()
    return seen < SYNCHRONISED_BELOW


def _loss_sum(logits: torch.Tensor, wanted: torch.Tensor, *, masked: bool) -> torch.Tensor:
    """Binary cross-entropy, summed; with `masked`, targets of NaN weigh 0, in the gradient too."""
    if not masked:
        return F.binary_cross_entropy_with_logits(logits, wanted, reduction="sum")
    known = (~wanted.isnan()).to(logits)
    return F.binary_cross_entropy_with_logits(
        logits, wanted.nan_to_num(0.0), weight=known, reduction="sum"
    )


class TrainStep:
    """One optimiser step, with the network, its average and the optimiser that it changes.

    Attributes:
        config: resolved, see `resolved`.
        model: the network, unwrapped.
        average: its moving average, None without one.
        optimizer: AdamW.
        scaler: of the loss in float16; does nothing in another precision.
    """

    def __init__(
        self,
        model: DenseNet121,
        config: TrainConfig,
        preprocessing: Preprocessing,
        device: torch.device,
    ) -> None:
        """Move the network to its device and wrap it for several processes."""
        self.config = config = resolved(config, device)
        self.preprocessing, self.device = preprocessing, device
        self._augment_on = compute.augmentation_device(device)
        model = compute.to_device(model, device, preprocessing.size)
        self.model = model.to(memory_format=compute.memory_format(device))
        if synchronises(config, device):
            self.model = nn.SyncBatchNorm.convert_sync_batchnorm(self.model)
        self.average = MovingAverage(self.model, config.ema_decay) if config.ema_decay else None
        self.optimizer = make_optimizer(self.model, config)
        # Small gradients vanish in float16: the loss is scaled up, and a step whose gradients
        # overflow is left out and halves the scale (Micikevicius et al., ICLR 2018). Ranks share
        # their gradients before, so all of them leave it out.
        self.scaler = torch.amp.GradScaler(device.type, enabled=config.precision == "fp16")
        self._parallel: nn.parallel.DistributedDataParallel | None = None
        if compute.world() > 1:
            self._parallel = nn.parallel.DistributedDataParallel(
                self.model, device_ids=[device.index] if device.type == "cuda" else None
            )
            # No buffer is sent in a step: nothing in training reads the running statistics, and
            # `sync_buffers` sends those of rank 0 before each scoring. Set here, because torch
            # renamed the argument and warns of its old name.
            self._parallel.broadcast_buffers = False
        self._wrapped: nn.Module = self._parallel or self.model
        self._forward: Callable[[torch.Tensor], torch.Tensor] = self._wrapped
        if config.compile:  # for training alone: what is scored and kept stays as it is
            self._forward = torch.compile(self._wrapped)
        self._parameters: torch.Tensor | None = None

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
            **({"scaler": self.scaler.state_dict()} if self.scaler.is_enabled() else {}),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Go on from what `state` gave."""
        self.model.load_state_dict(state["model"])
        self.optimizer.load_state_dict(state["optimizer"])
        if self.average:
            self.average.load_state_dict(state["average"])
        if self.scaler.is_enabled():
            self.scaler.load_state_dict(state["scaler"])

    def sync_buffers(self) -> None:
        """Give every rank the BatchNorm statistics of rank 0, before scoring."""
        compute.broadcast_buffers(self.model)
        if self.average:
            compute.broadcast_buffers(self.average.module)

    def begin_epoch(self, epoch: int, images: int) -> None:
        """Put the network into training mode, and draw the augmentation of the whole epoch.

        Args:
            epoch: from 0; augmentation depends on it.
            images: of the training set.
        """
        if self.config.augment == "strong":
            drawn = draw_parameters(images, self.config.seed, epoch)
            self._parameters = torch.from_numpy(drawn).to(self._augment_on)
        self._wrapped.train()
        if self.config.freeze_bn:
            for module in self.model.modules():
                if isinstance(module, nn.modules.batchnorm._BatchNorm):
                    module.eval()

    def __call__(
        self, batch: Batch, count: int, epoch_progress: float, *, cells: int | None = None
    ) -> torch.Tensor:
        """Take one step on this rank's share of a batch.

        Args:
            batch: the share, see `rank_shares`; on the host, in pinned memory where there is a GPU,
                or on the device.
            count: images of the whole batch, over all ranks.
            epoch_progress: epochs done, with the fraction of this one, for the learning rate.
            cells: targets of the whole batch, over all ranks, that are labelled; None where all
                are. With it, targets of NaN count for nothing.

        Returns:
            This rank's part of the batch's mean loss.
        """
        images, targets, indices = batch
        for group in self.optimizer.param_groups:
            group["lr"] = learning_rate(epoch_progress, self.config)
        mine = len(range(compute.rank(), count, compute.world()))
        # As many parts on every rank as the largest share needs: ranks meet in each of them.
        largest = -(-count // compute.world())
        parts = range(0, largest, -(-largest // self.config.accumulate))
        loss = torch.zeros((), device=self.device)
        for start in parts:
            # A rank that has nothing left still has to answer: with no image, which adds nothing
            # to the loss and to the statistics of BatchNorm.
            piece = slice(min(start, mine), min(start + parts.step, mine))
            inputs = self._inputs(images[piece], indices[piece])
            wanted = self._moved(targets[piece])
            last = start == parts[-1]
            with contextlib.nullcontext() if last else self._no_sync():
                with self._autocast():
                    logits = self._forward(inputs)
                    # The sum over this rank divided by the size of the whole batch: added over
                    # ranks and parts it is the batch's mean, also when the shares are unequal.
                    part = _loss_sum(logits, wanted.to(logits), masked=cells is not None)
                    whole = count * wanted.shape[1] if cells is None else max(cells, 1)
                    part = part / whole
                # Outside autocast, which would round the head's gradient to bfloat16.
                self.scaler.scale(part * compute.world()).backward()  # DDP averages them
            loss += part.detach()
        self.scaler.step(self.optimizer)
        self.scaler.update()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average:
            self.average.update()
        return loss

    def _inputs(self, images: torch.Tensor, indices: torch.Tensor) -> torch.Tensor:
        if self._parameters is not None and len(indices):
            rows = self._moved(indices, self._augment_on)
            pixels = self._moved(images, self._augment_on)
            images = augment(pixels, self._parameters.index_select(0, rows))
        return network_inputs(images, self.preprocessing, self.device)

    def _moved(self, tensor: torch.Tensor, device: torch.device | None = None) -> torch.Tensor:
        device = device or self.device
        return tensor.to(device, non_blocking=compute.copies_overlap(device))

    def _autocast(self) -> contextlib.AbstractContextManager[Any]:
        kind = HALF.get(self.config.precision)
        return torch.autocast(self.device.type, kind, enabled=kind is not None)

    def _no_sync(self) -> contextlib.AbstractContextManager[None]:
        return self._parallel.no_sync() if self._parallel else contextlib.nullcontext()
