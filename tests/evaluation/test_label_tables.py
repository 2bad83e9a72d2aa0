"""The same answers by each of NIH's two tables."""

import shutil

import numpy as np
import pytest

from chexnet.data.nih import read_folder
from chexnet.evaluation.report.terminal import both_text
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.truths import both_tables, tables_told
from chexnet.files import plain
from chexnet.labels import FINDINGS
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


def answers(root, classes, seed=0) -> Scores:
    table = read_folder(root, "v2020", need_images=False).table
    given = np.random.default_rng(seed).random((len(table), len(classes)))
    targets = np.array([[name in labels for name in classes] for labels in table["labels"]])
    return Scores(
        table["image"].tolist(), table["patient"].tolist(), list(classes), given, targets * 1
    )


def test_what_differs_between_the_tables_is_counted_label_by_label(folder):
    scores = answers(folder, ["Mass", "Pneumonia"])
    found = both_tables(scores, folder, replicates=20)
    assert (found.images, found.differing) == (30, 3)
    assert found.changed == {"No Finding": (0, 1), "Pneumonia": (3, 0)}
    assert (found.follow_ups, found.ages) == (1, 1)
    assert found.impossible == {"2017": 1, "v2020": 0}
    assert found.summaries["2017"].positives.tolist() == [15, 0]
    assert found.summaries["v2020"].positives.tolist() == [15, 3]
    assert "From 2017 to v2020: No Finding +0 -1, Pneumonia +3." in tables_told(found)
    assert "2017 1, v2020 0." in both_text(plain(found), tables_told(found), 20)
    assert plain(found)["without_a_possible_age"]["2017"] == 1


@pytest.mark.skipif(
    not (NIH.is_dir() and TABLE_2017.is_file()), reason="NIH's tables are not beside the project"
)
def test_the_real_tables_of_the_official_test_list(tmp_path):
    shutil.copy(TABLE_2017, tmp_path / "Data_Entry_2017.csv")
    shutil.copy(NIH / "Data_Entry_2017_v2020.csv", tmp_path / "Data_Entry_2017_v2020.csv")
    scores = answers(tmp_path, FINDINGS)
    official = set((NIH / "test_list.txt").read_text().split())
    scores = scores.take(np.array([n for n, i in enumerate(scores.images) if i in official]))
    found = both_tables(scores, tmp_path, replicates=0)
    assert (found.images, found.differing) == (25_596, 181)
    assert sum(added for added, _ in found.changed.values()) == 188
    assert found.changed["No Finding"] == (0, 51)
    positives = {
        version: dict(zip(summary.classes, summary.positives.tolist(), strict=True))
        for version, summary in found.summaries.items()
    }
    for label, early, late in (
        ("Pneumonia", 477, 555),
        ("Mass", 1712, 1748),
        ("Infiltration", 6088, 6112),
        ("Atelectasis", 3255, 3279),
    ):
        assert (positives["2017"][label], positives["v2020"][label]) == (early, late)
