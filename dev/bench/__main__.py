"""Measure speed beside what a user would run instead: python -m dev.bench."""

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import typer

from dev.bench.rows import Group, Row, Skipped, measure, table
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
    size: Annotated[
        int | None, typer.Option(min=64, help="Side of the network's input; 256, of --gpu 224.")
    ] = None,
    repeats: Annotated[int, typer.Option(min=3, help="Runs of each row.")] = 5,
    gpu: Annotated[
        bool, typer.Option("--gpu", help="Only a CUDA GPU's rows, on noise and phantoms.")
    ] = False,
    minutes: Annotated[
        float, typer.Option(help="Of --gpu: rows that no time is left for are named.")
    ] = 8.5,
    device: Annotated[str, typer.Option(hidden=True)] = "cuda",
) -> None:
    """Every row measures both sides in turn, in one run, and prints the ratio of the medians.

    Writes bench.json and bench.md into --out. Rows whose packages are missing are named.
    """
    from dev.bench.setting import Setting

    if gpu:
        from dev.bench.gpu import sections
        from dev.bench.gpu.steps import GpuSetting

        measured = sections.measure(GpuSetting(out, device, size or 224), minutes)
    else:
        setting = Setting(
            out=out,
            data=data,
            weights=weights,
            images=images,
            size=size or 256,
            repeats=repeats,
        )
        measured = measure(setting, list(dict.fromkeys(only or Group)))
    report(measured, out)


def report(measured: Iterator[Row | Skipped], out: Path) -> None:
    """Print and write each row when it is measured, so that a bench that is ended leaves some."""
    import json

    from chexnet.files import write_text
    from chexnet.metadata import surroundings

    rows, skipped, made = [], [], None
    for row in measured:
        if isinstance(row, Skipped):
            skipped.append(row)
            print(f"{row.work}: skipped ({row.reason})", flush=True)
        else:
            rows.append(row)
            said = f"{row.ours_text}, {row.ratio_text} (target {row.target})"
            print(f"{row.work}: {said}", flush=True)
        made = made or surroundings() | gpu_facts()
        content = {
            "rows": [row.as_dict() for row in rows],
            "skipped": {row.work: row.reason for row in skipped},
            "made": made,
        }
        text = table(rows, skipped)
        write_text(out / "bench.json", json.dumps(content, indent=2))
        write_text(out / "bench.md", text + "\n")
    print(f"\n{text}\n\n{', '.join(f'{k} {v}' for k, v in (made or {}).items() if v)}")
    print(f"\nWritten to {out}: bench.json, bench.md")


def gpu_facts() -> dict[str, str]:
    """Versions and memory of a CUDA GPU, nothing where there is none."""
    import torch

    if not torch.cuda.is_available():
        return {}
    memory = torch.cuda.get_device_properties(0).total_memory / 1e9
    versions = {"cuda": torch.version.cuda, "cudnn": torch.backends.cudnn.version()}
    return {name: str(value) for name, value in versions.items()} | {"memory": f"{memory:.0f} GB"}


if __name__ == "__main__":
    run(app)
