"""What dev.gate learns from and measures on, as thumbnails.

Shapes: N pictures, SIDE pixels a side.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from chexnet.data.nih import read_folder
from chexnet.errors import DataError
from chexnet.imaging.radiograph import read_radiograph
from chexnet.inference.gate import thumbnail
from chexnet.parallel import process_map
from chexnet.phantom.draw import draw_phantom
from chexnet.phantom.patients import person
from dev.gate import making
from dev.gate.lateral import side_view
from dev.gate.shapes import SIDE

PHANTOM_SEED, PHANTOMS = 990, 240
MISLAID = ("00003490_011.png", "00017625_000.png", "00017999_000.png")
"""Of train_val, stored upside down (the first) or inverted: found by their scores, then looked at.
Their label, upright, is wrong: no network learns from them, and scores count them apart."""


@dataclass
class Pictures:
    """Everything to learn from, uint8 (N, SIDE, SIDE).

    Attributes:
        radiographs: all of train_val that are there.
        paths: where they lie.
        phantoms: drawn radiographs.
        others: pictures of each kind from `photograph` on, and `limb`s.
    """

    radiographs: np.ndarray
    paths: list[Path]
    phantoms: np.ndarray
    others: dict[str, np.ndarray]

    @property
    def patients(self) -> np.ndarray:
        """Patient number of each radiograph: NIH's file names begin with it."""
        return np.array([int(path.name[:8]) for path in self.paths])

    @property
    def rightly_labelled(self) -> np.ndarray:
        """True for each radiograph but the mislaid ones."""
        return np.array([path.name not in MISLAID for path in self.paths])

    @property
    def learned(self) -> np.ndarray:
        """True for what the gate that is shipped learns from: 70 % of the patients."""
        return (self.patients % 10 < 7) & self.rightly_labelled


def collect(data: Path, on_progress: Callable[[int, int], None]) -> Pictures:
    """Read the radiographs, draw the phantoms, make everything else."""
    try:
        from skimage import data as samples
    except ImportError as error:
        raise DataError(
            "Found no scikit-image, whose photographs the gate learns from. "
            "Run: pip install scikit-image"
        ) from error
    import matplotlib

    folder = read_folder(data)
    if folder.lists is None:
        raise DataError(f"Found no train_val_list.txt in {data}; the gate learns from it alone.")
    paths = [folder.paths[name] for name in sorted(folder.lists["train_val"] & set(folder.paths))]
    radiographs = [_small(path) for path in paths]
    on_progress(1, 8)
    phantoms = list(process_map(_phantom, list(range(PHANTOMS)), 1))
    on_progress(2, 8)
    root = Path(samples.__file__).parent
    photographs = [making.gray(next(root.glob(f"{name}.*"))) for name in making.PHOTOGRAPHS]
    faces = np.load(root / "lfw_subset.npy")[:100]  # the first 100 are faces of 25 x 25 pixels
    fonts = sorted(Path(matplotlib.get_data_path(), "fonts", "ttf").glob("DejaVu*.ttf"))
    parts = {
        "photograph": (3000, 0, lambda random: making.photograph(photographs, random)),
        "scene": (4000, 1, making.scene),
        "slice": (3000, 2, making.slice_),
        "text": (2500, 3, lambda random: making.writing(fonts, random)),
        "limb": (700, 5, making.limb),
        "side view": (4000, 6, side_view),
    }
    others = {}
    for done, (name, (count, seed, make)) in enumerate(parts.items(), start=3):
        others[name] = making.many(count, seed, make)
        on_progress(done, 8)
    face = np.stack([np.rint(255 * making.resized(face)) for face in faces]).astype(np.uint8)
    others["photograph"] = np.concatenate([others["photograph"], face, others.pop("scene")])
    return Pictures(np.stack(radiographs), paths, np.stack(phantoms), others)


def _small(path: Path) -> np.ndarray:
    return np.rint(255 * thumbnail(read_radiograph(path), SIDE)).astype(np.uint8)


def _phantom(patient: int) -> np.ndarray:
    follow_up = patient % person(PHANTOM_SEED, patient).visits
    pixels = draw_phantom(PHANTOM_SEED, patient, follow_up, size=192).pixels
    return np.rint(255 * making.resized(pixels)).astype(np.uint8)
