import numpy as np
import pytest

from chexnet.errors import DataError
from chexnet.evaluation.compare import MEAN, compare
from chexnet.evaluation.scores import Scores


def pair(seed: int, patients: int = 60, gain: float = 0.0) -> tuple[Scores, Scores]:
    """Two networks' answers for the same images, equally good but for `gain`; images alike."""
    random = np.random.default_rng(seed)
    count = 3 * patients
    ill = np.repeat(random.random((patients, 2)) < 0.4, 3, axis=0)
    base = np.repeat(random.normal(size=(patients, 2)), 3, axis=0)
    images = [f"{n}.png" for n in range(count)]
    owners = [str(n // 3) for n in range(count)]

    def network(strength: float) -> Scores:
        z = strength * ill + 0.7 * base + np.repeat(random.normal(size=(patients, 2)), 3, axis=0)
        z = z + 0.5 * random.normal(size=z.shape)
        given = 1 / (1 + np.exp(-z))
        return Scores(list(images), owners, ["Mass", "Edema"], given, ill.astype(np.int8))

    return network(1.0 + gain), network(1.0)


def share_significant(trials: int, replicates: int) -> float:
    return float(
        np.mean([compare(*pair(seed), replicates, seed)[MEAN].p < 0.05 for seed in range(trials)])
    )


def test_under_the_null_one_in_twenty_is_significant():
    assert 0.01 <= share_significant(150, 150) <= 0.11  # 5 % give or take three standard errors


@pytest.mark.slow
def test_the_size_of_the_comparison_is_5_percent():
    found = share_significant(1000, 500)
    print(f"significant at 5 % under the null: {found:.3f} of 1,000")
    assert 0.036 <= found <= 0.064


def test_a_better_network_is_found_and_the_order_of_rows_does_not_matter():
    first, second = pair(1, patients=200, gain=1.0)
    found = compare(first, second, 300)
    assert found[MEAN].value > 0
    assert found[MEAN].p < 0.01
    assert found[MEAN].interval.low > 0
    assert found[MEAN].n_classes == 2
    rows = np.random.default_rng(0).permutation(len(second.images))
    shuffled = second.take(rows)
    assert compare(first, shuffled, 300) == found
    turned = compare(second, first, 300)[MEAN]
    assert turned.value == pytest.approx(-found[MEAN].value)
    assert turned.p == pytest.approx(found[MEAN].p)


def test_a_network_does_not_differ_from_itself():
    first, _ = pair(2)
    found = compare(first, first, 100)[MEAN]
    assert (found.value, found.p) == (0, 1)


def test_other_images_are_refused_with_their_count():
    first, second = pair(3)
    second.images[5] = "other.png"
    with pytest.raises(DataError, match="1 only in the first, 1 only in the second"):
        compare(first, second)
