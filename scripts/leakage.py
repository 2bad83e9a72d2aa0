"""What a leaking split is worth, without a pixel: python -m scripts.leakage --data DIR."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import Labels, Out, Replicates, Seed, new_app, run

if TYPE_CHECKING:
    from chexnet.evaluation.summary import Summary

app = new_app()

PARTS = ("val", "test")


@app.command()
def leakage(
    data: Annotated[Path, typer.Option(help="Folder of the label table.")],
    split: Annotated[
        list[str] | None,
        typer.Option(help="image, patient, official; may be repeated. Default: image, patient."),
    ] = None,
    labels: Labels = "auto",
    out: Out = Path("runs/leakage"),
    seed: Seed = 0,
    replicates: Replicates = 1000,
) -> None:
    """Score a baseline that knows only the labels of the same patient's other images.

    Reads the label table alone. Writes leakage.json and leakage.png into --out.
    """
    from chexnet.data.nih import read_folder
    from chexnet.evaluation.leakage import leakage as measure
    from chexnet.evaluation.report.plots import plot_leakage
    from chexnet.files import write_json
    from chexnet.metadata import surroundings

    folder = read_folder(data, labels, need_images=False)
    print(f"{folder.table_name} (labels: {folder.version}), seed {seed}. No picture is read.\n")
    print(
        f"{'split':<10}{'held out':<18}{'images with their patient outside':>34}"
        f"{'mean AUROC of the memory':>34}"
    )
    measured = []
    for scheme in split or ("image", "patient"):
        for part in PARTS:
            held_out = measure(folder, scheme, part, seed=seed, replicates=replicates)
            measured.append(held_out)
            share = f"{part}, {100 * held_out.share:.0f} %"
            print(
                f"{held_out.scheme:<10}{share:<18}{100 * held_out.images:>32.1f} %"
                f"{_auroc(held_out.memory):>34}",
                flush=True,
            )
    content = {
        "table": folder.table_name,
        "label_version": folder.version,
        "seed": seed,
        "splits": measured,
        "made": surroundings(),
    }
    write_json(out / "leakage.json", content)
    plot_leakage(measured, out / "leakage.png")
    print(f"\nWritten to {out}: leakage.json, leakage.png")


def _auroc(memory: "Summary") -> str:
    from chexnet.evaluation.report.render import format_interval, format_value

    value = format_value(memory.findings.value)
    if not memory.intervals or not memory.intervals.findings.known:
        return value
    return f"{value} ({format_interval(memory.intervals.findings)})"


if __name__ == "__main__":
    run(app)
