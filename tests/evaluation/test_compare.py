"""Paired differences of networks: their size under the null, and what they find."""

import numpy as np
import pytest
from scipy.stats import t

from chexnet.errors import DataError
from chexnet.evaluation.compare import MEAN, compare
from chexnet.evaluation.intervals import PatientBootstrap, replicate_aurocs
from chexnet.evaluation.scores import Scores


def pair(
    seed: int, patients: int = 60, gain: float = 0.0, *, as_nih: bool = False, share: float = 0.4
) -> tuple[Scores, Scores]:
    """Two networks' answers for the same images, equally good but for `gain`; images alike.

    Args:
        as_nih: patients have as many images as NIH's: half of them one, a tenth seven or more;
            else three each.
        share: of patients with each finding.
    """
    random = np.random.default_rng(seed)
    numbers = np.ceil(random.lognormal(0, 1.3, patients)).astype(int) if as_nih else 3
    unit = np.repeat(np.arange(patients), numbers)
    ill = (random.random((patients, 2)) < share)[unit]
    base = random.normal(size=(patients, 2))[unit]
    images = [f"{n}.png" for n in range(len(unit))]
    owners = [str(n) for n in unit]

    def network(strength: float) -> Scores:
        z = strength * ill + 0.7 * base + random.normal(size=(patients, 2))[unit]
        z = z + 0.5 * random.normal(size=z.shape)
        given = 1 / (1 + np.exp(-z))
        return Scores(list(images), owners, ["Mass", "Edema"], given, ill.astype(np.int8))

    return network(1.0 + gain), network(1.0)


def share_significant(trials: int, replicates: int, **options) -> float:
    pairs = (pair(seed, **options) for seed in range(trials))
    p = [compare(*networks, replicates, seed)[MEAN].p for seed, networks in enumerate(pairs)]
    return float(np.mean(np.array(p) < 0.05))


def test_under_the_null_one_in_twenty_is_significant():
    assert 0.01 <= share_significant(150, 150) <= 0.11  # 5 % give or take three standard errors


@pytest.mark.slow
def test_the_size_of_the_comparison_is_5_percent():
    significant = share_significant(1000, 500)
    print(f"significant at 5 % under the null: {significant:.3f} of 1,000")
    assert 0.036 <= significant <= 0.064


@pytest.mark.slow
@pytest.mark.parametrize(("patients", "share"), [(60, 0.4), (200, 0.1), (400, 0.05)])
def test_with_nihs_numbers_of_images_at_most_5_percent_of_equal_networks_differ(patients, share):
    """With (patients - 1) degrees of freedom it was 6.3, 8.2 and 7.8 %."""
    significant = share_significant(1000, 200, patients=patients, share=share, as_nih=True)
    print(f"significant at 5 % under the null, {patients} patients: {significant:.3f} of 1,000")
    assert significant <= 0.057  # 5 % and a standard error


def test_patients_with_unlike_numbers_of_images_count_as_effective_ones():
    first, second = pair(4, as_nih=True)
    unit = np.unique(first.patients, return_inverse=True)[1]
    bootstrap = PatientBootstrap(first.patients, 200)
    drawn = replicate_aurocs(first, bootstrap) - replicate_aurocs(second, bootstrap)
    differences, effective = compare(first, second, 200), []
    for column, name in enumerate(first.classes):
        numbers = [
            np.unique(unit[first.targets[:, column] == value], return_counts=True)[1]
            for value in (0, 1)
        ]
        effective.append(min(n.sum() ** 2 / (n**2).sum() for n in numbers))
        assert effective[-1] < 0.9 * min(map(len, numbers))
        statistic = differences[name].value / drawn[:, column].std(ddof=1)
        assert differences[name].p == pytest.approx(2 * t.sf(abs(statistic), effective[-1] - 1))
    statistic = differences[MEAN].value / drawn.mean(axis=1).std(ddof=1)
    degrees = 2 / (1 / np.array(effective)).sum() - 1
    assert differences[MEAN].p == pytest.approx(2 * t.sf(abs(statistic), degrees))


def test_a_better_network_is_found_and_the_order_of_rows_does_not_matter():
    first, second = pair(1, patients=200, gain=1.0)
    differences = compare(first, second, 300)
    assert differences[MEAN].value > 0
    assert differences[MEAN].p < 0.01
    assert differences[MEAN].interval.low > 0
    assert differences[MEAN].n_classes == 2
    rows = np.random.default_rng(0).permutation(len(second.images))
    shuffled = second.take(rows)
    assert compare(first, shuffled, 300) == differences
    turned = compare(second, first, 300)[MEAN]
    assert turned.value == pytest.approx(-differences[MEAN].value)
    assert turned.p == pytest.approx(differences[MEAN].p)


def test_a_network_does_not_differ_from_itself():
    first, _ = pair(2)
    difference = compare(first, first, 100)[MEAN]
    assert (difference.value, difference.p) == (0, 1)


def test_other_images_are_refused_with_their_count():
    first, second = pair(3)
    second.images[5] = "other.png"
    with pytest.raises(DataError, match="1 only in the first, 1 only in the second"):
        compare(first, second)
