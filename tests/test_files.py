import errno
import json
import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pytest

from chexnet import files
from chexnet.errors import ChexnetError, DataError
from chexnet.files import files_under, plain, replacing, sweep, write_text, writing
from tests.conftest import needs_links, needs_modes


def test_a_block_that_fails_leaves_the_old_file_and_no_other(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")

    def fail_half_way() -> None:
        with replacing(path) as temporary:
            temporary.write_text("new")
            raise RuntimeError("half-way")

    with pytest.raises(RuntimeError, match="half-way"):
        fail_half_way()
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


def test_a_full_disk_is_told_and_the_old_file_survives(tmp_path):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    full = OSError(errno.ENOSPC, "x")
    with pytest.raises(ChexnetError, match=r"No space left.*untouched"), replacing(path):
        raise full
    assert path.read_text() == "old"


def test_leftovers_of_killed_writers_are_swept(tmp_path):
    (tmp_path / ".last.pth.123.tmp").write_text("half")
    (tmp_path / "last.pth").write_text("whole")
    sweep(tmp_path)
    assert os.listdir(tmp_path) == ["last.pth"]


def held(number: int = 5) -> OSError:
    """As Windows refuses what somebody has open; elsewhere its errors have no such number."""
    error = PermissionError(errno.EACCES, "Access is denied")
    error.winerror = number
    return error


def test_a_file_that_is_open_elsewhere_on_windows_is_told_and_survives(tmp_path, monkeypatch):
    path = tmp_path / "a.txt"
    write_text(path, "old")
    monkeypatch.setattr(files, "PATIENCE", 0.0)

    def refuse(source, target):
        raise held()

    monkeypatch.setattr(os, "replace", refuse)
    with pytest.raises(ChexnetError, match=r"another program has it open.*untouched. Close it"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize(("error", "tries"), [(held(32), 3), (PermissionError(13, "denied"), 1)])
def test_only_a_file_that_windows_will_let_go_of_is_tried_again(
    tmp_path, monkeypatch, error, tries
):
    """A virus scanner holds a new file for a moment; a folder without permission stays so."""
    calls, replace = [], os.replace

    def at_last(source, target):
        calls.append(1)
        if len(calls) < 3:
            raise error
        replace(source, target)

    monkeypatch.setattr(os, "replace", at_last)
    if tries == 1:
        with pytest.raises(ChexnetError, match=r"Permission denied.*writable folder"):
            write_text(tmp_path / "a.txt", "new")
    else:
        write_text(tmp_path / "a.txt", "new")
        assert (tmp_path / "a.txt").read_text() == "new"
    assert len(calls) == tries


@pytest.mark.parametrize("number", [errno.EINVAL, errno.EACCES])
def test_a_disk_that_flushes_no_folder_keeps_the_file_all_the_same(tmp_path, monkeypatch, number):
    """Network shares and FAT flush files only; Windows opens no folder at all."""
    opened = os.open

    def open_files_only(path, *given, **named):
        if os.path.isdir(path):
            raise OSError(number, "no")
        return opened(path, *given, **named)

    monkeypatch.setattr(os, "open", open_files_only)
    write_text(tmp_path / "a.txt", "new")
    assert (tmp_path / "a.txt").read_text() == "new"


def test_a_log_that_a_spreadsheet_has_open_is_told():
    with (
        pytest.raises(ChexnetError, match=r"steps.csv: another program has it open"),
        writing(Path("steps.csv")),
    ):
        raise held(33)


@needs_links
def test_links_are_followed_and_each_real_folder_is_read_once(tmp_path):
    root, elsewhere = tmp_path / "data", tmp_path / "disk2"
    for path in (root / "b" / "1.png", root / "a.png", elsewhere / "deep" / "2.png"):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for hidden in (root / ".part" / "3.png", root / "b" / "._1.png", root / "lost+found" / "4"):
        hidden.parent.mkdir(exist_ok=True)
        hidden.touch()
    (root / "0").symlink_to(elsewhere)
    (root / "a again").symlink_to(root / "b")
    (elsewhere / "up").symlink_to(tmp_path)  # a circle, and the data folder by another way
    (root / "b" / "itself").symlink_to(root / "b" / "itself")
    (root / "gone").symlink_to(tmp_path / "nowhere")
    (root / "link.png").symlink_to(root / "a.png")
    relative_paths = [os.path.relpath(path, root) for path in files_under(root)]
    assert [path.replace(os.sep, "/") for path in relative_paths] == [
        *("0/deep/2.png", "a.png", "b/1.png", "link.png")
    ]


@needs_modes
def test_a_folder_that_may_not_be_read_is_named(tmp_path):
    (tmp_path / "shut").mkdir(mode=0)
    if os.access(tmp_path / "shut", os.R_OK):
        pytest.skip("this user may read everything")
    with pytest.raises(DataError, match="shut cannot be read"):
        files_under(tmp_path)


def test_any_value_becomes_plain_and_what_json_cannot_say_becomes_null():
    @dataclass
    class Inner:
        value: float
        shown: int = field(default=0, metadata={"json": "other_name"})

    @dataclass
    class Outer:
        inner: Inner
        hidden: str = "left out"

        def as_dict(self):
            return {"kept": (self.inner, np.float64(0.5), np.arange(2)), 0.1: None}

    content = {"outer": Outer(Inner(math.nan, 3)), "list": [np.int64(2), True, "text"]}
    assert plain(content) == {
        "outer": {"kept": [{"value": None, "other_name": 3}, 0.5, [0, 1]], "0.1": None},
        "list": [2, True, "text"],
    }
    json.dumps(plain(content), allow_nan=False)
