"""Which images train, validate and test; and the guard against patients on both sides.

On an image-level random split 82-84 % of NIH's held-out images have a patient who also stands in
training, and the labels of that patient's other images alone reach a mean AUROC of about 0.76.
"""

import hashlib
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from chexnet.data.folder import DataFolder
from chexnet.data.nih import LISTS, VAL_LIST
from chexnet.data.tables import is_among, listed
from chexnet.errors import DataError, LeakError
from chexnet.rng import keyed_generator

PARTS = ("train", "val", "test")
VAL_SHARE = 0.10
TEST_SHARE = 0.20
Fold = tuple[int, int]
"""(k, K): the k-th, from 1, of K parts of nearly the same number of patients."""
LEAKY = "LEAKY"
"""The stamp of every output whose test patients (may) have been trained on."""


@dataclass(frozen=True)
class Split:
    """A division of a table's rows.

    Attributes:
        scheme: `official`, `patient` or `image`.
        seed: of the random part of the division.
        rows: part name to row numbers of the table, ascending; images that are not here count too.
        leaky: True when a patient stands in training and in another part.
        fold: (k, K) where the k-th of K folds validates, None where a tenth does.
    """

    scheme: str
    seed: int
    rows: dict[str, np.ndarray]
    leaky: bool
    fold: Fold | None = None


def make_split(
    folder: DataFolder,
    scheme: str = "auto",
    seed: int = 0,
    *,
    fold: Fold | None = None,
    allow_leak: bool = False,
) -> Split:
    """Divide the whole table into train, val and test.

    The division looks at the whole table, not at the images that happen to be here, so that a
    growing download moves nobody from one part to another.

    Args:
        folder: what `read_folder` gives.
        scheme: `official` (NIH's lists; validation is 10 % of the train_val patients, or
            what `val_list.txt` names of them), `patient` (70/10/20 by patient), `image` (70/10/20
            by image, leaks), or `auto`: official where the lists are there, else patient.
        seed: of the random draw.
        fold: validate on this part of what is not test, for cross-validation; the test part is the
            same in all folds.
        allow_leak: accept a split with a patient on both sides; it is marked as leaky.

    Raises:
        DataError: `official` without lists.
        LeakError: the split leaks and `allow_leak` is False.
    """
    if scheme == "auto":
        scheme = "official" if folder.lists else "patient"
    table = folder.table
    if scheme == "official":
        parts, units = _official(folder, seed), table["patient"]
    elif scheme in ("patient", "image"):
        units = table[scheme]
        parts = _draw(units, seed)
    else:
        raise DataError(f"Found split {scheme!r}, expected official, patient or image.")
    if fold:
        parts = _folded(parts, units, fold, seed)
    rows = {name: np.flatnonzero(parts == name) for name in PARTS}
    shared = shared_patients(table, rows)
    if shared and not allow_leak:
        raise LeakError(
            f"The {scheme} split has {shared:,} patients in training and in another part; figures "
            "of it would be too good. Use --split patient, or pass --allow-leak to have them "
            f"stamped {LEAKY}."
        )
    return Split(scheme, seed, rows, bool(shared), fold)


def shared_patients(table: pd.DataFrame, rows: dict[str, np.ndarray]) -> int:
    """How many patients of the training rows also stand in another part."""
    patients = {part: set(table["patient"].to_numpy()[index]) for part, index in rows.items()}
    others = set().union(*(names for part, names in patients.items() if part != "train"))
    return len(patients["train"] & others)


def fingerprint(table: pd.DataFrame, rows: Iterable[int]) -> str:
    """SHA-256 (16 hex digits) over the sorted image names and labels of `rows`.

    Labels that the table does not say stand after the others, and then that an image is turned
    over; NIH's table has neither.
    """
    chosen = table.iloc[list(rows)]
    turned = chosen.get("inverted", [False] * len(chosen))
    columns = (chosen[name] for name in ("image", "labels", "unknown"))
    lines = sorted(
        "\t".join([image, "|".join(labels), *(["|".join(unknown)] if unknown else [])])
        + "\tinverted" * over
        + "\n"
        for image, labels, unknown, over in zip(*columns, turned, strict=True)
    )
    return hashlib.sha256("".join(lines).encode()).hexdigest()[:16]


def name_hashes(names: Iterable[str]) -> np.ndarray:
    """Sorted 64-bit hashes (int64, BLAKE2b) of distinct names; 8 bytes a name in a weights file."""
    return np.sort(_hashes(set(listed(names))))


def unseen(
    table: pd.DataFrame,
    rows: Sequence[int] | np.ndarray,
    trained_images: np.ndarray,
    trained_patients: np.ndarray,
) -> np.ndarray:
    """The rows of which a network has seen neither the image nor the patient; see `refuse_trained`.

    Returns:
        int (n,), in the order of `rows`.
    """
    chosen = table.iloc[list(rows)]
    pairs = ((chosen["image"], trained_images), (chosen["patient"], trained_patients))
    dirty = [np.isin(_hashes(names), hashes) for names, hashes in pairs]
    return np.asarray(rows, int)[~np.logical_or(*dirty)]


