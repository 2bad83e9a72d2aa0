"""Published networks by name: fetched once, compared with their checksum, imported, kept.

Only what somebody named is ever fetched. Files of the Hub lie in huggingface_hub's cache, others
where pooch puts them; beside those the weights file that each becomes.
"""

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import platformdirs
from filelock import FileLock

from chexnet.data.download import Progress, file_sha256, optional
from chexnet.data.hub import OFFLINE, PIECE, bar_of, is_offline, open_hub, reason_of
from chexnet.errors import ConfigError, FetchError
from chexnet.files import (
    CACHE_VARIABLE,
    check_room,
    is_name,
    replacing,
    require_torch,
    write_text,
)

if TYPE_CHECKING:
    from chexnet.networks.registry import PublishedNetwork

NOTE = "fetched.json"
IMPORT = 1
"""Raised when `import_network` makes something else of the same file: it is then made anew."""
ROOM_FOR_ONE = 64 << 20
"""Bytes for a network and what is made of it, where its own length is not known."""
LARGEST = 512 << 20
"""Bytes of a file whose size nobody has published; a larger one is not read anyway."""


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
    place = cache_folder(network) / f"{network.name}-{mark}.pth"
    with FileLock(place.with_name(".lock")):
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
    """The published file, in its cache; its checksum was compared.

    The checksum is the registry's. Where that has none, the first file that comes is trusted, its
    checksum is stored, and another one is refused from then on.

    Args:
        network: an entry of the registry.
        offline: take what is in the cache, and never ask the network.
        on_progress: called with `fetching`, the bytes done and of how many.

    Raises:
        FetchError: no network, no such file, no room, or another file than was published.
        ConfigError: the registry names a source of another kind, or PyTorch, without which nobody
            can open the file, is not installed.
    """
    require_torch(network.name)
    folder, note = cache_folder(network), stored(network)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with FileLock(folder / ".lock"):
            came = _transfer(network, note, offline or is_offline(), on_progress)
            size, digest = came.stat().st_size, file_sha256(came)
            expected = network.sha256 or note.get("sha256") or digest
            if digest != expected or network.bytes not in (None, size):
                told = "the registry" if network.sha256 else "the first fetch"
                wrong = (
                    f"SHA-256 {expected} ({told})"
                    if digest != expected
                    else f"{network.bytes:,} bytes"
                )
                raise FetchError(
                    f"{network.name}: the file {network.file} has {size:,} bytes and SHA-256 "
                    f"{digest}, expected {wrong}. It was not read. To fetch it anew, remove {came};"
                    f" to trust another one, {folder / NOTE}."
                )
            if not note:
                snapshot = came.as_posix().rpartition("/snapshots/")[2].partition("/")[0]
                note = {
                    "source": network.source,
                    "file": network.file,
                    **({"commit": snapshot} if network.source.startswith("hub:") else {}),
                    "bytes": size,
                    "sha256": digest,
                    "date": datetime.now(UTC).isoformat(timespec="seconds"),
                }
                write_text(folder / NOTE, json.dumps(note, indent=2))
            return came
    except OSError as error:
        raise FetchError(
            f"{network.name} cannot be kept in {folder}: {error.strerror or error}. Make the cache "
            f"folder writable, or set {CACHE_VARIABLE} to another."
        ) from error


def cache_folder(network: "PublishedNetwork") -> Path:
    """Where its weights file is kept, and what was noted of it."""
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


# --- where they lie: the Hub, Google Drive, a web address --------------------------------------


def _transfer(
    network: "PublishedNetwork", note: dict[str, Any], offline: bool, on_progress: Progress | None
) -> Path:
    """The file in its cache; fetched where it is not there."""
    kind, _, rest = network.source.partition(":")
    if kind not in ("hub", "drive", "https", "http"):
        raise ConfigError(
            f"{network.name}: found source {network.source!r}, expected hub:OWNER/NAME, drive:ID "
            "or https://..."
        )
    try:
        if kind == "hub":
            return _from_hub(rest, network, note.get("commit"), offline, on_progress)
        place = cache_folder(network) / _file_name(network)
        if place.is_file():
            return place
        if offline:
            raise _forbidden(network)
        return _by_pooch(network, place, note, on_progress)
    except (FetchError, ConfigError):
        raise
    except Exception as error:  # each of the three packages has its own kinds, of many bases
        raise FetchError(
            f"{network.name} could not be fetched from {network.source}: {reason_of(error)}. "
            "Without a network, fetch the file elsewhere: python -m scripts.weights import FILE"
        ) from error


def _forbidden(network: "PublishedNetwork") -> FetchError:
    return FetchError(
        f"{network.name} is not in the cache, and fetching it was forbidden "
        f"(--offline or {' or '.join(OFFLINE)})."
    )


def _from_hub(
    repository: str,
    network: "PublishedNetwork",
    commit: str | None,
    offline: bool,
    on_progress: Progress | None,
) -> Path:
    hub, endpoint = open_hub()
    # The commit that `main` was at the first use: a branch that moves changes nothing.
    asked = {"repo_id": repository, "filename": network.file, "revision": commit or "main"}
    there = hub.try_to_load_from_cache(**asked)
    if isinstance(there, str):
        return Path(there)
    if offline:
        raise _forbidden(network)
    check_room(cache_folder(network), 2 * (network.bytes or ROOM_FOR_ONE), network.name)
    bar = bar_of(network.name, network.bytes or LARGEST, on_progress, network.bytes)
    return Path(hub.hf_hub_download(**asked, endpoint=endpoint, token=False, tqdm_class=bar))


def _by_pooch(
    network: "PublishedNetwork", place: Path, note: dict[str, Any], on_progress: Progress | None
) -> Path:
    check_room(place.parent, 2 * (network.bytes or ROOM_FOR_ONE), network.name)
    pooch = optional("pooch", "networks")
    pooch.get_logger().setLevel("WARNING")
    show = bar_of(network.name, network.bytes or LARGEST, on_progress, network.bytes)()
    kind, _, identity = network.source.partition(":")
    if kind == "drive":
        gdown = optional("gdown", "networks")

        def downloader(_: str, output: str, *__: Any) -> None:
            def progress(done: int, total: int | None) -> None:
                show.total = total or network.bytes
                show.update(done - show.n)

            gdown.download(
                id=identity,
                output=output,
                quiet=True,
                use_cookies=False,
                timeout=30,
                progress=progress,
            )
    else:
        address = urlsplit(network.source)
        if kind != "https" and address.hostname not in ("127.0.0.1", "localhost"):
            raise ConfigError(f"Found source {network.source}, expected an address with https.")
        downloader = pooch.HTTPDownloader(progressbar=show, chunk_size=PIECE, timeout=30)
    known = network.sha256 or note.get("sha256")
    return Path(pooch.retrieve(network.source, known, place.name, place.parent, None, downloader))


def _file_name(network: "PublishedNetwork") -> str:
    name = network.file.replace("\\", "/").rpartition("/")[2]
    if not name or name.startswith(".") or name == NOTE:
        raise ConfigError(f"{network.name}: found file {network.file!r}, expected a file's name.")
    return name
