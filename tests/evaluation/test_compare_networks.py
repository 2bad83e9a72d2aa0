"""Several networks on the images that none of them has seen."""

import csv
import io
from html.parser import HTMLParser

import numpy as np
import pytest
import torch

from chexnet.data.formats import DataRequest
from chexnet.errors import ConfigError, LeakError
from chexnet.evaluation.compare import MEAN, as_dict, compare, compare_networks
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.info import NOT_CALIBRATED, TEST_CHOSEN
from chexnet.evaluation.report.comparison import (
    side_by_side,
    side_by_side_html,
    side_by_side_text,
)
from chexnet.evaluation.report.render import to_csv
from chexnet.evaluation.scoring import score_weights
from chexnet.metadata import surroundings
from chexnet.model import load_weights, save_weights
from tests.standins import as_imported, rows_seen, seen_of

OPTIONS = {"replicates": 30, "device": "cpu", "workers": 0}


@pytest.fixture(scope="module")
def networks(phantoms, trained, tmp_path_factory):
    """A network of ours, and two from elsewhere that have seen a test patient each; their names.

    The third has other weights, and one class less.
    """
    folder = tmp_path_factory.mktemp("networks")
    ours = trained / "best_chexnet_params.pth"
    opened = open_holdout(DataRequest(phantoms), ours, "test").datamodule
    table = opened.folder.table.iloc[opened.rows("test")]
    patients = sorted(set(table["patient"]))
    seen = [seen_of(table[table["patient"] == patient]) for patient in patients[:2]]
    second = as_imported(
        ours,
        folder / "b.pth",
        seen[0],
        chosen_on="test list",
        published=0.9,
        network="the <second>",
    )
    model, metadata = load_weights(ours)
    with torch.no_grad():
        model.classifier.weight.add_(torch.randn(model.classifier.weight.shape) * 0.1)
    names = [name for name in metadata.classes if name != "No Finding"]
    kept = [metadata.classes[name] for name in names]
    model.classifier.weight = torch.nn.Parameter(model.classifier.weight[kept])
    model.classifier.bias = torch.nn.Parameter(model.classifier.bias[kept])
    metadata.classes.clear()
    metadata.classes.update({name: place for place, name in enumerate(names)})
    save_weights(folder / "less.pth", model, metadata)
    third = as_imported(folder / "less.pth", folder / "c.pth", seen[1], network=None)
    clean = table[~table["patient"].isin(patients[:2])]
    return [ours, second, third], sorted(clean["image"]), len(table)


@pytest.fixture(scope="module")
def compared(phantoms, networks):
    return compare_networks(DataRequest(phantoms), networks[0], "test", **OPTIONS)


def test_only_images_that_none_has_seen_are_scored(compared, networks):
    _, clean, whole = networks
    content, scored = compared
    for network in scored:
        assert sorted(network.scores.images) == clean
        assert network.facts.images["test"] == len(clean)
    assert (content["images"], content["images_of_part"]) == (len(clean), whole)
    assert len({network.facts.fingerprint for network in scored}) == 1


def test_each_networks_answers_are_those_that_it_gives_alone(compared, phantoms, networks):
    for path, network in zip(networks[0], compared[1], strict=True):
        alone = score_weights(
            DataRequest(phantoms), path, "test", seen="skip", device="cpu", workers=0
        ).scores
        rows = np.array([alone.images.index(name) for name in network.scores.images])
        expected = alone.take(rows, network.scores.classes)
        np.testing.assert_allclose(network.scores.probabilities, expected.probabilities, atol=1e-6)
        assert (network.scores.targets == expected.targets).all()
    assert "No Finding" not in compared[0]["classes"]
    assert compared[0]["classes_left_out"] == ["No Finding"]


def test_differences_are_to_the_first_network(compared):
    content, (first, _, third) = compared
    rows = content["networks"]
    assert rows[0]["against_first"] is None
    expected = compare(third.scores, first.scores, OPTIONS["replicates"], 0)
    assert rows[2]["against_first"] == as_dict(expected)
    assert rows[1]["against_first"][MEAN]["difference"] == 0


def test_stamps_published_figures_and_hostile_names_stand_on_the_page(compared):
    content, facts = compared[0], [network.facts for network in compared[1]]
    assert content["networks"][0]["stamps"] == []
    assert content["networks"][1]["stamps"] == [TEST_CHOSEN, NOT_CALIBRATED]
    text = side_by_side_text(content, facts)
    page = side_by_side_html(content, facts, surroundings())
    HTMLParser().feed(page)
    for shown in (text, page):
        assert TEST_CHOSEN in shown
        assert "0.900" in shown
        assert (
            f"{content['images']} of {content['images_of_part']} images of the test part" in shown
        )
    assert "the &lt;second&gt;" in page
    assert "<second>" not in page
    assert "Drawn phantoms" in page


def test_the_csv_has_a_row_for_each_network_and_class(compared):
    text = to_csv(side_by_side(compared[0]))
    rows = list(csv.DictReader(io.StringIO(text)))
    assert list(rows[0]) == [
        *("network", "label", "positives", "auroc", "low", "high"),
        *("difference_to_first", "difference_low", "difference_high", "p", "published", "stamps"),
    ]
    assert len(rows) == 3 * (len(compared[0]["classes"]) + 1)
    mean = next(r for r in rows if r["label"] == MEAN and r["network"] == "the <second>")
    assert float(mean["auroc"]) == pytest.approx(compared[1][1].summary.findings.value)
    assert float(mean["published"]) == 0.9
    assert float(mean["difference_to_first"]) == 0
    assert "nan" not in text


def test_a_network_that_has_seen_all_of_it_is_named(phantoms, networks, tmp_path):
    paths, *_ = networks
    seen = rows_seen(phantoms, "test")
    path = as_imported(paths[0], tmp_path / "greedy.pth", seen)
    with pytest.raises(LeakError, match=r"greedy\.pth: .* Leave this network out"):
        compare_networks(DataRequest(phantoms), [paths[0], path], "test", **OPTIONS)
    with pytest.raises(ConfigError, match="found 1, expected two"):
        compare_networks(DataRequest(phantoms), paths[:1], "test", **OPTIONS)


def test_networks_that_leave_no_image_to_each_other_are_refused(phantoms, networks, tmp_path):
    """One has seen one half of the test patients, the other the other half."""
    ours = networks[0][0]
    opened = open_holdout(DataRequest(phantoms), ours, "test").datamodule
    table = opened.folder.table.iloc[opened.rows("test")]
    first = table["patient"].isin(sorted(set(table["patient"]))[:2])
    paths = [
        as_imported(ours, tmp_path / f"{name}.pth", seen_of(rows))
        for name, rows in (("a", table[first]), ("b", table[~first]))
    ]
    with pytest.raises(LeakError, match=r"No image .* was left unseen by all networks"):
        compare_networks(DataRequest(phantoms), paths, "test", **OPTIONS)
