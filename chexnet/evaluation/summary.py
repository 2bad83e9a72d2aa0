"""The figures of one scoring, as data and as a table of text."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from chexnet.data.splits import LEAKY
from chexnet.evaluation.draws import Interval
from chexnet.evaluation.intervals import Intervals, bootstrap_auroc
from chexnet.evaluation.metrics import (
    Mean,
    Scores,
    auroc,
    average_precision,
    log_loss,
    mean_of,
)

NAME_WIDTH = 22
"""Width of the name column; the longest label has 18 letters."""


@dataclass(frozen=True)
class Summary:
    """Figures of one scoring; arrays have one value a class, NaN where there is none.

    Attributes:
        classes: label of each value.
        images: number of images.
        patients: number of patients.
        positives: positive images of each class.
        auroc: of each class.
        average_precision: of each class.
        findings: mean AUROC over the 14 findings; it chooses the best weights.
        rows: mean AUROC over all classes.
        loss: mean binary cross-entropy.
        intervals: 95 % intervals, or None where none were asked for.
        replicates: bootstrap draws behind the intervals.
    """

    classes: list[str]
    images: int
    patients: int
    positives: np.ndarray
    auroc: np.ndarray
    average_precision: np.ndarray
    findings: Mean
    rows: Mean
    loss: float
    intervals: Intervals | None = None
    replicates: int = 0


def summarise(scores: Scores, *, replicates: int = 0, seed: int = 0) -> Summary:
    """Compute the figures; with `replicates`, also their intervals by patient bootstrap."""
    values = auroc(scores.probabilities, scores.targets)
    return Summary(
        classes=scores.classes,
        images=len(scores.images),
        patients=len(set(scores.patients)),
        positives=scores.targets.sum(axis=0),
        auroc=values,
        average_precision=average_precision(scores.probabilities, scores.targets),
        findings=mean_of(values, scores.classes, findings_only=True),
        rows=mean_of(values, scores.classes, findings_only=False),
        loss=log_loss(scores.probabilities, scores.targets),
        intervals=bootstrap_auroc(scores, replicates, seed) if replicates else None,
        replicates=replicates,
    )


def facts_text(facts: Mapping[str, Any]) -> str:
    """What was scored or trained on, in a few sentences; see `Study.facts` and `Scored.facts`."""
    sentences = []
    if facts["leaky"]:
        sentences.append(f"{LEAKY}: trained and scored on the same patients; too good to be true.")
    if "images_present" in facts:
        left_out = facts["images_unreadable"]
        sentences.append(
            f"{facts['images_present']:,} of {facts['images_in_table']:,} images of "
            f"{facts['table']} (labels: {facts['label_version']}) are here"
            + (f", {left_out:,} of them left out as unreadable." if left_out else ".")
        )
    else:
        sentences.append(f"Labels: {facts['table']} ({facts['label_version']}).")
    counts = ", ".join(f"{part} {count:,}" for part, count in facts.get("images", {}).items())
    sentences.append(f"Split: {facts['split']}" + (f" ({counts})." if counts else "."))
    if "weights" in facts:
        weights = facts["weights"]
        sentences.append(
            f"Weights: {weights['file']}, {weights['epoch']} epochs on {weights['trained_on']} "
            f"({weights['train_fingerprint']}), begun from {weights['origin']}."
        )
    if "ensemble" in facts:
        names = ", ".join(one["file"] for one in facts["ensemble"])
        sentences.append(f"Probabilities averaged over {len(facts['ensemble'])} networks: {names}.")
    if facts.get("tta", "none") != "none":
        sentences.append("Averaged over each picture and its mirror image.")
    if "part" in facts:
        sentences.append(f"Scored: {facts['part']}.")
    return " ".join(sentences)


def validation_text(summary: Summary) -> str:
    """What training shows after each epoch: one row a class in alphabetical order, then means."""
    lines = ["Validation AUROC per class:"]
    for name, value in sorted(zip(summary.classes, summary.auroc, strict=True)):
        lines.append(f"{name:<{NAME_WIDTH}}: {_figure(value)}")
    lines.append(f"Mean AUROC: {summary.rows}")
    lines.append(f"Val Loss  : {summary.loss:.4f}")
    lines.append(f"Mean AUROC of the {summary.findings.all} findings: {summary.findings}")
    return "\n".join(lines)


def evaluation_text(summary: Summary, stamp: str = "") -> str:
    """The table that evaluation shows: positives, AUROC with interval and average precision."""
    intervals = summary.intervals
    lines = [f"{stamp} figures"] if stamp else []
    lines += [f"{'':<{NAME_WIDTH}}  {'n pos':>6}  {'AUROC':>6}  {'95 % interval':<15}  {'AP':>6}"]
    rows = zip(
        summary.classes, summary.positives, summary.auroc, summary.average_precision, strict=True
    )
    for name, positives, value, precision in sorted(rows):
        interval = _range(intervals.classes[name] if intervals else None)
        lines.append(
            f"{name:<{NAME_WIDTH}}  {positives:>6,}  {_figure(value):>6}  {interval:<15}  "
            f"{_figure(precision):>6}"
        )
    for label, mean, interval in (
        (f"Mean of the {summary.findings.all} findings", summary.findings, "findings"),
        ("Mean of all rows", summary.rows, "rows"),
    ):
        text = _range(getattr(intervals, interval) if intervals else None)
        note = str(mean).partition(" ")[2]
        lines.append(
            f"{label:<{NAME_WIDTH}}  {'':>6}  {_figure(mean.value):>6}  {text:<15}  {note}".rstrip()
        )
    lines.append(f"{'Loss':<{NAME_WIDTH}}  {'':>6}  {summary.loss:.4f}")
    lines.append(f"{summary.images:,} images of {summary.patients:,} patients.")
    if intervals:
        lines.append(_footnote(intervals, summary.replicates))
    return "\n".join(lines)


def as_dict(summary: Summary) -> dict[str, Any]:
    """The same figures for JSON and for the weights file; NaN becomes None."""
    intervals = summary.intervals
    per_class = {
        name: {
            "positives": int(summary.positives[i]),
            "auroc": number(summary.auroc[i]),
            "average_precision": number(summary.average_precision[i]),
        }
        | (
            {
                "interval": bounds(intervals.classes[name]),
                "average_precision_interval": bounds(intervals.average_precision[name]),
            }
            if intervals
            else {}
        )
        for i, name in enumerate(summary.classes)
    }
    means = {"findings": summary.findings, "rows": summary.rows}
    return {
        "images": summary.images,
        "patients": summary.patients,
        "classes": per_class,
        "mean_auroc": {
            key: asdict(mean)
            | {"value": number(mean.value)}
            | ({"interval": bounds(getattr(intervals, key))} if intervals else {})
            for key, mean in means.items()
        },
        "loss": summary.loss,
    }


def _footnote(intervals: Intervals, replicates: int) -> str:
    left_out = {name: one.left_out for name, one in intervals.classes.items() if one.left_out}
    text = f"Intervals: {replicates:,} bootstrap draws of patients"
    if left_out:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(left_out.items()))
        text += f"; draws without a positive or a negative, left out: {listed}"
    if intervals.findings.left_out:
        text += f"; {intervals.findings.left_out} draws average fewer findings"
    return text + "."


def _figure(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.4f}"


def number(value: float) -> float | None:
    """A plain number; None for NaN."""
    return None if np.isnan(value) else float(value)


def _range(interval: Interval | None) -> str:
    if interval is None or not interval.known:
        return "n/a"
    return f"{interval.low:.4f}-{interval.high:.4f}"


def bounds(interval: Interval) -> dict[str, Any]:
    """An interval as plain values."""
    return {
        "low": number(interval.low),
        "high": number(interval.high),
        "draws_left_out": interval.left_out,
    }
