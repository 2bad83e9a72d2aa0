"""NIH's archives: unpacked safely, fetched two at a time, whole or not at all."""

import gzip
import hashlib
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from filelock import FileLock

from chexnet import files
from chexnet.data import archives as module
from chexnet.data.archives import Archive, fetch_archives, known_archives
from chexnet.errors import ChexnetError, DataError, FetchError
from tests.conftest import ROOT, SIGKILL, needs_signals
from tests.data.copies import tar_of
from tests.loopback import Answer, serving


def image(number: int) -> bytes:
    return np.random.default_rng(number).bytes(3000)


def images(count: int = 3, folder: str = "images/", first: int = 0) -> list[tuple[str, bytes]]:
    return [(f"{folder}{n:08d}_000.png", image(n)) for n in range(first, first + count)]


def packed(files: list[tuple[str, bytes]]) -> bytes:
    return tar_of(files, "w:gz")


DAMAGED = {
    "too many": packed(images(4)),
    "too few": packed(images(2)),
    "empty": b"",
    "no gzip": b"x" * 2000,
    "no tar": gzip.compress(np.random.default_rng(3).bytes(5000)),
    "cut": packed(images())[:5000],
    "damaged": packed(images())[:4000] + bytes(200) + packed(images())[4200:],
}


@pytest.mark.parametrize("kind", DAMAGED)
def test_an_archive_that_is_not_nihs_leaves_nothing(served, tmp_path, kind):
    """Refused in one line although its checksum fits, as in another table of addresses."""
    server, _ = served
    server.files["/1"] = DAMAGED[kind]
    md5 = hashlib.md5(DAMAGED[kind]).hexdigest()
    with pytest.raises(FetchError, match="Nothing was kept") as refusal:
        fetch_archives(tmp_path / "data", [Archive(1, f"{server.url}/1", md5, 3)], pause=0.001)
    assert "\n" not in str(refusal.value)
    assert names(tmp_path / "data") == ["images_001.tar.gz"]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.mark.parametrize("folder", ["images/", "images_001/images/", "./images/"])
def test_both_layouts_become_ours(served, tmp_path, folder):
    server, _ = served
    server.files["/1"] = packed([("README.txt", b"x"), *images(folder=folder)])
    md5 = hashlib.md5(server.files["/1"]).hexdigest()
    fetch_archives(tmp_path, [Archive(1, f"{server.url}/1", md5, 3)], remove=True)
    assert names(tmp_path) == ["images_001"]
    for number in range(3):
        place = tmp_path / "images_001" / "images" / f"{number:08d}_000.png"
        assert place.read_bytes() == image(number)


def test_a_full_disk_leaves_no_half_folder(served, tmp_path, monkeypatch):
    def full(*_, **__):
        raise OSError(28, "no space")

    monkeypatch.setattr(module.tarfile.TarFile, "extract", full)
    with pytest.raises(FetchError, match="No space left"):
        fetch_archives(tmp_path, served[1][:1])
    assert names(tmp_path) == ["images_001.tar.gz"]


def test_the_table_names_every_image_of_nihs(monkeypatch):
    known = known_archives()
    assert [archive.number for archive in known] == list(range(1, 13))
    assert sum(archive.images for archive in known) == 112_120
    assert all(archive.url.startswith("https://nihcc.box.com/shared/static/") for archive in known)
    assert len({archive.md5 for archive in known}) == len({archive.url for archive in known}) == 12
    assert all(len(archive.md5) == 32 and int(archive.md5, 16) for archive in known)


@pytest.fixture
def served():
    """A server with four archives of three images, and their table."""
    with serving() as server:
        known = []
        for number in range(1, 5):
            content = packed([("images/", b""), *images(first=10 * number)])
            server.files[f"/{number}"] = content
            md5 = hashlib.md5(content).hexdigest()
            known.append(Archive(number, f"{server.url}/{number}", md5, 3))
        yield server, known


