"""Fetch NIH's 42 GB of radiographs, or a smaller copy: python -m scripts.download DATA."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import SeveralValues, command, new_app, run, transfer_bars

app = new_app()


@app.command(cls=SeveralValues)
def download(
    data: Annotated[Path, typer.Argument(help="Folder to fetch into; made if it is not there.")],
    parts: Annotated[
        list[int] | None,
        typer.Option(min=1, max=12, help="Which of the twelve, as in --parts 1 2. Default: all."),
    ] = None,
    remove_archives: Annotated[
        bool, typer.Option("--remove-archives", help="Delete each archive once it is unpacked.")
    ] = False,
    copy: Annotated[
        str | None, typer.Option(help="A smaller copy instead, as nih-224-zip (docs/copies.md).")
    ] = None,
    archives: Annotated[
        Path | None, typer.Option(help="Another table of addresses (chexnet/data/*.toml).")
    ] = None,
) -> None:
    """Fetch NIH's archives, compare their checksums, and unpack them; two at a time.

    Stopped or cut off it goes on from there when the same command is given again. NIH's tables
    have no address: the command says where to fetch them by hand.
    """
    from chexnet.data.archives import (
        KNOWN,
        by_hand,
        fetch_archives,
        known_archives,
        missing_tables,
    )

    if copy:
        _copy(data, copy, archives)
        return
    source = archives or KNOWN
    chosen = [archive for archive in known_archives(source) if not parts or archive.number in parts]
    with _stoppable(), transfer_bars() as on_progress:
        unpacked = fetch_archives(data, chosen, remove=remove_archives, on_progress=on_progress)
    print(f"{len(chosen)} parts in {data}: {len(unpacked)} fetched now, the others were there.")
    _next(data, missing_tables(data), by_hand(source))


def _copy(data: Path, name: str, registry: Path | None) -> None:
    from chexnet.data.archives import by_hand
    from chexnet.data.fetch_copy import KNOWN, fetch_copy

    with _stoppable(), transfer_bars() as show:
        copy, missing = fetch_copy(data, name, source=registry or KNOWN, on_progress=show)
    print(f"{copy.name} in {data}: {copy.title}; {copy.notes or 'nothing is known of its names'}.")
    if not copy.tried:
        print(
            "Nobody has tried the real files here yet: python -m scripts.prepare says what it is."
        )
    _next(data, missing, by_hand())


@contextmanager
def _stoppable() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        print("Stopped. The same command goes on from here.", file=sys.stderr)
        sys.exit(130)


def _next(data: Path, missing: list[str], where: str) -> None:
    if missing:
        print(f"Fetch by hand from {where}, into {data}: {', '.join(missing)}.")
    else:
        print(f"Next: {command('scripts.prepare', data=data)}")


if __name__ == "__main__":
    run(app)
