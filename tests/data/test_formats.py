import csv
import re
import shutil
import tomllib
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from chexnet.data.datasets import ChestXRayDataSet, PackedDataSet
from chexnet.data.formats import DataRequest, open_folder
from chexnet.data.mappings import built_in, read_meaning
from chexnet.data.nih import read_folder
from chexnet.data.pack import Pack, prepare
from chexnet.data.splits import fingerprint
from chexnet.data.table_readers import CSV_OPTIONS
from chexnet.errors import ConfigError, DataError
from chexnet.labels import LABELS
from chexnet.transforms import Preprocessing
from tests.conftest import ROOT
from tests.imaging.test_dicom import dicom, ramp

TABLES = Path(__file__).with_name("tables")
"""Twenty rows of each data set's table, by hand; `expected.csv` says what they have to become."""
BESIDE = {"mimic": "mimic_metadata.csv", "rsna": "rsna_to_nih.csv"}


def text_of(name: str) -> str:
    return (TABLES / name).read_text()


def write_picture(path, seed=0) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(seed).integers(0, 256, (64, 64), dtype=np.uint8)
    Image.fromarray(pixels).save(path)


@pytest.fixture
def opened(tmp_path):
    """Write a table, what lies beside it, pictures of some names; open what came of them."""

    def make(format, text=None, pictures=(), mapping=None, uncertain="ignore", **options):
        (tmp_path / "images").mkdir(exist_ok=True)
        (tmp_path / "table.csv").write_text(text_of(f"{format}.csv") if text is None else text)
        (tmp_path / "own.toml").write_text(text_of("csv.toml") if mapping is None else mapping)
        if format in BESIDE and not (tmp_path / BESIDE[format]).exists():
            shutil.copy(TABLES / BESIDE[format], tmp_path)
        for number, name in enumerate(pictures):
            write_picture(tmp_path / "images" / name, number)
        own = tmp_path / "own.toml" if format == "csv" else None
        request = DataRequest(tmp_path / "images", tmp_path / "table.csv", format, own, uncertain)
        return open_folder(request, **{"need_images": bool(pictures)} | options)

    return make


def said(folder) -> dict[str, tuple[set, set]]:
    """What each image has, and what nobody says of it."""
    columns = (folder.table[name] for name in ("image", "labels", "unknown"))
    return {name: (set(has), set(unknown)) for name, has, unknown in zip(*columns, strict=True)}


def expected(name: str) -> dict[str, tuple[set, set]]:
    rows = csv.DictReader(text_of("expected.csv").splitlines())
    return {
        row["image"]: (set(row["labels"].split("|")) - {""}, set(row["unknown"].split("|")))
        for row in rows
        if row["table"] == name
    }


ABOUT = tomllib.loads(text_of("about.toml"))
REFUSED = tomllib.loads(text_of("refused.toml"))


@pytest.mark.parametrize("format", ABOUT)
def test_a_table_becomes_what_was_worked_out_by_hand(opened, format):
    folder = opened(format)
    assert said(folder) == expected(format)
    first = folder.table.astype(object).fillna({"age": ""}).iloc[0]
    assert [first[name] for name in ("patient", "age", "sex", "view")] == ABOUT[format]["first"]
    for note in ABOUT[format]["notes"]:
        assert note in " ".join(folder.mapping.notes)


def test_sex_view_and_age_are_those_of_the_vocabulary_or_empty(opened):
    table = opened("chexpert").table
    assert table["sex"].value_counts().to_dict() == {"M": 9, "F": 7, "": 1}
    assert table["view"].value_counts().to_dict() == {"AP": 10, "PA": 6, "": 1}
    assert np.isnan(opened("csv").table["age"].iloc[3])
    assert opened("padchest").table["view"].iloc[2] == "AP"  # AP_horizontal


@pytest.mark.parametrize(("uncertain", "has"), [("positive", True), ("negative", False)])
def test_uncertain_labels_count_as_is_asked(opened, uncertain, has):
    folder = opened("chexpert", uncertain=uncertain)
    second = folder.table.iloc[1]
    assert ("Edema" in second["labels"]) is has
    assert "Edema" not in second["unknown"]
    lesion = folder.table.iloc[6]  # an uncertain Lung Lesion, which stands for neither alone
    assert "patient00006" in lesion["image"]
    assert ("Nodule" in lesion["unknown"]) is has
    # A run that goes on with another choice is refused by the fingerprint of its images.
    rows = range(len(folder.table))
    assert fingerprint(folder.table, rows) != fingerprint(opened("chexpert").table, rows)


