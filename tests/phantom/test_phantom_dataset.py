"""The written data set: NIH's layout to the letter, the same on any machine, resumable."""

import csv
import hashlib
import json
from pathlib import Path

import pandas as pd
import pytest
from PIL import Image

from chexnet.errors import ConfigError, DataError
from chexnet.labels import FINDINGS
from chexnet.phantom import dataset
from chexnet.phantom.dataset import draw_phantoms

PATIENTS, SIZE = 16, 64


def _digests(folder: Path) -> dict[str, str]:
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    out = tmp_path_factory.mktemp("phantom") / "set"
    return out, draw_phantoms(out, patients=PATIENTS, size=SIZE, seed=1, workers=1)


def _table(out: Path) -> pd.DataFrame:
    return pd.read_csv(out / "Data_Entry_2017.csv")


def test_headers_are_nihs_own_to_the_letter(drawn):
    out, _ = drawn
    assert (out / "Data_Entry_2017.csv").read_bytes().split(b"\n")[0] == (
        b"Image Index,Finding Labels,Follow-up #,Patient ID,Patient Age,Patient Gender,"
        b"View Position,OriginalImage[Width,Height],OriginalImagePixelSpacing[x,y],"
    )
    boxes = (out / "BBox_List_2017.csv").read_bytes().split(b"\n")
    assert boxes[0] == b"Image Index,Finding Label,Bbox [x,y,w,h],,,"
    assert all(row.count(b",") == 8 and row.endswith(b",,,") for row in boxes[1:-1])


def test_every_row_has_its_image_in_a_numbered_folder_and_its_order(drawn):
    out, summary = drawn
    files = sorted(out.glob("images_*/images/*.png"), key=lambda path: path.name)
    names = [path.name for path in files]
    assert names == _table(out)["Image Index"].tolist()
    assert len(names) == summary.images == summary.drawn
    folders = [path.parent.parent.name for path in files]
    assert folders == sorted(folders)
    assert set(folders) == {f"images_{k:03d}" for k in range(1, 13)}
    for path in files[:5]:
        with Image.open(path) as picture:
            assert (picture.format, picture.mode, picture.size) == ("PNG", "L", (SIZE, SIZE))


def test_names_follow_from_patient_and_follow_up(drawn):
    table = _table(drawn[0])
    expected = [
        f"{number:08d}_{follow:03d}.png"
        for number, follow in zip(table["Patient ID"], table["Follow-up #"], strict=True)
    ]
    assert table["Image Index"].tolist() == expected
    assert sorted(set(table["Patient ID"])) == [90_010_001 + k for k in range(PATIENTS)]
    assert set(table["View Position"]) == {"PA", "AP"}
    assert set(table["Patient Gender"]) == {"M", "F"}


def test_lists_hold_every_image_once_and_no_patient_twice(drawn):
    out, _ = drawn
    texts = [(out / name).read_text() for name in ("train_val_list.txt", "test_list.txt")]
    assert not any(text.endswith("\n") for text in texts)
    train, test = (text.split("\n") for text in texts)
    assert sorted(train + test) == _table(out)["Image Index"].tolist()
    assert not {name[:8] for name in train} & {name[:8] for name in test}
    assert 0.05 < len(test) / len(train + test) < 0.4


def test_every_labelled_finding_has_a_box_inside_the_frame_and_every_box_a_label(drawn):
    out, summary = drawn
    with (out / "BBox_List_2017.csv").open() as file:
        rows = list(csv.reader(file))[1:]
    boxed = set()
    for name, label, x, y, w, h, *_ in rows:
        boxed.add((name, "Infiltration" if label == "Infiltrate" else label))
        x, y, w, h = map(float, (x, y, w, h))
        assert min(x, y) >= 0
        assert min(w, h) > 0
        assert max(x + w, y + h) <= 1024
    table = _table(out)
    labelled = {
        (name, label)
        for name, cell in zip(table["Image Index"], table["Finding Labels"], strict=True)
        for label in cell.split("|")
        if label != "No Finding"
    }
    assert boxed == labelled
    assert {label for _, label in boxed} <= set(FINDINGS)
    assert len(rows) == summary.boxes
    assert "Infiltration" not in {row[1] for row in rows}


def test_two_processes_write_the_same_bytes_as_one(drawn, tmp_path):
    draw_phantoms(tmp_path / "two", patients=PATIENTS, size=SIZE, seed=1, workers=2)
    assert _digests(tmp_path / "two") == _digests(drawn[0])


