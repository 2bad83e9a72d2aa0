"""Score a network or somebody's predictions: python -m scripts.eval --data DIR --weights W."""

from collections.abc import Sequence
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

if TYPE_CHECKING:
    from chexnet.data.formats import DataRequest
    from chexnet.evaluation.experts import ExpertLabels
    from chexnet.evaluation.scores import Figures
    from chexnet.evaluation.scoring import Scored
    from chexnet.evaluation.summary import Summary

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
    from chexnet import compute
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
    said = read_experts(experts or [])  # before hours of scoring, not after; so is the next
    shares = _prevalence(prevalence or [])
    results = out / f"eval-{split.value}"
    if not (weights or predictions):
        _text_labels(request, said, split.value, results, replicates)
        return
    if predictions:
        from chexnet.evaluation.predictions import score_predictions

        scored = score_predictions(
            request,
            predictions,
            split.value,
            validation=validation,
            allow_leak=allow_leak,
            partial=partial,
        )
    else:
        from chexnet.evaluation.scoring import score_networks

        with progress_bar(f"Scoring {split.value}") as on_progress:
            scored = score_networks(
                request,
                weights,
                split.value,
                flip=tta is Averaging.flip,
                device=device,
                batch_size=batch_size,
                workers=workers,
                seen="skip" if clean else "stamp" if allow_leak else "refuse",
                on_progress=on_progress if compute.is_main() else None,
            )
    if compute.is_main():
        _finish(
            scored,
            request,
            results,
            prevalence=shares,
            both_labels=both,
            beside=weights[0].parent if weights else None,
            replicates=replicates,
            report_on=device if report else None,
            experts=said,
        )


def _finish(
    scored: "Scored",
    request: "DataRequest",
    results: Path,
    *,
    prevalence: dict[str, float],
    both_labels: bool,
    beside: Path | None,
    replicates: int,
    report_on: str | None,
    experts: "Sequence[ExpertLabels]",
) -> None:
    """Compute, show and write everything that is asked for.

    Args:
        scored: the scores.
        request: of the label tables; its seed is also the bootstrap's.
        results: folder of the files.
        prevalence: label to the share that PPV and NPV are for.
        both_labels: report each of NIH's tables.
        beside: folder of the weights, which keeps a record of scorings; None for a CSV.
        replicates: bootstrap draws.
        report_on: device for the heatmaps of a report; None where none is wanted.
        experts: what radiologists said of some of the images.
    """
    from chexnet.data.splits import LEAKY
    from chexnet.errors import ChexnetError
    from chexnet.evaluation.assessment import assess
    from chexnet.evaluation.expert_scores import score_experts
    from chexnet.evaluation.predictions import write_predictions
    from chexnet.evaluation.report import terminal
    from chexnet.evaluation.report.experts import experts_text
    from chexnet.evaluation.report.files import ReportImages, report_images, write_report
    from chexnet.evaluation.report.history import record_scoring
    from chexnet.evaluation.report.page import Report
    from chexnet.evaluation.report.plots import plot_auroc, plot_roc
    from chexnet.evaluation.truths import both_tables
    from chexnet.files import plain, write_json
    from chexnet.metadata import surroundings

    scores, facts = scored.scores, scored.facts
    stamp = LEAKY if facts.leaky else ""
    options = {"replicates": replicates, "seed": request.seed}
    figures = assess(scores, scored.table, scored.chosen, prevalence=prevalence, **options)
    content = {"stamp": stamp, **figures.content, "facts": plain(facts), "made": surroundings()}
    print(terminal.about_text(facts, scored.notes, scored.stamps))
    print(f"\n{terminal.assessment_text(content, replicates)}")
    if scored.stamps:
        content["stamps"] = scored.stamps
    if both_labels:
        both = both_tables(scores, request.root, known=figures.summary, **options)
        content["labels"] = plain(both)
        print(f"\n{terminal.both_text(content['labels'], len(scores.images), replicates)}")
    if protocols := _protocols(scored, figures.summary, request.root, options):
        content["protocols"] = plain(protocols)
        print(f"\n{terminal.protocols_text(content['protocols'])}")
    if experts:
        against = {
            labels.key: score_experts(
                labels, scored.table, facts.table, figures.calibrated, **options
            )
            for labels in experts
        }
        content["experts"] = plain(against)
        print(f"\n{experts_text(content['experts'], replicates)}")
    record = []
    if beside:
        try:
            record = record_scoring(facts, figures.summary, beside)
        except ChexnetError as error:  # weights may lie where nobody can write
            print(f"\nThis scoring is not noted beside the weights: {error}")
    if record:
        print(
            f"\nScorings of test images noted beside these weights: {len(record)} "
            "(it can count only there)."
        )
        content["test_scorings"] = record
    stamped = f".{stamp}" if stamp else ""
    write_predictions(results / f"predictions{stamped}.csv", scores)
    write_json(results / "metrics.json", content)
    plot_auroc(figures.summary, results / "auroc.png", stamp)
    plot_roc(scores, figures.summary, results / "roc.png", stamp)
    written = "predictions, metrics.json, auroc.png, roc.png"
    if report_on:
        kept = record if beside else None
        report = Report(scored=scored, assessment=figures, content=content, record=kept)
        looks = ReportImages()
        if scored.networks:
            with progress_bar("Heatmaps") as on_progress:
                looks = report_images(scored.networks[0], report_on, on_progress)
        written += f", {write_report(report, results, looks)}"
    print(f"\nWritten to {results}: {written}")


def _protocols(
    scored: "Scored", whole: "Summary", data: Path, options: dict[str, int]
) -> "dict[str, Figures]":
    """The same answers on each of the two test lists that published figures are of."""
    from chexnet.data.nih import read_lists
    from chexnet.evaluation.truths import protocol_figures, seen_by
    from chexnet.networks.training_lists import images_for_test_2017

    facts = scored.facts
    if facts.phantoms or facts.label_version == "unknown" or facts.label_mapping:
        return {}  # the lists name images of NIH's, and these are others under such names
    lists = {"official": (read_lists(data) or {}).get("test", ()), "2017": images_for_test_2017()}
    seen = seen_by([network.metadata.trained_hashes for network in scored.networks])
    return protocol_figures(scored.scores, scored.table, lists, seen, whole=whole, **options)


def _text_labels(
    request: "DataRequest",
    experts: "Sequence[ExpertLabels]",
    part: str,
    results: Path,
    replicates: int,
) -> None:
    """Score NIH's text labels, show them and write text_labels.json."""
    from chexnet.evaluation.expert_scores import score_text_labels
    from chexnet.evaluation.report.experts import experts_text
    from chexnet.evaluation.report.sentences import facts_text
    from chexnet.files import plain, write_json
    from chexnet.metadata import surroundings

    facts, figures = score_text_labels(request, experts, part, replicates=replicates)
    groups = plain(figures)
    print(f"{facts_text(facts)}\n\n{experts_text(groups, replicates)}")
    content = {"experts": groups, "facts": facts, "made": surroundings()}
    write_json(results / "text_labels.json", content)
    print(f"\nWritten to {results}: text_labels.json")


def _prevalence(shares: Sequence[str]) -> dict[str, float]:
    """`0.05` is for every class, `Mass=0.05` for one."""
    from chexnet.errors import ConfigError
    from chexnet.labels import LABELS

    prevalence: dict[str, float] = {}
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
        prevalence |= {name: share} if name else dict.fromkeys(LABELS, share)
    return prevalence


if __name__ == "__main__":
    run(app)
