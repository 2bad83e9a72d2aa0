"""Score heatmaps against boxes: python -m scripts.localize --data DIR --weights W."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli import (
    AllowLeak,
    Device,
    Labels,
    Out,
    Packs,
    Part,
    Replicates,
    Seed,
    Weights,
    new_app,
    progress_bar,
    run,
)

if TYPE_CHECKING:
    import numpy as np

    from chexnet.evaluation.boxes import BoxedFinding
    from chexnet.evaluation.experts import ExpertLabels
    from chexnet.evaluation.holdout import Holdout

app = new_app()


@app.command()
def localize(
    weights: Weights,
    data: Annotated[
        Path | None,
        typer.Option(help="Folder that holds images_001 ... and BBox_List_2017.csv."),
    ] = None,
    twins: Annotated[
        int,
        typer.Option(
            min=0, help="Instead of boxes: drawn patients, each without and with every finding."
        ),
    ] = 0,
    split: Annotated[
        Part, typer.Option(help="Part to score; all for data that the network never saw.")
    ] = Part.test,
    boxes: Annotated[
        str | None, typer.Option(help="Radiologists' boxes instead of NIH's list: rsna=FOLDER.")
    ] = None,
    method: Annotated[
        str, typer.Option(help="Heatmap method, as the demo names it; all with --twins.")
    ] = "Grad-CAM",
    overlays: Annotated[
        int, typer.Option(min=0, help="Pictures with boxes and heatmap, for each finding.")
    ] = 5,
    out: Out = Path("runs/default"),
    packs: Packs = Path("packs"),
    labels: Labels = "auto",
    seed: Seed = 0,
    replicates: Replicates = 1000,
    device: Device = "auto",
    allow_leak: AllowLeak = False,
    keep: Annotated[
        bool,
        typer.Option("--store", help="Also write these figures into --weights, for the demo."),
    ] = False,
) -> None:
    """Do heatmaps point where BBox_List_2017.csv says? Beside controls that know less.

    Peak in the box, IoU and IoBB of every finding, for all boxes and apart for those smaller than
    a cell of the map. Writes localization.json and overlays into --out/localize-<part>.

    With --twins N: does a heatmap show where a drawing was changed? Writes twins.json into
    --out/localize-twins.
    """
    if twins:
        _twins(twins, weights, method, out / "localize-twins", seed, replicates, device)
        return
    from chexnet.compute import pick_device, to_device
    from chexnet.data.formats import DataRequest
    from chexnet.data.nih import BOXES
    from chexnet.data.splits import LEAKY
    from chexnet.errors import ConfigError
    from chexnet.evaluation.boxes import ALL, score_maps, summarise_maps, trust_of
    from chexnet.evaluation.holdout import open_holdout
    from chexnet.evaluation.localization import holdout_boxes, maps_of
    from chexnet.evaluation.report.experts import experts_read
    from chexnet.evaluation.report.sentences import facts_text
    from chexnet.evaluation.report.terminal import localization_text
    from chexnet.files import plain, write_json
    from chexnet.metadata import surroundings
    from chexnet.model import build

    if data is None:
        raise ConfigError("Found neither --data nor --twins. Pass --data DIR, or --twins 50.")
    said = _experts(boxes, keep)
    holdout = open_holdout(
        DataRequest(data, labels=labels, packs=packs),
        weights,
        split.value,
        seen="stamp" if allow_leak else "refuse",
    )
    boxed = holdout_boxes(holdout, said.boxes if said else None)
    untrained = build(holdout.metadata.classes, "none", seed).model.eval()
    chosen, side = pick_device(device), holdout.metadata.preprocessing.size
    models = [to_device(model, chosen, side) for model in (holdout.model, untrained)]
    with progress_bar(f"Heatmaps of {split.value}") as on_progress:
        ours, theirs = maps_of(holdout, models, boxed, method, on_progress)
    tables = summarise_maps(score_maps(boxed, ours, theirs), replicates, seed)
    stamp = LEAKY if holdout.facts.leaky else ""
    print(facts_text(holdout.facts))
    if said:
        told = experts_read(said.about, len(said.answers))
        print(f"Boxes: {told} An image's boxes are scored together, as Pneumonia.")
    print(f"Heatmaps: {method}, {_cells(ours)} cells.\n")
    figures = plain(tables)
    print((f"{stamp} figures\n" if stamp else "") + localization_text(figures))
    folder = out / f"localize-{split.value}{f'-{said.key}' if said else ''}"
    path = folder / "localization.json"
    content = {
        "stamp": stamp,
        "method": method,
        "boxes_of": list(said.files) if said else [BOXES],
        "cells": _cells(ours),
        "boxes": figures,
        "facts": holdout.facts,
        "made": surroundings(),
    }
    write_json(path, content)
    drawn = _write_overlays(holdout, boxed, ours, path.parent / "overlays", overlays)
    print(f"\nWritten to {path.parent}: localization.json, {drawn} overlays")
    if keep:
        facts = holdout.facts
        source = f"{holdout.part} part of {facts.table}, {facts.split} split"
        _store(weights, holdout, trust_of(tables[ALL], source), method)


def _twins(
    number: int, weights: Path, method: str, out: Path, seed: int, replicates: int, device: str
) -> None:
    """Draw the twins, score the heatmaps, show and write the figures."""
    from chexnet.compute import pick_device, to_device
    from chexnet.evaluation.calibration import validation_choices
    from chexnet.evaluation.info import WeightsInfo
    from chexnet.evaluation.report.render import to_text
    from chexnet.evaluation.report.tables import twin_methods
    from chexnet.evaluation.report.tables import twins as table
    from chexnet.evaluation.twin_scores import (
        MAIN_SEVERITY,
        RANKED,
        ExplainedModel,
        score_twins,
        summarise_twins,
    )
    from chexnet.evaluation.twins import LEVELS, SEVERITIES
    from chexnet.explain import CLOSED_FORM, PACKAGE
    from chexnet.files import plain, write_json
    from chexnet.metadata import surroundings
    from chexnet.model import build, load_weights

    model, metadata = load_weights(weights)
    chosen, side = pick_device(device), metadata.preprocessing.size
    untrained = build(metadata.classes, "none", seed).model
    looked, control = (to_device(network.eval(), chosen, side) for network in (model, untrained))
    choices = validation_choices(metadata)
    calibrations = choices.calibrations if choices else {}
    first, others = (CLOSED_FORM, tuple(PACKAGE)) if method == "all" else (method, ())
    about = metadata.preprocessing, metadata.classes, calibrations
    subject = ExplainedModel(looked, control, *about, first, others)
    with progress_bar("Twins") as on_progress:
        scores = score_twins(subject, number, on_progress)
    rows = plain(summarise_twins(scores, replicates, seed))
    print(
        f"Heatmaps: {first}. {number} drawn patients, severity {MAIN_SEVERITY}; ranks of the first "
        f"{RANKED},\nover {len(SEVERITIES)} severities. Changed: by more than {LEVELS} of 255 grey "
        "levels.\n"
    )
    print(to_text(table(rows)))
    print(f"\n{to_text(twin_methods(rows))}")
    content = {"method": first, "findings": rows, "weights": WeightsInfo.of(weights.name, metadata)}
    write_json(out / "twins.json", content | {"made": surroundings()})
    print(f"\nWritten to {out}: twins.json")


def _experts(given: str | None, keep: bool) -> "ExpertLabels | None":
    """The radiologists whose boxes are asked for."""
    from chexnet.data.rsna import RSNA_SOURCE
    from chexnet.errors import ConfigError
    from chexnet.evaluation.experts import read_experts

    if not given:
        return None
    [said] = read_experts([given])
    if said.boxes is None or keep:
        raise ConfigError(
            f"--boxes: found {given!r}{' with --store' if keep else ''}, expected rsna=FOLDER "
            f"without --store, which keeps figures of NIH's own boxes. {RSNA_SOURCE}"
        )
    return said


def _write_overlays(
    holdout: "Holdout",
    boxed: "list[BoxedFinding]",
    maps: "list[np.ndarray]",
    folder: Path,
    each: int,
) -> int:
    """Box, heatmap and the map's peak (a ring) of the first targets of each finding."""
    from collections import Counter

    from PIL import Image

    from chexnet.evaluation.report.cases import draw_target
    from chexnet.files import replacing

    done: Counter[str] = Counter()
    for target, heat in zip(boxed, maps, strict=True):
        if done[target.label] >= each:
            continue
        done[target.label] += 1
        drawn = draw_target(holdout.picture(target.image), heat, target)
        with replacing(folder / f"{target.label}_{Path(target.image).stem}.png") as temporary:
            Image.fromarray(drawn).save(temporary, "PNG", compress_level=1)
    return sum(done.values())


