"""What tests of training look at: what a run told, and what it left."""

import csv
from pathlib import Path

import torch

from chexnet.checkpoint import load_sealed
from chexnet.training.callbacks import Callbacks


class Recorder(Callbacks):
    """Keeps what it is told."""

    def __init__(self) -> None:
        self.notes, self.losses, self.epochs = [], [], []

    def note(self, text: str) -> None:
        self.notes.append(text)

    def step(self, step: int, loss: float) -> None:
        self.losses.append(loss)

    def epoch_ended(self, epoch, summary, best) -> None:
        self.epochs.append((epoch, summary, best))


def tensors(out: Path, name: str = "last.pth") -> dict[str, torch.Tensor]:
    content = load_sealed(out / name)
    return content["state"]["model"] if name == "last.pth" else content["state_dict"]


def equal(left: dict, right: dict) -> bool:
    return left.keys() == right.keys() and all(torch.equal(left[k], right[k]) for k in left)


def rows(path: Path) -> list[dict]:
    with path.open(newline="") as file:
        return list(csv.DictReader(file))
