"""What a weights file says of itself beside its tensors. No torch: a page reads it at once."""

from dataclasses import dataclass, field
from typing import Any

from chexnet.labels import FINDINGS
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
            validation part; `reported`, where somebody scored other pictures and wrote it down:
            `radiographs` and `phantoms`, each a scoring's figures.
    """

    classes: dict[str, int]
    preprocessing: Preprocessing
    provenance: dict[str, Any] = field(default_factory=dict)
    validation: dict[str, Any] = field(default_factory=dict)

    @property
    def trained_on(self) -> str:
        """`radiographs`, drawn `phantoms`, or `both`."""
        data = self.provenance.get("data", {})
        if "drawn" not in data:  # a file of before they were counted
            return "phantoms" if data.get("phantoms") else "radiographs"
        drawn = data["drawn"]["train"]
        if not drawn:
            return "radiographs"
        return "phantoms" if drawn == data["images"]["train"] else "both"


def better_than_guessing(figures: dict[str, Any]) -> list[str]:
    """The findings of a scoring whose AUROC's interval lies above 0.5, the best first.

    Args:
        figures: of `evaluation.summary.as_dict`.
    """
    rows = {n: one for n, one in figures["classes"].items() if n in FINDINGS and one["interval"]}
    sure = [n for n, one in rows.items() if (one["interval"]["low"] or 0.0) > 0.5]
    return sorted(sure, key=lambda name: -rows[name]["auroc"])
