"""Sections of the GPU's bench that end as a real one may; imports nothing that takes time."""

import os
import time
from collections.abc import Iterator

from dev.bench.rows import LimitRow


def good(setting: object) -> Iterator[LimitRow]:
    yield LimitRow("good", "min", [1.0], [], "an hour", "shown", limit=60.0)


def wrong(setting: object) -> Iterator[LimitRow]:
    yield LimitRow("before", "min", [2.0], [], "an hour", "shown", limit=60.0)
    raise ValueError("a reason\nin two lines")


def killed(setting: object) -> Iterator[LimitRow]:
    os._exit(7)
    yield


def endless(setting: object) -> Iterator[LimitRow]:
    time.sleep(3600)
    yield
