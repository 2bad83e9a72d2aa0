"""Make the starter weights, command by command: python -m dev.starter --nih DATA."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts.cli import Device, Out, new_app, progress_bar, run

app = new_app()

SEEDS = {"first": 1, "mixed": 3, "unseen": 2}
"""Seeds of the phantoms; no two share a patient, and the demo's examples have another."""
BEST = "best_chexnet_params.pth"

# Phantoms alone first, at half the size, where an epoch is three times as quick. Nothing is
# pre-trained, so the learning rate is ten times the plain recipe's. The mixture then has the strong
# recipe, at half the size and at the whole.
PHANTOMS = (
    "--split patient --batch-size 16 --schedule cosine --weight-decay 0.01 --ema-decay 0.99 "
    "--init none --lr 1e-3 --warmup-epochs 0.2"
)
SMALL = "--recipe strong --split official --warmup-epochs 2"
LARGE = "--recipe strong --split official --warmup-epochs 0.5 --lr 5e-4"


@app.command()
def starter(
    nih: Annotated[Path, typer.Option(help="Folder of NIH's download, or of a part of it.")],
    images: Annotated[
        Path, typer.Option(help="List of the radiographs to train on, one name a line.")
    ] = Path("weights/real_images.txt"),
    validation: Annotated[
        Path | None,
        typer.Option(help="List of those of them that validate; else a tenth of all patients."),
    ] = None,
    init: Annotated[
        Path | None,
        typer.Option(help="Weights to begin with, instead of phantoms alone at half the size."),
    ] = None,
    out: Out = Path("runs/starter"),
    weights: Annotated[Path, typer.Option(help="File of the starter weights.")] = Path(
        "weights/starter.pth"
    ),
    patients: Annotated[int, typer.Option(min=10, help="Drawn patients to begin with.")] = 1400,
    mixed: Annotated[int, typer.Option(min=10, help="Drawn patients beside real ones.")] = 700,
    unseen: Annotated[int, typer.Option(min=5, help="Drawn patients to score on.")] = 500,
    size: Annotated[int, typer.Option(min=128, help="Side of the input in pixels.")] = 256,
    epochs: Annotated[
        tuple[int, int, int],
        typer.Option(help="Epochs: phantoms and mixture at half the size, mixture at the whole."),
    ] = (10, 12, 4),
    bf16: Annotated[str, typer.Option(help="bfloat16: auto (on CUDA), on or off.")] = "auto",
    device: Device = "auto",
    processes: Annotated[int, typer.Option(min=1, help="Processes that train the mixture.")] = 1,
) -> None:
    """Train on phantoms, then on phantoms and real radiographs, and score what is kept.

    Every step is a command that is shown before it runs; killed, it goes on where it was. Scored on
    phantoms of other patients and on those images of NIH's test list that are there. Writes the
    weights in half precision, and beside them the same as ONNX and their model card, README.md.
    """
    from chexnet.files import write_text
    from chexnet.inference.onnx_export import export
    from dev.starter.card import card
    from dev.starter.data import mix
    from dev.starter.store import report, store

    print("Research and education only, not for clinical use.")
    half, packs, mixture = size // 2, out / "packs", out / "mixture"
    drawn = {name: out / f"phantoms-{name}" for name in SEEDS}
    for (name, seed), count in zip(SEEDS.items(), (patients, mixed, unseen), strict=True):
        if name != "first" or init is None:
            _step("phantom", drawn[name], "--patients", count, "--size", size, "--seed", seed)
    names = images.read_text(encoding="utf-8").split()
    chosen = validation.read_text(encoding="utf-8").split() if validation else None
    mix(drawn["mixed"], nih, names, mixture, chosen)
    runs = [out / name for name in (f"phantoms{half}", f"mixture{half}", f"mixture{size}")]
    stages = [
        (runs[0], drawn["first"], half, PHANTOMS, None),
        (runs[1], mixture, half, SMALL, init or runs[0] / BEST),
        (runs[2], mixture, size, LARGE, runs[1] / BEST),
    ]
    first = 0 if init is None else 1
    for (place, data, side, recipe, begin), count in list(zip(stages, epochs, strict=True))[first:]:
        _step("prepare", "--data", data, "--size", side, "--packs", packs)
        _step(
            *("train", "--data", data, "--out", place, "--size", side, "--epochs", count),
            *(*recipe.split(), *(("--init", begin) if begin else ())),
            *("--packs", packs, "--bf16", bf16, "--device", device),
            processes=1 if begin is None else processes,
        )
    with progress_bar("Scoring the validation part") as on_progress:
        store(runs[-1] / BEST, weights, mixture, packs, on_progress)
    print(f"\n{weights}: {weights.stat().st_size / 1e6:.1f} MB, half precision.", flush=True)

    scored = {"phantoms": (drawn["unseen"], "all"), "radiographs": (nih, "test")}
    for kind, (data, part) in scored.items():
        for command in ("eval", "localize"):
            _step(
                *(command, "--data", data, "--weights", weights, "--split", part),
                *("--packs", packs, "--out", out / kind, "--device", device),
                "--store" if command == "localize" else "--report",
            )
    report(weights, {kind: out / kind / f"eval-{part}" for kind, (_, part) in scored.items()})
    export(weights, weights.with_suffix(".onnx"), compact=True)
    made_by = (
        f"python -m dev.starter --nih DATA --patients {patients} --mixed {mixed} --unseen "
        f"{unseen} --size {size} --epochs {' '.join(map(str, epochs))} --bf16 {bf16} "
        f"--processes {processes}"
        + (f" --validation {validation}" if validation else "")
        + (f" --init {init.name}" if init else "")
    )
    write_text(weights.parent / "README.md", card(weights, out, runs[first:], made_by))
    print(f"\nWritten: {weights} and {weights.parent / 'README.md'}")


def _step(name: str, *arguments: object, processes: int = 1) -> None:
    launcher = ["-m"]
    if processes > 1:
        launcher += ["torch.distributed.run", "--standalone"]
        launcher += ["--nproc-per-node", str(processes), "-m"]
    command = [*launcher, f"scripts.{name}", *map(str, arguments)]
    print(f"\n$ python {' '.join(command)}", flush=True)
    done = subprocess.run([sys.executable, *command])
    if done.returncode:
        sys.exit(done.returncode)


if __name__ == "__main__":
    run(app)
