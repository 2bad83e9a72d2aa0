import os
import time

import numpy as np
import pytest
import torch
from PIL import Image

from chexnet.data import loader
from chexnet.data.datasets import (
    ChestXRayDataSet,
    PackedDataSet,
    epoch_order,
    targets_of,
)
from chexnet.data.loader import batch_loader
from chexnet.data.nih import read_folder
from chexnet.data.pack import Pack, prepare
from chexnet.errors import DataError, ImageError
from chexnet.transforms import Preprocessing, eval_transform
from tests import jobs
from tests.conftest import needs_signals, rows_of
from tests.processes import start


@pytest.fixture(scope="module")
def packed(phantoms, tmp_path_factory):
    preprocessing = Preprocessing(size=64)
    place = tmp_path_factory.mktemp("packs") / "p"
    prepare(read_folder(phantoms).paths, place, preprocessing, workers=1)
    files = ChestXRayDataSet(phantoms, preprocessing=preprocessing)
    return files, PackedDataSet(files, Pack(place, preprocessing))


def test_files_and_pack_give_the_same_items(packed):
    files, pack = packed
    assert len(files) == len(pack) > 20
    for index in range(len(files)):
        (image, target, number), (other, other_target, other_number) = files[index], pack[index]
        assert image.dtype == torch.uint8
        assert image.shape == (1, 64, 64)
        assert torch.equal(image, other)
        assert torch.equal(target, other_target)
        assert number == other_number == index


def test_batches_are_the_items_stacked(packed):
    indices = np.array([5, 0, 7])
    for data in packed:
        images, targets, numbers = data.batch(indices)
        assert images.shape == (3, 1, 64, 64)
        assert numbers.tolist() == [5, 0, 7]
        for row, index in enumerate(indices):
            assert torch.equal(images[row], data[index][0])
            assert torch.equal(targets[row], data[index][1])


@pytest.mark.usefixtures("tiny_network")
def test_the_predictor_sees_the_same_bytes(packed, trained, phantoms):
    from chexnet.inference.predictor import Predictor

    predictor = Predictor(trained / "best_chexnet_params.pth", engine="torch")
    path = read_folder(phantoms).paths[packed[0].images[3]]
    assert np.array_equal(predictor.read(path).pixels, packed[1][3][0][0].numpy())
    assert np.array_equal(predictor.read(path.read_bytes()).pixels, packed[1][3][0][0].numpy())


def test_a_transform_gives_what_a_user_of_torchvision_expects(phantoms):
    data = ChestXRayDataSet(phantoms, transform=eval_transform())
    image, target, _ = data[0]
    assert image.shape == (3, 256, 256)
    assert image.dtype == torch.float32
    path = read_folder(phantoms).paths[data.images[0]]
    torch.testing.assert_close(image, eval_transform()(Image.open(path)))
    assert target.shape == (len(data.classes),)


def test_targets_are_multi_hot_in_the_order_of_the_classes():
    targets = targets_of([("Mass", "Edema"), (), ("Hernia",)], {"Edema": 0, "Mass": 1})
    assert targets.tolist() == [[1, 1], [0, 0], [0, 0]]


def test_workers_and_their_number_change_neither_order_nor_content(packed):
    files, _ = packed
    batches = [np.array([3, 1]), np.array([9, 0, 2]), np.array([4])]
    runs = [
        [(images, numbers) for images, _, numbers in batch_loader(files, batches, workers)]
        for workers in (0, 2)
    ]
    for (images, numbers), (others, other_numbers), wanted in zip(*runs, batches, strict=True):
        assert numbers.tolist() == other_numbers.tolist() == wanted.tolist()
        assert torch.equal(images, others)


def test_where_workers_would_import_torch_again_threads_read(packed, monkeypatch):
    """On macOS and Windows each epoch's workers are fresh processes; the items are the same."""
    files, _ = packed
    batches = [np.array([3, 1]), np.array([9, 0, 2]), np.array([4])]
    expected = list(batch_loader(files, batches, workers=0))
    monkeypatch.setattr(loader, "forks", lambda: False)
    monkeypatch.setattr(loader, "DataLoader", None)
    for batch, other in zip(batch_loader(files, batches, workers=2), expected, strict=True):
        assert all(map(torch.equal, batch, other))
    with pytest.raises(DataError, match=r"damaged.*skip-unreadable"):
        list(batch_loader(Damaged(), batches, workers=2))


class Damaged:
    def batch(self, indices: object) -> None:
        raise ImageError("x.png is damaged.")


@needs_signals
def test_readers_end_with_the_process_they_read_for(tmp_path):
    process = start(jobs.read_for_ever, tmp_path)
    deadline = time.monotonic() + 60
    while len(list(tmp_path.iterdir())) < 2 and time.monotonic() < deadline:
        time.sleep(0.05)
    readers = [int(path.name) for path in tmp_path.iterdir()]
    assert len(readers) == 2
    process.kill()
    process.join()
    while any(alive(reader) for reader in readers) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(reader) for reader in readers)


def alive(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    return True


def test_an_epochs_order_is_a_permutation_of_its_own():
    first = epoch_order(100, seed=1, epoch=0)
    assert sorted(first) == list(range(100))
    assert np.array_equal(first, epoch_order(100, 1, 0))
    assert not np.array_equal(first, epoch_order(100, 1, 1))


def test_a_pack_that_lacks_images_is_refused(make_folder, tmp_path):
    folder = read_folder(make_folder(rows_of(3, 2)))
    some = dict(list(folder.paths.items())[:4])
    prepare(some, tmp_path / "p", Preprocessing(size=64), workers=1)
    files = ChestXRayDataSet(folder, preprocessing=Preprocessing(size=64))
    with pytest.raises(DataError, match="lacks 2 images"):
        PackedDataSet(files, Pack(tmp_path / "p", Preprocessing(size=64)))
