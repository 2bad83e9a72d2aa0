"""Starting, watching and killing processes that have imported torch already."""

import multiprocessing
import os
import socket
import time
from collections.abc import Callable
from pathlib import Path

from tests import tiny

if "forkserver" in multiprocessing.get_all_start_methods():
    # It has imported the package, and what the package imports late (torchmetrics: 3 s): a child is
    # there in milliseconds, and it has none of this process's threads.
    _context = multiprocessing.get_context("forkserver")
    _context.set_forkserver_preload(
        ["chexnet.training.loop", "torchmetrics.functional.classification", "tests.jobs"]
    )
else:  # Windows: a child imports torch for itself, in seconds
    _context = multiprocessing.get_context("spawn")


def start(function: Callable, *arguments: object, env: dict[str, str] | None = None):
    """Start `function(*arguments)` in a process of its own, with the network that is used here."""
    process = _context.Process(target=_call, args=(function, arguments, env or {}, tiny.is_used()))
    process.start()
    return process


def start_ranks(function: Callable, *arguments: object, ranks: int = 2) -> list:
    """Start one process a rank, as torchrun does."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    return [
        start(
            function,
            *arguments,
            env={
                "RANK": str(rank),
                "LOCAL_RANK": str(rank),
                "WORLD_SIZE": str(ranks),
                "MASTER_ADDR": "127.0.0.1",
                "MASTER_PORT": str(port),
                "OMP_NUM_THREADS": "1",
            },
        )
        for rank in range(ranks)
    ]


def wait(processes: list, seconds: float = 240) -> list[int | None]:
    """Exit codes; a process that outlives the time is killed (None)."""
    deadline = time.monotonic() + seconds
    codes = []
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        codes.append(process.exitcode)
        if process.exitcode is None:
            process.kill()
            process.join()
    return codes


def wait_for(path: Path, processes: list, seconds: float = 120) -> None:
    """Wait until `path` exists; fail when the processes end before or it takes too long."""
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert time.monotonic() < deadline, f"{path.name} did not appear"
        assert all(process.is_alive() for process in processes), f"ended without {path.name}"
        time.sleep(0.01)


def wait_for_change(path: Path, before: int | None, processes: list, seconds: float = 120) -> int:
    """Wait until `path` is newer than `before` (nanoseconds); gives its new time."""
    deadline = time.monotonic() + seconds
    while True:
        now = path.stat().st_mtime_ns if path.exists() else None
        if now is not None and now != before:
            return now
        assert time.monotonic() < deadline, f"{path.name} did not change"
        assert all(process.is_alive() for process in processes), f"ended without {path.name}"
        time.sleep(0.01)


def _call(function: Callable, arguments: tuple, env: dict[str, str], is_tiny: bool) -> None:
    os.environ.update(env)
    if is_tiny:
        tiny.use()
    # As in a program that a user starts: the first is the system's own way.
    multiprocessing.set_start_method(multiprocessing.get_all_start_methods()[0], force=True)
    import torch

    torch.set_num_threads(1)
    function(*arguments)
