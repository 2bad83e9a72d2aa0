"""The tables of a scoring, for the terminal, the page, the card and the files for a paper.

Each is made of what `metrics.json` (or the JSON file of another command) holds, so that no two of
them can differ. Figures are a `Summary` as plain values.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any

from chexnet.data.nih import TABLES
from chexnet.evaluation.boxes import CONTROLS
from chexnet.evaluation.calibration import RULES
from chexnet.evaluation.operating import MEASURES
from chexnet.evaluation.report.render import Column, Table
from chexnet.evaluation.scores import Figures
from chexnet.labels import FINDINGS

MEAN = "Mean of the findings"
FINDING = Column("finding", "Finding", "label")
POSITIVES = Column("positives", "n positive", "count")
AUROC = Column("auroc", "AUROC")
INTERVAL = Column("auroc_interval", "95 % interval", "interval", path="interval")
CLUSTERED = Column("clustered_interval", "clustered", "interval", small="clustered")
AP = Column("average_precision", "AP")
AP_INTERVAL = Column("average_precision_interval", "95 % interval", "interval", small="")
IMAGES = Column("images", "Images", "count")
P = Column("p", "p", "p")
DETECTABLE = "smallest_shown_at_80_percent_power"
_MEANS = (
    IMAGES,
    replace(AUROC, path="value"),
    INTERVAL,
    Column("defined", "of", "count", path="of"),
    Column("classes", "classes", "count", path="all"),
)


def in_order(names: Iterable[str]) -> list[str]:
    """Findings by name, then what is none."""
    return sorted(names, key=lambda name: (name not in FINDINGS, name))


def findings(figures: Figures, rule: str = "youden") -> Table:
    """A row a class, with the means beneath.

    Args:
        figures: of one scoring; calibrated errors, and what the threshold of a rule does, are shown
            where it has them.
        rule: a name of `RULES`.
    """
    classes, calibration = figures["classes"], figures.get("calibration", {})
    points = figures.get("operating_points", {}).get(rule, {})
    columns = [
        FINDING,
        Column("labelled", "n labelled", "count"),
        POSITIVES,
        AUROC,
        INTERVAL,
        CLUSTERED,
        Column("p_of_chance_holm", "p (Holm)", "p"),
        AP,
        AP_INTERVAL,
        Column("ece_after", "ECE", digits=4),
        Column("brier_after", "Brier", digits=4),
        Column("chance", "AP of chance", in_files=False),
        Column("sensitivity", "sensitivity", path="sensitivity/value", in_files=False),
        Column("specificity", "specificity", path="specificity/value", in_files=False),
    ]
    # Where a table does not say everything of every image, each class has a number of its own.
    without = () if any("labelled" in row for row in classes.values()) else ("labelled",)
    without = (*without, *(() if calibration else ("ece_after", "brier_after")))
    rows = [
        {"finding": name, "labelled": figures["images"], "chance": prevalence(figures, name)}
        | classes[name]
        | calibration.get(name, {})
        | points.get(name, {})
        for name in in_order(classes)
    ]
    foot = [
        dict.fromkeys((column.key for column in columns), "")
        | {"sensitivity": {"value": ""}, "specificity": {"value": ""}}
        | {"finding": title, "auroc": mean["value"], "interval": mean.get("interval")}
        | {"positives": f"{mean['of']} of {mean['all']}"}
        for title, mean in _means(figures)
    ]
    caption = (
        "Each finding: AUROC and average precision (AP) with 95 % intervals by bootstrap over "
        "patients and, under ten positive patients, the clustered one; p-value of AUROC 0.5 for "
        "all findings at once (Holm); expected calibration error (ECE) and Brier score"
    )
    kept = [column for column in columns if column.key not in without]
    return Table.of("findings", caption, kept, rows, foot)


def _means(figures: Figures) -> list[tuple[str, Figures]]:
    means = figures["mean_auroc"]
    return [(MEAN, means["findings"]), ("Mean of all rows", means["rows"])]


def card_findings(content: Figures, rule: str) -> Table:
    """The figures of each finding in short, with what the threshold of a rule does."""
    keys = ("finding", "positives", "labelled", "auroc", "auroc_interval", "clustered_interval")
    more = ("average_precision", "ece_after", "sensitivity", "specificity")
    table = findings(content, rule).only(*keys, *more)
    return replace(table, foot=table.foot[:1])


def prevalence(figures: Figures, name: str) -> float | None:
    """Share of positive images among those that are labelled.

    None where none is, or where only images with it, or only images without, were labelled at all:
    then their share says nothing.
    """
    row = figures["classes"][name]
    labelled = row.get("labelled", figures["images"])
    if labelled < figures["images"] and row["positives"] in (0, labelled):
        return None
    return float(row["positives"] / labelled)


def overall(content: Figures) -> Table:
    """The means, and those of the two test lists that published figures are of."""
    titles = {"findings": "of the findings", "rows": "of all rows"}
    rows = [
        {"mean_of": title, "images": content["images"], **content["mean_auroc"][key]}
        for key, title in titles.items()
    ]
    for run in content.get("protocols", {}).values():
        if run["figures"]:
            about = {"mean_of": f"of the findings, {run['title']}", "images": run["images_scored"]}
            rows.append(about | run["figures"]["mean_auroc"]["findings"])
    caption = "Mean AUROC with its 95 % interval by bootstrap over patients"
    return Table.of("overall", caption, [Column("mean_of", "Mean AUROC", "text"), *_MEANS], rows)


def calibration(content: Figures) -> Table:
    """How well probabilities mean what they say, before and after."""
    columns = [
        FINDING,
        Column("ece_before", "ECE before", digits=4),
        Column("ece_after", "ECE after", digits=4),
        Column("brier_before", "Brier before", digits=4),
        Column("brier_after", "Brier after", digits=4),
        Column("how", "calibrated", "text"),
    ]
    how = {True: "pooled", False: "by itself"} if content["chosen_on"] else {False: "not"}
    errors = content["calibration"]
    rows = [{"finding": n, "how": how[errors[n]["pooled"]]} | errors[n] for n in in_order(errors)]
    caption = (
        "Expected calibration error (ECE, bins of equal mass) and Brier score; lower is better"
    )
    return Table.of("calibration", caption, columns, rows)


def operating_points(content: Figures, rule: str) -> Table:
    """What the threshold of a rule does here; a row of n/a for a class that has none."""
    points, given = content["operating_points"].get(rule, {}), content["prevalence"]
    columns = [
        FINDING,
        Column("threshold", "Threshold", digits=4),
        *measures(MEASURES, {"sensitivity": "Sens.", "specificity": "Spec."}),
        Column("prevalence", "Prevalence", in_files=False),
    ]
    rows = []
    for name in in_order(content["classes"]):
        share = f"{given[name]:.3f}*" if name in given else prevalence(content, name)
        about = {"finding": name, "prevalence": share if name in points else ""}
        rows.append(about | points.get(name, {}))
    caption = (
        f"Sensitivity, specificity, predictive values and F1 at the threshold of {RULES[rule]}, "
        f"chosen on {content['chosen_on']} and only applied here"
    )
    return Table.of("operating_points", caption, columns, rows)


def measures(names: Sequence[str], titles: Mapping[str, str], above: str = "") -> list[Column]:
    """A measure of a threshold, and its interval beneath; `above` it in JSON."""
    columns = []
    for name in names:
        title = titles.get(name, name.upper())
        columns.append(Column(name, title, path=f"{above}{name}/value"))
        path = f"{above}{name}/interval"
        columns.append(Column(f"{name}_interval", "95 % interval", "interval", small="", path=path))
    return columns


def subgroups(content: Figures) -> Table:
    """The mean of each group."""
    columns = [
        Column("attribute", "", "text"),
        Column("group", "Group", "text"),
        Column("patients", "Patients", "count"),
        *_MEANS,
    ]
    rows = [
        {"attribute": attribute, "group": name, **group, **group["mean_auroc"]["findings"]}
        for attribute, groups in content["subgroups"].items()
        for name, group in groups.items()
    ]
    return Table.of("subgroups", "Mean AUROC of the findings by group", columns, rows)


def beside(name: str, caption: str, sets: Mapping[str, Figures]) -> Table:
    """Each finding's figures of several sets of images, or of labels, beside each other.

    Args:
        name: of the table.
        caption: of it.
        sets: head of the columns to figures.
    """
    columns = [FINDING]
    for head, figures in sets.items():
        title = f"{head}\n{figures['images']:,} images, {figures['patients']:,} patients"
        columns += [
            replace(AUROC, title=title, path=f"{head}/auroc"),
            replace(INTERVAL, small="", path=f"{head}/interval"),
            replace(POSITIVES, small="n", path=f"{head}/positives"),
            replace(AP, small="AP", path=f"{head}/average_precision"),
        ]
    rows = [
        {"finding": label} | {head: figures["classes"][label] for head, figures in sets.items()}
        for label in in_order(next(iter(sets.values()))["classes"])
    ]
    foot: list[dict[str, Any]] = [{"finding": MEAN}, {"finding": "Mean of all rows"}]
    for head, figures in sets.items():
        for row, (_, mean) in zip(foot, _means(figures), strict=True):
            counted = f"{mean['of']} of {mean['all']}"
            row[head] = {**mean, "auroc": mean["value"], "positives": counted}
    return Table.of(name, caption, columns, rows, foot)


def label_tables(labels: Figures) -> dict[str, Figures]:
    """Version of NIH's label table to figures, of what `both_tables` gives as plain values."""
    return {version: labels[version] for version in TABLES}


