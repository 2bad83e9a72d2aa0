"""Figures as text: how a number and an interval look, and the tables that the commands show."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from chexnet.data.splits import LEAKY
from chexnet.evaluation.calibration import RULES
from chexnet.evaluation.info import STAMPS, ScoringInfo
from chexnet.evaluation.intervals import Interval, Intervals, minimum_detectable, read_interval
from chexnet.evaluation.operating import MEASURES
from chexnet.labels import FINDINGS, spoken
from chexnet.metadata import DataFacts

if TYPE_CHECKING:  # they import torch and pandas, which a page that only formats does without
    from chexnet.evaluation.assessment import Assessment
    from chexnet.evaluation.compare import Difference
    from chexnet.evaluation.localization_summary import BoxFigures
    from chexnet.evaluation.summary import Summary
    from chexnet.evaluation.truths import BothTables

NAME_WIDTH = 22
"""Width of the name column; the longest label has 18 letters."""
NAME_WIDTH_BOXES = 24


def format_value(value: float | None, digits: int = 3, *, signed: bool = False) -> str:
    """A figure with so many digits after the point, `n/a` for None and NaN."""
    if value is None or np.isnan(value):
        return "n/a"
    return f"{value:{'+' if signed else ''}.{digits}f}"


def format_interval(
    interval: Interval | Mapping[str, Any] | Sequence[float] | None,
    digits: int = 3,
    *,
    between: str = "-",
    signed: bool = False,
) -> str:
    """An interval, for example `0.812-0.901`, or `n/a` where there is none.

    Args:
        interval: as computed, or as it stands in a JSON file, see `read_interval`.
        digits: after the point.
        between: what stands between the ends.
        signed: show the sign of both.
    """
    found = read_interval(interval)
    if not found.known:
        return "n/a"
    return between.join(format_value(end, digits, signed=signed) for end in (found.low, found.high))


# The commands' tables show four digits, pages and cards three.
_value = partial(format_value, digits=4)
_interval = partial(format_interval, digits=4)


def facts_text(facts: ScoringInfo | DataFacts | Mapping[str, Any]) -> str:
    """What was scored or trained on, in a few sentences; of `Scored` or of `DataModule`."""
    about = facts if isinstance(facts, ScoringInfo) else ScoringInfo.of_data(facts)
    sentences = []
    if about.leaky:
        sentences.append(f"{LEAKY}: trained and scored on the same patients; too good to be true.")
    if about.images_present is not None:
        left_out = about.images_unreadable
        sentences.append(
            f"{about.images_present:,} of {about.images_in_table:,} images of "
            f"{about.table} (labels: {about.label_version}) are here"
            + (f", {left_out:,} of them left out as unreadable." if left_out else ".")
        )
    else:
        sentences.append(f"Labels: {about.table} ({about.label_version}).")
    if about.copy:
        sentences.append(f"Pictures: {about.copy}; its figures are not figures on NIH's originals.")
    counts = ", ".join(f"{part} {count:,}" for part, count in (about.images or {}).items())
    sentences.append(f"Split: {about.split}" + (f" ({counts})." if counts else "."))
    if about.weights and about.weights.imported:
        weights = about.weights
        sentences.append(
            f"Weights: {weights.file}, from elsewhere ({weights.origin}); trained on: "
            f"{weights.trained_on}."
        )
    elif about.weights:
        weights = about.weights
        sentences.append(
            f"Weights: {weights.file}, {weights.epoch} epochs on {weights.trained_on} "
            f"({weights.train_fingerprint}), begun from {weights.origin}."
        )
    if about.ensemble:
        names = ", ".join(one.file for one in about.ensemble)
        sentences.append(f"Probabilities averaged over {len(about.ensemble)} networks: {names}.")
    if about.tta == "flip":
        sentences.append("Averaged over each picture and its mirror image.")
    if about.part:
        sentences.append(f"Scored: {about.part}.")
    if about.clean_of is not None:
        sentences.append(
            f"The clean rest of it: {(about.images or {}).get(about.part, 0):,} of "
            f"{about.clean_of:,} images, of which neither image nor patient was seen."
        )
    return " ".join(sentences)


def stamps_text(stamps: Sequence[str]) -> str:
    """What the figures must not be shown without, see `STAMPS`; one line each."""
    return "\n".join(f"[{stamp}] {STAMPS[stamp]}" for stamp in stamps)


def validation_text(summary: "Summary") -> str:
    """What training shows after each epoch: one row a class in alphabetical order, then means."""
    lines = ["Validation AUROC per class:"]
    for name, value in sorted(zip(summary.classes, summary.auroc, strict=True)):
        lines.append(f"{name:<{NAME_WIDTH}}: {_value(value)}")
    lines.append(f"Mean AUROC: {summary.all_classes}")
    lines.append(f"Val Loss  : {summary.loss:.4f}")
    lines.append(f"Mean AUROC of the {summary.findings.n_classes} findings: {summary.findings}")
    return "\n".join(lines)


def evaluation_text(summary: "Summary", stamp: str = "") -> str:
    """The table that evaluation shows: positives, AUROC with interval and average precision."""
    intervals = summary.intervals
    lines = [f"{stamp} figures"] if stamp else []
    among = not summary.all_labelled
    lines += [
        f"{'':<{NAME_WIDTH}}  {'n pos':>6}  {'AUROC':>6}  {'95 % interval':<15}  {'AP':>6}"
        + "  labelled" * among
    ]
    rows = zip(
        summary.classes,
        summary.positives,
        summary.auroc,
        summary.average_precision,
        summary.labelled,
        strict=True,
    )
    for name, positives, value, precision, labelled in sorted(rows):
        shown = _interval(intervals.classes[name] if intervals else None)
        count = f"{positives:,}" if labelled else "n/a"
        rare = summary.clustered_interval_if_rare(name)
        lines.append(
            f"{name:<{NAME_WIDTH}}  {count:>6}  {_value(value):>6}  {shown:<15}  "
            f"{_value(precision):>6}"
            + f"  {labelled:>8,}" * among
            + (f"  clustered {_interval(rare)}" if rare.known else "")
        )
    for label, mean, interval in (
        (
            f"Mean of the {summary.findings.n_classes} findings",
            summary.findings,
            intervals.findings if intervals else None,
        ),
        ("Mean of all rows", summary.all_classes, intervals.all_classes if intervals else None),
    ):
        shown = _interval(interval)
        note = str(mean).partition(" ")[2]
        lines.append(
            f"{label:<{NAME_WIDTH}}  {'':>6}  {_value(mean.value):>6}  {shown:<15}  {note}".rstrip()
        )
    lines.append(f"{'Loss':<{NAME_WIDTH}}  {'':>6}  {_value(summary.loss)}")
    lines.append(f"{summary.images:,} images of {summary.patients:,} patients.")
    if intervals:
        lines += [_footnote(intervals, summary.replicates), above_chance(summary)]
        if any(summary.clustered_interval_if_rare(name).known for name in summary.classes):
            lines.append(CLUSTERED)
    return "\n".join(lines)


CLUSTERED = (
    "Clustered: Obuchowski's interval by patient, for findings with under ten positive patients, "
    "where the bootstrap's is too narrow; read this one."
)


def above_chance(figures: "Summary | Mapping[str, Any]") -> str:
    """Which findings are better than chance, in a sentence that holds for all of them at once.

    Args:
        figures: of one scoring, computed or as `summary.as_dict` stored them.

    Returns:
        Empty for stored figures of before there was such a test.
    """
    if isinstance(figures, Mapping):
        stored = figures["classes"]
        if not any("p_of_chance_holm" in one for one in stored.values()):
            return ""
        scored = list(stored)
        adjusted = {name: one.get("p_of_chance_holm") for name, one in stored.items()}
        values = {name: one["auroc"] for name, one in stored.items()}
        adjusted = {name: p for name, p in adjusted.items() if p is not None}
    else:
        scored, adjusted = figures.classes, figures.p_of_chance
        values = dict(zip(figures.classes, figures.auroc, strict=True))
    if not adjusted:
        return "Above 0.5: no finding has five positive and five negative patients to tell by."
    found = [name for name in adjusted if adjusted[name] < 0.05 and values[name] > 0.5]
    groups = {
        f"Above 0.5 at 5 %, corrected for {len(adjusted)} findings at once (Holm; p by clustered "
        "variance)": found or ["none"],
        "Not shown for": [name for name in adjusted if name not in found],
        "Under five patients with or without it, so not tested": [
            name for name in scored if name in FINDINGS and name not in adjusted
        ],
    }
    return " ".join(
        f"{what}: {', '.join(sorted(map(spoken, names)))}."
        for what, names in groups.items()
        if names
    )


def differing(found: "Mapping[str, Difference]") -> str:
    """Which findings two networks differ in, in a sentence that holds for all at once."""
    from chexnet.evaluation.compare import findings_that_differ

    tested = [name for name, one in found.items() if name in FINDINGS and one.interval.known]
    names = ", ".join(map(spoken, sorted(findings_that_differ(found)))) or "none"
    return f"Differ at 5 %, corrected for {len(tested)} findings at once (Holm): {names}."


def _footnote(intervals: Intervals, replicates: int) -> str:
    left_out = {name: one.left_out for name, one in intervals.classes.items() if one.left_out}
    text = f"Intervals: {replicates:,} bootstrap draws of patients"
    if left_out:
        listed = ", ".join(f"{name} {count}" for name, count in sorted(left_out.items()))
        text += f"; draws without a positive or a negative, left out: {listed}"
    if intervals.findings.left_out:
        text += f"; {intervals.findings.left_out} draws average fewer findings"
    return text + "."


def assessment_text(found: "Assessment", stamp: str = "") -> str:
    """AUROC, calibration, operating points at Youden's threshold, and subgroups."""
    parts = [evaluation_text(found.summary, stamp), _calibration(found)]
    if found.operating:
        parts.append(_operating(found))
    parts.append(_subgroups(found))
    return "\n\n".join(part for part in parts if part)


