"""What a claimed mean AUROC is above."""

import numpy as np
import pytest

from chexnet.errors import ConfigError
from chexnet.evaluation.claims import bars, claim_text
from chexnet.evaluation.report.published import published


def test_the_best_and_the_mean_are_those_of_the_published_tables_of_each_split():
    found = {bar.name: bar for bar in bars(14, "official")}
    official = [one.mean for one in published() if one.protocol == "official"]
    others = [one.mean for one in published() if one.protocol != "official"]
    best = next(bar for name, bar in found.items() if name.startswith("best published on official"))
    assert best.value == max(official) == 0.822
    assert best.comparable
    mean = next(
        bar for name, bar in found.items() if "published on other" in name and "mean" in name
    )
    assert mean.value == pytest.approx(np.mean(others))
    assert not mean.comparable


def test_a_claim_of_no_stated_split_is_above_everything_and_told_what_that_is_worth():
    text = claim_text(0.879, 15, "unknown")
    assert "above everything that is published" in text
    assert "(DacNet)" in text
    assert "0.7650  patient memory alone (no pixel), split by image" in text
    most = (14 * 0.8527 + 1) / 15
    assert f"above     {most:.4f}" in text
    assert "not of the same rows and split" in text
    assert "no published table here prints that row" in text


def test_a_modest_claim_is_told_what_it_is_not_above():
    text = claim_text(0.81, 14, "official")
    assert "not above 0.8220  best published on official test list" in text
    assert "above everything" not in text
    assert "lets patients leak" not in text


@pytest.mark.parametrize("given", [(87.9, 14, "official"), (0.8, 13, "official"), (0.8, 14, "x")])
def test_a_claim_that_is_none_is_refused(given):
    with pytest.raises(ConfigError, match="expected"):
        claim_text(*given)
