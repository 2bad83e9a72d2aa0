"""Which known list a file of names is."""

import numpy as np
import pytest

from chexnet.errors import DataError
from chexnet.networks.identify import OFFICIAL_TEST, identify, known_sets, read_names
from chexnet.networks.training_lists import image_names, image_patients, members
from tests.networks.test_training_lists import FILES, needs_lists

NAMES = np.array(image_names())


def overlap(found, title):
    return next(one for one in found.overlaps if one.title == title)


@pytest.mark.parametrize("title", known_sets())
def test_every_known_list_is_told_apart_from_the_others(title):
    found = identify(NAMES[known_sets()[title]])
    assert found.exact == [title]
    assert (found.closest, found.jaccard) == (title, 1)


def test_the_2017_lists_come_with_their_official_test_images():
    mask = members("lists_2017_training") | members("lists_2017_validation")
    found = identify(NAMES[mask])
    test = overlap(found, OFFICIAL_TEST)
    assert (test.images, test.size, test.relation) == (20_383, 25_596, "some")
    assert overlap(found, "the 2017 lists, training part").relation == "all of it and more"
    assert "zoogzog" in found.note


def test_a_list_with_one_image_less_or_one_more_is_no_known_list_but_near_one():
    training = NAMES[members("lists_2017_training")].tolist()
    less, more = identify(training[1:]), identify([*training, "cat.png"])
    for found in (less, more):
        assert found.exact == []
        assert found.closest == "the 2017 lists, training part"
        assert found.jaccard == pytest.approx(1 - 1 / 78_468, abs=1e-6)
    assert overlap(less, less.closest).relation == "part of it"
    assert overlap(more, more.closest).relation == "all of it and more"
    assert (more.names, more.of_nih) == (78_469, 78_468)


def test_patients_are_counted_beside_images():
    """One image of a patient with several: the others are of a patient that the file has."""
    test = ~members("official_train_val")
    patient = int(image_patients()[test][0])
    own = int((image_patients() == patient).sum())
    assert own > 1
    found = overlap(identify(NAMES[test][:1].tolist()), OFFICIAL_TEST)
    assert (found.images, found.seen, found.patients) == (1, own, 1)


def test_names_are_read_from_lists_tables_and_paths(tmp_path):
    path = tmp_path / "list.csv"
    path.write_text(
        "\ufeffImage Index,Finding Labels\n"
        "00000001_000.png,Cardiomegaly\n"
        "images_001/images/00000001_001.png 0 1 0\n"
        "\n"
        '"00000002_000",Hernia\n'
        "train\\scan-7.b.JPG\n",
        encoding="utf-8",
    )
    expected = ["00000001_000.png", "00000001_001.png", "00000002_000.png", "scan-7.b.JPG"]
    assert read_names(path) == expected
    path.write_bytes(b"\x00\xff" * 500)
    with pytest.raises(DataError, match="could not be read as text"):
        read_names(path)
    path.write_text("no name\n")
    with pytest.raises(DataError, match="names no image"):
        read_names(path)
    with pytest.raises(DataError, match="No such file"):
        read_names(tmp_path / "none.txt")


@needs_lists
@pytest.mark.parametrize(
    ("key", "title"),
    [
        ("lists_2017_training", "the 2017 lists, training part"),
        ("official_train_val", "NIH's official train_val list"),
    ],
)
def test_the_published_files_are_known(key, title):
    assert identify(read_names(FILES[key])).exact == [title]
