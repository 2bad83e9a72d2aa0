"""Score a network or somebody's predictions: python -m scripts.eval --data DIR --weights W."""

from collections.abc import Callable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli import (
    AllowLeak,
    Data,
    Out,
    Packs,
    Part,
    Seed,
    Workers,
    new_app,
    progress_bar,
    run,
)
from scripts.compare import compare_files

if TYPE_CHECKING:
    from chexnet.evaluation.report.page import ReportImages
    from chexnet.evaluation.scoring import Scored

app = new_app()


class Averaging(StrEnum):
    """What is averaged over at test time."""

    none = "none"
    flip = "flip"


@app.command(name="eval")
def evaluate(
    data: Data,
    weights: Annotated[
        list[Path] | None,
        typer.Option(help="A best_chexnet_params.pth; several are averaged."),
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Score this CSV (Image Index, prob_<label> ...) instead.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="With --predictions: CSV of the val part, to choose thresholds on."),
    ] = None,
    compare: Annotated[
        tuple[Path, Path] | None, typer.Option(help="Moved: python -m scripts.compare A.csv B.csv.")
    ] = None,
    split: Annotated[
        Part, typer.Option(help="Part to score; all for data that the network never saw.")
    ] = Part.test,
    scheme: Annotated[
        str, typer.Option(help="For CSVs: split the part is of (auto, official, patient).")
    ] = "auto",
    partial: Annotated[
        bool, typer.Option("--partial", help="Score CSVs that have only some images of the part.")
    ] = False,
    labels: Annotated[
        str, typer.Option(help="NIH label table: auto, 2017, v2020, or both beside each other.")
    ] = "auto",
    prevalence: Annotated[
        list[str] | None,
        typer.Option(help="Share that PPV and NPV are for: 0.05, or Mass=0.05; may be repeated."),
    ] = None,
    tta: Annotated[
        Averaging, typer.Option(help="flip also shows each picture mirrored.")
    ] = Averaging.none,
    report: Annotated[
        bool, typer.Option("--report", help="Also write report.html and model_card.md.")
    ] = False,
    out: Out = Path("runs/default"),
    packs: Packs = Path("packs"),
    seed: Seed = 0,
    workers: Workers = -1,
    batch_size: Annotated[
        int | None, typer.Option(min=1, help="Images at once; else 32, on a GPU 256.")
    ] = None,
    replicates: Annotated[int, typer.Option(min=0, help="Bootstrap draws; 0 for none.")] = 1000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    allow_leak: AllowLeak = False,
) -> None:
    """Score the test or validation part: AUROC of each finding with its interval, and more.

    Calibration, operating points and subgroups stand beside it. Writes predictions.csv,
    metrics.json, auroc.png and roc.png into --out/eval-<part>.
    """
    if sum(map(bool, (weights, predictions, compare))) != 1:
        raise typer.BadParameter("pass one of --weights, --predictions and --compare")
    if validation and not predictions:
        raise typer.BadParameter("--validation goes with --predictions")
    from chexnet import distributed

    results = out / f"eval-{split.value}"
    both = labels.lower() == "both"
    of_csv = {
        "labels": "auto" if both else labels,
        "split": scheme,
        "seed": seed,
        "allow_leak": allow_leak,
        "partial": partial,
    }
    if compare:
        typer.echo(
            "--compare is now python -m scripts.compare A.csv B.csv --data DIR; it works here too.",
            err=True,
        )
        compare_files(data, compare, split.value, results, replicates or 1000, seed, of_csv)
        return
    if predictions:
        from chexnet.evaluation.scoring import score_predictions_with_validation

        scored = score_predictions_with_validation(
            data, predictions, validation, split.value, **of_csv
        )
    else:
        from chexnet.evaluation.scoring import score_networks

        with progress_bar(f"Scoring {split.value}") as on_progress:
            scored = score_networks(
                data,
                weights,
                split.value,
                flip=tta is Averaging.flip,
                labels=of_csv["labels"],
                packs=packs,
                device=device,
                batch_size=batch_size,
                workers=workers,
                allow_leak=allow_leak,
                on_progress=on_progress if distributed.is_main() else None,
            )

    def looks() -> "ReportImages":
        from chexnet.evaluation.holdout import open_holdout
        from chexnet.evaluation.report.page import ReportImages, report_images

        if predictions:
            return ReportImages()
        holdout = open_holdout(
            data,
            weights[0],
            split.value,
            labels=of_csv["labels"],
            packs=packs,
            allow_leak=allow_leak,
        )
        with progress_bar("Heatmaps") as on_progress:
            return report_images(holdout, device, on_progress)

    if distributed.is_main():
        _finish(
            scored,
            data,
            results,
            shares=prevalence or [],
            both_labels=both,
            beside=weights[0].parent if weights else None,
            replicates=replicates,
            seed=seed,
            report=looks if report else None,
        )