def by_label_table(labels: Figures) -> Table:
    """The same answers by each of NIH's label tables."""
    caption = "The same answers by each of NIH's two tables"
    return beside("label_tables", caption, label_tables(labels))


def mapping(label_mapping: Figures | None) -> Table:
    """How another data set's labels became ours; no rows for NIH's."""
    title = label_mapping["title"] if label_mapping else ""
    columns = (
        Column("label", "Label there", "text"),
        Column("counts_as", "Counts as", "long"),
        Column("why", "Why", "long"),
    )
    rows = label_mapping["rows"] if label_mapping else ()
    return Table("mapping", f"Labels of {title} in the vocabulary of ChestX-ray14", columns, rows)


def boxes(size: str, rows: Figures) -> Table:
    """Heatmaps against boxes of one size, a row a finding.

    Args:
        size: of the boxes.
        rows: label to figures, see `summarise_maps`.
    """
    columns = (
        FINDING,
        Column("targets", "n", "count"),
        Column("peak_in_box", "peak in box", path="peak_in_box/heatmap"),
        Column("interval", "95 % interval", "interval"),
        *(Column(name, name, path=f"peak_in_box/{name}") for name in CONTROLS),
        Column("iou", "IoU>0.1", path="iou/0.1/share"),
        Column("iobb", "IoBB>0.5", path="iobb/0.5/share"),
    )
    shown = [{"finding": name} | row for name, row in rows.items()]
    return Table.of("boxes", f"Boxes: {size}", columns, shown)


