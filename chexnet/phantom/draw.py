"""Draw one phantom: a pure function of (seed, patient, follow-up, size)."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from chexnet.errors import ConfigError
from chexnet.labels import FINDINGS
from chexnet.phantom.anatomy import at_visit, draw_anatomy
from chexnet.phantom.body import draw_body
from chexnet.phantom.chest import Box, Chest
from chexnet.phantom.findings import DRAW, reshape
from chexnet.phantom.objects import draw_objects
from chexnet.phantom.patients import person, stream, visits
from chexnet.phantom.render import expose

SMALLEST, LARGEST = 64, 2048
"""Sizes that can be drawn; the findings need about 256 pixels to be seen."""
# One number for each purpose that random numbers are drawn for.
_ANATOMY, _VISIT, _TREE, _SOFT, _FILM, _NOISE, _OBJECTS, _FINDING = 10, 11, 12, 13, 14, 15, 16, 100


@dataclass(frozen=True)
class Phantom:
    """One drawn radiograph.

    Attributes:
        pixels: uint8 (size, size), bone white.
        boxes: (finding, box) for everything drawn; boxes in the 1024 x 1024 frame.
        findings: finding to severity.
        view: `PA` or `AP`.
    """

    pixels: np.ndarray
    boxes: tuple[tuple[str, Box], ...]
    findings: Mapping[str, float]
    view: str


def check_size(size: int) -> None:
    """Refuse a size that cannot be drawn.

    Raises:
        ConfigError: outside 64 to 2048 pixels.
    """
    if not SMALLEST <= size <= LARGEST:
        raise ConfigError(f"Found size {size}, expected {SMALLEST} to {LARGEST} pixels a side.")


def draw_phantom(
    seed: int,
    patient: int,
    follow_up: int,
    *,
    size: int = 512,
    findings: Mapping[str, float] | None = None,
) -> Phantom:
    """Draw one radiograph.

    Args:
        seed: seed of the set, 0 to 998.
        patient: 0 for the first patient of the set.
        follow_up: 0 for the patient's first image.
        size: pixels a side. Another size gives the same picture up to resolution and noise.
        findings: finding to severity (above 0, at most 1) instead of the patient's own; all else,
            exposure and noise included, stays the same. `{}` draws the healthy chest.

    Raises:
        ConfigError: no such patient, follow-up, size, finding or severity.
    """
    check_size(size)
    who, all_visits = person(seed, patient), visits(seed, patient)
    if not 0 <= follow_up < len(all_visits):
        raise ConfigError(
            f"Found follow-up {follow_up}, expected 0 to {len(all_visits) - 1} for this patient."
        )
    visit = all_visits[follow_up]
    wanted = dict(visit.findings if findings is None else findings)
    for name, severity in wanted.items():
        if name not in FINDINGS or not 0 < severity <= 1:
            raise ConfigError(
                f"Found {name} with severity {severity}, expected one of the 14 findings with a "
                "severity above 0 and at most 1."
            )
    base = draw_anatomy(who.sex, who.build, who.age, stream(seed, patient, _ANATOMY))
    anatomy, pose = at_visit(base, visit.view, stream(seed, patient, _VISIT, follow_up))
    own = {name: _FINDING + FINDINGS.index(name) for name in DRAW}
    side = int(stream(seed, patient, own["Atelectasis"]).integers(2))
    chest = Chest(reshape(anatomy, wanted, side), pose, size)
    tree, soft = stream(seed, patient, _TREE), stream(seed, patient, _SOFT, follow_up)
    draw_body(chest, tree, soft)
    boxes: list[tuple[str, Box]] = []
    for name, draw in DRAW.items():
        if name in wanted:
            drawn = draw(chest, wanted[name], stream(seed, patient, own[name]))
            boxes += [(name, box) for box in drawn]
    draw_objects(chest, visit.view, stream(seed, patient, _OBJECTS, follow_up))
    film, noise = (stream(seed, patient, layer, follow_up) for layer in (_FILM, _NOISE))
    pixels = expose(chest, visit.view, film, noise)
    order = {name: place for place, name in enumerate(FINDINGS)}
    boxes.sort(key=lambda pair: order[pair[0]])
    kept = {name: wanted[name] for name in FINDINGS if name in wanted}
    return Phantom(pixels, tuple(boxes), kept, visit.view)
