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
    from chexnet.networks.check import CheckedImages, Diagnosis

File = Annotated[
    Path, typer.Argument(metavar="W", help=WEIGHTS_HELP, callback=named_weights, show_default=False)
]
Batch = Annotated[int, typer.Option(min=1, help="Images at once.")]


def register(app: typer.Typer) -> None:
    """Add the commands of this module."""
    app.command("check")(check)
    app.command("calibrate")(calibrate)


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
    """Is it read rightly? Columns in another order, wrong normalisation, black for white.

    Scores the same images under the alternatives, the published figure beside it. A diagnosis: it
    changes nothing in the file, and no figure of it is one to choose a network by. Ends with code 1
    if something looks wrong. Needs 200 NIH images; fewer, or phantoms, cannot say.
    """
    import tempfile
    from contextlib import ExitStack

    from chexnet.devices import moved
    from chexnet.distributed import pick_device
    from chexnet.evaluation.holdout import open_holdout
    from chexnet.networks.check import choose_images, diagnose
    from chexnet.networks.variants import DECLARED, input_variants, score_variants

    with ExitStack() as stack:
        if data is None:
            from chexnet.phantom.dataset import draw_phantoms

            data = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "phantoms"
            with progress_bar("Drawing phantoms") as on_progress:
                draw_phantoms(data, patients=60, size=256, seed=seed, on_progress=on_progress)
        holdout = open_holdout(data, weights, "all", labels=labels, packs=packs, allow_leak=True)
        chosen = choose_images(holdout, images, seed)
        variants = input_variants(holdout.metadata.preprocessing)
        if not chosen.real:
            variants = {DECLARED: variants[DECLARED]}
        holdout = holdout.only(chosen.rows)
        with progress_bar("Scoring") as on_progress:
            scores = score_variants(
                moved(holdout.model, pick_device(device), holdout.metadata.preprocessing.size),
                holdout.data_set,
                variants,
                batch_size=batch_size,
                workers=max(workers, 0),
                on_progress=on_progress,
            )
        made = holdout.metadata.provenance
        published = made.get("published")
        found = diagnose(
            scores, published=published, real=chosen.real, replicates=replicates, seed=seed
        )
    print(_about_images(holdout, chosen))
    print(_text(found, holdout))
    if chosen.real:
        _note(found, holdout, weights)
    if found.verdict in ("something looks wrong", "no better than guessing"):
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
    from chexnet.networks.calibrate import calibrate_weights

    with progress_bar("Scoring val") as on_progress:
        found = calibrate_weights(
            weights,
            data,
            out,
            labels=labels,
            packs=packs,
            allow_seen=allow_seen,
            on_progress=on_progress,
            workers=workers,
            batch_size=batch_size,
            device=device,
        )
    print(
        f"Calibration and thresholds were chosen on {found.images:,} of {found.of:,} images of the "
        f"validation part ({found.split} split), of {found.patients:,} patients"
        + ("; the network has seen some of them, and the file says so." if found.seen else ".")
    )
    print(f"With numbers of their own: {', '.join(found.own) or 'no class'}.")
    if found.pooled:
        print(
            "Under 20 positives (one calibration for all of them, no threshold): "
            f"{', '.join(found.pooled)}."
        )
    print(f"Written: {out or weights}. Not for clinical use.")


def _about_images(holdout: "Holdout", chosen: "CheckedImages") -> str:
    count = len(chosen.rows)
    if not chosen.real:
        drawn = int(holdout.facts.drawn["all"]) if holdout.facts.drawn else 0
        return (
            f"{count:,} images, {drawn:,} of them drawn. With under 200 NIH images (here are "
            f"{chosen.nih:,}) this cannot say whether the network is read rightly: one of real "
            "radiographs may fail on drawings."
        )
    seen = (
        "The network has seen none of them, nor of their patients."
        if chosen.unseen
        else "The network has seen some of them or of their patients: figures are too hopeful."
    )
    return f"{count:,} of {chosen.nih:,} NIH images. {seen}"


def _text(found: "Diagnosis", holdout: "Holdout") -> str:
    from chexnet.evaluation.report.tables import format_interval, format_value

    made = holdout.metadata.provenance
    lines = [
        f"Mean AUROC of the findings: {found.summary.findings} "
        f"({format_interval(found.interval, 4)})."
    ]
    if found.published is not None:
        lines.append(
            f"Published: {found.published} ({made.get('published_source') or 'no source'}; epoch "
            f"chosen on: {made.get('chosen_on') or 'not stated'})."
        )
    if len(found.variants) > 1:
        lines += ["", f"{'input':<40}{'as declared':>12}{'reassigned':>12}  gain"]
        for one in found.variants:
            gain = "" if one.gain is None else f"{one.gain.value:+.4f} (p {one.gain.p:.2g})"
            lines.append(f"{one.name:<40}{one.mean:>12.4f}{one.matched:>12.4f}  {gain}".rstrip())
    if found.columns:
        lines += ["", f"{'label':<22}{'its own column':>15}  best column"]
        for label, (own, column, best) in found.columns.items():
            same = "the same" if column == label else f"{column} {format_value(best, 4)}"
            lines.append(f"{label:<22}{format_value(own, 4):>15}  {same}")
        lines.append(
            "Labels with fewer than 8 positives here are left out. Of few images another column "
            "may fit better by chance; the verdict allows for it."
        )
    lines += ["", f"Verdict: {found.verdict}.", *(f"- {problem}" for problem in found.problems)]
    if found.verdict == "lower than published":
        lines.append(
            "Nothing that is told apart here explains it. Other images do (a selected sample), "
            "another crop or resizing, or another network."
        )
    lines.append(
        "A diagnosis: nothing in the file was changed, and no figure here is one to choose by."
    )
    return "\n".join(lines)


def _note(found: "Diagnosis", holdout: "Holdout", weights: Path) -> None:
    """Official test images may be among them: the record beside the weights counts it."""
    from chexnet.errors import ChexnetError
    from chexnet.evaluation.report.history import record_network

    try:
        record_network(holdout.facts, found.summary, weights.parent)
    except ChexnetError as error:  # weights may lie where nobody can write
        print(f"This scoring is not noted beside the weights: {error}")
