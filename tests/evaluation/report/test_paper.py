"""The tables for a paper: the figures of metrics.json, and files that LaTeX can read."""

import csv
import io
import json
import re
from dataclasses import replace

import pandas as pd
import pytest

from chexnet.evaluation.assessment import as_dict, assess
from chexnet.evaluation.calibration import fit_on
from chexnet.evaluation.expert_figures import experts_as_dict, score_experts
from chexnet.evaluation.experts import ExpertLabels
from chexnet.evaluation.intervals import Interval
from chexnet.evaluation.report import files, page
from chexnet.evaluation.report.checklists import BY_AUTHORS, REST_BY_AUTHORS, checklists, filled
from chexnet.evaluation.report.files import ReportImages, write_report
from chexnet.evaluation.report.page import report_html
from chexnet.evaluation.report.paper import paper_tables
from chexnet.evaluation.report.published import comparisons, published, with_reasons
from chexnet.evaluation.report.run_facts import Run, run_facts
from chexnet.evaluation.report.table_files import Column, Table, to_csv, to_latex, write_tables
from chexnet.evaluation.report.tables import format_interval, format_value
from chexnet.evaluation.scoring import Scored
from chexnet.evaluation.truths import ProtocolFigures
from chexnet.evaluation.truths import lists_as_dict as protocols_dict
from chexnet.labels import FINDINGS, spoken
from chexnet.metadata import Metadata
from chexnet.transforms import Preprocessing
from tests.evaluation.report.test_page import FACTS, simulated

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
    found = assess(scores, table, fit_on(simulated(240, 1)[0], "240 images"), replicates=20)
    answers = pd.DataFrame({"Target": scores.targets[:, 0] == 1}, index=scores.images)
    labels = ExpertLabels("rsna", answers, None, 0, ("labels.csv",))
    experts = [score_experts(found.calibrated, labels, table, "table.csv", 20)]
    protocols = [ProtocolFigures("official", 25596, 240, "", found.summary)]
    content = {
        **as_dict(found),
        "experts": experts_as_dict(experts),
        "protocols": protocols_dict(protocols),
        "made": MADE,
    }
    return Scored(scores, FACTS, [], table, found.chosen), found, experts, protocols, content


@pytest.fixture(scope="module")
def tables(run):
    scored, found, experts, protocols, content = run
    answers = filled(run_facts(Run(assessment=found, facts=scored.facts, experts=experts)))
    compared, apart = comparisons(protocols, False), with_reasons(protocols, False)
    made = paper_tables(content, compared, apart, answers)
    return {table.name: table for table in made}


def records(table) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(to_csv(table))))


def same(cell: str, value: float | None) -> bool:
    """Not rounded: a figure of the CSV is that of metrics.json in every digit."""
    return cell == "" if value is None else float(cell) == value


def ends_same(row: dict[str, str], key: str, interval: dict) -> bool:
    return all(same(row[f"{key}_{end}"], interval[end]) for end in ("low", "high"))


def test_the_csv_files_hold_the_figures_of_metrics_json_in_every_digit(run, tables):
    content = json.loads(json.dumps(run[-1]))
    rows = records(tables["findings"])
    assert [row["finding"] for row in rows] == [*sorted(FINDINGS), "No Finding"]
    for row in rows:
        one, calibration = content["classes"][row["finding"]], content["calibration"]
        assert int(row["positives"]) == one["positives"]
        assert same(row["auroc"], one["auroc"])
        assert same(row["average_precision"], one["average_precision"])
        assert same(row["p_of_chance_holm"], one["p_of_chance_holm"])
        assert same(row["ece_after"], calibration[row["finding"]]["ece_after"])
        assert ends_same(row, "auroc_interval", one["interval"])
        assert ends_same(row, "clustered_interval", one["clustered_interval"])
        assert ends_same(row, "average_precision_interval", one["average_precision_interval"])
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
        one = content["subgroups"][row["attribute"]][row["group"]]
        assert (int(row["images"]), int(row["patients"])) == (one["images"], one["patients"])
        assert same(row["auroc"], one["mean_auroc"]["findings"]["value"])


def test_radiologists_and_published_values_have_tables_of_their_own(run, tables):
    content = json.loads(json.dumps(run[-1]))
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
    compared = [one for one in published() if one.protocol == "official"]
    assert {row["table"] for row in rows} <= {one.name for one in compared}
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
    body = body.split("\\endfoot\n")[-1].split("\\bottomrule")[0].split("\\end{longtable}")[0]
    rows = [line.removesuffix(" \\\\") for line in body.strip().splitlines()]
    cells = [re.split(r"(?<!\\) & ", row) for row in rows]
    assert {len(row) for row in cells} == {columns}
    for row in cells:
        for cell in row:
            plain = re.sub(r"\$[-<]\$|\{\}", "", cell)
            assert not SPECIAL.search(plain), cell
    return cells


