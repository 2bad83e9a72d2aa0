"""The page's scripts, styles and small pictures, as files that a browser keeps for ever."""

import gzip
import hashlib
from collections.abc import Mapping
from pathlib import Path

from chexnet.data.download import file_sha256
from demo.examples import EXAMPLES, thumbnail

FOLDER = Path(__file__).with_name("page")
_KINDS = {
    **{".js": "text/javascript", ".css": "text/css", ".jpg": "image/jpeg"},
    **{
        ".json": "application/json",
        ".mjs": "text/javascript",
        ".wasm": "application/wasm",
        ".onnx": "application/octet-stream",
    },
}


class PageFiles:
    """What lies under `demo/page`, read once, and the examples' small pictures.

    A script names another by its place beside it, so the hash of all of them stands in the folder
    that they are served from: a changed file changes every address, and none is asked for twice.

    Args:
        more: further files, by their names: bytes, or a large one that stays on the disk.

    Attributes:
        folder: where the page finds them, below its own address.
        names: of all files but the large ones.
        large: name to where a large file lies.
    """

    def __init__(self, more: Mapping[str, Path | bytes]) -> None:
        """Read and compress them."""
        self.large = {name: content for name, content in more.items() if isinstance(content, Path)}
        contents = {
            path.relative_to(FOLDER).as_posix(): path.read_bytes()
            for path in sorted(FOLDER.rglob("*"))
            if path.suffix in _KINDS
        } | {f"examples/{example.name}.jpg": thumbnail(example) for example in EXAMPLES}
        contents |= {name: content for name, content in more.items() if isinstance(content, bytes)}
        digest = hashlib.sha256()
        for name, data in contents.items():
            digest.update(name.encode() + b"\0" + data + b"\0")
        for name, path in self.large.items():
            digest.update(f"{name} {file_sha256(path)}".encode())
        self.folder = f"page/{digest.hexdigest()[:16]}"
        self._files = {name: gzip.compress(data, 9, mtime=0) for name, data in contents.items()}
        self.names = tuple(contents)

    def get(self, folder: str, name: str) -> tuple[bytes | Path, str] | None:
        """A gzipped file, or where a large one lies, and its type; None where there is none."""
        content = self._files.get(name) or self.large.get(name)
        here = content and f"page/{folder}" == self.folder
        return (content, _KINDS[Path(name).suffix]) if here and content else None
