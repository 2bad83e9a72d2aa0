"""Parquet, zip, tar and WebDataset files as data: the same pack as from the folder, or a line."""

import io
import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from chexnet.config import TrainConfig
from chexnet.data import copies, copy_files
from chexnet.data.datamodule import open_datamodule
from chexnet.data.formats import DataRequest, open_folder
from chexnet.data.nih import read_boxes, read_folder
from chexnet.data.pack import Pack, pack_folder, prepare
from chexnet.errors import DataError
from chexnet.labels import NO_FINDING
from chexnet.model import load_weights
from chexnet.training.loop import fit
from chexnet.transforms import Preprocessing
from scripts.prepare import app
from tests.data.copies import (
    FORMS,
    add_tables,
    make_copy,
    pictures_of,
    write_parquet,
    write_tar,
    write_zip,
)

SMALL = Preprocessing(size=64)


def pack_of(folder, place: Path, **options) -> Pack:
    prepare(folder.paths, place, SMALL, workers=1, copy=folder.copy, **options)
    return Pack(place, SMALL)


@pytest.fixture(scope="module")
def packed_folder(phantoms, tmp_path_factory) -> Pack:
    return pack_of(read_folder(phantoms), tmp_path_factory.mktemp("folder") / "p")


@pytest.mark.parametrize("form", FORMS)
def test_a_copy_gives_the_pack_the_split_and_the_boxes_of_the_folder(
    phantoms, packed_folder, tmp_path, form
):
    folder = open_folder(DataRequest(make_copy(form, phantoms, tmp_path / "copy")))
    pack = pack_of(folder, tmp_path / "p")
    assert list(pack.names) == list(packed_folder.names)
    np.testing.assert_array_equal(pack.pixels, packed_folder.pixels)
    original = read_folder(phantoms)
    assert folder.table.equals(original.table)
    assert folder.lists == original.lists
    assert read_boxes(folder.root).equals(read_boxes(phantoms))
    assert folder.copy.about == "96 px PNG copy"
    assert json.loads((tmp_path / "p/pack.json").read_text())["copy"] == "96 px PNG copy"
    assert all(folder.copy.drawn.values())


@pytest.mark.parametrize("form", FORMS)
def test_packing_that_is_killed_goes_on_and_ends_with_the_same_pack(
    phantoms, packed_folder, tmp_path, form
):
    class Killed(BaseException):
        pass

    def kill(done, total):
        if done > total // 2:
            raise Killed

    folder = open_folder(DataRequest(make_copy(form, phantoms, tmp_path / "copy")))
    with pytest.raises(Killed):
        pack_of(folder, tmp_path / "p", on_progress=kill)
    told = []
    pack = pack_of(folder, tmp_path / "p", on_progress=lambda *t: told.append(t))
    assert told[0][0] > 0
    np.testing.assert_array_equal(pack.pixels, packed_folder.pixels)


@pytest.mark.slow
@pytest.mark.parametrize("form", FORMS)
def test_several_processes_pack_300_phantoms_bit_for_bit(tmp_path, form):
    from chexnet.phantom.dataset import draw_phantoms

    draw_phantoms(tmp_path / "nih", patients=135, size=96, seed=8)
    original = read_folder(tmp_path / "nih")
    assert len(original.paths) >= 300
    folder = open_folder(DataRequest(make_copy(form, tmp_path / "nih", tmp_path / "copy")))
    prepare(folder.paths, tmp_path / "p", SMALL, workers=2, copy=folder.copy)
    expected = pack_of(original, tmp_path / "q")
    np.testing.assert_array_equal(Pack(tmp_path / "p", SMALL).pixels, expected.pixels)


def test_a_file_alone_is_a_copy_and_what_nih_lacks_is_left_out(phantoms, tmp_path):
    place = make_copy("zip", phantoms, tmp_path / "copy") / "a.zip"
    folder = open_folder(DataRequest(place))
    assert (folder.place, folder.root) == (place, place.parent)
    assert "arch" not in str(list(folder.paths))
    assert folder.notes[-1] == "1 pictures that Data_Entry_2017.csv lacks are left out."


