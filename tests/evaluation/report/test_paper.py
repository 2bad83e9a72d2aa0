"""The tables for a paper: the figures of metrics.json, and files that LaTeX can read."""

import csv
import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from chexnet.evaluation.assessment import assess
from chexnet.evaluation.calibration import fit_on
from chexnet.evaluation.expert_scores import score_experts
from chexnet.evaluation.experts import ExpertLabels
from chexnet.evaluation.intervals import Interval
from chexnet.evaluation.report import files, page
from chexnet.evaluation.report.files import ReportImages, paper_tables, write_report
from chexnet.evaluation.report.page import Report
from chexnet.evaluation.report.published import published, published_tables
from chexnet.evaluation.report.render import (
    Column,
    Table,
    format_interval,
    format_value,
    to_csv,
    to_latex,
)
from chexnet.evaluation.scoring import Scored
from chexnet.files import plain
from chexnet.labels import FINDINGS, spoken
from tests.evaluation.report.test_page import FACTS, list_figures, simulated

HOSTILE = "a_b & 50 % of $x^2$ #1 {\\it} ~ <v>\n.csv"
MADE = {"code": "0.1.0 (abc)", "python": "3.11", "torch": "2.15", "date": "2026-11-28"}


@pytest.fixture(scope="module")
def run():
    """Scores with everything that a report can hold: experts, published values, thresholds."""
    scores, table = simulated(240)
    table = table.assign(patient=scores.patients)
    table["labels"] = [
        tuple(name for name, held in zip(scores.classes, row, strict=True) if held)
        for row in scores.targets
    ]
    assessment = assess(scores, table, fit_on(simulated(240, 1)[0], "240 images"), replicates=20)
    answers = pd.DataFrame({"Target": scores.targets[:, 0] == 1}, index=scores.images)
    labels = ExpertLabels("rsna", answers, None, 0, ("labels.csv",))
    experts = score_experts(labels, table, "table.csv", assessment.calibrated, replicates=20)
    content = {
        **assessment.content,
        "experts": plain({"rsna": experts}),
        "protocols": {
            "official": plain(list_figures("official", 25596, 240, None, assessment.summary))
        },
        "facts": plain(FACTS),
        "made": MADE,
    }
    return Report(scored=Scored(scores, FACTS, [], table), assessment=assessment, content=content)


@pytest.fixture(scope="module")
def tables(run):
    made = paper_tables(run.content) + published_tables(run.content["protocols"], False)
    return {table.name: table for table in made}


