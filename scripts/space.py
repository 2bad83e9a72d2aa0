"""Write the folder of a Hugging Face Space: python -m scripts.space OUT [--weights W]."""

import shutil
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import WEIGHTS_HELP, named_weights, new_app, run

app = new_app()
ROOT = Path(__file__).parents[1]

APP = '''"""The demo of chexnet. Research and education only, not for clinical use."""

from pathlib import Path

from demo.app import main

main(Path(__file__).parent / "{weights}")
'''
README = """---
title: chexnet
sdk: gradio
sdk_version: {gradio}
python_version: "3.11"
app_file: app.py
license: mit
---
# chexnet

What a DenseNet-121 sees in a chest radiograph. **For research and education only. Not for clinical
use: never make a decision about a patient with it.** Do not upload a patient's picture here.
"""


@app.command()
def space(
    out: Annotated[Path, typer.Argument(help="New folder.")],
    weights: Annotated[
        Path | None,
        typer.Option(help=f"{WEIGHTS_HELP} Or an ONNX file; else the starter weights."),
    ] = None,
) -> None:
    """Write everything that a Space of the demo needs; `python app.py` runs it here as well."""
    from chexnet.errors import ConfigError

    if out.exists():
        raise ConfigError(f"Found {out}, expected the name of a new folder.")
    made = out.with_name(f".{out.name}.tmp")
    shutil.rmtree(made, ignore_errors=True)
    made.mkdir(parents=True)
    network, own = exported(named_weights(weights), made)
    name = f"{'weights' if own else 'network'}/{network.name}"
    (made / name).parent.mkdir()
    if network.parent == made:
        network.rename(made / name)
    else:
        shutil.copy(network, made / name)
    for folder in ("chexnet", "demo"):
        shutil.copytree(ROOT / folder, made / folder, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "LICENSE", made)
    pins = _pins()
    files = {
        "app.py": APP.format(weights=name),
        "README.md": README.format(gradio=pins["gradio"]),
        # In this file alone: a Space reads no other while it installs.
        "requirements.txt": "".join(f"{package}=={pins[package]}\n" for package in pins),
        ".gitattributes": "*.onnx filter=lfs diff=lfs merge=lfs -text\n",
    }
    for file, text in files.items():
        (made / file).write_text(text, encoding="utf-8")
    made.rename(out)
    print(f"Written: {out}. Not for clinical use.")
    print(f"Next: hf upload USER/NAME {out} . --repo-type space")


def exported(weights: Path | None, folder: Path) -> tuple[Path, bool]:
    """The network as ONNX, made in `folder` where it is not one; whether it is the starter."""
    from chexnet.inference.onnx_runtime import OnnxEngine
    from chexnet.inference.predictor import STARTER, starter_export

    given = weights or STARTER
    own = given.resolve().with_suffix(".pth") == STARTER.resolve()
    given = starter_export() or given if own else given
    if given.suffix == ".onnx":
        OnnxEngine(given)  # refuses what is none of ours
        return given, own
    from chexnet.inference.onnx_export import export

    print("Exporting, and comparing with PyTorch (about 20 s) ...", flush=True)
    export(given, folder / f"{given.stem}.onnx", compact=True)
    return folder / f"{given.stem}.onnx", own


def _pins() -> dict[str, str]:
    """The small list's packages with their versions."""
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    versions = dict(line.lower().split("==") for line in lines if "==" in line)
    listed = (ROOT / "requirements-demo.txt").read_text(encoding="utf-8").splitlines()
    names = [line.partition("#")[0].strip() for line in listed]
    return {name: versions[name] for name in names if name and not name.startswith("-")}


if __name__ == "__main__":
    run(app)
