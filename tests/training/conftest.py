"""Here the network is the tiny one."""

import shutil
from pathlib import Path

import pytest


@pytest.fixture(scope="module", autouse=True)
def _use_tiny_network(tiny_network):
    """In every test of this folder."""


@pytest.fixture
def copied(trained, tmp_path) -> Path:
    """A copy of the finished run's folder, which a test may change."""
    return Path(shutil.copytree(trained, tmp_path / "run"))
