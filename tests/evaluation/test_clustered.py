"""The clustered variance of an AUROC, and p-values that hold for many findings at once."""

import numpy as np
import pytest
from scipy.special import logit, ndtr
from scipy.stats import false_discovery_control, norm, t
from sklearn.metrics import roc_auc_score

from chexnet.evaluation.clustered import FEW_PATIENTS, clustered_auroc, holm
from chexnet.evaluation.compare import as_dict, compare
from chexnet.evaluation.report.sentences import above_chance
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import summarise
from chexnet.files import plain
from chexnet.labels import FINDINGS, spoken

AUROCS = (0.65, 0.8, 0.9)


NUMBERS = {
    "three": lambda random, patients: 3,
    "1 to many (2.5 on average)": lambda random, patients: random.geometric(0.4, patients),
    # NIH's: half of the patients have one, a tenth seven or more, one has 109 (train_val list).
    "as many as in NIH's": lambda random, patients: np.ceil(random.lognormal(0, 1.3, patients)),
}
"""Images of each patient."""


def trial(random, wanted, patients=200, ill=5, images="three"):
    """Scores of similar images of patients, of whom the first few are ill."""
    images = np.asarray(NUMBERS[images](random, patients), int)
    unit = np.repeat(np.arange(patients), images)
    truth = (unit < ill).astype(np.int8)
    own, each = random.normal(size=patients)[unit], random.normal(size=len(unit))
    return norm.ppf(wanted) * np.sqrt(2) * truth + np.sqrt(0.5) * (own + each), truth, unit


def by_hand(scores, truth, unit):
    """Obuchowski's formulas as they are printed, pair by pair."""
    x, y = np.flatnonzero(truth == 1), np.flatnonzero(truth == 0)
    won = (scores[x][:, None] > scores[y]) + 0.5 * (scores[x][:, None] == scores[y])
    theta = won.mean()
    v10, v01 = won.mean(axis=1), won.mean(axis=0)
    clusters = sorted(set(unit.tolist()))
    a = np.array([(v10[unit[x] == c] - theta).sum() for c in clusters])
    b = np.array([(v01[unit[y] == c] - theta).sum() for c in clusters])
    i10, i01 = len(set(unit[x].tolist())), len(set(unit[y].tolist()))
    s10 = i10 / ((i10 - 1) * len(x)) * (a**2).sum()
    s01 = i01 / ((i01 - 1) * len(y)) * (b**2).sum()
    s11 = len(clusters) / (len(clusters) - 1) * (a * b).sum()
    return theta, s10 / len(x) + s01 / len(y) + 2 * s11 / (len(x) * len(y))


@pytest.mark.parametrize("seed", range(5))
def test_value_and_variance_are_those_of_the_formulas_pair_by_pair(seed):
    random = np.random.default_rng(seed)
    scores, truth, unit = trial(
        random, 0.8, patients=40, ill=8, images="1 to many (2.5 on average)"
    )
    scores = np.round(scores, 1)  # with ties
    truth = np.where(random.random(len(truth)) < 0.2, 1 - truth, truth)  # mixed within patients
    auroc = clustered_auroc(scores, truth, unit)
    value, variance = by_hand(scores, truth, unit)
    assert auroc.value == pytest.approx(value, abs=1e-12)
    assert auroc.value == pytest.approx(roc_auc_score(truth, scores), abs=1e-12)
    assert auroc.variance == pytest.approx(variance, abs=1e-12)


def coverage(wanted, trials, seed=0, **options):
    random = np.random.default_rng(seed)
    hits = 0
    for _ in range(trials):
        interval = clustered_auroc(*trial(random, wanted, **options)).interval
        hits += interval.known and interval.low <= wanted <= interval.high
    return hits / trials


@pytest.mark.parametrize("wanted", AUROCS)
def test_with_five_positive_patients_the_clustered_interval_mostly_covers_the_truth(wanted):
    assert coverage(wanted, 600) >= 0.89  # 91 % less two standard errors of 600 trials


def test_where_patients_have_unlike_numbers_of_images_the_clustered_interval_covers_as_well():
    # With (positive patients - 1) degrees of freedom it would be 86 %.
    covered = coverage(0.9, 800, images="as many as in NIH's")
    assert covered >= 0.945  # 96 % less two standard errors


def test_patients_with_unlike_numbers_of_images_are_worth_fewer():
    random = np.random.default_rng(0)
    truth = np.repeat([1, 0], [12, 40])
    scores = random.normal(size=52) + truth
    one_each = np.arange(40) + 5
    alike = clustered_auroc(
        scores, truth, np.r_[np.repeat(np.arange(5), [2, 2, 2, 3, 3]), one_each]
    )
    unlike = clustered_auroc(
        scores, truth, np.r_[np.repeat(np.arange(5), [8, 1, 1, 1, 1]), one_each]
    )
    assert (alike.fewest, unlike.fewest) == (5, 5)
    assert alike.effective == pytest.approx(12**2 / 30)
    assert unlike.effective == pytest.approx(12**2 / 68)
    spread = np.sqrt(unlike.variance) / (unlike.value * (1 - unlike.value))
    away = t.ppf(0.975, 12**2 / 68 - 1) * spread
    ends = [unlike.interval.low, unlike.interval.high]
    assert logit(ends) == pytest.approx([logit(unlike.value) - away, logit(unlike.value) + away])


