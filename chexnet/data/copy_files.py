"""One file of a copy of NIH's pictures: parquet, zip, tar or WebDataset; nothing is unpacked.

Layouts: Hugging Face's image column (struct of `bytes` and `path`) with its features in the schema
(https://huggingface.co/docs/datasets/about_dataset_features), WebDataset's shards, where files of
one stem are one sample (https://github.com/webdataset/webdataset). Pickles are never read.
"""

import json
import re
import tarfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from chexnet.data.tables import shown
from chexnet.errors import DataError
from chexnet.files import PICTURE_ENDINGS
from chexnet.labels import LABELS, folded, label_of, parse

ENDINGS = (".parquet", ".zip", ".tar", ".tar.gz", ".tgz")
NIH_NAME = re.compile(r"(?<!\d)\d{8}_\d{3}(?!\d)")
BATCH = 64
"""Rows of a parquet file in memory at once."""
BUFFER = 1 << 20
"""Bytes of a parquet column that are read at once."""
LARGEST = 64 << 20
"""Bytes read of one picture; NIH's own have 0.4 MB."""
LABELS_IN = ("findinglabels", "labels", "label")
PATIENT_IN = ("patientid", "patient", "subjectid")
NUMBER_IN = ("scanid", "followup#", "imagenumber")
"""Columns and keys by their names, in order of preference; see `labels.folded`."""

Wanted = Callable[[str], bool]
LabelRow = tuple[str, tuple[str, ...], str]
"""A picture's name, its labels, and its patient or nothing."""


def nih_name(text: str) -> str | None:
    """NIH's name for the picture that a text names (`a/00000001_000.jpg`), None without one."""
    names = NIH_NAME.findall(text)
    return f"{names[-1]}.png" if names else None


def pictures_in(file: Path, wanted: Wanted) -> Iterator[tuple[str, bytes | None]]:
    """Every picture of a file in order: its name, and its bytes where `wanted(name)`.

    The name is NIH's where the file's, or the row's, holds one; else `file/member` or `file/row`.

    Raises:
        DataError: it is damaged, cut short, encrypted or of another schema.
    """
    with _readable(file):
        if _is(file, ".parquet"):
            yield from _in_parquet(file, wanted)
        elif _is(file, ".zip"):
            yield from _in_zip(file, wanted)
        else:
            with _open_tar(file) as archive:
                yield from _in_tar(file.name, archive, wanted)


def labels_in(file: Path) -> Iterator[LabelRow]:
    """The labels that a parquet file or a WebDataset says of its pictures; nothing of others.

    Raises:
        DataError: see `pictures_in`; or labels are numbers that nothing explains.
    """
    with _readable(file):
        if _is(file, ".parquet"):
            yield from _parquet_labels(file)
        elif not _is(file, ".zip"):
            with _open_tar(file) as archive:
                yield from _sidecars(file.name, archive)


def makes_names(file: Path) -> bool:
    """Whether names are put together from numbers, because no column of a parquet holds them."""
    with _readable(file):
        return _is(file, ".parquet") and _columns(file, _open(file)).name is None


def _is(file: Path, ending: str) -> bool:
    return file.name.lower().endswith(ending)


@contextmanager
def _readable(file: Path) -> Iterator[None]:
    """Turn whatever the libraries raise of a damaged file into one line."""
    try:
        yield
    except DataError:
        raise
    except ImportError as error:
        raise DataError(f"{file} needs pyarrow: pip install pyarrow.") from error
    except Exception as error:  # ArrowInvalid, BadZipFile, ReadError, zlib.error and many more
        raise DataError(
            f"{file} is damaged, cut short or encrypted ({type(error).__name__}). Fetch it again."
        ) from error


# --- zip and tar ---------------------------------------------------------------------------------


