"""Score a network or somebody's predictions: python -m scripts.eval --data DIR --weights W."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts._cli import (
    AllowLeak,
    Data,
    Out,
    Packs,
    Part,
    Seed,
    Weights,
    Workers,
    new_app,
    progress_bar,
    run,
)

if TYPE_CHECKING:
    from chexnet.evaluation.sources import Scored

app = new_app()


@app.command(name="eval")
def evaluate(
    data: Data,
    weights: Weights | None = None,
    predictions: Annotated[
        Path | None, typer.Option(help="Score this CSV (Image Index, prob_<label> ...) instead.")
    ] = None,
    split: Annotated[
        Part, typer.Option(help="Part to score; all for data that the network never saw.")
    ] = Part.test,
    scheme: Annotated[
        str,
        typer.Option(help="With --predictions: split the part is of (auto, official, patient)."),
    ] = "auto",
    labels: Annotated[str, typer.Option(help="NIH label table: auto, 2017 or v2020.")] = "auto",
    out: Out = Path("runs/default"),
    packs: Packs = Path("packs"),
    seed: Seed = 0,
    workers: Workers = -1,
    batch_size: Annotated[int, typer.Option(min=1, help="Images at once.")] = 32,
    replicates: Annotated[int, typer.Option(min=0, help="Bootstrap draws; 0 for none.")] = 1000,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    allow_leak: AllowLeak = False,
) -> None:
    """Score the test or validation part: AUROC of each finding with its interval.

    Writes predictions.csv, metrics.json, auroc.png and roc.png into --out/eval-<part>.
    """
    if (weights is None) == (predictions is None):
        raise typer.BadParameter("pass either --weights or --predictions")
    from chexnet import distributed
    from chexnet.evaluation.sources import score_predictions, score_weights

    if predictions:
        scored = score_predictions(
            data,
            predictions,
            split.value,
            labels=labels,
            split=scheme,
            seed=seed,
            allow_leak=allow_leak,
        )
    else:
        with progress_bar(f"Scoring {split.value}") as on_progress:
            scored = score_weights(
                data,
                weights,
                split.value,
                labels=labels,
                packs=packs,
                device=device,
                batch_size=batch_size,
                workers=workers,
                allow_leak=allow_leak,
                on_progress=on_progress if distributed.is_main() else None,
            )
    if distributed.is_main():
        _report(scored, out / f"eval-{split.value}", replicates, seed)


def _report(scored: "Scored", out: Path, replicates: int, seed: int) -> None:
    import json

    from chexnet.data.splits import LEAKY
    from chexnet.evaluation.plots import plot_auroc, plot_roc
    from chexnet.evaluation.predictions import write_predictions
    from chexnet.evaluation.summary import as_dict, evaluation_text, facts_text, summarise
    from chexnet.files import write_text
    from chexnet.provenance import surroundings

    stamp = LEAKY if scored.facts["leaky"] else ""
    summary = summarise(scored.scores, replicates=replicates, seed=seed)
    print(facts_text(scored.facts))
    for note in scored.notes:
        print(note)
    print()
    print(evaluation_text(summary, stamp))
    write_predictions(out / f"predictions{f'.{stamp}' if stamp else ''}.csv", scored.scores)
    metrics = {"stamp": stamp, **as_dict(summary), "facts": scored.facts, "made": surroundings()}
    write_text(out / "metrics.json", json.dumps(metrics, indent=2))
    plot_auroc(summary, out / "auroc.png", stamp)
    plot_roc(scored.scores, summary, out / "roc.png", stamp)
    print(f"\nWritten to {out}: predictions, metrics.json, auroc.png, roc.png")


if __name__ == "__main__":
    run(app)