def test_a_repository_of_shards_in_one_zip_is_read_through(phantoms, packed_folder, tmp_path):
    root = make_copy("webdataset", phantoms, tmp_path / "copy")
    shards = sorted(root.glob("*.tar"))
    write_zip(root / "repo.zip", [(f"repo/datasets/{s.name}", s.read_bytes()) for s in shards])
    folder = open_folder(DataRequest(root / "repo.zip"))
    np.testing.assert_array_equal(pack_of(folder, tmp_path / "p").pixels, packed_folder.pixels)


@pytest.mark.parametrize("column", ["Image Index", "image_id", "source"])
def test_a_column_of_names_counts_whatever_it_is_called(phantoms, tmp_path, column):
    root = add_tables(phantoms, tmp_path)
    pictures = pictures_of(phantoms)
    names = [f"a/{name[:-4]}.jpg" for name, _ in pictures]
    unnamed = [(None, data) for _, data in pictures]
    write_parquet(root / "a.parquet", unnamed, **{column: names})
    assert open_folder(DataRequest(root)).paths.keys() == read_folder(phantoms).paths.keys()


def numbered(phantoms) -> dict[str, list]:
    """Columns of patient and number, with NIH's labels as class numbers."""
    table, terms = read_folder(phantoms).table, [NO_FINDING, "Mass", "Effusion"]
    known = [[n for n in cell if n in terms] or [NO_FINDING] for cell in table["labels"]]
    names = table["image"].str[:-4].str.split("_")
    return {
        "patient_id": [str(int(patient)) for patient, _ in names],
        "scan_id": [int(number) for _, number in names],
        "labels": [[terms.index(n) for n in cell] for cell in known],
        "features": {"labels": [{"names": terms, "_type": "ClassLabel"}]},
    }


def test_patient_and_number_make_names_only_where_the_labels_agree(phantoms, tmp_path, monkeypatch):
    root, columns = add_tables(phantoms, tmp_path), numbered(phantoms)
    unnamed = [(None, data) for _, data in pictures_of(phantoms)]
    write_parquet(root / "a.parquet", unnamed, **columns)
    with pytest.raises(DataError, match=r"are not NIH's: found \d+ of \d+ labels"):
        open_folder(DataRequest(root))  # only three labels are kept
    monkeypatch.setattr(copies, "AGREEING", 0.0)
    assert open_folder(DataRequest(root)).paths.keys() == read_folder(phantoms).paths.keys()


def test_a_copy_without_names_is_trained_by_its_own_labels_and_says_so(phantoms, tmp_path):
    root, columns = add_tables(phantoms, tmp_path), numbered(phantoms)
    del columns["scan_id"]
    unnamed = [(None, data) for _, data in pictures_of(phantoms)]
    write_parquet(root / "a.parquet", unnamed, **columns)
    folder = open_folder(DataRequest(root))
    assert folder.lists is None
    assert folder.table["patient"].nunique() == read_folder(phantoms).table["patient"].nunique()
    assert (folder.images_of, folder.dataset) == ("nih", "copy")
    assert "no official split" in folder.all_notes[-1]
    pack_of(folder, tmp_path / "packs" / "p")
    with pytest.raises(DataError, match="--split official needs"):
        open_datamodule(DataRequest(root, split="official"), SMALL, folder=folder)
    del columns["patient_id"]
    write_parquet(root / "a.parquet", unnamed, **columns)
    assert "It names no patients" in open_folder(DataRequest(root)).all_notes[-1]


