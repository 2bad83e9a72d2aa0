"""Draws phantoms in a process of its own, so that no visitor waits for it.

The process imports this file and `chexnet.phantom` alone: it is there in half a second.
"""

import os
import pickle
import subprocess
import sys
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from chexnet.phantom.draw import Phantom

SIZE = 512
FRAME = 1024
"""Side of the frame that a phantom's boxes are given in."""

Box = tuple[float, float, float, float]
"""Left, top, right, bottom as shares of the picture, 0 to 1."""


@dataclass(frozen=True, order=True)
class Recipe:
    """Which phantom: the picture is a pure function of it."""

    seed: int
    patient: int
    visit: int


@dataclass(frozen=True)
class Drawn:
    """A phantom with its truth.

    Attributes:
        recipe: which one.
        pixels: uint8 (512, 512).
        findings: finding to severity.
        boxes: finding to its boxes.
    """

    recipe: Recipe
    pixels: np.ndarray
    findings: Mapping[str, float]
    boxes: Mapping[str, tuple[Box, ...]]


def draw(recipe: Recipe) -> Drawn:
    """Draw one phantom."""
    from chexnet.phantom.draw import draw_phantom

    phantom = draw_phantom(recipe.seed, recipe.patient, recipe.visit, size=SIZE)
    return Drawn(recipe, phantom.pixels, dict(phantom.findings), boxes_of(phantom))


def boxes_of(phantom: "Phantom") -> dict[str, tuple[Box, ...]]:
    """Finding to where it was drawn."""
    boxes: dict[str, tuple[Box, ...]] = {}
    for name, (x, y, width, height) in phantom.boxes:
        corners = (x / FRAME, y / FRAME, (x + width) / FRAME, (y + height) / FRAME)
        boxes[name] = (*boxes.get(name, ()), corners)
    return boxes


class Drawer:
    """A process that draws phantoms, one after the other, in the order they are asked for.

    A program of its own, not a `multiprocessing` worker: that would import the caller's main
    program again. It ends when its input ends, so also when this process is killed.
    """

    def __init__(self) -> None:
        """Start the process; it is there in half a second."""
        self._process = subprocess.Popen(
            [sys.executable, "-m", "demo.classroom.draw"],
            cwd=Path(__file__).parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            # Ctrl-C is the parent's to answer: a session of its own, on Windows a group.
            start_new_session=True,
            creationflags=getattr(subprocess, "CREATE_NEW_PROCESS_GROUP", 0),
        )

    def ask(self, recipe: Recipe) -> None:
        """Ask for a phantom.

        Raises:
            OSError: the process has ended.
        """
        assert self._process.stdin is not None
        line = f"{recipe.seed} {recipe.patient} {recipe.visit}\n"
        self._process.stdin.write(line.encode())
        self._process.stdin.flush()

    def take(self) -> Drawn:
        """Wait for the next phantom that was asked for.

        Raises:
            EOFError: the process has ended.
        """
        assert self._process.stdout is not None
        try:
            drawn: Drawn = pickle.load(self._process.stdout)
        except (pickle.UnpicklingError, ValueError) as error:  # killed in the middle
            raise EOFError from error
        return drawn

    def stop(self) -> None:
        """End the process at once, whatever another thread waits for."""
        self._process.kill()
        self._process.wait()

    def close(self) -> None:
        """End the process and let go of it; no other thread may use it any more."""
        self.stop()
        for pipe in (self._process.stdin, self._process.stdout):
            with suppress(OSError):  # what was asked for last finds no reader
                if pipe:
                    pipe.close()


def main() -> None:
    """Draw what the lines of standard input name, to standard output."""
    with suppress(AttributeError, OSError):  # no such call on Windows
        os.nice(19)  # everybody else first
    for line in sys.stdin:
        # Under the module's own name, not __main__: the reader has to find the class again.
        from demo.classroom import draw as module

        seed, patient, visit = map(int, line.split())
        pickle.dump(module.draw(module.Recipe(seed, patient, visit)), sys.stdout.buffer)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
