"""The Model tab: what the weights file says of itself."""

from html import escape
from typing import Any

from chexnet.inference.predictor import Predictor
from chexnet.labels import FINDINGS, LABELS, spoken

_TITLES = {
    "radiographs": "How well it did on real radiographs that it never saw",
    "phantoms": "How well it did on drawn phantoms that it never saw",
}
_SIDE = 100.0  # of a ROC curve, in its own units


def model_tab(predictor: Predictor) -> str:
    """What the network was trained on, its figures with intervals, and its ROC curves."""
    metadata = predictor.metadata
    shown = [
        (_TITLES[kind], figures)
        for kind, figures in metadata.validation.get("reported", {}).items()
        if kind in _TITLES
    ] or [("How well it did on its validation patients", metadata.validation.get("figures", {}))]
    cards = "".join(
        f'<section class="cx-card"><h2>{title}</h2>{_figures(figures)}</section>'
        for title, figures in shown
    )
    return (
        '<div class="cx-model"><div class="cx-cards">'
        f'<section class="cx-card"><h2>What it is</h2>{_facts(predictor)}</section>{cards}</div>'
        f'<section class="cx-card"><h2>ROC curves on its validation patients</h2>'
        '<p class="cx-small">Right answers among the ill (upwards) for false alarms among the '
        "others (rightwards). The dot is the threshold that the bars show.</p>"
        f"{_rocs(metadata.validation, predictor.classes)}</section></div>"
    )


def _facts(predictor: Predictor) -> str:
    origin, metadata = predictor.metadata.provenance, predictor.metadata
    data, config = origin.get("data", {}), origin.get("config", {})
    images = data.get("images", {})
    validated = metadata.validation.get("figures", {}).get("images", "n/a")
    source = {
        "phantoms": "drawn phantoms, not patients",
        "radiographs": "radiographs",
        "both": f"pictures: {data.get('drawn', {}).get('train')} drawn, the others real",
    }[metadata.trained_on]
    rows = {
        "Network": "DenseNet-121, one linear layer on top",
        "Trained on": f"{images.get('train', 'n/a')} {source}; {data.get('split', 'n/a')} split",
        "Validated on": f"{validated} images of other patients",
        "Labels": f"{data.get('table', 'n/a')}, version {data.get('label_version', 'n/a')}",
        "Split": "LEAKY: patients stand on both sides" if data.get("leaky") else "by patient",
        "Began with": origin.get("origin", "n/a"),
        "Best epoch": f"{origin.get('epoch', 'n/a')} of {config.get('epochs', 'n/a')}",
        "Recipe": config.get("recipe", "n/a"),
        "It sees": f"the central {metadata.preprocessing.crop} % of each side, at "
        f"{metadata.preprocessing.size} x {metadata.preprocessing.size} pixels",
        "Made": origin.get("date", "n/a"),
        "Computed by": predictor.engine,
        "Code": origin.get("code", "n/a"),
        "Trained with torch": origin.get("torch", "n/a"),
    }
    cells = "".join(
        f'<tr><th scope="row">{name}</th><td>{escape(str(value))}</td></tr>'
        for name, value in rows.items()
    )
    return f"<table><tbody>{cells}</tbody></table>"


def _figures(figures: dict[str, Any]) -> str:
    if not figures:
        return "<p>The weights file holds no figures.</p>"
    rows = ""
    for name in LABELS:
        one = figures["classes"].get(name)
        if one is None:
            continue
        rows += (
            f'<tr><th scope="row">{escape(spoken(name))}</th>'
            f'<td class="cx-num">{int(one["positives"])}</td>'
            f'<td class="cx-num">{number(one["auroc"])}</td>'
            f'<td class="cx-num">{interval(one["interval"])}</td></tr>'
        )
    mean = figures["mean_auroc"]["findings"]
    of = f"{int(mean['of'])} of {int(mean['all'])} findings"
    rows += (
        f'<tr><th scope="row"><strong>Mean of {of}</strong></th>'
        f'<td></td><td class="cx-num"><strong>{number(mean["value"])}</strong></td>'
        f'<td class="cx-num">{interval(mean["interval"])}</td></tr>'
    )
    of = f"{int(figures['images'])} images of {int(figures['patients'])} patients"
    return (
        f'<p class="cx-small">{of}. '
        "0.5 is guessing, 1 is perfect; n/a where there was no such case, or no other.</p>"
        '<table><thead><tr><th scope="col">Finding</th><th scope="col">Cases</th>'
        '<th scope="col">AUROC</th><th scope="col">95 % interval</th></tr></thead>'
        f"<tbody>{rows}</tbody></table>"
    )


def number(value: float | None) -> str:
    """Three digits, or `n/a`."""
    return "n/a" if value is None else f"{value:.3f}"


def interval(found: dict[str, Any] | None) -> str:
    """`0.812 to 0.901`, or `n/a` where there were too few cases for one."""
    if not found or found.get("low") is None:
        return "n/a"
    return f"{found['low']:.3f} to {found['high']:.3f}"


def _rocs(validation: dict[str, Any], classes: list[str]) -> str:
    curves = validation.get("operating_curve", {})
    thresholds = validation.get("thresholds", {})
    drawn = [
        _roc(name, curves[name], (thresholds.get(name) or {}).get("youden"))
        for name in classes
        if name in FINDINGS and curves.get(name)
    ]
    if not drawn:
        return "<p>The weights file holds no curves.</p>"
    return f'<div class="cx-rocs">{"".join(drawn)}</div>'


def _roc(name: str, curve: dict[str, list[float]], threshold: float | None) -> str:
    places = list(zip(curve["fpr"], curve["tpr"], strict=True))
    path = " ".join(f"{_SIDE * x:.1f},{_SIDE * (1 - y):.1f}" for x, y in places)
    dot, told = "", ""
    if threshold is not None:
        below = [i for i, value in enumerate(curve["threshold"]) if value >= threshold - 1e-9]
        x, y = places[below[-1] if below else 0]
        dot = f'<circle cx="{_SIDE * x:.1f}" cy="{_SIDE * (1 - y):.1f}" r="4" fill="#d9660f"/>'
        told = f"; at its threshold {100 * y:.0f} % right, {100 * x:.0f} % false alarms"
    label = escape(spoken(name))
    return (
        f'<figure><svg viewBox="-4 -4 108 108" role="img" aria-label="ROC curve of {label}{told}">'
        '<rect width="100" height="100" fill="none" stroke="currentColor" stroke-opacity=".25"/>'
        '<path d="M0 100L100 0" stroke="currentColor" stroke-opacity=".25" stroke-dasharray="3 3"/>'
        f'<polyline points="{path}" fill="none" stroke="#0f8a7e" stroke-width="2.5"/>{dot}</svg>'
        f"<figcaption>{label}</figcaption></figure>"
    )
