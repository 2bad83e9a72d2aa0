"""The same answers by each of NIH's two tables, and on the two lists that figures are of."""

import shutil

import numpy as np
import pandas as pd
import pytest

from chexnet.data.nih import read_folder
from chexnet.data.splits import name_hashes
from chexnet.data.tables import is_among
from chexnet.evaluation.report.sentences import about_tables
from chexnet.evaluation.report.terminal import both_text, protocols_text
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.summary import summarise
from chexnet.evaluation.truths import both_tables, protocol_figures, seen_by
from chexnet.files import plain
from chexnet.labels import FINDINGS
from chexnet.networks.training_lists import image_names, image_patients, images_for_test_2017
from tests.conftest import NIH, SHARED

TABLE_2017 = SHARED / "tables" / "Data_Entry_2017.csv"
HEAD = "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,View Position"


@pytest.fixture
def folder(tmp_path):
    early, late = [f"{HEAD},"], [HEAD]
    for p in range(1, 31):
        sex, label = "FM"[p % 2], ("Mass", "No Finding")[p % 2]
        early.append(f"{p:08d}_000.png,{label},000,{p:08d},{412 if p == 4 else p:03d}Y,{sex},PA,")
        changed = "Mass|Pneumonia" if p in (2, 4) else "Pneumonia" if p == 7 else label
        late.append(f"{p:08d}_000.png,{changed},{int(p == 9)},{p},{p},{sex},PA")
    (tmp_path / "Data_Entry_2017.csv").write_text("\n".join(early))
    (tmp_path / "Data_Entry_2017_v2020.csv").write_text("\n".join(late))
    return tmp_path


def answers(table, classes, seed=0) -> Scores:
    given = np.random.default_rng(seed).random((len(table), len(classes)))
    targets = np.array([[name in labels for name in classes] for labels in table["labels"]])
    return Scores(
        table["image"].tolist(), table["patient"].tolist(), list(classes), given, targets * 1
    )


def test_what_differs_between_the_tables_is_counted_label_by_label(folder):
    table = read_folder(folder, "v2020", need_images=False).table
    scores = answers(table, ["Mass", "Pneumonia"])
    tables = both_tables(scores, folder, replicates=20)
    assert (tables["images_in_both"], tables["images_that_differ"]) == (30, 3)
    assert tables["labels_added_and_removed_by_v2020"] == {
        "No Finding": (0, 1),
        "Pneumonia": (3, 0),
    }
    assert tables["follow_up_numbers_that_differ"] == tables["ages_that_differ"] == 1
    assert tables["without_a_possible_age"] == {"2017": 1, "v2020": 0}
    assert tables["2017"].positives.tolist() == [15, 0]
    assert tables["v2020"].positives.tolist() == [15, 3]
    assert "From 2017 to v2020: No Finding +0 -1, Pneumonia +3." in about_tables(tables, 30)
    assert "2017 1, v2020 0." in both_text(plain(tables), 30, 20)


@pytest.mark.skipif(
    not (NIH.is_dir() and TABLE_2017.is_file()), reason="NIH's tables are not beside the project"
)
def test_the_real_tables_of_the_official_test_list(nih, tmp_path):
    shutil.copy(TABLE_2017, tmp_path / "Data_Entry_2017.csv")
    shutil.copy(NIH / "Data_Entry_2017_v2020.csv", tmp_path / "Data_Entry_2017_v2020.csv")
    assert nih.version == "v2020"
    scores = answers(nih.table[is_among(nih.table["image"], nih.lists["test"])], FINDINGS)
    tables = both_tables(scores, tmp_path, replicates=0)
    assert (tables["images_in_both"], tables["images_that_differ"]) == (25_596, 181)
    changed = tables["labels_added_and_removed_by_v2020"]
    assert sum(added for added, _ in changed.values()) == 188
    assert changed["No Finding"] == (0, 51)
    positives = {
        version: dict(zip(FINDINGS, tables[version].positives.tolist(), strict=True))
        for version in ("2017", "v2020")
    }
    for label, early, late in (
        ("Pneumonia", 477, 555),
        ("Mass", 1712, 1748),
        ("Infiltration", 6088, 6112),
        ("Atelectasis", 3255, 3279),
    ):
        assert (positives["2017"][label], positives["v2020"][label]) == (early, late)


@pytest.fixture
def table():
    rows = [(f"{p:08d}_{i:03d}.png", str(p)) for p in range(1, 41) for i in range(2)]
    return pd.DataFrame(rows, columns=["image", "patient"])


def scores_of(table, seed=0):
    random = np.random.default_rng(seed)
    targets = (random.random((len(table), 1)) < 0.4).astype(np.int8)
    given = random.random(targets.shape)
    images, patients = table["image"].tolist(), table["patient"].tolist()
    return Scores(images, patients, ["Mass"], given, targets)


