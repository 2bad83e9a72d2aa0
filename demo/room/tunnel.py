"""A tunnel from a share server to this page, with Gradio's helper program.

Gradio's own `launch(share=True)` is not used: it serves a page whose script comes from another
host, which this page forbids; it opens the tunnel once; and it stops reading what the helper says.
"""

import atexit
import os
import re
import secrets
import socket
import threading
from collections import deque
from contextlib import suppress
from pathlib import Path
from subprocess import TimeoutExpired
from typing import Any

import httpx

from chexnet.errors import ConfigError, FetchError
from demo.gradio_private import networking, tunneling

OPEN_SECONDS = 15.0
"""Until a helper that has not named a link is given up."""
ASK_SECONDS = 10.0
"""For asking Gradio which share server to use."""
LINE = 4096
"""Bytes of what the helper says that are looked at together; its lines have 200."""
_LINK = re.compile(r"(?:https?://)?((?:[\w-]{1,63}\.)+[a-z][\w-]{1,62})(:\d{1,5})?/?", re.I)
_NEAR = (".local", ".localhost", ".localdomain", ".internal", ".lan")


class Tunnel(tunneling.Tunnel):
    """Gradio's helper, whose words are read as long as it runs."""

    def __init__(self, *arguments: Any, scheme: str) -> None:
        """Prepare a tunnel; see `open_tunnel`."""
        super().__init__(*arguments)
        self.scheme = scheme
        self._said: deque[str] = deque(maxlen=20)
        self._named = threading.Event()
        self._link = ""

    @property
    def link(self) -> str:
        """The newest link that the helper named; after a lost connection it can be another."""
        return self._link

    @property
    def alive(self) -> bool:
        """Whether the helper runs."""
        return self.proc is not None and self.proc.poll() is None

    def kill(self) -> None:
        """End the helper."""
        atexit.unregister(self.kill)
        with suppress(ValueError):
            tunneling.CURRENT_TUNNELS.remove(self)
        process, self.proc = self.proc, None
        if process is None:
            return
        process.terminate()
        try:
            process.wait(2)
        except TimeoutExpired:
            process.kill()
            process.wait()

    def _read_url_from_tunnel_stream(self) -> str:
        """Called by Gradio once the helper runs.

        Raises:
            FetchError: it ended, or named no link in time.
        """
        process: Any = self.proc
        for pipe in (process.stdout, process.stderr):
            threading.Thread(target=self._read, args=(pipe,), daemon=True).start()
        self._named.wait(OPEN_SECONDS)
        if not self._link:
            self.kill()
            said = f" It said: {self._said[-1]}" if self._said else ""
            raise FetchError(f"The tunnel's helper gave no link.{said}")
        return self._link

    def _read(self, pipe: Any) -> None:
        with pipe:
            while raw := pipe.readline(LINE):  # a line need not end
                line = "".join(
                    filter(str.isprintable, raw[:512].decode("utf-8", "replace"))
                ).strip()
                self._said.append(line[:200])
                if match := re.search(r"start proxy success: (\S+)", line):
                    if host := public_host(match[1]):
                        self._link = f"{self.scheme}://{host}"
                        self._named.set()
                elif "login to server failed" in line:
                    self._named.set()
        self._named.set()  # it has ended


def public_host(link: str) -> str | None:
    """The host of a link that a share server named, with its port; None where it names no other.

    A server that names this machine or its network would have the page's own address refused as
    soon as it names another link.
    """
    match = _LINK.fullmatch(link[:255])
    if not match:
        return None
    name, own = match[1].lower(), socket.gethostname().lower()
    if not name or own in (name, name.partition(".")[0]) or name.endswith(_NEAR):
        return None
    return f"{name}{match[2] or ''}"


def share_server(given: str) -> tuple[str, int, str]:
    """Host, port and the links' scheme of a university's own share server.

    Args:
        given: `HOST:PORT`; with `https://` before it where its links are of that kind.

    Raises:
        ConfigError: it is neither.
    """
    scheme, mark, rest = given.rpartition("://")
    host, colon, port = rest.rpartition(":")
    good = bool(host) and colon and port.isdigit() and 0 < int(port) < 2**16
    if not good or not re.fullmatch(r"[\w.-]+", host) or (mark and scheme not in ("http", "https")):
        raise ConfigError(f"Found --share-server {given}, expected HOST:PORT.")
    return host, int(port), scheme or "http"


def open_tunnel(local_host: str, local_port: int, server: str | None, folder: Path) -> Tunnel:
    """Open a tunnel; its link is never that of an earlier one.

    Args:
        local_host: address of this page.
        local_port: its port.
        server: see `share_server`; None for Gradio's own.
        folder: where the server's certificate may lie.

    Raises:
        ChexnetError: the server, or the helper that is downloaded at first use, is not there.
    """
    server = server or os.environ.get("GRADIO_SHARE_SERVER_ADDRESS")
    certificate = None
    if server:
        host, port, scheme = share_server(server)
    else:
        try:
            [entry] = httpx.get(networking.GRADIO_API_SERVER, timeout=ASK_SECONDS).json()[:1]
            host, port, scheme = str(entry["host"]), int(entry["port"]), "https"
            path = folder / "share-server.pem"
            path.write_text(entry["root_ca"], encoding="utf-8")
            certificate = str(path)
        except (httpx.HTTPError, ImportError, OSError, ValueError, KeyError, TypeError) as error:
            raise FetchError("Gradio's share servers cannot be reached.") from error
    name = secrets.token_urlsafe(32)
    tunnel = Tunnel(host, port, local_host, local_port, name, certificate, scheme=scheme)
    try:
        tunnel.start_tunnel()
    except (httpx.HTTPError, ImportError, OSError, ValueError) as error:
        tunnel.kill()
        raise FetchError(f"The tunnel's helper is not there: {type(error).__name__}.") from error
    except BaseException:
        tunnel.kill()
        raise
    return tunnel
