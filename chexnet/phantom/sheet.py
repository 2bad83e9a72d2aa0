"""A picture of one example of each finding, for a lecture or a README."""

import numpy as np
from PIL import Image, ImageDraw

from chexnet.labels import FINDINGS, NO_FINDING, spoken
from chexnet.phantom.chest import FRAME
from chexnet.phantom.draw import draw_phantom

ACROSS = 5
OUTLINE = "#F0E442"  # Okabe and Ito's yellow, seen on gray by colour-blind readers as well


def example_sheet(seed: int = 0, *, size: int = 320, severity: float = 0.75) -> Image.Image:
    """Draw the healthy chest and each finding, every one on another patient, boxes outlined.

    Args:
        seed: of the patients.
        size: pixels a side of each example.
        severity: above 0, at most 1.

    Returns:
        An RGB picture, five examples across.
    """
    names = (NO_FINDING, *sorted(FINDINGS))
    down = -(-len(names) // ACROSS)
    caption = size // 14
    sheet = Image.new("RGB", (ACROSS * size, down * (size + caption)), "white")
    for place, name in enumerate(names):
        findings = {} if name == NO_FINDING else {name: severity}
        phantom = draw_phantom(seed, place, 0, size=size, findings=findings)
        picture = Image.fromarray(np.stack([phantom.pixels] * 3, axis=-1))
        pencil = ImageDraw.Draw(picture)
        for _, (x, y, w, h) in phantom.boxes:
            corners = [value * size / FRAME for value in (x, y, x + w, y + h)]
            pencil.rectangle(corners, outline=OUTLINE)
        left, top = place % ACROSS * size, place // ACROSS * (size + caption)
        sheet.paste(picture, (left, top + caption))
        label = ImageDraw.Draw(sheet)
        label.text((left + 4, top + 2), spoken(name), fill="black", font_size=caption * 0.7)
    return sheet
