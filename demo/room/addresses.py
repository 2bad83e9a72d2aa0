"""Where phones reach the page, as addresses and as QR codes."""

import io
import re
import socket
from functools import lru_cache
from urllib.parse import urlsplit

import segno

from chexnet.errors import ConfigError
from demo import security
from demo.listener import EVERYWHERE


def lan_url(host: str, local_url: str) -> str | None:
    """The page's address on the local network; None where it has none or it is not known.

    Args:
        host: that the page listens at.
        local_url: its address on this machine, for the port.
    """
    if host in security.LOOPBACK:
        return None
    address = _own_address() if host in EVERYWHERE else host
    if address is None:
        return None
    named = f"[{address}]" if ":" in address else address
    return f"http://{named}:{urlsplit(local_url).port}/"


def _own_address() -> str | None:
    """This machine's address on the network that leads outside."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("10.255.255.255", 9))  # chooses a route; sends nothing
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return None if address.startswith("127.") else address


@lru_cache(32)
def qr_picture(url: str) -> str:
    """A QR code as a `data:` URL of an SVG, dark on white whatever the page's theme."""
    picture: str = segno.make(url, error="m", micro=False).svg_data_uri(
        scale=1, border=4, dark="#000", light="#fff", unit="", omitsize=True
    )
    return picture


def qr_text(url: str) -> str:
    """A QR code for a terminal."""
    out = io.StringIO()
    segno.make(url, error="l", micro=False).terminal(out, border=2, compact=True)
    return out.getvalue()


def public_address(host: str, root_path: str = "") -> str:
    """The page's address behind a reverse proxy.

    Args:
        host: `NAME` or `NAME:PORT`; with `http://` before it where the proxy has no TLS.
        root_path: the path under which it serves the page, as `/path`; empty for none.

    Raises:
        ConfigError: it is neither.
    """
    match = re.fullmatch(r"(https?://)?([\w.-]+|\[[\da-fA-F:.]+\])(:\d{1,5})?/?", host)
    if not match:
        raise ConfigError(f"Found --public-host {host}, expected a name as demo.example.org.")
    return f"{match[1] or 'https://'}{match[2]}{match[3] or ''}{root_path}/"


def checked_root_path(given: str) -> str:
    """The path of `--root-path` without a slash at its end; empty for none.

    Raises:
        ConfigError: it is no path.
    """
    path = given.rstrip("/")
    if path and not re.fullmatch(r"(/[\w.~-]+)+", path):
        raise ConfigError(f"Found --root-path {given}, expected a path as /demo.")
    return path
