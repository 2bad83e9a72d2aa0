"""Spreading independent jobs over processes or threads."""

import multiprocessing
import os
import signal
import sys
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence, Sized
from concurrent.futures import Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from chexnet.errors import ChexnetError

Job = TypeVar("Job")
Result = TypeVar("Result")

MOST_ON_WINDOWS = 61
"""Processes that a pool can wait for there."""
AHEAD = 2
"""Jobs a worker that are begun before they are asked for, as a DataLoader does."""
INTERRUPTS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGBREAK") if hasattr(signal, name)
)
"""What the keyboard sends: Ctrl-C, and on Windows Ctrl-Break."""


def process_map(
    function: Callable[[Job], Result],
    jobs: Iterable[Job],
    workers: int = 0,
    *,
    start: Callable[..., None] | None = None,
    start_args: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Yield `function(job)` of every job, in order, computed by several processes.

    Args:
        function: of a module, since it is named to the other processes.
        jobs: their arguments; those of an iterator are made when they are near their turn.
        workers: processes; 0 takes one for each core, 1 stays in this process.
        start: called once in each process, with `start_args`.

    Raises:
        ChexnetError: a process was killed, most often because memory ran out.
    """
    processes = workers or os.cpu_count() or 1
    if isinstance(jobs, Sized):
        processes = min(processes, len(jobs))
    if not processes:
        return
    if sys.platform == "win32":
        processes = min(processes, MOST_ON_WINDOWS)
    if processes == 1:
        if start is not None:
            start(*start_args)
        yield from map(function, jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can hang
    pool = ProcessPoolExecutor(processes, context, _start, (start, start_args))
    try:
        yield from _in_order(pool, function, jobs, AHEAD * processes)
    except BrokenProcessPool as error:
        raise ChexnetError(
            "A helper process was killed (out of memory?). Run the command again, it goes on "
            "from there; fewer --workers need less memory."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def forks() -> bool:
    """Whether a worker process is a copy of this one, there in milliseconds.

    On macOS and Windows, and on Linux from Python 3.14 on, it is a fresh one that imports torch
    again, which takes seconds.
    """
    return multiprocessing.get_start_method() == "fork"


def thread_map(
    function: Callable[[Job], Result], jobs: Sequence[Job], threads: int
) -> Iterator[Result]:
    """Yield `function(job)` of every job, in order, computed ahead by several threads."""
    with ThreadPoolExecutor(threads) as pool:
        yield from _in_order(pool, function, jobs, AHEAD * threads)


def _in_order(
    pool: Executor, function: Callable[[Job], Result], jobs: Iterable[Job], ahead: int
) -> Iterator[Result]:
    waiting: deque[Future[Result]] = deque()
    try:
        for job in jobs:
            waiting.append(pool.submit(function, job))
            if len(waiting) > ahead:
                yield waiting.popleft().result()
        while waiting:
            yield waiting.popleft().result()
    finally:
        for future in waiting:
            future.cancel()  # of somebody who stops looking


def break_as_interrupt() -> None:
    """Have Windows' Ctrl-Break end a command as Ctrl-C does: it would end it without a word."""
    if hasattr(signal, "SIGBREAK"):
        signal.signal(signal.SIGBREAK, signal.default_int_handler)


def _start(start: Callable[..., None] | None, start_args: tuple[Any, ...]) -> None:
    for number in INTERRUPTS:
        signal.signal(number, signal.SIG_IGN)  # the parent's to answer
    end_with_parent()
    if start is not None:
        start(*start_args)


def end_with_parent() -> None:
    """End this process when its parent ends, however that happens.

    A parent that is killed cannot tell its workers to end; without this they wait for ever.
    """

    def watch(parent: BaseProcess) -> None:
        parent.join()
        os._exit(1)

    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=watch, args=(parent,), daemon=True).start()
