"""What the demo's files may not hold."""

import re
import subprocess
import sys

import pytest

from tests.conftest import ROOT

FOLDER = ROOT / "demo"
FILES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_file_of_the_demo_is_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= 300


def test_the_page_imports_nothing_that_it_does_not_use():
    heavy = ("torch", "torchmetrics", "matplotlib", "pydicom", "sklearn", "scipy.optimize", "onnx")
    code = f"import sys, demo.server; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_nothing_of_the_page_names_another_host():
    for path in [*FOLDER.glob("page/**/*.*"), *FOLDER.glob("templates/*")]:
        names = r"// |http:/[^/]|xmlns(:\w+)?=\"[^\"]+\""  # a namespace is a name, never fetched
        assert "//" not in re.sub(names, "", path.read_text()), path


def test_no_script_of_the_page_has_a_global():
    for path in FOLDER.glob("page/**/*.js"):
        text = path.read_text()
        assert not re.search(r"(?:window|globalThis|self)\.\w+ \??\??=[^=]", text), path


def test_the_examples_folder_holds_pictures_alone():
    """`python -m scripts.predict demo/examples` reads every file in it, whatever its name."""
    assert {path.suffix for path in (FOLDER / "examples").iterdir()} == {".png"}