def twins(rows: Figures) -> Table:
    """What heatmaps make of a drawn finding, a row a finding; see `summarise_twins`."""
    columns = (
        FINDING,
        Column("pairs", "n", "count"),
        Column("changed", "pixels changed", digits=2),
        Column("in_box", "in box", digits=2),
        Column("outside", "outside", digits=2),
        Column("logit", "logit", path="logit/value", digits=2, signed=True),
        Column("probability", "probability", path="probability/value", digits=2, signed=True),
        Column("explained", "explained", path="explained/value", digits=2),
        Column("explained_interval", "95 % interval", "interval", path="explained/interval"),
        Column("inside", "inside", path="inside/value", digits=2),
        Column("inside_interval", "95 % interval", "interval", path="inside/interval"),
        Column("touched", "chance", digits=2),
        Column("untrained", "untrained", path="controls/untrained", digits=2),
        Column("edges", "edges", path="controls/edges", digits=2),
        Column("logit_rank", "rank, logit", path="logit_rank/value", digits=2),
        Column("heat_rank", "rank, heat", path="heat_rank/value", digits=2),
    )
    shown = [{"finding": name} | dict(row) for name, row in rows.items()]
    return Table.of("twins", "Twins: drawn without and with a finding", columns, shown)


def twin_methods(rows: Figures) -> Table:
    """The share of the heat in touched cells, by each method and control; see `summarise_twins`."""
    columns = [FINDING]
    for name in next(iter(rows.values()))["methods"]:
        columns += [
            Column(name, name, path=f"methods/{name}/value", digits=2),
            replace(INTERVAL, key=f"{name}_interval", path=f"methods/{name}/interval", digits=2),
        ]
    shown = [{"finding": name} | dict(row) for name, row in rows.items()]
    return Table.of("twin_methods", "Heat inside, by method", columns, shown)


def facts(*parts: Figures) -> Table:
    """What is known of data, network and run, but for the labels' mapping; see `_flat`."""
    columns = (Column("name", "", "text"), Column("value", "", "text"))
    rows = [row for part in parts for row in _flat(part) if not row[0].startswith("label mapping")]
    return Table("facts", "What is known of it", columns, rows)


def _flat(about: Figures, above: str = "") -> Iterator[tuple[str, str]]:
    """Facts within facts as rows of name and value, for example (`weights: origin`, `imagenet`)."""
    for key, value in about.items():
        name = above + key.replace("_", " ")
        if isinstance(value, Mapping):
            yield from _flat(value, f"{name}: ")
        elif value is not None:
            parts = value if isinstance(value, (list, tuple)) else [value]
            yield name, ", ".join(map(str, parts))


def scorings(record: Sequence[Mapping[str, str]]) -> Table:
    """The record of scorings of a test list."""
    columns = [Column(key, key.replace("_", " "), "text") for key in record[0]]
    return Table.of("scorings", "Scorings, oldest first", columns, record)
