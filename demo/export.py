"""The page as a folder that any static host serves: the visitor's browser is the server."""

import asyncio
import gzip
import hashlib
import json
import shutil
import tempfile
import time
import zipfile
from pathlib import Path

from chexnet.data.download import file_sha256
from chexnet.errors import ConfigError
from chexnet.inference.predictor import Predictor
from demo import onnx_web, rendering
from demo.classroom.cases import CaseSource
from demo.classroom.content import Content, truth
from demo.classroom.folder import FolderCases, Progress
from demo.classroom.pool import PhantomCases
from demo.local_facts import MORE_METHODS
from demo.page_files import FOLDER, PageFiles
from demo.service import Service
from demo.teaching.parts import Parts

MANIFEST = "imsmanifest.xml"
"""What makes a zip of the folder a package of SCORM 1.2."""


def export_page(
    out: Path,
    network: Path,
    weights: str,
    *,
    cases: Path | None = None,
    scorm: bool = False,
    on_cases: Progress = lambda *_: None,
) -> None:
    """Write the page, what it shows, the network, and ONNX Runtime for browsers.

    Args:
        out: a new folder, or with `scorm` a new zip.
        network: an ONNX file of ours.
        weights: its name as the page shows it.
        cases: a folder with a lecturer's own cases to read; else they are drawn.
        scorm: a package for a learning platform, which is told score and completion.
        on_cases: see `FolderCases`.

    Raises:
        ConfigError: ONNX Runtime for browsers was never fetched, or `out` is there already.
        CheckpointError: the network cannot be read.
        DataError: something is wrong with the cases; every line is named.
    """
    if out.exists():
        raise ConfigError(f"Found {out}, expected a new name.")
    if not onnx_web.files():
        raise ConfigError(
            f"ONNX Runtime for browsers is not here. Once, with a network: {onnx_web.COMMAND}"
        )
    out.resolve().parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out.resolve().parent, prefix=f".{out.name}-") as name:
        folder = Path(name) / "page"
        folder.mkdir()
        _write(folder, network, weights, cases, scorm, on_cases)
        if scorm:
            write_zip(folder, package := Path(name) / "page.zip")
            package.rename(out)
        else:
            folder.rename(out)


def _write(
    folder: Path,
    network: Path,
    weights: str,
    cases: Path | None,
    scorm: bool,
    on_cases: Progress,
) -> None:
    predictor = Predictor(network, "cpu")
    predictor.more_methods = MORE_METHODS
    service = Service(predictor, folder)
    try:
        source: CaseSource
        if cases:
            source = FolderCases(cases, predictor, on_cases)
        else:
            source = PhantomCases(predictor, service.predict_one, service.admission.quiet, 0)
        parts = asyncio.run(_made(Parts(service))) | _session(source, predictor)
    finally:
        service.close()
    files = PageFiles(onnx_web.page_files(predictor))
    for name in files.names:
        data, _ = files.get(files.folder.rpartition("/")[2], name) or (b"", "")
        assert isinstance(data, bytes)
        _put(folder / files.folder / name, gzip.decompress(data))
    for name, path in files.large.items():
        _put(folder / files.folder / name, path.read_bytes())
    for name, text in parts.items():
        _put(folder / "parts" / f"{name}.json", text)
    shown = rendering.index(predictor, weights, source.words, files, local=True, scorm=scorm)
    _put(folder / "index.html", shown.encode())
    if scorm:
        return
    names = [path.relative_to(folder).as_posix() for path in _files(folder)]
    digest = hashlib.sha256()
    for name in names:
        digest.update(f"{name} {file_sha256(folder / name)}\n".encode())
    small = [name for name in names if f"{files.folder}/onnx/" not in name]
    kept = ["./" if name == "index.html" else name for name in small]
    about = f"self.files = {json.dumps(kept)};\nself.version = '{digest.hexdigest()[:16]}';\n"
    _put(folder / "files.js", about.encode())
    shutil.copy(FOLDER / "source" / "offline.js", folder / "sw.js")
    _put(folder / ".nojekyll", b"")


def _session(source: CaseSource, predictor: Predictor) -> dict[str, bytes]:
    """The cases of one session, each with its three layers, and their plan."""
    source.start()
    try:
        while (session := source.first()) is None:
            time.sleep(0.1)
    finally:
        source.close()
    content, number = Content(predictor), {case.key: k for k, case in enumerate(session.all)}
    plan = {
        "cases": [number[case.key] for case in session.cases],
        "pairs": [[number[case.key] for case in pair] for pair in session.pairs],
        "ordered": session.ordered,
        "looked_through": session.looked_through,
    }
    parts = {"session": plan} | {
        f"case/{number[case.key]}": {
            "preview": case.preview(),
            "network": content.network(case),
            "truth": truth(case),
        }
        for case in session.all
    }
    return {name: json.dumps(content).encode() for name, content in parts.items()}


async def _made(parts: Parts) -> dict[str, bytes]:
    """All parts as they are sent, by their names."""
    return {name: gzip.decompress(await parts.get(name)) for name in parts.names}


def _put(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def write_zip(folder: Path, out: Path) -> None:
    """Put a folder into a package of SCORM 1.2 for a learning platform."""
    names = [path.relative_to(folder).as_posix() for path in _files(folder)]
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as package:
        package.writestr(MANIFEST, rendering.render(f"{MANIFEST}.jinja", names=names))
        for name in names:
            package.write(folder / name, name)
