import numpy as np
import pytest

from chexnet.data.nih import read_folder
from chexnet.evaluation.leakage import leakage, memory_scores


def test_the_memory_is_the_smoothed_mean_of_the_patients_other_labels():
    known = np.array([0, 0, 1])  # two images of patient 0, one of patient 1
    targets = np.array([[1, 0], [1, 0], [0, 0.0]])
    scores = memory_scores(known, targets, np.array([0, 1, 2]), patients=3)
    prevalence = 2 / 3
    expected = [[(2 + prevalence) / 3, 0], [prevalence / 2, 0], [prevalence, 0]]
    np.testing.assert_allclose(scores, expected)


@pytest.fixture
def folder(make_folder):
    """300 patients with three images each; a patient has Mass on all of them or on none."""
    rows = [
        (f"{p:03d}_{n}.png", "Mass" if p % 3 == 0 else "No Finding", p)
        for p in range(300)
        for n in range(3)
    ]
    return read_folder(make_folder(rows, images=()), need_images=False)


def test_an_image_split_lets_the_memory_win_and_a_patient_split_leaves_it_guessing(folder):
    leaking = leakage(folder, "image", "test", replicates=50)
    honest = leakage(folder, "patient", "test", replicates=50)
    mass = leaking.memory.classes.index("Mass")
    assert leaking.images > 0.9
    assert leaking.memory.auroc[mass] > 0.95
    assert honest.images == honest.patients == 0
    assert honest.memory.auroc[mass] == 0.5
    assert honest.memory.findings.n_defined == 1  # of 14: the others have no positive


def test_nihs_table_gives_the_figures_of_the_readme(nih):
    assert nih.version == "v2020"
    leaking = leakage(nih, "image", "val", replicates=0)
    assert 0.82 <= leaking.images <= 0.85
    assert 0.75 <= leaking.memory.findings.value <= 0.775
    assert leakage(nih, "patient", "val", replicates=0).memory.findings.value == 0.5
    assert leakage(nih, "official", "test", replicates=0).images == 0
