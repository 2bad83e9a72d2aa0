"""Probabilities and heatmaps for any pictures: python -m scripts.predict IMAGE ... --weights W."""

import itertools
import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from scripts.cli import Device, named_weights, new_app, progress_bar, run

if TYPE_CHECKING:
    from chexnet.inference.predictor import FileResult, Predictor

app = new_app()


@app.command()
def predict(
    images: Annotated[list[Path], typer.Argument(help="Pictures, or folders of pictures.")],
    weights: Annotated[
        Path | None,
        typer.Option(
            help="Weights, or a published network's name; else the newest run's, else the starter.",
            callback=named_weights,
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a file.")] = False,
    heatmaps: Annotated[
        Path | None, typer.Option(help="Folder for overlays of the findings over threshold.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option(help="Folder for results of many files; goes on where it was.")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Pictures at once.")] = 16,
    device: Device = "auto",
    engine: Annotated[
        str, typer.Option(help="auto (PyTorch on a GPU, else ONNX Runtime), onnx or torch.")
    ] = "auto",
) -> None:
    """Show every finding's probability. Research and education only, not for clinical use.

    Of a network that was not calibrated it is a score, and called so.

    Under torchrun the pictures are divided over the processes. With --out, results go into CSV
    files of 500 pictures, and the same command goes on where it was stopped.
    """
    from chexnet import distributed
    from chexnet.inference.predictor import BETTER_THAN_STARTER, Predictor, default_weights

    if out and as_json:
        raise typer.BadParameter("--out writes CSV files. Leave out --json.")
    if weights is None:
        weights = default_weights()
        print(f"Weights: {weights}", file=sys.stderr)
    predictor = Predictor(weights, device, engine, _say_export)
    if predictor.is_starter:
        print(
            f"{BETTER_THAN_STARTER}python -m scripts.predict IMAGE --weights medmae-mae",
            file=sys.stderr,
        )
    if not as_json:
        print("Research and education only, not for clinical use.")
    if out:
        _many(images, weights, predictor, out, batch_size, heatmaps)
        return
    failed = 0
    mine = list(_files(images))[distributed.rank() :: distributed.world()]
    with progress_bar("Predicting") as on_progress:
        for done, result in enumerate(predictor.stream(mine, batch_size), 1):
            on_progress(done, len(mine))
            if result.prediction is None:
                failed += 1
                print(f"Error: {result.error}", file=sys.stderr)
                continue
            show = _as_json if as_json else _as_text
            print(show(predictor, result), flush=True)
            if heatmaps:
                _write_overlays(predictor, result, heatmaps)
    if failed:
        print(f"{failed} of {len(mine)} pictures could not be read.", file=sys.stderr)
        if distributed.world() == 1:  # torchrun would end the other processes for it
            sys.exit(1)


def _many(
    images: list[Path],
    weights: Path,
    predictor: "Predictor",
    out: Path,
    batch_size: int,
    heatmaps: Path | None,
) -> None:
    from chexnet import distributed
    from chexnet.inference.engine import file_digest
    from chexnet.inference.job import PredictionJob

    about = {"pictures": [str(path) for path in images], "weights": file_digest(weights)}
    job = PredictionJob(out, lambda: _files(images), about)
    before, total = job.done(), len(job.files)
    if before:
        print(f"{before:,} of {total:,} pictures were done before.")
    with progress_bar("Predicting") as on_progress:
        count = itertools.count(before + 1)

        def on_result(result: "FileResult") -> None:
            on_progress(next(count), total)
            if heatmaps and result.prediction:
                _write_overlays(predictor, result, heatmaps)

        share = distributed.rank() / distributed.world()
        done, failed = job.run(predictor, batch_size=batch_size, begin=share, on_result=on_result)
    print(f"{done:,} of {total:,} pictures were predicted here; results are in {out}.")
    if failed:
        print(f"{failed:,} of them could not be read: {out / 'errors.csv'}", file=sys.stderr)


def _say_export() -> None:
    print("Preparing the model (first use only, about 20 s) ...", file=sys.stderr)


def _files(images: list[Path]) -> Iterator[Path]:
    for path in images:
        if path.is_dir():
            yield from sorted(p for p in path.rglob("*") if p.is_file() and p.name[0] != ".")
        else:
            yield path


def _as_json(predictor: "Predictor", result: "FileResult") -> str:
    return json.dumps(
        {
            "file": str(result.path),
            "doubt": result.input.verdict.message,
            "probabilities": result.prediction.probabilities,
            "thresholds": predictor.thresholds,
            "over_threshold": predictor.findings_over_threshold(result.prediction),
            **_of_others(predictor),
        }
    )


def _of_others(predictor: "Predictor") -> dict[str, object]:
    """What a reader of JSON has to know of a network that was not calibrated here."""
    if predictor.calibrations:
        return {}
    return {"calibrated": False, "thresholds_of": predictor.thresholds_of or None}


def _as_text(predictor: "Predictor", result: "FileResult") -> str:
    from chexnet.labels import spoken

    over = predictor.findings_over_threshold(result.prediction)
    doubt = result.input.verdict.message
    lines = [f"\n{result.path}"] + ([f"  Doubtful: {doubt}"] if doubt else [])
    whose = "publisher's " if predictor.thresholds_of == "publisher" else ""
    digits = ".4f" if whose else ".3f"  # a publisher's may be 0.0004
    if not predictor.calibrations:
        lines.append("  Scores, not probabilities: nobody calibrated this network.")
    for name, value in sorted(result.prediction.probabilities.items(), key=lambda pair: -pair[1]):
        threshold = predictor.thresholds[name]
        mark = f"over its {whose}threshold" if name in over else ""
        shown = "n/a" if threshold is None else f"{threshold:{digits}}"
        line = f"  {spoken(name):<20} {value:{digits}}   ({whose}threshold {shown})  {mark}"
        lines.append(line.rstrip())
    return "\n".join(lines)


def _write_overlays(predictor: "Predictor", result: "FileResult", folder: Path) -> None:
    from PIL import Image

    from chexnet.files import replacing
    from chexnet.labels import FINDINGS

    findings = {n: p for n, p in result.prediction.probabilities.items() if n in FINDINGS}
    for name in predictor.findings_over_threshold(result.prediction) or [
        max(findings, key=findings.get)
    ]:
        with replacing(folder / f"{result.path.stem}_{name}.png") as temporary:
            drawn = predictor.overlay(result.input.radiograph, result.prediction, name)
            Image.fromarray(drawn).save(temporary, "PNG", compress_level=1)


if __name__ == "__main__":
    run(app)
