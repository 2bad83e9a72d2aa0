"""Networks beside each other: two files of predictions, or several networks by their weights."""

from collections.abc import Sequence
from dataclasses import replace

from chexnet.data.splits import LEAKY
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.report import sentences, tables, terminal
from chexnet.evaluation.report.page import environment
from chexnet.evaluation.report.render import Column, Table, to_text
from chexnet.evaluation.scores import Figures
from chexnet.labels import spoken


def differences_table(figures: Figures) -> Table:
    """A less B of each class, the mean last; of what `compare.as_dict` gives."""
    columns = (
        replace(tables.FINDING, title="A less B"),
        Column("a", "A"),
        Column("b", "B"),
        Column("difference", "A-B", signed=True),
        Column("interval", "95 % interval", "interval", signed=True),
        tables.P,
        Column(tables.DETECTABLE, "Detectable"),
    )
    rows = [{"finding": name} | row for name, row in figures.items()]
    return Table.of("differences", "A less B, paired by patient", columns, rows)


def side_by_side(content: Figures) -> Table:
    """A row a network and class, and one for the mean: the command's CSV.

    Args:
        content: see `compare_networks`.
    """
    columns = (
        Column("network", "Network", "text"),
        Column("label", "Finding", "label"),
        tables.POSITIVES,
        tables.AUROC,
        Column("", "95 % interval", "interval", path="interval"),
        Column("difference_to_first", "Difference", signed=True, path="gap/difference"),
        Column("difference", "95 % interval", "interval", signed=True, path="gap/interval"),
        replace(tables.P, path="gap/p"),
        Column("published", "Published"),
        Column("stamps", "Stamps", "text"),
    )
    rows = []
    for network in content["networks"]:
        mean, stamps = network["mean_auroc"]["findings"], "; ".join(network["stamps"])
        mean = mean | {"auroc": mean["value"], "published": network["published"]}
        for name, figures in [*network["classes"].items(), (tables.MEAN, mean)]:
            gap = (network["against_first"] or {}).get(name)
            about = {"network": network["name"], "label": name, "stamps": stamps, "gap": gap}
            rows.append(about | figures)
    return Table.of("comparison", "Each network and finding", columns, rows)


def networks(content: Figures) -> Table:
    """The mean of each network, and its difference to the first."""
    less = f"less {content['networks'][0]['name']}"
    columns = (
        Column("network", "Network", "text", path="name"),
        Column("stamps", "Stamps", "text", small=""),
        Column("auroc", "mean AUROC", digits=4, path="value"),
        replace(tables.INTERVAL, digits=4),
        Column("difference", less, digits=4, signed=True, path="gap/difference"),
        Column("gap", "95 % interval", "interval", 4, signed=True, path="gap/interval"),
        replace(tables.P, path="gap/p"),
        Column("p_holm", "p (Holm)", "p"),
        Column("published", "published"),
        Column("chosen", "epoch chosen on", "text"),
    )
    blank = dict.fromkeys(("difference", "interval", "p"), "")
    rows = []
    for network in content["networks"]:
        gap = (network["against_first"] or {}).get(tables.MEAN)
        imported = (network["facts"].get("weights") or {}).get("imported")
        chosen = (network["chosen_on"] or "not stated") if imported else "its own validation part"
        about = {"stamps": "; ".join(network["stamps"]), "chosen": chosen, "gap": gap or blank}
        about |= {} if gap else {"p_holm": ""}
        rows.append(network | network["mean_auroc"]["findings"] | about)
    caption = "Each network, and its difference to the first"
    return Table.of("networks", caption, columns, rows)


def networks_findings(content: Figures) -> Table:
    """Each finding's AUROC by each network, with its difference to the first."""
    columns, scored = [tables.FINDING, tables.POSITIVES], content["networks"]
    for place, network in enumerate(scored):
        gap = f"{place}/gap"
        columns += [
            replace(tables.AUROC, title=network["name"], path=f"{place}/auroc"),
            replace(tables.INTERVAL, small="", path=f"{place}/interval"),
            Column("gap", "gap", signed=True, small="less first:", path=f"{gap}/difference"),
            replace(tables.P, small="p", path=f"{gap}/p"),
        ]
    rows = []
    for name in tables.in_order(content["classes"]):
        row = {"finding": name, "positives": scored[0]["classes"][name]["positives"]}
        for place, network in enumerate(scored):
            less = {"gap": (network["against_first"] or {}).get(name)}
            row[str(place)] = network["classes"][name] | less
        rows.append(row)
    caption = "AUROC with its 95 % interval; below, the difference to the first network and its p"
    return Table.of("networks_findings", caption, columns, rows)


