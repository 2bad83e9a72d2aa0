"""Learn the input gate again: python -m scripts.gate --data DIR (needs scikit-image beside)."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import Data, new_app, progress_bar, run

app = new_app()


@app.command()
def gate(
    data: Data,
    out: Annotated[Path, typer.Option(help="File of the learned numbers.")] = Path(
        "chexnet/gate.npz"
    ),
    steps: Annotated[int, typer.Option(min=1, help="Steps of a training.")] = 1000,
    check: Annotated[
        bool, typer.Option("--check", help="First train on two thirds, score the last, in turn.")
    ] = False,
) -> None:
    """Learn which pictures are upright frontal chest radiographs, and write the numbers.

    Seven in ten of the train_val patients are learned from; the others are never touched.
    """
    from scripts import _gate_learning as learning

    with progress_bar("Pictures", "parts") as on_progress:
        pictures = learning.collect(data, on_progress)
    if check:
        with progress_bar("Checking", "steps") as on_progress:
            found = learning.check(pictures, steps, on_progress)
        for name, scores in found.items():
            print(f"{name}: {sum(scores < 0):,} of {len(scores):,} flagged")
    with progress_bar("Learning", "steps") as on_progress:
        learning.learn(pictures, out, steps, on_progress)
    print(f"{out}: learned from {len(pictures.radiographs):,} radiographs.")


if __name__ == "__main__":
    run(app)
