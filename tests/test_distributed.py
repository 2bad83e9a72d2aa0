"""Several processes train and score like one."""

import numpy as np
import pytest
import torch

from tests import jobs
from tests.processes import start, start_ranks, wait
from tests.runs import rows, tensors


@pytest.mark.parametrize("short", [0, 1])
def test_two_ranks_train_like_one_with_batchnorm_frozen(tiny_options, tmp_path, short):
    """Also where the last batch is shared unequally, or leaves one rank without an image.

    In float64: in float32 AdamW divides a rounding error by itself wherever a gradient is nearly
    0, and moves that weight by a whole learning rate: of 7,053,000 weights 17 and 661 differed by
    more than 1e-5 from a random start, 35,385 and 399,560 from trained weights (two seeds each).
    """
    size = train_count(tiny_options) - 1 if short else -(-train_count(tiny_options) // 5)
    options = {**tiny_options, "freeze_bn": True, "epochs": 1, "batch_size": size}
    one, two = ({**options, "out": tmp_path / name} for name in ("one", "two"))
    assert wait([start(jobs.train_in_double, one)]) == [0]
    assert wait(start_ranks(jobs.train_in_double, two)) == [0, 0]
    losses = [[float(r["loss"]) for r in rows(o["out"] / "steps.csv")] for o in (one, two)]
    assert len(losses[0]) == (2 if short else 5)
    assert losses[0] == pytest.approx(losses[1], abs=1e-9)
    alone, shared = tensors(tmp_path / "one"), tensors(tmp_path / "two")
    for name, value in alone.items():
        torch.testing.assert_close(value, shared[name], rtol=0, atol=1e-5)


def train_count(options: dict) -> int:
    from chexnet.data.datamodule import open_datamodule
    from chexnet.transforms import Preprocessing

    return len(open_datamodule(options["data"], Preprocessing(size=64)).rows("train"))


def test_one_weights_file_scores_the_same_on_one_rank_and_on_two(phantoms, trained, tmp_path):
    weights = trained / "best_chexnet_params.pth"
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert wait([start(jobs.evaluate, phantoms, weights, tmp_path / "one")]) == [0]
    assert wait(start_ranks(jobs.evaluate, phantoms, weights, tmp_path / "two")) == [0, 0]
    one = np.load(tmp_path / "one" / "rank0.npy")
    ranks = [np.load(tmp_path / "two" / f"rank{rank}.npy") for rank in (0, 1)]
    assert np.array_equal(ranks[0], ranks[1])
    assert np.abs(one - ranks[0]).max() < 1e-6
