"""What scripts.eval does with scores: figures, files, the record of test scorings."""

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.nih import BOXES, TABLES, read_folder
from chexnet.data.splits import LEAKY
from chexnet.distributed import pick_device
from chexnet.errors import ChexnetError, ConfigError, DataError
from chexnet.evaluation.assessment import Assessment, as_dict, assess
from chexnet.evaluation.comparison import compare
from chexnet.evaluation.holdout import Subject
from chexnet.evaluation.localization import Target, boxed_targets, maps_of
from chexnet.evaluation.predictions import relabelled, write_predictions
from chexnet.evaluation.report.cases import Pictures, wrong_places
from chexnet.evaluation.report.history import note_scoring
from chexnet.evaluation.report.page import model_card, report_html
from chexnet.evaluation.report.plots import plot_auroc, plot_roc
from chexnet.evaluation.report.tables import (
    assessment_text,
    comparison_text,
    evaluation_text,
    facts_text,
)
from chexnet.evaluation.scoring import Scored, score_predictions
from chexnet.evaluation.summary import as_dict as figures
from chexnet.evaluation.summary import bounds, number, summarise
from chexnet.evaluation.thresholds import fit_on
from chexnet.files import write_text
from chexnet.labels import LABELS
from chexnet.metadata import surroundings


def score_file(
    data: Path, predictions: Path, validation: Path | None, part: str, options: Mapping[str, Any]
) -> Scored:
    """Score a CSV; thresholds come from another one, of validation images."""
    scored = score_predictions(data, predictions, part, **options)
    if not validation:
        return scored
    val = score_predictions(data, validation, "val", **options).scores
    shared = set(val.patients) & set(scored.scores.patients)
    if shared and part != "val":
        raise ConfigError(
            f"{len(shared):,} patients of {validation} stand in {predictions} as well. Thresholds "
            "are chosen on other patients than they are scored on."
        )
    source = f"{len(val.images):,} validation images ({validation.name})"
    return replace(scored, chosen=fit_on(val, source))


def compare_files(
    data: Path,
    files: tuple[Path, Path],
    part: str,
    place: Path,
    replicates: int,
    seed: int,
    options: Mapping[str, Any],
) -> None:
    """Compare two CSVs, print the table and write comparison.json."""
    first, second = (score_predictions(data, path, part, **options) for path in files)
    found = compare(first.scores, second.scores, replicates or 1000, seed)
    print(facts_text(first.facts))
    print(f"A: {files[0]}\nB: {files[1]}\n\n{comparison_text(found)}")
    content = {
        "a": files[0].name,
        "b": files[1].name,
        "facts": first.facts,
        "differences": {
            name: {
                "a": number(one.first),
                "b": number(one.second),
                "difference": number(one.value),
                "interval": bounds(one.interval),
                "p": number(one.p),
                "classes": one.of,
            }
            for name, one in found.items()
        },
        "made": surroundings(),
    }
    write_text(place / "comparison.json", json.dumps(content, indent=2))
    print(f"\nWritten to {place}: comparison.json")


def finish(
    scored: Scored,
    data: Path,
    place: Path,
    *,
    shares: Sequence[str],
    both_labels: bool,
    beside: Path | None,
    replicates: int,
    seed: int,
    report: "Callable[[], Looks] | None" = None,
) -> None:
    """Compute, show and write everything that is asked for.

    Args:
        scored: the scores.
        data: folder of the label tables.
        place: folder of the files.
        shares: what the user gave as prevalence.
        both_labels: report each of NIH's tables.
        beside: folder of the weights, None for a CSV.
        replicates: bootstrap draws.
        seed: of the draws.
        report: gives the pictures of a report; None where none is wanted.
    """
    stamp = LEAKY if scored.facts["leaky"] else ""
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
    content = {"stamp": stamp, **as_dict(found), "facts": scored.facts, "made": surroundings()}
    if both_labels:
        content["labels"] = _both(scored, data, replicates, seed)
    record = _record(scored, found, beside) if beside else []
    if record:
        print(
            f"\nScorings of test images noted beside these weights: {len(record)} "
            "(it can count only there)."
        )
        content["test_scorings"] = record
    stamped = f".{stamp}" if stamp else ""
    write_predictions(place / f"predictions{stamped}.csv", scored.scores)
    write_text(place / "metrics.json", json.dumps(content, indent=2))
    plot_auroc(found.summary, place / "auroc.png", stamp)
    plot_roc(scored.scores, found.summary, place / "roc.png", stamp)
    written = "predictions, metrics.json, auroc.png, roc.png"
    if report:
        _write_report(scored, found, place, record if beside else None, report())
        written += ", report.html, model_card.md"
    print(f"\nWritten to {place}: {written}")


@dataclass(frozen=True)
class Looks:
    """What a report shows beside figures; None where it is a CSV that is scored.

    Attributes:
        pictures: file name to what the network saw of it, uint8 (H, W).
        maps: the heatmaps of boxed findings, with their targets.
    """

    pictures: Pictures | None = None
    maps: tuple[list[Target], dict[tuple[str, str], np.ndarray]] | None = None


def looks_of(subject: Subject, device: str, on_progress: Callable[[int, int], None]) -> Looks:
    """The pictures of a part, and the heatmaps of its boxes where the data have a list of them."""
    if not (subject.study.folder.root / BOXES).is_file():
        return Looks(subject.picture)
    try:
        targets = boxed_targets(subject)
    except DataError:  # the list has boxes, none of them in this part
        return Looks(subject.picture)
    models = [subject.model.to(pick_device(device))]
    [maps] = maps_of(subject, models, targets, on_progress=on_progress)
    return Looks(subject.picture, (targets, maps))


def _write_report(
    scored: Scored,
    found: Assessment,
    place: Path,
    record: list[dict[str, str]] | None,
    looks: Looks,
) -> None:
    places = None
    if looks.maps and found.operating:
        targets, maps = looks.maps
        places = wrong_places(
            targets,
            lambda target: maps[target.image, target.label],
            found.calibrated,
            {name: point.threshold for name, point in found.operating["youden"].items()},
            looks.pictures,
        )
    about = {"notes": scored.notes, "made": surroundings(), "record": record}
    page = report_html(
        found, scored.scores, scored.facts, pictures=looks.pictures, places=places, **about
    )
    write_text(place / "report.html", page)
    write_text(place / "model_card.md", model_card(found, scored.facts, **about))


def _prevalence(shares: Sequence[str]) -> dict[str, float]:
    """`0.05` is for every class, `Mass=0.05` for one."""
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


def _both(scored: Scored, data: Path, replicates: int, seed: int) -> dict[str, Any]:
    """Each of NIH's two tables, on the same images and answers."""
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
        found[version] = figures(summary)
    return found


def _record(scored: Scored, found: Assessment, beside: Path) -> list[dict[str, str]]:
    facts = scored.facts
    if facts["part"] == "val":
        return []
    members = facts.get("ensemble", [facts["weights"]])
    made = surroundings()
    row = {
        "date": made["date"],
        "code": made["code"],
        "weights": " + ".join(one["file"] for one in members),
        "tta": facts["tta"],
        "table": facts["table"],
        "split": facts["split"],
        "part": facts["part"],
        "fingerprint": facts["fingerprints"].get(facts["part"], ""),
        "images": found.summary.images,
        "mean_auroc_findings": number(found.summary.findings.value),
        "leaky": facts["leaky"],
    }
    try:
        return note_scoring(beside, row)
    except ChexnetError as error:  # weights may lie where nobody can write
        print(f"\nThis scoring is not noted beside the weights: {error}")
        return []
