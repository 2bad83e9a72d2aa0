"""The example pictures: drawn phantoms with known findings. Made by python -m demo.examples."""

from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np

from chexnet.errors import ConfigError
from chexnet.imaging.radiograph import read_radiograph
from chexnet.labels import spoken

FOLDER = Path(__file__).with_name("examples")
SIZE = 512
SEED = 998
"""A seed of its own: networks are trained on phantoms of other seeds."""


@dataclass(frozen=True)
class Example:
    """One drawn radiograph.

    Attributes:
        name: of the file, without its ending.
        patient: number of the phantom's patient within its seed.
        findings: finding to severity.
    """

    name: str
    patient: int
    findings: dict[str, float]

    @property
    def title(self) -> str:
        """What was drawn, for people."""
        return " and ".join(map(spoken, self.findings)) or "Nothing drawn"

    @property
    def path(self) -> Path:
        """The committed file."""
        return FOLDER / f"{self.name}.png"


EXAMPLES = (
    Example("healthy", 1, {}),
    Example("cardiomegaly", 2, {"Cardiomegaly": 0.9}),
    Example("effusion", 3, {"Effusion": 0.8}),
    Example("pneumothorax", 4, {"Pneumothorax": 0.9}),
    Example("mass", 5, {"Mass": 0.8}),
    Example("hernia_and_edema", 6, {"Edema": 0.8, "Hernia": 0.9}),
)

OPENING = EXAMPLES[1]
"""Which one a page opens on: its heatmap lies on what everybody knows, the heart."""


@cache
def thumbnails(side: int = 192) -> tuple[tuple[Example, np.ndarray], ...]:
    """Each example with a small picture of it, uint8 (side, side)."""
    from PIL import Image

    def small(example: Example) -> np.ndarray:
        picture = Image.fromarray(read_radiograph(example.path).as_uint8())
        return np.asarray(picture.resize((side, side), Image.Resampling.LANCZOS))

    return tuple((example, small(example)) for example in EXAMPLES)


def by_name(name: object) -> Example:
    """The example that a page names; no path is made from what it says.

    Raises:
        ConfigError: there is none.
    """
    for example in EXAMPLES:
        if example.name == name:
            return example
    raise ConfigError("There is no such example.")


def draw() -> None:
    """Draw all examples anew."""
    from PIL import Image

    from chexnet.files import replacing
    from chexnet.phantom.draw import draw_phantom

    for example in EXAMPLES:
        phantom = draw_phantom(SEED, example.patient, 0, size=SIZE, findings=example.findings)
        with replacing(example.path) as temporary:
            Image.fromarray(phantom.pixels).save(temporary, "PNG", optimize=True)


if __name__ == "__main__":
    draw()
