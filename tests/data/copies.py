"""Copies of a folder in NIH's layout, in the forms that people publish."""

import io
import json
import shutil
import tarfile
import zipfile
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from chexnet.data.nih import BOXES, LISTS, TABLES, read_folder

FORMS = ("parquet", "zip", "tar", "webdataset")
Picture = tuple[str, bytes]


def pictures_of(root: Path) -> list[Picture]:
    return [(name, path.read_bytes()) for name, path in read_folder(root).paths.items()]


def add_tables(root: Path, out: Path) -> Path:
    out.mkdir(parents=True, exist_ok=True)
    for name in (TABLES["2017"], *LISTS.values(), BOXES):
        shutil.copy(root / name, out)
    return out


def make_copy(form: str, root: Path, out: Path) -> Path:
    """A copy of `root` with NIH's tables beside it; the folder."""
    add_tables(root, out)
    pictures = pictures_of(root)
    half = len(pictures) // 2
    if form == "parquet":
        (out / "data").mkdir()
        for number, part in enumerate((pictures[:half], pictures[half:])):
            write_parquet(out / "data" / f"train-{number:05d}.parquet", part)
    elif form == "zip":
        others = [("__MACOSX/._a.png", b"x"), ("model/pretrained.h5", b"x"), ("arch.png", b"x")]
        write_zip(out / "a.zip", [(f"images-224/{n}", data) for n, data in pictures] + others)
    elif form == "tar":
        write_tar(out / "a.tar.gz", [(f"images/{n}", data) for n, data in pictures])
    else:
        for number, part in enumerate((pictures[:half], pictures[half:])):
            files = [(f"{n[:-4]}.{end}", d) for n, d in part for end in ("png", "pyd")]
            write_tar(out / f"shard-{number:03d}.tar", files)
    return out


def write_parquet(place: Path, pictures: Iterable[Picture], rows: int = 8, **more: list) -> None:
    """As `datasets` writes an image column; `more` are further columns, `features` their schema."""
    pictures, features = list(pictures), more.pop("features", None)
    images = [{"bytes": data, "path": name} for name, data in pictures]
    table = pa.table({"image": images, **more})
    if features:
        info = json.dumps({"info": {"features": features}})
        table = table.replace_schema_metadata({"huggingface": info})
    pq.write_table(table, place, row_group_size=rows)


def zip_of(files: Iterable[Picture]) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, data in files:
            archive.writestr(name, data)
    return packed.getvalue()


def tar_of(files: Iterable[Picture], mode: str = "w") -> bytes:
    """A name that ends in a slash is a folder's."""
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode=mode) as archive:
        for name, data in files:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            if name.endswith("/"):
                member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member, io.BytesIO(data))
    return packed.getvalue()


def write_zip(place: Path, files: Iterable[Picture]) -> None:
    place.write_bytes(zip_of(files))


def write_tar(place: Path, files: Iterable[Picture]) -> None:
    place.write_bytes(tar_of(files, "w:gz" if place.name.endswith("gz") else "w"))
