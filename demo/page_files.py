"""The page's scripts, styles and small pictures, as files that a browser keeps for ever."""

import gzip
import hashlib
from pathlib import Path

from demo.examples import EXAMPLES, thumbnail

FOLDER = Path(__file__).with_name("page")
_KINDS = {".js": "text/javascript", ".css": "text/css", ".jpg": "image/jpeg"}


class PageFiles:
    """What lies under `demo/page`, read once, and the examples' small pictures.

    A script names another by its place beside it, so the hash of all of them stands in the folder
    that they are served from: a changed file changes every address, and none is asked for twice.

    Attributes:
        folder: where the page finds them, below its own address.
        names: of all files.
    """

    def __init__(self) -> None:
        """Read and compress them."""
        found = {
            path.relative_to(FOLDER).as_posix(): path.read_bytes()
            for path in sorted(FOLDER.rglob("*"))
            if path.suffix in _KINDS
        } | {f"examples/{one.name}.jpg": thumbnail(one) for one in EXAMPLES}
        digest = hashlib.sha256()
        for name, data in found.items():
            digest.update(name.encode() + b"\0" + data + b"\0")
        self.folder = f"page/{digest.hexdigest()[:16]}"
        self._files = {name: gzip.compress(data, 9, mtime=0) for name, data in found.items()}
        self.names = tuple(found)

    def get(self, folder: str, name: str) -> tuple[bytes, str] | None:
        """A gzipped file and its type; None where there is none."""
        data = self._files.get(name) if f"page/{folder}" == self.folder else None
        return (data, _KINDS[Path(name).suffix]) if data else None
