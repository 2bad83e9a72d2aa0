"""The tab "Thresholds" in a browser, against scikit-learn, Bayes' rule and the evaluation's own."""

import json
from contextlib import ExitStack
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score, precision_score, recall_score, roc_auc_score

from chexnet.evaluation.calibration import calibrate, validation_choices
from chexnet.evaluation.intervals import PatientBootstrap
from chexnet.evaluation.operating import MEASURES, operating_points
from chexnet.evaluation.validation import read_validation_scores
from chexnet.model import load_weights
from demo import rendering
from demo.teaching.curves import calibration_content, threshold_content
from tests.conftest import ROOT
from tests.demo import harness
from tests.demo.node import call

PLACES = (0.1, 0.3, 0.5, 0.8, 0.95)
"""Five places along a curve, in shares of it."""
TAB = """
import { mountThresholds } from "/teaching/thresholds.js";
window.open = (content, own) => {
  const load = () => Promise.resolve(content);
  const interval = (chance) => [chance / 2, (1 + chance) / 2];
  const band = (from, to, chance) =>
    ({ from, to, chance, findings: 9, interval: interval(chance) });
  const network = [band(0, 0, 0.1), band(0, 0.25, 0.3), band(0.75, 1, 0.9)];
  const faint = () => Promise.resolve({ pictures: 120, network });
  window.tab = mountThresholds(document.getElementById("root"), { load, faint, own: () => own });
  return tab.look();
};
"""


def reader(metadata) -> SimpleNamespace:
    """What the curves need of a predictor."""
    chosen = validation_choices(metadata)
    return SimpleNamespace(
        metadata=metadata,
        classes=list(metadata.classes),
        calibrations=chosen.calibrations,
        thresholds={name: (cuts or {}).get("youden") for name, cuts in chosen.thresholds.items()},
    )


@pytest.fixture(scope="module")
def starter() -> SimpleNamespace:
    return reader(load_weights(ROOT / "weights" / "starter.pth")[1])


@pytest.fixture(scope="module")
def content(starter) -> dict:
    return json.loads(json.dumps(threshold_content(starter)))


@pytest.fixture
def mounted(page_of):
    """The tab alone on a page; `tab` in the browser is what `mountThresholds` gave."""
    wrong, pages = [], ExitStack()

    def opened(content: dict, own: dict | None = None):
        page = pages.enter_context(page_of(viewport={"width": 1366, "height": 900}))
        page.on("pageerror", lambda error: wrong.append(str(error)))
        html = f'<div id="root">{rendering.render("thresholds.html.jinja")}</div>'
        harness.alone(page, html, TAB, ("base.css", "teaching/thresholds.css"))
        page.evaluate("([content, own]) => open(content, own)", [content, own])
        return page

    with pages:
        yield opened
    assert wrong == []


def scores_of(starter, kind: str):
    stored = read_validation_scores(starter.metadata)
    rows = np.flatnonzero(stored.drawn == (kind == "phantoms"))
    return calibrate(stored.scores.take(rows), starter.calibrations)


def shown(page) -> dict[str, str]:
    """The figures on the page, by name."""
    cells = page.locator("[data-part=measures] [data-value]")
    return {cell.get_attribute("data-value"): cell.inner_text() for cell in cells.all()}