def test_the_sidecars_of_a_webdataset_are_its_labels_and_pickles_are_not_read(phantoms, tmp_path):
    files = []
    for number, (_, data) in enumerate(pictures_of(phantoms)[:6]):
        said = {"labels": ["Mass", "Hernia"][: number % 2 + 1], "patient_id": number // 2}
        files += [(f"{number}.png", data), (f"{number}.json", json.dumps(said).encode())]
        files.append((f"{number}.pyd", b"\x80\x04X never read"))
    write_tar(tmp_path / "a.tar", files)
    folder = open_folder(DataRequest(tmp_path))
    assert folder.table["labels"].tolist() == [("Mass",), ("Hernia", "Mass")] * 3
    assert folder.table["patient"].tolist() == [f"copy/{n // 2}" for n in range(6)]


def jpeg(data: bytes, side: int) -> bytes:
    out = io.BytesIO()
    Image.open(io.BytesIO(data)).resize((side, side)).save(out, "JPEG")
    return out.getvalue()


def test_loss_and_another_size_are_named_in_pack_facts_and_notes(phantoms, tmp_path):
    root = add_tables(phantoms, tmp_path / "copy")
    write_zip(root / "a.zip", [(n, jpeg(data, 80)) for n, data in pictures_of(phantoms)])
    folder = open_folder(DataRequest(root))
    assert folder.notes[0].startswith("Pictures: 80 px JPEG copy. Figures on it are not")
    pack_of(folder, pack_folder(tmp_path / "packs", root, SMALL))
    facts = open_datamodule(DataRequest(root, packs=tmp_path / "packs"), SMALL).facts
    assert facts.copy == "80 px JPEG copy"
    assert facts.phantoms is False  # JPEG lost the mark, and no phantom.json lies there


@pytest.mark.usefixtures("tiny_network")
def test_prepare_says_what_the_copy_is_and_the_weights_keep_it(phantoms, tmp_path):
    root, packs = make_copy("zip", phantoms, tmp_path / "copy"), tmp_path / "packs"
    asked = ["--data", root, "--size", 64, "--packs", packs, "--workers", 1]
    done = CliRunner().invoke(app, [str(word) for word in asked])
    assert done.exit_code == 0, done.output
    assert "Pictures: 96 px PNG copy. Figures on it are not figures" in done.output
    options = {"init": "none", "size": 64, "batch_size": 8, "epochs": 1, "device": "cpu"}
    fit(TrainConfig(data=root, packs=packs, out=tmp_path / "run", **options))
    _, metadata = load_weights(tmp_path / "run" / "best_chexnet_params.pth")
    assert metadata.data.copy == "96 px PNG copy"
    assert metadata.data.split == "official"


def test_what_is_missing_is_counted(phantoms, tmp_path):
    root = add_tables(phantoms, tmp_path)
    pictures = pictures_of(phantoms)
    write_zip(root / "a.zip", pictures[3:])
    note = f"3 of the {len(pictures)} images of Data_Entry_2017.csv are missing."
    assert note in open_folder(DataRequest(root)).notes


def test_a_name_that_stands_twice_needs_the_same_pixels(phantoms, tmp_path):
    root = add_tables(phantoms, tmp_path / "copy")
    pictures = pictures_of(phantoms)
    again = io.BytesIO()
    Image.open(io.BytesIO(pictures[0][1])).save(again, "PNG", compress_level=1)
    write_zip(root / "a.zip", pictures)
    write_zip(root / "b.zip", [(pictures[0][0], again.getvalue())])
    pack_of(open_folder(DataRequest(root)), tmp_path / "p")
    write_zip(root / "b.zip", [(pictures[0][0], pictures[1][1])])
    with pytest.raises(DataError, match=r"is a duplicate with other pixels, again in .*b"):
        pack_of(open_folder(DataRequest(root)), tmp_path / "q")


def test_without_a_whole_pack_training_names_the_command(phantoms, tmp_path):
    root = make_copy("tar", phantoms, tmp_path / "copy")
    for packs in (None, tmp_path / "packs"):
        with pytest.raises(DataError) as refusal:
            open_datamodule(DataRequest(root, packs=packs), SMALL)
        options = (
            f"--data {root} --packs {packs or 'packs'} --size {SMALL.size} --crop {SMALL.crop:g}"
        )
        assert str(refusal.value).endswith(f"Run python -m scripts.prepare {options}")
        assert "\n" not in str(refusal.value)


def test_a_picture_that_is_none_is_named_and_a_replaced_file_is_packed_again(phantoms, tmp_path):
    root = add_tables(phantoms, tmp_path / "copy")
    pictures = pictures_of(phantoms)
    write_zip(root / "a.zip", [(pictures[0][0], b"no picture"), *pictures[1:]])
    folder = open_folder(DataRequest(root))
    with pytest.raises(DataError, match=f"1 of {len(pictures)} images cannot be read"):
        pack_of(folder, tmp_path / "p")
    left_out = prepare(
        folder.paths, tmp_path / "p", SMALL, workers=1, copy=folder.copy, skip_unreadable=True
    )
    assert list(left_out) == [pictures[0][0]]
    write_zip(root / "a.zip", pictures)
    assert Pack(tmp_path / "p", SMALL).stale(open_folder(DataRequest(root)).paths)
    pack_of(open_folder(DataRequest(root)), tmp_path / "p")
    assert Pack(tmp_path / "p", SMALL).unreadable(folder.paths) == []


@pytest.mark.parametrize("form", FORMS)
def test_a_file_that_was_cut_or_is_another_is_one_line(phantoms, tmp_path, form):
    root = make_copy(form, phantoms, tmp_path / "copy")
    file = sorted(path for path in root.rglob("*") if path.name.endswith(copy_files.ENDINGS))[0]
    whole = file.read_bytes()
    for damaged in (whole[: len(whole) // 2], b"something else" * 99):
        file.write_bytes(damaged)
        with pytest.raises(DataError, match=r"is damaged, cut short or encrypted") as refusal:
            pack_of(open_folder(DataRequest(file)), tmp_path / "p")
        assert "\n" not in str(refusal.value)


@pytest.mark.parametrize(
    ("columns", "told"),
    [
        ({"labels": [[1]]}, "labels are numbers"),
        ({"other": [b"bytes"]}, "of which 2 hold bytes. Expected one column"),
        ({"path": ["no name"]}, "holds neither NIH's names"),
        ({"Image Index": ["00000001_000.png"]}, "None of the 1 pictures of"),
    ],
)
def test_a_parquet_of_another_schema_is_one_line(phantoms, tmp_path, columns, told):
    root = add_tables(phantoms, tmp_path)
    write_parquet(root / "a.parquet", [(None, pictures_of(phantoms)[0][1])], **columns)
    with pytest.raises(DataError, match=told) as refusal:
        open_folder(DataRequest(root))
    assert "\n" not in str(refusal.value)


def test_a_copy_without_pictures_or_without_nihs_table_is_one_line(phantoms, tmp_path):
    write_zip(tmp_path / "a.zip", [("readme.txt", b"x")])
    with pytest.raises(DataError, match="holds no picture"):
        open_folder(DataRequest(tmp_path))
    write_zip(tmp_path / "a.zip", pictures_of(phantoms))
    with pytest.raises(DataError, match=r"Found no Data_Entry_2017\.csv"):
        open_folder(DataRequest(tmp_path))


def test_of_a_parquet_file_only_the_rows_that_are_due_become_bytes(phantoms, tmp_path):
    """A row group that is packed is not read again, and of another only up to the last due row."""
    pictures = pictures_of(phantoms)
    write_parquet(tmp_path / "a.parquet", pictures)
    read = []
    whole = copy_files._bytes_of

    def counting(parquet, group, column):
        for cell in whole(parquet, group, column):
            read.append(group)
            yield cell

    copy_files._bytes_of = counting
    try:
        wanted = {pictures[9][0]}.__contains__
        got = [n for n, data in copy_files.pictures_in(tmp_path / "a.parquet", wanted) if data]
    finally:
        copy_files._bytes_of = whole
    assert got == [pictures[9][0]]
    assert read == [1, 1]