@pytest.mark.slow
@pytest.mark.parametrize("wanted", AUROCS)
def test_with_five_positive_patients_the_clustered_interval_covers_91_percent(wanted):
    covered = {images: coverage(wanted, 10_000, images=images) for images in NUMBERS}
    shown = ", ".join(f"{share:.4f} with {images} images" for images, share in covered.items())
    print(f"clustered interval at AUROC {wanted}, share of 10,000: {shown} a patient")
    assert min(covered.values()) >= 0.91


def test_there_is_no_clustered_interval_under_five_patients_nor_of_a_perfect_score():
    random = np.random.default_rng(0)
    auroc = clustered_auroc(*trial(random, 0.8, ill=4))
    assert auroc.fewest == 4
    assert not auroc.interval.known
    assert np.isnan(auroc.p_of_chance)
    truth = np.repeat([1, 0], 10)
    auroc = clustered_auroc(truth * 1.0, truth, np.arange(20))
    assert (auroc.value, auroc.interval.known) == (1, False)
    assert np.isnan(clustered_auroc(truth * 1.0, truth * 0, np.arange(20)).value)


def test_holm_is_the_step_down_procedure():
    adjusted = holm({"a": 0.01, "b": 0.04, "c": 0.03, "d": float("nan")})
    assert adjusted == pytest.approx({"a": 0.03, "c": 0.06, "b": 0.06})
    assert holm({"a": 0.7, "b": 0.9}) == {"a": 1.0, "b": 1.0}
    assert holm({}) == {}
    # Never milder than the false discovery rate's.
    p = dict(enumerate(np.random.default_rng(0).random(20)))
    expected = false_discovery_control(list(p.values())) - 1e-12
    assert (np.array([holm(p)[name] for name in p]) >= expected).all()


def study(random, patients=120, gain=0.0):
    """14 findings of patients with three similar images each; two networks, both of chance."""
    count = 3 * patients
    owner = np.repeat(np.arange(patients), 3)
    ill = (random.random((patients, 14)) < random.uniform(0.06, 0.4, 14))[owner]
    common = random.normal(size=(patients, 14))[owner]
    names, owners = [str(n) for n in range(count)], [str(n) for n in owner]

    def network():
        z = common + random.normal(size=(count, 14)) + gain * ill * (np.arange(14) == 3)
        return Scores(names, owners, list(FINDINGS), ndtr(z), ill.astype(np.int8))

    return network(), network()


def family_errors(trials, replicates):
    """Shares of trials that call a finding above chance, or two networks different, wrongly."""
    random, wrong = np.random.default_rng(1), np.zeros(2)
    for seed in range(trials):
        first, second = study(random)
        unit = np.unique(first.patients, return_inverse=True)[1]
        tested = {
            name: clustered_auroc(p, t, unit)
            for name, p, t in zip(
                first.classes, first.probabilities.T, first.targets.T, strict=True
            )
        }
        adjusted = holm({name: auroc.p_of_chance for name, auroc in tested.items()})
        wrong[0] += min(adjusted.values()) < 0.05
        if replicates:
            rows = as_dict(compare(first, second, replicates, seed)).values()
            wrong[1] += any(row["p_holm"] is not None and row["p_holm"] < 0.05 for row in rows)
    return wrong / trials


def test_of_fourteen_findings_of_chance_none_is_mostly_named():
    assert family_errors(200, 0)[0] <= 0.096  # 5 % and three standard errors


@pytest.mark.slow
def test_the_family_error_is_at_most_6_4_percent():
    chance, difference = family_errors(1000, 400)
    print(f"family error of 1,000: above chance {chance:.3f}, two networks {difference:.3f}")
    assert chance <= 0.064
    assert difference <= 0.064


def test_a_summary_has_clustered_intervals_of_rare_findings_and_names_what_is_above_chance():
    random = np.random.default_rng(4)
    scores, _ = study(random, gain=2.0)
    rare, none = FINDINGS.index("Hernia"), FINDINGS.index("Mass")
    scores.targets[:, [rare, none]] = 0
    scores.targets[:18:3, rare] = 1  # 6 patients
    scores.targets[:12:3, none] = 1  # 4 patients
    summary = summarise(scores, replicates=30)
    others = ", ".join(sorted(spoken(n) for n in FINDINGS if n not in ("Mass", FINDINGS[3])))
    assert above_chance(plain(summary)) == (
        "Above 0.5 at 5 %, corrected for 13 findings at once (Holm; p by clustered variance): "
        f"{spoken(FINDINGS[3])}. Not shown for: {others}. "
        "Under five patients with or without it, so not tested: Mass."
    )
    assert above_chance(plain(summarise(scores))) == ""
    assert summary.clustered_interval_if_rare("Hernia").known
    assert not summary.clustered_interval_if_rare("Mass").known
    assert not summary.clustered_interval_if_rare(FINDINGS[3]).known
    assert summary.clustered["Hernia"].fewest == 6 < FEW_PATIENTS
    stored = plain(summary)["classes"]
    assert (
        stored["Hernia"]["clustered_interval"]["low"]
        == summary.clustered_interval_if_rare("Hernia").low
    )
    assert stored["Mass"]["p_of_chance_holm"] is None
    assert stored["Hernia"]["interval"]["low"] is not None
    assert "clustered_interval" not in plain(summarise(scores))["classes"]["Hernia"]
