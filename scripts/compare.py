"""Is one network better than another? python -m scripts.compare A.csv B.csv --data DIR."""

from pathlib import Path
from typing import Annotated, Any

import typer

from scripts.cli import AllowLeak, Data, Out, Part, Seed, new_app, run

app = new_app()


@app.command()
def compare(
    first: Annotated[Path, typer.Argument(metavar="A.csv", help="Predictions of one network.")],
    second: Annotated[
        Path, typer.Argument(metavar="B.csv", help="Of the other, for the same images.")
    ],
    data: Data,
    split: Annotated[
        Part, typer.Option(help="Part that the images are of; all for any images.")
    ] = Part.test,
    scheme: Annotated[
        str, typer.Option(help="Split that the part is of (auto, official, patient).")
    ] = "auto",
    labels: Annotated[str, typer.Option(help="NIH label table: auto, 2017 or v2020.")] = "auto",
    out: Out = Path("runs/compared"),
    seed: Seed = 0,
    replicates: Annotated[int, typer.Option(min=1, help="Bootstrap draws.")] = 1000,
    allow_leak: AllowLeak = False,
    partial: Annotated[
        bool, typer.Option("--partial", help="Compare on some images of the part only.")
    ] = False,
) -> None:
    """Compare two CSVs of predictions (Image Index, prob_<label> ...) for the same images.

    A less B: the difference of each finding's AUROC and of their mean, with interval and p-value,
    paired by patient. Writes comparison.json into --out.
    """
    options = {"labels": labels, "split": scheme, "seed": seed}
    options |= {"allow_leak": allow_leak, "partial": partial}
    compare_files(data, (first, second), split.value, out, replicates, seed, options)


def compare_files(
    data: Path,
    files: tuple[Path, Path],
    part: str,
    results: Path,
    replicates: int,
    seed: int,
    options: dict[str, Any],
) -> None:
    """Compare two CSVs, print the table and write comparison.json into `place`.

    Args:
        data: folder of the label table.
        files: A and B.
        part: `val`, `test` or `all`.
        results: folder to write into.
        replicates: bootstrap draws.
        seed: of the bootstrap.
        options: further arguments of `score_predictions`.
    """
    import json

    from chexnet.evaluation.comparison import as_dict
    from chexnet.evaluation.comparison import compare as compare_scores
    from chexnet.evaluation.report.tables import comparison_text, facts_text
    from chexnet.evaluation.scoring import score_predictions
    from chexnet.files import write_text
    from chexnet.metadata import surroundings

    first, second = (score_predictions(data, path, part, **options) for path in files)
    found = compare_scores(first.scores, second.scores, replicates, seed)
    print(facts_text(first.facts))
    print(f"A: {files[0]}\nB: {files[1]}\n\n{comparison_text(found)}")
    content = {
        "a": files[0].name,
        "b": files[1].name,
        "facts": first.facts.as_dict(),
        "differences": as_dict(found),
        "made": surroundings(),
    }
    write_text(results / "comparison.json", json.dumps(content, indent=2))
    print(f"\nWritten to {results}: comparison.json")


if __name__ == "__main__":
    run(app)
