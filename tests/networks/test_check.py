"""What is said of a network's figures beside the published one, and on which images."""

import dataclasses

import numpy as np
import pytest

from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import summarise
from chexnet.labels import FINDINGS
from chexnet.networks.check import choose_images, verdict
from chexnet.networks.training_lists import image_names, seen_by
from tests.standins import as_imported, seen_of

pytestmark = pytest.mark.usefixtures("tiny_network")


def simulated(strength: float) -> Scores:
    """A network whose column of each finding is so much higher where the finding is."""
    random = np.random.default_rng(0)
    truth = np.repeat(random.random((200, len(FINDINGS))) < 0.15, 2, axis=0)
    z = strength * truth + np.random.default_rng(9).normal(size=truth.shape)
    return Scores(
        images=[f"{n}.png" for n in range(400)],
        patients=[str(n // 2) for n in range(400)],
        classes=list(FINDINGS),
        probabilities=1 / (1 + np.exp(-z)),
        targets=truth.astype(np.int8),
    )


GOOD = simulated(1.2)
SHUFFLED = dataclasses.replace(GOOD, probabilities=np.roll(GOOD.probabilities, 1, axis=1))
INVERTED = dataclasses.replace(GOOD, probabilities=1 - GOOD.probabilities)


@pytest.mark.parametrize(
    ("scores", "cases"),
    [
        (
            GOOD,
            [
                (0.79, True, "confirmed"),  # it has 0.80
                (0.97, True, "lower than published"),
                (None, True, "no published figure"),
                (0.79, False, "cannot say"),
            ],
        ),
        (SHUFFLED, [(0.79, True, "no better than guessing")]),
        (INVERTED, [(0.79, True, "no better than guessing")]),
    ],
    ids=["good", "shuffled", "inverted"],
)
def test_the_mean_auroc_is_compared_with_the_published_one(scores, cases):
    summary = summarise(scores, replicates=200)
    for published, real, says in cases:
        assert verdict(summary, published, real=real) == says


def test_unseen_radiographs_are_checked_and_seen_ones_only_where_there_are_no_others(
    make_folder, trained, tmp_path
):
    weights = trained / "best_chexnet_params.pth"
    names = image_names()[:260]
    rows = [(name, "Mass", str(int(name[:8]))) for name in names]
    root = make_folder(rows, size=64)
    table = read_folder(root).table

    def chosen(seen, limit=1000):
        path = as_imported(weights, tmp_path / "w.pth", seen)
        return choose_images(open_holdout(DataRequest(root), path, "all", seen="stamp"), limit)

    few = table[table["patient"].isin(["1", "2"])]
    choice = chosen(seen_of(few))
    assert (choice.real, choice.unseen, choice.nih) == (True, True, 260)
    assert not set(table["image"].iloc[choice.rows]) & set(few["image"])
    assert len(chosen(seen_of(few), limit=40).rows) == 40
    choice = chosen(seen_by("unknown"))
    assert (choice.unseen, len(choice.rows)) == (False, 260)


def test_under_200_radiographs_everything_at_hand_is_shown(phantoms, trained):
    holdout = open_holdout(
        DataRequest(phantoms), trained / "best_chexnet_params.pth", "all", seen="stamp"
    )
    choice = choose_images(holdout, 1000)
    assert (choice.real, choice.nih) == (False, 0)
    assert len(choice.rows) == len(holdout.data_set.images)