def test_a_mapping_is_told_row_by_row_with_its_reasons(opened):
    folder = opened("csv")
    assert folder.dataset == "our hospital"
    rows = {theirs: (ours, why) for theirs, ours, why in folder.mapping.rows}
    assert rows["big heart"] == ("Cardiomegaly", "by eye, not measured")
    assert rows["implant"] == ("not used", "no finding of ours")
    assert rows["round shadow"][0] == "Nodule or Mass"
    assert "Edema" in rows["nothing"][0]


def test_mimics_images_stand_in_the_table_beside_it(opened, tmp_path):
    there = ["files/p10/p10000032/s50414267/aa01.jpg", "anywhere/bb01.dcm"]
    folder = opened("mimic", pictures=there[:1])
    assert folder.paths == {"aa01": tmp_path / "images" / there[0]}
    (tmp_path / "images" / "anywhere").mkdir()
    (tmp_path / "images" / there[1]).write_bytes(dicom(ramp(3000), 12))
    assert set(opened("mimic").paths) == {"aa01", "bb01"}
    (tmp_path / BESIDE["mimic"]).unlink()
    with pytest.raises(DataError, match="Found 0 tables named"):
        open_folder(DataRequest(tmp_path / "images", tmp_path / "table.csv", "mimic"))


def test_rsnas_images_are_called_by_nihs_names(opened, tmp_path):
    folder = opened("rsna", pictures=["stage_2_train_images/r02.png"])
    assert folder.table["patient"][:4].tolist() == ["13", "13", "200", "30805"]
    assert folder.dataset == "nih"
    assert {name: path.name for name, path in folder.paths.items()} == {
        "00000013_027.png": "r02.png"
    }
    (tmp_path / BESIDE["rsna"]).unlink()
    with pytest.raises(DataError, match="which say which NIH image each"):
        open_folder(DataRequest(tmp_path / "images", tmp_path / "table.csv", "rsna"))


@pytest.mark.parametrize(
    ("name", "of"), [("ChestX-Det", "nih"), ("chestx_det10", "nih"), ("SIIM-ACR", "nih"), ("x", "")]
)
def test_sets_made_of_nihs_images_are_known_by_their_name(opened, name, of):
    mapping = f'name = "{name}"\nimage = "id"\n[labels]\nm = "Mass"\n'
    assert opened("csv", "id,m\n1,1\n", mapping=mapping).images_of == of


def test_labels_in_one_cell_are_whole_terms(opened):
    mapping = """
name = "listed"
image = "id"
labels_column = "found"
several_terms = true
[labels]
nodule = "Nodule"
nodules = "Nodule"
emphysema = "Emphysema"
"""
    text = (
        "id,found\na.png,nodule|pseudonodule\nb.png,subcutaneous emphysema\nc.png,\nd.png,nodules\n"
    )
    folder = opened("csv", text, mapping=mapping)
    assert folder.table["labels"].tolist() == [("Nodule",), (), (), ("Nodule",)]
    assert "Emphysema" not in folder.table["unknown"][1]
    assert "Emphysema" in folder.table["unknown"][2]  # an empty cell says nothing
    assert "2 terms of the table stand in no mapping" in " ".join(folder.mapping.notes)


def test_a_path_is_found_with_or_without_its_first_folder(opened, tmp_path):
    paths = [*expected("chexpert")]
    folder = opened("chexpert", pictures=[paths[0], paths[2].partition("/")[2]])
    assert set(folder.paths) == {paths[0], paths[2]}
    assert folder.present.sum() == 2
    assert folder.paths[paths[2]] == tmp_path / "images" / paths[2].partition("/")[2]


def test_a_name_without_an_ending_is_found_wherever_it_lies(opened):
    there = ["train/a1.png", "train/b2.jpg", "deep/er/c3.tif", "train/z9.png"]
    folder = opened("vinbigdata", pictures=there)
    assert {name: path.name for name, path in folder.paths.items()} == {
        "a1": "a1.png",
        "b2": "b2.jpg",
        "c3": "c3.tif",
    }
    with pytest.raises(DataError, match="two files of a1"):
        opened("vinbigdata", pictures=["other/a1.jpg"])


def test_one_file_is_not_taken_for_two_images(opened, tmp_path):
    mapping = 'name = "x"\nimage = "id"\n[labels]\nm = "Mass"\n'
    with pytest.raises(DataError, match=r"1\.png could be a/1\.png and b/1\.png of the table"):
        opened("csv", "id,m\na/1.png,1\nb/1.png,0\n", ["1.png"], mapping)
    write_picture(tmp_path / "images" / "deep" / "a" / "1.png")
    folder = opened("csv", "id,m\na/1.png,1\n", (), mapping)  # the longer agreement wins
    assert folder.paths["a/1.png"].parent.name == "a"


