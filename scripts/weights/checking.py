"""`check` and `calibrate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import (
    WEIGHTS_HELP,
    Data,
    Device,
    Labels,
    Packs,
    Seed,
    Workers,
    named_weights,
    progress_bar,
)

if TYPE_CHECKING:
    from chexnet.evaluation.holdout import Holdout
    from chexnet.evaluation.summary import Summary
    from chexnet.networks.check import CheckedImages

File = Annotated[
    Path, typer.Argument(metavar="W", help=WEIGHTS_HELP, callback=named_weights, show_default=False)
]
Batch = Annotated[int, typer.Option(min=1, help="Images at once.")]


def check(
    weights: File,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder with NIH images and the label table; phantoms without it."),
    ] = None,
    images: Annotated[int, typer.Option(min=1, help="Images at most, drawn at random.")] = 1000,
    labels: Labels = "auto",
    packs: Packs = Path("packs"),
    seed: Seed = 0,
    workers: Workers = -1,
    batch_size: Batch = 32,
    replicates: Annotated[int, typer.Option(min=1, help="Bootstrap draws.")] = 1000,
    device: Device = "auto",
) -> None:
    """Does it reach its published figure? Check class order, normalisation and polarity if not.

    Each finding's AUROC and the mean on images that it has not seen, beside the published figure.
    It changes nothing in the file, and no figure of it is one to choose a network by. Ends with
    code 1 if it is no better than guessing. Needs 200 NIH images; fewer, or phantoms, cannot say.
    """
    import tempfile
    from contextlib import ExitStack

    from chexnet.data.formats import DataRequest
    from chexnet.evaluation.holdout import open_holdout
    from chexnet.evaluation.scoring import score_holdout
    from chexnet.evaluation.summary import summarise
    from chexnet.networks.check import choose_images, verdict

    with ExitStack() as stack:
        if data is None:
            from chexnet.phantom.dataset import draw_phantoms

            data = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "phantoms"
            with progress_bar("Drawing phantoms") as on_progress:
                draw_phantoms(data, patients=60, size=256, seed=seed, on_progress=on_progress)
        holdout = open_holdout(
            DataRequest(data, labels=labels, packs=packs), weights, "all", seen="stamp"
        )
        chosen = choose_images(holdout, images, seed)
        holdout = holdout.only(chosen.rows)
        with progress_bar("Scoring") as on_progress:
            scores = score_holdout(
                holdout,
                device=device,
                batch_size=batch_size,
                workers=workers,
                on_progress=on_progress,
            )
        summary = summarise(scores, replicates=replicates, seed=seed)
    says = verdict(summary, holdout.metadata.provenance.get("published"), real=chosen.real)
    print(_about_images(holdout, chosen))
    print(_text(summary, says, holdout))
    if chosen.real:
        _note(summary, holdout, weights)
    if says == "no better than guessing":
        raise typer.Exit(1)


def calibrate(
    weights: File,
    data: Data,
    out: Annotated[
        Path | None, typer.Option(help="The file to write; by default W itself.")
    ] = None,
    labels: Labels = "auto",
    packs: Packs = Path("packs"),
    workers: Workers = -1,
    batch_size: Batch = 32,
    device: Device = "auto",
    allow_seen: Annotated[
        bool,
        typer.Option("--allow-seen", help="Use images that it was trained on as well; stamped."),
    ] = False,
) -> None:
    """Choose calibration and thresholds on your validation images, as training does.

    Only images that the network has not seen are used. The weights stay as they are.
    """
    from chexnet.data.formats import DataRequest
    from chexnet.networks.calibrate import calibrate_weights

    with progress_bar("Scoring val") as on_progress:
        done = calibrate_weights(
            weights,
            DataRequest(data, labels=labels, packs=packs),
            out,
            allow_seen=allow_seen,
            on_progress=on_progress,
            workers=workers,
            batch_size=batch_size,
            device=device,
        )
    print(
        f"Calibration and thresholds were chosen on {done.images:,} of {done.of:,} images of the "
        f"validation part ({done.split} split), of {done.patients:,} patients"
        + ("; the network has seen some of them, and the file says so." if done.seen else ".")
    )
    print(f"With numbers of their own: {', '.join(done.own) or 'no class'}.")
    if done.pooled:
        print(
            "Under 20 positives (one calibration for all of them, no threshold): "
            f"{', '.join(done.pooled)}."
        )
    print(f"Written: {out or weights}. Not for clinical use.")


def _about_images(holdout: "Holdout", chosen: "CheckedImages") -> str:
    count = len(chosen.rows)
    if not chosen.real:
        drawn = int(holdout.facts.drawn["all"]) if holdout.facts.drawn else 0
        return (
            f"{count:,} images, {drawn:,} of them drawn. With under 200 NIH images (here are "
            f"{chosen.nih:,}) this cannot say whether the network is as published: one of real "
            "radiographs may fail on drawings."
        )
    seen = (
        "The network has seen none of them, nor of their patients."
        if chosen.unseen
        else "The network has seen some of them or of their patients: figures are optimistically "
        "biased."
    )
    return f"{count:,} of {chosen.nih:,} NIH images. {seen}"


def _text(summary: "Summary", verdict: str, holdout: "Holdout") -> str:
    from chexnet.evaluation.report.render import format_interval, format_value

    made = holdout.metadata.provenance
    means = summary.intervals.findings if summary.intervals else None
    lines = [f"Mean AUROC of the findings: {summary.findings} ({format_interval(means, 4)})."]
    if made.get("published") is not None:
        lines.append(
            f"Published: {made['published']} ({made.get('published_source') or 'no source'}; epoch "
            f"chosen on: {made.get('chosen_on') or 'not stated'})."
        )
    lines += ["", f"{'label':<22}{'AUROC':>8}  positives"]
    for name, auroc, positives in zip(
        summary.classes, summary.auroc, summary.positives, strict=True
    ):
        lines.append(f"{name:<22}{format_value(auroc, 4):>8}  {positives:,}")
    lines += ["", f"Verdict: {verdict}."]
    if verdict in ("lower than published", "no better than guessing"):
        lines.append(
            "Check class order, normalisation and polarity (bone bright) against its publisher's "
            "code. Other images explain it too (a selected sample), another crop or resizing."
        )
    return "\n".join([*lines, "Nothing in the file was changed; no figure here is to choose by."])


def _note(summary: "Summary", holdout: "Holdout", weights: Path) -> None:
    """Official test images may be among them: the record beside the weights counts it."""
    from chexnet.errors import ChexnetError
    from chexnet.evaluation.report.history import record_scoring

    try:
        record_scoring(holdout.facts, summary, weights.parent)
    except ChexnetError as error:  # weights may lie where nobody can write
        print(f"This scoring is not noted beside the weights: {error}")
