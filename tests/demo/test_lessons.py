"""The lessons in a browser: their arithmetic, offline, on a phone, for everybody."""

import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from chexnet.evaluation.leakage import memory_scores
from chexnet.evaluation.twins import inside_share
from demo.teaching import lessons
from tests.demo.conftest import serious_faults
from tests.demo.node import call

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


def test_the_memory_in_the_browser_is_the_one_of_the_evaluation():
    content = lessons.split_content()
    patients, held = np.array(content["patients"]), np.array(content["held"]) == 1
    targets = np.array([[label >> bit & 1 for bit in range(14)] for label in content["labels"]])
    shared = np.isin(patients, patients[held])
    shares = (0, 0.4, 1)
    answers = call("teaching/split.js", "memory", *[(content, both) for both in shares])
    for both, figures in zip(shares, answers, strict=True):
        learned = ~held & (~shared | (np.array(content["order"])[patients] < both))
        scores = memory_scores(patients[learned], targets[learned], patients[held], 1400)
        # The page smooths with the prevalence of all images: a column's order differs by nothing.
        prevalence, known = targets.mean(axis=0), targets[learned].mean(axis=0)
        count = np.bincount(patients[learned], minlength=1400)[patients[held]]
        scores += (prevalence - known) / (count[:, None] + 1)
        expected = [
            roc_auc_score(truth, row) for truth, row in zip(targets[held].T, scores.T, strict=True)
        ]
        assert figures["values"] == pytest.approx(expected)
        assert figures["mean"] == pytest.approx(np.mean(expected))
        assert figures["known"] == pytest.approx((count > 0).mean())
        if both == 0:
            assert figures["mean"] == 0.5
            assert figures["known"] == 0
    assert figures["mean"] > 0.7


def test_another_base_rate_moves_a_probability_by_bayes_rule():
    for p, before, after in ((0.3, 0.08, 0.005), (0.02, 0.5, 0.9), (0.6, 0.1, 0.1)):
        ratio = p / (1 - p) / (before / (1 - before))  # likelihood of the picture
        odds = ratio * after / (1 - after)
        [probability] = call("teaching/probability.js", "moved", (p, before, after))
        assert probability == pytest.approx(odds / (1 + odds))


def test_a_network_that_is_always_right_is_marked_as_wrong_labels_mark_it():
    rng = np.random.default_rng(0)
    labelled = rng.random(200_000) < 0.1
    truth = np.where(labelled, rng.random(200_000) < 0.57, rng.random(200_000) < 0.05)
    given = {"labelled": 0.1, "right": 0.57, "hidden": 0.05}
    [figures] = call("teaching/label_noise.js", "perfect", (given,))
    assert figures["sensitivity"] == pytest.approx(truth[labelled].mean(), abs=0.02)
    assert figures["specificity"] == pytest.approx(1 - truth[~labelled].mean(), abs=0.01)
    assert figures["ppv"] == pytest.approx(labelled[truth].mean(), abs=0.02)
    assert figures["auroc"] == pytest.approx(roc_auc_score(labelled, truth), abs=0.01)


def test_both_tabs_work_offline_and_moving_asks_nothing(visit):
    page = visit()
    page.get_by_role("tab", name="Lessons", exact=True).click()
    page.wait_for_selector(".cx-l-bars li")
    page.wait_for_selector(".cx-l-strip img")
    page.get_by_role("tab", name="Thresholds", exact=True).click()
    page.wait_for_function("document.querySelector('.cx-curve [data-part=meaning]').textContent")
    page.get_by_role("tab", name="Lessons", exact=True).click()
    for name in ("heat", "probability", "labels", "breaks", "twins", "split"):
        page.click(f"[data-open={name}]")
        page.wait_for_selector(f"article[data-lesson={name}] .cx-t-wait", state="hidden")
    asked = []
    page.on("request", lambda request: asked.append(request.url))
    page.locator("[data-set=both]").fill("60")
    assert float(page.inner_text("[data-part=mean]")) > 0.5
    page.click("[data-open=heat]")
    before = page.evaluate("document.querySelector('[data-canvas=absolute]').toDataURL()")
    page.locator("[data-set=top]").fill("0.5")
    page.check("[data-set=cells]")
    assert page.evaluate("document.querySelector('[data-canvas=absolute]').toDataURL()") != before
    page.click("[data-open=labels]")
    page.locator("[data-set=right]").fill("90")
    assert (
        page.locator("article[data-lesson=labels] [data-part=sensitivity]").inner_text() == "90 %"
    )
    page.click("[data-open=twins]")
    page.click("[data-act=toggle]")
    assert [url for url in asked if not url.startswith(("data:", "blob:"))] == []


