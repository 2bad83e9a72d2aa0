"""What the commands show: tables and sentences as text."""

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from chexnet.evaluation.calibration import RULES
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.report import published, sentences, tables
from chexnet.evaluation.report.render import format_interval, format_value, to_text
from chexnet.evaluation.scores import Figures

if TYPE_CHECKING:  # it imports torch, which a page that only formats does without
    from chexnet.evaluation.summary import Summary

DIGITS = 4
"""Of AUROCs in a terminal; pages and cards show three."""


def validation_text(summary: "Summary") -> str:
    """What training shows after each epoch: one row a class in alphabetical order, then means."""
    lines = ["Validation AUROC per class:"]
    for name, value in sorted(zip(summary.classes, summary.auroc, strict=True)):
        lines.append(f"{name:<22}: {format_value(value, DIGITS)}")
    lines.append(f"Mean AUROC: {summary.all_classes}")
    lines.append(f"Val Loss  : {summary.loss:.4f}")
    lines.append(f"Mean AUROC of the {summary.findings.n_classes} findings: {summary.findings}")
    return "\n".join(lines)


def about_text(facts: ScoringInfo, notes: Sequence[str], stamps: Sequence[str]) -> str:
    """What was scored: data and network, another data set's labels, notes and stamps."""
    parts = [sentences.facts_text(facts), mapping_text(facts), *notes]
    return "\n".join([*filter(None, parts), *stamped(stamps)])


def mapping_text(facts: ScoringInfo) -> str:
    """How another data set's labels became ours; empty for NIH's own."""
    mapping = facts.label_mapping
    if not mapping:
        return ""
    lines = [f"Labels of {mapping['title']}. {mapping['labelled_by']}"]
    lines += [f"- {note}" for note in mapping["notes"]]
    if facts.external:
        lines.insert(0, f"EXTERNAL: scored on {mapping['title']}, trained on other data.")
    return "\n".join([*lines, to_text(tables.mapping(mapping))])


def evaluation_text(figures: Figures, replicates: int, stamp: str = "") -> str:
    """Positives, AUROC with interval and average precision of each class.

    Args:
        figures: of one scoring, as `plain` of a `Summary` gives them.
        replicates: bootstrap draws behind the intervals.
        stamp: see `LEAKY`; empty for none.
    """
    keys = ("finding", "labelled", "positives", "auroc", "auroc_interval", "average_precision")
    clustered = sentences.clustered(figures)
    table = tables.findings(figures).only(*keys, *(["clustered_interval"] if clustered else []))
    lines = [
        f"{stamp} figures" if stamp else "",
        to_text(table, DIGITS),
        f"Loss {format_value(figures['loss'], DIGITS)}.",
        f"{figures['images']:,} images of {figures['patients']:,} patients.",
    ]
    if replicates:
        lines += [sentences.about_intervals(figures, replicates), sentences.above_chance(figures)]
    return "\n".join(filter(None, [*lines, clustered]))


def assessment_text(content: Figures, replicates: int) -> str:
    """AUROC, calibration, operating points at Youden's threshold, and subgroups.

    Args:
        content: what `metrics.json` holds.
        replicates: bootstrap draws behind the intervals.
    """
    parts = [evaluation_text(content, replicates, content.get("stamp", ""))]
    if content["chosen_on"]:
        shown = to_text(tables.calibration(content))
        parts.append(f"Calibration, chosen on {content['chosen_on']}:\n{shown}")
        parts.append(_operating(content))
    else:
        parts.append(
            "Calibration and thresholds: none. They are chosen on validation images, and here are "
            "none; for a CSV, --validation names the CSV of its validation images; for a network "
            "from elsewhere, python -m scripts.weights calibrate."
        )
    if content["subgroups"]:
        table = tables.subgroups(content)
        gap = sentences.largest_gap(content["largest_gap"], DIGITS)
        parts.append(f"{table.caption}:\n{to_text(table, DIGITS)}\n{gap}")
    return "\n\n".join(parts)


def _operating(content: Figures) -> str:
    table = tables.operating_points(content, "youden")
    values = [column.key for column in table.columns if column.kind != "interval"]
    lines = [
        f"At the threshold of {RULES['youden']} on validation (95 % intervals in metrics.json):",
        to_text(table.only(*values), DIGITS),
    ]
    if given := content["prevalence"]:
        shares = ", ".join(f"{name} {share:g}" for name, share in sorted(given.items()))
        lines.append(f"PPV and NPV are for the prevalence given: {shares}.")
    return "\n".join(lines)


def both_text(labels: Figures, scored: int, replicates: int) -> str:
    """What differs between NIH's two tables, and the figures by each of them.

    Args:
        labels: of `both_tables`, as plain values.
        scored: images that were scored.
        replicates: bootstrap draws behind the intervals.
    """
    parts = ["\n".join(sentences.about_tables(labels, scored))]
    for version, figures in tables.label_tables(labels).items():
        parts.append(f"By the table {version}:\n{evaluation_text(figures, replicates)}")
    return "\n\n".join(parts)


def protocols_text(protocols: Figures) -> str:
    """The two lists that published figures are of; see `truths.protocol_figures`."""
    table = published.lists(protocols)
    return f"{table.caption}:\n{to_text(table, DIGITS)}"


def localization_text(content: Figures) -> str:
    """The figures of boxes of each size; see `summarise_maps`."""
    parts = []
    for size, rows in content.items():
        if not rows:
            continue
        whole = rows["All"]
        lines = [
            f"Boxes: {size}",
            to_text(tables.boxes("", rows)),
            f"{whole['boxes']:,} boxes of {whole['patients']:,} patients. A box of average size at "
            f"the average centre: IoU>0.1 {whole['iou_of_average_box']['0.1']:.3f}, IoBB>0.5 "
            f"{whole['iobb_of_average_box']['0.5']:.3f}.",
        ]
        for name, gain, key in (
            ("average box's centre", "gain_over_average_box", "gain_interval"),
            (
                "most boxed point",
                "gain_over_most_boxed_point",
                "gain_over_most_boxed_point_interval",
            ),
        ):
            interval = whole[key]
            lines.append(
                f"Peak in box, less the {name}: {whole[gain]:+.3f} ({format_interval(interval)}); "
                f"the minimum detectable difference of {whole['targets']:,} such findings is "
                f"{sentences.detectable(interval)} (80 % power)."
            )
        parts.append("\n".join(lines))
    return "\n\n".join(parts)


def stamped(stamps: Iterable[str]) -> list[str]:
    """A line a stamp, with what it means."""
    return [f"[{stamp}] {sentences.meaning(stamp)}" for stamp in dict.fromkeys(stamps)]
