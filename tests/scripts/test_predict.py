"""`scripts.predict` on what people's folders hold: one name twice, links, odd names and targets."""

import json
import os
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from scripts.predict import _distinct_stems
from tests.conftest import needs_links, needs_modes
from tests.malformed import encoded, smooth

pytestmark = pytest.mark.usefixtures("tiny_network")


@pytest.fixture
def predict(here, trained):
    """Run the command in this process."""
    fixed = ("--weights", trained / "best_chexnet_params.pth", "--engine", "torch")
    return lambda *arguments: here("predict", *arguments, *fixed)


def draw(*paths: Path) -> None:
    for number, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encoded(np.roll(smooth(), number, axis=1)))


def test_the_command_shows_a_table_json_and_overlays(predict, phantoms, tmp_path):
    folder = phantoms / "images_001" / "images"
    pictures = sorted(folder.iterdir())[:2]
    broken = tmp_path / "broken.png"
    broken.write_bytes(pictures[0].read_bytes()[:90])
    done = predict(*pictures, broken, "--json", "--heatmaps", tmp_path / "heat")
    assert done.returncode == 1
    assert "1 of 3 pictures could not be read" in done.stderr
    assert "Traceback" not in done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [answer["file"] for answer in answers] == [str(path) for path in pictures]
    assert all(0 <= p <= 1 for p in answers[0]["probabilities"].values())
    drawn = list((tmp_path / "heat").glob("*.png"))
    assert {path.name[:12] for path in drawn} == {path.stem for path in pictures}
    with Image.open(drawn[0]) as overlay:
        assert overlay.mode == "RGB"
    shown = predict(folder)
    assert shown.returncode == 0, shown.stderr
    assert "not for clinical use" in shown.stdout
    assert shown.stdout.count("Pleural Thickening") == len(list(folder.iterdir()))


def test_without_weights_the_command_says_which_it_took_and_json_stays_pure(here, tmp_path):
    draw(tmp_path / "x.png")
    done = here("predict", tmp_path / "x.png", "--json")
    assert done.returncode == 0, done.stderr
    assert "starter.pth" in done.stderr
    assert len(json.loads(done.stdout)["probabilities"]) == 15


@pytest.mark.parametrize(
    ("given", "files", "stems"),
    [
        ("p", "p/1/x.jpg p/2/x.jpg p/y.jpg", "1/x 2/x y"),
        ("p/1/x.jpg q/y.jpg", "p/1/x.jpg q/y.jpg", "x y"),
        ("p q", "p/1/x.jpg q/1/x.jpg q/z.jpg", "p/1/x q/1/x q/z"),
        ("p/x.jpg q/x.jpg", "p/x.jpg q/x.jpg", "p/x q/x"),
        ("p", "p/a.jpg p/a.png p/a.png.dcm p/b.png", "a.jpg a.png a.png-2 b"),
        ("p", "p/A.png p/a.PNG p/1.2.7 p/1.2.8", "A.png a.PNG-2 1.2.7 1.2.8"),
        ("p", "p/Ä/x p/ä/x p/ä/x", "Ä/x ä/x-2 ä/x-2-2"),
    ],
)
def test_no_two_pictures_have_overlays_of_one_name(given, files, stems, tmp_path):
    for name in files.split():
        draw(tmp_path / name)
    given, files = ([tmp_path / name for name in text.split()] for text in (given, files))
    distinct = list(_distinct_stems(given, list(map(str, files))))
    assert distinct == [stem.replace("/", os.sep) for stem in stems.split()]


@pytest.mark.parametrize("as_job", [False, True])
def test_every_picture_keeps_its_overlays_and_no_picture_is_replaced(predict, tmp_path, as_job):
    root, heat = tmp_path / "chexpert", tmp_path / "heat"
    draw(*(root / f"patient{n}" / "view1_frontal.jpg" for n in (1, 2)), root / "a.png")
    job = ("--out", tmp_path / "out") if as_job else ("--json",)
    done = predict(root, "--heatmaps", heat, *job)
    assert done.returncode == 0, done.stderr
    folders = {path.parent.relative_to(heat) for path in heat.rglob("*.png")}
    assert folders == {Path(), Path("patient1"), Path("patient2")}
    if not as_job:
        answers = map(json.loads, done.stdout.splitlines())
        overlays = sum(max(1, len(answer["over_threshold"])) for answer in answers)
        assert len(list(heat.rglob("*.png"))) == overlays
    overlay = next(heat.glob("a_*.png"))
    before = overlay.read_bytes()
    again = predict(root / "a.png", overlay, "--heatmaps", heat, "--out", tmp_path / "again")
    # An overlay's own overlays have other names; `a`'s would replace a picture.
    assert (again.returncode, overlay.read_bytes()) == (1, before)
    assert f"{overlay} is a picture itself" in again.stderr