def _finish(
    scored: "Scored",
    data: Path,
    results: Path,
    *,
    shares: Sequence[str],
    both_labels: bool,
    beside: Path | None,
    replicates: int,
    seed: int,
    report: "Callable[[], ReportImages] | None" = None,
) -> None:
    """Compute, show and write everything that is asked for.

    Args:
        scored: the scores.
        data: folder of the label tables.
        results: folder of the files.
        shares: what the user gave as prevalence.
        both_labels: report each of NIH's tables.
        beside: folder of the weights, None for a CSV.
        replicates: bootstrap draws.
        seed: of the bootstrap.
        report: gives the pictures of a report; None where none is wanted.
    """
    import json

    from chexnet.data.splits import LEAKY
    from chexnet.errors import ChexnetError
    from chexnet.evaluation.assessment import as_dict, assess
    from chexnet.evaluation.predictions import write_predictions
    from chexnet.evaluation.report.history import record_scoring
    from chexnet.evaluation.report.page import write_report
    from chexnet.evaluation.report.plots import plot_auroc, plot_roc
    from chexnet.evaluation.report.tables import assessment_text, facts_text
    from chexnet.files import write_text
    from chexnet.metadata import surroundings

    stamp = LEAKY if scored.facts.leaky else ""
    prevalence = _prevalence(shares)
    found = assess(
        scored.scores,
        scored.table,
        scored.chosen,
        prevalence=prevalence,
        replicates=replicates,
        seed=seed,
    )
    print(facts_text(scored.facts))
    for note in scored.notes:
        print(note)
    print(f"\n{assessment_text(found, stamp)}")
    facts = scored.facts.as_dict()
    content = {"stamp": stamp, **as_dict(found), "facts": facts, "made": surroundings()}
    if both_labels:
        content["labels"] = _both(scored, data, replicates, seed)
    record = []
    if beside:
        try:
            record = record_scoring(scored, found.summary, beside)
        except ChexnetError as error:  # weights may lie where nobody can write
            print(f"\nThis scoring is not noted beside the weights: {error}")
    if record:
        print(
            f"\nScorings of test images noted beside these weights: {len(record)} "
            "(it can count only there)."
        )
        content["test_scorings"] = record
    stamped = f".{stamp}" if stamp else ""
    write_predictions(results / f"predictions{stamped}.csv", scored.scores)
    write_text(results / "metrics.json", json.dumps(content, indent=2))
    plot_auroc(found.summary, results / "auroc.png", stamp)
    plot_roc(scored.scores, found.summary, results / "roc.png", stamp)
    written = "predictions, metrics.json, auroc.png, roc.png"
    if report:
        write_report(scored, found, results, record if beside else None, report())
        written += ", report.html, model_card.md"
    print(f"\nWritten to {results}: {written}")


def _prevalence(shares: Sequence[str]) -> dict[str, float]:
    """`0.05` is for every class, `Mass=0.05` for one."""
    from chexnet.errors import ConfigError
    from chexnet.labels import LABELS

    found: dict[str, float] = {}
    for given in shares:
        name, _, text = given.rpartition("=")
        try:
            share = float(text)
        except ValueError:
            share = -1.0
        if not 0 < share < 1 or (name and name not in LABELS):
            raise ConfigError(
                f"--prevalence: found {given!r}, expected a share between 0 and 1, or one of "
                f"{', '.join(LABELS[:3])} ... with one, as in Mass=0.05."
            )
        found |= {name: share} if name else dict.fromkeys(LABELS, share)
    return found


def _both(scored: "Scored", data: Path, replicates: int, seed: int) -> dict[str, Any]:
    """Each of NIH's two tables, on the same images and answers."""
    from chexnet.data.nih import TABLES, read_folder
    from chexnet.evaluation.predictions import relabelled
    from chexnet.evaluation.report.tables import evaluation_text
    from chexnet.evaluation.summary import as_dict, summarise

    tables = {version: read_folder(data, version, need_images=False) for version in TABLES}
    compared = relabelled(scored.scores, {name: one.table for name, one in tables.items()})
    print(
        f"\nLabels that differ between NIH's two tables: {compared.differing:,} of "
        f"{len(compared.images):,} images."
    )
    found: dict[str, Any] = {"images_that_differ": compared.differing}
    for version, scores in compared.scores.items():
        summary = summarise(scores, replicates=replicates, seed=seed)
        print(f"\n{tables[version].table_name}:\n{evaluation_text(summary)}")
        found[version] = as_dict(summary)
    return found


if __name__ == "__main__":
    run(app)
