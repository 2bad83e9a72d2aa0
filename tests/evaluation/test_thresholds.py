import numpy as np
import pytest
from sklearn.metrics import confusion_matrix, f1_score

from chexnet.evaluation.calibration import RULES, choose_thresholds
from chexnet.evaluation.intervals import PatientBootstrap
from chexnet.evaluation.operating import MEASURES, operating_points
from chexnet.evaluation.scores import Scores


def simulated(seed: int, count: int = 600) -> Scores:
    random = np.random.default_rng(seed)
    targets = (random.random((count, 2)) < (0.3, 0.01)).astype(np.int8)
    given = np.clip(random.normal(0.35 + 0.3 * targets, 0.15), 0, 1)
    return Scores(
        [str(n) for n in range(count)],
        [str(n // 3) for n in range(count)],
        ["Effusion", "Hernia"],
        given,
        targets,
    )


def reached(scores: Scores, threshold: float) -> tuple[float, float, float]:
    over = scores.probabilities[:, 0] >= threshold
    tn, fp, fn, tp = confusion_matrix(scores.targets[:, 0], over).ravel()
    return tp / (tp + fn), tn / (tn + fp), f1_score(scores.targets[:, 0], over)


def test_each_rule_is_best_among_all_thresholds():
    scores = simulated(0, count=200)
    chosen = choose_thresholds(scores)["Effusion"]
    assert set(chosen) == set(RULES)
    cuts = np.unique(scores.probabilities[:, 0])
    every = np.array([reached(scores, cut) for cut in cuts])
    sensitivity, specificity, f1 = np.array([reached(scores, chosen[rule]) for rule in RULES]).T
    assert sensitivity[0] + specificity[0] == pytest.approx((every[:, 0] + every[:, 1]).max())
    assert sensitivity[1] >= 0.9
    assert specificity[1] == pytest.approx(every[every[:, 0] >= 0.9, 1].max())
    assert specificity[2] >= 0.9
    assert sensitivity[2] == pytest.approx(every[every[:, 1] >= 0.9, 0].max())
    assert f1[3] == pytest.approx(every[:, 2].max())


def test_a_class_with_few_positives_gets_no_threshold_of_its_own():
    scores = simulated(0)
    assert scores.targets[:, 1].sum() < 20
    chosen = choose_thresholds(scores)
    assert chosen["Hernia"] is None
    assert "Hernia" not in operating_points(scores, chosen)


def test_the_measures_are_those_of_scikit_learn():
    chosen, scores = choose_thresholds(simulated(0)), simulated(1)
    point = operating_points(scores, chosen, bootstrap=PatientBootstrap(scores.patients, 200))[
        "Effusion"
    ]
    over = scores.probabilities[:, 0] >= point["threshold"]
    tn, fp, fn, tp = confusion_matrix(scores.targets[:, 0], over).ravel()
    expected = {
        "sensitivity": tp / (tp + fn),
        "specificity": tn / (tn + fp),
        "ppv": tp / (tp + fp),
        "npv": tn / (tn + fn),
        "f1": 2 * tp / (2 * tp + fp + fn),
    }
    assert values_of(point) == pytest.approx(expected)
    for name in MEASURES:
        assert point[name]["interval"].low < point[name]["value"] < point[name]["interval"].high


def values_of(point) -> dict[str, float]:
    return {name: point[name]["value"] for name in MEASURES}


def test_another_prevalence_changes_the_predictive_values_as_bayes_says():
    chosen, scores = choose_thresholds(simulated(0)), simulated(1)
    own = values_of(operating_points(scores, chosen)["Effusion"])
    same = float(scores.targets[:, 0].mean())
    again = operating_points(scores, chosen, prevalence={"Effusion": same})
    assert values_of(again["Effusion"]) == pytest.approx(own)
    rare = operating_points(scores, chosen, prevalence={"Effusion": 0.01})
    ppv, sensitivity, specificity = (
        rare["Effusion"]["ppv"]["value"],
        own["sensitivity"],
        own["specificity"],
    )
    assert ppv == pytest.approx(
        0.01 * sensitivity / (0.01 * sensitivity + 0.99 * (1 - specificity))
    )
    assert rare["Effusion"]["npv"]["value"] > own["npv"]


def test_thresholds_do_not_depend_on_what_is_scored_with_them():
    chosen = choose_thresholds(simulated(0))
    for seed in (1, 2):
        points = operating_points(simulated(seed), chosen)
        assert points["Effusion"]["threshold"] == chosen["Effusion"]["youden"]


def test_a_perfect_figure_keeps_its_doubt_and_few_patients_have_no_interval():
    count = 200
    targets = np.zeros((count, 2), np.int8)
    targets[:40, 0] = 1
    targets[:8, 1] = 1  # of four patients
    names = [str(n) for n in range(count)]
    scores = Scores(
        names, [str(n // 2) for n in range(count)], ["Mass", "Hernia"], 0.9 * targets, targets
    )
    thresholds = {name: dict.fromkeys(RULES, 0.5) for name in scores.classes}
    bootstrap = PatientBootstrap(scores.patients, 200)
    points = operating_points(scores, thresholds, bootstrap=bootstrap)
    perfect = points["Mass"]["sensitivity"]["interval"]
    assert (perfect.low, perfect.high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    assert not points["Hernia"]["sensitivity"]["interval"].known
    assert points["Hernia"]["specificity"]["interval"].known
    given = operating_points(scores, thresholds, prevalence={"Mass": 0.1}, bootstrap=bootstrap)
    assert not given["Mass"]["ppv"]["interval"].known
