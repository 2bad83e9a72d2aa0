"""Measure speed beside what a user would run instead: python -m scripts.bench."""

from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import Out, new_app, run

app = new_app()


@app.command()
def bench(
    data: Annotated[
        Path | None, typer.Option(help="Folder with 1024x1024 PNGs; without it, phantoms.")
    ] = None,
    out: Out = Path("runs/bench"),
    images: Annotated[int, typer.Option(min=12, help="Pictures to read.")] = 48,
    size: Annotated[int, typer.Option(min=64, help="Side of the network's input.")] = 256,
    repeats: Annotated[int, typer.Option(min=3, help="Runs of each row.")] = 5,
    steps: Annotated[int, typer.Option(min=2, help="Training steps to time.")] = 6,
) -> None:
    """Every row measures both sides in turn, in one run, and prints the ratio of the medians.

    Writes bench.json and bench.md into --out.
    """
    import json

    from chexnet.files import write_text
    from chexnet.provenance import surroundings
    from scripts._bench import measure, table

    rows = []
    for row in measure(data, out, images=images, size=size, repeats=repeats, steps=steps):
        rows.append(row)
        print(f"{row.work}: {row.ratio_text} (target {row.target})", flush=True)
    text = table(rows)
    print(f"\n{text}")
    content = {"rows": [row.as_dict() for row in rows], "made": surroundings()}
    write_text(out / "bench.json", json.dumps(content, indent=2))
    write_text(out / "bench.md", text + "\n")
    print(f"\nWritten to {out}: bench.json, bench.md")


if __name__ == "__main__":
    run(app)
