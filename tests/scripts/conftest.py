"""Commands that must refuse."""

import importlib
import signal
import sys
from pathlib import Path

import pytest

from scripts._cli import run as run_app

ROOT = Path(__file__).parents[2]


@pytest.fixture
def refused(monkeypatch, capfd):
    """Run a command that must end with code 1; gives its message, which has no traceback.

    In this process, where torch is imported already: the same door as `python -m`.
    """

    def call(name: str, *arguments: object) -> str:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        try:
            with pytest.raises(SystemExit) as ended:
                run_app(importlib.import_module(f"scripts.{name}").app)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        told = capfd.readouterr().err
        assert ended.value.code == 1, told
        assert told.startswith("Error: ")
        assert "Traceback" not in told
        return told

    return call