def test_the_latex_files_show_the_figures_as_the_page_does(run, tables):
    content = run[-1]
    for table in tables.values():
        assert len(latex_rows(to_latex(table, scored=HOSTILE))) == len(table.rows)
    text = to_latex(tables["findings"], scored="Scored: 240 images")
    assert "\\caption{Each finding: AUROC" in text
    assert "Scored: 240 images.}" in text
    assert "95 \\% interval" in text
    rows = {row[0]: row for row in latex_rows(text)}
    one = content["classes"]["Pleural_Thickening"]
    shown = rows[spoken("Pleural_Thickening")]
    assert shown[1] == f"{one['positives']:,}"
    assert shown[2] == format_value(one["auroc"])
    assert shown[3] == format_interval(one["interval"], between="--")
    assert rows["Hernia"][2:4] == ["n/a", "n/a"]
    assert "longtable" in to_latex(tables["checklist_tripod_ai"])


def test_names_from_files_stay_text_in_latex_and_negative_numbers_have_a_minus():
    columns = [Column("name", "100 % of_it", "text")]
    columns.append(Column("gain", "Gain", signed=True))
    columns.append(Column("span", "Span", "interval", signed=True))
    columns += [Column("p", "p", "p"), Column("q", "q", "p")]
    span = Interval(-0.25, 0.5).as_dict()
    text = to_latex(Table("a_b", HOSTILE, columns, [(HOSTILE, -0.125, span, 4e-9, 0.012)]))
    [row] = latex_rows(text)
    assert row[0] == (
        r"a\_b \& 50 \% of \$x\textasciicircum{}2\$ \#1 \{\textbackslash{}it\} \textasciitilde{} "
        r"\textless{}v\textgreater{} .csv"
    )
    assert row[1:] == ["$-$0.125", "$-$0.250 to +0.500", "$<$0.001", "0.012"]
    assert "\\label{tab:a-b}" in text
    assert "100 \\% of\\_it" in text


def test_a_leak_stands_in_every_file_and_name_and_nothing_is_written_where_one_fails(
    tables, tmp_path, monkeypatch
):
    chosen = [tables["findings"], tables["overall"]]
    told = write_tables(chosen, tmp_path, scored="x", stamp="LEAKY")
    assert told == "2 tables as CSV and LaTeX in tables"
    files = sorted((tmp_path / "tables").iterdir())
    assert [file.name for file in files] == [
        *("findings.LEAKY.csv", "findings.LEAKY.tex"),
        *("overall.LEAKY.csv", "overall.LEAKY.tex"),
    ]
    assert all("\\caption{LEAKY. " in f.read_text() for f in files if f.suffix == ".tex")
    broken = replace(tables["overall"], rows=[("too", "few")])
    with pytest.raises(ValueError, match="zip"):
        write_tables([tables["findings"], broken], tmp_path / "none", scored="x")
    assert not (tmp_path / "none").exists()


