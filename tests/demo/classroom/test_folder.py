"""A lecturer's own cases: what is loaded, and what is refused, line by line."""

import csv
import os

import numpy as np
import pytest
from PIL import Image

from chexnet.errors import DataError
from demo.classroom.case_list import MOST_CASES, Problems, read_list
from demo.classroom.content import Content
from demo.classroom.folder import FolderCases
from demo.classroom.reading import new_reader
from demo.examples import EXAMPLES
from tests.conftest import needs_links, needs_modes
from tests.demo.classroom.made import reply

HEAD = ["file", "findings", "boxes", "note", "source"]
PAIRED = ["file", "findings", "pair"]
HOSTILE = "<img src=x onerror=alert(1)>"


@pytest.fixture
def folder(tmp_path):
    """Four drawn radiographs under names that a browser must not see."""
    for example, name in zip(EXAMPLES[:4], ("DOE_JANE", "b", "c", "d"), strict=True):
        (tmp_path / f"{name}.png").write_bytes(example.path.read_bytes())
    return tmp_path


def write(folder, *rows, head=HEAD, separator=","):
    with open(folder / "cases.csv", "w", newline="") as file:
        csv.writer(file, delimiter=separator).writerows([head, *rows])


def wrong(folder, predictor) -> list[str]:
    """What is said of a list, line by line."""
    with pytest.raises(DataError, match="no case was loaded") as caught:
        FolderCases(folder, predictor)
    return str(caught.value).split("\n  ")[1:]


def test_a_folder_is_read_in_its_order_with_boxes_note_and_source(folder, predictor):
    write(
        folder,
        ["d.png", "Pleural Thickening|Mass", "Mass [51.2,102.4,256,128]; Mass [0 0 10 20]; "
         "Pleural_Thickening [500, 500, 12, 12]", HOSTILE, "Ward 3, 2019"],
        ["DOE_JANE.png", "No Finding", "", "", ""],
        ["c.png", "Infiltrate", "[1, 2, 3, 4]", "", ""],
    )  # fmt: skip
    steps = []
    source = FolderCases(folder, predictor, lambda *said: steps.append(said))
    assert steps[-1] == ("answers of the network", 3, 3)
    assert [step[1:] for step in steps if step[0] == "pictures read"] == [(k, 3) for k in range(4)]
    session = source.first()
    assert session.ordered
    assert session.pairs == ()
    first, healthy, third = session.cases
    assert dict(first.truth.findings) == {"Pleural_Thickening": None, "Mass": None}
    box, other = first.truth.boxes["Mass"]
    assert box == pytest.approx((0.1, 0.2, 0.6, 0.45))
    assert other == (0, 0, 10 / 512, 20 / 512)
    assert third.truth.boxes == {"Infiltration": ((1 / 512, 2 / 512, 4 / 512, 6 / 512),)}
    assert (healthy.truth.findings, healthy.truth.boxes) == ({}, {})
    # Pixel for pixel the picture, and the same answer as for an upload of it.
    assert first.picture.startswith(b"\x89PNG")
    [answer] = predictor.predict([predictor.read(folder / "d.png")])
    assert first.network.probabilities == pytest.approx(answer.probabilities, abs=1e-5)
    assert "3 chest pictures" in source.words.title
    assert source.another(frozenset()) is None


def test_lines_with_the_same_pair_are_read_without_the_network_before_and_after(folder, predictor):
    rows = [
        ("d", "Mass", "one"),
        ("b", "Mass", ""),
        ("c", "Edema", "one"),
        ("DOE_JANE", "Mass", ""),
    ]
    write(folder, *([f"{name}.png", *cells] for name, *cells in rows), head=PAIRED)
    source = FolderCases(folder, predictor)
    session = source.first()
    [(first, second)] = session.pairs
    assert (first.key, second.key) == ("line 2: d.png", "line 4: c.png")
    assert [case.key for case in session.cases] == ["line 3: b.png", "line 5: DOE_JANE.png"]
    assert (source.words.alone, source.words.title) == (1, "Read 4 chest pictures yourself")
    all_with = FolderCases(folder, predictor, alone=False)
    assert [case.key[5] for case in all_with.first().cases] == ["2", "3", "4", "5"]
    assert (all_with.first().pairs, all_with.words.alone) == ((), 0)


def test_a_pair_has_two_lines_and_others_are_read_with_the_network(folder, predictor):
    names = ("b", "c", "d", "DOE_JANE")
    for pairs, said in (
        (("x", "", "", ""), ["line 2: its pair has 1 lines, expected two."]),
        (("x", "x", "x", ""), ["line 2: its pair has 3 lines, expected two."]),
        (("x", "x", "y", "y"), ["line 2: all lines are of pairs; expected others, to read with "
                                "the network."]),
    ):  # fmt: skip
        cells = zip(names, pairs, strict=True)
        write(folder, *([f"{name}.png", "Mass", pair] for name, pair in cells), head=PAIRED)
        assert wrong(folder, predictor) == said


