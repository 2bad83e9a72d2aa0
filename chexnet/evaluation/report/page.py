"""Pages of figures: the report of a scoring, with its model card.

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
from chexnet.evaluation.report import experts, published, sentences, tables
from chexnet.evaluation.report.cases import Pictures, confident_errors
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
from chexnet.evaluation.scores import Figures
from chexnet.evaluation.scoring import Scored
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
        pictures: gives an image's pixels for the thumbnails of confident errors; None for none.
        places: see `wrong_places`; None where there were no boxes or no maps.
        twins: rows of `summarise_twins` as plain values; None where nobody drew any.
    """

    scored: Scored
    assessment: Assessment
    content: Figures
    record: Sequence[Mapping[str, str]] | None = None
    pictures: Pictures | None = None
    places: Figures | None = None
    twins: Figures | None = None

    @property
    def stamp(self) -> str:
        """On top, on every caption and plot; empty where nothing leaks."""
        return LEAKY if self.scored.facts.leaky else ""

    @property
    def thresholds(self) -> dict[str, float]:
        """Label to the threshold of `RULE`, of classes that have one."""
        points = self.content["operating_points"].get(RULE, {})
        return {name: point["threshold"] for name, point in points.items()}


def report_html(report: Report) -> str:
    """Write the page; HTML, of some MB with pictures."""
    scores, assessment = report.scored.scores, report.assessment
    summary, stamp = assessment.summary, report.stamp
    calibrated = assessment.calibrated if report.content["chosen_on"] else None
    errors = confident_errors(assessment.calibrated, report.thresholds)
    template = environment(autoescape=True).get_template("report.html.jinja")
    return template.render(
        _said(report),
        plots={
            "auroc": _plot(plot_auroc, summary, stamp=stamp),
            "roc": _plot(plot_roc, scores, summary, stamp=stamp),
            "reliability": _plot(plot_reliability, scores, calibrated, stamp=stamp),
        },
        errors={name: errors[name] for name in tables.in_order(errors)},
        thumbnails=_thumbnails(errors, report.pictures) if report.pictures else {},
        places=report.places,
    )


def model_card(report: Report) -> str:
    """Write the model metadata as Markdown, in the order of Mitchell et al., FAccT 2019."""
    templates = environment(
        autoescape=False, finalize=lambda text: text if isinstance(text, Markup) else markdown(text)
    )
    return templates.get_template("model_card.md.jinja").render(_said(report))


def environment(**options: Any) -> Environment:
    """The templates, with what they may ask for."""
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        undefined=StrictUndefined,  # an unknown name is an error, never empty text
        trim_blocks=True,
        lstrip_blocks=True,
        **options,
    )
    templates.filters |= {
        "figure": format_value,
        "span": partial(format_interval, between="\u2013"),
        "spoken": spoken,
        "heads": heads,
        "grid": grid,
        "table": lambda table: Markup(to_markdown(table)),
        "jpeg": _jpeg,
    }
    templates.globals |= {
        "tables": tables,
        "published": published,
        "experts": experts,
        "say": sentences,
        "rules": RULES,
        "rule": RULE,
        "not_clinical": NOT_CLINICAL,
    }
    return templates


def _said(report: Report) -> dict[str, Any]:
    """What page and card are both given, beside `say` and `tables`."""
    content, scored, facts = report.content, report.scored, report.scored.facts
    summary, mapping = report.assessment.summary, facts.label_mapping
    drawn = sentences.about_intervals(content, summary.replicates) if summary.intervals else ""
    return {
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
        "twins": report.twins,
        "intervals": drawn,
    }


def _plot(draw: Callable[..., None], *about: Any, stamp: str) -> str:
    file = io.BytesIO()
    draw(*about, file, stamp)
    return _encoded("image/png", file)


def _thumbnails(errors: Mapping[str, Figures], pictures: Pictures) -> dict[str, str]:
    """Each image once, however many classes it is wrong in."""
    cases = (case for kinds in errors.values() for case in kinds["positives"] + kinds["negatives"])
    return {name: _jpeg(pictures(name), THUMBNAIL) for name in {case["image"] for case in cases}}


def _jpeg(pixels: np.ndarray, side: int | None = None) -> str:
    image, file = Image.fromarray(pixels), io.BytesIO()
    if side:
        image.thumbnail((side, side))
    image.save(file, "JPEG", quality=85)
    return _encoded("image/jpeg", file)


def _encoded(kind: str, file: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
