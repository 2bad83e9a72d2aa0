"""A pack: pictures decoded, cropped and resized once, then read through a memory map.

A pack is a folder of four files:
    pack.json    header: format, crop, size (resample and square where they are not the default),
                 whether unreadable files are left out, names in order, which may be drawn and are;
                 of a copy (`data.copies`) what its pictures are
    pixels.u8    one grayscale byte a pixel, (images, size, size)
    bytes.i64    length of each source file, to notice that it has been replaced
    state.u8     one byte an image: 0 to do, 1 done, 2 unreadable

Pixels are flushed before the state that vouches for them, so a kill at any moment costs at most
the images in flight; the next call goes on from there.
"""

import errno
import hashlib
import json
import math
import os
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from filelock import FileLock, Timeout

from chexnet.errors import DataError, ImageError
from chexnet.files import is_held, sweep, write_text
from chexnet.imaging.radiograph import read_radiograph
from chexnet.parallel import process_map
from chexnet.transforms import Preprocessing, item_pixels

if TYPE_CHECKING:  # pandas, which no worker process needs
    from chexnet.data.folder import Copy

FORMAT = 1
TODO, DONE, UNREADABLE = 0, 1, 2
CHUNK = 8
"""Images a worker takes at once: enough to hide the hand-over, few enough to share evenly."""
COMMIT_EVERY = 64
"""Chunks between two flushes to the disk."""
CHECKED = 64
"""Source files whose length is compared when a pack is opened; all of NIH's would take seconds."""


def pack_folder(packs: Path, root: Path, preprocessing: Preprocessing) -> Path:
    """Where the pack of the data folder `root` lies: one for each place and preprocessing."""
    place = Path(root).resolve()
    mark = hashlib.sha256(str(place).encode()).hexdigest()[:8]
    name = f"{place.name}-{mark}-crop{preprocessing.crop:g}-{preprocessing.size}px"
    name += "-square" * preprocessing.keep_aspect
    name += f"-{preprocessing.resample}" * (preprocessing.resample != "bilinear")
    return packs / name