def test_a_reader_is_told_the_note_after_his_answer_and_never_a_files_name(folder, predictor):
    write(folder, ["DOE_JANE.png", "Mass", "Mass [0, 0, 512, 256]", HOSTILE, "me"])
    source = FolderCases(folder, predictor)
    reader, content = new_reader(source.first()), Content(predictor, source.words.more)
    contents = [content.of(reader)]
    mine = reply("Mass", boxes={"Mass": [[0, 0, 1, 1]]})
    for step in (reader.commit, reader.settle):
        assert HOSTILE not in str(contents)
        step(reader.turn.id, mine)
        contents.append(content.of(reader))
    truth = contents[-1]["truth"]
    assert (truth["note"], truth["source"]) == (HOSTILE, "me")
    [finding] = truth["findings"]
    assert finding == {"name": "Mass", "strength": "", "boxes": [[0, 0, 1, 0.5]]}
    reader.go_on(reader.turn.id)
    contents.append(content.of(reader))
    assert contents[-1]["more"] is False
    assert contents[-1]["looked_through"] == 0
    assert "DOE_JANE" not in str(contents)
    assert "line 2" not in str(contents)


@needs_links
def test_every_problem_of_every_line_is_named_at_once(folder, predictor, tmp_path_factory):
    outside = tmp_path_factory.mktemp("elsewhere") / "secret.png"
    outside.write_bytes(EXAMPLES[4].path.read_bytes())
    (folder / "link.png").symlink_to(outside)
    (folder / "copy.png").write_bytes((folder / "b.png").read_bytes())
    (folder / "text.png").write_text("no picture")
    noise = np.random.default_rng(0).integers(0, 256, (300, 300), dtype=np.uint8)
    Image.fromarray(noise).save(folder / "noise.png")
    Image.open(folder / "d.png").rotate(180).save(folder / "turned.png")
    write(
        folder,
        ["b.png", "Mass", "", "", ""],  # 2: good
        ["missing.png", "Mass", "", "", ""],
        ["../elsewhere/secret.png", "Mass", "", "", ""],
        [str(outside), "Mass", "", "", ""],
        ["link.png", "Mass", "", "", ""],  # 6
        ["c.png", "Masses", "", "", ""],
        ["c.png", "", "", "", ""],
        ["c.png", "No Finding|Mass", "", "", ""],
        ["c.png", "Mass", "Mass [500, 0, 13, 10]", "a\nsecond line", ""],  # 10 and 11
        ["b.png", "Effusion", "", "", ""],
        ["copy.png", "Mass", "", "", ""],
        ["text.png", "Mass", "", "", ""],
        ["noise.png", "Mass", "", "", ""],  # 15
        ["turned.png", "Mass", "", "", ""],
        ["d.png", "Mass", "Nodule [1, 1, 2, 2]", "", ""],
        ["d.png", "Mass|Nodule", "[1, 1, 2, 2]", "", ""],
        ["d.png", "Mass", "1, 1, 2, 2", "", ""],
        ["d.png", "Mass", "", "x" * 2001, ""],  # 20
        ["d.png", "Mass", ""],
        ["DOE_JANE.png", "Mass", "Mass [1, 1, 0, 5]", "", ""],
    )
    said = dict(problem.split(": ", 1) for problem in wrong(folder, predictor))
    parts = {
        3: "missing.png is not in the folder",
        4: "leads out of the folder",
        5: "leads out of the folder",
        6: "link.png leads out of the folder",
        7: "found the finding 'Masses', expected one of Atelectasis",
        8: "names no finding. Write No Finding",
        9: "No Finding beside a finding",
        10: "[500, 0, 13, 10] of Mass does not lie inside c.png, which has 512 x 512 pixels",
        12: "same picture as line 2",
        13: "copy.png is the same picture as that of line 2",
        14: "text.png is",
        15: "noise.png is no upright frontal chest radiograph: it seems to be not a chest",
        16: "turned.png is no upright frontal chest radiograph: it seems to be upside down",
        17: "a box of Nodule, which is not among its findings",
        18: "names no finding, expected: Mass [x, y, w, h]",
        19: "expected each as: Mass [x, y, w, h]",
        20: "the note has 2001 characters",
        21: "found 3 cells, expected 5",
        22: "[1, 1, 0, 5]",
    }
    assert list(said) == [f"line {line}" for line in parts]
    for line, text in parts.items():
        assert text in said[f"line {line}"]


