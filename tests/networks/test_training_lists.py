"""What published networks have seen, against the lists themselves where they are at hand."""

import numpy as np
import pandas as pd
import pytest

from chexnet.data.nih import read_folder
from chexnet.data.splits import make_split, name_hashes, refuse_trained
from chexnet.errors import ConfigError, LeakError
from chexnet.metadata import Metadata
from chexnet.networks import training_lists
from chexnet.networks.training_lists import (
    image_names,
    image_patients,
    known_lists,
    members,
    seen_by,
    seen_images,
)
from chexnet.transforms import Preprocessing
from tests.conftest import NIH, SHARED, needs_nih

LISTS = SHARED / "published" / "lists"
needs_lists = pytest.mark.skipif(
    not LISTS.is_dir(), reason="the published training lists are not beside the project"
)
FILES = {
    "official_train_val": NIH / "train_val_list.txt",
    "lists_2017_training": LISTS / "arnoweng_train.txt",
    "lists_2017_validation": LISTS / "arnoweng_val.txt",
    "torchxrayvision_nih": LISTS / "torchxrayvision_nih_reconstructed.txt",
}


@pytest.mark.parametrize(
    ("name", "images", "patients"),
    [
        ("official-train-val", 86_524, 28_008),
        ("lists-2017", 78_468 + 11_219, 21_528 + 3_090),
        ("torchxrayvision-nih", 14_434, 14_434),
        ("torchxrayvision-all", 112_120, 30_805),
        ("unknown", 112_120, 30_805),
    ],
)
def test_every_known_list_has_its_published_count(name, images, patients):
    seen = seen_by(name)
    assert seen["count"] == len(seen["images"]) == images
    assert len(seen["patients"]) == patients
    assert seen["whole"] == bool(seen["also"]) == (images == 112_120)
    assert seen["confirmed"] == (name in ("official-train-val", "lists-2017"))


def test_the_parts_of_the_2017_lists_share_no_patient_and_hold_most_of_the_official_test_list():
    training, validation = members("lists_2017_training"), members("lists_2017_validation")
    assert (training.sum(), validation.sum()) == (78_468, 11_219)
    patients = image_patients()
    assert not set(patients[training]) & set(patients[validation])
    test = ~members("official_train_val")
    assert test.sum() == 25_596
    assert (test & (training | validation)).sum() == 20_383
    assert (test & members("torchxrayvision_nih")).sum() == 1_355


def test_names_run_through_all_patients_and_the_file_is_small():
    names = image_names()
    assert len(set(names)) == 112_120
    assert (names[0], names[-1]) == ("00000001_000.png", "00030805_000.png")
    assert max(name[9:12] for name in names) == "183"
    assert training_lists.FILE.stat().st_size < 45_000


def test_an_unknown_name_of_a_list_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="lists-2017"):
        seen_by("lists_2018")


@needs_nih
@needs_lists
def test_the_file_is_what_the_lists_and_nihs_table_give():
    table = pd.read_csv(NIH / "Data_Entry_2017_v2020.csv", usecols=["Image Index"])
    names = np.array(image_names())
    assert names.tolist() == sorted(table["Image Index"])
    with np.load(training_lists.FILE) as kept:
        assert set(kept) == {*FILES, training_lists.COUNTS}
    for key, path in FILES.items():
        assert set(names[members(key)]) == set(path.read_text().split())


def test_the_guard_refuses_what_an_imported_network_has_seen(make_folder):
    """An official test image that stands in the 2017 lists, and one that does not."""
    test, seen = ~members("official_train_val"), seen_images("lists-2017")
    dirty, clean = (image_names()[int(np.flatnonzero(test & m)[0])] for m in (seen, ~seen))
    rows = [(name, "Mass", str(int(name[:8]))) for name in (dirty, clean)]
    table = read_folder(make_folder(rows)).table
    metadata = Metadata({"Mass": 0}, Preprocessing(), seen=seen_by("lists-2017"))
    with pytest.raises(LeakError, match="1 of these 2 images and on 1 of their patients"):
        refuse_trained(table, [0, 1], *metadata.trained_hashes)
    assert not refuse_trained(table, [1], *metadata.trained_hashes)


def test_what_this_project_trained_on_comes_before_what_was_seen_elsewhere():
    import torch

    own = torch.from_numpy(name_hashes(["a"]))
    provenance = {"trained_images": own, "trained_patients": own}
    metadata = Metadata({}, Preprocessing(), provenance, seen=seen_by("unknown"))
    assert metadata.trained_hashes[0].tolist() == own.tolist()


def test_a_network_of_the_official_list_may_be_scored_on_the_official_test_list(nih):
    test = make_split(nih, "official").rows["test"]
    images, patients = (seen_by("official-train-val")[of].numpy() for of in ("images", "patients"))
    assert not refuse_trained(nih.table, test, images, patients)
    images, patients = (seen_by("lists-2017")[of].numpy() for of in ("images", "patients"))
    with pytest.raises(LeakError, match="20,383 of these 25,596 images"):
        refuse_trained(nih.table, test, images, patients)


def test_every_list_says_where_it_comes_from():
    for name, known in known_lists().items():
        assert known.name == name
        assert known.note.endswith(".")
        assert all(key in FILES for key in known.parts)
