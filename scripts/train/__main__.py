"""Train a network: python -m scripts.train --data DIR."""

import sys
from contextlib import closing
from typing import Annotated

import typer

from chexnet.config import TrainConfig
from scripts.cli import new_app, options_of, run, table_flags

app = new_app()


@app.command()
@options_of(TrainConfig)
def train(
    given: dict,
    *,
    restart: Annotated[
        bool, typer.Option("--restart", help="Remove the run in --out and begin again.")
    ] = False,
    tensorboard: Annotated[
        bool, typer.Option("--tensorboard", help="Also log for TensorBoard, into --out.")
    ] = False,
) -> None:
    """Train DenseNet-121, score it after each epoch and keep the best weights.

    Run again, it goes on where it was stopped. Several GPUs or machines: torchrun -m scripts.train.
    """
    config = TrainConfig.from_recipe(given)
    from chexnet import distributed
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
    if not distributed.is_main():
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
    other = table_flags(config.table, config.format, config.mapping, config.uncertain)
    print(f"Next: python -m scripts.eval --data {config.data}{other} --weights {result.weights}")


if __name__ == "__main__":
    run(app)
