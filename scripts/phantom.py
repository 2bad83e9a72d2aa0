"""Draw synthetic radiographs in NIH's layout: python -m scripts.phantom OUT."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import command, new_app, progress_bar, run

SHEET = "examples.png"

app = new_app()


@app.command()
def phantom(
    out: Annotated[Path, typer.Argument(help="New or empty folder, or a set to go on with.")],
    patients: Annotated[int, typer.Option(help="1 to 10,000; 2.5 images each on average.")] = 400,
    size: Annotated[int, typer.Option(help="Pixels a side, 64 to 2048.")] = 512,
    seed: Annotated[int, typer.Option(help="0 to 998; another seed, other patients.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 for one a core.")] = 0,
) -> None:
    """Draw synthetic radiographs of the 14 findings, with a box for every finding drawn.

    OUT/examples.png shows one of each.

    Stopped half-way it goes on from there.
    """
    from chexnet.files import replacing
    from chexnet.phantom.dataset import draw_phantoms
    from chexnet.phantom.sheet import example_sheet

    with progress_bar("Drawing") as on_progress:
        summary = draw_phantoms(
            out, patients=patients, size=size, seed=seed, workers=workers, on_progress=on_progress
        )
    with replacing(out / SHEET) as temporary:
        example_sheet(seed).save(temporary, "PNG")
    counts = ", ".join(f"{name} {count:,}" for name, count in summary.findings.items())
    print(
        f"{summary.images:,} images of {summary.patients:,} patients with {summary.boxes:,} boxes "
        f"are in {out} ({summary.drawn:,} drawn now): {counts}."
    )
    print(f"An example of each finding: {out / SHEET}")
    print(f"Next: {command('scripts.train', data=out)}")


if __name__ == "__main__":
    run(app)
