import numpy as np
import pytest
from sklearn.metrics import roc_auc_score

from chexnet.evaluation.intervals import PatientBootstrap, bootstrap_auroc, replicate_aurocs
from chexnet.evaluation.metrics import WeightedAuroc, WeightedPrecision
from chexnet.evaluation.scores import Scores
from chexnet.rng import keyed_generator


def bootstrap_of(scores: Scores, replicates: int, seed: int = 0) -> PatientBootstrap:
    return PatientBootstrap(scores.patients, replicates, seed)


def clustered(patients: int, seed: int, *, images_each: int = 4, classes=("Mass",)) -> Scores:
    """Images of a patient share the label and most of the score: true AUROC 0.7602.

    Scores are normal with variance 1 and means 0 and 1, so AUROC is Phi(1 / sqrt 2).
    """
    random = np.random.default_rng(seed)
    size = len(classes)
    label = np.repeat(random.random((patients, size)) < 0.4, images_each, axis=0)
    shared = np.repeat(random.normal(0, 1, (patients, size)), images_each, axis=0)
    own = random.normal(0, 1, label.shape)
    value = label + np.sqrt(0.8) * shared + np.sqrt(0.2) * own
    names = [str(p) for p in range(patients) for _ in range(images_each)]
    images = [f"{i}" for i in range(len(names))]
    return Scores(images, names, list(classes), 1 / (1 + np.exp(-value)), label.astype(np.int8))


TRUE_AUROC = 0.7602


def unweighted(given: np.ndarray, targets: np.ndarray) -> float:
    """The bootstrap's own AUROC in a draw that takes every image once."""
    count = len(given)
    [value] = WeightedAuroc(given, targets, np.arange(count), count)(np.ones((count, 1), np.int32))
    return value


@pytest.mark.parametrize("digits", [None, 1])
def test_the_bootstraps_own_auroc_is_scikit_learns(digits):
    random = np.random.default_rng(1)
    for _ in range(20):
        targets = random.random(200) < random.uniform(0.02, 0.9)
        if targets.all() or not targets.any():
            continue
        given = random.random(200) if digits is None else random.random(200).round(digits)
        assert unweighted(given, targets) == pytest.approx(roc_auc_score(targets, given), abs=1e-9)


def test_without_positives_there_is_no_auroc():
    assert np.isnan(unweighted(np.array([0.1, 0.4]), np.array([0, 0])))


def test_a_replicate_equals_drawing_the_patients_images_by_hand():
    scores = clustered(30, seed=2, classes=("Mass", "Edema"))
    values = replicate_aurocs(scores, bootstrap_of(scores, 5, 4))
    unique = sorted(set(scores.patients))
    rows = {name: [i for i, p in enumerate(scores.patients) if p == name] for name in unique}
    for number in range(5):
        drawn = keyed_generator("bootstrap", 4, number).integers(0, 30, 30)
        chosen = [row for patient in drawn for row in rows[unique[patient]]]
        for column in range(2):
            expected = roc_auc_score(
                scores.targets[chosen, column], scores.probabilities[chosen, column]
            )
            assert values[number, column] == pytest.approx(expected, abs=1e-9)


def test_a_groups_replicates_are_those_of_its_images_whoever_it_lacks():
    scores = clustered(30, seed=2, classes=("Mass", "Edema"))
    last = np.array(scores.patients) == sorted(set(scores.patients))[-1]
    negative = scores.targets[:, 0] == 0
    masks = [~last, np.zeros(len(last), bool), negative, ~negative]
    values = replicate_aurocs(scores, bootstrap_of(scores, 5, 4), groups=masks)
    unique = sorted(set(scores.patients))
    for number in range(5):
        drawn = keyed_generator("bootstrap", 4, number).integers(0, 30, 30)
        chosen = np.concatenate(
            [np.flatnonzero((np.array(scores.patients) == unique[p]) & ~last) for p in drawn]
        )
        expected = roc_auc_score(scores.targets[chosen, 1], scores.probabilities[chosen, 1])
        assert values[number, 0, 1] == pytest.approx(expected, abs=1e-9)
    assert np.isnan(values[:, 1]).all()  # nobody
    assert np.isnan(values[:, 2:, 0]).all()  # no positive, no negative


def test_counts_are_drawn_with_the_patients_of_the_same_draw():
    """Each draw's intervals and AUROCs are of the same images, whoever asks first."""
    scores = clustered(30, seed=2)
    bootstrap = bootstrap_of(scores, 70, 4)  # more than a block
    hits = (scores.probabilities[:, 0] >= 0.5).astype(float)
    unique = sorted(set(scores.patients))
    rows = {name: [i for i, p in enumerate(scores.patients) if p == name] for name in unique}
    means = []
    for number in range(70):
        drawn = keyed_generator("bootstrap", 4, number).integers(0, 30, 30)
        means.append(hits[[row for patient in drawn for row in rows[unique[patient]]]].mean())
    interval = bootstrap.mean(hits)
    assert (interval.low, interval.high) == pytest.approx(tuple(np.percentile(means, [2.5, 97.5])))
    assert [block.shape for block in bootstrap.blocks] == [(30, 64), (30, 6)]
    assert {int(block.sum(axis=0).min()) for block in bootstrap.blocks} == {30}


def test_no_draws_give_no_interval():
    scores = clustered(30, seed=2)
    none = bootstrap_of(scores, 0)
    assert not none.mean(np.ones(len(scores.images))).known
    assert replicate_aurocs(scores, none).shape == (0, 1)


