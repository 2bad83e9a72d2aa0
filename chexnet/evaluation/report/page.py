"""One page that says everything of a scoring, and the same in short as a model card.

The page is one HTML file: style and pictures stand in it, it runs no script and asks no host.
What it says stands in the templates beside this file; here the figures are put at their hand.
Every name from a user's file is escaped by the templates' engine, not by whoever writes a line.
"""

import base64
import io
import re
from collections.abc import Callable, Mapping, Sequence
from html import escape
from typing import Any

import numpy as np
from jinja2 import Environment
from PIL import Image

from chexnet.data.splits import LEAKY
from chexnet.evaluation.assessment import Assessment
from chexnet.evaluation.calibration import RULES
from chexnet.evaluation.expert_figures import ExpertFigures
from chexnet.evaluation.experts import TITLES
from chexnet.evaluation.info import STAMPS, ScoringInfo
from chexnet.evaluation.intervals import minimum_detectable
from chexnet.evaluation.operating import MEASURES
from chexnet.evaluation.report.cases import (
    Case,
    Pictures,
    WrongPlaces,
    confident_errors,
)
from chexnet.evaluation.report.checklists import Filled
from chexnet.evaluation.report.limits import limits
from chexnet.evaluation.report.plots import plot_auroc, plot_reliability, plot_roc
from chexnet.evaluation.report.published import comparisons, with_reasons
from chexnet.evaluation.report.tables import CLUSTERED, above_chance, facts_text
from chexnet.evaluation.report.templating import NOT_CLINICAL, environment
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.truths import BothTables, ProtocolFigures, tables_told
from chexnet.labels import FINDINGS, spoken

RULE = "youden"
"""The threshold that the page calls a class's own; the demo marks the same one."""
THUMBNAIL = 144  # pixels of the longer side


def report_html(
    assessment: Assessment,
    scores: Scores,
    facts: ScoringInfo,
    *,
    notes: Sequence[str] = (),
    made: Mapping[str, Any] | None = None,
    record: Sequence[Mapping[str, str]] | None = None,
    pictures: Pictures | None = None,
    places: WrongPlaces | None = None,
    experts: Sequence[ExpertFigures] = (),
    protocols: Sequence[ProtocolFigures] = (),
    both: BothTables | None = None,
    checklists: Sequence[Filled] = (),
) -> str:
    """Write the page.

    Args:
        assessment: see `assess`.
        scores: what was assessed, as the network gave it.
        facts: see `Scored.facts`.
        notes: see `Scored.notes`.
        made: see `surroundings`.
        record: see `read_record`; None where there are no weights to keep a record beside.
        pictures: gives an image's pixels for the thumbnails of confident errors; None for none.
        places: see `wrong_places`; None where there were no boxes or no maps.
        experts: see `score_experts`.
        protocols: see `protocol_figures`; published values stand beside these figures.
        both: see `both_tables`; None where figures by one table were asked for.
        checklists: see `checklists.filled`.

    Returns:
        HTML, of some MB with pictures.
    """
    stamp = LEAKY if facts.leaky else ""
    calibrated = assessment.calibrated if assessment.chosen else None
    plots = {
        "auroc": _plot(plot_auroc, assessment.summary, stamp=stamp),
        "roc": _plot(plot_roc, scores, assessment.summary, stamp=stamp),
        "reliability": _plot(plot_reliability, scores, calibrated, stamp=stamp),
    }
    errors = confident_errors(assessment.calibrated, _thresholds(assessment))
    return (
        _templates(autoescape=True)
        .get_template("report.html.jinja")
        .render(
            _said(assessment, facts, notes, made, record),
            plots=plots,
            errors=errors,
            thumbnails=_thumbnails(errors.values(), pictures) if pictures else {},
            places=places,
            experts=experts,
            expert_titles=TITLES,
            protocols=protocols,
            both=both,
            both_told=tables_told(both) if both else [],
            checklists=checklists,
            comparisons=comparisons(protocols, facts.leaky),
            tables=with_reasons(protocols, facts.leaky),
            place_pictures=[
                None if case.picture is None else _data_url(case.picture)
                for case in (places.cases if places else [])
            ],
        )
    )


