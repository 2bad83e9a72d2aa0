"""Make the starter weights, command by command: python -m scripts.starter."""

import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from scripts._cli import Out, new_app, progress_bar, run

app = new_app()

TRAIN_SEED, TEST_SEED = 1, 2
"""Seeds of the phantoms; no two seeds share a patient, and the demo's examples have another."""

# Half the size first, where a pass is three times as quick; the second part then learns what only
# large pictures show. The learning rate is ten times the plain recipe's because nothing is
# pre-trained.
RECIPE = "--split patient --batch-size 16 --schedule cosine --weight-decay 0.01 --ema-decay 0.99"
SMALL = "--init none --lr 1e-3 --warmup-epochs 0.2"
LARGE = "--lr 5e-4 --warmup-epochs 0.1"


@app.command()
def starter(
    out: Out = Path("runs/starter"),
    data: Annotated[Path, typer.Option(help="Folder for the phantoms.")] = Path("phantoms/starter"),
    weights: Annotated[Path, typer.Option(help="File of the starter weights.")] = Path(
        "weights/starter.pth"
    ),
    patients: Annotated[int, typer.Option(min=10, help="Drawn patients to train on.")] = 1400,
    unseen: Annotated[int, typer.Option(min=5, help="Drawn patients to score on.")] = 500,
    size: Annotated[int, typer.Option(min=128, help="Side of the input in pixels.")] = 256,
    epochs: Annotated[
        tuple[int, int], typer.Option(help="Passes at half the size, and at the whole.")
    ] = (10, 4),
    bf16: Annotated[str, typer.Option(help="bfloat16: auto (on CUDA), on or off.")] = "auto",
    device: Annotated[str, typer.Option(help="auto, cpu or cuda.")] = "auto",
) -> None:
    """Draw phantoms, train on them, and score what is kept on phantoms of other patients.

    Every step is a command that is shown before it runs; killed, it goes on where it was. Writes
    the weights in half precision and their model card, README.md, beside them.
    """
    small, packs = size // 2, out / "packs"
    drawn = {TRAIN_SEED: data / "train", TEST_SEED: data / "test"}
    first, second = out / f"at{small}", out / f"at{size}"
    best = "best_chexnet_params.pth"
    common = [*RECIPE.split(), "--bf16", bf16, "--device", device, "--packs", packs]
    print("Research and education only, not for clinical use. These are synthetic pictures.")
    for seed, count in ((TRAIN_SEED, patients), (TEST_SEED, unseen)):
        _step("phantom", drawn[seed], "--patients", count, "--size", size, "--seed", seed)
    for seed, side in ((TRAIN_SEED, small), (TRAIN_SEED, size), (TEST_SEED, size)):
        _step("prepare", "--data", drawn[seed], "--size", side, "--packs", packs)
    for place, side, begin, count in (
        (first, small, SMALL, epochs[0]),
        (second, size, f"--init {first / best} {LARGE}", epochs[1]),
    ):
        shape = ("--data", drawn[TRAIN_SEED], "--out", place, "--size", side, "--epochs", count)
        _step("train", *shape, *begin.split(), *common)
    _store(second / best, weights, drawn[TRAIN_SEED], packs)
    scored = ("--data", drawn[TEST_SEED], "--weights", weights, "--packs", packs, "--out", out)
    for name in ("eval", "localize"):
        _step(name, *scored, "--split", "all", "--device", device)

    from chexnet.files import write_text
    from scripts._starter_card import card

    made_by = (
        f"python -m scripts.starter --patients {patients} --unseen {unseen} --size {size} "
        f"--epochs {epochs[0]} {epochs[1]} --bf16 {bf16}"
    )
    write_text(weights.parent / "README.md", card(weights, out, (first, second), made_by))
    print(f"\nWritten: {weights} and {weights.parent / 'README.md'}")


def _step(name: str, *arguments: object) -> None:
    command = ["-m", f"scripts.{name}", *map(str, arguments)]
    print(f"\n$ python {' '.join(command)}", flush=True)
    done = subprocess.run([sys.executable, *command])
    if done.returncode:
        sys.exit(done.returncode)


def _store(source: Path, target: Path, data: Path, packs: Path) -> None:
    """Keep the weights in half precision, with the validation figures of what is kept.

    Calibration and thresholds are chosen on all drawn patients that it was not trained on, those of
    the test part of this seed too: what is reported comes of phantoms of another seed.
    """
    from chexnet.describe import make_card
    from chexnet.evaluation.metrics import joined
    from chexnet.evaluation.sources import score_weights
    from chexnet.model import load_weights, save_weights

    model, card = load_weights(source)
    save_weights(target, model, card, half=True)
    parts = []
    for part in ("val", "test"):
        with progress_bar(f"Scoring {part}") as on_progress:
            scored = score_weights(data, target, part, packs=packs, on_progress=on_progress)
        parts.append(scored.scores)
    made = card.provenance
    stored = make_card(
        card.preprocessing,
        joined(parts),
        trained=tuple(made[f"trained_{of}"].numpy() for of in ("images", "patients")),
        facts=made["data"],
        config=made["config"],
        origin=made["origin"],
        epoch=made["epoch"],
    )
    save_weights(target, model, stored, half=True)
    print(f"\n{target}: {target.stat().st_size / 1e6:.1f} MB, half precision.", flush=True)


if __name__ == "__main__":
    run(app)