@pytest.mark.parametrize("group", [0, 1])
def test_values_at_five_thresholds_equal_those_of_scikit_learn(mounted, starter, content, group):
    page = mounted(content)
    scores = scores_of(starter, content["groups"][group]["kind"])
    column = scores.classes.index("Effusion")
    given, truth = scores.probabilities[:, column], scores.targets[:, column]
    curve = content["groups"][group]["curves"]["Effusion"]
    assert curve["auroc"] == pytest.approx(roc_auc_score(truth, given))
    page.evaluate("group => tab.choose('Effusion', group)", group)
    bootstrap = PatientBootstrap(scores.patients)
    places = [int(share * len(curve["thresholds"])) for share in PLACES]
    counted, expected, on_page, points = [], [], [], []
    for place in places:
        over = given >= curve["thresholds"][place]
        (tn, fp), (fn, tp) = confusion_matrix(truth, over)
        page.evaluate("place => tab.move(place)", place)
        counts = {
            count: int(page.inner_text(f"[data-count={count}]"))
            for count in ("tp", "fp", "fn", "tn")
        }
        assert counts == {"tp": tp, "fp": fp, "fn": fn, "tn": tn}
        counted.append(counts)
        expected.append(
            {
                "sensitivity": recall_score(truth, over),
                "specificity": recall_score(truth, over, pos_label=0),
                "ppv": precision_score(truth, over, zero_division=np.nan),
                "npv": precision_score(truth, over, pos_label=0, zero_division=np.nan),
                "f1": f1_score(truth, over),
            }
        )
        on_page.append(shown(page))
        points += operating_points(
            scores.take(np.arange(len(truth)), ["Effusion"]),
            {"Effusion": {"youden": curve["thresholds"][place]}},
            bootstrap=bootstrap,
        ).values()
    measured = call("teaching/numbers.js", "measuresOf", *[(counts,) for counts in counted])
    values = [(value,) for figures in expected for value in figures.values()]
    words = iter(call("base/words.js", "share", *values))
    for values, figures, words_shown in zip(measured, expected, on_page, strict=True):
        assert {k: float(v) for k, v in values.items()} == pytest.approx(figures, nan_ok=True)
        assert words_shown == {name: next(words) for name in figures}
    asked = [(measure, place) for place in places for measure in MEASURES]
    order = {"measures": content["measures"]}  # without the curves, which are long
    calls = [(order, curve, *which) for which in asked]
    intervals = call("teaching/numbers.js", "intervalAt", *calls)
    known = [point[measure]["interval"] for point in points for measure in MEASURES]
    for which, interval, exact in zip(asked, intervals, known, strict=True):
        limits = [exact.low, exact.high] if exact.known else None
        assert interval == (pytest.approx(limits, abs=2e-5) if limits else None), which


def test_predictive_values_at_a_prevalence_are_those_of_bayes_rule(mounted, starter, content):
    page = mounted(content)
    page.evaluate("tab.choose('Effusion', 0)")
    curve = content["groups"][0]["curves"]["Effusion"]
    place = page.evaluate("tab.state.place")
    sensitivity = curve["true"][place] / curve["positives"]
    specificity = 1 - curve["false"][place] / curve["negatives"]
    scores = scores_of(starter, "radiographs")
    bootstrap = PatientBootstrap(scores.patients)
    order = {"measures": content["measures"]}
    for prevalence in (0.001, 0.02, 0.3, 0.9):
        page.evaluate("p => tab.set({prevalence: p})", prevalence)
        true, false = prevalence * sensitivity, (1 - prevalence) * (1 - specificity)
        expected = true / (true + false)
        text = page.inner_text("[data-part=values] [data-value=ppv]")
        assert [text] == call("base/words.js", "share", (expected,))
        rates = {"sensitivity": sensitivity, "specificity": specificity}
        [values] = call("teaching/numbers.js", "atPrevalence", (rates, prevalence))
        assert values["ppv"] == pytest.approx(expected, abs=1e-12)
        [point] = operating_points(
            scores.take(np.arange(len(scores.images)), ["Effusion"]),
            {"Effusion": {"youden": curve["thresholds"][place]}},
            prevalence={"Effusion": prevalence},
            bootstrap=bootstrap,
        ).values()
        asked = [(order, curve, measure, place, prevalence) for measure in ("ppv", "npv")]
        intervals = call("teaching/numbers.js", "intervalAtPrevalence", *asked)
        for measure, interval in zip(("ppv", "npv"), intervals, strict=True):
            reference = point[measure]["interval"]
            assert interval == pytest.approx([reference.low, reference.high], abs=2e-3)


def test_the_icons_are_a_thousand_and_as_many_of_each_kind_as_is_said(mounted, content):
    page = mounted(content)
    for group, finding in ((0, "Pneumonia"), (1, "Mass"), (0, "Hernia")):
        page.evaluate("([finding, group]) => tab.choose(finding, group)", [finding, group])
        for prevalence in (None, 0.0012, 0.0335, 0.5, 0.9):
            page.evaluate("p => tab.set({prevalence: p})", prevalence)
            icons = page.locator("[data-part=icons] rect")
            kinds = icons.evaluate_all("icons => icons.map((one) => one.dataset.kind)")
            said = {k: int(page.inner_text(f"[data-people={k}]")) for k in ("tp", "fn", "fp", "tn")}
            assert len(kinds) == sum(said.values()) == 1000
            assert {kind: kinds.count(kind) for kind in said} == said


