"""Measure speed beside what a user would run instead: python -m scripts.bench."""

from pathlib import Path
from typing import Annotated

import typer

from demo.security import ADMITTED
from scripts.bench.rows import Group, Skipped, measure, table
from scripts.cli import Out, named_weights, new_app, run

app = new_app()


@app.command()
def bench(
    data: Annotated[
        Path | None, typer.Option(help="Folder with 1024x1024 PNGs; without it, phantoms.")
    ] = None,
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights that explain and answer; without it, random ones.", callback=named_weights
        ),
    ] = None,
    out: Out = Path("runs/bench"),
    only: Annotated[
        list[Group] | None, typer.Option(help="A group of rows; may be given again. Else all.")
    ] = None,
    images: Annotated[int, typer.Option(min=12, help="Pictures to read.")] = 64,
    size: Annotated[int, typer.Option(min=64, help="Side of the network's input.")] = 256,
    repeats: Annotated[int, typer.Option(min=3, help="Runs of each row.")] = 5,
    steps: Annotated[int, typer.Option(min=2, help="Training steps to time.")] = 6,
    clients: Annotated[
        int, typer.Option(min=2, max=ADMITTED, help="Visitors of the demo at once.")
    ] = ADMITTED,
) -> None:
    """Every row measures both sides in turn, in one run, and prints the ratio of the medians.

    Writes bench.json, bench.md and bench.png into --out. Rows whose packages are missing are named.
    """
    import json

    from chexnet.files import write_text
    from chexnet.metadata import surroundings
    from scripts.bench.plot import plot
    from scripts.bench.setting import Setting

    setting = Setting(
        out=out,
        data=data,
        weights=weights,
        images=images,
        size=size,
        repeats=repeats,
        steps=steps,
        clients=clients,
    )
    rows, skipped = [], []
    for row in measure(setting, list(dict.fromkeys(only or Group))):
        if isinstance(row, Skipped):
            skipped.append(row)
            print(f"{row.work}: skipped ({row.reason})", flush=True)
            continue
        rows.append(row)
        print(f"{row.work}: {row.ours_text}, {row.ratio_text} (target {row.target})", flush=True)
    text = table(rows, skipped)
    print(f"\n{text}")
    content = {
        "rows": [row.as_dict() for row in rows],
        "skipped": {one.work: one.reason for one in skipped},
        "made": surroundings(),
    }
    write_text(out / "bench.json", json.dumps(content, indent=2))
    write_text(out / "bench.md", text + "\n")
    plot(rows, out / "bench.png")
    print(f"\nWritten to {out}: bench.json, bench.md, bench.png")


if __name__ == "__main__":
    run(app)
