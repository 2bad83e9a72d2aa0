"""Drawn and real radiographs in one folder of NIH's layout, for the starter weights."""

import os
import shutil
from pathlib import Path

import pandas as pd

from chexnet.data.folder import DataFolder
from chexnet.data.nih import LISTS, TABLES, VAL_LIST, read_folder
from chexnet.errors import DataError
from chexnet.files import replacing, write_text

COLUMNS = (
    "Image Index",
    "Finding Labels",
    "Follow-up #",
    "Patient ID",
    "Patient Age",
    "Patient Gender",
    "View Position",
)


def mix(
    phantoms: Path, nih: Path, names: list[str], out: Path, validation: list[str] | None = None
) -> None:
    """Put drawn radiographs and the named real ones into one folder.

    All real ones stand on the train_val list; the drawn ones keep their lists.

    Args:
        phantoms: folder of `scripts.phantom`.
        nih: folder of NIH's download, or of a part of it.
        names: of NIH's images, all from its official train_val list.
        out: folder to make; pictures are linked, or copied where links cannot be made.
        validation: those of `names` that validate, and no drawn one; no other image of their
            patients is in `names`. None: a tenth of all patients validates.

    Raises:
        DataError: a named image is not in `nih`, or is not on its train_val list.
    """
    drawn, real = read_folder(phantoms), read_folder(nih)
    _refuse_others(real, names)
    ours = list(drawn.table["image"])
    for source, chosen in ((drawn, ours), (real, names)):
        for name in chosen:
            _link(source.paths[name], out / source.paths[name].relative_to(source.root))
    tables = []
    for source, chosen in ((drawn, ours), (real, names)):
        raw = pd.read_csv(source.root / source.table_name, dtype=str, keep_default_na=False)
        tables.append(raw.loc[raw["Image Index"].isin(set(chosen)), list(COLUMNS)])
    write_text(out / TABLES["2017"], pd.concat(tables).to_csv(index=False))
    test, learned = ((drawn.lists or {})[part] for part in ("test", "train_val"))
    write_text(out / LISTS["test"], "\n".join(sorted(test)))
    write_text(out / LISTS["train_val"], "\n".join([*sorted(learned), *names]))
    if validation is None:
        (out / VAL_LIST).unlink(missing_ok=True)
    else:
        write_text(out / VAL_LIST, "\n".join(validation))


def _refuse_others(real: DataFolder, names: list[str]) -> None:
    lost = [name for name in names if name not in real.paths]
    if lost:
        raise DataError(
            f"{len(lost):,} of the {len(names):,} radiographs are not under {real.root}, {lost[0]} "
            "first. Fetch NIH's folders that hold them."
        )
    allowed = (real.lists or {}).get("train_val", frozenset())
    others = [name for name in names if name not in allowed]
    if others:
        raise DataError(
            f"{len(others):,} of the radiographs are not on the train_val list of {real.root}, "
            f"{others[0]} first. Test images are for scoring only."
        )


def _link(source: Path, target: Path) -> None:
    if target.is_symlink():
        target.unlink()  # of another time; the pictures may have been moved
    elif target.exists():
        return
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.symlink(source.resolve(), target)
    except OSError:  # Windows lets only administrators make them
        with replacing(target) as temporary:
            shutil.copyfile(source, temporary)
