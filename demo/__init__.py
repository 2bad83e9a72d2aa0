"""The browser demo: python -m demo."""

import sys
from pathlib import Path

from chexnet.files import not_installed

_LIST = Path(__file__).parents[1] / "requirements-demo.txt"
_OPTIONAL = "pylibjpeg-libjpeg"  # under GPL-3.0; without it JPEG-LS in DICOM is refused
if _LIST.is_file():  # a Space has a list of its own
    # Before any of them is imported, and not when a picture is the first to need it.
    _lost = [name for name in not_installed(_LIST.read_text(encoding="utf-8")) if name != _OPTIONAL]
    if _lost:
        sys.exit(
            f"Error: not installed: {', '.join(_lost)}. Run: python -m pip install -r {_LIST.name}"
        )
