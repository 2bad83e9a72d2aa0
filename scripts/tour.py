"""The whole way on phantoms, command by command: python -m scripts.tour."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import new_app, run

app = new_app()

# Chosen so that two laptop cores need a few minutes and the table shows that something was
# learned: phantoms of 128 pixels, four passes, a tenfold learning rate because it starts from
# random weights.
PATIENTS, SIZE = 300, 128
TRAINING = ("--epochs", 4, "--init", "none", "--lr", "1e-3")


@app.command()
def tour(
    out: Annotated[Path, typer.Option(help="Folder of this run.")] = Path("runs/tour"),
    data: Annotated[Path, typer.Option(help="Folder for the phantoms.")] = Path("phantoms/tour"),
) -> None:
    """Draw phantoms, pack them, train on them for a few minutes and score the result.

    Every step is a command that is shown before it runs. Synthetic pictures: the figures say
    nothing about real radiographs.
    """
    shape = ("--size", SIZE)
    weights = out / "best_chexnet_params.pth"
    steps = (
        ("phantom", data, "--patients", PATIENTS, "--size", 2 * SIZE),
        ("prepare", "--data", data, *shape),
        ("train", "--data", data, "--out", out, *shape, *TRAINING),
        ("eval", "--data", data, "--out", out, "--weights", weights),
    )
    print("Research and education only, not for clinical use. These are synthetic pictures.")
    for name, *arguments in steps:
        command = ["-m", f"scripts.{name}", *map(str, arguments)]
        print(f"\n$ python {' '.join(command)}", flush=True)
        done = subprocess.run([sys.executable, *command])
        if done.returncode:
            sys.exit(done.returncode)


if __name__ == "__main__":
    run(app)
