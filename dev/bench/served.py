"""The demo in a process of its own, and its visitors, for dev.bench."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from chexnet.errors import ChexnetError

ROOT = Path(__file__).parents[2]
START_SECONDS = 180.0
STOP_SECONDS = 30.0
NO_FIGURE = "No speed is reported of a demo that does not answer everybody rightly."


@contextmanager
def served(weights: Path, log: Path) -> Iterator[str]:
    """Start `python -m demo` on the CPU and stop it when the block ends; gives its address.

    It is stopped on SIGTERM too, which would else end this process at once and leave the demo.

    Args:
        weights: a weights file.
        log: what the demo says is written here.

    Raises:
        ChexnetError: the demo did not start.
    """
    command = [sys.executable, "-m", "demo", "--weights", str(weights.resolve())]
    # The targets are for a machine without a GPU.
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": ""}
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("w", encoding="utf-8") as said:
        process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdout=said, stderr=subprocess.STDOUT
        )
    before = signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    try:
        yield _address(process, log)
    finally:
        signal.signal(signal.SIGTERM, before)
        process.terminate()
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _address(process: subprocess.Popen, log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        said = log.read_text(encoding="utf-8", errors="replace")
        if "Stop with" in said and (found := re.search(r"^Open (http\S+)$", said, re.MULTILINE)):
            return found[1]
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace")
    last = said.strip().splitlines()[-1:] or ["nothing"]
    raise ChexnetError(f"The demo did not start; it said: {last[0]} All of it is in {log}.")


def visitors(url: str, count: int) -> list[Any]:
    """Clients as anybody makes them, each with a session of its own; they tell no other host."""
    from gradio_client import Client

    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"

    def visit(_: int) -> Any:
        return Client(url, verbose=False, analytics_enabled=False, download_files=False)

    with ThreadPoolExecutor(8) as pool:
        return list(pool.map(visit, range(count)))


def ask(client: Any, endpoint: str, *given: Any, **named: Any) -> dict[str, Any]:
    """One call of a visitor.

    Raises:
        ChexnetError: the demo refused, or kept him waiting longer than his client waits.
    """
    from gradio_client.exceptions import AppError
    from httpx import HTTPError

    try:
        return client.predict(*given, api_name=endpoint, **named)
    except AppError as error:
        raise ChexnetError(f"The demo refused {endpoint}: {error}. {NO_FIGURE}") from error
    except HTTPError as error:  # often a timeout: the client waits 5 s for an upload
        raise ChexnetError(
            f"A visitor got no answer of {endpoint}: {error}. {NO_FIGURE} If this machine is busy "
            "with something else, wait; else pass fewer --clients."
        ) from error


def leave(clients: list[Any]) -> None:
    """End their sessions; each waits up to a second for its heartbeat, so all at once."""
    with ThreadPoolExecutor(len(clients)) as pool:
        list(pool.map(lambda client: client.close(), clients))
