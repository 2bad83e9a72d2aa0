"""Who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import ROOT

LAYERS = [
    {"errors", "labels", "rng"},
    {"config", "devices", "distributed", "files", "parallel", "pickles", "torch_files"},
    {"transforms", "imaging", "overlay"},
    {"metadata", "checkpoint", "data", "phantom"},
    {"model"},
    {"explain", "grad_cam"},
    {"evaluation"},
    {"networks"},
    {"training", "inference"},
]
"""Each may import from the layers above it in this list, and from its own."""


def modules() -> list[Path]:
    return sorted((ROOT / "chexnet").rglob("*.py"))


def imports(path: Path) -> list[str]:
    names = []
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names += [node.module or ""]
            names += [f"{node.module}.{alias.name}" for alias in node.names]
    return names


def own_room(path: Path) -> str:
    """The folder or the file directly under `chexnet` that a module stands in."""
    return path.relative_to(ROOT / "chexnet").parts[0].removesuffix(".py")


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def test_every_room_of_the_package_stands_in_the_picture():
    rooms = {own_room(path) for path in modules()}
    assert rooms - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards_only(path):
    if path.name == "__init__.py":
        return
    own = own_room(path)
    known = set().union(*LAYERS)
    for name in imports(path):
        if name.startswith("chexnet.") and name.split(".")[1] in known:
            assert layer(name.split(".")[1]) <= layer(own), f"{own} imports {name}"


def test_no_files_import_each_other():
    """Neither directly nor by way of others, imports within functions included."""
    names = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__"): path
        for folder in ("chexnet", "scripts", "dev", "demo")
        for path in (ROOT / folder).rglob("*.py")
    }
    needs = {
        name: {used for used in imports(path) if used in names} for name, path in names.items()
    }
    done: set[str] = set()

    def visit(name: str, above: tuple[str, ...]) -> None:
        assert name not in above, " imports ".join([*above[above.index(name) :], name])
        if name not in done:
            for used in sorted(needs[name] - {name}):
                visit(used, (*above, name))
            done.add(name)

    for name in names:
        visit(name, ())


@pytest.mark.parametrize("room", ["scripts", "demo"])
def test_what_users_run_does_without_what_maintainers_run(room):
    for path in (ROOT / room).rglob("*.py"):
        assert "dev" not in {name.split(".")[0] for name in imports(path)}, path


def test_no_helper_of_the_scripts_hides_behind_an_underscore():
    assert [p.name for p in (ROOT / "scripts").rglob("_*.py") if not p.name.startswith("__")] == []


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_neither_prints_nor_knows_its_callers(path):
    tree = ast.parse(path.read_text())
    called = {
        n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and hasattr(n.func, "id")
    }
    assert "print" not in called
    outside = {name.split(".")[0] for name in imports(path)}
    assert not outside & {"scripts", "dev", "demo", "gradio", "typer", "rich"}


def test_configuration_and_labels_do_not_import_torch():
    for name in ("config", "labels", "errors", "imaging/radiograph", "files"):
        used = {module.split(".")[0] for module in imports(ROOT / "chexnet" / f"{name}.py")}
        assert "torch" not in used


def test_the_page_imports_nothing_that_it_does_not_use():
    heavy = ("torch", "matplotlib", "pydicom", "sklearn", "scipy.optimize", "onnx")
    code = f"import sys, demo.server; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_only_images_opens_pictures():
    for path in modules():
        # The phantoms' writer reads the text, not the pixels, of files that it wrote itself.
        if path.parent.name == "imaging" or path.match("phantom/dataset.py"):
            continue
        called = [
            f"{node.func.value.id}.{node.func.attr}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ]
        assert "Image.open" not in called, path
