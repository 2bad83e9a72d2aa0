"""What lies in a data folder, whichever data set it is: a label table and the files of its images.

`nih.read_folder` reads NIH's own table, `formats.open_folder` that and the tables of other sets.
"""

import filecmp
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from chexnet.data.tables import is_among, shown
from chexnet.errors import DataError
from chexnet.files import PICTURE_ENDINGS, files_under

NIH = "nih"
"""The data set whose vocabulary this project speaks; every other one is mapped to it."""


@dataclass(frozen=True)
class LabelMapping:
    """How another data set's labels became ours; stands in every report.

    Attributes:
        title: of the data set, for a reader.
        labelled_by: who gave its labels, in a sentence.
        rows: source label, label(s) of ours or `not used`, and the reason where it is not plain.
        notes: what was left out, joined or taken for something, with counts.
    """

    title: str
    labelled_by: str
    rows: tuple[tuple[str, str, str], ...]
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Copy:
    """Pictures that lie in other files than one each; `data.copies` reads them into a pack.

    Attributes:
        path: the file or folder that was given.
        about: what they are where they are not NIH's own files, as `320 px JPEG copy`; or empty.
        drawn: image to whether it came with the mark of phantoms.
        pictures: from names to each name with its bytes, in the order of the files.
    """

    path: Path
    about: str
    drawn: Mapping[str, bool]
    pictures: Callable[[Collection[str]], Iterator[tuple[str, bytes]]]


@dataclass(frozen=True)
class DataFolder:
    """What lies in one data folder.

    Attributes:
        root: the folder.
        table: one row an image, in the file's order, index 0 ..: `image` (what names it in the
            table: NIH's file name, or a path, or a number; nothing else of the set has that name),
            `patient` (str; NIH's numbers without leading zeros, of another set with its name before
            them), `labels` (tuple of the vocabulary), `unknown` (tuple of the labels that the table
            does not say of this image; empty in NIH's), `age` (years, NaN where impossible), `sex`,
            `view` (`AP`, `PA` or empty), `follow_up`; where a reader asks for it also `inverted`,
            True where the file's values are to be turned over.
        version: of NIH's tables `2017`, `v2020` or `unknown`, told by the table's content; of
            another set's the format that it was read as.
        table_name: file name of the table.
        lists: names in `train_val` and `test`; None where the folder has no lists.
        paths: name in the table to path, for the images that are here.
        dataset: `nih`, or the name of the set that it was read as.
        mapping: None for NIH's.
        images_of: the data set whose images these are under other names that nobody can tell from
            them: whoever saw that one has seen these. Empty for none.
        notes: sentences that a user should read; those of `mapping` stand there.
        copy: where the pictures lie in parquet, zip or tar files, which are the `paths` then.
    """

    root: Path
    table: pd.DataFrame
    version: str
    table_name: str
    lists: dict[str, frozenset[str]] | None
    paths: dict[str, Path]
    dataset: str = NIH
    mapping: LabelMapping | None = None
    images_of: str = ""
    notes: tuple[str, ...] = ()
    copy: Copy | None = None

    @property
    def place(self) -> Path:
        """What `--data` was: the folder, or the file of a copy; packs are named after it."""
        return self.copy.path if self.copy else self.root

    @property
    def all_notes(self) -> tuple[str, ...]:
        """The sentences of the folder and of its mapping."""
        return (*self.notes, *(self.mapping.notes if self.mapping else ()))

    @property
    def present(self) -> pd.Series:
        """True for each row of the table whose image is here."""
        return pd.Series(is_among(self.table["image"], self.paths), self.table.index)


def find_images(root: Path, files: Mapping[str, str]) -> dict[str, Path]:
    """Find the images of a table in any folder under `root`, whatever the folders are called.

    A file is an image's where its path ends in what the table says: its path or its name, in any
    case and with any picture's ending; the one in case and ending wins. A path of the table also
    counts without its first folder, which is often the data folder itself, directly under `root`.

    Args:
        root: where to look.
        files: name of the image in the table to its path or file name; the image's own name is
            tried as well.

    Returns:
        Name to path, in the order given, of those that are here.

    Raises:
        DataError: different files could be the same image, or a file several images.
    """
    here = files_under(root)
    if not here:
        return {}
    depths = {text.count("/") for text in {*files, *files.values()}}
    deepest = max(depths)
    places: dict[str, list[str]] = {}  # ends of the paths, those from the root with a slash before
    begin = len(os.path.join(root, ""))
    for path in here:
        name = _plain(path[begin:].replace(os.sep, "/"))
        *above, end = name.rsplit("/", deepest + 1)
        for depth in range(deepest + 1):
            if depth in depths:
                places.setdefault(end, []).append(path)
            if not above:
                break
            end = above.pop() + "/" + end
        if depths != {0}:
            places.setdefault("/" + name, []).append(path)
    places_of: dict[str, str] = {}
    images: dict[str, str] = {}
    for image, file in files.items():
        rest = image.partition("/")[2]
        for text in dict.fromkeys((image, "/" + rest, file) if rest else (file, image)):
            if there := places.get(_plain(text)):
                path = places_of[image] = _only(image, text, there)
                if images.setdefault(path, image) != image:
                    raise DataError(
                        f"{path} could be {shown(images[path])} and {shown(image)} of the table. "
                        "Expected one for each; pass --data the folder that their paths begin in."
                    )
                break
    return {image: Path(path) for image, path in places_of.items()}


def _plain(name: str) -> str:
    """A path in lower case without a picture's ending; another ending is part of the name."""
    name = name.lower()
    stem, dot, ending = name.rpartition(".")
    return stem if dot + ending in PICTURE_ENDINGS else name


def _only(image: str, text: str, paths: list[str]) -> str:
    """The file called `text` to the letter, or the first of those that may be called so."""
    if len(paths) > 1:
        named = text.replace("/", os.sep)
        paths = [path for path in paths if path.endswith(named)] or paths
    for other in paths[1:]:
        if not filecmp.cmp(paths[0], other, shallow=False):  # compares the sizes first
            raise DataError(
                f"Found two files of {shown(image)}: {paths[0]} and {other}. Expected one; pass "
                "--data a folder that holds one of them."
            )
    return paths[0]
