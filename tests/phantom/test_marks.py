"""A phantom is told by its number and the generator's mark together."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from chexnet.data import pack as packing
from chexnet.data.datamodule import open_datamodule
from chexnet.data.formats import DataRequest
from chexnet.data.nih import read_folder
from chexnet.evaluation.info import ScoringInfo
from chexnet.evaluation.report.sentences import limits
from chexnet.evaluation.scores import Scores
from chexnet.evaluation.validation import validation_scores
from chexnet.phantom import marks
from chexnet.phantom.marks import MARK, drawn_images
from chexnet.transforms import Preprocessing
from tests.conftest import rows_of

SMALL = Preprocessing(size=64)
HOSPITAL = ("90000001", "90012345", "99990000", "900000017", "30805")
"""Patients of a hospital, three of them with numbers that phantoms may have."""


@pytest.fixture
def mixture(make_folder, phantoms):
    """The hospital's patients, and one phantom under its own name; the lists name all of them."""
    drawn = read_folder(phantoms).table.iloc[0]
    rows = [(f"{patient}_000.png", "Mass", patient) for patient in HOSPITAL]
    names = [row[0] for row in rows]
    rows.append((drawn["image"], "Mass", drawn["patient"]))
    root = make_folder(rows, lists={"train_val": [rows[-1][0], *names[2:]], "test": names[:2]})
    shutil.copy(read_folder(phantoms).paths[drawn["image"]], root / "images_003" / "images")
    return root


def test_a_number_alone_makes_nobody_a_phantom(mixture):
    folder = read_folder(mixture)
    drawn = drawn_images(mixture, folder.table, folder.paths, {})
    assert drawn == {f"{patient}_000.png": False for patient in HOSPITAL[:3]} | {
        folder.table["image"].iloc[-1]: True
    }
    (mixture / MARK).write_text(json.dumps({"seed": 0, "patients": 1}))  # 90,000,001 alone
    assert sum(drawn_images(mixture, folder.table, folder.paths, {}).values()) == 2
    for damaged in ("{", "[]", '{"seed": "x"}', '{"seed": 0}', "\xff"):
        (mixture / MARK).write_text(damaged, encoding="latin-1")
        assert sum(drawn_images(mixture, folder.table, folder.paths, {}).values()) == 1


def test_phantoms_without_their_text_or_their_files_are_known_by_the_folder(phantoms, tmp_path):
    root = tmp_path / "again"
    shutil.copytree(phantoms, root)
    for number, path in enumerate(sorted(root.rglob("images/*.png"))):
        Image.open(path).save(path) if number else path.unlink()
    table = read_folder(root).table
    assert open_datamodule(DataRequest(root), SMALL).drawn == set(table["image"])
    (root / MARK).unlink()
    assert not open_datamodule(DataRequest(root), SMALL).drawn


def test_a_pack_keeps_what_is_drawn_and_an_older_one_lets_the_folder_say(
    mixture, tmp_path, monkeypatch
):
    folder, place = read_folder(mixture), packing.pack_folder(tmp_path, mixture, SMALL)
    drawn = drawn_images(mixture, folder.table, folder.paths, {})
    packing.prepare(folder.paths, place, SMALL, workers=1, drawn=drawn)
    phantom = frozenset({folder.table["image"].iloc[-1]})
    opened: list[object] = []
    whether = marks._has_text
    monkeypatch.setattr(marks, "_has_text", lambda path: opened.append(path) or whether(path))
    assert open_datamodule(DataRequest(mixture, packs=tmp_path), SMALL).drawn == phantom
    assert opened == []
    header = json.loads((place / "pack.json").read_text())
    del header["drawn"]
    (place / "pack.json").write_text(json.dumps(header))
    assert open_datamodule(DataRequest(mixture, packs=tmp_path), SMALL).drawn == phantom
    assert len(opened) == 4
    packing.prepare(folder.paths, place, SMALL, workers=1, drawn=drawn)
    assert packing.Pack(place, SMALL).drawn == drawn


def test_only_what_is_scored_can_be_drawn(mixture, undrawn_assessment):
    module = open_datamodule(DataRequest(mixture), SMALL)
    data = module.facts
    parts = {part: data.drawn[part] for part in ("train", "val", "test")}
    assert sorted(parts.values()) == [0, 0, 1]
    assert data.phantoms
    assert parts["test"] == 0
    for part, count in parts.items():
        facts = ScoringInfo.of_data(data, part=part)
        assert facts.phantoms == bool(count)
        said = " ".join(limits(undrawn_assessment, facts))
        assert "one hospital, the NIH" not in said
        assert ("are drawn" in said) == bool(count)
    assert facts.part == "test"
    assert not facts.all_drawn


def test_the_whole_table_of_nih_is_of_one_hospital(undrawn_assessment):
    facts = ScoringInfo(table="t.csv", label_version="2017", split="official", leaky=False)
    assert "one hospital, the NIH" in " ".join(limits(undrawn_assessment, facts))
    drawn = replace(facts, part="test", phantoms=True, drawn={"test": 3}, images={"test": 3})
    assert drawn.all_drawn
    assert "The pictures are drawn" in " ".join(limits(undrawn_assessment, drawn))


def test_validation_scores_mark_the_images_that_are_drawn():
    scores = Scores(
        images=["90000001_000.png", "90000001_001.png", "x"],
        patients=["90000001", "90000001", "3"],
        classes=["Mass"],
        probabilities=np.array([[0.1], [0.2], [0.3]]),
        targets=np.array([[0], [1], [0]], np.int8),
    )
    assert validation_scores(scores)["drawn"].tolist() == [0, 0, 0]
    stored = validation_scores(scores, drawn={"90000001_001.png", "elsewhere"})
    assert stored["drawn"].tolist() == [0, 1, 0]


@pytest.fixture(scope="module")
def undrawn_assessment():
    from chexnet.evaluation.assessment import assess

    names = [row[0] for row in rows_of(12, 1)]
    scores = Scores(
        images=names,
        patients=[name[:8] for name in names],
        classes=["Mass"],
        probabilities=np.linspace(0, 1, 12)[:, None],
        targets=(np.arange(12) % 2)[:, None].astype(np.int8),
    )
    table = pd.DataFrame({"image": names, "patient": scores.patients})
    table = table.assign(age=50.0, sex="F", view="PA")
    return assess(scores, table, None, replicates=0).content
