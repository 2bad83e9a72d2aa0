"""The cases that the served demo has."""

import pytest

from demo.classroom.cases import Case
from tests.demo.classroom.served import known


@pytest.fixture(scope="session")
def cases(predictor) -> dict[bytes, Case]:
    return known(predictor)
