"""The two lists, the versions that were run together, and the bounds of the package."""

import platform
import shutil
import subprocess
import tomllib
from importlib.metadata import requires, version

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT, needs_modes

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FIRST, *PINS = (ROOT / "constraints.txt").read_text().splitlines()
HERE = f"# Installed together on Python {platform.python_version()[:4]} {platform.system()} "


def named(lines: list[str]) -> dict[str, Requirement]:
    """By the name as registries compare it."""
    return {canonicalize_name(need.name): need for need in map(Requirement, lines)}


def listed(name: str) -> list[str]:
    """The lines of a list, without remarks; the first says where its versions stand."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / name).read_text().splitlines()]
    first, *rest = filter(None, lines)
    assert first == "-c constraints.txt"
    return rest


DEMO = named(listed("requirements-demo.txt"))
BEGIN, *REST = listed("requirements.txt")
PINNED = named(PINS)


def test_the_lists_hold_names_alone_and_the_whole_begins_with_the_small_one():
    assert BEGIN == "-r requirements-demo.txt"
    assert not DEMO.keys() & named(REST).keys()
    assert all(str(need) == need.name for need in (*DEMO.values(), *named(REST).values()))
    assert "torch" not in DEMO
    assert not [str(pin) for pin in PINNED.values() if pin.url]  # a place of the machine


def test_pip_install_with_the_demo_names_what_the_small_list_names():
    assert named(PROJECT["optional-dependencies"]["demo"]).keys() == DEMO.keys()


def test_every_bound_is_a_lower_one_that_the_tested_version_satisfies_and_stands_once():
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    bounds: dict[str, str] = {}
    for name, need in (pair for group in groups for pair in named(group).items()):
        pinned = str(PINNED[name].specifier).removeprefix("==")
        assert need.specifier.contains(pinned), f"{need}, but {PINNED[name]}"
        assert any(part.operator == ">=" for part in need.specifier), f"{need} has no lower bound"
        assert bounds.setdefault(name, str(need.specifier)) == str(need.specifier), name


@pytest.mark.skipif(
    FIRST != HERE + platform.machine(), reason=f"constraints.txt: {FIRST.removeprefix('# ')}"
)
def test_what_is_installed_is_what_is_pinned_and_nothing_that_it_needs_is_left_out():
    """Renewed by `make constraints`."""
    other = {
        name: version(name)
        for name, pin in PINNED.items()
        if str(pin.specifier) != f"=={version(name).partition('+')[0]}"
    }
    assert other == {}
    needed = DEMO.keys() | named(REST).keys()
    for name in PINNED:
        needs = map(Requirement, requires(name) or [])
        here = [
            need.name for need in needs if not need.marker or need.marker.evaluate({"extra": ""})
        ]
        needed |= set(map(canonicalize_name, here))
    assert needed - PINNED.keys() == set()


STUB = """#!/bin/sh
# A Python that makes environments and installs nothing; it writes down what it is asked.
if [ "$1 $2" = "-m venv" ]; then mkdir -p "$3/bin" && cp "$0" "$3/bin/python" && exit; fi
case "$*" in "-m pip --version" | *supported.py) exit;; esac
echo "$*" >> asked
"""


@needs_modes
@pytest.mark.parametrize(
    ("goals", "installed"),
    [
        (["demo", "demo"], ["requirements-demo.txt"]),
        (["demo", "venv", "demo"], ["requirements-demo.txt", "requirements.txt"]),
        (["venv", "demo", "venv"], ["requirements.txt"]),
        (["venv demo", "venv"], ["requirements.txt"]),
        (["demo", "new", "demo"], ["requirements-demo.txt", "requirements-demo.txt"]),
    ],
)
def test_make_installs_each_list_once_in_either_order(tmp_path, goals, installed):
    for name in ("Makefile", "constraints.txt", "requirements.txt", "requirements-demo.txt"):
        shutil.copy(ROOT / name, tmp_path)
    stub = tmp_path / "python"
    stub.write_text(STUB)
    stub.chmod(0o755)
    for goal in goals:
        if goal == "new":
            (tmp_path / "constraints.txt").write_text("numpy==3\n")
        else:
            make = ["make", f"PYTHON={stub}", *goal.split()]
            subprocess.run(make, cwd=tmp_path, check=True, capture_output=True)
    asked = (tmp_path / "asked").read_text().splitlines()
    assert [line.split()[-1] for line in asked if "install" in line] == installed
    runs = sum("demo" in goal.split() for goal in goals)
    assert asked.count("-m demo") == runs