def named_differences(differences: Figures) -> str:
    """Which findings two networks differ in, for all at once; of what `compare.as_dict` gives."""
    adjusted = {name: row["p_holm"] for name, row in differences.items()}
    tested = {name: p for name, p in adjusted.items() if p is not None}
    names = ", ".join(sorted(spoken(name) for name, p in tested.items() if p < 0.05)) or "none"
    return f"Differ at 5 %, corrected for {len(tested)} findings at once (Holm): {names}."


def side_by_side_scored(content: Figures) -> str:
    """Which images several networks were scored on; of `compare_networks`."""
    return (
        f"{content['images']:,} of {content['images_of_part']:,} images of the {content['part']} "
        f"part, of {content['networks'][0]['patients']:,} patients: those of which none of the "
        f"{len(content['networks'])} networks has seen the image or the patient."
    )


def side_by_side_notes(content: Figures) -> list[str]:
    """What must be known to read the tables of several networks."""
    first = content["networks"][0]
    said = [
        f"Means are over {first['mean_auroc']['findings']['of']} findings that all networks know "
        "and that have a positive and a negative here. Intervals: "
        f"{content['replicates']:,} bootstrap draws of patients, the same for all.",
        f"Differences are a network's AUROC less that of {first['name']}, paired over patients; p "
        "two-sided. Holm's p is corrected for the number of networks; the p-values of single "
        "findings are not.",
        "Published figures are of other images and stand beside, not against, the figures here.",
    ]
    if content["classes_left_out"]:
        left_out = ", ".join(content["classes_left_out"])
        said.append(f"Classes that not all networks have: {left_out}.")
    return said


def comparison_text(differences: Figures) -> str:
    """One row a class, the mean last; see `differences_table`."""
    return "\n".join(
        [
            to_text(differences_table(differences), terminal.DIGITS),
            "Both scored under the same draws of patients; p two-sided, of each row by itself.",
            sentences.DETECTABLE,
            named_differences(differences),
        ]
    )


def side_by_side_text(content: Figures, facts: Sequence[ScoringInfo]) -> str:
    """Several networks beside each other.

    Args:
        content: see `compare_networks`.
        facts: of each network's scoring.
    """
    lines = [side_by_side_scored(content), *content["notes"], ""]
    lines += [to_text(networks(content)), ""]
    for network, about in zip(content["networks"], facts, strict=True):
        said = [f"trained on: {about.weights.trained_on}"] if about.weights else []
        if network["published"] is not None:
            source = network["published_source"] or "source not stated"
            said.append(f"published {network['published']} ({source})")
        lines.append(f"{network['name']}: {'; '.join(said)}.")
    lines += terminal.stamped(
        stamp for network in content["networks"] for stamp in network["stamps"]
    )
    table = networks_findings(content)
    notes = side_by_side_notes(content)
    return "\n".join([*lines, "", to_text(table.main(), terminal.DIGITS), "", *notes])


def side_by_side_html(content: Figures, facts: Sequence[ScoringInfo], made: Figures) -> str:
    """A page of several networks on the images that none of them has seen.

    Args:
        content: see `compare_networks`.
        facts: of each network's scoring.
        made: see `surroundings`.
    """
    stamps = dict.fromkeys(stamp for network in content["networks"] for stamp in network["stamps"])
    template = environment(autoescape=True).get_template("side_by_side.html.jinja")
    return template.render(
        content=content,
        made=made,
        stamp=LEAKY if LEAKY in stamps else "",
        stamps=list(stamps),
        facts=facts,
        scored=side_by_side_scored(content),
        means=networks(content),
        findings=networks_findings(content),
        notes=side_by_side_notes(content),
    )
