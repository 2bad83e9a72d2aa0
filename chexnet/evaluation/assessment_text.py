"""An assessment as the command shows it, in tables of text."""

import numpy as np

from chexnet.evaluation.assessment import Assessment
from chexnet.evaluation.comparison import Difference
from chexnet.evaluation.draws import Interval
from chexnet.evaluation.operating import MEASURES, RULES
from chexnet.evaluation.summary import NAME_WIDTH, evaluation_text


def assessment_text(found: Assessment, stamp: str = "") -> str:
    """AUROC, calibration, operating points at Youden's threshold, and subgroups."""
    parts = [evaluation_text(found.summary, stamp), _calibration(found)]
    if found.operating:
        parts.append(_operating(found))
    parts.append(_subgroups(found))
    return "\n\n".join(part for part in parts if part)


def comparison_text(found: dict[str, Difference]) -> str:
    """One row a class, the mean last."""
    lines = [
        f"{'A less B':<{NAME_WIDTH}}  {'A':>6}  {'B':>6}  {'A-B':>7}  {'95 % interval':<17}  p"
    ]
    for name, one in found.items():
        interval = f"{one.interval.low:+.4f} {one.interval.high:+.4f}"
        shown = f"{interval:<17}  {one.p:.3f}" if one.interval.known else f"{'n/a':<17}  n/a"
        values = (
            f"{one.first:>6.4f}  {one.second:>6.4f}  {one.value:>+7.4f}"
            if not np.isnan(one.first)
            else f"{'n/a':>6}  {'n/a':>6}  {'n/a':>7}"
        )
        lines.append(f"{name:<{NAME_WIDTH}}  {values}  {shown}")
    lines.append("Both scored under the same draws of patients; p two-sided.")
    return "\n".join(lines)


def _calibration(found: Assessment) -> str:
    if not found.chosen:
        return (
            "Calibration and thresholds: none. They are chosen on validation images, and here are "
            "none; for a CSV, --validation names the CSV of its validation images."
        )
    lines = [
        f"Calibration, chosen on {found.chosen.source}:",
        f"{'':<{NAME_WIDTH}}  {'ECE before':>10}  {'after':>7}  {'Brier before':>12}  {'after':>7}",
    ]
    for name, one in sorted(found.reliability.items()):
        note = "  pooled: under 20 positives there" if one.pooled else ""
        lines.append(
            f"{name:<{NAME_WIDTH}}  {one.error[0]:>10.4f}  {one.error[1]:>7.4f}  "
            f"{one.brier[0]:>12.4f}  {one.brier[1]:>7.4f}{note}"
        )
    return "\n".join(lines)


def _operating(found: Assessment, rule: str = "youden") -> str:
    points = found.operating[rule]
    given = sorted(found.prevalence.items())
    lines = [
        f"At the threshold of {RULES[rule]} on validation (95 % intervals in metrics.json):",
        f"{'':<{NAME_WIDTH}}  {'threshold':>9}  " + "  ".join(f"{m:>11}" for m in MEASURES),
    ]
    for name, point in sorted(points.items()):
        values = "  ".join(f"{_figure(point.values[m]):>11}" for m in MEASURES)
        lines.append(f"{name:<{NAME_WIDTH}}  {point.threshold:>9.4f}  {values}")
    without = sorted(set(found.reliability) - set(points))
    if without:
        lines.append(f"No threshold (under 20 positives on validation): {', '.join(without)}.")
    if given:
        shares = ", ".join(f"{name} {share:g}" for name, share in given)
        lines.append(f"PPV and NPV are for the prevalence given: {shares}.")
    return "\n".join(lines)


def _subgroups(found: Assessment) -> str:
    lines = ["Mean AUROC of the findings by group:"]
    for attribute, groups in found.subgroups.groups.items():
        for name, summary in groups.items():
            interval = summary.intervals.findings if summary.intervals else None
            lines.append(
                f"{attribute + ' ' + name:<{NAME_WIDTH}}  n {summary.images:>6,}  "
                f"{_figure(summary.findings.value)} ({_range(interval)})  of "
                f"{summary.findings.of} findings"
            )
    if len(lines) == 1:
        return ""
    gap = found.subgroups.gap
    lines.append(
        "No two groups share half of the findings with 5 positive and 5 negative patients each: no "
        "gap is named."
        if gap is None
        else f"Largest gap: {gap.attribute} {gap.better} over {gap.worse} by {gap.value:.4f} "
        f"({_range(gap.interval)}), over {gap.of} findings that both have; picked as the largest."
    )
    return "\n".join(lines)


def _figure(value: float) -> str:
    return "n/a" if np.isnan(value) else f"{value:.4f}"


def _range(interval: Interval | None) -> str:
    if interval is None or not interval.known:
        return "n/a"
    return f"{interval.low:.4f}-{interval.high:.4f}"
