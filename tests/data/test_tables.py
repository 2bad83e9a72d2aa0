"""The one reader of tables, lists and mappings: what it reads, and what it refuses in a line."""

import bz2
import gzip
import lzma
import os

import pandas as pd
import pytest

from chexnet.data.nih import read_boxes, read_lists, read_table
from chexnet.data.rsna import read_rsna_rows
from chexnet.data.tables import SHOWN, patient_names, read_csv, read_text, read_toml, shown
from chexnet.errors import DataError
from tests.conftest import needs_links
from tests.data.copies import tar_of, zip_of

ROWS = [("a.png", "Mass|Nodule", "17"), ("b.png", "", "18"), ("c d.png", "Ödem", "19")]
TEXT = "Image Index,Finding Labels,Patient ID\n" + "".join(f"{','.join(row)}\n" for row in ROWS)
ALONE = [("table.csv", TEXT.encode())]
COLUMNS = ("Image Index", "Finding Labels", "Patient ID")


@pytest.mark.parametrize(
    "content",
    [
        *(TEXT.encode(name) for name in ("utf-8", "utf-8-sig", "utf-16", "utf-32", "cp1252")),
        b"\xfe\xff" + TEXT.encode("utf-16-be"),
        b"\0\0\xfe\xff" + TEXT.encode("utf-32-be"),
        TEXT.replace("\n", "\r").encode(),
        TEXT.replace("\n", "\r\n\r\n").encode(),
        TEXT.replace("\n", ",\n").encode(),
        TEXT.replace("17\n", "17,,,\n").encode(),
        TEXT.replace("17\n", "17,\n").replace("18\n", "18,\n").replace("19\n", "19,\n").encode(),
        TEXT.replace(",", " , ").encode(),
        TEXT.replace("Image Index", "image_index").replace("Patient ID", "PATIENT-ID ").encode(),
        *(pack(TEXT.encode()) for pack in (gzip.compress, bz2.compress, lzma.compress)),
        zip_of([("t.csv", TEXT), ("__MACOSX/._t.csv", "x")]),
        tar_of(ALONE),
        tar_of(ALONE, "w:gz"),
    ],
    ids=lambda content: "table",  # packed ones hold the time
)
def test_a_table_is_read_however_it_was_saved(tmp_path, content):
    (tmp_path / "table").write_bytes(content)
    table = read_csv(tmp_path / "table", COLUMNS, "")
    assert list(table.itertuples(index=False, name=None)) == ROWS


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (TEXT.encode("utf-16-le"), "could not be read as text. Save it as .* UTF-8"),
        (TEXT.encode("latin-1") + b"\x81", "could not be read as text"),
        (gzip.compress(TEXT.encode())[:-9], "its compression is damaged"),
        (lzma.compress(TEXT.encode())[:-9], "its compression is damaged"),
        (zip_of(ALONE)[:40], "its compression is damaged"),
        (tar_of(ALONE, "w:gz")[:-20], "its compression is damaged"),
        (zip_of([("a", TEXT), ("b", TEXT)]), "not one packed table"),
        (gzip.compress(gzip.compress(gzip.compress(b"1"))), "packed more than twice"),
        (b"", "it is empty"),
        (b"\n\n", "it is empty"),
        (TEXT.splitlines()[0].encode(), "has no rows"),
        (TEXT.replace(",", ";").encode(), "found Image Index;Finding Labels;Patient ID"),
        (TEXT.replace("Mass|", "Mass,").encode(), "line 2 has more cells than the header"),
        (TEXT.encode() + b'"d.png,', "EOF inside string"),
        (TEXT.replace("Image Index", "x,Image Index,Image Index").encode(), "Index twice"),
        (b"secret," * 300_000, "first line has over"),
        (b"secret," * 20_000 + b"\n1\n", "over 10,000 columns"),
        (b"secret" * 200 + b"\n1\n", r"found (secret)+\w*\.\.\."),
    ],
    ids=lambda value: value if isinstance(value, str) else "content",
)
def test_what_is_no_table_is_refused_in_one_line(tmp_path, content, told):
    (tmp_path / "table.csv").write_bytes(content)
    with pytest.raises(DataError, match=told) as refusal:
        read_csv(tmp_path / "table.csv", COLUMNS, "Expected another.")
    assert "\n" not in str(refusal.value)
    assert str(refusal.value).count("secret") <= SHOWN / len("secret")


