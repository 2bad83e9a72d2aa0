"""Which weights the demo opens when nobody says."""

import os

import pytest

from chexnet.errors import CheckpointError
from demo import __main__ as command
from demo import markup


def test_the_newest_run_is_opened(tmp_path):
    for age, name in ((30, "old"), (10, "deep/new"), (20, "middle")):
        path = tmp_path / "runs" / name / command.NAME
        path.parent.mkdir(parents=True)
        path.touch()
        os.utime(path, (1e9 - age, 1e9 - age))
    assert command.find_weights(tmp_path) == tmp_path / "runs/deep/new" / command.NAME


def test_without_a_run_the_starter_weights_are_opened(tmp_path):
    found = command.find_weights(tmp_path)
    assert found.name == "starter.pth"
    assert found.is_file()


def test_missing_starter_weights_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(command, "STARTER", tmp_path / "starter.pth")
    with pytest.raises(CheckpointError, match=r"starter\.pth"):
        command.find_weights(tmp_path)


def test_the_banner_tells_of_phantoms_and_of_better_weights():
    assert "phantoms, not on patients" in markup.header("starter.pth", True)
    assert "--weights" in markup.header("starter.pth", True)
    assert "phantoms" not in markup.header("best.pth", False)
