"""What a leaking split is worth, without a pixel, and which images a list of names has.

python -m scripts.leakage --data DIR, or --list FILE.
"""

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
    data: Annotated[
        Path | None, typer.Option(help="Folder of the label table; --list needs none.")
    ] = None,
    names: Annotated[
        Path | None,
        typer.Option("--list", help="Say which known training list this text or CSV file is."),
    ] = None,
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

    Reads the label table alone. Writes leakage.json and leakage.png into --out. With --list: which
    known training list a file of image names is, and what it shares with NIH's official lists.
    """
    if (data is None) == (names is None):
        raise typer.BadParameter("pass one of --data and --list")
    if names:
        _name_list(names, out)
        return
    import json

    from chexnet.data.nih import read_folder
    from chexnet.evaluation.leakage import leakage as measure
    from chexnet.evaluation.report.plots import plot_leakage
    from chexnet.evaluation.summary import as_dict
    from chexnet.files import write_text
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
                "memory": as_dict(one.memory),
            }
            for one in found
        ],
        "made": surroundings(),
    }
    write_text(out / "leakage.json", json.dumps(content, indent=2))
    plot_leakage(found, out / "leakage.png")
    print(f"\nWritten to {out}: leakage.json, leakage.png")


def _name_list(source: Path, out: Path) -> None:
    """Say what a file of image names is; writes list.json into --out."""
    import json

    from chexnet.files import write_text
    from chexnet.networks.identify import OFFICIAL_TEST, identify, read_names

    listed = read_names(source)
    found = identify(listed)
    print(
        f"{source.name}: {found.names:,} image names, {found.of_nih:,} of them NIH's, of "
        f"{found.patients:,} patients."
        + (f" {len(listed) - found.names:,} stand twice." if len(listed) > found.names else "")
    )
    test = next(one for one in found.overlaps if one.title == OFFICIAL_TEST)
    if found.exact:
        print(f"It is {' = '.join(found.exact)}. {found.note}".rstrip())
    elif found.of_nih:
        print(
            f"It is no known list. Closest: {found.closest} (Jaccard index {found.jaccard:.3f} of "
            "the images)."
        )
    print(
        f"{test.images:,} of the {test.size:,} official test images are in it; "
        f"{test.size - test.seen:,} are of patients that it does not have, and clean for a network "
        "that was trained on it."
    )
    print(f"\n{'list':<52}{'images':>9}{'in file':>9}{'patients in file':>18}  the file is")
    for one in found.overlaps:
        print(f"{one.title:<52}{one.size:>9,}{one.images:>9,}{one.patients:>18,}  {one.relation}")
    content = {"file": source.name, **found.as_dict()}
    write_text(out / "list.json", json.dumps(content, indent=2))
    print(f"\nWritten to {out}: list.json")


def _auroc(memory: "Summary") -> str:
    from chexnet.evaluation.report.render import format_interval, format_value

    value = format_value(memory.findings.value)
    if not memory.intervals or not memory.intervals.findings.known:
        return value
    return f"{value} ({format_interval(memory.intervals.findings)})"


if __name__ == "__main__":
    run(app)
