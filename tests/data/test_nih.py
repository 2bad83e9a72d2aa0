import numpy as np
import pandas as pd
import pytest

from chexnet.data.datamodule import open_datamodule
from chexnet.data.formats import DataRequest
from chexnet.data.nih import label_version, read_boxes, read_folder, read_lists, read_table
from chexnet.data.splits import make_split
from chexnet.errors import DataError
from chexnet.evaluation.predictions import score_predictions
from chexnet.transforms import Preprocessing
from scripts.doctor import data_folder
from tests.conftest import NIH, SHARED, needs_nih, rows_of

TABLE_2017 = SHARED / "tables" / "Data_Entry_2017.csv"


def test_images_are_found_in_any_numbered_folder_and_a_partial_download_is_normal(make_folder):
    rows = rows_of(4, 2)
    root = make_folder(rows, images=[rows[0][0], rows[3][0], rows[5][0]])
    folder = read_folder(root)
    assert folder.present.sum() == 3
    assert len(folder.table) == 8
    assert {path.parent.parent.name for path in folder.paths.values()} == {
        "images_001",
        "images_002",
        "images_003",
    }


# Files of these names are no pictures of theirs, ours among them; the name to the letter wins.
OTHERS = ("runs/r/Mass_a.png", "runs/r/a_Mass.png", "a.csv", ".b.png", "i/a.jpg", "b/B.PNG")


@pytest.mark.parametrize(
    "places",
    [
        ["a.png", "b.png", "c.png"],
        ["images/a.png", "images/b.png", "images/c.png"],
        ["images_001/a.PNG", "images_002/images/B.png", "else where/c.Jpeg"],
        ["images-224/images-224/a.jpg", "images/images_001/images/b.webp", "x/y/z/c.dcm"],
        ["sample/images/a.png", "a/b.TIFF", "c"],
        ["i/a.png", "b.png", "c.png", *OTHERS],
    ],
)
def test_images_are_found_in_folders_of_any_name_in_any_case_with_any_ending(make_folder, places):
    rows = [(f"{name}.png", "Mass", name) for name in "abc"]
    root = make_folder(rows, images=[])
    for place in places:
        (root / place).parent.mkdir(parents=True, exist_ok=True)
        (root / place).write_text(place)
    paths = read_folder(root).paths
    relative_paths = [path.relative_to(root).as_posix() for path in paths.values()]
    assert list(paths) == ["a.png", "b.png", "c.png"]
    assert relative_paths == [place for place in places if place not in OTHERS]


def test_two_files_of_one_name_are_refused_unless_they_are_the_same(make_folder):
    root = make_folder([("a.png", "Mass", "1")])
    [path] = read_folder(root).paths.values()
    (root / "copy").mkdir()
    (root / "copy" / "a.png").write_bytes(path.read_bytes())
    assert set(read_folder(root).paths) == {"a.png"}
    (root / "copy" / "a.png").write_bytes(path.read_bytes()[:-1] + b"?")
    with pytest.raises(DataError, match=r"two files of a\.png: .*copy/a\.png and .*images/a\.png"):
        read_folder(root)


def test_names_that_differ_in_case_alone_are_two_images(make_folder):
    rows = [("a.png", "Mass", "1"), ("A.png", "Mass", "2")]
    root = make_folder(rows, images=["a.png"])
    (root / "A.png").write_text("another")
    if (root / "a.png").exists():
        pytest.skip("this disk does not tell them apart")
    paths = read_folder(root).paths
    assert [path.name for path in paths.values()] == ["a.png", "A.png"]
    (root / "A.png").rename(root / "A.PNG")
    paths["a.png"].unlink()
    with pytest.raises(DataError, match=r"A\.PNG could be a\.png and A\.png of the table"):
        read_folder(root)


def test_kaggles_sample_is_found_by_itself(make_folder):
    root = make_folder([("a.png", "effusion", "13")], table="sample_labels.csv")
    folder = read_folder(root)
    assert (folder.table_name, len(folder.paths)) == ("sample_labels.csv", 1)
    assert folder.table["labels"][0] == ("Effusion",)


