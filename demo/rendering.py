"""The page's HTML, from templates."""

from functools import cache
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chexnet.evaluation.report.sentences import above_chance
from chexnet.files import WHOLE_LIST, installed
from chexnet.inference.predictor import BETTER_THAN_STARTER, Predictor
from chexnet.labels import FINDINGS, LABELS, spoken
from chexnet.metadata import Metadata
from chexnet.overlay import COLORMAPS
from demo import security
from demo.answer import NOT_FOR_DIAGNOSIS
from demo.examples import EXAMPLES, thumbnails
from demo.pictures import data_url, png

PUBLISHED = "make venv demo WEIGHTS=medmae-mae"
"""What opens the page on a published network; `venv` installs PyTorch where it is not yet."""
WITHOUT_TORCH = (
    "PyTorch is not installed. Other heatmap methods, .pth weights and published networks need it: "
    f"{WHOLE_LIST}"
)
_FOLDER = Path(__file__).parent
_ROC_SIDE = 100.0  # of a ROC curve, in its own units


@cache
def _environment() -> Environment:
    environment = Environment(
        loader=FileSystemLoader(_FOLDER / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "spoken": spoken,
        "value": _value_text,
        "interval": _interval_text,
        "above_chance": above_chance,
    }
    return environment


def _render(template: str, **values: Any) -> str:
    return _environment().get_template(template).render(**values)


def header(weights: str, metadata: Metadata) -> str:
    """Title, the line that stands on every view, and what the network was trained on."""
    data = metadata.provenance.get("data", {})
    real = 0
    if metadata.trained_on == "both":
        real = data["images"]["train"] - data["drawn"]["train"]
    figures = metadata.validation.get("reported", {}).get("radiographs")
    return _render(
        "header.html.jinja",
        notice=NOT_FOR_DIAGNOSIS,
        trained_on=metadata.trained_on,
        real=real,
        foreign=metadata.provenance if metadata.from_elsewhere else None,
        calibrated="calibration" in metadata.validation,
        publishers="publisher_thresholds" in metadata.validation
        and "thresholds" not in metadata.validation,
        figures=figures,
        above=above_chance(figures) if figures else "",
        weights=weights,
    )


def shell() -> str:
    """The viewer's fixed part."""
    return _render("shell.html.jinja", tables=COLORMAPS.read_text(encoding="utf-8"))


def start() -> str:
    """The place to upload to, and a strip of drawn radiographs to try."""
    return _render(
        "start.html.jinja",
        most=security.MAX_UPLOAD,
        examples=[(example, data_url(png(pixels))) for example, pixels in thumbnails()],
    )


def reading(findings: list[dict[str, str]], steps: list[tuple[str, str]], words: Any) -> str:
    """The fixed part of the tab "Read it yourself"; nothing of a case is in it."""
    return _render(
        "reading.html.jinja",
        findings=findings,
        steps=steps,
        words=words,
        tables=COLORMAPS.read_text(encoding="utf-8"),
        hours=security.READING_SECONDS // 3600,
    )


def lecturer(user: str) -> str:
    """The lecturer's panel, before its script has asked for anything."""
    style, script = (
        (_FOLDER / "static" / f"lecturer.{kind}").read_text(encoding="utf-8")
        for kind in ("css", "js")
    )
    return _render("lecturer.html.jinja", user=user, style=style, script=script)


def thresholds_tab() -> str:
    """The fixed part of the tab "Thresholds"."""
    return _render("thresholds.html.jinja")


def lessons_tab(more_methods: str) -> str:
    """The fixed part of the tab "Lessons": its text; see `Predictor.more_methods`."""
    return _render(
        "lessons.html.jinja",
        examples=EXAMPLES,
        tables=COLORMAPS.read_text(encoding="utf-8"),
        more_methods=more_methods,
    )


def privacy() -> str:
    """What is kept of a visitor, in a sentence or two."""
    return _render("privacy.html.jinja", minutes=security.KEPT_SECONDS // 60)


def model_tab(predictor: Predictor) -> str:
    """What the network was trained on, its figures with intervals, and its ROC curves."""
    metadata = predictor.metadata
    reported = metadata.validation.get("reported", {})
    validation = metadata.validation
    return _render(
        "model.html.jinja",
        predictor=predictor,
        metadata=metadata,
        origin=metadata.provenance,
        data=metadata.provenance.get("data", {}),
        config=metadata.provenance.get("config", {}),
        reported={kind: reported[kind] for kind in ("radiographs", "phantoms") if kind in reported},
        validation=validation,
        labels=LABELS,
        curves=[
            _roc(name, validation["operating_curve"][name], _own_threshold(validation, name))
            for name in predictor.classes
            if name in FINDINGS and validation.get("operating_curve", {}).get(name)
        ],
        side=_ROC_SIDE,
        better=BETTER_THAN_STARTER if predictor.is_starter else "",
        published=PUBLISHED,
        without_torch="" if installed("torch", "torchvision") else WITHOUT_TORCH,
    )


def _own_threshold(validation: dict[str, Any], name: str) -> float | None:
    """The threshold, where the images that the curve is of chose it.

    A threshold of other images beside this curve would mark a point that nobody has measured.
    """
    if validation.get("thresholds_source"):
        return None
    return (validation.get("thresholds", {}).get(name) or {}).get("youden")


def _roc(name: str, curve: dict[str, list[float]], threshold: float | None) -> dict[str, Any]:
    points = list(zip(curve["fpr"], curve["tpr"], strict=True))
    found: dict[str, Any] = {
        "name": name,
        "path": " ".join(f"{_ROC_SIDE * x:.1f},{_ROC_SIDE * (1 - y):.1f}" for x, y in points),
        "at": None,
    }
    if threshold is not None:
        reached = [i for i, value in enumerate(curve["threshold"]) if value >= threshold - 1e-9]
        found["at"] = points[reached[-1] if reached else 0]
    return found


def _value_text(value: float | None) -> str:
    """Three digits, or `n/a`."""
    return "n/a" if value is None else f"{value:.3f}"


def _interval_text(found: dict[str, Any] | None) -> str:
    """`0.812 to 0.901`, or `n/a` where there were too few cases for one."""
    if not found or found.get("low") is None:
        return "n/a"
    return f"{found['low']:.3f} to {found['high']:.3f}"