def refuse_trained(
    table: pd.DataFrame,
    rows: Sequence[int] | np.ndarray,
    trained_images: np.ndarray,
    trained_patients: np.ndarray,
    *,
    allow_leak: bool = False,
    advice: Callable[[], str] = lambda: "",
) -> bool:
    """Refuse to score a network on what it was trained on.

    Args:
        table: see `DataFolder.table`.
        rows: the rows to be scored.
        trained_images: `name_hashes` of the training images, from the weights file.
        trained_patients: the same of the training patients.
        allow_leak: do not refuse, but say so by the return value.
        advice: asked where it refuses, for further sentences of the message.

    Returns:
        True when the scores are leaky (only with `allow_leak`).

    Raises:
        LeakError: gives the count of images and patients.
    """
    chosen = table.iloc[list(rows)]
    images = np.isin(name_hashes(chosen["image"]), trained_images).sum()
    patients = np.isin(name_hashes(chosen["patient"]), trained_patients).sum()
    if not images and not patients:
        return False
    if not allow_leak:
        raise LeakError(
            f"These weights were trained on {images:,} of these {len(rows):,} images and on "
            f"{patients:,} of their patients. Score another part or other images, or pass "
            f"--allow-leak to have the figures stamped {LEAKY}.{advice()}"
        )
    return True


def _hashes(names: Iterable[str]) -> np.ndarray:
    """The hash of each name, in the order of the names."""
    digests = b"".join(hashlib.blake2b(n.encode(), digest_size=8).digest() for n in listed(names))
    return np.frombuffer(digests, dtype="<i8")


def _official(folder: DataFolder, seed: int) -> np.ndarray:
    if folder.lists is None:
        raise DataError(
            f"--split official needs {' and '.join(LISTS.values())} in {folder.root}. "
            "Fetch them from NIH, or use --split patient."
        )
    table = folder.table
    train_val = is_among(table["image"], folder.lists["train_val"])
    test = is_among(table["image"], folder.lists["test"])
    if not train_val.any() or not test.any():
        raise DataError(
            f"The lists in {folder.root} name no image of {folder.table_name}. "
            "Fetch lists and table of the same data set."
        )
    if (train_val & test).any():
        raise DataError(
            f"{int((train_val & test).sum())} images stand on both lists in {folder.root}. "
            "Fetch both again from NIH."
        )
    parts = np.full(len(table), "none", dtype=object)
    parts[train_val] = "train"
    if "val" in folder.lists:
        val = is_among(table["image"], folder.lists["val"])
        if not val.any() or (val & ~train_val).any():
            raise DataError(
                f"{VAL_LIST} in {folder.root} names {int((val & train_val).sum())} images of "
                f"{LISTS['train_val']} and {int((val & ~train_val).sum())} others of the table, "
                "expected some of that list and no others. Correct it, or move it away."
            )
    else:
        patients = table["patient"]
        val = _drawn(patients, patients[train_val], VAL_SHARE, seed, stream="held out")
    parts[train_val & val] = "val"
    parts[test] = "test"
    return parts


def _draw(units: pd.Series, seed: int) -> np.ndarray:
    parts = np.full(len(units), "train", dtype=object)
    held_out = _drawn(units, units, VAL_SHARE + TEST_SHARE, seed, stream="held out")
    parts[held_out] = "val"
    test_of_held_out = TEST_SHARE / (VAL_SHARE + TEST_SHARE)
    parts[_drawn(units, units[held_out], test_of_held_out, seed, stream="test")] = "test"
    return parts


def _folded(parts: np.ndarray, units: pd.Series, fold: Fold, seed: int) -> np.ndarray:
    """The same parts with another validation: one fold of what trains and validates."""
    number, count = fold
    learning = np.isin(parts, ("train", "val"))
    distinct = np.array(sorted(set(listed(units[learning]))))
    if count > len(distinct):
        raise DataError(
            f"--folds: found {count} for {len(distinct)} patients outside the test part, expected "
            "at most as many."
        )
    order = keyed_generator("split", seed, "folds").permutation(len(distinct))
    chosen = is_among(units, distinct[order[number - 1 :: count]])
    folded = parts.copy()
    folded[learning] = np.where(chosen[learning], "val", "train")
    return folded


def _drawn(
    units: pd.Series, among: pd.Series, share: float, seed: int, *, stream: str
) -> np.ndarray:
    """True for the rows of a random `share` of the distinct units in `among`."""
    distinct = np.array(sorted(set(listed(among))))
    order = keyed_generator("split", seed, stream).permutation(len(distinct))
    count = max(1, round(share * len(distinct)))
    return is_among(units, distinct[order[:count]])
