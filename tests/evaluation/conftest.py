"""Here the network is the tiny one, and `trained` is a run of it."""

import pytest


@pytest.fixture(scope="module", autouse=True)
def _use_tiny_network(tiny_network):
    """In every test of this folder."""


@pytest.fixture(scope="session")
def trained(trained_tiny):
    return trained_tiny
