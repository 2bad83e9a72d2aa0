"""What the rows of dev.bench work on: the pictures and the network, made when first asked for.

Everything that is made goes under the run's folder, so that a second run finds it.
"""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
from PIL import Image

from chexnet.data.datasets import ChestXRayDataSet, PackedDataSet
from chexnet.data.folder import DataFolder
from chexnet.data.nih import read_folder
from chexnet.data.pack import Pack, pack_folder, prepare
from chexnet.errors import DataError
from chexnet.labels import FINDINGS
from chexnet.metadata import Metadata
from chexnet.model import build, save_weights
from chexnet.phantom.dataset import draw_phantoms
from chexnet.phantom.patients import person
from chexnet.transforms import Preprocessing

SEED = 998  # of the phantoms: one that no other command draws by default
SIDE = 1024  # of NIH's own PNGs


@dataclass(frozen=True)
class Setting:
    """One run of the bench.

    Attributes:
        out: folder of the run.
        data: folder with pictures in NIH's layout; phantoms are drawn where it is None.
        weights: of the network that explains and answers; one with random weights where it is None.
        images: pictures that are read.
        size: side of the network's input, in pixels.
        repeats: counted calls of each side.
    """

    out: Path
    data: Path | None = None
    weights: Path | None = None
    images: int = 64
    size: int = 256
    repeats: int = 5

    @cached_property
    def folder(self) -> DataFolder:
        """The pictures' data set; drawn first where none was given."""
        if self.data is not None:
            return read_folder(self.data)
        return read_folder(phantoms(self.out, self.images, SIDE))

    def pictures(self, count: int) -> dict[str, Path]:
        """The first pictures by name.

        Raises:
            DataError: there are fewer.
        """
        paths = self.folder.paths
        if len(paths) < count:
            raise DataError(
                f"{self.data} has {len(paths)} pictures, expected at least {count}. Pass a larger "
                "folder, or smaller --images."
            )
        return dict(list(paths.items())[:count])

    def packed(self) -> PackedDataSet:
        """The first pictures as a data set that is read from a pack, made when first asked for."""
        preprocessing, paths = Preprocessing(size=self.size), self.pictures(self.images)
        pack_dir = pack_folder(self.out / "packs", self.folder.root, preprocessing)
        prepare(paths, pack_dir, preprocessing)
        chosen = np.flatnonzero(self.folder.table["image"].isin(paths))
        files = ChestXRayDataSet(self.folder, rows=chosen, preprocessing=preprocessing)
        return PackedDataSet(files, Pack(pack_dir, preprocessing))

    @cached_property
    def network(self) -> Path:
        """The weights file. Random weights cost the same time as trained ones."""
        if self.weights is not None:
            return self.weights
        path = self.out / f"random-{self.size}.pth"
        classes = {name: index for index, name in enumerate(FINDINGS)}
        start = build(classes, "none", seed=0)
        about = Metadata(classes, Preprocessing(size=self.size), {"origin": start.origin})
        save_weights(path, start.model, about)
        return path


def phantoms(out: Path, images: int, side: int) -> Path:
    """The folder of at least so many phantoms; drawn when it is first asked for."""
    patients = drawn = 0
    while drawn < images:
        drawn += person(SEED, patients).visits
        patients += 1
    root = out / f"phantoms-{patients}-{side}"
    draw_phantoms(root, patients=patients, size=side, seed=SEED)
    return root


def kind_of(paths: list[Path]) -> str:
    """What the pictures are, in words: `1024x1024 PNG`."""
    kinds = set()
    for path in paths:
        with Image.open(path) as picture:
            kinds.add(f"{picture.width}x{picture.height} {picture.format}")
    return kinds.pop() if len(kinds) == 1 else "picture (of several sizes)"
