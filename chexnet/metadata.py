"""What a weights file says of itself, and which code made it. No torch: a page reads it at once."""

import dataclasses
import platform
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

import chexnet
from chexnet.transforms import Preprocessing


@dataclass(frozen=True)
class DataInfo:
    """What every report and every weights file says of its data; see `DataModule.facts`.

    Attributes:
        table: file name of the label table.
        label_version: `2017`, `v2020` or `unknown`.
        split: scheme of the split, see `make_split`.
        split_seed: its seed.
        fold: number (from 1) and count of the cross-validation's folds, None without folds.
        leaky: whether a patient stands on both sides, or was seen by the weights of the start.
        phantoms: whether any image of the table is drawn.
        images_in_table: rows of the table.
        images_present: of them, those whose file is here.
        images_unreadable: of them, those that were left out because they cannot be read.
        fingerprints: part -> hash of its images and labels.
        images: part -> number of its images.
        drawn: part -> number of its phantoms; empty in a file from before they were counted.
        dataset: `nih`, or which other data set it is. This and the next are written only of others.
        label_mapping: how its labels became ours: `title`, `labelled_by`, `rows` and `notes` of
            `LabelMapping`, as plain values.
        images_of: the data set whose images these are under other names; empty for none.
        copy: what its pictures are where they are not NIH's own files: `320 px JPEG copy`.
    """

    table: str
    label_version: str
    split: str
    split_seed: int
    fold: tuple[int, int] | None
    leaky: bool
    phantoms: bool
    images_in_table: int
    images_present: int
    images_unreadable: int
    fingerprints: dict[str, str]
    images: dict[str, int]
    drawn: dict[str, int]
    dataset: str = "nih"
    label_mapping: dict[str, Any] | None = None
    images_of: str = ""
    copy: str = ""

    def as_dict(self) -> dict[str, Any]:
        """Plain values, as JSON and weights files keep them: the attributes' names are the keys."""
        content = dataclasses.asdict(self) | {"fold": list(self.fold) if self.fold else None}
        if self.label_mapping is None:
            del content["dataset"], content["label_mapping"]
        if not self.images_of:
            del content["images_of"]
        if not self.copy:
            del content["copy"]
        return content

    @property
    def pictures(self) -> str:
        """The data set that the pictures are of, whatever this one calls them."""
        return self.images_of or self.dataset

    @classmethod
    def from_dict(cls, stored: Mapping[str, Any]) -> "DataInfo":
        """What `as_dict` gave, also in an earlier release; other keys are left out.

        Args:
            stored: a key that was not kept yet is read as `n/a`, 0, False or empty.
        """
        names = [field.name for field in dataclasses.fields(cls)]
        known = {name: stored.get(name, _NOT_KEPT.get(name, 0)) for name in names}
        return cls(**known | {"fold": tuple(known["fold"]) if known["fold"] else None})


_NOT_KEPT: dict[str, Any] = {
    "table": "n/a",
    "label_version": "n/a",
    "split": "n/a",
    "fold": None,
    "leaky": False,
    "phantoms": False,
    "fingerprints": {},
    "images": {},
    "drawn": {},
    "dataset": "nih",
    "label_mapping": None,
    "images_of": "",
    "copy": "",
}
"""What `DataInfo.from_dict` takes for a key that the file does not have; 0 for all others."""


@dataclass(frozen=True)
class Metadata:
    """The description that travels with a network.

    Attributes:
        classes: label to index, 0 .. D - 1.
        preprocessing: how a picture becomes the input.
        provenance: data (fingerprints, hashes of what was trained on, label version), split,
            configuration, seed, versions, date.
        validation: per-class figures, operating curve, calibration and thresholds on the
            validation part; `reported`, where somebody scored other pictures and wrote it down:
            `radiographs` and `phantoms`, each a scoring's figures.
        trust: per class, how far its probability may be trusted; None where nobody measured it.
        validation_scores: the network's answers on its validation part, which later choices
            (another operating point, the place of a new answer among them) can be made from; plain
            values and tensors, see `evaluation.validation`.
        seen: what the network was trained on elsewhere, for the leak guard; plain values and
            tensors, see `networks.training_lists.seen_by`. `provenance` holds the hashes of what
            this project trained on.
        mean_contributions: (D, h, w) float32, the mean of the contribution maps M_c over the
            validation part, in logits a cell.

    The last four are optional: a weights file holds only those that are not None.
    """

    classes: dict[str, int]
    preprocessing: Preprocessing
    provenance: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)
    trust: dict[str, Any] | None = None
    validation_scores: dict[str, Any] | None = None
    seen: dict[str, Any] | None = None
    mean_contributions: np.ndarray | None = None

    @property
    def data(self) -> DataInfo:
        """Of the data that it was trained on."""
        return DataInfo.from_dict(self.provenance.get("data", {}))

    @property
    def trained_hashes(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Hashes of the images and of the patients that it was trained on, here or elsewhere.

        None if the file does not say.
        """
        images, patients = (self.provenance.get(f"trained_{of}") for of in ("images", "patients"))
        if images is None or patients is None:
            images, patients = ((self.seen or {}).get(of) for of in ("images", "patients"))
        return None if images is None or patients is None else (images.numpy(), patients.numpy())

    @property
    def from_elsewhere(self) -> bool:
        """Whether it was imported from another project's file, see `networks.importers`."""
        return "layout" in self.provenance

    @property
    def trained_on(self) -> str:
        """`radiographs`, drawn `phantoms`, or `both`."""
        data = self.data
        if not data.drawn:  # a file of before they were counted
            return "phantoms" if data.phantoms else "radiographs"
        drawn = data.drawn["train"]
        if not drawn:
            return "radiographs"
        return "phantoms" if drawn == data.images["train"] else "both"


def code_version() -> str:
    """The package's version, with the commit where it runs from a clone (`+changed` if edited)."""
    root = Path(chexnet.__file__).parents[1]
    git = ["git", "-C", str(root), "describe", "--always", "--dirty=+changed", "--exclude=*"]
    try:
        told = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no git, or no clone
        return chexnet.__version__
    return f"{chexnet.__version__} ({told.strip()})"


def surroundings() -> dict[str, Any]:
    """Date, code and library versions and the kind of machine, as plain values."""
    import torch
    import torchvision

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "gpu": gpu,
    }
