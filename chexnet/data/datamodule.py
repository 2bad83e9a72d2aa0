"""A data folder with its split and its pack: what training and evaluation both open."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np

from chexnet.data.datasets import StoredDataSet, open_data_set
from chexnet.data.folder import DataFolder
from chexnet.data.formats import DataRequest, open_folder
from chexnet.data.pack import Pack, pack_folder
from chexnet.data.splits import Split, fingerprint, make_split
from chexnet.data.tables import is_among
from chexnet.errors import DataError
from chexnet.files import plain
from chexnet.metadata import DataInfo
from chexnet.phantom.marks import drawn_images
from chexnet.transforms import Preprocessing


@dataclass(frozen=True)
class DataModule:
    """One data folder, divided.

    Attributes:
        folder: table, lists and files.
        split: rows of each part.
        preprocessing: crop and size of the items.
        pack: where the items are read from, None for the files themselves.
        notes: sentences that a user should read.
    """

    folder: DataFolder
    split: Split
    preprocessing: Preprocessing
    pack: Pack | None
    notes: list[str] = field(default_factory=list)

    @cached_property
    def unreadable(self) -> list[str]:
        """Images left out because their file cannot be read."""
        return self.pack.unreadable(self.folder.paths) if self.pack else []

    def rows(self, part: str) -> np.ndarray:
        """Rows of `train`, `val`, `test` or `all` whose image is here and can be read."""
        return self._rows[part]

    def data_set(self, part: str, classes: Mapping[str, int]) -> StoredDataSet:
        """The images of one part.

        Raises:
            DataError: none of them is here.
        """
        rows = self.rows(part)
        if not len(rows):
            wanted = len(self.split.rows.get(part, self.folder.table))
            raise DataError(
                f"None of the {wanted:,} images of the {part} part "
                f"({self.split.scheme} split) is under {self.folder.root}. Fetch more of the "
                "image folders, or use --split patient for training."
            )
        return open_data_set(self.folder, rows, classes, self.preprocessing, self.pack)

    @cached_property
    def facts(self) -> DataInfo:
        """What every report says of its data."""
        parts = {part: self.rows(part) for part in self.split.rows}
        names = self.folder.table["image"].to_numpy()
        return DataInfo(
            table=self.folder.table_name,
            label_version=self.folder.version,
            split=self.split.scheme,
            split_seed=self.split.seed,
            fold=self.split.fold,
            leaky=self.split.leaky,
            phantoms=bool(self.drawn),
            images_in_table=len(self.folder.table),
            images_present=len(self.folder.paths),
            images_unreadable=len(self.unreadable),
            fingerprints={p: fingerprint(self.folder.table, rows) for p, rows in parts.items()},
            images={part: len(rows) for part, rows in parts.items()},
            drawn={p: int(is_among(names[rows], self.drawn).sum()) for p, rows in parts.items()},
            dataset=self.folder.dataset,
            label_mapping=plain(self.folder.mapping),
            images_of=self.folder.images_of,
            copy=self.folder.copy.about if self.folder.copy else "",
        )

    @cached_property
    def drawn(self) -> frozenset[str]:
        """Images of the table that are phantoms."""
        folder, known = self.folder, self.pack.drawn if self.pack else {}
        by_name = drawn_images(folder.root, folder.table, folder.paths, known)
        return frozenset(name for name, is_drawn in by_name.items() if is_drawn)

    @cached_property
    def _rows(self) -> dict[str, np.ndarray]:
        names = self.folder.table["image"]
        usable = (self.folder.present & ~names.isin(self.unreadable)).to_numpy()
        parts = {part: rows[usable[rows]] for part, rows in self.split.rows.items()}
        return {"all": np.flatnonzero(usable)} | parts

    def only(self, part: str, rows: np.ndarray) -> "DataModule":
        """The same with fewer rows in one part, `all` among them."""
        split = replace(self.split, rows=self.split.rows | {part: rows})
        return replace(self, split=split)


def open_datamodule(
    request: DataRequest,
    preprocessing: Preprocessing,
    *,
    folder: DataFolder | None = None,
    allow_leak: bool = False,
) -> DataModule:
    """Read a data folder, divide it, and find its pack.

    Args:
        request: which data, and how they are divided.
        preprocessing: crop and size of the items.
        folder: what `open_folder` gave for this request, where it was called before.
        allow_leak: see `make_split`.

    Raises:
        DataError: see `open_folder` and `make_split`; or the pack does not fit the files.
    """
    folder, fold, packs = folder or open_folder(request), request.fold, request.packs
    divided = make_split(folder, request.split, request.seed, fold=fold, allow_leak=allow_leak)
    notes = [*folder.notes, *([f"Fold {fold[0]} of {fold[1]} validates."] if fold else [])]
    pack = _find_pack(folder, preprocessing, packs, notes) if packs else None
    if folder.copy and not pack:
        raise DataError(
            f"{folder.place} is read through a pack, and {packs or 'no folder of packs'} has no "
            f"whole one of {preprocessing.size} px, crop {preprocessing.crop:g}. "
            f"Run python -m scripts.prepare --data {folder.place} --packs {packs or 'packs'} "
            f"--size {preprocessing.size} --crop {preprocessing.crop:g}"
        )
    return DataModule(folder, divided, preprocessing, pack, notes)


def _find_pack(
    folder: DataFolder, preprocessing: Preprocessing, packs: Path, notes: list[str]
) -> Pack | None:
    pack_dir = pack_folder(packs, folder.place, preprocessing)
    if not (pack_dir / "pack.json").exists():
        return None
    pack = Pack(pack_dir, preprocessing)
    if pack.stale(folder.paths):
        raise DataError(
            f"Files under {folder.root} have changed since {pack_dir} was made. "
            "Run python -m scripts.prepare again; it decodes the changed ones."
        )
    unreadable = pack.unreadable(folder.paths)
    if unreadable and not pack.skip_unreadable:
        raise DataError(
            f"{len(unreadable):,} images could not be read when {pack_dir} was made, "
            f"{unreadable[0]} first. Fetch them again and run python -m scripts.prepare, "
            "or run it with --skip-unreadable to leave them out."
        )
    missing = pack.missing(folder.paths)
    if missing:
        notes.append(
            f"The pack {pack_dir} lacks {missing:,} of {len(folder.paths):,} images, so the files "
            "themselves are read. Run python -m scripts.prepare to finish it."
        )
        return None
    return pack
