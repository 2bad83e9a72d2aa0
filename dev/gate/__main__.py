"""Learn the input gate again: python -m dev.gate --data DIR (needs scikit-image beside)."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import Data, new_app, progress_bar, run

app = new_app()


@app.command()
def gate(
    data: Data,
    out: Annotated[Path, typer.Option(help="File of the learned numbers.")] = Path(
        "chexnet/inference/gate.npz"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Steps of a training.")] = 1000,
    check: Annotated[
        bool, typer.Option("--check", help="Only measure: in turn, train on two thirds.")
    ] = False,
    others: Annotated[
        Path | None,
        typer.Option(help="With --check: a folder of folders (photograph, slice) to judge."),
    ] = None,
) -> None:
    """Learn which pictures are upright frontal chest radiographs, and write the numbers.

    Seven in ten of the train_val patients are learned from; the others are only measured on.
    """
    from dev.gate import check as checking
    from dev.gate import learning
    from dev.gate import pictures as collecting

    if check:
        for name, share in checking.others(others) if others else ():
            print(f"{name}: {share}")
        with progress_bar("Phantoms") as on_progress:
            shares = dict(checking.phantoms(2000, on_progress))
        with progress_bar("Drawings", "kinds") as on_progress:
            shares |= dict(checking.drawn(700, on_progress))
        for name, share in shares.items():
            print(f"{name}: {share}", flush=True)
    with progress_bar("Pictures", "parts") as on_progress:
        pictures = collecting.collect(data, on_progress)
    if check:
        with progress_bar("Cross-validation", "steps") as on_progress:
            shares = dict(checking.cross_validate(pictures, steps, on_progress))
        for name, share in shares.items():
            print(f"{name}: {share}")
        return
    with progress_bar("Learning", "steps") as on_progress:
        learning.learn(pictures, out, steps, on_progress)
    print(f"{out}: learned from {pictures.learned.sum():,} radiographs.")


if __name__ == "__main__":
    run(app)