def _in_zip(file: Path, wanted: Wanted) -> Iterator[tuple[str, bytes | None]]:
    with zipfile.ZipFile(file) as archive:
        for info in archive.infolist():
            if info.filename.lower().endswith(".tar"):  # a repository with shards
                with (
                    archive.open(info) as stream,
                    tarfile.open(fileobj=stream, mode="r|") as inner,
                ):
                    yield from _in_tar(info.filename, inner, wanted)
            elif name := _member_name(file.name, info.filename):
                yield name, _bytes(archive.open(info)) if wanted(name) else None


def _open_tar(file: Path) -> tarfile.TarFile:
    with file.open("rb") as raw:
        plain = raw.read(512)[257:262] == b"ustar"
        raw.seek(-512, 2)
        if plain and any(raw.read()):  # tarfile takes the end of a cut one for its end
            raise tarfile.ReadError("no block of zeros at the end")
    return tarfile.open(file, "r:*")


def _in_tar(
    place: str, archive: tarfile.TarFile, wanted: Wanted
) -> Iterator[tuple[str, bytes | None]]:
    for member in archive:
        archive.members = []  # type: ignore[attr-defined]  # it keeps each header that it read
        if member.isfile() and (name := _member_name(place, member.name)):
            stream = archive.extractfile(member) if wanted(name) else None
            yield name, _bytes(stream) if stream else None


def _member_name(place: str, path: str) -> str:
    """What a picture is called; empty for what is none."""
    stem, _, ending = path.rpartition(".")
    name = path.rpartition("/")[2]
    if name.startswith(".") or f".{ending.lower()}" not in PICTURE_ENDINGS:
        return ""
    return nih_name(name) or f"{place}/{stem}"


def _bytes(stream: IO[bytes]) -> bytes:
    with stream:
        return stream.read(LARGEST)


def _sidecars(place: str, archive: tarfile.TarFile) -> Iterator[LabelRow]:
    """From the .json or .txt of each sample of a WebDataset."""
    for member in archive:
        stem, _, ending = member.name.rpartition(".")
        stream = archive.extractfile(member) if ending in ("json", "txt") else None
        if stream:
            text = _bytes(stream).decode(errors="replace").strip()
            said = json.loads(text) if ending == "json" else {"labels": text}
            by = {folded(str(key)): value for key, value in said.items()}
            labels, patient = (
                next((by[key] for key in keys if key in by), "") for keys in (LABELS_IN, PATIENT_IN)
            )
            yield f"{place}/{stem}", _labels_of(labels, (), place), str(patient)


# --- parquet -------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Columns:
    """Which column is what; with a dot where it is a part of a struct.

    Attributes:
        image: of the bytes.
        name: of NIH's names, None without.
        patient, number: whole numbers that make NIH's name together, or the patient alone.
        labels: names or class numbers.
        terms: class number to name, where the schema says them.
    """

    image: str
    name: str | None
    patient: str | None
    number: str | None
    labels: str | None
    terms: tuple[str, ...]

    def name_of(self, row: Mapping[str, Any], otherwise: str) -> str:
        """The picture's name; `row` holds the columns `name`, `patient` and `number`."""
        if self.name:
            return nih_name(str(_cell(row, self.name))) or otherwise
        if self.patient and self.number:
            made = f"{row[self.patient]!s:0>8}_{row[self.number]!s:0>3}"
            return f"{made}.png" if NIH_NAME.fullmatch(made) else otherwise
        return otherwise

    @property
    def naming(self) -> list[str]:
        """The columns that `name_of` needs."""
        return [self.name] if self.name else [c for c in (self.patient, self.number) if c]


def _cell(row: Mapping[str, Any], column: str) -> Any:
    top, _, part = column.partition(".")
    return (row[top] or {}).get(part) if part else row[top]


def _open(file: Path) -> Any:
    import pyarrow.parquet as pq

    # Page by page: otherwise a row group is read whole, and with `pre_buffer` all that follow.
    return pq.ParquetFile(file, pre_buffer=False, buffer_size=BUFFER)