def both_text(found: "BothTables") -> str:
    """What differs between NIH's two tables, and the figures by each of them."""
    from chexnet.evaluation.truths import tables_told

    parts = ["\n".join(tables_told(found))]
    for version, summary in found.summaries.items():
        parts.append(f"{found.files[version]}:\n{evaluation_text(summary)}")
    return "\n\n".join(parts)


def comparison_text(found: "dict[str, Difference]") -> str:
    """One row a class, the mean last."""
    lines = [
        f"{'A less B':<{NAME_WIDTH}}  {'A':>6}  {'B':>6}  {'A-B':>7}  {'95 % interval':<17}  "
        f"{'p':<5}  could show"
    ]
    for name, one in found.items():
        first, second = (_value(value) for value in (one.first, one.second))
        value = _value(one.value, signed=True)
        interval = _interval(one.interval, between=" ", signed=True)
        lines.append(
            f"{name:<{NAME_WIDTH}}  {first:>6}  {second:>6}  {value:>7}  {interval:<17}  "
            f"{format_value(one.p):<5}  {_value(minimum_detectable(one.interval))}"
        )
    lines += [
        "Both scored under the same draws of patients; p two-sided, of each row by itself. Could "
        "show: the smallest true difference that such images show in four trials of five (80 % "
        "power).",
        differing(found),
    ]
    return "\n".join(lines)


