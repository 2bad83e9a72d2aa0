"""What a weights file says of itself, and which code made it. No torch: a page reads it at once."""

import platform
import subprocess
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import chexnet
from chexnet.labels import FINDINGS
from chexnet.transforms import Preprocessing


@dataclass(frozen=True)
class Metadata:
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
    trust: dict[str, Any] | None = None
    mean_contributions: Any = None

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


def code_version() -> str:
    """The package's version, with the commit where it runs from a clone (`+changed` if edited)."""
    root = Path(chexnet.__file__).parents[1]
    git = ["git", "-C", str(root), "describe", "--always", "--dirty=+changed", "--exclude=*"]
    try:
        told = subprocess.run(git, capture_output=True, text=True, timeout=10, check=True).stdout
    except (OSError, subprocess.SubprocessError):  # no git, or no clone
        return chexnet.__version__
    return f"{chexnet.__version__} ({told.strip()})"


def surroundings() -> dict[str, Any]:
    """Date, code and library versions and the kind of machine, as plain values."""
    import torch
    import torchvision

    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "gpu": gpu,
    }
