"""Radiologists' figures as text, for the commands and as rows of a page."""

from collections.abc import Sequence

from chexnet.evaluation.expert_figures import ExpertFigures, ExpertRow, TruthFigures
from chexnet.evaluation.intervals import minimum_detectable
from chexnet.evaluation.report.tables import format_interval, format_value
from chexnet.labels import spoken

WIDTH = 64


def experts_text(found: Sequence[ExpertFigures]) -> str:
    """Tables of each group of radiologists: the scores, where there are some, and the text label.

    A row's name is what the radiologists were asked, ~, and the findings that answer it.
    """
    return "\n\n".join(_group(one) for one in found)


def _group(found: ExpertFigures) -> str:
    lines = [found.labels.told]
    if found.outside:
        lines.append(f"{found.outside:,} of them are not among the images scored here.")
    scored = [row for row in found.rows if row.experts or row.reason]
    if any(row.experts for row in found.rows):
        lines += [
            f"{'Scores against radiologists (R) and NIH text label (T)':<{WIDTH}}  {'n':>6}  "
            f"{'n pos':>6}  {'AUROC':<19}  {'AP':>5}  {'ECE':>5}  {'Brier':>5}"
        ]
        for row in found.rows:
            lines += _scores(row)
    lines += [
        f"- {title(row)}: n/a ({row.images:,} images, {row.positives:,} positive): {row.reason}."
        for row in scored
        if row.reason
    ]
    lines += [
        f"{f'Text label of {found.table} against radiologists':<{WIDTH}}  {'n':>6}  {'n pos':>6}  "
        + "  ".join(f"{name:<19}" for name in ("sensitivity", "specificity", "PPV", "NPV"))
    ]
    for row in found.rows:
        if row.text is None:
            continue
        cells = (
            f"{format_value(row.text.values[m])} ({format_interval(row.text.intervals.get(m))})"
            for m in ("sensitivity", "specificity", "ppv", "npv")
        )
        lines.append(
            f"{title(row):<{WIDTH}}  {row.images:>6,}  {row.positives:>6,}  "
            + "  ".join(f"{cell:<19}" for cell in cells).rstrip()
        )
    lines.append(
        f"95 % intervals: {found.replicates:,} bootstrap draws of patients, n/a under five "
        "patients. NIH's text labels were mined from reports; radiologists looked at the pictures."
    )
    return "\n".join(lines)


def title(row: ExpertRow) -> str:
    """`Target ~ Pneumonia or Infiltration or Consolidation`."""
    return spoken(row.question.name)


def _scores(row: ExpertRow) -> list[str]:
    if not (row.experts and row.label and row.difference):
        return []
    lines = [
        _line(f"{title(row)} {mark}", row.images, one)
        for mark, one in (("R", row.experts), ("T", row.label))
    ]
    gap = row.difference
    lines.append(
        f"  R less T: {format_value(gap.value, signed=True)} "
        f"({format_interval(gap.interval, between=' ', signed=True)}), p "
        f"{format_value(gap.p)}; these images could show a difference of "
        f"{format_value(minimum_detectable(gap.interval))} at 80 % power"
    )
    return lines


def _line(name: str, images: int, one: TruthFigures) -> str:
    found = f"{format_value(one.auroc)} ({format_interval(one.interval)})"
    line = (
        f"{name:<{WIDTH}}  {images:>6,}  {one.positives:>6,}  {found:<19}  "
        f"{one.average_precision:>5.3f}  {one.error:>5.3f}  {one.brier:>5.3f}"
    )
    if one.clustered.known:
        line += f"  clustered {format_interval(one.clustered)}"
    return line
