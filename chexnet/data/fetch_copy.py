"""Published copies of NIH's pictures by name: fetched into a data folder, with NIH's tables.

The Hub's files come through huggingface_hub, which goes on where it was cut; others as NIH's
archives do (`chexnet.data.download`).
"""

import difflib
import os
import shutil
import tomllib
from dataclasses import dataclass
from fnmatch import fnmatch
from functools import partial
from pathlib import Path

from chexnet.data.archives import Progress, missing_tables
from chexnet.data.download import download, download_lock
from chexnet.data.hub import bar_of, open_hub, reason_of
from chexnet.errors import ConfigError, FetchError
from chexnet.files import check_room

KNOWN = Path(__file__).with_name("copies.toml")
TABLES = "tables"


@dataclass(frozen=True)
class PublishedCopy:
    """One entry of the registry; see the head of `copies.toml`."""

    name: str
    title: str
    source: str
    files: tuple[str, ...]
    revision: str = "main"
    bytes: int = 0
    notes: str = ""
    tried: bool = False


def known_copies(source: Path = KNOWN) -> dict[str, PublishedCopy]:
    """All copies by name, in the file's order, `tables` among them.

    Raises:
        ConfigError: the file is missing or an entry is not understood.
    """
    try:
        entries = tomllib.loads(source.read_text(encoding="utf-8"))
        return {
            name: PublishedCopy(name, **entry | {"files": tuple(entry["files"])})
            for name, entry in entries.items()
        }
    except (OSError, ValueError, TypeError, KeyError) as error:
        raise ConfigError(f"{source} cannot be read as a table of copies: {error}.") from error


def fetch_copy(
    root: Path,
    name: str,
    *,
    source: Path = KNOWN,
    on_progress: Progress = lambda *_: None,
    pause: float = 1.0,
) -> tuple[PublishedCopy, list[str]]:
    """Fetch a copy into `root`, and NIH's tables that `root` lacks.

    Args:
        root: the data folder; made where it is not there.
        name: of the registry.
        source: the registry.
        on_progress: see `archives.Progress`, with the names of files.
        pause: seconds before a second attempt.

    Returns:
        The copy, and the names of NIH's tables that could not be fetched.

    Raises:
        ConfigError: no such copy; near names are named.
        DataError: another download runs here.
        FetchError: it could not be fetched; what came is kept.
    """
    known = known_copies(source)
    tables = known.pop(TABLES, None)
    if name not in known:
        near = difflib.get_close_matches(name, known, n=2) or [*known]
        raise ConfigError(f"--copy: found {name!r}, expected {' or '.join(near)}.")
    copy = known[name]
    with download_lock(root):
        check_room(root, copy.bytes - _already(root), name)
        _fetch(root, copy, on_progress, pause)
        if tables and missing_tables(root):
            _fetch_tables(root, tables, on_progress, pause)
        return copy, missing_tables(root)


def _already(root: Path) -> int:
    """Bytes that are here, whole or in part."""
    return sum(path.stat().st_size for path in root.rglob("*") if path.is_file())


def _fetch(root: Path, copy: PublishedCopy, show: Progress, pause: float) -> None:
    kind, _, rest = copy.source.partition(":")
    if kind == "https" or copy.source.startswith("http://127.0.0.1"):
        download(
            copy.source, root / copy.files[0], on_progress=partial(show, copy.name), pause=pause
        )
        return
    if kind != "hub":
        raise ConfigError(
            f"{copy.name}: found source {copy.source!r}, expected hub:OWNER/NAME or https://..."
        )
    hub, endpoint = open_hub()
    asked = {"repo_id": rest, "repo_type": "dataset", "revision": copy.revision}
    try:
        names = hub.HfApi(endpoint, token=False).list_repo_files(**asked)
        chosen = [n for n in names if any(fnmatch(n, pattern) for pattern in copy.files)]
        if not chosen:
            raise FetchError(f"{copy.name}: {copy.source} has no file {' or '.join(copy.files)}.")
        for name in chosen:
            bar = bar_of(name, None, partial(show, name))
            hub.hf_hub_download(
                **asked,
                filename=name,
                local_dir=root,
                endpoint=endpoint,
                token=False,
                tqdm_class=bar,
            )
    except FetchError:
        raise
    except Exception as error:  # huggingface_hub's, httpx's and the system's, of many bases
        raise FetchError(
            f"{copy.name} could not be fetched from {copy.source}: {reason_of(error)}. Give the "
            "same command again; it goes on where it was."
        ) from error


def _fetch_tables(root: Path, tables: PublishedCopy, show: Progress, pause: float) -> None:
    """Into the folder itself, without replacing any; what fails is named by the caller."""
    temporary = root / ".tables"
    try:
        _fetch(temporary, tables, show, pause)
    except FetchError:
        return
    wanted = missing_tables(root)
    no_table = any(name.startswith("Data_Entry") for name in wanted)
    for path in sorted(temporary.rglob("*.*")):
        if path.name in wanted or (no_table and path.match("Data_Entry*.csv")):
            os.replace(path, root / path.name)
    shutil.rmtree(temporary)
