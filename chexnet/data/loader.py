"""Iterating over batches of a data set, read by processes or taken from the training device."""

import signal
from collections.abc import Iterable, Iterator, Sequence
from functools import partial

import numpy as np
from torch.utils.data import DataLoader, Dataset

from chexnet import compute
from chexnet.data.datasets import Batch, PackedDataSet, StoredDataSet
from chexnet.data.resident import ResidentDataSet
from chexnet.errors import DataError, ImageError
from chexnet.parallel import end_with_parent, forks, thread_map

AnyDataSet = StoredDataSet | ResidentDataSet


class _Batches(Dataset[Batch | ImageError]):
    """A data set whose item is a whole batch, so that a worker reads one at a time."""

    def __init__(self, data: StoredDataSet, batches: Sequence[np.ndarray]) -> None:
        self.data, self.batches = data, batches

    def __len__(self) -> int:
        return len(self.batches)

    def __getitem__(self, index: int) -> Batch | ImageError:
        try:
            return self.data.batch(self.batches[index])
        except ImageError as error:
            return error  # raised by the reader of the loader, without a worker's traceback


def batch_loader(
    data: AnyDataSet, batches: Sequence[np.ndarray], workers: int, *, pin: bool = False
) -> Iterator[Batch]:
    """Iterate over `batches` (index arrays), in this order.

    Args:
        data: the images. Resident ones come as they lie on the device; nobody reads them.
        batches: indices of each.
        workers: processes that read, 0 for none; threads where a process is no copy of this one.
        pin: put what was read into pinned memory, from which a copy to a GPU need not wait.

    Raises:
        DataError: a picture cannot be read.
    """
    if isinstance(data, ResidentDataSet):
        yield from data.batches(batches)
        return
    items = _Batches(data, batches)
    loader: Iterable[Batch | ImageError]
    if workers and not forks():
        # By threads: processes would import torch in each epoch. Decoding and resizing let other
        # threads run.
        loader = thread_map(partial(_read, items, pin), range(len(batches)), workers)
    else:
        loader = DataLoader(
            items,
            batch_size=None,
            num_workers=workers,
            pin_memory=pin,
            worker_init_fn=_start_reader,
        )
    for batch in loader:
        if isinstance(batch, ImageError):
            raise DataError(
                f"{batch} Fetch the file again, or run python -m scripts.prepare "
                "--skip-unreadable to leave such files out."
            )
        yield batch


def _read(items: _Batches, pin: bool, index: int) -> Batch | ImageError:
    batch = items[index]
    if pin and not isinstance(batch, ImageError):
        images, targets, indices = (part.pin_memory() for part in batch)
        return images, targets, indices
    return batch


def _start_reader(worker: int) -> None:
    # Ctrl-C reaches the whole group; the main process answers it after its step, and needs its
    # readers until then. SIGTERM ends a reader whatever the main process does with it.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    end_with_parent()


def default_workers(data: AnyDataSet) -> int:
    """Processes that reading deserves: none for a pack, which costs microseconds an image."""
    packed = isinstance(data, PackedDataSet | ResidentDataSet)
    return 0 if packed else min(8, compute.cores())
