"""Decode every picture once into a memory-mapped pack: python -m scripts.prepare --data DIR."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import (
    WEIGHTS_HELP,
    Data,
    Format,
    Mapping,
    Packs,
    Table,
    Uncertain,
    command,
    named_weights,
    new_app,
    progress_bar,
    run,
)

app = new_app()


@app.command()
def prepare(
    data: Data,
    size: Annotated[
        int | None,
        typer.Option(min=64, max=1024, help="Side of the input, pixels.", show_default="256"),
    ] = None,
    crop: Annotated[
        int | None,
        typer.Option(min=1, max=100, help="Percent of each side kept.", show_default="90"),
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help=f"As this network sees them. {WEIGHTS_HELP}", callback=named_weights),
    ] = None,
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

    --data may also be a parquet, zip, tar or WebDataset copy, or a folder of them (docs/copies.md).

    With --weights crop, size, filter and square are those of a network, also of one from elsewhere,
    so that scripts.eval finds its pack.

    Stopped half-way it goes on from there; pictures that are packed already are not read again.
    """
    from chexnet.data import pack as packing
    from chexnet.data.formats import DataRequest, open_folder
    from chexnet.phantom.marks import drawn_images
    from chexnet.transforms import Preprocessing

    if weights is not None:
        if size is not None or crop is not None:
            raise typer.BadParameter("--weights brings its own crop and size. Leave those out.")
        from chexnet.model import load_weights

        preprocessing = load_weights(weights)[1].preprocessing
    else:
        usual = Preprocessing()
        preprocessing = Preprocessing(crop or usual.crop, size or usual.size)
    folder = open_folder(DataRequest(data, table, format, mapping, uncertain))
    side = preprocessing.size
    pack_dir = packing.pack_folder(packs, folder.place, preprocessing)
    with progress_bar("Packing") as on_progress:
        left_out = packing.prepare(
            folder.paths,
            pack_dir,
            preprocessing,
            workers=workers,
            skip_unreadable=skip_unreadable,
            drawn=drawn_images(
                folder.root, folder.table, folder.paths, folder.copy.drawn if folder.copy else {}
            ),
            copy=folder.copy,
            on_progress=on_progress,
        )
    for name, reason in sorted(left_out.items()):
        print(f"Left out: {name}: {reason}")
    print(
        f"{len(folder.paths) - len(left_out):,} of {len(folder.table):,} images of "
        f"{folder.table_name} are packed at {side}x{side} in {pack_dir}"
        f"{f'; {len(left_out)} unreadable ones are left out' if left_out else ''}."
    )
    for text in folder.all_notes:
        print(text)
    given: dict[str, object] = {"packs": packs, "table": table, "format": format}
    given |= {"mapping": mapping, "uncertain": uncertain, "size": size, "crop": crop}
    then = "train" if weights is None else "eval"
    print(f"Next: {command(f'scripts.{then}', data=data, weights=weights, **given)}")


if __name__ == "__main__":
    run(app)
