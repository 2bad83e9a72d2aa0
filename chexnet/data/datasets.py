"""The same items from files and from a pack, and the order in which an epoch visits them.

Shapes: B batch, D classes, H W pixels. An item is (image uint8 (1, H, W), target float32 (D,),
index); a batch is the three stacked.
"""

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from PIL import Image
from torch.utils.data import Dataset

from chexnet.data.folder import DataFolder
from chexnet.data.nih import read_folder
from chexnet.data.pack import Pack
from chexnet.data.tables import is_among
from chexnet.errors import DataError
from chexnet.imaging.radiograph import read_radiograph
from chexnet.labels import class_to_index
from chexnet.rng import keyed_generator
from chexnet.transforms import Preprocessing, item_pixels

Batch = tuple[torch.Tensor, torch.Tensor, torch.Tensor]


def targets_of(
    labels: Sequence[Sequence[str]],
    classes: Mapping[str, int],
    unknown: Sequence[Sequence[str]] = (),
) -> np.ndarray:
    """Multi-hot vectors, float32 (images, D); labels that `classes` lacks are left out.

    Args:
        labels: of each image.
        classes: label to index.
        unknown: labels that the table does not say of each image, NaN in the vectors; none.
    """
    targets = np.zeros((len(labels), len(classes)), np.float32)
    for row, names in enumerate(unknown):
        targets[row, [classes[name] for name in names if name in classes]] = np.nan
    for row, names in enumerate(labels):
        for name in names:
            if name in classes:
                targets[row, classes[name]] = 1.0
    return targets


class ChestXRayDataSet(Dataset[tuple[Any, torch.Tensor, int]]):
    """NIH's radiographs, read from their files.

    Attributes:
        images: file names, in order.
        patients: the patient of each image.
        classes: label to index, canonical order.
        targets: float32 (images, D), 0 or 1, NaN where the table does not say.
        inverted: bool (images,), True where the file's values are turned over.
    """

    def __init__(
        self,
        root: Path | str | DataFolder,
        transform: Callable[[Image.Image], Any] | None = None,
        *,
        rows: Sequence[int] | np.ndarray | None = None,
        classes: Mapping[str, int] | None = None,
        preprocessing: Preprocessing | None = None,
    ) -> None:
        """List the images of `root`.

        Args:
            root: the folder that holds `images_001` and the table, or what `read_folder` gave.
            transform: from a gray PIL image of the file's own size to what an item shall hold, for
                example `eval_transform()`; without one, items are uint8 (1, size, size).
            rows: rows of the table to keep; those without a file are left out.
            classes: label to index; by default built from the whole table.
            preprocessing: crop and size of the items without a transform.

        Raises:
            DataError: no table, or none of the images is here.
        """
        folder = root if isinstance(root, DataFolder) else read_folder(Path(root))
        table = folder.table if rows is None else folder.table.iloc[list(rows)]
        table = table[is_among(table["image"], folder.paths)]
        self.images: list[str] = table["image"].tolist()
        self.patients: list[str] = table["patient"].tolist()
        self.classes = dict(classes or class_to_index(folder.table["labels"]))
        self.targets = targets_of(table["labels"].tolist(), self.classes, table["unknown"].tolist())
        self.transform = transform
        self.preprocessing = preprocessing or Preprocessing()
        self._paths = [folder.paths[name] for name in self.images]
        self.inverted = table.get("inverted", pd.Series(False, table.index)).to_numpy(bool)

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[Any, torch.Tensor, int]:
        """One item: what the transform makes of the image (or uint8 (1, H, W)), target, index."""
        if self.transform:
            made = self.transform(Image.fromarray(self.pixels(index)))
        else:
            made = self._item(index)
        return made, torch.from_numpy(self.targets[index]), index

    def pixels(self, index: int) -> np.ndarray:
        """The picture as uint8 (H, W) in the file's own size."""
        image = read_radiograph(self._paths[index]).as_uint8()
        return 255 - image if self.inverted[index] else image

    def batch(self, indices: np.ndarray) -> Batch:
        """Images uint8 (B, 1, H, W), targets float32 (B, D) and indices int64 (B,)."""
        images = torch.stack([self._item(index) for index in indices])
        return images, torch.from_numpy(self.targets[indices]), torch.from_numpy(indices)

    def _item(self, index: int) -> torch.Tensor:
        item = item_pixels(read_radiograph(self._paths[index]).as_uint8(), self.preprocessing)
        # Turned over last, as a pack's are, which holds them as the files do.
        return torch.from_numpy(255 - item if self.inverted[index] else item.copy())[None]


class PackedDataSet(Dataset[tuple[torch.Tensor, torch.Tensor, int]]):
    """The same items, read from a pack. Attributes as in `ChestXRayDataSet`."""

    def __init__(self, files: ChestXRayDataSet, pack: Pack) -> None:
        """Serve the images of `files` from `pack`, which must hold them all.

        Raises:
            DataError: the pack lacks some of the images.
        """
        self.images, self.patients = files.images, files.patients
        self.classes, self.targets = files.classes, files.targets
        self.preprocessing, self.inverted = files.preprocessing, files.inverted
        lacking = pack.missing(self.images) + len(pack.unreadable(self.images))
        if lacking:
            raise DataError(f"The pack {pack.folder} lacks {lacking} images. Prepare it again.")
        self._folder = pack.folder
        self._rows = np.array([pack.names[name] for name in self.images], dtype=np.int64)
        self._pixels: np.ndarray = pack.pixels

    def __getstate__(self) -> dict[str, Any]:
        """All but the memory map, which a reader process opens for itself."""
        return {name: value for name, value in self.__dict__.items() if name != "_pixels"}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Open the memory map again."""
        self.__dict__ = {**state, "_pixels": Pack(state["_folder"], state["preprocessing"]).pixels}

    def __len__(self) -> int:
        """Number of images."""
        return len(self.images)

    def __getitem__(self, index: int) -> tuple[torch.Tensor, torch.Tensor, int]:
        """One item: uint8 (1, H, W), target, index."""
        image = self.batch(np.array([index]))[0][0]
        return image, torch.from_numpy(self.targets[index]), index

    def batch(self, indices: np.ndarray) -> Batch:
        """Images uint8 (B, 1, H, W), targets float32 (B, D) and indices int64 (B,)."""
        pixels = self._pixels[self._rows[indices]]
        turned = self.inverted[indices]
        if turned.any():
            pixels[turned] = 255 - pixels[turned]
        images = torch.from_numpy(pixels)[:, None]
        return images, torch.from_numpy(self.targets[indices]), torch.from_numpy(indices)


StoredDataSet = ChestXRayDataSet | PackedDataSet


def open_data_set(
    folder: DataFolder,
    rows: Sequence[int] | np.ndarray,
    classes: Mapping[str, int],
    preprocessing: Preprocessing,
    pack: Pack | None,
) -> StoredDataSet:
    """The images of `rows`: from the pack where there is one, else from their files."""
    if pack is None:
        return ChestXRayDataSet(folder, rows=rows, classes=classes, preprocessing=preprocessing)
    images = folder.table["image"].to_numpy()[rows]
    left_out = set(pack.unreadable(images))
    kept = [row for row, name in zip(rows, images, strict=True) if name not in left_out]
    files = ChestXRayDataSet(folder, rows=kept, classes=classes, preprocessing=preprocessing)
    return PackedDataSet(files, pack)


def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order of an epoch: a pure function, so that nothing random has to be saved."""
    return keyed_generator("order", seed, epoch).permutation(count)