@needs_links
def test_links_are_followed_and_a_real_file_is_predicted_once(predict, tmp_path):
    draw(tmp_path / "disk2" / "img1.png", tmp_path / "data" / "img2.png")
    (tmp_path / "data" / "0").symlink_to(tmp_path / "disk2")
    (tmp_path / "disk2" / "round").symlink_to(tmp_path / "data")
    given = [tmp_path / name for name in ("data", "disk2", "data/img2.png")]
    done = predict(*given, "--json")
    files = [json.loads(line)["file"] for line in done.stdout.splitlines()]
    assert [Path(name).name for name in files] == ["img1.png", "img2.png"]


@pytest.mark.parametrize("as_job", [False, True])
def test_without_a_picture_or_with_an_unreadable_one_it_fails(predict, tmp_path, as_job):
    job = ("--out", tmp_path / "out") if as_job else ()
    (tmp_path / "pictures" / "empty").mkdir(parents=True)
    none = predict(tmp_path / "pictures", *job)
    assert (none.returncode, none.stderr.count("\n")) == (1, 1)
    assert f"Found no picture in {tmp_path / 'pictures'}" in none.stderr
    draw(tmp_path / "pictures" / "good.png")
    bad = tmp_path / "pictures" / "empty" / "bad.png"
    bad.write_bytes(b"no picture")
    for _ in range(2):  # a finished job as well
        done = predict(tmp_path / "pictures", *job)
        assert done.returncode == 1
        assert "1 of " in done.stderr
        assert as_job or f"Error: {bad} is not a PNG" in done.stderr


@needs_modes
@pytest.mark.parametrize("inside", [False, True])
def test_a_pipe_is_no_picture(predict, tmp_path, inside):
    folder = tmp_path / "pictures"
    folder.mkdir()
    os.mkfifo(folder / "pipe.png")
    done = predict(folder if inside else folder / "pipe.png")
    assert done.returncode == 1
    assert ("no picture" if inside else "neither a file nor a folder") in done.stderr


@pytest.mark.skipif(sys.platform != "linux", reason="other systems know no such names")
def test_a_name_that_is_not_utf8_ends_no_job(predict, tmp_path):
    folder, out = tmp_path / "pictures", tmp_path / "out"
    draw(folder / os.fsdecode(b"caf\xe9.png"), folder / "z.png")
    (folder / os.fsdecode(b"\xff.png")).write_bytes(b"no picture")
    done = predict(folder, "--out", out, "--heatmaps", tmp_path / "heat")
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    files = {name: pd.read_csv(out / name)["file"] for name in ("part-00000.csv", "errors.csv")}
    assert files["part-00000.csv"].tolist() == [f"{folder}/caf\\udce9.png", f"{folder}/z.png"]
    assert files["errors.csv"].tolist() == [f"{folder}/\\udcff.png"]
    shown = predict(folder, "--json")
    files = [json.loads(line)["file"] for line in shown.stdout.splitlines()]
    assert os.fsencode(files[0]).endswith(b"caf\xe9.png")
    assert ".png is not a PNG" in shown.stderr


@pytest.mark.parametrize("option", ["--out", "--heatmaps"])
def test_a_target_that_cannot_be_written_is_one_line(predict, tmp_path, option):
    draw(tmp_path / "x.png")
    (tmp_path / "file").touch()
    targets = [tmp_path / "file", tmp_path / "file" / "below", os.devnull]
    if option == "--out":  # a folder where a file is wanted
        (tmp_path / "job" / "part-00000.csv").mkdir(parents=True)
        targets.append(tmp_path / "job")
    for target in targets:
        done = predict(tmp_path / "x.png", option, target)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
        assert str(target) in done.stderr


@pytest.mark.parametrize("name", ["job.json", "files.json"])
@pytest.mark.parametrize("content", [None, b"", b"[1", b'"x"', b"\xff\xfe"])
def test_a_damaged_job_is_one_line(predict, tmp_path, name, content):
    draw(tmp_path / "x.png")
    out = tmp_path / "out"
    out.mkdir()
    (out / "job.json").write_text("{}")
    (out / "files.json").write_text("[]")
    if content is None:
        (out / name).unlink()
    else:
        (out / name).write_bytes(content)
    done = predict(tmp_path / "x.png", "--out", out)
    if (name, content) == ("files.json", None):  # killed before it was written
        assert done.returncode == 0
        return
    assert (done.returncode, done.stderr.count("\n")) == (1, 1), done.stderr
    assert "--out" in done.stderr
