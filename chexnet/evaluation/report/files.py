"""The files of a report: report.html, model_card.md and the tables for a paper."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from chexnet.compute import pick_device, to_device
from chexnet.data.nih import BOXES
from chexnet.errors import DataError
from chexnet.evaluation.boxes import BoxedFinding
from chexnet.evaluation.holdout import Holdout
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.localization import holdout_boxes, maps_of
from chexnet.evaluation.report import tables
from chexnet.evaluation.report.cases import Pictures, wrong_places
from chexnet.evaluation.report.experts import expert_tables
from chexnet.evaluation.report.page import Report, model_card, report_html
from chexnet.evaluation.report.published import compared, published_tables
from chexnet.evaluation.report.render import Table, to_csv, to_latex
from chexnet.evaluation.scores import Figures
from chexnet.evaluation.scoring import Scored
from chexnet.evaluation.summary import Summary
from chexnet.files import plain, write_text

FOLDER = "tables"
TWINS = "localize-twins/twins.json"
"""Of `localize --twins`, beside the report's folder."""


@dataclass(frozen=True)
class ReportImages:
    """What a report shows beside figures; None where it is a CSV that is scored.

    Attributes:
        pictures: file name to what the network saw of it, uint8 (H, W).
        boxed: findings that somebody drew boxes round.
        maps: a heatmap of each.
    """

    pictures: Pictures | None = None
    boxed: Sequence[BoxedFinding] = ()
    maps: Sequence[np.ndarray] = ()


def report_images(
    holdout: Holdout, device: str, on_progress: Callable[[int, int], None]
) -> ReportImages:
    """The pictures of a part, and the heatmaps of its boxes where the data have a list of them."""
    if not (holdout.datamodule.folder.root / BOXES).is_file():
        return ReportImages(holdout.picture)
    try:
        boxed = holdout_boxes(holdout)
    except DataError:  # the list has boxes, none of them in this part
        return ReportImages(holdout.picture)
    size = holdout.metadata.preprocessing.size
    models = [to_device(holdout.model, pick_device(device), size)]
    [maps] = maps_of(holdout, models, boxed, on_progress=on_progress)
    return ReportImages(holdout.picture, boxed, maps)


def read_twins(path: Path, facts: ScoringInfo) -> Figures | None:
    """What `localize --twins` wrote; None where there is nothing, or of other weights."""
    if facts.weights is None or not path.is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    rows: Figures = stored["findings"]
    return rows if stored.get("weights") == plain(facts.weights) else None


def _caption(scored: Scored, summary: Summary) -> str:
    """What the figures are of, for the caption of a table that stands alone in a paper."""
    facts = scored.facts
    whose = facts.weights.file if facts.weights else facts.predictions
    kind = "drawn phantoms" if facts.all_drawn else "images"
    said = (
        f"{facts.part} part of {facts.table} (split: {facts.split}), {summary.images:,} {kind} of "
        f"{summary.patients:,} patients, scored with {whose}"
    )
    return ". ".join([said[:1].upper() + said[1:], *scored.stamps])


def paper_tables(content: Figures) -> list[Table]:
    """Every table with rows that stands in files of its own, but for those of published values.

    Args:
        content: what `metrics.json` holds.
    """
    points = tables.operating_points(content, "youden")
    made = [
        tables.findings(content),
        tables.overall(content),
        replace(points, rows=[row for row in points.rows if row[1] is not None]),
        tables.subgroups(content),
        *expert_tables(content.get("experts", {})),
        tables.mapping(content.get("facts", {}).get("label_mapping")),
    ]
    return [table for table in made if table.rows]


def write_report(report: Report, folder: Path, looks: ReportImages) -> str:
    """Write report.html, model_card.md and the tables for a paper into `folder`.

    Args:
        report: without `pictures` and `places`.
        folder: of the files.
        looks: see `report_images`.

    Returns:
        What was written, for the user. Everything is made before the first file is written.
    """
    content, facts = report.content, report.scored.facts
    places = None
    if looks.boxed and content["operating_points"]:
        places = wrong_places(
            looks.boxed,
            looks.maps,
            report.assessment.calibrated,
            report.thresholds,
            looks.pictures,
        )
    twins = read_twins(folder.parent / TWINS, facts)
    report = replace(report, pictures=looks.pictures, places=places, twins=twins)
    made = paper_tables(content)
    protocols = {} if facts.phantoms else content.get("protocols", {})
    if compared(protocols, facts.leaky):
        made += published_tables(protocols, facts.leaky)
    files = {"report.html": report_html(report), "model_card.md": model_card(report)}
    said = _caption(report.scored, report.assessment.summary)
    for table in made:
        name = f"{FOLDER}/{table.name}{f'.{report.stamp}' if report.stamp else ''}"
        files[f"{name}.csv"] = to_csv(table)
        files[f"{name}.tex"] = to_latex(table, scored=said, stamp=report.stamp)
    for name, text in files.items():
        write_text(folder / name, text)
    return f"report.html, model_card.md, {len(made)} tables as CSV and LaTeX in {FOLDER}"
