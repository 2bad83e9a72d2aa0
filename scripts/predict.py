"""Probabilities and heatmaps for any pictures: python -m scripts.predict IMAGE ... --weights W."""

import functools
import json
import os
import sys
import unicodedata
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import count, repeat
from pathlib import Path, PurePath
from typing import TYPE_CHECKING, Annotated, Any

import typer

from scripts.cli import Device, named_weights, new_app, progress_bar, run

if TYPE_CHECKING:
    from chexnet.inference.prediction import FileResult
    from chexnet.inference.predictor import Predictor

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
    ray: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS|local", help="With --out: predict on a cluster of Ray."),
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
    files of 500 pictures, and the same command goes on where it was stopped. With --ray as well,
    all machines of a cluster predict, into one predictions.csv; that does not go on.
    """
    from chexnet import compute
    from chexnet.inference.predictor import BETTER_THAN_STARTER, Predictor, default_weights

    if out and as_json:
        raise typer.BadParameter("--out writes CSV files. Leave out --json.")
    if ray and (heatmaps or not out):
        raise typer.BadParameter("--ray goes with --out, and not with --heatmaps")
    listed = [] if out else _pictures(images)
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
        if ray:
            how: dict[str, Any] = {"device": device, "engine": engine, "batch_size": batch_size}
            failed, total = _on_ray(ray, images, weights, out, predictor.classes, **how)
        else:
            failed, total = _many(images, weights, predictor, out, batch_size, heatmaps)
        if failed:
            told = f"{failed:,} of the {total:,} could not be read: {out / 'errors.csv'}"
            print(told, file=sys.stderr)
            _fail()
        return
    failed = 0
    overlays = _Overlays(heatmaps, images, listed) if heatmaps else None
    mine = [Path(name) for name in listed[compute.rank() :: compute.world()]]
    with progress_bar("Predicting") as on_progress:
        for done, result in enumerate(predictor.stream(mine, batch_size), 1):
            on_progress(done, len(mine))
            if result.prediction is None:
                failed += 1
                reason = result.error.removeprefix(result.path.name).strip()
                print(f"Error: {result.path} {reason}", file=sys.stderr)
                continue
            show = _as_json if as_json else _as_text
            print(show(predictor, result), flush=True)
            if overlays:
                overlays.write(predictor, result)
    if failed:
        print(f"{failed} of {len(mine)} pictures could not be read.", file=sys.stderr)
        _fail()


def _fail() -> None:
    from chexnet import compute

    if compute.world() == 1:  # torchrun would end the other processes for it
        sys.exit(1)


def _many(
    images: list[Path],
    weights: Path,
    predictor: "Predictor",
    out: Path,
    batch_size: int,
    heatmaps: Path | None,
) -> tuple[int, int]:
    """Predict as a job; gives how many of its files cannot be read, and how many there are."""
    from chexnet import compute
    from chexnet.inference.engine import file_digest
    from chexnet.inference.job import PredictionJob

    about = {"pictures": [str(path) for path in images], "weights": file_digest(weights)}
    job = PredictionJob(out, lambda: map(Path, _pictures(images)), about)
    overlays = _Overlays(heatmaps, images, job.files) if heatmaps else None
    before, total = job.done(), len(job.files)
    if before:
        print(f"{before:,} of {total:,} pictures were done before.")
    with progress_bar("Predicting") as on_progress:
        done = count(before + 1)

        def on_result(result: "FileResult") -> None:
            on_progress(next(done), total)
            if overlays and result.prediction:
                overlays.write(predictor, result)

        share = {"rank": compute.rank(), "world": compute.world()}
        here, failed = job.run(predictor, batch_size=batch_size, on_result=on_result, **share)
    print(f"{here:,} of {total:,} pictures were predicted here; results are in {out}.")
    return failed, total


def _on_ray(
    address: str, images: list[Path], weights: Path, out: Path, classes: list[str], **how: Any
) -> tuple[int, int]:
    """Predict on a cluster; gives how many files cannot be read, and how many there are."""
    from chexnet.inference.ray_job import predict_on_ray

    files = _pictures(images)
    with progress_bar("Predicting") as on_progress:
        failed = predict_on_ray(
            address, files, weights, out, classes, on_progress=on_progress, **how
        )
    print(f"{len(files):,} pictures were predicted; results are in {out / 'predictions.csv'}.")
    return failed, len(files)


def _say_export() -> None:
    print("Preparing the model (first use only, about 20 s) ...", file=sys.stderr)


def _pictures(given: list[Path]) -> list[str]:
    """The files that are named, and those of the folders; each real one once."""
    from chexnet.errors import DataError
    from chexnet.files import files_under

    pictures: dict[tuple[str, str], str] = {}
    real = functools.cache(os.path.realpath)
    for path in given:
        if os.path.exists(path) and not os.path.isdir(path) and not os.path.isfile(path):
            raise DataError(f"{path} is neither a file nor a folder. Pass pictures, or folders.")
        for name in files_under(path) if os.path.isdir(path) else [str(path)]:
            folder, own = os.path.split(name)
            pictures.setdefault((real(folder), own), name)
    if not pictures:
        raise DataError(
            f"Found no picture in {', '.join(map(str, given))}. Pass pictures, or folders of them."
        )
    return list(pictures.values())


def _as_json(predictor: "Predictor", result: "FileResult") -> str:
    read, prediction = result.answered
    return json.dumps(
        {
            "file": str(result.path),
            "doubt": read.verdict.message,  # the old name, for one release
            "gate_warning": read.verdict.message,
            "probabilities": prediction.probabilities,
            "thresholds": predictor.thresholds,
            "over_threshold": predictor.findings_over_threshold(prediction),
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

    read, prediction = result.answered
    over = predictor.findings_over_threshold(prediction)
    warning = read.verdict.message
    lines = [f"\n{result.path}"] + ([f"  Doubtful: {warning}"] if warning else [])
    whose = "publisher's " if predictor.thresholds_of == "publisher" else ""
    digits = ".4f" if whose else ".3f"  # a publisher's may be 0.0004
    if not predictor.calibrations:
        lines.append("  Scores, not probabilities: nobody calibrated this network.")
    for name, value in sorted(prediction.probabilities.items(), key=lambda pair: -pair[1]):
        threshold = predictor.thresholds[name]
        mark = f"over its {whose}threshold" if name in over else ""
        shown = "n/a" if threshold is None else f"{threshold:{digits}}"
        line = f"  {spoken(name):<20} {value:{digits}}   ({whose}threshold {shown})  {mark}"
        lines.append(line.rstrip())
    return "\n".join(lines)


class _Overlays:
    """Writes overlays into the folders that their pictures lie in, each under a name of its own."""

    def __init__(self, folder: Path, given: list[Path], files: Sequence[str]) -> None:
        placed = list(map(os.path.abspath, files))
        self._folder, self._pictures = folder, set(placed)
        self._stems = dict(zip(files, _distinct_stems(given, placed), strict=True))

    def write(self, predictor: "Predictor", result: "FileResult") -> None:
        """Of the findings over their threshold, else of the most probable one."""
        from PIL import Image

        from chexnet.errors import ConfigError
        from chexnet.files import replacing
        from chexnet.labels import FINDINGS

        read, prediction = result.answered
        findings = {n: p for n, p in prediction.probabilities.items() if n in FINDINGS}
        first = max(findings, key=findings.__getitem__)
        for name in predictor.findings_over_threshold(prediction) or [first]:
            path = self._folder / f"{self._stems[str(result.path)]}_{name}.png"
            if os.path.abspath(path) in self._pictures:
                raise ConfigError(f"{path} is a picture itself. Pass another --heatmaps.")
            with replacing(path) as temporary:
                drawn = predictor.overlay(read.radiograph, prediction, name)
                Image.fromarray(drawn).save(temporary, "PNG", compress_level=1)


def _distinct_stems(given: list[Path], files: list[str]) -> Iterator[str]:
    """The path of each file within what was given, without its ending where that tells enough."""
    folders = {os.path.abspath(path) for path in given}
    parents = (map(str, PurePath(file).parents) for file in files)
    roots = [
        next(filter(folders.__contains__, above), os.path.dirname(file))
        for file, above in zip(files, parents, strict=True)
    ]
    names = list(map(os.path.relpath, files, roots))
    if len(set(map(_same, names))) < len(names):
        with suppress(ValueError):  # on two disks of Windows
            names = list(map(os.path.relpath, files, repeat(os.path.commonpath(roots))))
    pairs = [(name, os.path.splitext(name)[0]) for name in names]
    times = Counter(_same(stem) for _, stem in pairs)
    taken = set[str]()
    for name, stem in pairs:
        chosen = stem if times[_same(stem)] == 1 else name
        while _same(chosen) in taken:
            chosen += "-2"
        taken.add(_same(chosen))
        yield chosen


def _same(name: str) -> str:
    """What Windows and macOS take for one name: they mind neither case nor the form of accents."""
    return unicodedata.normalize("NFC", name).casefold()


if __name__ == "__main__":
    run(app)
