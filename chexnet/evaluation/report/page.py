"""Pages of figures: the report of a scoring with its model card, and several networks side by side.

A page is one HTML file: style and pictures stand in it, it runs no script and asks no host. What it
says stands in the templates beside this file; here the tables and sentences are put at their hand.
Every name from a user's file is escaped by the templates' engine, not by whoever writes a line.
"""

import base64
import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup
from PIL import Image

from chexnet.data.splits import LEAKY
from chexnet.evaluation.assessment import Assessment
from chexnet.evaluation.calibration import RULES
from chexnet.evaluation.expert_figures import ExpertFigures
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.report import published, sentences, tables
from chexnet.evaluation.report.cases import Errors, Pictures, WrongPlaces, confident_errors
from chexnet.evaluation.report.plots import plot_auroc, plot_reliability, plot_roc
from chexnet.evaluation.report.render import (
    NOT_CLINICAL,
    format_interval,
    format_value,
    grid,
    heads,
    markdown,
    to_markdown,
)
from chexnet.evaluation.scoring import Scored
from chexnet.evaluation.truths import BothTables, tables_told
from chexnet.labels import spoken

RULE = "youden"
"""The threshold that the page calls a class's own; the demo marks the same one."""
THUMBNAIL = 144  # pixels of the longer side


@dataclass(frozen=True, kw_only=True)
class Report:
    """What a report is made of.

    Attributes:
        scored: the scores as the network gave them, and their facts.
        assessment: see `assess`.
        content: what `metrics.json` holds: every table comes from it.
        record: see `read_record`; None where there are no weights to keep a record beside.
        experts: see `score_experts`.
        both: see `both_tables`; None where figures by one table were asked for.
        pictures: gives an image's pixels for the thumbnails of confident errors; None for none.
        places: see `wrong_places`; None where there were no boxes or no maps.
        twins: rows of `summarise_twins` as plain values; None where nobody drew any.
    """

    scored: Scored
    assessment: Assessment
    content: Mapping[str, Any]
    record: Sequence[Mapping[str, str]] | None = None
    experts: Sequence[ExpertFigures] = ()
    both: BothTables | None = None
    pictures: Pictures | None = None
    places: WrongPlaces | None = None
    twins: Mapping[str, Any] | None = None

    @property
    def stamp(self) -> str:
        """On top, on every caption and plot; empty where nothing leaks."""
        return LEAKY if self.scored.facts.leaky else ""


def report_html(report: Report) -> str:
    """Write the page; HTML, of some MB with pictures."""
    content, scores, found = report.content, report.scored.scores, report.assessment
    stamp, places = report.stamp, report.places
    calibrated = found.calibrated if content["chosen_on"] else None
    points = content["operating_points"].get(RULE, {})
    thresholds = {name: point["threshold"] for name, point in points.items()}
    errors = confident_errors(found.calibrated, thresholds)
    template = _environment(autoescape=True).get_template("report.html.jinja")
    return template.render(
        _said(report),
        plots={
            "auroc": _plot(plot_auroc, found.summary, stamp=stamp),
            "roc": _plot(plot_roc, scores, found.summary, stamp=stamp),
            "reliability": _plot(plot_reliability, scores, calibrated, stamp=stamp),
        },
        rows=_rows(report),
        errors={name: errors[name] for name in tables.in_order(list(errors))},
        thumbnails=_thumbnails(errors, report.pictures) if report.pictures else {},
        places=places,
        place_pictures=[
            None if case.picture is None else _data_url(case.picture)
            for case in (places.cases if places else [])
        ],
        both=tables_told(report.both) if report.both else [],
        pooled=[spoken(name) for name, one in content["calibration"].items() if one["pooled"]],
    )


def model_card(report: Report) -> str:
    """Write the model metadata as Markdown, in the order of Mitchell et al., FAccT 2019."""
    environment = _environment(
        autoescape=False, finalize=lambda text: text if isinstance(text, Markup) else markdown(text)
    )
    return environment.get_template("model_card.md.jinja").render(_said(report))


