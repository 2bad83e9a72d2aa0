"""Published networks by name: fetched once, compared with their checksum, imported, kept.

Only what somebody named is ever fetched. Everything lies in the user's cache folder, so that the
second use needs no network.
"""

import hashlib
import json
import os
import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
from filelock import FileLock

from chexnet.data.download import Progress, file_sha256
from chexnet.errors import ConfigError, FetchError
from chexnet.files import (
    CACHE_VARIABLE,
    check_room,
    move_over,
    replacing,
    require_torch,
    write_text,
)
from chexnet.networks.sources import transfer

if TYPE_CHECKING:
    from chexnet.networks.registry import PublishedNetwork

NOTE = "fetched.json"
OFFLINE = ("CHEXNET_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables, of which one that is set keeps us from the network."""
IMPORT = 1
"""Raised when `import_network` makes something else of the same file: it is then made anew."""
ROOM_FOR_ONE = 64 << 20
"""Bytes for a network and what is made of it, where its own length is not known."""


def weights_path(
    text: str,
    *,
    offline: bool = False,
    on_progress: Progress | None = None,
    registry: Path | None = None,
) -> Path:
    """The weights file that a user means: a file, or a published network by its name.

    A file that exists wins. A name has neither slash nor suffix; its network is fetched and
    imported when it is first named.

    Args:
        text: what the user gave.
        offline: take what is in the cache, and never ask the network.
        on_progress: see `chexnet.data.download.Progress`; stages `fetching` and `importing`.
        registry: a TOML file of further networks.

    Raises:
        ConfigError: no file and no known name; near names are named.
        FetchError: it cannot be fetched, or is not what was published.
        CheckpointError: it cannot be imported.
    """
    path = Path(text)
    if path.is_file() or not is_name(text):
        return path
    from chexnet.networks.registry import find_network

    try:
        network = find_network(text, registry)
    except ConfigError as error:
        raise ConfigError(f"Found no file {text!r}. {error}") from error
    return imported(network, offline=offline, on_progress=on_progress)


def is_name(text: str) -> bool:
    """Whether this may be the name of a network: no slash, no suffix."""
    return bool(text) and not set(text) & set("/\\.")


def imported(
    network: "PublishedNetwork", *, offline: bool = False, on_progress: Progress | None = None
) -> Path:
    """The weights file that a network becomes; fetched and imported where it is not here yet.

    Raises:
        FetchError: see `fetch`.
        CheckpointError: see `import_network`.
    """
    source = fetch(network, offline=offline, on_progress=on_progress)
    # Another file, another description of it or another importer makes another weights file.
    described = f"{file_sha256(source)} {network!r} {IMPORT}"
    mark = hashlib.sha256(described.encode()).hexdigest()[:16]
    place = source.with_name(f"{network.name}-{mark}.pth")
    with FileLock(source.with_name(".lock")):
        if not place.is_file():
            if on_progress:
                on_progress("importing", 0, None)
            from chexnet.networks.importers import import_network  # torch, only when needed

            with replacing(place) as temporary:
                import_network(source, temporary, network=network)
    return place


def fetch(
    network: "PublishedNetwork", *, offline: bool = False, on_progress: Progress | None = None
) -> Path:
    """The published file, in the cache; its checksum was compared.

    The checksum is the registry's. Where that has none, the first file that comes is trusted, its
    checksum is stored, and another one is refused from then on.

    Args:
        network: an entry of the registry.
        offline: take what is in the cache, and never ask the network.
        on_progress: called with `fetching`, the bytes done and of how many.

    Raises:
        FetchError: no network, no such file, no room, or another file than was published.
        ConfigError: PyTorch, without which nobody can open it, is not installed.
    """
    require_torch(network.name)
    folder = cache_folder(network)
    place = folder / _file_name(network)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            expected = _expected(network)
            if place.is_file():
                _compare(network, place, expected)
                return place
            if offline or is_offline():
                raise FetchError(
                    f"{network.name} is not in the cache, and fetching it was forbidden "
                    f"(--offline or {' or '.join(OFFLINE)})."
                )
            check_room(folder, 2 * (network.bytes or ROOM_FOR_ONE), network.name)
            incoming = folder / "incoming"
            incoming.mkdir(exist_ok=True)
            came, more = transfer(
                network, incoming / place.name, known_commit(network), on_progress
            )
            try:
                found = _compare(network, came, expected)
            except FetchError:
                shutil.rmtree(incoming)
                raise
            note = {
                "source": network.source,
                "file": network.file,
                **more,
                "bytes": came.stat().st_size,
                "sha256": found,
                "date": datetime.now(UTC).isoformat(timespec="seconds"),
            }
            write_text(folder / NOTE, json.dumps(note, indent=2))
            move_over(came, place)
            shutil.rmtree(incoming, ignore_errors=True)
            return place
    except OSError as error:
        raise FetchError(
            f"{network.name} cannot be kept in {folder}: {error.strerror or error}. Make the cache "
            f"folder writable, or set {CACHE_VARIABLE} to another."
        ) from error


def cache_folder(network: "PublishedNetwork") -> Path:
    """Where a network is kept."""
    return platformdirs.user_cache_path("chexnet") / "networks" / network.name


def stored(network: "PublishedNetwork") -> dict[str, Any]:
    """What was noted when it was fetched: `bytes`, `sha256`, `date`, of the Hub the `commit`."""
    try:
        note = json.loads((cache_folder(network) / NOTE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    same = isinstance(note, dict) and all(
        note.get(key) == getattr(network, key) for key in ("source", "file")
    )
    return note if same else {}


def known_commit(network: "PublishedNetwork") -> str | None:
    """The Hub's commit that `main` was when this network was first fetched."""
    commit = stored(network).get("commit")
    return commit if isinstance(commit, str) else None


def is_offline() -> bool:
    """Whether the environment forbids the network."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE)


def _expected(network: "PublishedNetwork") -> str | None:
    """The checksum to compare with, None at the first use of a network whose is not known."""
    first = stored(network).get("sha256")
    return network.sha256 or (first if isinstance(first, str) else None)


def _compare(network: "PublishedNetwork", path: Path, expected: str | None) -> str:
    """SHA-256 of a file that is the expected one.

    Raises:
        FetchError: it is another.
    """
    size, found = path.stat().st_size, file_sha256(path)
    wrong = expected is not None and found != expected
    if not wrong and (network.bytes is None or size == network.bytes):
        return found
    told = "the registry" if network.sha256 else "the first fetch"
    wanted = f"SHA-256 {expected} ({told})" if wrong else f"{network.bytes:,} bytes"
    raise FetchError(
        f"{network.name}: the file {network.file} has {size:,} bytes and SHA-256 {found}, expected "
        f"{wanted}. It was not read. To fetch it anew and trust it, remove {cache_folder(network)}."
    )


def _file_name(network: "PublishedNetwork") -> str:
    name = network.file.replace("\\", "/").rpartition("/")[2]
    if not name or name.startswith(".") or name in (NOTE, "incoming"):
        raise ConfigError(f"{network.name}: found file {network.file!r}, expected a file's name.")
    return name