def names(root: Path) -> list[str]:
    return sorted(path.name for path in root.iterdir() if path.name != ".download.lock")


def test_all_parts_arrive_and_are_found_as_nihs_folder(served, tmp_path):
    _, known = served
    seen = []
    unpacked = fetch_archives(tmp_path, known, on_progress=lambda *event: seen.append(event))
    assert unpacked == [archive.name for archive in known]
    assert len(list(tmp_path.glob("images_*/images/*.png"))) == 12
    folders = [archive.name for archive in known]
    assert names(tmp_path) == sorted(folders + [f"{name}.tar.gz" for name in folders])
    assert {stage for _, stage, _, _ in seen} == {"fetching", "checking", "unpacking"}


def test_finished_parts_are_not_fetched_again(served, tmp_path):
    server, known = served
    fetch_archives(tmp_path, known[:1])
    fetch_archives(tmp_path, known[:2], remove=True)  # the archive of the first goes as well
    assert names(tmp_path) == ["images_001", "images_002"]
    server.asked.clear()
    assert fetch_archives(tmp_path, known[:3], remove=True) == ["images_003"]
    assert [path for path, _ in server.asked] == ["/3"]


def test_an_archive_fetched_by_hand_is_compared_and_unpacked(served, tmp_path):
    server, known = served
    (tmp_path / "images_001.tar.gz").write_bytes(server.files["/1"])
    assert fetch_archives(tmp_path, known[:1]) == ["images_001"]
    assert server.asked == []
    (tmp_path / "images_002.tar.gz").write_bytes(server.files["/1"])
    with pytest.raises(FetchError, match=r"images_002\.tar\.gz is not the file"):
        fetch_archives(tmp_path, known[:2])
    assert not (tmp_path / "images_002").exists()


def test_a_folder_with_some_of_the_images_is_not_touched(served, tmp_path):
    server, known = served
    mine = tmp_path / "images_002" / "images" / "00000001_000.png"
    mine.parent.mkdir(parents=True)
    mine.write_bytes(b"mine")
    with pytest.raises(DataError, match=r"holds 1 images, expected 3.*leave part 2 out"):
        fetch_archives(tmp_path, known)
    assert mine.read_bytes() == b"mine"
    assert server.asked == []


def test_one_bad_part_does_not_cost_the_others(served, tmp_path):
    server, known = served
    server.files["/2"] = server.files["/1"]
    with pytest.raises(FetchError, match=r"^images_002: .*expected"):
        fetch_archives(tmp_path, known, pause=0.001)
    assert [archive.name for archive in known if (tmp_path / archive.name).exists()] == [
        "images_001",
        "images_003",
        "images_004",
    ]
    assert not list(tmp_path.glob(".images*"))


def test_no_more_than_two_are_fetched_at_once(served, tmp_path, monkeypatch):
    _, known = served
    running, most, lock = [], [], threading.Lock()
    real = module.download

    def counted(url, *rest, **more):
        with lock:
            running.append(url)
            most.append(len(running))
        time.sleep(0.05)
        real(url, *rest, **more)
        with lock:
            running.remove(url)

    monkeypatch.setattr(module, "download", counted)
    fetch_archives(tmp_path, known)
    assert max(most) == module.AT_ONCE == 2


def test_a_disk_without_room_is_told_before_anything_is_asked_for(served, tmp_path, monkeypatch):
    server, known = served
    usage = SimpleNamespace(free=files.ROOM + 10**6)
    monkeypatch.setattr(files.shutil, "disk_usage", lambda _: usage)
    with pytest.raises(FetchError, match=r"Fetching 4 archives needs .* are free"):
        fetch_archives(tmp_path, known)
    assert server.asked == []