def test_a_file_is_no_larger_than_agreed_packed_or_unpacked(tmp_path):
    for name, content in (("sparse", b"0" * 2000), ("bomb", gzip.compress(b"0" * 2000))):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(DataError, match=r"expected at most|unpacks to"):
            read_text(tmp_path / name, limit=1000)


@needs_links
@pytest.mark.parametrize("kind", ["pipe", "folder", "device", "link to itself"])
def test_what_is_no_regular_file_is_refused_at_once(tmp_path, kind):
    names = ("train_val_list.txt", "test_list.txt", "BBox_List_2017.csv", "table.csv")
    for path in (tmp_path / name for name in names):
        if kind == "folder":
            path.mkdir()
        elif kind == "pipe":
            os.mkfifo(path)
        else:
            path.symlink_to("/dev/zero" if kind == "device" else path)
    told = "could not be read" if kind == "link to itself" else "is a folder, a pipe or a device"
    for read, path in (
        (read_lists, tmp_path),
        (read_boxes, tmp_path),
        *((read, tmp_path / "table.csv") for read in (read_table, read_toml, read_rsna_rows)),
    ):
        with pytest.raises(DataError, match=told):
            read(path)


@pytest.mark.parametrize("text", ["a = " + "[" * 5000, "a = " + "9" * 5000, "a = = 1", "[" * 200])
def test_what_is_no_toml_is_refused_in_one_line(tmp_path, text):
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(DataError, match="could not be read as TOML") as refusal:
        read_toml(tmp_path / "m.toml")
    assert len(str(refusal.value)) < len(str(tmp_path)) + 150


def test_lists_and_boxes_are_read_however_they_were_saved(tmp_path):
    (tmp_path / "train_val_list.txt").write_text("a.png\nb.png\n", encoding="utf-16")
    (tmp_path / "test_list.txt").write_text("c.png,\r\nd.png,\r\n", encoding="utf-8-sig")
    assert read_lists(tmp_path) == {"train_val": {"a.png", "b.png"}, "test": {"c.png", "d.png"}}
    for comma in (",,,", ""):
        header = f"Image Index,Finding Label,Bbox [x,y,w,h]{comma}"
        boxes = f"{header}\na.png,pleural thickening,1,2,3,4,,,\n"
        (tmp_path / "BBox_List_2017.csv").write_text(boxes, encoding="utf-16")
        [box] = read_boxes(tmp_path).itertuples(index=False, name=None)
        assert box == ("a.png", "Pleural_Thickening", 1, 2, 3, 4)


def test_a_row_is_named_by_its_line_in_the_file(tmp_path):
    (tmp_path / "t.csv").write_text("\n" + TEXT.replace("18", "18\n\n\n"), encoding="utf-8")
    with pytest.raises(DataError, match=r"line 4: b\.png has empty Finding Labels"):
        read_table(tmp_path / "t.csv")
    (tmp_path / "t.csv").write_text(
        "\n" + TEXT.replace(",,18", ",Mass,18\n\n").replace("19", ""), encoding="utf-8"
    )
    with pytest.raises(DataError, match=r"line 7: c d\.png has an empty Patient ID"):
        read_table(tmp_path / "t.csv")


def test_a_whole_number_written_as_a_float_is_the_same_patient(tmp_path):
    text = ["1e5", "12E7", "1.5", "A.0", "a b"]
    written = ["90000001.0", "90000001.", "17.000", "17", "017.0", *text]
    same = ["90000001", "90000001", "17", "17", "017", *text]
    cells = pd.Series([*written, "nan", "None", ""])
    assert patient_names(tmp_path, cells, cells).tolist() == [*same, "", "", ""]
    for rounded in ("9.00E+07", "9E+07", "1.2345e16"):
        with pytest.raises(DataError, match=r"line 3: .*has rounded"):
            patient_names(tmp_path, cells, pd.Series(["1", rounded]))


def test_nothing_foreign_is_shown_at_length_or_as_a_terminal_would_take_it():
    assert shown("\x1b[31mred\n") == "\\x1b[31mred\\n"
    assert len(shown("x" * 10**6)) == SHOWN
    assert shown("Brustkorb, seitlich (Ö)") == "Brustkorb, seitlich (Ö)"