def _columns(file: Path, parquet: Any) -> _Columns:
    import pyarrow.types as of

    schema, columns = parquet.schema_arrow, dict[str, list[str]](bytes=[], text=[])
    for field in schema:
        parts = (
            [(f"{field.name}.{part.name}", part.type) for part in field.type]
            if (of.is_struct(field.type))
            else [(field.name, field.type)]
        )
        for column, kind in parts:
            if of.is_binary(kind) or of.is_large_binary(kind):
                columns["bytes"].append(column)
            elif of.is_string(kind) or of.is_large_string(kind):
                columns["text"].append(column)
    if len(columns["bytes"]) != 1:
        raise DataError(
            f"{file} has the columns {shown(', '.join(schema.names))}, of which "
            f"{len(columns['bytes'])} hold bytes. Expected one column of image bytes, and others "
            "of names or labels."
        )

    def known(names: tuple[str, ...]) -> str | None:
        return next((c for name in names for c in schema.names if folded(c) == name), None)

    first = next(parquet.iter_batches(BATCH, columns=columns["text"]), None)
    rows = first.to_pylist() if columns["text"] and first is not None else []
    named = [c for c in columns["text"] if rows and all(nih_name(str(_cell(r, c))) for r in rows)]
    named.sort(key=lambda column: folded(column) != "imageindex")
    labels = known(LABELS_IN)
    about = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    feature = about.get("info", {}).get("features", {}).get(labels, {})
    feature = feature[0] if isinstance(feature, list) else feature.get("feature", feature)
    return _Columns(
        image=columns["bytes"][0],
        name=named[0] if named else None,
        patient=known(PATIENT_IN),
        number=known(NUMBER_IN),
        labels=labels,
        terms=tuple(feature.get("names", ())),
    )


def _in_parquet(file: Path, wanted: Wanted) -> Iterator[tuple[str, bytes | None]]:
    parquet = _open(file)
    columns, done = _columns(file, parquet), 0
    for group in range(parquet.num_row_groups):
        count = parquet.metadata.row_group(group).num_rows
        rows = parquet.read_row_group(group, columns=columns.naming).to_pylist() or [{}] * count
        names = [
            columns.name_of(row, f"{file.name}/{number}") for number, row in enumerate(rows, done)
        ]
        done += count
        asked = [wanted(name) for name in names]
        last = max((place for place, yes in enumerate(asked) if yes), default=-1)
        data = _bytes_of(parquet, group, columns.image)
        for place, name in enumerate(names):
            cell = next(data) if place <= last else None
            yield name, (cell.as_py() or b"")[:LARGEST] if cell and asked[place] else None


def _bytes_of(parquet: Any, group: int, column: str) -> Iterator[Any]:
    part = column.partition(".")[2]
    for batch in parquet.iter_batches(BATCH, row_groups=[group], columns=[column]):
        yield from batch.column(0).field(part) if part else batch.column(0)


def _parquet_labels(file: Path) -> Iterator[LabelRow]:
    parquet = _open(file)
    columns, number = _columns(file, parquet), 0
    if columns.labels is None:
        return
    asked = dict.fromkeys([columns.labels, *columns.naming])
    for batch in parquet.iter_batches(4096, columns=[*asked]):
        for row in batch.to_pylist():
            labels = _labels_of(row[columns.labels], columns.terms, file.name)
            patient = str(row[columns.patient]) if columns.patient and not columns.name else ""
            yield columns.name_of(row, f"{file.name}/{number}"), labels, patient
            number += 1


def _labels_of(cell: Any, terms: tuple[str, ...], place: str) -> tuple[str, ...]:
    """Labels of the vocabulary from a text with `|`, a list of names, or class numbers."""
    if isinstance(cell, str):
        return parse(cell)
    values = cell if isinstance(cell, list) else [] if cell is None else [cell]
    if not terms and not all(isinstance(value, str) for value in values):
        raise DataError(
            f"{place}: labels are numbers ({shown(values)}), and the file does not say which "
            "finding each is. Expected names, or the class names of Hugging Face's schema."
        )
    labels = {label_of(value if isinstance(value, str) else terms[value]) for value in values}
    return tuple(label for label in LABELS if label in labels)
