"""Write weights as one ONNX file: python -m scripts.export W OUT.onnx."""

from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import WEIGHTS_HELP, command, named_weights, new_app, run

app = new_app()


@app.command()
def export(
    weights: Annotated[Path, typer.Argument(help=WEIGHTS_HELP, callback=named_weights)],
    out: Annotated[Path, typer.Argument(help="The ONNX file to write.")],
) -> None:
    """Write logits and heatmaps of all classes as one graph, with everything a reader needs.

    It takes the picture's bytes after crop and resize; classes, preprocessing, calibration,
    thresholds and provenance are in the metadata. Refused where its answers differ from PyTorch's
    by more than 1e-4. python -m demo --weights OUT.onnx and scripts.predict open it as well.
    """
    from chexnet.errors import ConfigError
    from chexnet.inference.onnx_export import export as write

    if out.suffix != ".onnx":
        raise ConfigError(f"Found {out}, expected a name that ends in .onnx.")
    print("Exporting, and comparing with PyTorch (about 20 s) ...", flush=True)
    write(weights, out)
    print(f"Written: {out}, {out.stat().st_size / 1e6:.1f} MB. Not for clinical use.")
    print(f"Next: {command('scripts.predict', 'IMAGE', weights=out)}")


if __name__ == "__main__":
    run(app)