def _calibration(found: "Assessment") -> str:
    if not found.chosen:
        return (
            "Calibration and thresholds: none. They are chosen on validation images, and here are "
            "none; for a CSV, --validation names the CSV of its validation images; for a network "
            "from elsewhere, python -m scripts.weights calibrate."
        )
    lines = [
        f"Calibration, chosen on {found.chosen.source}:",
        f"{'':<{NAME_WIDTH}}  {'ECE before':>10}  {'after':>7}  {'Brier before':>12}  {'after':>7}",
    ]
    for name, one in sorted(found.reliability.items()):
        note = "  pooled: under 20 positives there" if one.pooled else ""
        lines.append(
            f"{name:<{NAME_WIDTH}}  {_value(one.error[0]):>10}  {_value(one.error[1]):>7}  "
            f"{_value(one.brier[0]):>12}  {_value(one.brier[1]):>7}{note}"
        )
    return "\n".join(lines)


def _operating(found: "Assessment", rule: str = "youden") -> str:
    points = found.operating[rule]
    given = sorted(found.prevalence.items())
    lines = [
        f"At the threshold of {RULES[rule]} on validation (95 % intervals in metrics.json):",
        f"{'':<{NAME_WIDTH}}  {'threshold':>9}  " + "  ".join(f"{m:>11}" for m in MEASURES),
    ]
    for name, point in sorted(points.items()):
        values = "  ".join(f"{_value(point.values[m]):>11}" for m in MEASURES)
        lines.append(f"{name:<{NAME_WIDTH}}  {point.threshold:>9.4f}  {values}")
    without = sorted(set(found.reliability) - set(points))
    if without:
        lines.append(f"No threshold (under 20 positives on validation): {', '.join(without)}.")
    if given:
        shares = ", ".join(f"{name} {share:g}" for name, share in given)
        lines.append(f"PPV and NPV are for the prevalence given: {shares}.")
    return "\n".join(lines)


