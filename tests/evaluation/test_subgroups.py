import numpy as np
import pandas as pd
import pytest

from chexnet.evaluation.assessment import by_group, membership
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import summarise


def simulated(count: int = 400) -> tuple[Scores, pd.DataFrame]:
    """Answers that are good for women and poor for men."""
    random = np.random.default_rng(0)
    table = pd.DataFrame(
        {
            "image": [f"{n}.png" for n in range(count)],
            "sex": random.choice(["F", "M"], count),
            "age": random.choice([5.0, 30.0, 61.0, 85.0, np.nan], count),
            "view": "PA",
        }
    )
    targets = (random.random((count, 2)) < 0.3).astype(np.int8)
    strength = np.where(table["sex"] == "F", 2.0, 0.3)[:, None]
    given = 1 / (1 + np.exp(-(strength * targets + random.normal(size=targets.shape))))
    owners = [str(n // 2) for n in range(count)]
    return Scores(table["image"].tolist(), owners, ["Mass", "No Finding"], given, targets), table


def test_each_image_stands_in_one_group_of_each_attribute():
    scores, table = simulated()
    groups = membership(scores, table)
    assert set(groups["sex"]) == {"F", "M"}
    assert set(groups["age"]) == {"0-19", "20-39", "60-79", "80 and over", "unknown"}
    assert (groups["age"] == "unknown").sum() == table["age"].isna().sum()


def test_rows_are_found_by_name_not_by_place():
    scores, table = simulated()
    shuffled = table.sample(frac=1, random_state=1)
    np.testing.assert_array_equal(
        membership(scores, table)["sex"], membership(scores, shuffled)["sex"]
    )


def test_the_figures_of_a_group_are_those_of_its_images_alone():
    scores, table = simulated()
    groups = membership(scores, table)
    subgroups = by_group(scores, groups, replicates=50)["subgroups"]
    women = groups["sex"] == "F"
    alone = scores.take(np.flatnonzero(women))
    expected = summarise(alone, replicates=50)
    assert subgroups["sex"]["F"].findings == expected.findings
    assert subgroups["sex"]["F"].intervals == expected.intervals
    assert "view" not in subgroups  # one group alone is no comparison


def test_the_largest_gap_is_named_with_its_interval():
    scores, table = simulated()
    gap = by_group(scores, membership(scores, table), replicates=200)["largest_gap"]
    named = ("attribute", "better", "worse", "findings")
    assert [gap[key] for key in named] == ["sex", "F", "M", 1]
    assert gap["mean_auroc_difference"] == pytest.approx(0.35, abs=0.12)
    assert 0 < gap["interval"].low < gap["mean_auroc_difference"] < gap["interval"].high


def test_groups_too_small_to_compare_have_no_gap():
    scores, table = simulated(20)
    groups = membership(scores, table.assign(age=np.arange(20.0) * 5))
    assert by_group(scores, {"age": groups["age"]}, replicates=0)["largest_gap"] is None
