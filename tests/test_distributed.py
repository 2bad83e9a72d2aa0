"""Several processes train and score like one."""

import os
import subprocess
import sys

import pytest
import torch
from torch import distributed as dist

from chexnet import compute
from chexnet.data.formats import DataRequest
from tests import jobs
from tests.conftest import ROOT
from tests.processes import start, start_ranks, wait
from tests.runs import rows, tensors

pytestmark = pytest.mark.usefixtures("tiny_network")


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

    return len(open_datamodule(DataRequest(options["data"]), Preprocessing(size=64)).rows("train"))


@pytest.mark.parametrize(
    ("asked", "ranks", "expected"),
    [("3", "1", 3), ("3", "4", 3), ("1", "1", 1), ("1", "2", 4), (None, "2", 4), ("1", "99", 1)],
)
def test_cores_are_divided_over_the_ranks_where_torchrun_asked_for_one(
    monkeypatch, asked, ranks, expected
):
    """torchrun sets OMP_NUM_THREADS=1 where nobody set it; readers would be one a rank."""
    if hasattr(os, "sched_getaffinity"):
        monkeypatch.setattr(os, "sched_getaffinity", lambda _: range(8))
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setenv("LOCAL_WORLD_SIZE", ranks)
    if asked is None:
        monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    else:
        monkeypatch.setenv("OMP_NUM_THREADS", asked)
    assert compute.cores() == expected


def test_a_process_that_fails_does_not_wait_to_take_leave_of_the_others(monkeypatch):
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    left = []
    monkeypatch.setattr(dist, "init_process_group", lambda *_, **__: None)
    monkeypatch.setattr(dist, "destroy_process_group", lambda: left.append(True))
    with pytest.raises(ValueError, match="wrong"), compute.process_group(torch.device("cpu")):
        raise ValueError("wrong")
    assert left == []
    with compute.process_group(torch.device("cpu")):
        pass
    assert left == [True]


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        ("ChexnetError('the disk is full')", "[process 1] Error: the disk is full"),
        ("ValueError('a mistake')", "ValueError: a mistake"),
    ],
)
def test_a_rank_that_fails_prints_why_and_is_gone_whatever_still_runs_in_it(raised, said):
    """A thread that never ends stands for a collective that waits for the other ranks."""
    code = f"""
import threading
from chexnet.errors import ChexnetError
from scripts.cli import new_app, run
app = new_app()

@app.command()
def fail():
    threading.Thread(target=threading.Event().wait).start()
    def throw(error): raise error
    throw({raised})

run(app)
"""
    env = {**os.environ, "RANK": "1", "WORLD_SIZE": "2"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, timeout=60)
    assert done.returncode == 1
    assert said in done.stderr


def test_float32_on_cuda_is_float32(monkeypatch):
    """TF32 convolutions moved probabilities by more than the export's tolerance."""
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "set_device", lambda device: None)
    monkeypatch.setattr(torch.backends.cudnn, "allow_tf32", True)
    assert compute.pick_device("auto").type == "cuda"
    assert not torch.backends.cudnn.allow_tf32
    assert not torch.backends.cuda.matmul.allow_tf32
