"""Commands that must refuse."""

import importlib
import signal
import subprocess
import sys

import pytest

from scripts.cli import run as run_app
from tests.conftest import ROOT


@pytest.fixture
def here(monkeypatch, capfd):
    """Run a command in this process, where torch is imported already; exit code and texts."""

    def call(name: str, *arguments: object) -> subprocess.CompletedProcess:
        monkeypatch.chdir(ROOT)
        monkeypatch.setattr(sys, "argv", [name, *map(str, arguments)])
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        capfd.readouterr()
        try:
            module = name if name.startswith("dev.") else f"scripts.{name}"
            package = (ROOT / module.replace(".", "/")).is_dir()
            command = importlib.import_module(module + ".__main__" * package)
            with pytest.raises(SystemExit) as ended:
                run_app(command.app)
        finally:
            for number, handler in before.items():
                signal.signal(number, handler)
        return subprocess.CompletedProcess(sys.argv, ended.value.code or 0, *capfd.readouterr())

    return call


@pytest.fixture
def refused(here):
    """Run a command that must end with code 1; gives its message, which has no traceback."""

    def call(name: str, *arguments: object) -> str:
        done = here(name, *arguments)
        assert done.returncode == 1, done.stderr
        assert done.stderr.startswith("Error: ")
        assert "Traceback" not in done.stderr
        return done.stderr

    return call


@pytest.fixture
def shown(here):
    """Run a command that must end well; gives what it prints."""

    def call(name: str, *arguments: object) -> str:
        done = here(name, *arguments)
        assert done.returncode == 0, done.stderr
        return done.stdout

    return call
