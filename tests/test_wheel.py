"""What `pip install .` would install: the package alone, whole, and told what it needs."""

import ast
import shutil
import subprocess
import sys
from importlib.metadata import packages_distributions
from pathlib import Path
from zipfile import ZipFile

import pytest

from tests.conftest import ROOT
from tests.test_requirements import PROJECT, named


@pytest.fixture(scope="module")
def wheel(tmp_path_factory) -> Path:
    """A wheel of a copy of the checkout, built offline with the setuptools that is installed."""
    folder = tmp_path_factory.mktemp("wheel")
    source = folder / "source"
    unwanted = shutil.ignore_patterns("__pycache__")
    for name in ("chexnet", "scripts", "demo", "tests"):
        shutil.copytree(ROOT / name, source / name, ignore=unwanted)
    for name in ("pyproject.toml", "requirements.txt", "README.md", "LICENSE"):
        shutil.copy(ROOT / name, source)
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-index", "--wheel-dir", folder]
    build += [source, "--no-build-isolation", "--disable-pip-version-check"]
    done = subprocess.run(list(map(str, build)), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return next(folder.glob("*.whl"))


def test_the_wheel_holds_the_package_and_its_data_and_nothing_else(wheel):
    with ZipFile(wheel) as file:
        held = {name for name in file.namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "chexnet").rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert held == expected


def test_the_unpacked_wheel_predicts_judges_and_reports_away_from_the_checkout(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    elsewhere.mkdir()
    with ZipFile(wheel) as file:
        file.extractall(site)
    code = """
import pathlib, sys
import numpy as np
import chexnet
from chexnet.errors import ChexnetError
from chexnet.evaluation.report import page
from chexnet.imaging.containers import PictureInfo
from chexnet.imaging.radiograph import as_radiograph
from chexnet.inference import gate
from chexnet.inference.predictor import STARTER, Predictor
from chexnet.metadata import code_version

site = pathlib.Path(sys.argv[1])
assert pathlib.Path(chexnet.__file__).is_relative_to(site), chexnet.__file__
ramp = np.linspace(0, 255, 96 * 80).astype(np.uint8).reshape(96, 80)
gate.judge(as_radiograph(ramp, PictureInfo("PNG", "L", 8)))
assert page.environment().get_template("report.html.jinja")
assert page.environment().get_template("model_card.md.jinja")
assert code_version().startswith(chexnet.__version__)
assert not {"scripts", "demo", "gradio", "typer"} & set(sys.modules)
try:
    Predictor(STARTER)
except ChexnetError as error:  # the starter weights stand in the clone, not in the package
    assert str(STARTER) in str(error), error
else:
    sys.exit("found weights")
"""
    done = subprocess.run(
        [sys.executable, "-c", code, str(site)],
        cwd=elsewhere,
        env={"PYTHONPATH": str(site), "PATH": "", "HOME": str(elsewhere)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_every_package_that_is_imported_is_a_dependency():
    """One that is imported at the head of a module is required; another may stand in an extra."""
    head, within = set(), set()
    for path in (ROOT / "chexnet").rglob("*.py"):
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0:
                names = [str(node.module)]
            else:
                continue
            (head if node in tree.body else within).update(name.split(".")[0] for name in names)
    known = packages_distributions()
    required = named(PROJECT["dependencies"])
    extras = PROJECT["optional-dependencies"].values()
    optional = named([line for lines in extras for line in lines])

    def missing(names: set[str], *declared: dict[str, object]) -> list[str]:
        outside = names - sys.stdlib_module_names - {"chexnet"}
        allowed = set().union(*declared)
        return sorted(
            name for name in outside if not allowed & named(known.get(name, [name])).keys()
        )

    assert missing(head, required) == []
    assert missing(within, required, optional) == []
    assert "torch" in head
