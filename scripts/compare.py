"""Is one network better than another? python -m scripts.compare A.csv B.csv --data DIR.

Or of weights: python -m scripts.compare --weights A.pth B.pth --data DIR.
"""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli import (
    AllowLeak,
    BatchSize,
    Data,
    Device,
    Labels,
    Out,
    Packs,
    Part,
    Partial,
    Scheme,
    Seed,
    SeveralValues,
    Workers,
    named_weights,
    new_app,
    progress_bar,
    run,
)

if TYPE_CHECKING:
    from chexnet.data.formats import DataRequest
    from chexnet.evaluation.compare import NetworkScore

app = new_app()


@app.command(cls=SeveralValues)
def compare(
    data: Data,
    files: Annotated[
        list[Path] | None,
        typer.Argument(
            metavar="A.csv B.csv", help="Predictions of two networks for the same images."
        ),
    ] = None,
    weights: Annotated[
        list[Path] | None,
        typer.Option(
            help="Score these networks (two or more) on images that none has seen.",
            callback=named_weights,
        ),
    ] = None,
    split: Annotated[
        Part, typer.Option(help="Part that the images are of; all for any images.")
    ] = Part.test,
    scheme: Scheme = "auto",
    labels: Labels = "auto",
    out: Out = Path("runs/compared"),
    packs: Packs = Path("packs"),
    seed: Seed = 0,
    workers: Workers = -1,
    batch_size: BatchSize = None,
    replicates: Annotated[int, typer.Option(min=1, help="Bootstrap draws.")] = 1000,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    partial: Partial = False,
) -> None:
    """Compare networks, by their weights or by two CSVs (Image Index, prob_<label> ...).

    CSVs: A less B, the difference of each finding's AUROC and of their mean, with interval and
    p-value, paired by patient; writes comparison.json. Weights: all of them on the images that none
    has seen, each against the first; writes comparison.json, .csv and .html into --out.
    """
    if bool(weights) == bool(files) or (files and len(files) != 2):
        raise typer.BadParameter("pass two CSVs, or --weights with two networks or more")
    from chexnet.data.formats import DataRequest

    request = DataRequest(data, labels=labels, split=scheme, seed=seed, packs=packs)
    if files:
        options = {"allow_leak": allow_leak, "partial": partial}
        compare_files(request, (files[0], files[1]), split.value, out, replicates, options)
        return
    if allow_leak or partial:
        raise typer.BadParameter("--allow-leak and --partial go with two CSVs")
    from chexnet.evaluation.compare import compare_networks

    with progress_bar("Scoring") as on_progress:
        content, networks = compare_networks(
            request,
            weights or [],
            split.value,
            replicates=replicates,
            seed=seed,
            device=device,
            batch_size=batch_size,
            workers=workers,
            on_network=lambda number, name: print(
                f"{number} of {len(weights or [])}: {name}", file=sys.stderr
            ),
            on_progress=on_progress,
        )
    _write_side_by_side(content, networks, weights or [], out)


def _write_side_by_side(
    content: dict[str, Any], networks: "list[NetworkScore]", weights: list[Path], results: Path
) -> None:
    from chexnet.errors import ChexnetError
    from chexnet.evaluation.predictions import write_predictions
    from chexnet.evaluation.report.comparison import (
        side_by_side,
        side_by_side_html,
        side_by_side_text,
    )
    from chexnet.evaluation.report.history import record_scoring
    from chexnet.evaluation.report.render import to_csv
    from chexnet.files import write_json, write_text
    from chexnet.metadata import surroundings

    facts, made = [network.facts for network in networks], surroundings()
    print(side_by_side_text(content, facts))
    write_json(results / "comparison.json", {**content, "made": made})
    write_text(results / "comparison.csv", to_csv(side_by_side(content)))
    write_text(results / "comparison.html", side_by_side_html(content, facts, made))
    for number, (network, path) in enumerate(zip(networks, weights, strict=True), 1):
        write_predictions(results / f"predictions-{number}.csv", network.scores)
        try:
            record_scoring(network.facts, network.summary, path.parent)
        except ChexnetError as error:  # weights may lie where nobody can write
            print(f"This scoring is not noted beside {path.name}: {error}")
    names = "comparison.json, comparison.csv, comparison.html, predictions-1.csv ..."
    print(f"\nWritten to {results}: {names}")


def compare_files(
    request: "DataRequest",
    files: tuple[Path, Path],
    part: str,
    results: Path,
    replicates: int,
    options: dict[str, Any],
) -> None:
    """Compare two CSVs, print the table and write comparison.json into `place`.

    Args:
        request: the label table and the division; its seed is also the bootstrap's.
        files: A and B.
        part: `val`, `test` or `all`.
        results: folder to write into.
        replicates: bootstrap draws.
        options: further arguments of `score_predictions`.
    """
    from chexnet.evaluation.compare import as_dict
    from chexnet.evaluation.compare import compare as compare_scores
    from chexnet.evaluation.predictions import score_predictions
    from chexnet.evaluation.report.comparison import comparison_text
    from chexnet.evaluation.report.sentences import facts_text
    from chexnet.files import write_json
    from chexnet.metadata import surroundings

    first, second = (score_predictions(request, path, part, **options) for path in files)
    differences = as_dict(compare_scores(first.scores, second.scores, replicates, request.seed))
    print(facts_text(first.facts))
    print(f"A: {files[0]}\nB: {files[1]}\n\n{comparison_text(differences)}")
    content = {
        "a": files[0].name,
        "b": files[1].name,
        "facts": first.facts,
        "differences": differences,
        "made": surroundings(),
    }
    write_json(results / "comparison.json", content)
    print(f"\nWritten to {results}: comparison.json")


if __name__ == "__main__":
    run(app)