def _subgroups(found: "Assessment") -> str:
    lines = ["Mean AUROC of the findings by group:"]
    for attribute, groups in found.subgroups.groups.items():
        for name, summary in groups.items():
            interval = summary.intervals.findings if summary.intervals else None
            lines.append(
                f"{attribute + ' ' + name:<{NAME_WIDTH}}  n {summary.images:>6,}  "
                f"{_value(summary.findings.value)} ({_interval(interval)})  of "
                f"{summary.findings.n_defined} findings"
            )
    if len(lines) == 1:
        return ""
    gap = found.subgroups.gap
    lines.append(
        "No two groups share half of the findings with 5 positive and 5 negative patients each: no "
        "gap is named."
        if gap is None
        else f"Largest gap: {gap.attribute} {gap.better} over {gap.worse} by {gap.value:.4f} "
        f"({_interval(gap.interval)}), over {gap.n_findings} findings that both have; "
        "picked as the largest. Such groups could show a gap of "
        f"{_value(minimum_detectable(gap.interval))} at 80 % power."
    )
    return "\n".join(lines)


def localization_text(tables: "dict[str, dict[str, BoxFigures]]") -> str:
    """The tables that the command shows."""
    lines = []
    for size, rows in tables.items():
        if not rows:
            continue
        lines += [
            f"Boxes: {size}",
            f"{'':<{NAME_WIDTH_BOXES}}{'n':>5}  {'peak in box':<22}{'average box':>12}"
            f"{'most boxed':>12}{'random point':>14}{'untrained':>11}{'IoU>0.1':>9}"
            f"{'IoBB>0.5':>10}",
        ]
        for name, row in rows.items():
            found = f"{row.hits['heatmap']:.3f} ({format_interval(row.interval)})"
            lines.append(
                f"{name:<{NAME_WIDTH_BOXES}}{row.count:>5}  {found:<22}"
                f"{row.hits['average box']:>12.3f}{row.hits['most boxed point']:>12.3f}"
                f"{row.hits['random point']:>14.3f}"
                f"{row.hits['untrained']:>11.3f}{row.iou[0.1][0]:>9.3f}{row.iobb[0.5][0]:>10.3f}"
            )
        whole = rows["All"]
        lines.append(
            f"{whole.boxes:,} boxes of {whole.patients:,} patients. A box of average size at the "
            f"average centre: IoU>0.1 {whole.size_iou[0.1]:.3f}, IoBB>0.5 "
            f"{whole.size_iobb[0.5]:.3f}."
        )
        for name, gain, interval in (
            ("average box's centre", whole.gain, whole.gain_interval),
            ("most boxed point", whole.gain_most, whole.gain_most_interval),
        ):
            lines.append(
                f"Peak in box, less the {name}: {gain:+.3f} ({format_interval(interval)}); "
                f"{whole.count:,} such findings could show a difference of "
                f"{format_value(minimum_detectable(interval))} at 80 % power."
            )
        lines.append("")
    return "\n".join(lines).rstrip()
