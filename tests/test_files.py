import errno
import os

import pytest

from chexnet.errors import ChexnetError
from chexnet.files import replacing, sweep, write_text


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
