"""What dev.gate measures: each picture is judged by a network that has not learned from it."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binomtest

from chexnet.errors import DataError
from chexnet.imaging.containers import PictureInfo
from chexnet.imaging.radiograph import Radiograph, read_radiograph
from chexnet.inference.gate import (
    DOWN,
    ELSE,
    FINE,
    INVERTED,
    KINDS,
    SIDE,
    Network,
    judge,
    name_of,
    outputs,
)
from chexnet.phantom.draw import draw_phantom
from chexnet.phantom.patients import person
from dev.gate import making
from dev.gate.lateral import side_view
from dev.gate.learning import train
from dev.gate.pictures import MISLAID, PHANTOM_SEED, Pictures

FOLDS = 3
VIEWS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], str]] = {
    "upright": (lambda x: x, FINE),
    "turned to the left": (lambda x: np.rot90(x, 1), SIDE),
    "turned to the right": (lambda x: np.rot90(x, 3), SIDE),
    "upside down": (lambda x: np.rot90(x, 2), DOWN),
    "inverted": (lambda x: 255 - x, INVERTED),
}
Progress = Callable[[int, int], None]


@dataclass
class Share:
    """How many of how many; the interval is Clopper and Pearson's, 95 %."""

    count: int = 0
    total: int = 0
    which: tuple[str, ...] = ()

    def add(self, hit: bool, name: str = "") -> None:
        self.count += hit
        self.total += 1
        if hit and name:
            self.which += (name,)

    def __str__(self) -> str:
        binomial = binomtest(self.count, self.total)
        low, high = binomial.proportion_ci(0.95, "exact")
        text = (
            f"{self.count:,} of {self.total:,}: {binomial.statistic:.2%} ({low:.2%} to {high:.2%})"
        )
        return f"{text}  {' '.join(self.which)}".rstrip()


def cross_validate(
    pictures: Pictures, steps: int, on_progress: Progress
) -> Iterator[tuple[str, Share]]:
    """Judge every radiograph of train_val by a network that has not seen its patient.

    A fold's network learns from as many patients (two thirds) as the one that is shipped (70 %).

    Yields:
        For the upright ones how many are flagged, with their names; for each way of being wrong
        how many are told so rightly. The mislaid ones are counted apart.
    """
    flagged, mislaid = Share(), Share()
    right = {name: Share() for name in VIEWS if name != "upright"}
    for fold in range(FOLDS):
        held = pictures.patients // 10 % FOLDS == fold

        def shown(done: int, _: int, start: int = fold * steps) -> None:
            on_progress(start + done, FOLDS * steps)

        net = train(pictures, ~held & pictures.rightly_labelled, steps, shown)
        network = Network(tuple(net.layers()))
        for path in (path for path, out in zip(pictures.paths, held, strict=True) if out):
            pixels = read_radiograph(path).as_uint8()
            if path.name in MISLAID:
                mislaid.add(not judge(_radiograph(pixels), network).fine, path.name)
                continue
            for name, (view, kind) in VIEWS.items():
                kind_named = judge(_radiograph(view(pixels)), network).kind
                if name == "upright":
                    flagged.add(kind_named != kind, path.name)
                else:
                    right[name].add(kind_named == kind)
    yield "upright, flagged", flagged
    yield "mislaid by NIH, flagged", mislaid
    yield from ((f"{name}, told so", share) for name, share in right.items())


def phantoms(count: int, on_progress: Progress) -> Iterator[tuple[str, Share]]:
    """Judge phantoms of another seed than the one learned from with the gate that is shipped."""
    shares = {name: Share() for name in VIEWS}
    for patient in range(count):
        visits = person(PHANTOM_SEED + 1, patient).visits
        pixels = draw_phantom(PHANTOM_SEED + 1, patient, patient % visits, size=192).pixels
        for name, (view, kind) in VIEWS.items():
            right = judge(_radiograph(view(pixels))).kind == kind
            shares[name].add(right != (name == "upright"))
        on_progress(patient + 1, count)
    for name, share in shares.items():
        yield f"phantoms {name}, {'flagged' if name == 'upright' else 'told so'}", share


def drawn(count: int, on_progress: Progress) -> Iterator[tuple[str, Share]]:
    """Judge drawn slices and side views of other seeds than those learned from."""
    makers = {"slice": (making.slice_, 9002), "side view": (side_view, 9006)}
    for done, (kind, (make, seed)) in enumerate(makers.items()):
        caught, named = Share(), Share()
        for picture in making.many(count, seed, make):
            radiograph = _radiograph(picture)
            caught.add(judge(radiograph).kind == ELSE)
            named.add(called(radiograph) == kind)
        on_progress(done + 1, len(makers))
        yield f"drawn, {kind}, caught", caught
        yield f"drawn, {kind}, named so", named


def called(radiograph: Radiograph) -> str:
    """Name in the gate's message; empty for none and for a radiograph, also a turned one."""
    return name_of(outputs(radiograph)) if judge(radiograph).kind == ELSE else ""


def others(folder: Path) -> Iterator[tuple[str, Share]]:
    """Judge pictures that are no radiographs, one group for each folder under `folder`.

    Yields:
        Of each group how many are caught, how many are let through, with their names, and how
        many are called a side view; of the groups named after a kind also how many are named
        otherwise (`wrong_names`).
    """
    groups = sorted(path for path in folder.iterdir() if path.is_dir())
    if not groups:
        raise DataError(f"Found no folder in {folder}; expected one for each kind of picture.")
    for group in groups:
        caught, missed, side = Share(), Share(), Share()
        radiographs = [(path.name, read_radiograph(path)) for path in sorted(group.iterdir())]
        for name, radiograph in radiographs:
            kind = judge(radiograph).kind
            caught.add(kind == ELSE)
            missed.add(kind == FINE, name)
            side.add(called(radiograph) == "side view")
        yield f"{group.name}, caught", caught
        yield f"{group.name}, let through", missed
        yield f"{group.name}, called a side view", side
        if group.name in KINDS:
            yield from wrong_names([radiograph for _, radiograph in radiographs], group.name)


def wrong_names(radiographs: list[Radiograph], kind: str) -> Iterator[tuple[str, Share]]:
    """What `chexnet.inference.gate.SURE` is chosen by: wrong names at each value it could have.

    Of each photograph 20 random parts are named, too: there are few photographs, and a part is
    one as well.
    """
    random, views = np.random.default_rng(0), []
    for radiograph in radiographs:
        views.append(outputs(radiograph))
        if kind == "photograph":
            pixels = radiograph.as_uint8()
            parts = (np.ascontiguousarray(making.crop(pixels, random, 0.4)) for _ in range(20))
            views += [outputs(_radiograph(part)) for part in parts]
    for sure in np.arange(40, 100, 5) / 100:
        share = Share()
        for view in views:
            share.add(name_of(view, sure) not in (kind, "everyday", ""))
        yield f"{kind}, named otherwise with SURE {sure:.2f}", share


def _radiograph(pixels: np.ndarray) -> Radiograph:
    return Radiograph(pixels, 0, 255, PictureInfo("PNG", "L", 8))
