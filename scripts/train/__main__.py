"""Train a network: python -m scripts.train --data DIR."""

import sys
from contextlib import closing
from typing import Annotated, Any

import typer

from chexnet.config import TrainConfig
from scripts.cli import command, new_app, options_of, run

OF_EVAL = (
    *("out", "packs", "labels", "table", "format", "mapping", "uncertain"),
    *("device", "workers", "allow_leak"),
)
"""Options that scripts.eval has too, of the same meaning."""

app = new_app()


@app.command()
@options_of(TrainConfig)
def train(
    given: dict[str, Any],
    *,
    restart: Annotated[
        bool, typer.Option("--restart", help="Remove the run in --out and begin again.")
    ] = False,
    bf16: Annotated[str | None, typer.Option(hidden=True)] = None,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard, into --out.")
    ] = False,
) -> None:
    """Train DenseNet-121, score it after each epoch and keep the best weights.

    Run again, it goes on where it was stopped. Several GPUs or machines: torchrun -m scripts.train.
    """
    config = TrainConfig.from_recipe(given | ({"bf16": bf16} if bf16 else {}))
    from chexnet import compute
    from chexnet.training.loop import fit
    from scripts.train.console import Console, Signals, keep_memory

    keep_memory()
    signals = Signals()
    with Console(config.out) as console:
        if not tensorboard:
            result = fit(config, console, signals.received, restart=restart)
        else:
            from scripts.train.board import Board

            with closing(Board(console, config)) as board:
                result = fit(config, board, signals.received, restart=restart)
    if not compute.is_main():
        sys.exit(signals.exit_code)
    if result.state == "was finished":
        print(
            f"The run in {config.out} is finished ({result.epoch} epochs). Raise --epochs to go "
            "on (constant schedule), or pass --restart to begin again."
        )
    if result.state == "stopped":
        print(f"Stopped in epoch {result.epoch + 1}. The same command goes on from there.")
        sys.exit(signals.exit_code)
    print(f"Best weights: {result.weights} (mean AUROC of the findings: {result.best:.4f})")
    other = {name: getattr(config, name) for name in OF_EVAL}
    print(f"Next: {command('scripts.eval', data=config.data, weights=result.weights, **other)}")


if __name__ == "__main__":
    run(app)
