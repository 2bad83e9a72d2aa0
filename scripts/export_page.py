"""Write the demo as a folder for any static host: python -m scripts.export_page OUT."""

import tempfile
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import WEIGHTS_HELP, named_weights, new_app, progress_bar, run, transfer_bars
from scripts.space import exported

app = new_app()


@app.command()
def export_page(
    out: Annotated[Path | None, typer.Argument(help="New folder; with --scorm, new zip.")] = None,
    weights: Annotated[
        Path | None,
        typer.Option(help=f"{WEIGHTS_HELP} Or an ONNX file; else the starter weights."),
    ] = None,
    cases: Annotated[
        Path | None,
        typer.Option(help="Folder with your own cases to read: pictures and cases.csv."),
    ] = None,
    scorm: Annotated[
        bool, typer.Option("--scorm", help="A SCORM 1.2 package for a learning platform.")
    ] = False,
    fetch: Annotated[
        bool, typer.Option("--fetch", help="Fetch ONNX Runtime for browsers (31 MB, once).")
    ] = False,
) -> None:
    """Write the page so that each visitor's browser computes, and no server is needed.

    The truth of the cases to read is in the files, for whoever looks for it there.
    """
    from chexnet.errors import ConfigError
    from demo import onnx_web
    from demo.export import export_page as write

    if fetch:
        with transfer_bars() as show:
            files = onnx_web.fetch(lambda *told: show(onnx_web.PACKAGE, *told))
        print(f"ONNX Runtime for browsers: {next(iter(files.values())).parent}")
    if out is None:
        if not fetch:
            raise ConfigError("Found nothing to do. Pass the name of a new folder, or --fetch.")
        return
    with tempfile.TemporaryDirectory() as name, progress_bar("Your cases", "pictures") as show:
        network, own = exported(named_weights(weights), Path(name))
        shown = "weights/starter.onnx" if own else "/".join((weights or network).parts[-2:])
        write(out, network, shown, cases=cases, scorm=scorm, on_cases=lambda _, *n: show(*n))
    print(f"Written: {out}. Not for clinical use.")
    if not scorm:
        print(f"Look at it: python -m http.server --bind 127.0.0.1 --directory {out}")


if __name__ == "__main__":
    run(app)
