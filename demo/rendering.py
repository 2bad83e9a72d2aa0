"""The page's HTML, from templates."""

from functools import cache, partial
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from chexnet.evaluation.report.render import format_interval, format_value
from chexnet.evaluation.report.sentences import above_chance
from chexnet.files import WHOLE_LIST, installed
from chexnet.inference.predictor import BETTER_THAN_STARTER, Predictor
from chexnet.labels import FINDINGS, LABELS, NOTES, SIGNS, spoken
from chexnet.metadata import Metadata
from chexnet.overlay import COLORMAPS
from demo import security
from demo.answer import NOT_FOR_DIAGNOSIS
from demo.classroom.cases import Words
from demo.classroom.reading import LIMITS, SURE
from demo.examples import EXAMPLES, OPENING
from demo.page_files import PageFiles
from demo.refusals import POLICY

PUBLISHED = "make venv demo WEIGHTS=medmae-mae"
"""What opens the page on a published network; `venv` installs PyTorch where it is not yet."""
WITHOUT_TORCH = (
    "PyTorch is not installed. Other heatmap methods, .pth weights and published networks need it: "
    f"{WHOLE_LIST}"
)
STYLES = (
    *("base.css", "viewer/viewer.css", "reading/reading.css"),
    *("teaching/thresholds.css", "teaching/lessons.css"),
)
"""The page's styles, each after those that it builds on."""
TABS = (
    ("radiograph", "Radiograph"),
    ("reading", "Read it yourself"),
    ("thresholds", "Thresholds"),
    ("lessons", "Lessons"),
    ("model", "Model"),
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
        "value": format_value,
        "interval": partial(format_interval, between=" to "),
        "above_chance": above_chance,
    }
    return environment


def render(template: str, **values: Any) -> str:
    """A template of ours with its values."""
    text: str = _environment().get_template(template).render(**values)
    return text


def header(weights: str, metadata: Metadata) -> str:
    """Title, the line that stands on every view, and what the network was trained on."""
    data = metadata.provenance.get("data", {})
    real = 0
    if metadata.trained_on == "both":
        real = data["images"]["train"] - data["drawn"]["train"]
    figures = metadata.validation.get("reported", {}).get("radiographs")
    return render(
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


def index(
    predictor: Predictor,
    weights: str,
    words: Words,
    files: PageFiles,
    *,
    root_path: str = "",
    local: bool = False,
    scorm: bool = False,
) -> str:
    """The whole page before its scripts run; nothing of a visitor or of a case is in it.

    Args:
        predictor: the network.
        weights: the file's name as the page shows it.
        words: of the cases to read.
        files: scripts and styles.
        root_path: path under which a proxy serves the page; empty for none.
        local: the page is exported: the browser answers, not a server.
        scorm: for a learning platform, which keeps its files itself.
    """
    low, high = (f"{100 * limit:.0f}" for limit in LIMITS)
    chances = (f"under {low} %", f"{low} to {high} %", f"over {high} %")
    return render(
        "index.html.jinja",
        root_path=root_path,
        local=local,
        scorm=scorm,
        policy=POLICY,
        on_device=0 if local else round(sum(f.stat().st_size for f in files.large.values()) / 1e6),
        files=files.folder,
        styles=STYLES,
        modules=[name for name in files.names if name.endswith(".js") and _is_opened(name, local)],
        header=header(weights, predictor.metadata),
        model=model_tab(predictor, local=local),
        tabs=TABS,
        tables=COLORMAPS.read_text(encoding="utf-8"),
        most=security.MAX_UPLOAD,
        minutes=security.KEPT_SECONDS // 60,
        hours=security.READING_SECONDS // 3600,
        examples=EXAMPLES,
        opening=OPENING.name,
        more_methods=predictor.more_methods,
        findings=[
            {"name": n, "title": spoken(n), "note": NOTES[n], "sign": SIGNS[n]} for n in FINDINGS
        ],
        steps=list(zip(SURE, chances, strict=True)),
        words=words,
    )


def _is_opened(module: str, local: bool) -> bool:
    """Whether a page asks for a module as soon as it is opened."""
    folder, _, name = module.rpartition("/")
    if folder == "source":
        return name == "server.js" or (local and name.startswith(("local", "scorm")))
    return folder != "lecturer"


def model_tab(predictor: Predictor, *, local: bool = False) -> str:
    """What the network was trained on, its figures with intervals, and its ROC curves."""
    metadata = predictor.metadata
    reported = metadata.validation.get("reported", {})
    validation = metadata.validation
    return render(
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
        better=BETTER_THAN_STARTER if predictor.is_starter and not local else "",
        published=PUBLISHED,
        without_torch="" if local or installed("torch", "torchvision") else WITHOUT_TORCH,
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
    roc: dict[str, Any] = {
        "name": name,
        "path": " ".join(f"{_ROC_SIDE * x:.1f},{_ROC_SIDE * (1 - y):.1f}" for x, y in points),
        "at": None,
    }
    if threshold is not None:
        reached = [i for i, value in enumerate(curve["threshold"]) if value >= threshold - 1e-9]
        roc["at"] = points[reached[-1] if reached else 0]
    return roc
