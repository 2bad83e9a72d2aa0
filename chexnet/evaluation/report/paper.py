"""The report's tables for a paper.

They come from what `metrics.json` holds, so that no two files can differ.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from chexnet.evaluation.calibration import RULES
from chexnet.evaluation.report.checklists import Filled
from chexnet.evaluation.report.published import Comparison, Published
from chexnet.evaluation.report.table_files import Column, Table
from chexnet.evaluation.summary import number
from chexnet.labels import FINDINGS, spoken

_FINDING = Column("finding", "Finding", "label")
_POSITIVES = Column("positives", "n positive", "count")
_LABELLED = Column("labelled", "n labelled", "count")
_AUROC = Column("auroc", "AUROC")
_INTERVAL = Column("auroc_interval", "95 % interval", "interval")
_IMAGES = Column("images", "Images", "count")
_MEAN = (
    _IMAGES,
    _AUROC,
    _INTERVAL,
    Column("defined", "of", "count"),
    Column("classes", "classes", "count"),
)


def paper_tables(
    content: Mapping[str, Any],
    compared: Sequence[Comparison] = (),
    apart: Sequence[tuple[Published, str]] = (),
    checklists: Sequence[Filled] = (),
) -> list[Table]:
    """Every table of a report that has rows.

    Args:
        content: what `metrics.json` holds.
        compared: see `published.comparisons`.
        apart: see `published.with_reasons`.
        checklists: see `checklists.filled`.
    """
    tables = [
        _findings(content),
        _overall(content),
        _operating_points(content),
        _subgroups(content),
        *_experts(content),
        _published(compared),
        _apart(apart),
        _mapping(content.get("facts", {}).get("label_mapping")),
        *map(_checklist, checklists),
    ]
    return [one for one in tables if one.rows]


def _order(names: Sequence[str]) -> list[str]:
    """As on the page: findings by name, then what is none."""
    return sorted(names, key=lambda name: (name not in FINDINGS, name))


def _findings(content: Mapping[str, Any]) -> Table:
    found, calibration = content["classes"], content["calibration"]
    # Where a table does not say everything of every image, each class has a number of its own.
    some = any("labelled" in one for one in found.values())
    columns = (
        _FINDING,
        *([_LABELLED] if some else []),
        _POSITIVES,
        _AUROC,
        _INTERVAL,
        Column("clustered_interval", "clustered", "interval"),
        Column("p_of_chance_holm", "p (Holm)", "p"),
        Column("average_precision", "AP"),
        Column("average_precision_interval", "95 % interval", "interval"),
        Column("ece_after", "ECE", digits=4),
        Column("brier_after", "Brier", digits=4),
    )
    rows = [
        (
            name,
            *([found[name].get("labelled", content["images"])] if some else []),
            found[name]["positives"],
            found[name]["auroc"],
            found[name].get("interval"),
            found[name].get("clustered_interval"),
            found[name].get("p_of_chance_holm"),
            found[name]["average_precision"],
            found[name].get("average_precision_interval"),
            calibration[name]["ece_after"],
            calibration[name]["brier_after"],
        )
        for name in _order(list(found))
    ]
    caption = (
        "Each finding: AUROC and average precision (AP) with 95 % intervals by bootstrap over "
        "patients and, under ten positive patients, the clustered one; p-value of AUROC 0.5 for "
        "all findings at once (Holm); expected calibration error (ECE) and Brier score"
    )
    return Table("findings", caption, columns, rows)


def _mapping(mapping: Mapping[str, Any] | None) -> Table:
    """How another data set's labels became ours; no rows for NIH's."""
    title = mapping["title"] if mapping else ""
    columns = (
        Column("label", "Label there", "text"),
        Column("counts_as", "Counts as", "long"),
        Column("why", "Why", "long"),
    )
    rows = mapping["rows"] if mapping else ()
    return Table("mapping", f"Labels of {title} in the vocabulary of ChestX-ray14", columns, rows)


def _overall(content: Mapping[str, Any]) -> Table:
    columns = (Column("mean_of", "Mean AUROC", "text"), *_MEAN)
    titles = {"findings": "of the findings", "rows": "of all rows"}
    means = content["mean_auroc"]
    rows = [(title, *_mean(content["images"], means[key])) for key, title in titles.items()]
    for one in content.get("protocols", {}).values():
        if one["figures"]:
            mean = one["figures"]["mean_auroc"]["findings"]
            rows.append((f"of the findings, {one['title']}", *_mean(one["images_scored"], mean)))
    caption = "Mean AUROC with its 95 % interval by bootstrap over patients"
    return Table("overall", caption, columns, rows)


def _mean(images: int, mean: Mapping[str, Any]) -> tuple[Any, ...]:
    """Cells of the columns `_MEAN`."""
    return images, mean["value"], mean.get("interval"), mean["of"], mean["all"]


def _operating_points(content: Mapping[str, Any]) -> Table:
    points = content["operating_points"].get("youden", {})
    measures = ("sensitivity", "specificity", "ppv", "npv", "f1")
    short = {"sensitivity": "Sens.", "specificity": "Spec."}
    columns = [_FINDING, Column("threshold", "Threshold", digits=4)]
    for measure in measures:
        columns.append(Column(measure, short.get(measure, measure.upper())))
        columns.append(Column(f"{measure}_interval", "95 % interval", "interval"))
    rows = [
        (
            name,
            points[name]["threshold"],
            *(
                cell
                for measure in measures
                for cell in (points[name][measure]["value"], points[name][measure].get("interval"))
            ),
        )
        for name in _order(list(points))
    ]
    caption = (
        "Sensitivity, specificity, predictive values and F1 at the threshold of "
        f"{RULES['youden']}, chosen on {content['chosen_on']} and only applied here"
    )
    return Table("operating_points", caption, columns, rows)


def _subgroups(content: Mapping[str, Any]) -> Table:
    columns = (
        Column("attribute", "", "text"),
        Column("group", "Group", "text"),
        Column("patients", "Patients", "count"),
        *_MEAN,
    )
    rows = [
        (attribute, name, one["patients"], *_mean(one["images"], one["mean_auroc"]["findings"]))
        for attribute, groups in content["subgroups"].items()
        for name, one in groups.items()
    ]
    return Table("subgroups", "Mean AUROC of the findings by group", columns, rows)


def _experts(content: Mapping[str, Any]) -> list[Table]:
    asked = (
        Column("readers", "Readers", "text"),
        Column("asked", "Asked", "text"),
        Column("findings", "Answered by", "text"),
        _IMAGES,
    )
    against = (
        *asked,
        Column("truth", "Truth", "text"),
        _POSITIVES,
        _AUROC,
        _INTERVAL,
        Column("average_precision", "AP"),
        Column("ece", "ECE"),
        Column("brier", "Brier"),
    )
    gaps = (
        *asked,
        Column("auroc_difference", "Difference", signed=True),
        Column("interval", "95 % interval", "interval", signed=True),
        Column("p", "p", "p"),
        Column("smallest_shown", "Could show"),
    )
    measures = ("sensitivity", "specificity", "ppv", "npv")
    text = [*asked, _POSITIVES]
    for measure in measures:
        text.append(Column(measure, measure.upper() if len(measure) == 3 else measure.title()))
        text.append(Column(f"{measure}_interval", "95 % interval", "interval"))
    rows: dict[str, list[tuple[Any, ...]]] = {"against": [], "gaps": [], "text": []}
    for group in content.get("experts", {}).values():
        for row in group["rows"]:
            names = " or ".join(map(spoken, row["findings"]))
            begin = (group["title"], row["asked"], names, row["images"])
            if row["experts"]:
                truths = {"radiologists": row["experts"], "text label": row["text_label"]}
                rows["against"] += [
                    (*begin, title, one["positives"], one["auroc"], one["interval"], *rest)
                    for title, one in truths.items()
                    for rest in [(one["average_precision"], one["ece"], one["brier"])]
                ]
                gap = row["difference"]
                shown = gap["smallest_shown_at_80_percent_power"]
                rows["gaps"].append((*begin, gap["auroc"], gap["interval"], gap["p"], shown))
            if row["text_label_against_experts"]:
                found = row["text_label_against_experts"]
                pairs = ((found[m]["value"], found[m].get("interval")) for m in measures)
                rows["text"].append(
                    (*begin, row["positives"], *(cell for two in pairs for cell in two))
                )
    return [
        Table(
            "experts",
            "The scores against radiologists, and against NIH's text label of the same images",
            against,
            rows["against"],
        ),
        Table(
            "experts_differences",
            "AUROC against radiologists less AUROC against the text label, paired by patient",
            gaps,
            rows["gaps"],
        ),
        Table("text_label", "NIH's text label against radiologists", text, rows["text"]),
    ]


def _published(compared: Sequence[Comparison]) -> Table:
    columns = (
        Column("list", "Test list", "text"),
        Column("table", "Published", "text"),
        Column("epoch_chosen_on", "Epoch chosen on", "text"),
        _FINDING,
        Column("published_auroc", "Published AUROC"),
        _AUROC,
        _INTERVAL,
        Column("where", "Published value is", "text"),
    )
    rows = []
    for one in compared:
        for place, table in enumerate(one.tables):
            for row in one.rows:
                value, where = row.others[place]
                interval = row.interval.as_dict() if row.interval else None
                about = (one.title, table.name, table.chosen_on, row.name)
                if value is not None:
                    rows.append((*about, value, number(row.value), interval, where))
    caption = (
        "Published values of the same list of test images: inside, above or below this run's 95 % "
        "interval"
    )
    return Table("published", caption, columns, rows)


def _apart(tables: Sequence[tuple[Published, str]]) -> Table:
    columns = (
        Column("table", "Published", "text"),
        Column("split", "Split", "long"),
        Column("epoch_chosen_on", "Epoch chosen on", "text"),
        Column("mean_auroc", "Mean AUROC"),
        Column("interval", "Printed interval", "interval"),
        Column("not_compared", "Not compared", "long"),
        Column("source", "Source", "text"),
    )
    rows = [
        (one.name, one.split, one.chosen_on, number(one.mean), one.interval.as_dict(), *rest)
        for one, reason in tables
        for rest in [(reason, one.source)]
    ]
    return Table("published_tables", "Published tables, and why one is not compared", columns, rows)


def _checklist(one: Filled) -> Table:
    columns = (
        Column("item", "Item", "text"),
        Column("section", "Section", "long"),
        Column("title", "Title", "long"),
        Column("answer", "Answer", "long"),
    )
    rows = [(a.item.number, a.item.section, a.item.title, a.text) for a in one.answers]
    caption = (
        f"{one.checklist.name} ({one.checklist.source}), item titles in this project's words, "
        "filled in as far as the run knows"
    )
    return Table(f"checklist_{one.checklist.key}", caption, columns, rows)
