"""Which code made a file, and when."""

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import torch
import torchvision

import chexnet


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
    gpu = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    return {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "code": code_version(),
        "python": platform.python_version(),
        "torch": str(torch.__version__),
        "torchvision": str(torchvision.__version__),
        "gpu": gpu,
    }
