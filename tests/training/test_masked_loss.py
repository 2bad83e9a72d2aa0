"""Training where the label table does not say everything."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional as F

from chexnet.config import TrainConfig
from chexnet.model import DenseNet121
from chexnet.training.step import TrainStep, rank_shares
from chexnet.transforms import Preprocessing, normalise
from tests.training.test_device import (
    CLASSES,
    NOWHERE,
    Copies,
    Ranks,
    be_rank,
    host_batch,
    step_on_gpu,  # noqa: F401  a fixture
)

COUNT = 5


@pytest.fixture(scope="module")
def batch():
    """Images, targets with gaps, numbers; the classes 3 and 7 are labelled nowhere."""
    random = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (COUNT, 1, 64, 64), dtype=torch.uint8, generator=random)
    targets = torch.randint(0, 2, (COUNT, CLASSES), generator=random).float()
    targets[torch.rand(targets.shape, generator=random) < 0.3] = float("nan")
    targets[:, [3, 7]] = float("nan")
    return images, targets, torch.arange(COUNT)


def new_step(**options) -> tuple[TrainStep, dict[str, torch.Tensor]]:
    """A step that keeps its gradients instead of changing weights; always the same network."""
    torch.manual_seed(0)
    # A frozen BatchNorm: with a batch's own statistics, ranks and parts compute other logits.
    config = TrainConfig(data=Path("nih"), size=64, batch_size=8, freeze_bn=True, **options)
    taken = TrainStep(DenseNet121(CLASSES), config, Preprocessing(size=64), torch.device("cpu"))
    taken.begin_epoch(0, COUNT)
    kept: dict[str, torch.Tensor] = {}
    taken.optimizer.step = lambda: kept.update(
        {name: p.grad.clone() for name, p in taken.model.named_parameters()}
    )
    return taken, kept


def labelled(targets: torch.Tensor) -> int:
    return int((~targets.isnan()).sum())


def test_the_loss_is_the_mean_over_labelled_targets_and_the_others_have_no_gradient(batch):
    images, targets, _ = batch
    taken, kept = new_step()
    loss = taken(batch, COUNT, 0.0, cells=labelled(targets))
    logits = taken.model(normalise(images, taken.preprocessing))
    rows, columns = torch.nonzero(~targets.isnan(), as_tuple=True)
    expected = F.binary_cross_entropy_with_logits(logits[rows, columns], targets[rows, columns])
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    expected.backward()
    for name, parameter in taken.model.named_parameters():
        torch.testing.assert_close(kept[name], parameter.grad, rtol=1e-3, atol=1e-5)
    head = kept["classifier.weight"], kept["classifier.bias"]
    for gradient in head:
        assert (gradient[[3, 7]] == 0).all()  # exactly
        assert gradient[[0, 1, 2]].any()


def test_two_ranks_divide_by_the_labelled_targets_of_the_whole_batch(batch, monkeypatch):
    images, targets, numbers = batch
    taken, alone = new_step()
    cells = labelled(targets)
    loss = taken(batch, COUNT, 0.0, cells=cells)
    monkeypatch.setattr(nn.parallel, "DistributedDataParallel", Ranks)
    parts, gradients = [], []
    for rank in (0, 1):
        be_rank(rank, 2, monkeypatch)
        [share] = rank_shares([np.arange(COUNT)])
        step, kept = new_step()
        parts.append(step((images[share], targets[share], numbers[share]), COUNT, 0.0, cells=cells))
        gradients.append(kept["classifier.weight"])
    assert labelled(targets[::2]) != labelled(targets[1::2]) * 3 / 2
    assert sum(parts).item() == pytest.approx(loss.item(), rel=1e-6)
    # DDP averages over the ranks.
    torch.testing.assert_close(sum(gradients) / 2, alone["classifier.weight"])


def test_a_batch_that_nobody_labelled_changes_nothing(batch):
    images, targets, numbers = batch
    taken, kept = new_step()
    nothing = torch.full_like(targets, float("nan"))
    assert taken((images, nothing, numbers), COUNT, 0.0, cells=0).item() == 0
    assert not any(gradient.any() for gradient in kept.values())


def test_a_masked_step_neither_waits_for_the_gpu_nor_reads_from_it(step_on_gpu):  # noqa: F811
    taken = step_on_gpu(batch_size=80)
    with Copies() as seen:
        loss = taken(host_batch(4), 4, 0.0, cells=17)
    assert len(seen.waits) >= 3
    assert not any(seen.waits)
    assert seen.read == []
    assert loss.device == NOWHERE
