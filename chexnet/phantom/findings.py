"""The 14 findings by name: what each does to the anatomy and which function draws it."""

from collections.abc import Callable, Mapping
from dataclasses import replace

import numpy as np

from chexnet.phantom import airspace, pleura
from chexnet.phantom.anatomy import Anatomy
from chexnet.phantom.chest import Box, Chest

DRAW: dict[str, Callable[[Chest, float, np.random.Generator], list[Box]]] = {
    "Cardiomegaly": pleura.cardiomegaly,
    "Emphysema": airspace.emphysema,
    "Fibrosis": airspace.fibrosis,
    "Hernia": pleura.hernia,
    "Atelectasis": airspace.atelectasis,
    "Consolidation": airspace.consolidation,
    "Infiltration": airspace.infiltration,
    "Edema": airspace.edema,
    "Pneumonia": airspace.pneumonia,
    "Nodule": airspace.nodule,
    "Mass": airspace.mass,
    "Pleural_Thickening": pleura.pleural_thickening,
    "Pneumothorax": pleura.pneumothorax,
    "Effusion": pleura.effusion,
}
"""In drawing order: what shapes the lung first, what covers it last."""


def reshape(anatomy: Anatomy, findings: Mapping[str, float], side: int) -> Anatomy:
    """Change the chest itself where a finding moves organs, before anything is laid out.

    Args:
        anatomy: of this visit, healthy.
        findings: finding to severity.
        side: the side (0 right, 1 left) that atelectasis pulls its dome up on.

    Returns:
        Anatomy with a wider heart (Cardiomegaly), flat low domes (Emphysema), one raised dome
        (Atelectasis) or shallower lungs (Fibrosis).
    """
    dome, sulcus, ratio = list(anatomy.dome), list(anatomy.sulcus), anatomy.heart_ratio
    if severity := findings.get("Cardiomegaly"):
        ratio = max(ratio + 0.035, 0.505) + 0.115 * severity
    if severity := findings.get("Emphysema"):
        dome = [d + 0.01 + 0.03 * severity for d in dome]
        sulcus = [s * (0.65 - 0.35 * severity) for s in sulcus]
        ratio *= 1 - 0.06 * severity
    if severity := findings.get("Fibrosis"):
        dome = [d - 0.02 * severity for d in dome]
    if severity := findings.get("Atelectasis"):
        dome[side] -= 0.008 + 0.03 * severity
        sulcus[side] += 0.006 + 0.02 * severity
    return replace(
        anatomy, dome=(dome[0], dome[1]), sulcus=(sulcus[0], sulcus[1]), heart_ratio=ratio
    )
