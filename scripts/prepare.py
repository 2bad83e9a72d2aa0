"""Decode every picture once into a memory-mapped pack: python -m scripts.prepare --data DIR."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import (
    Data,
    Format,
    Mapping,
    Packs,
    Table,
    Uncertain,
    new_app,
    progress_bar,
    run,
    table_flags,
)

app = new_app()


@app.command()
def prepare(
    data: Data,
    size: Annotated[int, typer.Option(min=64, max=1024, help="Side of the input, pixels.")] = 256,
    crop: Annotated[int, typer.Option(min=1, max=100, help="Percent of each side kept.")] = 90,
    packs: Packs = Path("packs"),
    table: Table = None,
    format: Format = "nih",
    mapping: Mapping = None,
    uncertain: Uncertain = "ignore",
    workers: Annotated[int, typer.Option(min=0, help="Processes; 0 for one a core.")] = 0,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Leave files out that cannot be read.")
    ] = False,
) -> None:
    """Decode, crop and resize every picture once; training then reads bytes.

    Stopped half-way it goes on from there; pictures that are packed already are not read again.
    """
    from chexnet.data import pack as packing
    from chexnet.data.formats import TableSource, open_folder
    from chexnet.transforms import Preprocessing

    folder = open_folder(data, source=TableSource(table, format, mapping, uncertain))
    preprocessing = Preprocessing(crop, size)
    pack_dir = packing.pack_folder(packs, data, preprocessing)
    with progress_bar("Packing") as on_progress:
        left_out = packing.prepare(
            folder.paths,
            pack_dir,
            preprocessing,
            workers=workers,
            skip_unreadable=skip_unreadable,
            on_progress=on_progress,
        )
    for name, reason in sorted(left_out.items()):
        print(f"Left out: {name}: {reason}")
    print(
        f"{len(folder.paths) - len(left_out):,} of {len(folder.table):,} images of "
        f"{folder.table_name} are packed at {size}x{size} in {pack_dir}"
        f"{f'; {len(left_out)} unreadable ones are left out' if left_out else ''}."
    )
    if folder.mapping:
        print("\n".join(folder.mapping.notes))
    other = table_flags(table, format, mapping, uncertain)
    other += f" --size {size}" * (size != 256) + f" --crop {crop}" * (crop != 90)
    print(f"Next: python -m scripts.train --data {data}{other}")


if __name__ == "__main__":
    run(app)
