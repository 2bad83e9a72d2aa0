"""What the tests run in other processes."""

import os
import runpy
import sys
import time
from collections.abc import Callable
from pathlib import Path

import torch

from chexnet.checkpoint import save_sealed
from chexnet.config import TrainConfig
from chexnet.training.callbacks import Callbacks
from chexnet.training.loop import fit


def train(options: dict) -> None:
    fit(TrainConfig(**options))


def train_in_double(options: dict) -> None:
    """Train in float64, where AdamW does not turn rounding into steps."""
    torch.set_default_dtype(torch.float64)
    fit(TrainConfig(**options))


def save_for_ever(folder: Path, megabytes: int = 4) -> None:
    """Save again and again, each time a tensor of one number that grows."""
    number = 0
    while True:
        number += 1
        values = torch.full((megabytes * 250_000,), float(number))
        save_sealed(folder / "last.pth", {"number": number, "values": values}, keep_previous=True)


def load_hostile(path: Path, told: Path) -> None:
    """Load a file as a weights file and write down what came of it, and how long it took."""
    from chexnet.errors import CheckpointError
    from chexnet.model import load_weights

    began = time.perf_counter()
    try:
        load_weights(path)
        outcome = "loaded"
    except CheckpointError as error:
        outcome = f"refused: {error}"
    told.write_text(f"{time.perf_counter() - began:.3f}\n{outcome}")
    os._exit(0)


class Waiting(Callbacks):
    """Writes a file in the third step, and goes on when it is told."""

    def __init__(self, there: Path, told: Callable[[], bool]) -> None:
        self.there, self.told = there, told

    def step(self, step: int, loss: float) -> None:
        if step == 3:
            self.there.touch()
            while not self.told():
                time.sleep(0.01)


def train_until_signal(options: dict, there: Path) -> None:
    """Train as the command does: SIGTERM and SIGINT ask for an end. In the third step one comes."""
    from scripts.train.console import Signals

    signals = Signals()
    waiting = Waiting(there, signals.received)
    result = fit(TrainConfig(**options), waiting, stop=signals.received)
    os._exit(signals.exit_code if result.state == "stopped" else 99)


def write_to(path: Path, *streams: int) -> None:
    """What is written to these streams from here on goes into a file."""
    file = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC)
    for stream in streams:
        os.dup2(file, stream)


def run_cells(books: list[list[str]], folder: Path, told: Path) -> None:
    """Run the cells of each notebook in its folder; the last line counts the figures."""
    import matplotlib

    matplotlib.use("agg")
    from matplotlib import pyplot

    figures = []

    def show() -> None:
        figures.extend(pyplot.get_fignums())
        pyplot.close("all")

    pyplot.show = show
    write_to(told, 1, 2)
    os.chdir(folder)
    for cells in books:
        names = {"__name__": "__main__"}
        for number, source in enumerate(cells):
            exec(compile(source, f"cell {number}", "exec"), names)
    print("Figures:", len(figures), flush=True)


def torchrun(given: list[str], folder: Path, told: Path) -> None:
    """Two ranks by torchrun's own launcher; forked, since each would import torch again."""
    from torch.distributed.launcher.api import LaunchConfig, elastic_launch

    write_to(told, 1, 2)
    os.chdir(folder)
    config = LaunchConfig(
        *(1, 1, 2),  # machines at least and at most, processes of each
        run_id="test",
        rdzv_endpoint="localhost:0",
        rdzv_backend="c10d",
        max_restarts=0,
        start_method="fork",
    )
    elastic_launch(config, run_as_main)(given)


def run_as_main(given: list[str]) -> None:
    """What `python -m` does."""
    sys.argv = given
    runpy.run_module(given[0], run_name="__main__", alter_sys=False)


def run_command(given: list[str], said: Path) -> None:
    """Run `scripts.NAME ...`; this rank's output goes into files."""
    for number, stream in ((1, "stdout"), (2, "stderr")):
        write_to(said / f"{stream}{os.environ['RANK']}", number)
    run_as_main(given)


class Whereabouts:
    """A data set whose batches write down which process read them, and take their time."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def batch(self, indices: object) -> int:
        (self.folder / str(os.getpid())).touch()
        time.sleep(0.05)
        return 0


def read_for_ever(folder: Path) -> None:
    """Read batches with two workers until somebody ends it."""
    from chexnet.data.loader import batch_loader

    for _ in batch_loader(Whereabouts(folder), [0] * 100_000, workers=2):
        pass


def predict_many(folder: Path, weights: Path, out: Path) -> None:
    """Predict a folder's pictures in shards of ten, slowly enough to be killed."""
    from chexnet import compute
    from chexnet.inference.job import PredictionJob
    from chexnet.inference.predictor import Predictor

    job = PredictionJob(out, lambda: sorted(folder.iterdir()), {"pictures": "all"}, shard=10)
    predictor = Predictor(weights, "cpu", engine="torch")
    share = {"rank": compute.rank(), "world": compute.world()}
    job.run(predictor, batch_size=4, on_result=lambda _: time.sleep(0.002), **share)
