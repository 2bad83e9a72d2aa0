"""Serves the demo until a signal: python -m tests.demo.serving BASE WEIGHTS.

Nothing outside of the small list can be imported, as after `make demo`.
"""

import importlib.abc
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path
from unittest import mock

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
OWN = {"chexnet", "demo", "tests"}


def small_list() -> set[str]:
    """Packages of requirements-demo.txt and all that they need, by their canonical names."""
    lines = (ROOT / "requirements-demo.txt").read_text(encoding="utf-8").splitlines()
    named = [line.partition("#")[0].strip() for line in lines]
    left, packages = [name for name in named if name and name[0] != "-"], set()
    while left:
        name = canonicalize_name(left.pop())
        if name in packages:
            continue
        try:
            needs = map(Requirement, requires(name) or [])
        except PackageNotFoundError:  # optional, or for another system
            continue
        packages.add(name)
        left += [dep.name for dep in needs if not dep.marker or dep.marker.evaluate({"extra": ""})]
    return packages


class Hiding(importlib.abc.MetaPathFinder):
    """Finds no module of some packages."""

    def __init__(self, hidden: set[str]) -> None:
        self.hidden = hidden

    @classmethod
    def all_but_the_small_list(cls) -> "Hiding":
        allowed = small_list()
        hidden = {
            module
            for module, owners in packages_distributions().items()
            if not allowed & set(map(canonicalize_name, owners)) and module not in OWN
        }
        return cls(hidden)

    def find_spec(self, name: str, path: object = None, target: object = None) -> None:
        if name.partition(".")[0] in self.hidden:
            raise ModuleNotFoundError(f"{name} is hidden", name=name)


@contextmanager
def running_demo(base: Path, weights: Path) -> Iterator[tuple[str, Path]]:
    """Serve; gives address and folder of uploads. The network waits while `base/hold` exists."""
    from chexnet.inference.predictor import Predictor
    from demo import security

    predict = Predictor.predict

    def held(self, *arguments):
        while (base / "hold").exists():
            time.sleep(0.01)
        return predict(self, *arguments)

    with security.private_folder(base) as folder, mock.patch.object(Predictor, "predict", held):
        from demo.server import serve

        with serve(folder, weights, device="cpu", pool=0) as running:
            yield running.url, folder


def run_demo(base: Path, weights: Path) -> None:
    """Serve until a signal."""
    log = os.open(base / "log", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    os.dup2(log, 1)
    os.dup2(log, 2)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    with running_demo(base, weights) as (url, folder):
        ready = base / "ready.tmp"
        ready.write_text(f"{url}\n{folder}")
        ready.rename(base / "ready")
        threading.Event().wait()


if __name__ == "__main__":
    sys.meta_path.insert(0, Hiding.all_but_the_small_list())
    run_demo(Path(sys.argv[1]), Path(sys.argv[2]))
