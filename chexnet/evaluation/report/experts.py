"""The radiologists' part of a report: its tables, and what is said beside them."""

from dataclasses import replace

from chexnet.evaluation.operating import MEASURES
from chexnet.evaluation.report import sentences, tables
from chexnet.evaluation.report.render import Column, Table, to_text
from chexnet.evaluation.scores import Figures
from chexnet.labels import spoken


def expert_tables(groups: Figures) -> list[Table]:
    """Three tables over all groups of radiologists: the scores, their differences, the text label.

    Args:
        groups: key of a group to what `score_experts` gives, as plain values.
    """
    asked = (
        Column("readers", "Readers", "text"),
        Column("asked", "Asked", "text"),
        Column("findings", "Answered by", "text", path="answered_by"),
        tables.IMAGES,
    )
    truth = (
        *asked,
        Column("truth", "Truth", "text"),
        tables.POSITIVES,
        Column("positive_patients", "of patients", "count", small="patients", in_files=False),
        tables.AUROC,
        tables.INTERVAL,
        replace(tables.CLUSTERED, in_files=False),
        tables.AP,
        replace(tables.AP_INTERVAL, in_files=False),
        Column("ece", "ECE"),
        Column("ece_interval", "95 % interval", "interval", small="", in_files=False),
        Column("brier", "Brier"),
    )
    gaps = (
        *asked,
        Column("auroc_difference", "Difference", signed=True, path="difference/auroc"),
        Column("interval", "95 % interval", "interval", signed=True, path="difference/interval"),
        replace(tables.P, path="difference/p"),
        Column("smallest_shown", "Detectable", path=f"difference/{tables.DETECTABLE}"),
    )
    titles = {"sensitivity": "Sensitivity", "specificity": "Specificity"}
    text = tables.measures(MEASURES[:4], titles, "text_label_against_experts/")
    rows = [
        row | {"readers": group["title"], "answered_by": " or ".join(map(spoken, row["findings"]))}
        for group in groups.values()
        for row in group["rows"]
    ]
    scored = [row for row in rows if row["experts"]]
    truths = [
        row | {"truth": title} | row[key]
        for row in scored
        for key, title in (("experts", "radiologists"), ("text_label", "text label"))
    ]
    return [
        Table.of(
            "experts",
            "The scores against radiologists, and against NIH's text label of the same images",
            truth,
            truths,
        ),
        Table.of(
            "experts_differences",
            "AUROC against radiologists less AUROC against the text label, paired by patient",
            gaps,
            scored,
        ),
        Table.of(
            "text_label",
            "NIH's text label against radiologists",
            [*asked, tables.POSITIVES, *text],
            [row for row in rows if row["text_label_against_experts"]],
        ),
    ]


def experts_read(about: Figures, images: int) -> str:
    """What was read of radiologists, with answers for so many images; see `ExpertLabels.about`."""
    text = (
        f"{about['title']} ({about['source']}): {images:,} images of NIH, read from "
        f"{' and '.join(about['files'])}"
    )
    if unmapped := about["images_without_nih_image"]:
        text += f"; {unmapped:,} more have no known NIH image and are left out"
    return f"{text}."


def about_experts(groups: Figures) -> list[str]:
    """What was read of radiologists, and why a question has no figures; see `expert_tables`."""
    said = []
    for group in groups.values():
        rows, outside = group["rows"], group["images_outside"]
        said.append(
            experts_read(group, rows[0]["images"] + outside)
            + (f" {outside:,} of them are not among the images scored here." if outside else "")
            + f" NIH's text label: {group['text_labels']}."
        )
        said += [
            f"{spoken(row['asked'])} ~ {' or '.join(map(spoken, row['findings'])) or 'nothing'}: "
            f"n/a ({row['images']:,} images, {row['positives']:,} positive): {row['reason']}."
            for row in rows
            if row["reason"]
        ]
    return said


def experts_text(groups: Figures, replicates: int) -> str:
    """The scores against radiologists, and the text label against them.

    Args:
        groups: see `expert_tables`.
        replicates: bootstrap draws behind the intervals.
    """
    parts = ["\n".join(about_experts(groups))]
    for table in expert_tables(groups):
        if table.rows:
            wide = ("positive_patients", "average_precision_interval", "ece_interval")
            keys = (column.key for column in table.columns if column.key not in wide)
            parts.append(f"{table.caption}:\n{to_text(table.only(*keys))}")
    parts.append(
        f"95 % intervals: {replicates:,} bootstrap draws of patients, n/a under five patients. "
        f"{sentences.DETECTABLE} NIH's text labels were mined from reports; radiologists looked at "
        "the pictures."
    )
    return "\n\n".join(parts)