def records(table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def same(cell: str, value: float | None) -> bool:
    """Not rounded: a figure of the CSV is that of metrics.json in every digit."""
    return cell == "" if value is None else float(cell) == value


def ends_same(row: dict[str, str], key: str, interval: dict) -> bool:
    return all(same(row[f"{key}_{end}"], interval[end]) for end in ("low", "high"))


def test_the_csv_files_hold_the_figures_of_metrics_json_in_every_digit(run, tables):
    content = json.loads(json.dumps(run.content))
    rows = records(tables["findings"])
    assert [row["finding"] for row in rows] == [*sorted(FINDINGS), "No Finding"]
    for row in rows:
        figures, calibration = content["classes"][row["finding"]], content["calibration"]
        assert int(row["positives"]) == figures["positives"]
        assert same(row["auroc"], figures["auroc"])
        assert same(row["average_precision"], figures["average_precision"])
        assert same(row["p_of_chance_holm"], figures["p_of_chance_holm"])
        assert same(row["ece_after"], calibration[row["finding"]]["ece_after"])
        assert ends_same(row, "auroc_interval", figures["interval"])
        assert ends_same(row, "clustered_interval", figures["clustered_interval"])
        assert ends_same(row, "average_precision_interval", figures["average_precision_interval"])
    assert rows[[row["finding"] for row in rows].index("Hernia")]["auroc"] == ""  # nowhere
    means = {row["mean_of"]: row for row in records(tables["overall"])}
    for title, key in (("of the findings", "findings"), ("of all rows", "rows")):
        mean = content["mean_auroc"][key]
        assert same(means[title]["auroc"], mean["value"])
        assert ends_same(means[title], "auroc_interval", mean["interval"])
        assert (int(means[title]["defined"]), int(means[title]["classes"])) == (
            mean["of"],
            mean["all"],
        )
    assert "of the findings, NIH's official test list" in means
    points = content["operating_points"]["youden"]
    for row in records(tables["operating_points"]):
        point = points.pop(row["finding"])
        assert same(row["threshold"], point["threshold"])
        for measure in ("sensitivity", "specificity", "ppv", "npv", "f1"):
            assert same(row[measure], point[measure]["value"])
            assert ends_same(row, f"{measure}_interval", point[measure]["interval"])
    assert not points
    groups = records(tables["subgroups"])
    assert len(groups) == sum(map(len, content["subgroups"].values()))
    for row in groups:
        figures = content["subgroups"][row["attribute"]][row["group"]]
        assert (int(row["images"]), int(row["patients"])) == (
            figures["images"],
            figures["patients"],
        )
        assert same(row["auroc"], figures["mean_auroc"]["findings"]["value"])


def test_radiologists_and_published_values_have_tables_of_their_own(run, tables):
    content = json.loads(json.dumps(run.content))
    first = content["experts"]["rsna"]["rows"][0]
    for row, truth in zip(records(tables["experts"])[:2], ("experts", "text_label"), strict=True):
        assert (row["readers"], row["asked"], row["findings"]) == (
            "RSNA 2018",
            "Target",
            "Pneumonia",
        )
        assert same(row["auroc"], first[truth]["auroc"])
        assert ends_same(row, "auroc_interval", first[truth]["interval"])
        assert same(row["brier"], first[truth]["brier"])
    gap = records(tables["experts_differences"])[0]
    assert same(gap["auroc_difference"], first["difference"]["auroc"])
    text = records(tables["text_label"])[0]
    assert same(text["npv"], first["text_label_against_experts"]["npv"]["value"])
    rows = records(tables["published"])
    compared = [table for table in published() if table["protocol"] == "official"]
    assert {row["table"] for row in rows} <= {table["name"] for table in compared}
    for row in rows:
        low, high, value = (row[k] for k in ("auroc_interval_low", "auroc_interval_high", "where"))
        given = float(row["published_auroc"])
        where = (
            "above"
            if low and given > float(high)
            else "below"
            if low and given < float(low)
            else "inside"
        )
        assert value == (where if low else "n/a")
    assert len(records(tables["published_tables"])) == len(published())


SPECIAL = re.compile(r"(?<!\\)[&%$#_{}~^]")


def latex_rows(text: str) -> list[list[str]]:
    """The cells of a table's body; checks what LaTeX would stumble over."""
    assert text.count("{") - text.count(r"\{") == text.count("}") - text.count(r"\}")
    opened = re.findall(r"\\begin\{(\w+)\}", text)
    assert opened == re.findall(r"\\end\{(\w+)\}", text)[::-1]
    [form] = re.findall(r"\\begin\{(?:tabular|longtable)\}\{((?:[lr]|p\{[^}]*\})+)\}", text)
    columns = len(re.sub(r"p\{[^}]*\}", "p", form))
    body = text.split("\\midrule\n")[-1]
    body = body.split("\\endlastfoot\n")[-1].split("\\bottomrule")[0].split("\\end{longtable}")[0]
    rows = [line.removesuffix(" \\\\") for line in body.strip().splitlines()]
    cells = [re.split(r"(?<!\\) & ", row) for row in rows]
    assert {len(row) for row in cells} == {columns}
    for row in cells:
        for cell in row:
            plain = re.sub(r"\$[-<]\$|\{\}", "", cell)
            assert not SPECIAL.search(plain), cell
    return cells


def test_the_latex_files_show_the_figures_as_the_page_does(run, tables):
    content = run.content
    for table in tables.values():
        assert len(latex_rows(to_latex(table, scored=HOSTILE))) == len(table.rows)
    text = to_latex(tables["findings"], scored="Scored: 240 images")
    assert "\\caption{Each finding: AUROC" in text
    assert "Scored: 240 images.}" in text
    assert "95 \\% interval" in text
    rows = {row[0]: row for row in latex_rows(text)}
    figures = content["classes"]["Pleural_Thickening"]
    shown = rows[spoken("Pleural_Thickening")]
    assert shown[1] == f"{figures['positives']:,}"
    assert shown[2] == format_value(figures["auroc"])
    assert shown[3] == format_interval(figures["interval"], between="--")
    assert rows["Hernia"][2:4] == ["n/a", "n/a"]
    many = replace(tables["findings"], rows=[*tables["findings"].rows] * 3)
    assert len(latex_rows(to_latex(many))) == 45
    assert "longtable" in to_latex(many)


def test_names_from_files_stay_text_in_latex_and_negative_numbers_have_a_minus():
    columns = [Column("name", "100 % of_it", "text")]
    columns.append(Column("gain", "Gain", signed=True))
    columns.append(Column("span", "Span", "interval", signed=True))
    columns += [Column("p", "p", "p"), Column("q", "q", "p")]
    span = plain(Interval(-0.25, 0.5))
    text = to_latex(Table("a_b", HOSTILE, columns, [(HOSTILE, -0.125, span, 4e-9, 0.012)]))
    [row] = latex_rows(text)
    assert row[0] == (
        r"a\_b \& 50 \% of \$x\textasciicircum{}2\$ \#1 \{\textbackslash{}it\} \textasciitilde{} "
        r"\textless{}v\textgreater{} .csv"
    )
    assert row[1:] == ["$-$0.125", "$-$0.250 to +0.500", "$<$0.001", "0.012"]
    assert "\\label{tab:a-b}" in text
    assert "100 \\% of\\_it" in text


def test_a_leak_stands_in_every_file_and_name(run, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_plot", lambda *about, stamp: "data:image/png,")
    facts = replace(FACTS, leaky=True)
    leaky = replace(run, scored=replace(run.scored, facts=facts))
    write_report(leaky, tmp_path, ReportImages())
    made = sorted((tmp_path / "tables").iterdir())
    assert {"findings.LEAKY.csv", "overall.LEAKY.tex"} <= {file.name for file in made}
    assert all(file.stem.endswith(".LEAKY") for file in made)
    assert all("\\caption{LEAKY. " in f.read_text() for f in made if f.suffix == ".tex")


def test_a_report_is_written_whole_or_not_at_all(run, tmp_path, monkeypatch):
    monkeypatch.setattr(page, "_plot", lambda *about, stamp: "data:image/png,")
    with monkeypatch.context() as patch:
        patch.setattr(files, "to_latex", lambda *about, **more: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_report(run, tmp_path, ReportImages())
    assert not list(tmp_path.iterdir())
    told = write_report(run, tmp_path, ReportImages())
    assert told == "report.html, model_card.md, 9 tables as CSV and LaTeX in tables"
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "model_card.md", "tables"}
    names = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert {"findings", "experts", "published"} <= names
    caption = (
        "Test part of Data\\_Entry\\_2017.csv (split: official), 240 images of 120 patients, "
        "scored with best\\_chexnet\\_params.pth.}"
    )
    assert caption in (tmp_path / "tables" / "overall.tex").read_text()