def hashes(table, rows):
    chosen = table.iloc[rows]
    return name_hashes(chosen["image"]), name_hashes(chosen["patient"])


def test_each_list_is_scored_by_itself(table):
    scores = scores_of(table)
    lists = {"official": table["image"][:50].tolist(), "2017": table["image"][20:80].tolist()}
    runs = protocol_figures(scores, table, lists, None, replicates=40)
    sizes = [(run["images_of_list"], run["images_scored"]) for run in runs.values()]
    assert sizes == [(50, 50), (60, 60)]
    assert {run["reason"] for run in runs.values()} == {None}
    expected = summarise(scores.take(np.arange(20, 80)), replicates=40)
    assert runs["2017"]["figures"].auroc == expected.auroc
    assert runs["2017"]["figures"].intervals == expected.intervals
    assert plain(runs)["2017"]["figures"]["images"] == 60
    assert "60 of 60" in protocols_text(plain(runs))


def test_what_two_lists_have_in_common_is_neither_and_a_part_of_one_is_said_to_be(table):
    scores = scores_of(table).take(np.arange(50))
    lists = {"official": table["image"][:60].tolist(), "2017": table["image"][20:80].tolist()}
    runs = protocol_figures(scores, table, lists, None, replicates=0)
    official, later = runs.values()
    assert (official["images_scored"], official["images_of_list"]) == (50, 60)
    assert official["reason"] is None
    assert later["reason"] == "only 30 of its 60 images were scored, beside others"
    assert "blank: only 30" in protocols_text(plain(runs))


def test_a_list_is_blank_where_the_network_has_seen_one_of_its_images_or_patients(table):
    scores = scores_of(table).take(np.arange(40))
    lists = {"official": table["image"][:40].tolist(), "2017": table["image"][:80].tolist()}
    # Trained on images 60 to 79: none of them was scored, but the list has them.
    runs = protocol_figures(scores, table, lists, hashes(table, slice(60, 80)), replicates=0)
    assert runs["official"]["figures"] is not None
    assert runs["2017"]["figures"] is None
    assert runs["2017"]["reason"] == "the network has seen 20 of its images and 10 of its patients"
    # Another image of one patient is enough.
    seen = (name_hashes(["new.png"]), name_hashes(["25"]))
    runs = protocol_figures(scores, table, lists, seen, replicates=0)
    assert runs["official"]["reason"] is None
    assert "0 of its images and 1 of its patients" in runs["2017"]["reason"]


def test_lists_that_are_not_at_hand_or_not_scored_are_said_to_be(table):
    scores = scores_of(table)
    runs = protocol_figures(scores, table, {"2017": ["x.png"]}, None, replicates=0)
    assert [run["reason"] for run in runs.values()] == [
        "the list is not at hand",
        "none of its images was scored",
    ]


def test_what_several_weights_files_have_seen_is_read_from_them(trained, phantoms):
    from chexnet.model import load_weights

    weights = trained / "best_chexnet_params.pth"
    metadata = load_weights(weights)[1]
    images, patients = seen_by([metadata.trained_hashes] * 2)
    own = metadata.provenance
    np.testing.assert_array_equal(images, own["trained_images"].numpy())
    np.testing.assert_array_equal(patients, own["trained_patients"].numpy())
    assert seen_by([]) is None
    assert seen_by([metadata.trained_hashes, None]) is None  # nobody can tell


def test_most_images_of_the_official_list_stand_in_the_training_of_2017(nih):
    later = images_for_test_2017()
    assert len(later) == 22_433
    official = nih.lists["test"]
    assert len(official - later) == 20_383
    # A network of the lists of 2017 has seen the official list, and the other way round.
    rest = ~is_among(image_names(), later)
    of_2017 = (
        name_hashes(np.array(image_names())[rest].tolist()),
        name_hashes([str(number) for number in np.unique(image_patients()[rest])]),
    )
    chosen = nih.table[is_among(nih.table["image"], official)].iloc[::50]
    lists = {"official": official, "2017": later}
    scores = scores_of(chosen)
    runs = protocol_figures(scores, nih.table, lists, of_2017, replicates=0)
    assert "the network has seen 20,383 of its images" in runs["official"]["reason"]
    assert runs["2017"]["reason"].endswith("were scored, beside others")
    own = scores.take(np.flatnonzero([name in later for name in scores.images]))
    runs = protocol_figures(own, nih.table, lists, of_2017, replicates=0)
    assert (runs["2017"]["reason"], runs["2017"]["images_scored"]) == (None, len(own.images))
    trained = hashes(nih.table, is_among(nih.table["image"], nih.lists["train_val"]))
    runs = protocol_figures(scores, nih.table, lists, trained, replicates=0)
    assert runs["official"]["reason"] is None
    assert runs["2017"]["reason"].startswith("the network has seen")
