"""Draw a data set of synthetic radiographs in NIH's layout."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import run

app = typer.Typer(add_completion=False, help=__doc__)


@app.command()
def main(
    out: Annotated[Path, typer.Argument(help="New or empty folder, or one to go on with.")],
    patients: Annotated[int, typer.Option(help="1 to 10,000; 2.5 images each on average.")] = 400,
    size: Annotated[int, typer.Option(help="Pixels a side, 64 to 2048.")] = 512,
    seed: Annotated[int, typer.Option(help="0 to 998; another seed, other patients.")] = 0,
    workers: Annotated[int, typer.Option(help="Processes; 0 for one a core.")] = 0,
) -> None:
    """Draw synthetic radiographs of the 14 findings, with a box for every finding drawn."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeRemainingColumn

    from chexnet.phantom.dataset import draw_phantoms

    columns = ("Drawing", BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task("", total=None)
        summary = draw_phantoms(
            out,
            patients=patients,
            size=size,
            seed=seed,
            workers=workers,
            on_progress=lambda done, total: bar.update(task, completed=done, total=total),
        )
    counts = ", ".join(f"{name} {count}" for name, count in summary.findings.items())
    typer.echo(
        f"{summary.images} images of {summary.patients} patients in {out} "
        f"({summary.drawn} drawn now, {summary.boxes} boxes): {counts}"
    )
    typer.echo(f"Next: python -m scripts.train --data {out}")


if __name__ == "__main__":
    run(app)
