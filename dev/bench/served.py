"""The demo in a process of its own, for dev.bench."""

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from chexnet.errors import ChexnetError

ROOT = Path(__file__).parents[2]
START_SECONDS = 180.0
STOP_SECONDS = 30.0


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


def _address(process: subprocess.Popen[bytes], log: Path) -> str:
    deadline = time.monotonic() + START_SECONDS
    while process.poll() is None and time.monotonic() < deadline:
        said = log.read_text(encoding="utf-8", errors="replace")
        if "Stop with" in said and (match := re.search(r"^Open (http\S+)$", said, re.MULTILINE)):
            return match[1]
        time.sleep(0.1)
    said = log.read_text(encoding="utf-8", errors="replace")
    last = said.strip().splitlines()[-1:] or ["nothing"]
    raise ChexnetError(f"The demo did not start; it said: {last[0]} All of it is in {log}.")