def test_a_killed_run_goes_on_and_ends_with_the_same_files(drawn, tmp_path, monkeypatch):
    out = tmp_path / "set"
    real, calls = dataset.draw_phantom, []

    def dies(*args, **kwargs):
        if len(calls) == 20:
            raise KeyboardInterrupt
        calls.append(args)
        return real(*args, **kwargs)

    monkeypatch.setattr(dataset, "draw_phantom", dies)
    with pytest.raises(KeyboardInterrupt):
        draw_phantoms(out, patients=PATIENTS, size=SIZE, seed=1, workers=1)
    assert not list(out.glob("*.csv"))
    monkeypatch.setattr(dataset, "draw_phantom", real)
    seen = []
    again = draw_phantoms(
        out, patients=PATIENTS, size=SIZE, seed=1, workers=1, on_progress=lambda *a: seen.append(a)
    )
    assert again.drawn == again.images - 20
    assert seen[-1] == (again.images, again.images)
    assert _digests(out) == _digests(drawn[0])


def test_a_finished_set_is_left_as_it_is(drawn):
    out, first = drawn
    before = _digests(out)
    again = draw_phantoms(out, patients=PATIENTS, size=SIZE, seed=1, workers=1)
    assert (again.drawn, again.findings, again.boxes) == (0, first.findings, first.boxes)
    assert _digests(out) == before


def test_a_damaged_image_is_named_instead_of_boxed_wrongly(tmp_path):
    out = tmp_path / "set"
    draw_phantoms(out, patients=1, size=SIZE, workers=1)
    path = next(out.rglob("*.png"))
    Image.new("L", (SIZE, SIZE)).save(path)
    with pytest.raises(DataError, match=path.name):
        draw_phantoms(out, patients=1, size=SIZE, workers=1)


def test_another_set_in_the_folder_is_refused_and_left_alone(drawn):
    out, _ = drawn
    before = _digests(out)
    with pytest.raises(DataError, match=r"phantom\.json holds .*'seed': 1.*, expected .*'seed': 2"):
        draw_phantoms(out, patients=PATIENTS, size=SIZE, seed=2, workers=1)
    assert _digests(out) == before


def test_a_folder_with_other_files_is_refused(tmp_path):
    (tmp_path / "Data_Entry_2017.csv").write_text("real")
    with pytest.raises(DataError, match="Pass a new or empty folder"):
        draw_phantoms(tmp_path, patients=1, size=SIZE, workers=1)
    assert [path.name for path in tmp_path.iterdir()] == ["Data_Entry_2017.csv"]


def test_a_damaged_phantom_json_is_refused(tmp_path):
    (tmp_path / "phantom.json").write_text("{")
    with pytest.raises(DataError, match=r"phantom\.json"):
        draw_phantoms(tmp_path, patients=1, size=SIZE, workers=1)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"patients": 10_001}, "10001 patients, expected 1 to 10,000"),
        ({"patients": 0}, "0 patients"),
        ({"size": 16}, "size 16"),
        ({"seed": -1}, "seed -1"),
        ({"seed": 999}, "seed 999"),
        ({"workers": -2}, "-2 workers"),
    ],
)
def test_bad_parameters_are_refused_before_anything_is_written(tmp_path, arguments, words):
    with pytest.raises(ConfigError, match=words):
        draw_phantoms(tmp_path / "set", **arguments)
    assert not (tmp_path / "set").exists()


def test_the_parameters_stand_in_phantom_json(drawn):
    parameters = json.loads((drawn[0] / "phantom.json").read_text())
    assert {k: parameters[k] for k in ("patients", "size", "seed")} == {
        "patients": PATIENTS,
        "size": SIZE,
        "seed": 1,
    }


def test_the_command_draws_says_what_and_names_the_next_command(shown, tmp_path):
    out = tmp_path / "set"
    said = shown("phantom", out, "--patients", 2, "--size", 64, "--workers", 1)
    images = len(list(out.glob("images_*/images/*.png")))
    assert said.startswith(f"{images} images of 2 patients")
    assert said.endswith(f"Next: python -m scripts.train --data {out}\n")


def test_the_command_refuses_with_a_message_and_no_traceback(refused, tmp_path):
    assert "expected 1 to 10,000" in refused("phantom", tmp_path / "set", "--patients", 10_001)
    assert not list(tmp_path.iterdir())
