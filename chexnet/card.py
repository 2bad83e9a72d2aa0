"""What a weights file says of itself beside its tensors. No torch: a page reads it at once."""

from dataclasses import dataclass, field
from typing import Any

from chexnet.transforms import Preprocessing


@dataclass(frozen=True)
class Card:
    """The description that travels with a network.

    Attributes:
        classes: label to index, 0 .. D - 1.
        preprocessing: how a picture becomes the input.
        provenance: data (fingerprints, hashes of what was trained on, label version), split,
            configuration, seed, versions, date.
        validation: per-class figures, operating curve, calibration and thresholds on the
            validation part.
    """

    classes: dict[str, int]
    preprocessing: Preprocessing
    provenance: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)

    @property
    def phantoms(self) -> bool:
        """True where the network was trained on drawn radiographs."""
        return bool(self.provenance.get("data", {}).get("phantoms"))
