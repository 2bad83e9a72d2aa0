"""ONNX Runtime for browsers: two files of npm's package onnxruntime-web, fetched only on demand."""

import base64
import hashlib
import json
import shutil
import subprocess
import tarfile
from pathlib import Path

import platformdirs

from chexnet.data.download import Progress, download, download_lock
from chexnet.errors import FetchError
from chexnet.files import replacing

PACKAGE = "onnxruntime-web"
VERSION = "1.27.0"
INTEGRITY = (
    "sha512-ogDLsqIozHZwifPuN37OproAo0byX6t43/bP8GzeZWBWD6MOGExswFAx3up4NS/vvWBOg2u2PXomDt3rMmdQSg=="
)
"""Of the package, as npm publishes it: SHA-512 in base64."""
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""Of its 138 MB; they run on the CPU, in as many threads as the page may use."""
REGISTRY = "https://registry.npmjs.org/"
"""npm's own default; its setting `registry` names another."""
COMMAND = "python -m scripts.export_page --fetch"
_MODULES = Path(__file__).parents[1] / "node_modules" / PACKAGE


def folder() -> Path:
    """Where fetched files lie, in the user's cache."""
    return platformdirs.user_cache_path("chexnet") / PACKAGE / VERSION


def files() -> dict[str, Path]:
    """Name of each file to where it lies; empty where it was never fetched."""
    places = [folder()]
    about = _MODULES / "package.json"
    if about.is_file() and json.loads(about.read_text(encoding="utf-8"))["version"] == VERSION:
        places.append(_MODULES / "dist")
    for place in places:
        if all((place / name).is_file() for name in FILES):
            return {name: place / name for name in FILES}
    return {}


def fetch(on_progress: Progress = lambda *_: None) -> dict[str, Path]:
    """The files, from npm's registry where they are not here yet; see `files`.

    Raises:
        FetchError: no network, no room, or another package than was published.
    """
    if not files():
        place = folder()
        package = place / f"{PACKAGE}.tgz"
        with download_lock(place):
            download(f"{_registry()}{PACKAGE}/-/{PACKAGE}-{VERSION}.tgz", package)
            _unpack(package, place)
            package.unlink()
    return files()


def _registry() -> str:
    npm = shutil.which("npm")
    asked = [npm, "config", "get", "registry"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False) if npm else None
    told = done.stdout.strip() if done else ""
    return told.rstrip("/") + "/" if told.startswith("http") else REGISTRY


def _unpack(package: Path, place: Path) -> None:
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != INTEGRITY:
        package.unlink()
        raise FetchError(
            f"The registry gave a {PACKAGE} {VERSION} with sha512-{digest}, expected {INTEGRITY}. "
            "It was removed. Try again, or install it with npm beside the project."
        )
    with tarfile.open(package) as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            with replacing(place / name) as temporary, temporary.open("wb") as file:
                shutil.copyfileobj(member, file)  # type: ignore[arg-type]
