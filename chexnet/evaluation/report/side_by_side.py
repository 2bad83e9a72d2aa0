"""Several networks beside each other: as text, as CSV and as a page."""

import csv
import io
from collections.abc import Mapping
from typing import Any

from chexnet.data.splits import LEAKY
from chexnet.evaluation.compare import MEAN, NetworkScore, SideBySide
from chexnet.evaluation.info import STAMPS
from chexnet.evaluation.report.tables import NAME_WIDTH, facts_text, format_interval, format_value
from chexnet.evaluation.report.templating import NOT_CLINICAL, environment

MEANINGS = STAMPS | {LEAKY: "Patients stood on both sides when it was trained."}
COLUMNS = (
    *("network", "label", "positives", "auroc", "low", "high"),
    *("difference_to_first", "difference_low", "difference_high", "p", "published", "stamps"),
)
_WIDTH = 20  # of a network's column in the terminal's table


def side_by_side_text(found: SideBySide) -> str:
    """What the command shows."""
    first = found.contenders[0]
    lines = [_scored(found), *found.notes, ""]
    lines.append(
        f"{'mean AUROC':<{NAME_WIDTH}}  {'here':>6}  {'95 % interval':<15}  {'published':>9}  "
        f"{'less ' + first.name:<{_WIDTH}}  {'95 % interval':<17}  {'p':>6}  {'p (Holm)':>8}"
    )
    for one in found.contenders:
        mean, interval = one.summary.findings, _mean_interval(one)
        weights = one.facts.weights
        line = (
            f"{one.name:<{NAME_WIDTH}}  {format_value(mean.value, 4):>6}  {interval:<15}  "
            f"{format_value(weights.published if weights else None):>9}"
        )
        if one.against_first and MEAN in one.against_first:
            difference = one.against_first[MEAN]
            line += (
                f"  {format_value(difference.value, 4, signed=True):<{_WIDTH}}  "
                f"{format_interval(difference.interval, 4, between=' ', signed=True):<17}  "
                f"{format_value(difference.p):>6}  {format_value(one.holm):>8}"
            )
        lines.append(line.rstrip())
    lines.append("")
    lines += [f"{one.name}: {_about(one)}" for one in found.contenders]
    used = dict.fromkeys(stamp for one in found.contenders for stamp in one.stamps)
    lines += [f"[{stamp}] {MEANINGS[stamp]}" for stamp in used]
    lines += ["", _row("AUROC", [one.name for one in found.contenders])]
    for place, label in sorted(enumerate(found.classes), key=lambda pair: pair[1]):
        values = [format_value(one.summary.auroc[place], 4) for one in found.contenders]
        count = int(first.summary.positives[place])
        lines.append(_row(label, values, f"n pos {count:,}"))
    lines += ["", *_footnotes(found)]
    return "\n".join(lines)


def side_by_side_csv(found: SideBySide) -> str:
    """One row a network and class, and one for the mean; see `COLUMNS`, empty where unknown."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    for one in found.contenders:
        intervals = one.summary.intervals
        weights = one.facts.weights
        labels = [*found.classes, MEAN]
        for place, label in enumerate(labels):
            mean = label == MEAN
            interval = (
                None
                if intervals is None
                else intervals.findings
                if mean
                else intervals.classes[label]
            )
            difference = (one.against_first or {}).get(label)
            row: dict[str, Any] = {
                "network": one.name,
                "label": label,
                "positives": "" if mean else int(one.summary.positives[place]),
                "auroc": one.summary.findings.value if mean else one.summary.auroc[place],
                "stamps": "; ".join(one.stamps),
                "published": weights.published if mean and weights else None,
            }
            if interval:
                row |= {"low": interval.low, "high": interval.high}
            if difference:
                row |= {"difference_to_first": difference.value, "p": difference.p}
                row["difference_low"] = difference.interval.low
                row["difference_high"] = difference.interval.high
            writer.writerow({k: "" if v is None or v != v else v for k, v in row.items()})
    return text.getvalue()


def side_by_side_html(found: SideBySide, made: Mapping[str, Any]) -> str:
    """One self-contained page.

    Args:
        found: see `compare_networks`.
        made: see `surroundings`.
    """
    stamp = LEAKY if any(LEAKY in one.stamps for one in found.contenders) else ""
    template = environment(autoescape=True).get_template("side_by_side.html.jinja")
    return template.render(
        found=found,
        made=made,
        stamp=stamp,
        not_clinical=NOT_CLINICAL,
        mean=MEAN,
        scored=_scored(found),
        footnotes=_footnotes(found),
        facts={one.name: facts_text(one.facts) for one in found.contenders},
        phantoms=any(one.facts.phantoms for one in found.contenders),
        meanings={
            name: MEANINGS[name]
            for name in dict.fromkeys(s for one in found.contenders for s in one.stamps)
        },
        order=sorted(range(len(found.classes)), key=lambda place: found.classes[place]),
    )


def _scored(found: SideBySide) -> str:
    summary = found.contenders[0].summary
    return (
        f"{found.images:,} of {found.of:,} images of the {found.part} part, of "
        f"{summary.patients:,} patients: those of which none of the {len(found.contenders)} "
        "networks has seen the image or the patient."
    )


def _about(one: NetworkScore) -> str:
    weights = one.facts.weights
    said = [f"trained on: {weights.trained_on}" if weights else ""]
    if weights and weights.published is not None:
        said.append(
            f"published {weights.published} ({weights.published_source or 'source not stated'})"
        )
    if weights and weights.imported:
        said.append(f"epoch chosen on: {one.chosen_on or 'not stated'}")
    if one.stamps:
        said.append(", ".join(f"[{stamp}]" for stamp in one.stamps))
    return "; ".join(filter(None, said)) + "."


def _mean_interval(one: NetworkScore) -> str:
    intervals = one.summary.intervals
    return format_interval(intervals.findings if intervals else None, 4)


def _row(label: str, values: list[str], note: str = "") -> str:
    cells = "  ".join(f"{value:>{max(10, len(value))}}" for value in values)
    return f"{label:<{NAME_WIDTH}}  {cells}  {note}".rstrip()


def _footnotes(found: SideBySide) -> list[str]:
    n = found.contenders[0].summary.findings
    said = [
        f"Means are over {n.n_defined} findings that all networks know and that have a positive "
        f"and a negative here. Intervals: {found.replicates:,} bootstrap draws of patients, the "
        "same for all.",
        f"Differences are a network's AUROC less that of {found.contenders[0].name}, paired over "
        "patients; p two-sided. Holm's p is corrected for the number of networks; the p-values of "
        "single findings are not.",
        "Published figures are of other images and stand beside, not against, the figures here.",
    ]
    if found.left_out:
        said.append(f"Classes that not all networks have: {', '.join(found.left_out)}.")
    return said