def test_editions_of_chexpert(opened):
    """Batches with other folders' names, PNG copies, Windows' paths; test labels of few columns."""
    windows = text_of("chexpert.csv").replace("/", "\\").replace("Frontal\\L", "Frontal/L")
    folder = opened(
        "chexpert",
        windows.replace("AP\\PA", "AP/PA"),
        [
            "CheXpert-v1.0 batch 2 (train 1)/patient00001/study1/view1_frontal.jpg",
            "CheXpert-v1.0 batch 3 (train 2)/Patient00003/study1/view1_frontal.PNG",
        ],
    )
    plain = opened("chexpert")
    pd.testing.assert_frame_equal(folder.table, plain.table)
    assert [path.parts[-3][-1] for path in folder.paths.values()] == ["1", "3"]
    drop = ["Sex", "Age", "Frontal/Lateral", "AP/PA", "No Finding"]
    rows = pd.read_csv(TABLES / "chexpert.csv", dtype=str).drop(columns=drop)
    tested = opened("chexpert", rows.to_csv(index=False).replace("set/train", "test"))
    assert len(tested.table) == len(plain.table)  # the view stands in the path as well
    assert all("No Finding" in unknown for unknown in tested.table["unknown"])
    for had, has in zip(plain.table["labels"], tested.table["labels"], strict=True):
        assert [name for name in had if name != "No Finding"] == list(has)
    assert "No Finding" in tested.mapping.rows[-1][1]  # not labelled by this table


@pytest.mark.parametrize("table", ["vindr_labels", "vindr_boxes"])
def test_vindr_of_physionet(opened, table):
    """A label a column with a row a reader; boxes of more classes, agreed on by all readers."""
    assert said(opened("vinbigdata", text_of(f"{table}.csv"))) == expected(table)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("image_id,rad_id,Edema\na,R1,1\na,R1,0\n", "line 3: a is a duplicate"),
        ("image_id,rad_id,Edema\na,R1,2\n", "line 2: a has a label that is neither 0 nor 1"),
        ("image_id,rad_id,Tumour\na,R1,1\n", "has no column class_name"),
    ],
)
def test_vindr_is_refused_where_it_cannot_be_meant(opened, text, told):
    with pytest.raises(DataError, match=told):
        opened("vinbigdata", text)


def test_mimics_test_set_has_its_patients_in_the_metadata(opened, tmp_path):
    floats = text_of(BESIDE["mimic"]).replace(",10000032,50414267", ",10000032.0,50414267.0")
    (tmp_path / BESIDE["mimic"]).write_text(floats)
    rows = pd.read_csv(TABLES / "mimic.csv", dtype=str).drop(columns="subject_id")
    folder = opened("mimic", rows.to_csv(index=False))
    assert said(folder) == expected("mimic")
    assert folder.table["patient"].iloc[0] == "mimic/10000032"


def test_monochrome1_is_counted_and_turned_over_where_asked(opened, tmp_path):
    header, *rows = text_of("padchest.csv").splitlines()
    stored = ["MONOCHROME2"] * len(rows)
    stored[0] = stored[2] = "monochrome1 "
    cells = zip([header, *rows], ["PhotometricInterpretation_DICOM", *stored], strict=True)
    lines = map(",".join, cells)
    plain = opened("padchest", "\n".join(lines), ["1.png", "4.png"])
    request = DataRequest(tmp_path / "images", tmp_path / "table.csv", "padchest-inverted")
    turned = open_folder(request)
    for folder, told in ((plain, "padchest-inverted turns them"), (turned, "are turned over")):
        [note] = [note for note in folder.mapping.notes if "MONOCHROME1" in note]
        assert note.startswith("2 images were stored as MONOCHROME1")
        assert told in note
    assert turned.table["patient"].tolist() == plain.table["patient"].tolist()
    same = [fingerprint(turned.table, [r]) == fingerprint(plain.table, [r]) for r in (0, 2)]
    assert same == [False, True]
    preprocessing, both = Preprocessing(size=64), np.array([0, 1])
    prepare(plain.paths, tmp_path / "pack", preprocessing, workers=1)
    files = [ChestXRayDataSet(folder, preprocessing=preprocessing) for folder in (plain, turned)]
    packs = [PackedDataSet(data_set, Pack(tmp_path / "pack", preprocessing)) for data_set in files]
    for had, has in (files, packs):
        images, over = had.batch(both)[0], has.batch(both)[0]
        assert torch.equal(over[0], 255 - images[0])
        assert torch.equal(over[1], images[1])
        assert torch.equal(has[0][0], over[0])
    assert torch.equal(files[1].batch(both)[0], packs[1].batch(both)[0])
    assert np.array_equal(files[1].pixels(0), 255 - files[0].pixels(0))


