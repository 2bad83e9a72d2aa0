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
    found = []
    for scheme in split or ("image", "patient"):
        for part in PARTS:
            one = measure(folder, scheme, part, seed=seed, replicates=replicates)
            found.append(one)
            held = f"{part}, {100 * one.share:.0f} %"
            print(
                f"{one.scheme:<10}{held:<18}{100 * one.images:>32.1f} %{_auroc(one.memory):>34}",
                flush=True,
            )
    content = {
        "table": folder.table_name,
        "label_version": folder.version,
        "seed": seed,
        "splits": [
            {
                "split": one.scheme,
                "part": one.part,
                "share": one.share,
                "images_with_patient_outside": one.images,
                "patients_outside": one.patients,
                "memory": one.memory,
            }
            for one in found
        ],
        "made": surroundings(),
    }
    write_json(out / "leakage.json", content)
    plot_leakage(found, out / "leakage.png")
    print(f"\nWritten to {out}: leakage.json, leakage.png")


def _auroc(memory: "Summary") -> str:
    from chexnet.evaluation.report.render import format_interval, format_value

    value = format_value(memory.findings.value)
    if not memory.intervals or not memory.intervals.findings.known:
        return value
    return f"{value} ({format_interval(memory.intervals.findings)})"


if __name__ == "__main__":
    run(app)
