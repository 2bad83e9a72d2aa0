"""Predictions for very many files on one machine: in shards, stopped and gone on.

A job is a folder:
    job.json          what is predicted with which weights, and how many files a shard has
    files.json        the files in order, listed once, by whichever process came first
    part-00000.csv    a shard's predictions, written whole or not at all: it says "done"
    part-00000.errors.csv   those of its files that cannot be read, written before
    errors.csv        all of these, put together when a process has nothing left to do

The ranks of torchrun divide the shards by their numbers. Several machines are Ray Data's business,
see `ray_job`.
"""

import csv
import json
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from chexnet.errors import ConfigError
from chexnet.files import replacing, write_text, writing
from chexnet.inference.prediction import FileResult
from chexnet.inference.predictor import Predictor

FORMAT = 1
SHARD = 500
"""Files of a shard: what a kill costs a process at most, about half a minute on a core."""
ERRORS = ("file", "error")


@dataclass
class Shard:
    """Some consecutive files.

    Attributes:
        number: from 0.
        files: in order.
        results: of the first files.
    """

    number: int
    files: list[str]
    results: list[FileResult] = field(default_factory=list)


def columns(classes: Sequence[str]) -> tuple[str, ...]:
    """Header of a file of predictions; `doubt` is the old name of `gate_warning`."""
    return ("file", "doubt", "over_threshold", *classes, "gate_warning")


def row_of(predictor: Predictor, result: FileResult) -> tuple[str, ...]:
    """The cells of a file that could be read, see `columns`."""
    read, prediction = result.answered
    over = ";".join(predictor.findings_over_threshold(prediction))
    probabilities = (f"{prediction.probabilities[name]:.6f}" for name in predictor.classes)
    return (str(result.path), read.verdict.message, over, *probabilities, read.verdict.message)


class PredictionJob:
    """The folder of a job, opened; each rank of torchrun opens it.

    Attributes:
        folder: of the job.
        files: all files, in order, each once.
    """

    def __init__(
        self,
        folder: Path,
        list_files: Callable[[], Iterable[Path]],
        about: dict[str, Any],
        shard: int = SHARD,
    ) -> None:
        """Open the job in `folder`, or begin it.

        Args:
            folder: made where it is missing.
            list_files: called only where the job begins; a file that comes twice counts once.
            about: plain values that say what is predicted and with what.
            shard: files of a shard.

        Raises:
            ConfigError: the folder holds another job (both values are named), or a damaged one.
            ChexnetError: it cannot be written.
        """
        self.folder = folder
        asked = {"format": FORMAT, "shard": shard, **about}
        with writing(folder):
            folder.mkdir(parents=True, exist_ok=True)
            with FileLock(folder / ".job.lock"):
                if not (folder / "files.json").exists():
                    files = list(dict.fromkeys(map(str, list_files())))
                    write_text(folder / "job.json", json.dumps(asked, indent=1))
                    write_text(folder / "files.json", json.dumps(files))
        begun = _read(folder / "job.json", dict)
        wrong = [name for name in asked if begun.get(name) != asked[name]]
        if wrong:
            both = "; ".join(f"{n}: found {begun.get(n)!r}, expected {asked[n]!r}" for n in wrong)
            raise ConfigError(f"{folder} holds another job: {both}. Pass another --out.")
        self.files: list[str] = list(map(str, _read(folder / "files.json", list)))
        self._size = shard
        self._shards = range(-(-len(self.files) // shard))

    def done(self) -> int:
        """Number of files whose shard is written."""
        return sum(
            len(self._files(number)) for number in self._shards if self._part(number).is_file()
        )

    def run(
        self,
        predictor: Predictor,
        *,
        batch_size: int = 16,
        rank: int = 0,
        world: int = 1,
        on_result: Callable[[FileResult], None] = lambda result: None,
    ) -> tuple[int, int]:
        """Predict the files of this rank's shards that are not done yet.

        Args:
            predictor: of the job's weights.
            batch_size: radiographs that the network sees at once.
            rank: of this process, which takes every `world`-th shard.
            world: number of processes.
            on_result: called with each file's result, in order, before its shard is written.

        Returns:
            Files that this process has dealt with, and how many of all that were dealt with so far
            cannot be read.

        Raises:
            ConfigError: another process of this rank is at work here.
            ChexnetError: the disk is full, or the folder cannot be written.
        """
        begun: deque[Shard] = deque()
        files = 0

        def paths() -> Iterator[Path]:
            for shard in self._left(rank, world):
                begun.append(shard)
                yield from map(Path, shard.files)

        try:
            with FileLock(self.folder / f".rank-{rank}.lock", timeout=0):
                for result in predictor.stream(paths(), batch_size):
                    on_result(result)
                    begun[0].results.append(result)
                    files += 1
                    if len(begun[0].results) == len(begun[0].files):
                        self._write(begun.popleft(), predictor)
        except Timeout as error:
            raise ConfigError(
                f"Another prediction is at work in {self.folder}. Wait for it, or pass another "
                "--out."
            ) from error
        return files, self._gather_errors()

    def _left(self, rank: int, world: int) -> Iterator[Shard]:
        for number in self._shards[rank::world]:
            if not self._part(number).is_file():
                for leftover in self.folder.glob(f".part-{number:05d}.*.tmp"):  # of who was killed
                    leftover.unlink(missing_ok=True)
                yield Shard(number, self._files(number))

    def _write(self, shard: Shard, predictor: Predictor) -> None:
        """First the errors, then the predictions, which say that both are there."""
        part = self._part(shard.number)
        errors = [(str(failed.path), failed.error) for failed in shard.results if failed.error]
        if errors:
            write_csv(part.with_suffix(".errors.csv"), ERRORS, errors)
        else:
            part.with_suffix(".errors.csv").unlink(missing_ok=True)  # of who was killed
        rows = [row_of(predictor, result) for result in shard.results if result.prediction]
        write_csv(part, columns(predictor.classes), rows)

    def _gather_errors(self) -> int:
        # Whoever comes last through this lock finds the parts of all others.
        with FileLock(self.folder / ".job.lock"):
            rows: list[Sequence[str]] = []
            for path in sorted(self.folder.glob("part-*.errors.csv")):
                with path.open(newline="", encoding="utf-8") as file:
                    rows += list(csv.reader(file))[1:]
            if rows:
                write_csv(self.folder / "errors.csv", ERRORS, rows)
        return len(rows)

    def _part(self, number: int) -> Path:
        return self.folder / f"part-{number:05d}.csv"

    def _files(self, number: int) -> list[str]:
        return self.files[number * self._size : (number + 1) * self._size]


def _read(path: Path, kind: type) -> Any:
    try:
        content = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
    except (OSError, ValueError):
        content = None
    if not isinstance(content, kind):
        raise ConfigError(
            f"{path} is missing or damaged, so nobody can tell what this job predicts. Remove "
            f"{path.parent}, or pass another --out."
        )
    return content


def write_csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    """Write a CSV whole or not at all."""
    with (
        replacing(path) as temporary,
        # A name that is not UTF-8 has its odd bytes escaped: `caf\\udce9.png`.
        temporary.open("w", newline="", encoding="utf-8", errors="backslashreplace") as file,
    ):
        writer = csv.writer(file)
        writer.writerow(header)
        writer.writerows(rows)
