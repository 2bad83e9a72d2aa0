"""The demo's place in the house: it meets the network through one door."""

import ast
import re
from pathlib import Path

import pytest

from tests.test_layers import imports

FOLDER = Path(__file__).parents[2] / "demo"
FILES = sorted(FOLDER.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_the_demo_meets_the_network_only_through_predict(path):
    used = imports(path)
    assert not {name.split(".")[0] for name in used} & {"torch", "torchvision", "scripts", "tests"}
    assert not [
        name for name in used if name.startswith(("chexnet.model", "chexnet.training.loop"))
    ]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_no_file_of_the_demo_is_too_long_to_read(path):
    assert len(path.read_text().splitlines()) <= 300


def test_pictures_from_visitors_are_opened_by_one_file_alone():
    opened = [
        path.name
        for path in FILES
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute)
        and node.attr == "open"
        and ast.unparse(node) == "Image.open"
    ]
    assert opened == []


def test_nothing_of_the_page_names_another_host():
    for path in [*FOLDER.glob("page/**/*.*"), *FOLDER.glob("templates/*")]:
        assert "//" not in re.sub("// |http:/[^/]", "", path.read_text()), path


def test_no_script_of_the_page_has_a_global():
    for path in FOLDER.glob("page/**/*.js"):
        text = path.read_text()
        assert not re.search(r"(?:window|globalThis|self)\.\w+ \??\??=[^=]", text), path


def test_the_examples_folder_holds_pictures_alone():
    """`python -m scripts.predict demo/examples` reads every file in it, whatever its name."""
    assert {path.suffix for path in (FOLDER / "examples").iterdir()} == {".png"}