def side_by_side_html(
    content: Mapping[str, Any], facts: Sequence[ScoringInfo], made: Mapping[str, Any]
) -> str:
    """A page of several networks on the images that none of them has seen.

    Args:
        content: a `SideBySide` as plain values.
        facts: of each network's scoring.
        made: see `surroundings`.
    """
    stamps = dict.fromkeys(stamp for one in content["networks"] for stamp in one["stamps"])
    template = _environment(autoescape=True).get_template("side_by_side.html.jinja")
    return template.render(
        content=content,
        made=made,
        stamp=LEAKY if LEAKY in stamps else "",
        stamps=list(stamps),
        facts=facts,
    )


def _environment(**options: Any) -> Environment:
    found = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,  # an unknown name is an error, never empty text
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    found.filters |= {
        "figure": format_value,
        "span": partial(format_interval, between="\u2013"),
        "spoken": spoken,
        "heads": heads,
        "grid": grid,
        "table": lambda table: Markup(to_markdown(table)),
    }
    found.globals |= {
        "tables": tables,
        "published": published,
        "say": sentences,
        "rules": RULES,
        "rule": RULE,
        "not_clinical": NOT_CLINICAL,
    }
    return found


def _said(report: Report) -> dict[str, Any]:
    """What page and card are both given, beside `say` and `tables`."""
    content, scored, facts = report.content, report.scored, report.scored.facts
    summary, mapping = report.assessment.summary, facts.label_mapping
    drawn = sentences.about_intervals(content, summary.replicates) if summary.intervals else ""
    return {
        "report": report,
        "stamp": report.stamp,
        "stamps": scored.stamps,
        "external": (mapping["title"] if mapping else "NIH") if facts.external else "",
        "content": content,
        "facts": facts,
        "made": content.get("made"),
        "chosen": content["chosen_on"],
        "images": f"{content['images']:,}",
        "patients": f"{content['patients']:,}",
        "notes": scored.notes,
        "record": report.record,
        "intervals": drawn,
    }


def _rows(report: Report) -> list[tuple[str, str]]:
    """Everything that is known of data, network and run."""
    content, facts = report.content, report.scored.facts
    rows = [("images", f"{content['images']:,}"), ("patients", f"{content['patients']:,}")]
    if facts.fingerprint:
        rows.append((f"fingerprint of the {facts.part} part", facts.fingerprint))
    about = {key: one for key, one in content["facts"].items() if key != "label_mapping"}
    return [*rows, *_flat(about), *_flat(content.get("made", {}), "made")]


def _flat(facts: Mapping[str, Any], *above: str) -> list[tuple[str, str]]:
    """Facts within facts as rows of name and value, for example (`weights: origin`, `imagenet`)."""
    rows = []
    for key, value in facts.items():
        path = (*above, key.replace("_", " "))
        if isinstance(value, Mapping):
            rows += _flat(value, *path)
        else:
            rows.append((": ".join(path), _plain(value)))
    return rows


def _plain(value: Any) -> str:
    if value is None:
        return "none"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, (list, tuple)):
        return ", ".join(map(_plain, value))
    return str(value)


def _plot(draw: Callable[..., None], *about: Any, stamp: str) -> str:
    file = io.BytesIO()
    draw(*about, file, stamp)
    return _encoded("image/png", file)


def _thumbnails(errors: Mapping[str, Errors], pictures: Pictures) -> dict[str, str]:
    """Each image once, however many classes it is wrong in."""
    cases = (case for one in errors.values() for case in (*one.positives, *one.negatives))
    names = sorted({case.image for case in cases})
    return {name: _data_url(pictures(name), THUMBNAIL) for name in names}


def _data_url(pixels: np.ndarray, side: int | None = None) -> str:
    image, file = Image.fromarray(pixels), io.BytesIO()
    if side:
        image.thumbnail((side, side))
    image.save(file, "JPEG", quality=85)
    return _encoded("image/jpeg", file)


def _encoded(kind: str, file: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