def test_what_counts_as_other_is_said_to_whoever_trains_scores_or_asks(make_folder, tmp_path):
    root = make_folder([*rows_of(20, 2), ("x.png", "Mass|Scoliosis", "99")])
    said = "1 labels of Data_Entry_2017.csv are none of NIH's and count as Other: 'Scoliosis' 1."
    assert read_folder(root).all_notes == (said,)
    assert open_datamodule(DataRequest(root), Preprocessing(size=64)).notes == [said]
    assert said in [
        finding.text for finding in data_folder(root, tmp_path) if finding.name == "Data"
    ]
    (tmp_path / "p.csv").write_text("Image Index,prob_Mass\nx.png,0.5\n")
    assert said in score_predictions(DataRequest(root), tmp_path / "p.csv", "all").notes


def test_the_tables_of_2017_with_its_empty_last_column_is_read(make_folder, tmp_path):
    root = make_folder(rows_of(1, 2))
    (root / "Data_Entry_2017.csv").write_text(
        "Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        "View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],\n"
        "00000001_000.png,Cardiomegaly|Emphysema,0,1,058Y,M,PA,2682,2749,0.143,0.143,\n"
        "00000001_001.png,No Finding,1,1,412,F,AP,2682,2749,0.143,0.143,\n"
    )
    table = read_folder(root).table
    assert table["labels"].tolist() == [("Emphysema", "Cardiomegaly"), ("No Finding",)]
    assert table["patient"].tolist() == ["1", "1"]
    assert table["age"][0] == 58
    assert np.isnan(table["age"][1])  # NIH's impossible ages
    assert table["view"].tolist() == ["PA", "AP"]


def test_a_patient_is_the_same_in_both_tables_however_the_number_is_written(make_folder):
    """`00000001` in the table of 2017 is `1` in v2020: else no leak guard knows the patient."""
    rows = rows_of(30, 2)
    plain = read_folder(make_folder(rows))
    padded = read_folder(make_folder([(a, b, f"{int(c):08d}") for a, b, c in rows]))
    assert padded.table["patient"].tolist() == plain.table["patient"].tolist()
    for part, chosen in make_split(plain, "patient").rows.items():
        np.testing.assert_array_equal(make_split(padded, "patient").rows[part], chosen)
    odd = read_folder(make_folder([("a.png", "Mass", "000"), ("b.png", "Mass", "00A1")]))
    assert odd.table["patient"].tolist() == ["0", "00A1"]


@pytest.mark.skipif(
    not (NIH.is_dir() and TABLE_2017.is_file()), reason="NIH's tables are not beside the project"
)
def test_nihs_two_real_tables_differ_where_they_are_known_to():
    early, late = (
        read_table(path)[0].set_index("image")
        for path in (TABLE_2017, NIH / "Data_Entry_2017_v2020.csv")
    )
    assert label_version(early.reset_index()) == "2017"
    late = late.loc[early.index]
    assert (early["patient"] == late["patient"]).all()
    sets = [(set(a), set(b)) for a, b in zip(early["labels"], late["labels"], strict=True)]
    differ = np.array([a != b for a, b in sets])
    assert differ.sum() == 181
    assert sum(len(b - a) for a, b in sets) == 188
    assert [a - b for a, b in sets if a - b] == [{"No Finding"}] * 51
    changed = early.index[differ]
    assert changed.isin(read_lists(NIH)["test"]).all()
    assert changed.isin(read_boxes(NIH)["image"]).all()
    raw = pd.read_csv(TABLE_2017, dtype=str)["Patient Age"]
    years = raw.str.rstrip("YMD").astype(int)
    assert (years > 110).sum() == early["age"].isna().sum() == 16
    assert late["age"].notna().all()
    assert early["age"].max() == late["age"].max() == 95
    in_months = (raw.str[-1] == "M").to_numpy()
    assert in_months.sum() == 26
    assert early["age"][in_months].max() < 3
    assert (early["follow_up"] != late["follow_up"]).sum() == 24_106