def test_bootstrap_are_a_function_of_the_seed():
    scores = clustered(40, seed=0)
    first, again, other = (
        bootstrap_auroc(scores, bootstrap_of(scores, 200, seed)) for seed in (1, 1, 2)
    )
    assert first == again
    assert first != other


def coverage(studies: int, replicates: int) -> tuple[float, float]:
    """Share of simulated studies (100 patients, 4 alike images each) whose interval has the truth.

    Returns:
        Of intervals by patient, and of intervals by image.
    """
    hits = {False: 0, True: 0}
    for number in range(studies):
        scores = clustered(100, seed=number)
        for by_image in hits:
            units = scores.images if by_image else scores.patients
            draws = PatientBootstrap(units, replicates, number)
            interval = bootstrap_auroc(scores, draws).classes["Mass"]
            hits[by_image] += interval.low <= TRUE_AUROC <= interval.high
    return hits[False] / studies, hits[True] / studies


def test_patient_intervals_cover_the_truth_where_image_intervals_do_not():
    by_patient, by_image = coverage(150, 200)
    # 95 % give or take three standard errors of a share of 150, and what few draws cost.
    assert 0.88 <= by_patient <= 0.99
    assert by_image < 0.82


@pytest.mark.slow
def test_the_coverage_of_patient_intervals_is_near_95_percent():
    by_patient, by_image = coverage(1000, 1000)
    print(f"by patient {by_patient:.3f}, by image {by_image:.3f}")
    assert 0.93 <= by_patient <= 0.97
    assert by_image < 0.80


def test_under_five_positive_patients_there_is_no_interval():
    scores = clustered(40, seed=3, classes=("Mass", "Edema"))
    keep = [str(p) for p in range(4)]
    scores.targets[:, 1] = np.isin(scores.patients, keep)
    intervals = bootstrap_auroc(scores, bootstrap_of(scores, 100))
    assert intervals.classes["Mass"].known
    assert not intervals.classes["Edema"].known


def test_draws_without_a_positive_are_left_out_and_counted():
    scores = clustered(40, seed=3)
    scores.targets[:, 0] = np.isin(scores.patients, [str(p) for p in range(5)])
    interval = bootstrap_auroc(scores, bootstrap_of(scores, 400)).classes["Mass"]
    values = replicate_aurocs(scores, bootstrap_of(scores, 400))[:, 0]
    assert interval.left_out == np.isnan(values).sum() > 0
    assert interval.low == pytest.approx(np.nanpercentile(values, 2.5))


def test_the_means_interval_is_over_the_findings_alone():
    scores = clustered(60, seed=5, classes=("Mass", "Edema", "No Finding"))
    values = replicate_aurocs(scores, bootstrap_of(scores, 200))
    intervals = bootstrap_auroc(scores, bootstrap_of(scores, 200))
    findings = np.percentile(values[:, :2].mean(axis=1), [2.5, 97.5])
    rows = np.percentile(values.mean(axis=1), [2.5, 97.5])
    assert (intervals.findings.low, intervals.findings.high) == pytest.approx(tuple(findings))
    assert (intervals.all_classes.low, intervals.all_classes.high) == pytest.approx(tuple(rows))


def test_a_mean_of_classes_that_have_no_interval_has_none():
    """A subgroup of three images was given 1.000 to 1.000."""
    scores = clustered(40, seed=3, classes=("Mass", "Edema", "No Finding"))
    scores.targets[:, :2] = np.isin(scores.patients, ["0", "1"])[:, None]
    intervals = bootstrap_auroc(scores, bootstrap_of(scores, 100))
    assert not intervals.findings.known
    assert intervals.all_classes.known


def test_the_interval_of_a_mean_is_that_of_patients_not_of_images():
    random = np.random.default_rng(0)
    each = random.normal(size=50)
    patients = [str(n // 10) for n in range(500)]
    values = np.repeat(each, 10)
    interval = PatientBootstrap(patients, 2000).mean(values)
    spread = each.reshape(50).std(ddof=1) / np.sqrt(50)
    assert interval.high - interval.low == pytest.approx(2 * 1.96 * spread, rel=0.15)


def test_a_share_of_all_or_nothing_keeps_its_doubt():
    patients = [str(n // 2) for n in range(40)]
    bootstrap = PatientBootstrap(patients)
    interval = bootstrap.share(np.ones(40))
    assert (interval.low, interval.high) == (pytest.approx(0.025 ** (1 / 20)), 1.0)
    none = bootstrap.share(np.zeros(40))
    assert (none.low, none.high) == (0.0, pytest.approx(1 - 0.025 ** (1 / 20)))
    some = bootstrap.share(np.arange(40) % 4 == 0)
    assert 0 < some.low < 0.25 < some.high


def test_a_weighted_average_precision_is_scikit_learns():
    from sklearn.metrics import average_precision_score

    random = np.random.default_rng(4)
    for digits in (None, 1):
        given = random.random(150) if digits is None else random.random(150).round(digits)
        targets = (random.random(150) < 0.3).astype(np.int8)
        weights = random.integers(0, 4, (150, 3))
        precision = WeightedPrecision(given, targets, np.arange(150), 150)(weights)
        expected = [average_precision_score(targets, given, sample_weight=w) for w in weights.T]
        assert precision == pytest.approx(expected, abs=1e-9)


def test_average_precision_has_an_interval_round_it():
    from chexnet.evaluation.metrics import average_precision

    scores = clustered(80, seed=5)
    [value] = average_precision(scores.probabilities, scores.targets)
    interval = bootstrap_auroc(scores, bootstrap_of(scores, 200)).average_precision["Mass"]
    assert interval.low < value < interval.high
