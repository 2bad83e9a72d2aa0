"""Score a network or somebody's predictions: python -m scripts.eval --data DIR --weights W."""

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import (
    AllowLeak,
    BatchSize,
    Data,
    Device,
    Format,
    Mapping,
    Out,
    Packs,
    Part,
    Partial,
    Replicates,
    Scheme,
    Seed,
    Table,
    Uncertain,
    Workers,
    named_weights,
    new_app,
    progress_bar,
    run,
)
from scripts.eval.finish import finish, text_labels

if TYPE_CHECKING:
    from chexnet.evaluation.report.files import ReportImages

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
        typer.Option(help="A best_chexnet_params.pth or a network's name; several are averaged."),
    ] = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Score this CSV (Image Index, prob_<label> ...) instead.")
    ] = None,
    validation: Annotated[
        Path | None,
        typer.Option(help="With --predictions: CSV of the val part, to choose thresholds on."),
    ] = None,
    split: Annotated[
        Part, typer.Option(help="Part to score; all for data that the network never saw.")
    ] = Part.test,
    scheme: Scheme = "auto",
    partial: Partial = False,
    labels: Annotated[
        str, typer.Option(help="NIH label table: auto, 2017, v2020, or both beside each other.")
    ] = "auto",
    table: Table = None,
    format: Format = "nih",
    mapping: Mapping = None,
    uncertain: Uncertain = "ignore",
    experts: Annotated[
        list[str] | None,
        typer.Option(
            help="Radiologists' labels: rsna=FOLDER or google=FILE; may be repeated. Without "
            "weights and predictions NIH's text label itself is scored."
        ),
    ] = None,
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
    batch_size: BatchSize = None,
    replicates: Replicates = 1000,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    clean: Annotated[
        bool, typer.Option("--clean", help="Leave out images and patients the network has seen.")
    ] = False,
) -> None:
    """Score the test or validation part: AUROC of each finding with its interval, and more.

    Calibration, operating points and subgroups stand beside it. Writes predictions.csv,
    metrics.json, auroc.png and roc.png into --out/eval-<part>.
    """
    if bool(weights and predictions) or not (weights or predictions or experts):
        raise typer.BadParameter("pass one of --weights and --predictions")
    if validation and not predictions:
        raise typer.BadParameter("--validation goes with --predictions")
    if clean and (allow_leak or not weights):
        raise typer.BadParameter("--clean goes with --weights, and not with --allow-leak")
    if format != "nih" and (labels != "auto" or experts):
        raise typer.BadParameter("--labels and --experts are of NIH's own tables")
    from chexnet import distributed
    from chexnet.data.formats import DataRequest
    from chexnet.evaluation.experts import read_experts

    both = labels.lower() == "both"
    request = DataRequest(
        data,
        table,
        format,
        mapping,
        uncertain,
        labels="auto" if both else labels,
        split=scheme,
        seed=seed,
        packs=packs,
    )
    weights = named_weights(weights)  # after the refusals, which a fetch would be in vain for
    said = read_experts(experts or [])  # before hours of scoring, not after
    results = out / f"eval-{split.value}"
    of_csv = {"allow_leak": allow_leak, "partial": partial}
    if not (weights or predictions):
        text_labels(request, said, split.value, results, replicates)
        return
    if predictions:
        from chexnet.evaluation.predictions import score_predictions_with_validation

        scored = score_predictions_with_validation(
            request, predictions, validation, split.value, **of_csv
        )
    else:
        from chexnet.evaluation.scoring import score_networks

        seen = "skip" if clean else "stamp" if allow_leak else "refuse"
        with progress_bar(f"Scoring {split.value}") as on_progress:
            scored = score_networks(
                request,
                weights,
                split.value,
                flip=tta is Averaging.flip,
                device=device,
                batch_size=batch_size,
                workers=workers,
                seen=seen,
                on_progress=on_progress if distributed.is_main() else None,
            )

    def looks() -> "ReportImages":
        from chexnet.evaluation.report.files import ReportImages, report_images

        if not scored.networks:
            return ReportImages()
        with progress_bar("Heatmaps") as on_progress:
            return report_images(scored.networks[0], device, on_progress)

    if distributed.is_main():
        finish(
            scored,
            data,
            results,
            shares=prevalence or [],
            both_labels=both,
            weights=weights or [],
            replicates=replicates,
            seed=seed,
            report=looks if report else None,
            experts=said,
        )


if __name__ == "__main__":
    run(app)