@pytest.mark.parametrize(
    ("row", "problem"),
    [
        (("00000001_000.png", "Mass", "1"), "line 4: .*is a duplicate"),
        (("b.png", "", "1"), "line 4: .*empty Finding Labels"),
        (("b.png", "Mass", ""), "line 4: .*empty Patient ID"),
        (("", "Mass", "1"), "line 4: .*empty Image Index"),
    ],
)
def test_a_bad_row_is_named_by_its_line(make_folder, row, problem):
    root = make_folder(rows_of(1, 2))
    rows = [*rows_of(1, 2), row]
    frame = pd.DataFrame(rows, columns=["Image Index", "Finding Labels", "Patient ID"])
    frame.to_csv(root / "Data_Entry_2017.csv", index=False)
    with pytest.raises(DataError, match=problem):
        read_folder(root)


def test_a_folder_without_images_says_where_it_looked(make_folder):
    root = make_folder(rows_of(2, 1), images=[])
    with pytest.raises(DataError, match=r"looked for 00000001_000\.png and.*--data"):
        read_folder(root)
    assert not read_folder(root, need_images=False).paths


def test_a_folder_without_a_table_names_what_it_looked_for(tmp_path):
    with pytest.raises(DataError, match=r"Data_Entry_2017_v2020\.csv or sample_labels\.csv"):
        read_folder(tmp_path)


def test_one_list_without_the_other_is_refused(make_folder):
    root = make_folder(rows_of(2, 1), lists={"test": ["00000001_000.png"]})
    with pytest.raises(DataError, match=r"test_list\.txt but no train_val_list\.txt"):
        read_lists(root)


def test_a_table_of_other_content_has_an_unknown_version(make_folder):
    assert read_folder(make_folder(rows_of(2, 1))).version == "unknown"


@pytest.mark.parametrize("version", ["2017", "v2020"])
def test_the_versions_are_told_by_their_counts_not_by_their_names(version):
    counts = {
        "2017": {"Pneumonia": 1353, "Mass": 5746, "Infiltration": 19870, "Atelectasis": 11535},
        "v2020": {"Pneumonia": 1431, "Mass": 5782, "Infiltration": 19894, "Atelectasis": 11559},
    }[version]
    labels = [(name,) for name, count in counts.items() for _ in range(count)]
    labels += [("No Finding",)] * (112_120 - len(labels))
    assert label_version(pd.DataFrame({"labels": labels})) == version
    assert label_version(pd.DataFrame({"labels": labels[:-1]})) == "unknown"


def test_nihs_own_tables_have_the_published_counts(nih):
    assert nih.version == "v2020"
    assert len(nih.table) == 112_120
    assert nih.table["patient"].nunique() == 30_805
    assert {part: len(names) for part, names in nih.lists.items()} == {
        "train_val": 86_524,
        "test": 25_596,
    }
    assert len(nih.paths) == 1693
    test = nih.table[nih.table["image"].isin(nih.lists["test"])]
    positives = test["labels"].explode().value_counts()
    assert positives[["Pneumonia", "Mass", "Infiltration", "Atelectasis"]].tolist() == [
        555,
        1748,
        6112,
        3279,
    ]


@needs_nih
def test_nihs_boxes_use_the_tables_spelling():
    boxes = read_boxes(NIH)
    assert len(boxes) == 984
    assert boxes["image"].nunique() == 880
    assert "Infiltration" in set(boxes["label"])
    assert "Infiltrate" not in set(boxes["label"])
    first = boxes.iloc[0]
    assert (first["x"], first["h"]) == pytest.approx((225.0847, 79.1864), abs=1e-3)


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("b.png,Mass,900,10,200,50,,,", "line 3: b.png has a box outside the frame"),
        ("b.png,Mass,-1,10,20,50,,,", "line 3: b.png has a box outside the frame"),
        ("b.png,Mass,10,10,0,50,,,", "line 3: b.png has a box without an area"),
        ("b.png,Mass,ten,10,20,50,,,", "line 3: b.png has a box with a side that is no number"),
        ("b.png,Measles,10,10,20,50,,,", "line 3: b.png has a label that NIH does not have"),
    ],
)
def test_a_wrong_box_is_refused_at_its_line(tmp_path, row, told):
    lines = ["Image Index,Finding Label,Bbox [x,y,w,h],,,", "a.png,Infiltrate,5,5,9,9,,,", row]
    (tmp_path / "BBox_List_2017.csv").write_text("\n".join(lines))
    with pytest.raises(DataError, match=told):
        read_boxes(tmp_path)
