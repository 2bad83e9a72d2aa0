"""Published values: what is in the file, and what may stand beside what."""

import csv

import numpy as np
import pytest

from chexnet.evaluation.intervals import NO_INTERVAL, Interval
from chexnet.evaluation.report.published import published, relation
from chexnet.labels import FINDINGS
from tests.conftest import SHARED

SOURCE = SHARED / "published" / "auroc.csv"
LEFT_OUT = ("UNVERIFIED", "seed text")


@pytest.mark.skipif(not SOURCE.is_file(), reason="the table of published values is not here")
def test_every_verified_value_of_the_source_is_in_the_file_and_nothing_unverified():
    rows = list(csv.DictReader(SOURCE.read_text().splitlines()))
    tables = {
        tuple(sorted(table["auroc"].items())): table for table in published() if table["auroc"]
    }
    for row in rows:
        values = {name: float(row[name]) for name in FINDINGS if row[name]}
        known = tables.get(tuple(sorted(values.items())))
        if row["provenance"].startswith(LEFT_OUT):
            assert known is None, row["system"]
        elif values:
            assert known, row["system"]
            assert (known["protocol"] == "official") == row["split"].startswith("official")
            if row["mean_stated"]:
                assert known["mean"] == pytest.approx(float(row["mean_stated"]), abs=1e-9)
    means = [row["mean_stated"] for row in rows if not any(row[name] for name in FINDINGS)]
    printed = {f"{table['mean']:g}" for table in published() if not table["auroc"]}
    assert {mean.split(" ")[0] for mean in means} == printed
    # One more than there: the second column of arnoweng's README.
    kept = [row for row in rows if not row["provenance"].startswith(LEFT_OUT)]
    assert len(published()) == len(kept) + 1


def test_both_columns_of_arnoweng_are_named_by_their_heading():
    sources = {
        table["name"]: table["source"]
        for table in published()
        if "arnoweng/CheXNet," in table["name"]
    }
    assert [source.rsplit("column ")[1] for source in sources.values()] == [
        "Our Implemented CheXNet",
        "Our Improved Model",
    ]


def test_values_are_findings_of_the_vocabulary_and_shares():
    for table in published():
        assert set(table["auroc"]) <= set(FINDINGS)
        assert all(0.5 < value < 1 for value in table["auroc"].values())
        assert table["split"]
        assert table["source"]
        assert table["protocol"] in ("", "official", "2017")
        if len(table["auroc"]) == len(FINDINGS):
            assert table["mean"] == pytest.approx(
                np.mean(list(table["auroc"].values())), abs=0.0015
            )
    with_interval = [table["name"] for table in published() if table["interval"]]
    assert with_interval == ["Yzaza DenseNet-121, 320 px", "nessi10 DenseNet-121 variant"]


@pytest.mark.parametrize(
    ("value", "told"),
    [(0.7, "inside"), (0.81, "above"), (0.69, "below"), (0.8, "inside"), (None, "n/a")],
)
def test_a_value_is_told_from_the_interval(value, told):
    assert relation(value, Interval(0.7, 0.8)) == told
    assert relation(value, NO_INTERVAL) == relation(value, None) == "n/a"
