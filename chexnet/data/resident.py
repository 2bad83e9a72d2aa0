"""A pack that lies whole on the training device, so that no step waits for the host.

Under torchrun each process holds the whole of it on its own GPU, since any image may fall to any of
them.

Shapes: N images, B batch, D classes, H W pixels.
"""

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import torch

from chexnet.data.datasets import Batch, PackedDataSet, StoredDataSet
from chexnet.errors import ConfigError

CHUNK = 64 * 2**20
"""Bytes that are copied to the device at once."""
SHARE = 0.5
"""Of the free memory at most; the rest is for the network and what it keeps for backward."""


class ResidentDataSet:
    """The same items as a `PackedDataSet`, in one tensor. Attributes as in `ChestXRayDataSet`."""

    def __init__(
        self,
        packed: PackedDataSet,
        device: torch.device,
        on_progress: Callable[[int], None] = lambda images: None,
    ) -> None:
        """Copy the images and targets of `packed` to `device`.

        Args:
            packed: where they are read from, once.
            device: of the network.
            on_progress: called with the number of images copied since the last call.

        Raises:
            ConfigError: the device has no room for them.
        """
        self.images, self.patients = packed.images, packed.patients
        self.classes, self.targets = packed.classes, packed.targets
        self.preprocessing, self._device = packed.preprocessing, device
        count, side = len(packed), packed.preprocessing.size
        try:
            self._pixels = torch.empty((count, 1, side, side), dtype=torch.uint8, device=device)
        except torch.OutOfMemoryError as error:
            raise ConfigError(
                f"--resident on: found no room for {_size(bytes_of(packed))} of images on {device}."
                " Pass --resident auto or off."
            ) from error
        self._targets = torch.from_numpy(self.targets).to(device)
        step = max(1, CHUNK // side**2)
        for start in range(0, count, step):
            rows = np.arange(start, min(start + step, count))
            self._pixels[start : start + step].copy_(packed.batch(rows)[0])
            on_progress(len(rows))

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def batches(self, batches: Sequence[np.ndarray]) -> Iterator[Batch]:
        """Iterate over `batches` (index arrays): images, targets and indices on the device.

        The indices of all batches are copied there at once; nothing else is.
        """
        if not batches:
            return iter(())
        indices = torch.from_numpy(np.concatenate(batches)).to(self._device)  # (N,)
        return map(self._batch, indices.split([len(batch) for batch in batches]))

    def _batch(self, indices: torch.Tensor) -> Batch:
        images = self._pixels.index_select(0, indices)
        return images, self._targets.index_select(0, indices), indices


def bytes_of(data: StoredDataSet) -> int:
    """Bytes that a data set takes when it is resident, targets included."""
    pixels = len(data) * data.preprocessing.size**2
    return pixels + data.targets.nbytes


def fits(wanted: int, free: int) -> bool:
    """Whether so many bytes may lie on a device with so many bytes free (NIH at 256 px: 5.7 GB)."""
    return wanted <= SHARE * free


def move_to_device(
    parts: Sequence[StoredDataSet],
    choice: str,
    device: torch.device,
    on_progress: Callable[[int, int], None],
) -> Sequence[StoredDataSet | ResidentDataSet]:
    """The parts as they shall be read: all of them on the device, or all from where they are.

    Args:
        parts: what a run reads, in every epoch.
        choice: `auto`, where there are packs, on CUDA, and all fit in half of the free memory;
            `on`, whatever is free; `off`.
        device: of the network.
        on_progress: called with images copied and in all.

    Raises:
        ConfigError: `on` without a pack, or without room.
    """
    packed = [part for part in parts if isinstance(part, PackedDataSet)]
    if choice == "on" and len(packed) < len(parts):
        raise ConfigError(
            "--resident on: found no pack of these images. Run python -m scripts.prepare with the "
            "same --data, --packs, --crop and --size first."
        )
    if choice == "auto" and len(packed) == len(parts) and device.type == "cuda":
        free, _ = torch.cuda.mem_get_info(device)
        choice = "on" if fits(sum(map(bytes_of, packed)), free) else "off"
    if choice != "on":
        return parts
    done, total = 0, sum(map(len, packed))

    def copied(images: int) -> None:
        nonlocal done
        done += images
        on_progress(done, total)

    return [ResidentDataSet(part, device, copied) for part in packed]


def _size(size: int) -> str:
    return f"{size / 1e9:.1f} GB"
