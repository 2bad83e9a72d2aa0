"""Who may import whom."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
LAYERS = [
    {"errors", "labels", "randomness", "ranks"},
    {"config", "containers", "distributed", "files", "parallel"},
    {"images", "dicom", "overlay", "transforms"},
    {
        "augmentation",
        "card",
        "checkpoint",
        "data",
        "gate",
        "phantom",
        "optim",
        "provenance",
        "runlog",
    },
    {"model"},
    {"evaluation", "explain", "explain_package", "export", "onnx"},
    {"describe", "observer", "resume", "step"},
    {"engine", "train", "predict"},
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


def room(module: str) -> str:
    return module.split(".")[1]


def layer(name: str) -> int:
    return next(number for number, names in enumerate(LAYERS) if name in names)


def test_every_room_of_the_package_stands_in_the_picture():
    rooms = {path.stem if path.parent.name == "chexnet" else path.parent.name for path in modules()}
    assert rooms - {"__init__"} == set().union(*LAYERS)


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_imports_run_downwards_only(path):
    if path.name == "__init__.py":
        return
    own = path.stem if path.parent.name == "chexnet" else path.parent.name
    known = set().union(*LAYERS)
    for name in imports(path):
        if name.startswith("chexnet.") and room(name) in known:
            assert layer(room(name)) <= layer(own), f"{own} imports {name}"


@pytest.mark.parametrize("path", modules(), ids=lambda path: str(path.relative_to(ROOT)))
def test_the_package_neither_prints_nor_knows_its_callers(path):
    tree = ast.parse(path.read_text())
    called = {
        n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and hasattr(n.func, "id")
    }
    assert "print" not in called
    outside = {name.split(".")[0] for name in imports(path)}
    assert not outside & {"scripts", "demo", "gradio", "typer", "rich"}


def test_configuration_and_labels_do_not_import_torch():
    for name in ("config", "labels", "errors", "images", "files"):
        used = {module.split(".")[0] for module in imports(ROOT / "chexnet" / f"{name}.py")}
        assert "torch" not in used


def test_the_page_imports_nothing_that_it_does_not_use():
    heavy = ("torch", "torchmetrics", "matplotlib", "pydicom", "sklearn", "scipy.optimize", "onnx")
    code = f"import sys, demo.serve; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.strip() == "[]", done.stderr


def test_only_images_opens_pictures():
    for path in modules():
        # The phantoms' writer reads the text, not the pixels, of files that it wrote itself.
        if path.stem in ("images", "dicom") or path.match("phantom/dataset.py"):
            continue
        called = [
            f"{node.func.value.id}.{node.func.attr}"
            for node in ast.walk(ast.parse(path.read_text()))
            if isinstance(node, ast.Call)
            and isinstance(node.func, ast.Attribute)
            and isinstance(node.func.value, ast.Name)
        ]
        assert "Image.open" not in called, path
