"""Probabilities and heatmaps for any pictures: python -m scripts.predict IMAGE ... --weights W."""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import Weights, new_app, progress_bar, run

if TYPE_CHECKING:
    from chexnet.inference.predictor import Prediction, Predictor

app = new_app()


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    weights: Weights = Path("runs/default/best_chexnet_params.pth"),
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
    heatmaps: Annotated[
        Path | None, typer.Option(help="Folder for overlays of the findings over threshold.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 16,
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
    engine: Annotated[
        str, typer.Option(help="auto (PyTorch on a GPU, else ONNX Runtime), onnx or torch.")
    ] = "auto",
) -> None:
    """Show every finding's probability. Research and education only, not for clinical use.

    Under torchrun the pictures are divided over the processes.
    """
    from chexnet import distributed
    from chexnet.inference.predictor import Predictor, looked_at

    files = list(_files(images))
    mine = files[distributed.rank() :: distributed.world()]
    predictor = Predictor(weights, device, engine, _say_export)
    failed = 0
    if not as_json:
        print("Research and education only, not for clinical use.")
    with progress_bar("Predicting") as on_progress:
        for done, (path, answer, doubt) in enumerate(looked_at(predictor, mine, batch_size), 1):
            on_progress(done, len(mine))
            if isinstance(answer, str):
                failed += 1
                print(f"Error: {answer}", file=sys.stderr)
                continue
            show = _as_json if as_json else _as_text
            print(show(predictor, path, answer, doubt), flush=True)
            if heatmaps:
                _write_overlays(predictor, path, answer, heatmaps)
    if failed:
        print(f"{failed} of {len(mine)} pictures could not be read.", file=sys.stderr)
        sys.exit(1)


def _say_export() -> None:
    print("Making these weights quick on this computer, once: about 20 s ...", file=sys.stderr)


def _files(images: list[Path]) -> Iterator[Path]:
    for path in images:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != ".")
        else:
            yield path


def _as_json(predictor: "Predictor", path: Path, answer: "Prediction", doubt: str) -> str:
    return json.dumps(
        {
            "file": str(path),
            "doubt": doubt,
            "probabilities": answer.probabilities,
            "thresholds": predictor.thresholds,
            "over_threshold": predictor.findings_over_threshold(answer),
        }
    )


def _as_text(predictor: "Predictor", path: Path, answer: "Prediction", doubt: str) -> str:
    from chexnet.labels import spoken

    over = predictor.findings_over_threshold(answer)
    lines = [f"\n{path}"] + ([f"  Doubtful: {doubt}"] if doubt else [])
    for name, value in sorted(answer.probabilities.items(), key=lambda pair: -pair[1]):
        threshold = predictor.thresholds[name]
        mark = "over its threshold" if name in over else ""
        shown = "n/a" if threshold is None else f"{threshold:.3f}"
        lines.append(f"  {spoken(name):<20} {value:.3f}   (threshold {shown})  {mark}".rstrip())
    return "\n".join(lines)


def _write_overlays(predictor: "Predictor", path: Path, answer: "Prediction", folder: Path) -> None:
    from PIL import Image

    from chexnet.files import replacing
    from chexnet.labels import FINDINGS

    findings = {n: p for n, p in answer.probabilities.items() if n in FINDINGS}
    for name in predictor.findings_over_threshold(answer) or [max(findings, key=findings.get)]:
        with replacing(folder / f"{path.stem}_{name}.png") as temporary:
            picture = Image.fromarray(predictor.overlay(answer, name))
            picture.save(temporary, "PNG", compress_level=1)


if __name__ == "__main__":
    run(app)
