"""Published networks by name: fetched once, compared with their checksum, imported, kept.

Only what somebody named is ever fetched. Everything lies in the user's cache folder, so that the
second use needs no network.
"""

import hashlib
import json
import os
import shutil
import socket
from collections.abc import Callable
from datetime import UTC, datetime
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import platformdirs
from filelock import FileLock

from chexnet.data.download import Progress, file_sha256, optional
from chexnet.errors import ConfigError, FetchError
from chexnet.files import check_room, move_over, replacing, write_text

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
    """
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
            came, more = _ask(network, incoming, known_commit(network), on_progress)
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
            shutil.rmtree(incoming)
            return place
    except OSError as error:
        raise FetchError(
            f"{network.name} cannot be kept in {folder}: {error.strerror or error}. Make the cache "
            "folder writable, or set XDG_CACHE_HOME to another."
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


def _ask(
    network: "PublishedNetwork", folder: Path, commit: str | None, on_progress: Progress | None
) -> tuple[Path, dict[str, str]]:
    """Fetch the file into `folder` from wherever it lies; gives its path, and what to note."""
    kind, _, rest = network.source.partition(":")

    def show(done: int, total: int | None) -> None:
        if on_progress:
            on_progress("fetching", done, total or network.bytes)

    show(0, None)
    try:
        if kind == "hub":
            return _from_hub(rest, network.file, folder, commit, show)
        if kind == "drive":
            return _from_drive(rest, folder / _file_name(network), show), {}
        if kind in ("https", "http"):
            return _from_web(network.source, folder / _file_name(network), show), {}
    except FetchError:
        raise
    except Exception as error:  # each of the three packages has its own kinds, of many bases
        raise FetchError(
            f"{network.name} could not be fetched from {network.source}: {_reason(error)}. "
            "Without a network, fetch the file elsewhere: python -m scripts.weights import FILE"
        ) from error
    raise ConfigError(
        f"{network.name}: found source {network.source!r}, expected hub:OWNER/NAME, drive:ID or "
        "https://..."
    )


def _reason(error: BaseException) -> str:
    """The innermost failure of a connection in a few words, else the first words of the error."""
    text = " ".join(str(error).split()) or type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, socket.gaierror | ConnectionError | TimeoutError):
            return f"no connection ({inner.strerror or inner})"
        inner = inner.__cause__ or inner.__context__
    return text[:200].rstrip(".")


def _from_hub(
    repository: str, file: str, folder: Path, commit: str | None, show: "_Show"
) -> tuple[Path, dict[str, str]]:
    # Read when the package is imported: no word about us to the Hub, and plain HTTP.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_XET"] = "1"
    hub = optional("huggingface_hub", "networks")
    constants = import_module("huggingface_hub.constants")  # it may have been imported before
    constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_XET = True  # type: ignore[attr-defined]
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    if commit is None:
        address = hub.hf_hub_url(repository, file, revision="main", endpoint=endpoint)
        commit = hub.get_hf_file_metadata(address, token=False, endpoint=endpoint).commit_hash
        if not commit:
            raise FetchError(f"{address} does not say which commit its main branch is.")
    came = hub.hf_hub_download(
        repository,
        file,
        revision=commit,
        endpoint=endpoint,
        local_dir=folder,
        token=False,
        tqdm_class=_bar(show),
    )
    return Path(came), {"commit": commit}


def _from_web(url: str, place: Path, show: "_Show") -> Path:
    address = urlsplit(url)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost"):
        raise ConfigError(f"Found source {url}, expected an address with https.")
    pooch = optional("pooch", "networks")
    bar = _bar(show)()
    pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=30)(url, str(place), None)
    if bar.total and place.stat().st_size != bar.total:
        raise FetchError(f"{url}: {place.stat().st_size:,} of {bar.total:,} bytes came. Try again.")
    return place


def _from_drive(identity: str, place: Path, show: "_Show") -> Path:
    gdown = optional("gdown", "networks")
    gdown.download(
        id=identity, output=str(place), quiet=True, use_cookies=False, timeout=30, progress=show
    )
    return place


_Show = Callable[[int, int | None], None]


def _bar(show: _Show) -> type:
    """A class with what huggingface_hub and pooch ask of a progress bar, and no output."""

    class Bar:
        def __init__(self, *_: Any, total: int = 0, initial: int = 0, **__: Any) -> None:
            self.total, self.n = total, initial

        def update(self, count: float | None = 1) -> None:
            self.n += int(count or 0)
            show(self.n, self.total or None)

        def reset(self, total: int | None = None) -> None:
            self.n, self.total = 0, total or self.total

        def close(self) -> None:
            pass

        def refresh(self) -> None:
            pass

        def set_description(self, *_: Any, **__: Any) -> None:
            pass

        def __enter__(self) -> "Bar":
            return self

        def __exit__(self, *_: object) -> None:
            pass

    return Bar