def _store(weights: Path, holdout: "Holdout", trust: dict[str, Any], method: str) -> None:
    """Keep the figures, and the mean map of the validation images where they are here."""
    from dataclasses import replace

    from chexnet.errors import ConfigError
    from chexnet.evaluation.localization import mean_contributions
    from chexnet.explain import CLOSED_FORM
    from chexnet.model import update_metadata

    if method != CLOSED_FORM or holdout.facts.leaky:
        raise ConfigError(
            f"--store keeps figures of {CLOSED_FORM} on images that the network never saw; found "
            f"{method}{', leaky figures' if holdout.facts.leaky else ''}. Nothing was stored."
        )
    kind = "phantoms" if holdout.facts.phantoms else "radiographs"
    metadata = holdout.metadata
    means = metadata.mean_contributions
    if holdout.datamodule.facts.fingerprints.get("val") == metadata.data.fingerprints.get("val"):
        data = holdout.datamodule.data_set("val", metadata.classes)
        means = mean_contributions(holdout.model, metadata.preprocessing, data)
    else:  # the old means stay
        print("The validation images of these weights are not here; no mean map was measured.")
    stored = {**(metadata.trust or {}), kind: trust}
    update_metadata(weights, replace(metadata, trust=stored, mean_contributions=means))
    print(f"Stored in {weights}: how often its heatmaps point into a box ({kind}).")


def _cells(maps: "list[np.ndarray]") -> str:
    height, width = maps[0].shape
    return f"{height} x {width}"


if __name__ == "__main__":
    run(app)