@pytest.mark.parametrize(
    ("format", "spelled", "otherwise"),
    [
        ("chexpert", "Pleural Effusion", "pleural_effusion"),
        ("vinbigdata", "Pleural thickening", "Pleural_Thickening"),
        ("padchest", "'pleural effusion'", "'Pleural_Effusion'"),
        ("csv", "big heart", "Big_Heart"),
    ],
)
def test_names_of_labels_may_be_spelled_otherwise(opened, format, spelled, otherwise):
    text = text_of(f"{format}.csv").replace(spelled, otherwise)
    assert said(opened(format, text)) == expected(format)


@pytest.mark.parametrize("row", REFUSED["table"], ids=lambda row: row["says"])
def test_a_bad_table_is_refused_in_one_line(opened, row):
    text = re.sub(row["old"], row["new"], text_of(f"{row['format']}.csv"))
    with pytest.raises(DataError, match=row["says"]) as caught:
        opened(row["format"], text)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", REFUSED["mapping"], ids=lambda row: row["says"])
def test_a_bad_mapping_is_refused_in_one_line(opened, row):
    mapping = text_of("csv.toml").replace(row["old"], row["new"])
    with pytest.raises(DataError, match=row["says"]) as caught:
        opened("csv", mapping=mapping)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"format": "chexprt"}, "--format: found 'chexprt', expected one of nih, csv"),
        ({"format": "chexpert"}, "needs --table"),
        ({"table": "t.csv", "format": "csv"}, "--format csv and --mapping go together"),
        ({"table": "t.csv", "format": "chexpert", "mapping": "m"}, "go together"),
        ({"uncertain": "maybe"}, "--uncertain: found 'maybe'"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, message):
    with pytest.raises(ConfigError, match=message):
        DataRequest(ROOT, **options)


def test_a_folder_without_an_image_of_the_table_is_refused(opened):
    with pytest.raises(DataError, match=r"No image of table.csv was found under .*view1_frontal"):
        opened("chexpert", need_images=True)


def test_nihs_own_table_may_lie_elsewhere(make_folder, tmp_path):
    root = make_folder([("a.png", "Mass", "1")])
    elsewhere = tmp_path / "elsewhere.csv"
    (root / "Data_Entry_2017.csv").rename(elsewhere)
    folder = open_folder(DataRequest(root, elsewhere))
    assert (folder.table_name, set(folder.paths), folder.mapping) == (
        "elsewhere.csv",
        {"a.png"},
        None,
    )
    assert folder.table["unknown"].tolist() == [()]
    with pytest.raises(ConfigError, match=r"'v2020' beside --table elsewhere"):
        DataRequest(root, elsewhere, labels="v2020")


def test_the_mapping_of_the_docs_is_one(tmp_path):
    text = (ROOT / "docs" / "evaluation.md").read_text()
    [block] = re.findall(r"```toml\n(.*?)```", text, flags=re.DOTALL)
    (tmp_path / "docs.toml").write_text(block)
    meaning = read_meaning(tmp_path / "docs.toml", CSV_OPTIONS)
    assert meaning.labels["big heart"] == ("Cardiomegaly",)
    assert (meaning.options["patient"], meaning.blank) == ("case", "unknown")


def test_nihs_table_read_as_ones_own_gives_nihs_labels(phantoms, tmp_path):
    """An independent way to the same: the generic reader, with 15 names that mean themselves."""
    nih = read_folder(phantoms, need_images=False)
    named = "".join(f'"{name}" = "{name}"\n' for name in LABELS[:-1])
    (tmp_path / "nih.toml").write_text(
        'name = "nih"\nimage = "Image Index"\npatient = "Patient ID"\nage = "Patient Age"\n'
        'labels_column = "Finding Labels"\n[labels]\n' + named
    )
    table = phantoms / nih.table_name
    own = open_folder(DataRequest(phantoms, table, "csv", tmp_path / "nih.toml"))
    for column in ("image", "patient", "labels", "age"):
        assert own.table[column].tolist() == nih.table[column].tolist()
    assert set(own.table["unknown"]) == {("Other",)}
    assert own.lists == nih.lists
    assert set(own.paths) == set(read_folder(phantoms).paths)


def test_every_built_in_mapping_gives_reasons():
    for meaning in built_in().values():  # labels of others it refuses itself
        assert set(meaning.reasons) <= set(meaning.sources)
        assert all(meaning.unused.values())
        assert set(meaning.either) <= set(meaning.reasons)