def test_the_visitors_picture_stands_on_the_line_and_its_verdict_moves(mounted, content):
    own = {"probability": {"Effusion": 0.0712}, "first": "Effusion"}
    page = mounted(content, own)
    assert page.locator(".cx-t-own-word").text_content() == "your picture 7.1 %"
    thresholds = content["groups"][0]["curves"]["Effusion"]["thresholds"]
    above = next(i for i, threshold in enumerate(thresholds) if threshold > 0.0712)
    page.evaluate("place => tab.move(place)", above - 1)
    assert "▲ called Effusion" in page.inner_text("[data-part=verdict]")
    page.locator("[data-part=grip]").focus()
    page.keyboard.press("ArrowRight")
    assert page.get_attribute("[data-part=grip]", "aria-valuenow") == str(above)
    assert "not called Effusion" in page.inner_text("[data-part=verdict]")


def test_a_curve_of_two_images_says_what_that_means_and_has_no_interval(mounted, content):
    page = mounted(content)
    page.evaluate("tab.choose('Hernia', 0)")
    words = page.inner_text("[data-part=meaning]")
    assert words.startswith(
        "2 of 529 real radiographs show it (2 patients). Each of them is 50 perc"
    )
    assert "Conclude nothing" in words
    assert page.inner_text("[data-interval=sensitivity]") == "no interval"
    assert page.inner_text("[data-interval=specificity]") != "no interval"


def test_the_threshold_follows_the_pointer_and_the_keys(mounted, content):
    page = mounted(content)
    box = page.locator("[data-part=axis]").bounding_box()
    page.mouse.move(box["x"] + 0.9 * box["width"], box["y"] + 60)
    page.mouse.down()
    high = page.evaluate("tab.state.place")
    page.mouse.move(box["x"] + 0.2 * box["width"], box["y"] + 60, steps=4)
    page.mouse.up()
    low = page.evaluate("tab.state.place")
    assert low < high
    page.keyboard.press("End")
    assert page.inner_text("[data-part=cut]") == "Nothing is called."
    page.keyboard.press("Home")
    assert page.inner_text("[data-count=fn]") == page.inner_text("[data-count=tn]") == "0"


def test_an_older_weights_file_shows_its_curve_without_intervals(mounted, starter):
    older = reader(replace(starter.metadata, validation_scores=None))
    content = threshold_content(older)
    page = mounted(content)
    page.evaluate("tab.choose('Effusion', 0)")
    assert "72 of 529 validation images show it" in page.inner_text("[data-part=meaning]")
    assert "keeps no scores by patient" in page.inner_text("[data-part=meaning]")
    assert page.inner_text("[data-interval=sensitivity]") == "no interval"
    figures = starter.metadata.validation["figures"]["classes"]["Effusion"]
    assert page.inner_text("[data-part=auroc]") == f"(area {figures['auroc']:.2f})"
    assert calibration_content(older) == []


def test_the_curve_of_severity_comes_when_it_is_opened(mounted, content):
    page = mounted(content)
    assert not page.locator("[data-part=severity-curve] svg").count()
    page.click("[data-part=severity] summary")
    said = page.get_attribute("[data-part=severity-curve] svg", "aria-label")
    assert "not drawn, 10 % (5.0 % to 55 %) of 9; severity 0 to 0.25, 30 %" in said
    assert page.locator("[data-part=severity-curve] circle").count() == 3
    assert "Of 120 drawn chests" in page.inner_text("[data-part=severity]")


def test_a_weights_file_without_a_curve_says_so(mounted, starter):
    page = mounted(threshold_content(reader(replace(
        starter.metadata,
        validation_scores=None,
        validation={k: v for k, v in starter.metadata.validation.items() if k != "operating_curve"},
    ))))  # fmt: skip
    page.evaluate("tab.choose('Effusion', 0)")
    assert "there is no curve" in page.inner_text("[data-part=meaning]")
    assert not page.locator(".cx-t-card").first.is_visible()
