"""The example pictures: drawn phantoms with known findings. Made by python -m demo.examples."""

from dataclasses import dataclass, field
from functools import cache
from io import BytesIO
from pathlib import Path

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
    findings: dict[str, float] = field(hash=False)

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
def thumbnail(example: Example, side: int = 96) -> bytes:
    """A small picture of an example, as JPEG: 2 kB."""
    from PIL import Image

    picture = Image.fromarray(read_radiograph(example.path).as_uint8())
    file = BytesIO()
    picture.resize((side, side), Image.Resampling.LANCZOS).save(file, "JPEG", quality=80)
    return file.getvalue()


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
