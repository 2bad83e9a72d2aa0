import numpy as np
import pytest

from chexnet.data.nih import read_folder
from chexnet.data.splits import (
    fingerprint,
    make_split,
    name_hashes,
    refuse_trained,
    shared_patients,
)
from chexnet.errors import DataError, LeakError
from tests.conftest import rows_of


@pytest.fixture
def folder(make_folder):
    return read_folder(make_folder(rows_of(60, 3), images=["00000001_000.png"]))


def patients(folder, split) -> dict[str, set]:
    column = folder.table["patient"].to_numpy()
    return {part: set(column[rows]) for part, rows in split.rows.items()}


def test_without_lists_patients_are_divided_seventy_ten_twenty(folder):
    split = make_split(folder)
    groups = patients(folder, split)
    assert split.scheme == "patient"
    assert {part: len(names) for part, names in groups.items()} == {
        "train": 42,
        "val": 6,
        "test": 12,
    }
    assert not groups["train"] & groups["val"]
    assert not groups["train"] & groups["test"]
    assert sum(len(rows) for rows in split.rows.values()) == 180


def test_the_split_is_a_function_of_its_seed(folder):
    first, again, other = (make_split(folder, seed=seed) for seed in (1, 1, 2))
    assert all(np.array_equal(first.rows[part], again.rows[part]) for part in first.rows)
    assert not np.array_equal(first.rows["test"], other.rows["test"])


def test_a_third_list_names_the_images_that_validate_and_no_others(make_folder):
    rows = rows_of(50, 2)
    names = [row[0] for row in rows]
    root = make_folder(rows, lists={"train_val": names[:80], "test": names[80:]}, images=names[:1])
    (root / "val_list.txt").write_text("\n".join(names[10:16]))
    split = make_split(read_folder(root))
    images = read_folder(root).table["image"].to_numpy()
    assert list(images[split.rows["val"]]) == names[10:16]
    assert set(images[split.rows["train"]]) == set(names[:10] + names[16:80])
    for wrong, error, told in (
        (names[10:11], LeakError, "1 patients in training and in another part"),
        (names[79:81], DataError, "names 1 images of train_val_list.txt and 1 others"),
        (["else.png"], DataError, "expected some of that list"),
    ):
        (root / "val_list.txt").write_text("\n".join(wrong))
        with pytest.raises(error, match=told):
            make_split(read_folder(root))


def test_lists_beside_the_table_are_used_and_validation_comes_from_train_val(make_folder):
    rows = rows_of(50, 2)
    names = [row[0] for row in rows]
    lists = {"train_val": names[:80], "test": names[80:]}
    folder = read_folder(make_folder(rows, lists=lists, images=names[:1]))
    split = make_split(folder)
    images = folder.table["image"].to_numpy()
    groups = patients(folder, split)
    assert split.scheme == "official"
    assert set(images[split.rows["test"]]) == set(lists["test"])
    assert set(images[split.rows["train"]]) | set(images[split.rows["val"]]) == set(names[:80])
    assert len(groups["val"]) == 4  # 10 % of 40 patients
    assert not groups["train"] & groups["val"]


def test_lists_that_share_patients_are_refused_and_stamped_when_allowed(make_folder):
    rows = rows_of(20, 2)
    names = [row[0] for row in rows]
    lists = {"train_val": names[::2], "test": names[1::2]}
    folder = read_folder(make_folder(rows, lists=lists, images=names[:1]))
    with pytest.raises(LeakError, match="18 patients"):
        make_split(folder)
    assert make_split(folder, allow_leak=True).leaky


def test_lists_of_another_data_set_are_refused(make_folder):
    lists = {"train_val": ["a.png"], "test": ["b.png"]}
    folder = read_folder(make_folder(rows_of(4, 1), lists=lists))
    with pytest.raises(DataError, match="name no image"):
        make_split(folder)