def model_card(
    assessment: Assessment,
    facts: ScoringInfo,
    *,
    notes: Sequence[str] = (),
    made: Mapping[str, Any] | None = None,
    record: Sequence[Mapping[str, str]] | None = None,
) -> str:
    """Write the model metadata, in the order of Mitchell et al., FAccT 2019.

    Args:
        assessment: see `assess`.
        facts: see `Scored.facts`.
        notes: see `Scored.notes`.
        made: see `surroundings`.
        record: see `report_html`.

    Returns:
        Markdown.
    """
    templates = _templates(autoescape=False, finalize=_markdown)
    return templates.get_template("model_card.md.jinja").render(
        _said(assessment, facts, notes, made, record)
    )


def _said(
    assessment: Assessment,
    facts: ScoringInfo,
    notes: Sequence[str],
    made: Mapping[str, Any] | None,
    record: Sequence[Mapping[str, str]] | None,
) -> dict[str, Any]:
    """What both templates are given."""
    summary, names = assessment.summary, assessment.summary.classes
    intervals = summary.intervals.classes if summary.intervals else {}
    return {
        "not_clinical": NOT_CLINICAL,
        "stamp": LEAKY if facts.leaky else "",
        "assessment": assessment,
        "summary": summary,
        "facts": facts,
        "fingerprint": facts.fingerprint,
        **{key: getattr(facts, key) for key in ("part", "phantoms", "weights", "predictions")},
        "made": made,
        "told": facts_text(facts),
        "stamps": {
            name: STAMPS[name] for name in facts.stamps(calibrated=assessment.chosen is not None)
        },
        "answer": "probability" if assessment.chosen else "score",
        "rows": [
            *_flat({k: v for k, v in facts.as_dict().items() if k != "label_mapping"}),
            *_flat(made or {}, "made"),
        ],
        "notes": notes,
        "record": record,
        "order": sorted(range(len(names)), key=lambda i: (names[i] not in FINDINGS, names[i])),
        "left_out": [
            f"{spoken(name)} {intervals[name].left_out}"
            for name in sorted(intervals)
            if intervals[name].left_out
        ],
        "few": any(summary.clustered_interval_if_rare(name).known for name in names),
        "clustered": CLUSTERED,
        "pooled": [spoken(name) for name in sorted(names) if assessment.reliability[name].pooled],
        "limits": limits(assessment, facts),
        "rules": RULES,
        "rule": RULE,
        "measures": MEASURES,
    }


def _thresholds(assessment: Assessment) -> dict[str, float]:
    return {name: point.threshold for name, point in assessment.operating.get(RULE, {}).items()}


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


def _markdown(value: Any) -> str:
    """Text that stays text in Markdown, also within a table."""
    flat = " ".join(str(value).split())
    return escape(re.sub(r"([\\`*_\[\]|~#])", r"\\\1", flat), quote=False)


def _templates(**options: Any) -> Environment:
    found = environment(**options)
    found.globals |= {
        "minimum_detectable": minimum_detectable,
        "above_chance": above_chance,
    }
    return found


def _plot(draw: Callable[..., None], *about: Any, stamp: str) -> str:
    file = io.BytesIO()
    draw(*about, file, stamp)
    return _encoded("image/png", file)


def _thumbnails(errors: Any, pictures: Pictures) -> dict[str, str]:
    """Each image once, however many classes it is wrong in."""
    cases: list[Case] = [case for one in errors for case in (*one.positives, *one.negatives)]
    return {name: _data_url(pictures(name), THUMBNAIL) for name in sorted({c.image for c in cases})}


def _data_url(pixels: np.ndarray, side: int | None = None) -> str:
    image, file = Image.fromarray(pixels), io.BytesIO()
    if side:
        image.thumbnail((side, side))
    image.save(file, "JPEG", quality=85)
    return _encoded("image/jpeg", file)


def _encoded(kind: str, file: io.BytesIO) -> str:
    return f"data:{kind};base64,{base64.b64encode(file.getvalue()).decode('ascii')}"
