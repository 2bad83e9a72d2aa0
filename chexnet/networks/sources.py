"""Where published networks lie: the Hub, Google Drive, a web address."""

import os
import socket
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from chexnet.data.download import Progress, optional
from chexnet.errors import ConfigError, FetchError

if TYPE_CHECKING:
    from chexnet.networks.registry import PublishedNetwork

_Show = Callable[[int, int | None], None]


def transfer(
    network: "PublishedNetwork", place: Path, commit: str | None, on_progress: Progress | None
) -> tuple[Path, dict[str, str]]:
    """Fetch the file of a published network from wherever it lies.

    Args:
        network: an entry of the registry.
        place: where the file shall lie; the Hub puts it in the same folder, under its own path.
        commit: of the Hub's repository; None takes the newest of `main`.
        on_progress: called with `fetching`, the bytes done and of how many.

    Returns:
        The file, and what to note of it: of the Hub the `commit`.

    Raises:
        FetchError: no network, no such file, or it was cut off.
        ConfigError: the registry names a source of another kind.
    """
    kind, _, rest = network.source.partition(":")

    def show(done: int, total: int | None) -> None:
        if on_progress:
            on_progress("fetching", done, total or network.bytes)

    show(0, None)
    try:
        if kind == "hub":
            return _from_hub(rest, network.file, place.parent, commit, show)
        if kind == "drive":
            return _from_drive(rest, place, show), {}
        if kind in ("https", "http"):
            return _from_web(network.source, place, show), {}
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
    repository: str, file: str, folder: Path, commit: str | None, show: _Show
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


def _from_web(url: str, place: Path, show: _Show) -> Path:
    address = urlsplit(url)
    if address.scheme != "https" and address.hostname not in ("127.0.0.1", "localhost"):
        raise ConfigError(f"Found source {url}, expected an address with https.")
    pooch = optional("pooch", "networks")
    bar = _bar(show)()
    pooch.HTTPDownloader(progressbar=bar, chunk_size=1 << 16, timeout=30)(url, str(place), None)
    if bar.total and place.stat().st_size != bar.total:
        raise FetchError(f"{url}: {place.stat().st_size:,} of {bar.total:,} bytes came. Try again.")
    return place


def _from_drive(identity: str, place: Path, show: _Show) -> Path:
    gdown = optional("gdown", "networks")
    gdown.download(
        id=identity, output=str(place), quiet=True, use_cookies=False, timeout=30, progress=show
    )
    return place


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