def test_room_counts_what_is_here_and_what_will_be_removed(tmp_path):
    known = [Archive(n, "", "", 1000) for n in (1, 2, 3)]
    fetched, kept = 1000 * module.FETCHED_PER_IMAGE, 1000 * module.UNPACKED_PER_IMAGE
    assert module.room_for(tmp_path, known, False) == 3 * (fetched + kept)
    assert module.room_for(tmp_path, known, True) == 2 * fetched + 3 * kept
    (tmp_path / ".images_002.tar.gz.part").write_bytes(bytes(5000))
    assert module.room_for(tmp_path, known, False) == 3 * (fetched + kept) - 5000


def test_two_downloads_into_one_folder_are_refused(served, tmp_path):
    with (
        FileLock(tmp_path / ".download.lock"),
        pytest.raises(DataError, match="Another download"),
    ):
        fetch_archives(tmp_path, served[1])


def test_a_folder_that_nobody_can_make_is_one_line(served, tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(ChexnetError, match="cannot be written"):
        fetch_archives(tmp_path / "file" / "data", served[1])


def table_of(known: list[Archive], place: Path) -> Path:
    rows = [
        f'[[archive]]\nnumber = {archive.number}\nurl = "{archive.url}"\nmd5 = "{archive.md5}"\n'
        f"images = {archive.images}\n"
        for archive in known
    ]
    place.write_text('tables = "https://box/folder"\n' + "".join(rows))
    return place


@pytest.mark.parametrize("begins_with_folder", [True, False])
def test_the_command_fetches_and_says_what_is_left_to_do(
    served, tmp_path, here, begins_with_folder
):
    table, data = table_of(served[1], tmp_path / "table.toml"), tmp_path / "data"
    given = ["--archives", table, "--remove-archives", "--parts", 1, 3]
    done = here("download", *([data, *given] if begins_with_folder else [*given, data]))
    assert done.returncode == 0, done.stderr
    assert names(data) == ["images_001", "images_003"]
    assert "2 parts" in done.stdout
    assert "Fetch by hand from https://box/folder" in done.stdout
    assert "Data_Entry_2017.csv, train_val_list.txt, test_list.txt" in done.stdout
    assert "images_001: fetching" in done.stderr


@needs_signals
@pytest.mark.parametrize("number", [signal.SIGINT, SIGKILL])
def test_a_stopped_command_goes_on_where_it_was(served, tmp_path, number):
    server, known = served
    server.answers["/1"] = [Answer(cut=4000), *[Answer(cut=0)] * 5]
    table = table_of(known, tmp_path / "table.toml")
    data = tmp_path / "data"
    asked = [sys.executable, "-m", "scripts.download", data, "--archives", table, "--parts", "1"]
    # A shell's background job ignores Ctrl-C, and what it starts would inherit that.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        process = subprocess.Popen(asked, cwd=ROOT, stderr=subprocess.PIPE, text=True)
    finally:
        signal.signal(signal.SIGINT, before)
    with process:
        try:
            part = data / ".images_001.tar.gz.part"
            deadline = time.monotonic() + 60
            while not (part.exists() and part.stat().st_size == 4000):
                assert time.monotonic() < deadline
                assert process.poll() is None
                time.sleep(0.01)
            os.kill(process.pid, number)  # while it waits for its next attempt
            _, text = process.communicate(timeout=30)
        finally:
            process.kill()
    if number == signal.SIGINT:
        assert process.returncode == 130
        assert "goes on from here" in text
        assert "Traceback" not in text
    assert sorted(set(names(data))) == [".images_001.tar.gz.part", ".images_001.tar.gz.part.json"]
    server.answers.clear()
    fetch_archives(data, known[:1])
    assert server.ranges("/1")[-1] == "bytes=4000-"
    assert len(list(data.glob("images_*/images/*.png"))) == 3


def test_a_killed_unpacking_begins_again(served, tmp_path):
    _, known = served
    left = tmp_path / ".images_001.unpacking" / "images"
    left.mkdir(parents=True)
    (left / "half.png").write_bytes(b"half")
    fetch_archives(tmp_path, known[:1], remove=True)
    assert names(tmp_path) == ["images_001"]
    assert len(list(tmp_path.glob("images_*/images/*.png"))) == 3