def test_a_lesion_is_switched_on_and_off_and_everything_follows(visit):
    page = visit()
    page.get_by_role("tab", name="Lessons", exact=True).click()
    page.click("[data-open=twins]")
    page.wait_for_selector("article[data-lesson=twins] .cx-t-wait", state="hidden")
    twin = page.evaluate("fetch('api/part/twin/Mass').then((answer) => answer.json())")
    steps = len(twin["severities"])
    canvas = "document.querySelector('[data-canvas={}]').toDataURL()"

    def shown() -> tuple[str, ...]:
        pictures = (page.evaluate(canvas.format(name)) for name in ("twin", "twin-heat"))
        return (*pictures, page.inner_text("[data-part=twin-words]"))

    without = shown()
    assert "not drawn" in page.inner_text("[data-part=twin-name]")
    page.locator("[data-act=toggle]").focus()
    page.keyboard.press("Enter")
    plain = shown()
    assert "severity 1" in page.inner_text("[data-part=twin-name]")
    page.locator("[data-set=severity]").focus()
    page.keyboard.press("ArrowLeft")
    assert page.get_attribute("[data-set=severity]", "aria-valuetext") == "severity 0.7"
    fainter = shown()
    assert all(len(set(three)) == 3 for three in zip(without, plain, fainter, strict=True))
    [words] = call("base/words.js", "figureText", (twin, twin["probability"][steps - 2]))
    assert page.inner_text("[data-part=twin-value]") == words
    page.keyboard.press("Home")
    assert shown() == without, "off is the same picture again"
    page.check("input[name=cx-l-twins][value=Cardiomegaly]")
    page.wait_for_function(
        "document.querySelector('[data-part=twin-name]').textContent.startsWith('Cardio')"
    )


def test_the_shares_of_a_twin_are_those_of_the_evaluation():
    rng = np.random.default_rng(0)
    maps = rng.normal(0, 1, (2, 2, 3)).astype(np.float32)
    touched = np.array([[True, False, False], [False, True, True]])
    logit = [-1.0, -1.0 + float(maps[1].sum() - maps[0].sum())]
    twin = {"values": {"floats": maps.ravel().tolist()}, "cells": [2, 3], "logit": logit}
    twin["touched"] = [[], np.flatnonzero(touched).tolist()]
    [shares] = call("teaching/twins.js", "sharesOf", (twin, 1))
    assert shares["rise"] == pytest.approx(logit[1] - logit[0])
    assert shares["explained"] == pytest.approx(
        float((maps[1] - maps[0])[touched].sum()) / shares["rise"], rel=1e-5
    )
    assert shares["inside"] == pytest.approx(inside_share(np.maximum(maps[1], 0), touched))
    assert shares["chance"] == 0.5


def test_a_changed_picture_goes_the_way_of_every_upload(visit, served):
    page = visit()
    page.get_by_role("tab", name="Lessons", exact=True).click()
    page.click("[data-open=breaks]")
    page.wait_for_function("document.querySelector('[data-canvas=changed]').width > 384")
    page.check("[data-set=invert]")
    page.click("[data-act=send]")
    page.wait_for_function(
        "document.querySelector('[data-part=breaks-says]').textContent.includes('gate')"
    )
    if page.get_by_role("button", name="Show the result anyway").first.is_visible():
        page.locator("[data-part=breaks-says] button").click()
    page.wait_for_selector("[data-part=moves] tr")
    assert page.locator("[data-part=moves] tr").count() == len(
        page.evaluate("chexnet.page.state.answer.findings")
    )
    assert not [path for path in served.folder.rglob("*") if path.suffix == ".png"]


def test_axe_finds_no_serious_fault(visit):
    page = visit()
    places = [("Thresholds", None)]
    names = ("split", "heat", "probability", "labels", "breaks", "twins")
    places += [("Lessons", name) for name in names]
    for tab, lesson in places:
        page.get_by_role("tab", name=tab, exact=True).click()
        if lesson:
            page.click(f"[data-open={lesson}]")
            page.wait_for_selector(f"article[data-lesson={lesson}] .cx-t-wait", state="hidden")
        else:
            page.wait_for_selector(".cx-t-body")
        assert serious_faults(page) == []


def test_all_tabs_stand_side_by_side_on_a_phone_and_both_fit_it(visit):
    page = visit(**PHONE)
    tabs = page.get_by_role("tab")
    names = {"Radiograph", "Thresholds", "Lessons", "Model"}
    assert names <= {tab.inner_text() for tab in tabs.all() if tab.is_visible()}
    for tab in ("Thresholds", "Lessons"):
        page.get_by_role("tab", name=tab, exact=True).click()
        page.wait_for_selector(".cx-t-body" if tab == "Thresholds" else ".cx-l-strip img")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
    for name in ("heat", "probability", "labels", "breaks", "twins"):
        page.click(f"[data-open={name}]")
        page.wait_for_selector(f"article[data-lesson={name}] .cx-t-wait", state="hidden")
        assert page.evaluate("document.documentElement.scrollWidth") <= 390
