"""What is told apart when a network was read wrongly, and what is not said."""

import dataclasses

import numpy as np
import pytest
import torch

from chexnet.data.datasets import ChestXRayDataSet
from chexnet.data.nih import read_folder
from chexnet.evaluation.holdout import open_holdout
from chexnet.evaluation.metrics import Scores, auroc
from chexnet.labels import FINDINGS
from chexnet.model import DenseNet121, load_weights
from chexnet.networks.assignment import assign, auroc_matrix
from chexnet.networks.check import choose_images, diagnose
from chexnet.networks.importers import ORDERS
from chexnet.networks.training_lists import image_names, seen_by
from chexnet.networks.variants import DECLARED, INVERTED, input_variants, score_variants
from chexnet.phantom.dataset import draw_phantoms
from chexnet.transforms import Preprocessing
from tests.conftest import ROOT, rows_of
from tests.standins import as_imported, seen_of

WRONG = "-1 to 1"
QUICK = {"replicates": 200}


def simulated(strength: float, seed: int = 0, images: int = 400) -> Scores:
    """A network whose column of each finding is so much higher where the finding is."""
    random = np.random.default_rng(seed)
    patients = images // 2
    truth = np.repeat(random.random((patients, len(FINDINGS))) < 0.15, 2, axis=0)
    z = strength * truth + np.random.default_rng(9).normal(size=truth.shape)
    return Scores(
        images=[f"{n}.png" for n in range(images)],
        patients=[str(n // 2) for n in range(images)],
        classes=list(FINDINGS),
        probabilities=1 / (1 + np.exp(-z)),
        targets=truth.astype(np.int8),
    )


GOOD, WORSE, USELESS = simulated(1.2), simulated(0.5), simulated(0.0)


def permuted(scores: Scores, columns) -> Scores:
    return dataclasses.replace(scores, probabilities=scores.probabilities[:, columns])


def test_a_network_that_is_read_rightly_is_confirmed_or_said_to_be_lower():
    variants = {DECLARED: GOOD, WRONG: WORSE, INVERTED: USELESS}
    found = diagnose(variants, published=0.79, **QUICK)
    assert (found.verdict, found.problems) == ("confirmed", [])
    assert all(column == label for label, (_, column, _) in found.columns.items())
    assert diagnose(variants, published=0.97, **QUICK).verdict == "lower than published"
    assert diagnose(variants, **QUICK).verdict == "nothing wrong found"


def test_another_normalisation_and_an_inverted_input_are_told_apart():
    wrong = diagnose({DECLARED: WORSE, WRONG: GOOD, INVERTED: USELESS}, **QUICK)
    assert wrong.verdict == "something looks wrong"
    [problem] = wrong.problems
    assert problem.startswith(f"wrong normalisation: with {WRONG}")
    [problem] = diagnose({DECLARED: USELESS, WRONG: WORSE, INVERTED: GOOD}, **QUICK).problems
    assert problem.startswith("inverted input")


def test_shuffled_columns_are_found_and_each_gets_its_label_back():
    columns = np.random.default_rng(3).permutation(len(FINDINGS))
    variants = {DECLARED: permuted(GOOD, columns), WRONG: permuted(WORSE, columns)}
    found = diagnose(variants, **QUICK)
    [problem] = found.problems
    assert problem.startswith("shuffled classes")
    assert found.order is None
    for label, (_, column, _) in found.columns.items():
        assert columns[FINDINGS.index(column)] == FINDINGS.index(label)


@pytest.mark.parametrize(
    ("true", "taken"), [("nih14", "alphabetical14"), ("alphabetical14", "nih14")]
)
def test_a_known_order_that_was_taken_for_another_is_named(true, taken):
    # The column called `taken[k]` holds the answers for `true[k]`.
    columns = [FINDINGS.index(ORDERS[true][ORDERS[taken].index(name)]) for name in FINDINGS]
    found = diagnose({DECLARED: permuted(GOOD, columns)}, **QUICK)
    assert found.order == f"{true}, taken for {taken}"
    # A network that knows six findings alone: of few images the columns that fit best for the
    # others are chance, and do better than the true order.
    partly = simulated(1.2, images=220)
    answers = partly.probabilities.copy()
    answers[:, :8] = np.random.default_rng(5).random((220, 8))
    partly = dataclasses.replace(partly, probabilities=answers)
    found = diagnose({DECLARED: permuted(partly, columns)}, **QUICK)
    assert found.order == f"{true}, taken for {taken}"


def test_two_faults_at_once_are_both_named():
    columns = np.random.default_rng(3).permutation(len(FINDINGS))
    variants = {DECLARED: permuted(USELESS, columns), INVERTED: permuted(GOOD, columns)}
    first, second = diagnose(variants, **QUICK).problems
    assert first.startswith("inverted input")
    assert second.startswith("shuffled classes")


def test_a_network_that_knows_nothing_is_not_blamed_on_an_alternative():
    variants = {DECLARED: USELESS, WRONG: simulated(0.0, 1), INVERTED: simulated(0.0, 2)}
    variants = {
        name: dataclasses.replace(one, targets=USELESS.targets, images=USELESS.images)
        for name, one in variants.items()
    }
    found = diagnose(variants, published=0.8, **QUICK)
    assert (found.verdict, found.problems) == ("no better than guessing", [])


@pytest.mark.parametrize("seed", range(6))
def test_chance_alone_shuffles_nothing(seed):
    """Of a middling network and few images some column fits another label better."""
    found = diagnose({DECLARED: simulated(0.7, seed, images=220)}, **QUICK)
    assert found.problems == []


def test_drawings_cannot_say_whatever_they_show():
    columns = np.random.default_rng(3).permutation(len(FINDINGS))
    found = diagnose({DECLARED: permuted(GOOD, columns)}, published=0.8, real=False, **QUICK)
    assert found.verdict == "cannot say"
    assert found.columns["Mass"][1] != "Mass"


def test_the_matrix_of_aurocs_is_the_metrics_own_and_the_best_assignment_is_found():
    labels = [0, 3, 5]
    matrix = auroc_matrix(GOOD, labels, np.arange(400))
    for column in range(len(FINDINGS)):
        answers = np.repeat(GOOD.probabilities[:, [column]], 3, axis=1)
        expected = auroc(answers, GOOD.targets[:, labels])  # in float32
        np.testing.assert_allclose(matrix[column], expected, atol=1e-6)
    assert assign(matrix) == labels
    # The first column is best for both labels: the mean decides who gets it.
    assert assign(np.array([[0.9, 0.8], [0.7, 0.5]])) == [1, 0]


# --- pictures --------------------------------------------------------------------------------


def test_the_variants_are_what_a_user_would_have_to_do_to_the_picture(make_folder):
    root = make_folder(rows_of(4, 2))
    pre = Preprocessing(size=64)
    data = ChestXRayDataSet(root, preprocessing=pre)
    torch.manual_seed(1)
    model = DenseNet121(len(data.classes)).eval()
    variants = input_variants(pre)
    assert "ImageNet's mean and std" not in variants  # it is what is declared
    found = score_variants(model, data, variants, batch_size=3)
    pictures = torch.from_numpy(np.stack([data[i][0].numpy() for i in range(len(data))])) / 255
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in (pre.mean, pre.std))
    inputs = {DECLARED: (pictures - mean) / std, INVERTED: (1 - pictures - mean) / std}
    inputs |= {"-1 to 1": pictures.expand(-1, 3, -1, -1) * 2 - 1}
    inputs |= {"0 to 255": pictures.expand(-1, 3, -1, -1) * 255}
    for name, given in inputs.items():
        with torch.inference_mode():
            logits = model(given.float()).numpy()
        order = np.argsort(np.argsort(logits, axis=0), axis=0)
        assert (order == np.argsort(np.argsort(found[name].probabilities, axis=0), axis=0)).all()
        assert found[name].probabilities.min() > 0
        assert found[name].probabilities.max() == 1


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
        return choose_images(open_holdout(root, path, "all", allow_leak=True), limit)

    few = table[table["patient"].isin(["1", "2"])]
    found = chosen(seen_of(few))
    assert (found.real, found.unseen, found.nih) == (True, True, 260)
    assert not set(table["image"].iloc[found.rows]) & set(few["image"])
    assert len(chosen(seen_of(few), limit=40).rows) == 40
    found = chosen(seen_by("unknown"))
    assert (found.unseen, len(found.rows)) == (False, 260)


def test_under_200_radiographs_everything_at_hand_is_shown(phantoms, trained):
    holdout = open_holdout(phantoms, trained / "best_chexnet_params.pth", "all", allow_leak=True)
    found = choose_images(holdout, 1000)
    assert (found.real, found.nih) == (False, 0)
    assert len(found.rows) == len(holdout.data_set.images)


@pytest.mark.slow
def test_the_starter_altered_in_each_way_is_told_apart_on_phantoms(tmp_path):
    """Drawings stand for data at hand: the starter is good on them."""
    root = tmp_path / "phantoms"
    draw_phantoms(root, patients=60, size=256, seed=3, workers=2)
    model, metadata = load_weights(ROOT / "weights" / "starter.pth")
    pre = dataclasses.replace(metadata.preprocessing, size=128)
    data = ChestXRayDataSet(root, classes=metadata.classes, preprocessing=pre)

    def problems(network, preprocessing):
        return diagnose(score_variants(network, data, input_variants(preprocessing))).problems

    assert problems(model, pre) == []
    other = dataclasses.replace(pre, mean=(0.0,) * 3, std=(1.0,) * 3)
    [problem] = problems(model, other)
    assert problem.startswith("wrong normalisation: with ImageNet's mean and std")
    with torch.no_grad():  # 0.13 away from exact: a picture's mean is not quite a half
        model.features.conv0.weight.neg_()
    [problem] = problems(model, pre)
    assert problem.startswith("inverted input")
    with torch.no_grad():
        model.features.conv0.weight.neg_()
        order = torch.from_numpy(np.random.default_rng(0).permutation(len(metadata.classes)))
        model.classifier.weight.copy_(model.classifier.weight[order])
        model.classifier.bias.copy_(model.classifier.bias[order])
    [problem] = problems(model, pre)
    assert problem.startswith("shuffled classes")
