"""The files of a report: report.html, model_card.md and the tables for a paper."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from chexnet.data.nih import BOXES
from chexnet.data.splits import LEAKY
from chexnet.devices import to_device
from chexnet.distributed import pick_device
from chexnet.errors import DataError
from chexnet.evaluation.assessment import Assessment
from chexnet.evaluation.expert_figures import ExpertFigures
from chexnet.evaluation.holdout import Holdout
from chexnet.evaluation.localization import BoxedFinding, holdout_boxes, maps_of
from chexnet.evaluation.report.cases import (
    Pictures,
    wrong_places,
)
from chexnet.evaluation.report.checklists import filled
from chexnet.evaluation.report.page import model_card, report_html
from chexnet.evaluation.report.paper import paper_tables
from chexnet.evaluation.report.published import comparisons, with_reasons
from chexnet.evaluation.report.run_facts import Run, run_facts
from chexnet.evaluation.report.table_files import write_tables
from chexnet.evaluation.scoring import Scored
from chexnet.evaluation.truths import BothTables, ProtocolFigures
from chexnet.files import write_text
from chexnet.metadata import Metadata


@dataclass(frozen=True)
class ReportImages:
    """What a report shows beside figures; None where it is a CSV that is scored.

    Attributes:
        pictures: file name to what the network saw of it, uint8 (H, W).
        maps: the heatmaps of boxed findings, with their boxes.
    """

    pictures: Pictures | None = None
    maps: tuple[list[BoxedFinding], dict[tuple[str, str], np.ndarray]] | None = None


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
    return ReportImages(holdout.picture, (boxed, maps))


def _scored(scored: Scored, found: Assessment) -> str:
    """What the figures are of, for the caption of a table that stands alone in a paper."""
    facts, summary = scored.facts, found.summary
    whose = facts.weights.file if facts.weights else facts.predictions
    kind = "drawn phantoms" if facts.all_drawn else "images"
    said = (
        f"{facts.part} part of {facts.table} (split: {facts.split}), {summary.images:,} {kind} of "
        f"{summary.patients:,} patients, scored with {whose}"
    )
    return ". ".join([said[:1].upper() + said[1:], *scored.stamps])


def write_report(
    scored: Scored,
    found: Assessment,
    folder: Path,
    record: list[dict[str, str]] | None,
    looks: ReportImages,
    *,
    content: Mapping[str, Any],
    metadata: Metadata | None = None,
    experts: Sequence[ExpertFigures] = (),
    protocols: Sequence[ProtocolFigures] = (),
    both: BothTables | None = None,
) -> str:
    """Write report.html, model_card.md and the tables for a paper into `folder`.

    Args:
        scored: the scores and their facts.
        found: see `assess`.
        folder: of the files.
        record: see `report_html`.
        looks: see `report_images`.
        content: what `metrics.json` holds.
        metadata: of the network's weights file; None for a file of predictions.
        experts: see `report_html`.
        protocols: see `report_html`.
        both: see `report_html`.

    Returns:
        What was written, for the user. Everything is made before the first file is written.
    """
    places = None
    if looks.maps and found.operating:
        boxed, maps = looks.maps
        places = wrong_places(
            boxed,
            lambda target: maps[target.image, target.label],
            found.calibrated,
            {name: point.threshold for name, point in found.operating["youden"].items()},
            looks.pictures,
        )
    made, leaky = content["made"], scored.facts.leaky
    compared = [] if scored.facts.phantoms else comparisons(protocols, leaky)
    about = Run(
        assessment=found,
        facts=scored.facts,
        made=made,
        metadata=metadata,
        experts=experts,
        both=both,
        compared=bool(compared),
        boxes=places is not None,
    )
    checklists = filled(run_facts(about))
    page = report_html(
        found,
        scored.scores,
        scored.facts,
        notes=scored.notes,
        made=made,
        record=record,
        pictures=looks.pictures,
        places=places,
        experts=experts,
        protocols=protocols,
        both=both,
        checklists=checklists,
    )
    card = model_card(found, scored.facts, notes=scored.notes, made=made, record=record)
    apart = with_reasons(protocols, leaky) if compared else []
    tables = paper_tables(content, compared, apart, checklists)
    stamp = LEAKY if leaky else ""
    written = write_tables(tables, folder, scored=_scored(scored, found), stamp=stamp)
    write_text(folder / "report.html", page)
    write_text(folder / "model_card.md", card)
    return f"report.html, model_card.md, {written}"
