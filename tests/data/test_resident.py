"""A pack that lies on the training device: the same items, and when it is chosen."""

import numpy as np
import pytest
import torch

from chexnet.data import resident
from chexnet.data.datasets import ChestXRayDataSet
from chexnet.data.loader import batch_loader, default_workers
from chexnet.data.resident import ResidentDataSet, bytes_of, fits, move_to_device
from chexnet.errors import ConfigError

CPU, GPU = torch.device("cpu"), torch.device("cuda", 0)


def silent(done: int, total: int) -> None:
    """Nobody watches."""


def test_resident_and_packed_give_the_same_batches(packed, monkeypatch):
    monkeypatch.setattr(resident, "CHUNK", 5 * 64**2)  # in three pieces, the last one smaller
    data = ResidentDataSet(packed, CPU)
    order = np.random.default_rng(0).permutation(12)
    batches = [order[:5], order[5:10], order[10:]]
    loaded, expected = (list(batch_loader(data_set, batches, 0)) for data_set in (data, packed))
    assert len(loaded) == 3
    for ours, theirs in zip(loaded, expected, strict=True):
        for mine, other in zip(ours, theirs, strict=True):
            assert mine.dtype == other.dtype
            assert torch.equal(mine, other)
    assert len(data) == len(packed)
    assert (data.images, data.patients, data.classes) == (
        packed.images,
        packed.patients,
        packed.classes,
    )
    assert default_workers(data) == 0


def test_an_epoch_that_has_nothing_left_gives_nothing(packed):
    assert list(batch_loader(ResidentDataSet(packed, CPU), [], 0)) == []


def test_half_of_the_free_memory_may_be_taken():
    nih = 86_524 * 256**2  # train and val of the official split
    assert 5.6e9 < nih < 5.8e9
    assert fits(nih, 12 * 10**9)
    assert not fits(nih, 11 * 10**9)
    assert fits(5, 10)
    assert not fits(6, 11)


@pytest.mark.parametrize(("free", "expected"), [(2.01, True), (1.99, False)])
def test_auto_asks_how_much_memory_a_gpu_has_free(packed, monkeypatch, free, expected):
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (wanted * free, 10**12))
    monkeypatch.setattr(resident, "ResidentDataSet", lambda part, *_: f"resident {len(part)}")
    wanted = 2 * bytes_of(packed)
    assert bytes_of(packed) == 12 * 64 * 64 + 12 * len(packed.classes) * 4
    parts = [packed, packed]
    moved = move_to_device(parts, "auto", GPU, silent)
    assert moved == (["resident 12"] * 2 if expected else parts)
    assert move_to_device(parts, "off", GPU, silent) is parts


def test_auto_leaves_a_cpu_and_files_as_they_are(packed, phantoms, monkeypatch):
    asked = []
    monkeypatch.setattr(torch.cuda, "mem_get_info", asked.append)
    assert move_to_device([packed], "auto", CPU, silent) == [packed]
    files = ChestXRayDataSet(phantoms, rows=range(3))
    assert move_to_device([packed, files], "auto", GPU, silent) == [packed, files]
    assert asked == []


def test_on_tells_how_far_the_copy_is(packed, monkeypatch):
    monkeypatch.setattr(resident, "CHUNK", 8 * 64**2)
    told = []
    moved = move_to_device([packed, packed], "on", CPU, lambda *now: told.append(now))
    assert all(isinstance(part, ResidentDataSet) for part in moved)
    assert told == [(8, 24), (12, 24), (20, 24), (24, 24)]


def test_on_without_a_pack_names_the_command_that_makes_one(packed, phantoms):
    files = ChestXRayDataSet(phantoms, rows=range(3))
    with pytest.raises(ConfigError, match=r"--resident on: found no pack.*scripts\.prepare"):
        move_to_device([packed, files], "on", CPU, silent)


def test_on_without_room_is_one_message(packed, monkeypatch):
    def full(*shape: object, **options: object) -> None:
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate")

    monkeypatch.setattr(resident.torch, "empty", full)
    with pytest.raises(ConfigError, match=r"no room for 0\.0 GB.*--resident auto or off"):
        move_to_device([packed], "on", CPU, silent)