@needs_modes
@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda path, out: os.mkfifo(path), "no regular file"),
        (lambda path, out: path.symlink_to("/dev/zero"), "leads out of the folder"),
        (lambda path, out: path.symlink_to(out), "leads out of the folder"),
        (lambda path, out: path.mkdir(), "no regular file"),
        (lambda path, out: os.truncate(path.touch() or path, 4 << 30), "has 4,294,967,296 bytes"),
    ],
    ids=["pipe", "device", "link out", "folder", "sparse"],
)
@pytest.mark.parametrize("of", ["cases.csv", "b.png"])
def test_what_is_no_file_of_the_folder_is_refused_before_it_is_read(
    tmp_path, tmp_path_factory, predictor, make, says, of
):
    foreign = tmp_path_factory.mktemp("elsewhere") / "foreign"
    foreign.write_text("root:secret,Mass\n" * 3)
    if of != "cases.csv":
        write(tmp_path, ["b.png", "Mass", "", "", ""])
    make(tmp_path / of, foreign)
    with pytest.raises(DataError, match=says) as caught:
        FolderCases(tmp_path, predictor)
    assert "secret" not in str(caught.value)


LONG = "x" * 5000 + "secret"


@pytest.mark.parametrize(
    "row",
    [
        [LONG, "Mass", "", "", ""],
        ["../" + LONG, "Mass", "", "", ""],
        ["b.png", LONG, "", "", ""],
        ["b.png", "Mass", LONG, "", ""],
        ["b.png", "Mass|Nodule", "[1, 1, 2, 2]" + " " * 500 + "secret", "", ""],
        ["b.png", "Mass", f"{LONG} [1, 1, 2, 2]", "", ""],
        ["\x1b[2Jsecret\x07".ljust(3000), "Mass", "", "", ""],
    ],
)
def test_an_error_repeats_at_most_80_characters_of_a_cell(folder, predictor, row):
    write(folder, row)
    [said] = wrong(folder, predictor)
    assert len(said) < 80 + 400  # the list of findings that it names has 250
    assert "x" * 81 not in said
    assert said.isprintable()
    write(folder, head=[*HEAD, LONG])
    with pytest.raises(DataError) as caught:
        FolderCases(folder, predictor)
    assert "secret" not in str(caught.value)


def test_fifty_boxes_a_line_and_no_more(folder, predictor):
    for count in (50, 51, 2000):
        boxes = "; ".join(f"[{k % 500}, {k % 499}, 9, 9]" for k in range(count))
        write(folder, ["b.png", "Mass", boxes, "", ""])
        if count > 50:
            assert "has more than 50 boxes" in wrong(folder, predictor)[0]
        else:
            assert len(FolderCases(folder, predictor).first().cases[0].truth.boxes["Mass"]) == 50


@needs_links
def test_names_that_are_not_utf8_are_read_and_told_escaped(folder, predictor, tmp_path):
    odd = os.fsdecode(b"caf\xe9")
    try:
        (folder / f"{odd}.png").write_bytes(EXAMPLES[3].path.read_bytes())
    except OSError:
        pytest.skip("this file system takes UTF-8 alone")
    (folder / "link.png").symlink_to(f"{odd}.png")
    write(folder, ["link.png", "Mass", "", "", ""])
    [case] = FolderCases(folder, predictor).first().cases
    assert case.key == "line 2: caf\\udce9.png"
    (folder / f"{odd}.png").write_text("no picture")
    assert "caf\\udce9.png" in wrong(folder, predictor)[0]
    with pytest.raises(DataError, match="Found no folder") as caught:
        FolderCases(folder / odd, predictor)
    assert str(caught.value).isprintable()


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "Found no cases.csv"),
        ("", "found the columns none"),
        ("file,findings\n", "holds no case"),
        ("file,finding\nb.png,Mass\n", "expected file, findings"),
        ("file,findings,box\nb.png,Mass,\n", "found the columns file, findings, box"),
        ("file,findings,file\nb.png,Mass,\n", "each once"),
        ('file,findings\n"b.png,Mass\n', "line 2: unexpected end of data"),
        (b"file,findings\nb\xff.png,Mass\n", "CSV UTF-8"),
    ],
)
def test_what_is_no_list_is_refused_as_a_whole(folder, text, says):
    if text is not None:
        data = text if isinstance(text, bytes) else text.encode()
        (folder / "cases.csv").write_bytes(data)
    with pytest.raises(DataError, match=says):
        read_list(folder, Problems(folder / "cases.csv"))


def test_a_spreadsheets_semicolons_and_byte_order_mark_are_read(folder):
    (folder / "cases.csv").write_bytes(
        '\ufeffFile;Findings;Boxes\r\nb.png;Mass;"[1,2,3,4]; [5,6,7,8]"\r\n;;\r\n'.encode()
    )
    [row] = read_list(folder, Problems(folder / "cases.csv"))
    assert [str(box) for box in row.boxes] == ["[1, 2, 3, 4]", "[5, 6, 7, 8]"]


def test_more_than_the_most_cases_are_refused_before_a_picture_is_read(folder):
    for number in range(MOST_CASES + 1):
        (folder / f"{number}.png").touch()
    write(folder, *([f"{n}.png", "Mass", "", "", ""] for n in range(MOST_CASES + 1)))
    problems = Problems(folder / "cases.csv")
    assert len(read_list(folder, problems)) == MOST_CASES
    with pytest.raises(DataError, match=r"line 202: is case 201; expected at most 200"):
        problems.check()
