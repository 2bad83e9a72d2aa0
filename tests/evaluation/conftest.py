"""Here the network is the tiny one."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _use_tiny_network(tiny_network):
    """In every test of this folder."""
