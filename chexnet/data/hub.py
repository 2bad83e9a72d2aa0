"""The Hugging Face Hub, and what a transfer by another package tells of itself."""

import io
import os
import socket
from importlib import import_module
from types import ModuleType
from typing import Any

from chexnet.data.download import Progress, optional
from chexnet.errors import FetchError

OFFLINE = ("CHEXNET_OFFLINE", "HF_HUB_OFFLINE")
"""Environment variables, of which one that is set keeps us from the network."""
PIECE = 1 << 16
"""Bytes that pooch takes from the server, and tells its bar, at once."""


def is_offline() -> bool:
    """Whether the environment forbids the network."""
    return any(os.environ.get(name, "").lower() in ("1", "true", "yes", "on") for name in OFFLINE)


def open_hub() -> tuple[ModuleType, str]:
    """The package huggingface_hub, which says no word about us, and the Hub's address.

    Raises:
        FetchError: it is not installed.
    """
    # Read when the package is imported: no word about us to the Hub, and plain HTTP.
    os.environ["HF_HUB_DISABLE_TELEMETRY"] = os.environ["HF_HUB_DISABLE_XET"] = "1"
    hub = optional("huggingface_hub", "networks")
    constants = import_module("huggingface_hub.constants")  # it may have been imported before
    constants.HF_HUB_DISABLE_TELEMETRY = constants.HF_HUB_DISABLE_XET = True  # type: ignore[attr-defined]
    return hub, os.environ.get("HF_ENDPOINT") or "https://huggingface.co"


def reason_of(error: BaseException) -> str:
    """The innermost failure of a connection in a few words, else the first words of the error."""
    text = " ".join(str(error).split()) or type(error).__name__
    inner: BaseException | None = error
    while inner is not None:
        if isinstance(inner, socket.gaierror | ConnectionError | TimeoutError):
            return f"no connection ({inner.strerror or inner})"
        inner = inner.__cause__ or inner.__context__
    return text[:200].rstrip(".")


def bar_of(
    name: str, limit: int | None, on_progress: Progress | None, length: int | None = None
) -> type:
    """A progress bar for huggingface_hub and pooch that only tells `on_progress`.

    Args:
        name: of what is fetched.
        limit: bytes after which the transfer is stopped, None for none.
        on_progress: called with `fetching`, the bytes done and of how many.
        length: bytes in all, where the server does not say.
    """
    from tqdm import tqdm  # type: ignore[import-untyped]

    class Bar(tqdm):  # type: ignore[misc]
        def __init__(self, *given: Any, **options: Any) -> None:
            quiet = {"file": io.StringIO(), "disable": False, "mininterval": 0}
            super().__init__(*given, **options | quiet)

        def __bool__(self) -> bool:
            return True  # pooch tells a bar only where it is true; tqdm's of no length is false

        def update(self, n: float | None = 1) -> None:
            super().update(n)
            # A body without a length may have no end; the last piece counts whole.
            if limit is not None and self.n - PIECE > limit:
                raise FetchError(
                    f"{name}: the server sends more than {limit:,} "
                    "bytes. It was stopped, and what came was removed."
                )

        def display(self, *_: Any, **__: Any) -> None:
            if on_progress:
                on_progress("fetching", int(self.n), self.total or length)

    return Bar