def test_a_report_is_written_whole_or_not_at_all(run, tmp_path, monkeypatch):
    scored, found, experts, protocols, content = run
    monkeypatch.setattr(page, "_plot", lambda *about, stamp: "data:image/png,")
    beside = {"content": content, "experts": experts, "protocols": protocols}
    with monkeypatch.context() as patch:
        patch.setattr(files, "paper_tables", lambda *about: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            write_report(scored, found, tmp_path, None, ReportImages(), **beside)
    assert not list(tmp_path.iterdir())
    told = write_report(scored, found, tmp_path, None, ReportImages(), **beside)
    assert told.startswith("report.html, model_card.md, 11 tables as CSV and LaTeX")
    assert {path.name for path in tmp_path.iterdir()} == {"report.html", "model_card.md", "tables"}
    names = {path.stem for path in (tmp_path / "tables").iterdir()}
    assert {"findings", "experts", "published", "checklist_claim_2024"} <= names
    caption = (
        "Test part of Data\\_Entry\\_2017.csv (split: official), 240 images of 120 patients, "
        "scored with best\\_chexnet\\_params.pth.}"
    )
    assert caption in (tmp_path / "tables" / "overall.tex").read_text()
    shown = (tmp_path / "report.html").read_text()
    assert "TRIPOD+AI: this run says something of" in shown
    assert "doi.org/10.1148/ryai.240300" in shown


def test_the_checklists_have_the_items_of_their_sources():
    tripod, claim = checklists()
    numbers = [item.number for item in tripod.items]
    assert (tripod.name, len(numbers)) == ("TRIPOD+AI", 52)
    assert list(dict.fromkeys(int(n.rstrip("abcdefg")) for n in numbers)) == list(range(1, 28))
    assert [item.number for item in claim.items] == [str(n) for n in range(1, 45)]
    for one in (tripod, claim):
        assert "https://doi.org/" in one.source
        assert "https://" in one.read
        assert all(item.facts or not item.whole for item in one.items)


def test_every_fact_that_an_item_names_is_one_that_a_run_gives_and_none_is_in_vain(run):
    scored, found, *_ = run
    known = set(run_facts(Run(assessment=found, facts=scored.facts)))
    named = {fact for one in checklists() for item in one.items for fact in item.facts}
    assert named == known


OWN = Metadata(
    {name: place for place, name in enumerate(FINDINGS)},
    Preprocessing(crop=87.5, size=224),
    {
        "data": {"table": FACTS.table, "images": {"train": 1411, "val": 174}, "drawn": {}},
        "config": {"recipe": "strong", "epochs": 12, "lr": 0.001, "seed": 3},
        "origin": "imagenet",
        "epoch": 7,
        **MADE,
    },
)


def answers_of(about: Run) -> dict[tuple[str, str], str]:
    return {
        (one.checklist.key, answer.item.number): answer.text
        for one in filled(run_facts(about))
        for answer in one.answers
    }


def test_an_item_is_filled_where_the_run_knows_it_and_left_to_the_authors_where_not(run):
    _, found, experts, *_ = run
    own = answers_of(
        Run(assessment=found, facts=FACTS, made=MADE, metadata=OWN, experts=experts, compared=True)
    )
    assert own["claim_2024", "26"].startswith("Epoch 7 of 12: the greatest mean AUROC")
    assert REST_BY_AUTHORS not in own["claim_2024", "26"]  # nothing of that is left
    assert "The central 87.5 % of each side" in own["claim_2024", "9"]
    assert own["claim_2024", "20"].startswith("By patient: neither an image nor a patient")
    assert "official lists" in own["claim_2024", "19"]
    assert own["claim_2024", "19"].endswith(REST_BY_AUTHORS)
    assert "Trained on 1,411 images, validated on 174" in own["tripod_ai", "21"]
    mean = found.summary.findings.value
    assert f"13 of 14 findings {mean:.3f} (95 % interval" in own["tripod_ai", "23a"]
    assert "RSNA 2018" in own["claim_2024", "16"]
    assert "chexnet 0.1.0 (abc)" in own["tripod_ai", "18f"]
    for number in ("17", "18a", "18b", "18c", "18d", "19", "27a"):
        assert own["tripod_ai", number] == BY_AUTHORS
    # Of a file of predictions the same run knows no training, no network and no input.
    facts = replace(FACTS, weights=None, predictions="theirs.csv")
    theirs = answers_of(Run(assessment=found, facts=facts, made=MADE))
    for number in ("9", "18", "20", "22", "24", "25", "26", "27", "31", "32", "33"):
        expected = BY_AUTHORS if number != "22" else theirs["claim_2024", "22"]
        assert theirs["claim_2024", number] == expected
    assert theirs["tripod_ai", "12g"].startswith("Read from theirs.csv")
    leaky = answers_of(Run(assessment=found, facts=replace(FACTS, leaky=True), made=MADE))
    assert leaky["claim_2024", "20"].startswith("Not by patient")
    mapping = {"title": "Elsewhere", "labelled_by": "Three radiologists.", "rows": [], "notes": []}
    facts = replace(FACTS, dataset="elsewhere", label_version="unknown", label_mapping=mapping)
    other = answers_of(Run(assessment=found, facts=facts, made=MADE))
    assert other["claim_2024", "33"].startswith("Scored on Elsewhere, another data set than")
    assert "Elsewhere (Data_Entry_2017.csv): Three radiologists." in other["claim_2024", "16"]
    assert other["tripod_ai", "6a"] == BY_AUTHORS  # nothing is known of its hospitals
    drawn = answers_of(Run(assessment=found, facts=replace(FACTS, phantoms=True), made=MADE))
    assert "Drawn phantoms" in drawn["claim_2024", "14"]
    assert drawn["tripod_ai", "6a"] == BY_AUTHORS  # no hospital


def test_the_page_marks_what_the_authors_must_state(run, monkeypatch):
    scored, found, *_ = run
    monkeypatch.setattr(page, "_plot", lambda *about, stamp: "data:image/png,")
    made = filled(run_facts(Run(assessment=found, facts=FACTS)))
    shown = report_html(found, scored.scores, replace(FACTS, leaky=True), checklists=made)
    assert shown.count(BY_AUTHORS) == sum(len(one.answers) - one.by_run for one in made)
    assert shown.count("<caption>") == shown.count('<caption><b class="leak">LEAKY</b>')
    assert "checklists" not in report_html(found, scored.scores, FACTS)