def test_an_image_wise_split_is_refused_with_its_count_unless_allowed(folder):
    with pytest.raises(LeakError, match="--allow-leak"):
        make_split(folder, "image")
    split = make_split(folder, "image", allow_leak=True)
    assert split.leaky
    assert shared_patients(folder.table, split.rows) > 20


def test_the_official_split_needs_its_lists(folder):
    with pytest.raises(DataError, match=r"train_val_list\.txt"):
        make_split(folder, "official")


def test_a_growing_download_moves_nobody(make_folder):
    rows = rows_of(30, 2)
    few = make_split(read_folder(make_folder(rows, images=[rows[0][0]])))
    more = make_split(read_folder(make_folder(rows)))
    assert all(np.array_equal(few.rows[part], more.rows[part]) for part in few.rows)


def test_the_fingerprint_sees_names_and_labels_but_not_order(folder):
    table = folder.table
    whole = fingerprint(table, range(10))
    assert whole == fingerprint(table, reversed(range(10)))
    assert whole != fingerprint(table, range(11))
    changed = table.copy()
    changed.at[3, "labels"] = ("Hernia",)
    assert whole != fingerprint(changed, range(10))


def test_scoring_what_was_trained_on_is_refused_with_both_counts(folder):
    table, split = folder.table, make_split(folder)
    trained = table.iloc[split.rows["train"]]
    hashes = name_hashes(trained["image"]), name_hashes(trained["patient"])
    assert not refuse_trained(table, split.rows["test"], *hashes)
    mixed = [*split.rows["test"], *split.rows["train"][:3]]
    with pytest.raises(LeakError, match=r"3 of these 39 images and on 1 of their patients"):
        refuse_trained(table, mixed, *hashes)
    assert refuse_trained(table, mixed, *hashes, allow_leak=True)


def test_a_new_image_of_a_trained_patient_is_refused_too(folder):
    table = folder.table
    first = table[table["patient"] == "1"]
    hashes = name_hashes(first["image"][:1]), name_hashes(["1"])
    with pytest.raises(LeakError, match="0 of these 2 images and on 1 of"):
        refuse_trained(table, list(first.index[1:]), *hashes)


def test_nihs_official_split_is_patient_disjoint_and_its_hashes_are_small(nih):
    split = make_split(nih)
    groups = patients(nih, split)
    assert len(split.rows["test"]) == 25_596
    assert len(split.rows["train"]) + len(split.rows["val"]) == 86_524
    assert not (groups["train"] | groups["val"]) & groups["test"]
    train = nih.table.iloc[split.rows["train"]]
    size = name_hashes(train["image"]).nbytes + name_hashes(train["patient"]).nbytes
    assert size < 1_000_000


def test_most_of_an_image_wise_hold_out_has_its_patient_in_training(nih):
    split = make_split(nih, "image", allow_leak=True)
    column = nih.table["patient"].to_numpy()
    train = set(column[split.rows["train"]])
    share = np.mean([name in train for name in column[split.rows["test"]]])
    assert 0.78 < share < 0.86


@pytest.mark.parametrize("scheme", ["official", "patient"])
def test_every_patient_outside_the_test_part_validates_in_one_fold(make_folder, scheme):
    rows = rows_of(50, 2)
    names = [row[0] for row in rows]
    lists = {"train_val": names[:80], "test": names[80:]}
    folder = read_folder(make_folder(rows, lists=lists, images=names[:1]))
    whole = patients(folder, make_split(folder, scheme))
    folds = [patients(folder, make_split(folder, scheme, fold=(k, 5))) for k in range(1, 6)]
    learning = whole["train"] | whole["val"]
    assert sorted(name for fold in folds for name in fold["val"]) == sorted(learning)
    assert {len(fold["val"]) for fold in folds} <= {len(learning) // 5, -(-len(learning) // 5)}
    for fold in folds:
        assert fold["test"] == whole["test"]
        assert fold["train"] == learning - fold["val"]
    other = patients(folder, make_split(folder, scheme, seed=1, fold=(1, 5)))
    assert other["val"] != folds[0]["val"]
