import base64
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser
from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chexnet.evaluation.assessment import Assessment, assess
from chexnet.evaluation.boxes import BoxedFinding
from chexnet.evaluation.calibration import RULES, fit_on
from chexnet.evaluation.info import ScoringInfo, WeightsInfo
from chexnet.evaluation.intervals import Interval
from chexnet.evaluation.metrics import roc
from chexnet.evaluation.operating import MEASURES
from chexnet.evaluation.report import page as report
from chexnet.evaluation.report.cases import wrong_places
from chexnet.evaluation.report.files import read_twins
from chexnet.evaluation.report.page import Report, model_card, report_html
from chexnet.evaluation.report.plots import _corners
from chexnet.evaluation.report.published import published
from chexnet.evaluation.report.sentences import limits
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.scoring import Scored
from chexnet.evaluation.truths import LIST_TITLES
from chexnet.files import plain
from chexnet.labels import FINDINGS, NO_FINDING, spoken

CLASSES = [*FINDINGS, NO_FINDING]
HOSTILE = '<script>alert("x")</script>|*`.png'
FACTS = ScoringInfo(
    table="Data_Entry_2017.csv",
    label_version="2017",
    split="official",
    split_seed=0,
    leaky=False,
    phantoms=False,
    images_in_table=112120,
    images_present=1693,
    images_unreadable=0,
    fingerprints={"train": "0" * 16, "val": "1" * 16, "test": "feedc0de12345678"},
    images={"train": 1411, "val": 174, "test": 108},
    part="test",
    weights=WeightsInfo(
        file="best_chexnet_params.pth",
        trained_on="Data_Entry_2017.csv",
        train_fingerprint="0" * 16,
        epoch=7,
        origin="none",
        date="2026-11-22T20:00:00+00:00",
        code="0.1.0",
    ),
)