class Pack:
    """A pack opened for reading.

    Attributes:
        names: file name to row.
        pixels: uint8 (images, size, size), memory-mapped.
        state: uint8 (images,), see the module's head.
        skip_unreadable: True when its maker agreed to leave unreadable files out.
        drawn: see `prepare`; empty in the pack of an older release.
    """

    def __init__(self, folder: Path, preprocessing: Preprocessing) -> None:
        """Map the pack in `folder`.

        Raises:
            DataError: no pack, a damaged one, or one of another preprocessing.
        """
        self.folder = folder
        header = _read_header(folder, preprocessing)
        self.names = {name: row for row, name in enumerate(header["names"])}
        self.skip_unreadable = bool(header["skip_unreadable"])
        self.drawn: dict[str, bool] = header.get("drawn", {})
        self.pixels, self.state, self._lengths = _map(folder, len(self.names), preprocessing, "r")

    def unreadable(self, names: Iterable[str]) -> list[str]:
        """Those of `names` that could not be read when the pack was made."""
        return [n for n in names if n in self.names and self.state[self.names[n]] == UNREADABLE]

    def missing(self, names: Iterable[str]) -> int:
        """How many of `names` the pack does not hold yet."""
        return sum(n not in self.names or self.state[self.names[n]] == TODO for n in names)

    def stale(self, paths: Mapping[str, Path]) -> bool:
        """True when a source file has another length than the one that was packed (a sample)."""
        shared = [name for name in self.names if name in paths]
        for name in shared[:: max(1, len(shared) // CHECKED)]:
            row = self.names[name]
            if self.state[row] == DONE and paths[name].stat().st_size != self._lengths[row]:
                return True
        return False


def prepare(
    paths: Mapping[str, Path],
    folder: Path,
    preprocessing: Preprocessing,
    *,
    workers: int = 0,
    skip_unreadable: bool = False,
    drawn: Mapping[str, bool] = {},
    copy: "Copy | None" = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> dict[str, str]:
    """Make or complete the pack in `folder`.

    Args:
        paths: file name to path of the pictures to pack.
        folder: the pack; images that it holds already are not decoded again.
        preprocessing: its crop, size, filter and `keep_aspect`.
        workers: processes; 0 takes one for each core.
        skip_unreadable: keep a pack that leaves unreadable files out.
        drawn: what `drawn_images` says of them; the pack keeps it.
        copy: gives the pictures where `paths` are files with many of them.
        on_progress: called with images done and images in all.

    Returns:
        Name to reason of each unreadable file (only with `skip_unreadable`).

    Raises:
        DataError: some files cannot be read (all of them are named; with `skip_unreadable` only
            where nothing is left), the folder holds another pack or cannot be written, or another
            process is writing it.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock", timeout=0):
            sweep(folder)
            unreadable = _fill(
                paths, folder, preprocessing, workers, skip_unreadable, drawn, copy, on_progress
            )
    except Timeout as error:
        raise DataError(f"Another process is writing {folder}. Wait for it to end.") from error
    except OSError as error:
        if is_held(error):
            raise DataError(
                f"Could not write the pack {folder}: a program that reads it (training, scoring) "
                "is running, and Windows changes no file that is mapped. Wait for it to end."
            ) from error
        raise DataError(
            f"Could not write the pack {folder}: {error.strerror or error}. Free some space, or "
            "pass --packs a folder that can be written."
        ) from error
    if unreadable and (not skip_unreadable or len(unreadable) == len(paths)):
        listed = "".join(f"\n  {name}: {reason}" for name, reason in sorted(unreadable.items()))
        others = "or pass --skip-unreadable to leave them out; the others are packed."
        raise DataError(
            f"{len(unreadable)} of {len(paths):,} images cannot be read:{listed}\n"
            f"Fetch them again, {'for nothing is packed.' if skip_unreadable else others}"
        )
    return unreadable


def _fill(
    paths: Mapping[str, Path],
    folder: Path,
    preprocessing: Preprocessing,
    workers: int,
    skip_unreadable: bool,
    drawn: Mapping[str, bool],
    copy: "Copy | None",
    on_progress: Callable[[int, int], None] | None,
) -> dict[str, str]:
    there = (folder / "pack.json").exists()
    old = _read_header(folder, preprocessing) if there else {"names": []}
    known = set(old["names"])
    names = [*old["names"], *sorted(name for name in paths if name not in known)]
    pixels, state, lengths = _map(folder, len(names), preprocessing, "r+")
    header = {
        **_fitting(preprocessing),
        "skip_unreadable": skip_unreadable,
        "names": names,
        "drawn": {**old.get("drawn", {}), **drawn},
        **({"copy": copy.about} if copy and copy.about else {}),
    }
    write_text(folder / "pack.json", json.dumps(header))

    def due(row: int) -> bool:
        if names[row] not in paths:
            return False
        return bool(state[row] != DONE or paths[names[row]].stat().st_size != lengths[row])

    todo = [row for row in range(len(names)) if due(row)]
    finished, total, unreadable = len(paths) - len(todo), len(paths), {}
    if on_progress:
        on_progress(finished, total)
    pending: list[tuple[int, int, int]] = []  # row, length of the file, state
    jobs: Iterable[list[_Job]] = [
        [(row, paths[names[row]], None) for row in todo[start : start + CHUNK]]
        for start in range(0, len(todo), CHUNK)
    ]
    if copy:
        jobs = _jobs_of(copy, paths, {names[row]: row for row in todo})
    try:
        for number, results in enumerate(
            process_map(
                _pack_chunk,
                jobs,
                workers,
                start=_open_worker,
                start_args=(folder, len(names), preprocessing),
            ),
            start=1,
        ):
            for row, length, reason in results:
                pending.append((row, length, UNREADABLE if reason else DONE))
                if reason:
                    unreadable[names[row]] = reason
            finished += len(results)
            if number % COMMIT_EVERY == 0:
                _commit(pixels, state, lengths, pending)
            if on_progress:
                on_progress(finished, total)
    finally:
        _commit(pixels, state, lengths, pending)
        _worker.clear()  # with one worker it is this process, and Windows grows no mapped file
    return unreadable


def _jobs_of(
    copy: "Copy", paths: Mapping[str, Path], rows: Mapping[str, int]
) -> Iterator[list["_Job"]]:
    """The pictures of a copy, with the length of the file that each lies in."""
    lengths = {path: path.stat().st_size for path in set(paths.values())}
    jobs: list[_Job] = []
    for name, data in copy.pictures(rows.keys()):
        jobs.append((rows[name], data, lengths[paths[name]]))
        if len(jobs) == CHUNK:
            yield jobs
            jobs = []
    if jobs:
        yield jobs


def _commit(
    pixels: np.memmap, state: np.memmap, lengths: np.memmap, pending: list[tuple[int, int, int]]
) -> None:
    pixels.flush()
    for row, length, _ in pending:
        lengths[row] = length
    lengths.flush()
    for row, _, outcome in pending:
        state[row] = outcome
    state.flush()
    pending.clear()


_Job = tuple[int, Path | bytes, int | None]
"""Row, picture, and the length of its file where that is known."""
# What a worker process maps at its start; each writes only rows that no other was given.
_worker: dict[str, tuple[np.memmap, Preprocessing]] = {}


def _open_worker(folder: Path, count: int, preprocessing: Preprocessing) -> None:
    _worker["pack"] = (_map(folder, count, preprocessing, "r+")[0], preprocessing)


def _pack_chunk(jobs: Sequence[_Job]) -> list[tuple[int, int, str]]:
    pixels, preprocessing = _worker["pack"]
    results = []
    for row, source, known in jobs:
        try:
            length = source.stat().st_size if isinstance(source, Path) else known or 0
            pixels[row] = item_pixels(
                read_radiograph(source, own_process=True).as_uint8(), preprocessing
            )
            results.append((row, length, ""))
        except (ImageError, OSError) as error:
            results.append((row, 0, str(error)))
    return results


def _map(
    folder: Path, count: int, preprocessing: Preprocessing, mode: Literal["r", "r+"]
) -> tuple[np.memmap, np.memmap, np.memmap]:
    """Pixels uint8 (images, H, W), state uint8 (images,), lengths of the files int64 (images,)."""

    def mapped(name: str, dtype: type[np.generic], *shape: int) -> np.memmap:
        path, needed = folder / name, math.prod(shape) * np.dtype(dtype).itemsize
        if mode == "r+":
            _grow(path, needed)
        if not path.exists() or path.stat().st_size < needed or not needed:
            raise DataError(f"The pack {folder} is damaged ({name}). Remove it and prepare again.")
        return np.memmap(path, dtype, mode, shape=shape)

    return (
        mapped("pixels.u8", np.uint8, count, preprocessing.size, preprocessing.size),
        mapped("state.u8", np.uint8, count),
        mapped("bytes.i64", np.int64, count),
    )


def _grow(path: Path, needed: int) -> None:
    """Make a file `needed` bytes long with zeros, which the state reads as "to do"."""
    with path.open("ab") as file:
        more = needed - path.stat().st_size
        if more <= 0:  # Windows changes the length of no file that somebody has mapped
            return
        # Takes the room now: a full disk under a memory map would kill the process.
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file.fileno(), 0, needed)
        elif shutil.disk_usage(path.parent).free < more:  # macOS
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        file.truncate(needed)


def _read_header(folder: Path, preprocessing: Preprocessing) -> dict[str, Any]:
    path = folder / "pack.json"
    try:
        header: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        stored = {key: header[key] for key in ("format", "crop", "size")}
        stored |= {key: header[key] for key in ("resample", "square") if key in header}
        header["names"], header["skip_unreadable"]
    except FileNotFoundError as error:
        raise DataError(f"Found no pack in {folder}. Run python -m scripts.prepare.") from error
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DataError(f"{path} is damaged. Remove {folder} and prepare again.") from error
    expected = _fitting(preprocessing)
    if stored != expected:
        defaults = {"resample": "bilinear", "square": False}
        pairs = {
            key: (stored.get(key, defaults.get(key)), expected.get(key, defaults.get(key)))
            for key in sorted({*stored, *expected})
        }
        both = "; ".join(f"{k}: found {a}, expected {b}" for k, (a, b) in pairs.items() if a != b)
        raise DataError(f"The pack {folder} does not fit: {both}. Prepare one with these values.")
    return header


def _fitting(preprocessing: Preprocessing) -> dict[str, Any]:
    """What the header says of format and preprocessing; mean and std are no matter of pixels."""
    kept = preprocessing.as_dict()
    return {"format": FORMAT} | {k: v for k, v in kept.items() if k not in ("mean", "std")}