def simulated(count: int = 500, seed: int = 0) -> tuple[Scores, pd.DataFrame]:
    """Fair answers; Hernia is nowhere, and one file has a hostile name."""
    random = np.random.default_rng(seed)
    names = [f"{n:08d}_000.png" for n in range(count)]
    names[3] = HOSTILE
    share = np.where(np.array(CLASSES) == "Hernia", 0, 0.2)
    targets = (random.random((count, len(CLASSES))) < share).astype(np.int8)
    given = 1 / (1 + np.exp(2 - 1.5 * targets - random.normal(size=targets.shape)))
    table = pd.DataFrame(
        {
            "image": names,
            "sex": random.choice(["F", "M"], count),
            "age": random.choice([30.0, 61.0], count),
            "view": random.choice(["PA", "AP"], count),
        }
    )
    # The hostile image is the worst error of a class, so that the list of errors shows it.
    targets[3, CLASSES.index("Mass")], given[3, CLASSES.index("Mass")] = 0, 0.999999
    return Scores(names, [str(n // 2) for n in range(count)], CLASSES, given, targets), table


@pytest.fixture(scope="module")
def scored() -> tuple[Scores, Assessment]:
    scores, table = simulated()
    chosen = fit_on(simulated(seed=1)[0], "500 validation images")
    prevalence = {"Pneumonia": 0.031}
    return scores, assess(scores, table, chosen, prevalence=prevalence, replicates=60)


def report_of(
    scores: Scores,
    assessment: Assessment,
    facts: ScoringInfo = FACTS,
    *,
    notes: tuple[str, ...] = (),
    protocols: dict | None = None,
    **parts,
) -> Report:
    """A report of what the command would have at hand."""
    content = {**assessment.content, "facts": plain(facts), **parts.pop("content", {})}
    if protocols:
        content["protocols"] = plain(protocols)
    scored = Scored(scores, facts, list(notes), pd.DataFrame())
    return Report(scored=scored, assessment=assessment, content=content, **parts)


@pytest.fixture
def undrawn(scored, monkeypatch) -> tuple[Scores, Assessment]:
    """The same for pages whose plots nobody looks at; drawing them is what takes time."""
    monkeypatch.setattr(report, "_plot", lambda *about, stamp: f"data:image/png,{stamp}")
    return scored


@pytest.fixture(scope="module")
def page(scored) -> str:
    return report_html(report_of(*scored, record=[]))


class Reader(HTMLParser):
    """Checks that what is opened is closed; keeps text, tags and the cells of the tables."""

    EMPTY = frozenset({"meta", "img", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.open, self.tags, self.words = [], [], []
        self.tables: dict[str, list[list[str]]] = {}
        self.caption = ""
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))
        if tag not in self.EMPTY:
            self.open.append(tag)
        if tag == "caption":
            self.caption = ""
        if tag == "tr":
            self.tables.setdefault(" ".join(self.caption.split()), []).append([])
        if tag in ("td", "th"):
            self.rows[-1].append("")

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)
        if "caption" in self.open:
            self.caption += data
        elif {"td", "th"} & set(self.open):
            self.rows[-1][-1] += data if "small" not in self.open else f" {data}"

    @property
    def rows(self) -> list[list[str]]:
        return self.tables[" ".join(self.caption.split())]

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def row(self, caption: str, name: str) -> list[str]:
        table = next(rows for title, rows in self.tables.items() if caption in title)
        return next(row for row in table if row[0] == name)


def three(value: float | None) -> str:
    return "n/a" if value is None or np.isnan(value) else f"{value:.3f}"


def span(interval: Interval | dict) -> str:
    low, high = plain(interval)["low"], plain(interval)["high"]
    return "n/a" if low is None else f"{low:.3f}\u2013{high:.3f}"


def test_the_page_is_whole_and_asks_no_other_host(page):
    for tag, attributes in Reader(page).tags:
        assert tag not in ("script", "link", "iframe", "object", "form")
        for name in ("src", "href", "srcset", "data", "action"):
            assert attributes.get(name, "#").startswith(("#", "data:image/")), attributes
    style = re.search(r"<style>(.*?)</style>", page, re.DOTALL)[1]
    assert "url(" not in style
    assert "@import" not in style
    assert "default-src 'none'" in page


def test_three_plots_are_drawn_into_the_page(page):
    shown = [a for tag, a in Reader(page).tags if tag == "img" and a.get("class") == "plot"]
    for attributes in shown:
        picture = base64.b64decode(attributes["src"].removeprefix("data:image/png;base64,"))
        assert min(Image.open(io.BytesIO(picture)).size) > 500
        assert attributes["alt"]
    assert len(shown) == 3


def test_a_thinned_roc_curve_is_the_same_line():
    scores, _ = simulated()
    fpr, tpr, _ = roc(scores.probabilities[:, 0].round(2), scores.targets[:, 0])
    x, y = _corners(fpr, tpr)
    assert len(x) < len(fpr)
    steps = np.linspace(0, 1, 997)[1:-1]  # beside the corners, where a curve has two values
    np.testing.assert_allclose(np.interp(steps, x, y), np.interp(steps, fpr, tpr), atol=1e-6)
    assert np.trapezoid(y, x) == pytest.approx(np.trapezoid(tpr, fpr), abs=1e-6)


def test_the_first_words_say_that_it_is_not_for_the_clinic(page):
    body = Reader(page[page.index("<body") :].removesuffix("</html>\n").removesuffix("</html>"))
    assert body.text.startswith("Research and education only, never for clinical use.")


def test_the_tables_hold_the_figures_of_every_class(scored, page):
    assessment, reader = scored[1], Reader(page)
    summary = assessment.summary
    for column, name in enumerate(CLASSES):
        _, positives, value, interval, precision, *_ = reader.row("AUROC and", spoken(name))
        ap_interval = summary.intervals.average_precision[name]
        assert int(positives) == summary.positives[column]
        assert value == three(summary.auroc[column])
        assert interval == span(summary.intervals.classes[name])
        assert precision == f"{three(summary.average_precision[column])} {span(ap_interval)}"
        errors = assessment.content["calibration"][name]
        keys = ("ece_before", "ece_after", "brier_before", "brier_after")
        expected = [f"{errors[key]:.4f}" for key in keys]
        assert reader.row("Expected calibration error", spoken(name))[1:5] == expected
    for rule in RULES:
        for name, point in assessment.content["operating_points"][rule].items():
            cells = reader.row(f"({rule})", spoken(name))
            assert cells[1] == f"{point['threshold']:.4f}"
            shown = [f"{three(point[m]['value'])} {span(point[m]['interval'])}" for m in MEASURES]
            assert cells[2:-1] == shown
    for attribute, groups in assessment.content["subgroups"].items():
        for place, (group, figures) in enumerate(groups.items()):
            cells = {name: reader.row(f"AUROC by {attribute}", spoken(name)) for name in CLASSES}
            for name, row in cells.items():
                assert row[place + 1].startswith(three(figures["classes"][name]["auroc"])), group
            mean = figures["mean_auroc"]["findings"]
            shown = reader.row(f"AUROC by {attribute}", "Mean of the findings")[place + 1]
            assert shown.startswith(f"{three(mean['value'])} {span(mean['interval'])}")


def test_a_class_without_positives_is_not_available(page):
    reader = Reader(page)
    cells = reader.row("AUROC and", "Hernia")
    assert cells[1:5] == ["0", "n/a", "n/a", "n/a n/a"]
    assert set(reader.row("(youden)", "Hernia")[1:-1]) == {"n/a", "n/a n/a"}
    assert reader.row("AUROC and", "Mean of the findings")[1] == "13 of 14"


def test_shared_calibration_and_a_given_prevalence_are_named(scored, page):
    reader = Reader(page)
    errors = scored[1].content["calibration"]
    pooled = {name for name, figures in errors.items() if figures["pooled"]}
    assert pooled == {"Hernia"}
    assert reader.row("Expected calibration error", "Hernia")[-1] == "pooled"
    assert reader.row("Expected calibration error", "Mass")[-1] == "by itself"
    assert reader.row("(f1)", "Pneumonia")[-1] == "0.031*"


def own_figures(assessment, reason_2017="the network has seen 9 of its images"):
    """A run on some images of the official list, whose network has seen the other list."""
    return {
        "official": list_figures("official", 25_596, 500, None, assessment.summary),
        "2017": list_figures("2017", 22_433, 100, reason_2017, None),
    }


def list_figures(key, size, scored, reason, figures):
    """What `protocol_figures` says of one list."""
    counts = {"title": LIST_TITLES[key], "images_of_list": size, "images_scored": scored}
    return {**counts, "reason": reason, "figures": figures}


def test_published_values_stand_beside_figures_of_the_same_list_alone(undrawn):
    assessment = undrawn[1]
    intervals = assessment.summary.intervals
    text = report_html(report_of(*undrawn, protocols=own_figures(assessment)))
    reader = Reader(text)
    same = [table for table in published() if table["protocol"] == "official"]
    heads = reader.row("On NIH's official test list: this run (500 of 25,596", "Finding")
    assert [head.split(" epoch")[0] for head in heads[4:]] == [table["name"] for table in same]
    row = reader.row("On NIH's official test list", "Cardiomegaly")
    assert row[2] == span(intervals.classes["Cardiomegaly"])
    for table, cell in zip(same, row[4:], strict=True):
        value = table["auroc"].get("Cardiomegaly")
        interval = intervals.classes["Cardiomegaly"]
        if value is None:
            assert cell == "n/a"
        else:
            places = {"above": value > interval.high, "below": value < interval.low}
            where = next((name for name, true in places.items() if true), "inside")
            assert cell == f"{value:.3f} {where}"
    reasons = {
        row[0]: row[-2]
        for row in reader.tables["Every published table, and why one is not compared with this run"]
    }
    assert reasons["SwinCheX"] == ""
    assert "list of test images was not published" in reasons["CheXNet 2017 (v3)"]
    assert "the network has seen 9 of its images" in reasons["zoogzog/chexnet"]
    lists = reader.row("Two lists of test images", "test list of arnoweng/CheXNet (2017)")
    assert lists[1:] == ["100 of 22,433", "", "blank: the network has seen 9 of its images"]
    # Nothing is compared with figures that leak.
    leaky = replace(FACTS, leaky=True)
    page = report_html(report_of(*undrawn, leaky, protocols=own_figures(assessment)))
    assert "published values of the same list" not in page


def test_figures_of_phantoms_are_not_put_beside_figures_of_radiographs(undrawn):
    text = Reader(report_html(report_of(*undrawn, replace(FACTS, phantoms=True)))).text
    assert "Drawn phantoms, not patients" in text
    assert published()[0]["name"] not in text


def test_names_from_files_are_shown_and_do_nothing(undrawn, page):
    reader = Reader(page)
    assert HOSTILE in reader.text
    assert not any(tag == "script" for tag, _ in reader.tags)
    facts = replace(FACTS, table=HOSTILE, weights=replace(FACTS.weights, file=HOSTILE))
    about = report_of(*undrawn, facts, notes=[HOSTILE], record=[{"date": HOSTILE, "weights": "w"}])
    assert not any(tag == "script" for tag, _ in Reader(report_html(about)).tags)
    card = model_card(about)
    assert "<script" not in card
    assert r"\|\*\`.png" in card


def test_an_apostrophe_stays_one_in_the_card(scored):
    card = model_card(report_of(*scored, notes=["It's #1 & <2"]))
    assert "- It's #1 & <2\n".replace("#", r"\#").replace("& <", "&amp; &lt;") in card


def test_a_leak_is_stamped_on_top_and_on_every_table(undrawn):
    about = report_of(*undrawn, replace(FACTS, leaky=True), record=[{"date": "x"}])
    reader = Reader(report_html(about))
    assert all(title.startswith("LEAKY") for title in reader.tables)
    assert reader.text.startswith("LEAKY: chexnet report")
    assert ("p", {"class": "stamp", "role": "alert"}) in reader.tags
    plots = [a["src"] for tag, a in reader.tags if tag == "img" and a.get("class") == "plot"]
    assert plots == ["data:image/png,LEAKY"] * 3
    assert "**LEAKY:" in model_card(about)


def test_without_a_leak_nothing_is_stamped(scored, page):
    assert "LEAKY" not in page
    assert "LEAKY" not in model_card(report_of(*scored))


def test_the_data_are_named(page):
    text = Reader(page).text
    for said in ("feedc0de12345678", "Data_Entry_2017.csv (labels: 2017)", "best_chexnet_params"):
        assert said in text


def test_scorings_of_the_test_list_are_counted_where_they_can_be(undrawn):
    rows = [{"date": f"2026-11-0{n}", "mean_auroc_findings": "0.8123"} for n in (1, 2, 3)]
    reader = Reader(report_html(report_of(*undrawn, record=rows)))
    assert "3 scorings are noted" in reader.text
    assert "It can count only there" in reader.text
    assert reader.row("Scorings, oldest first", "2026-11-02")[1] == "0.8123"
    assert "Nobody knows" in Reader(report_html(report_of(*undrawn))).text


def test_scores_without_validation_or_intervals_still_make_a_page(undrawn):
    scores, _ = undrawn
    table = simulated()[1]
    bare = assess(scores, table, None, replicates=0)
    facts = ScoringInfo(
        **{"table": "t.csv", "label_version": "2017", "part": "all", "predictions": "p.csv"},
        **{"leaky": False, "split": "none"},
    )
    about = report_of(scores, bare, facts)
    text = Reader(report_html(about)).text
    assert "No threshold was chosen" in text
    assert "Only a file of predictions was scored" in text
    assert "no threshold: the furthest from their label" in text
    assert "Known by its predictions alone (p.csv)" in model_card(about)


def test_the_limits_are_those_of_what_was_scored(undrawn):
    text = Reader(report_html(report_of(*undrawn))).text
    assert "Only 1,693 of the 112,120 images of the label table were at hand" in text
    assert "mined from radiology reports" in text
    whole = replace(FACTS, images_present=112120, part="val")
    text = Reader(report_html(report_of(*undrawn, whole))).text
    assert "images of the label table were at hand" not in text
    assert "The validation part chose the weights" in text


def test_a_file_with_some_images_of_the_part_is_said_to_be_a_selection(undrawn):
    facts = ScoringInfo(
        table="t.csv",
        label_version="2017",
        split="official",
        leaky=False,
        part="test",
        predictions="p.csv",
        images_of_part=500,
        images_in_part=25_596,
    )
    selected = "Only 500 of the 25,596 images of the test part were at hand"
    figures = undrawn[1].content
    assert any(selected in sentence for sentence in limits(figures, facts))
    whole = replace(facts, images_of_part=25_596)
    assert not any("at hand" in sentence for sentence in limits(figures, whole))


def test_the_card_begins_with_what_it_is_not_for_and_keeps_its_order(scored):
    assessment = scored[1]
    made = {"date": "2026-11-23", "code": "0.1.0"}
    card = model_card(report_of(*scored, content={"made": made}, record=[]))
    assert card.startswith("**Research and education only, never for clinical use.**")
    heads = re.findall(r"^## (.*)$", card, re.MULTILINE)
    assert heads == [
        *("Model details", "Intended use", "Data", "Metrics", "Figures", "Subgroups", "Caveats")
    ]
    column = CLASSES.index("Mass")
    row = next(line for line in card.splitlines() if line.startswith("| Mass |"))
    point = assessment.content["operating_points"]["youden"]["Mass"]
    assert [cell.strip() for cell in row.strip("|").split("|")] == [
        "Mass",
        str(assessment.summary.positives[column]),
        three(assessment.summary.auroc[column]),
        span(assessment.summary.intervals.classes["Mass"]),
        three(assessment.summary.average_precision[column]),
        f"{assessment.content['calibration']['Mass']['ece_after']:.4f}",
        three(point["sensitivity"]["value"]),
        three(point["specificity"]["value"]),
    ]


def test_every_table_of_the_card_has_as_many_cells_in_each_row(scored):
    lines = model_card(report_of(*scored)).splitlines()
    for above, line in pairwise(lines):
        if above.startswith("|") and line.startswith("|"):
            assert len(re.findall(r"(?<!\\)\|", above)) == len(re.findall(r"(?<!\\)\|", line))


def test_errors_are_shown_with_their_picture_once_it_can_be_had(undrawn):
    asked = []

    def pixels(name: str) -> np.ndarray:
        asked.append(name)
        return np.full((300, 200), 90, np.uint8)

    page = report_html(report_of(*undrawn, pictures=pixels))
    assert HOSTILE in asked
    assert len(asked) == len(set(asked))
    images = [a for tag, a in Reader(page).tags if tag == "img"]
    assert sum(a["src"].startswith("data:image/jpeg") for a in images) >= len(asked)


def test_twins_stand_beside_them_where_they_are_of_the_same_weights(undrawn, tmp_path):
    figure = {"value": 0.4, "interval": {"low": 0.3, "high": 0.5}}
    row = {"pairs": 50, "touched": 0.1, "logit": figure, "explained": figure, "inside": figure}
    row["controls"] = {"untrained": 0.12, "edges": None}
    path = tmp_path / "twins.json"
    assert read_twins(path, FACTS) is None
    for weights, known in ((plain(FACTS.weights), True), ({"file": "other.pth"}, False)):
        path.write_text(json.dumps({"findings": {"Mass": row}, "weights": weights}))
        assert (read_twins(path, FACTS) is not None) == known
    page = report_html(report_of(*undrawn, twins={"Mass": row}))
    text = " ".join(re.sub(r"<[^>]*>", " ", page.split('id="places"')[1]).split())
    assert "Mass 50 +0.40 0.40 0.300\u20130.500 0.40 0.300\u20130.500 0.10 0.12 n/a" in text


def test_wrong_places_are_shown_with_their_pictures_and_their_share(undrawn):
    scores = undrawn[0]
    target = BoxedFinding(scores.images[0], "0", "Mass", np.array([[0.0, 0.0, 0.2, 0.2]]))
    heat = np.eye(4)[::-1] * [0, 0, 0, 1] + 0.0
    places = wrong_places(
        [target], [heat[::-1]], scores, {"Mass": 0.0}, lambda n: np.zeros((8, 8), np.uint8)
    )
    assert places["wrong"] == 1
    reader = Reader(report_html(report_of(*undrawn, places=places | {"answered": 9})))
    assert "9 reach their threshold" in reader.text
    assert "In 1 of these the heatmap's peak lies in no box" in reader.text
    shown = [a for tag, a in reader.tags if tag == "img" and a["alt"].startswith("Heatmap of Mass")]
    assert len(shown) == 1
