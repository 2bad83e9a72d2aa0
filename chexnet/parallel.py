"""Spreading independent jobs over processes."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.process import BaseProcess
from typing import Any, TypeVar

from chexnet.errors import ChexnetError

Job = TypeVar("Job")
Result = TypeVar("Result")


def process_map(
    function: Callable[[Job], Result],
    jobs: Sequence[Job],
    workers: int = 0,
    *,
    start: Callable[..., None] | None = None,
    start_args: tuple[Any, ...] = (),
) -> Iterator[Result]:
    """Yield `function(job)` of every job, in order, computed by several processes.

    Args:
        function: of a module, since it is named to the other processes.
        jobs: their arguments.
        workers: processes; 0 takes one for each core, 1 stays in this process.
        start: called once in each process, with `start_args`.

    Raises:
        ChexnetError: a process was killed, most often because memory ran out.
    """
    if not jobs:
        return
    processes = min(workers or os.cpu_count() or 1, len(jobs))
    if processes == 1:
        if start is not None:
            start(*start_args)
        yield from map(function, jobs)
        return
    context = multiprocessing.get_context("spawn")  # forking a process with threads can hang
    pool = ProcessPoolExecutor(processes, context, _start, (start, start_args))
    try:
        yield from pool.map(function, jobs)
    except BrokenProcessPool as error:
        raise ChexnetError(
            "A helper process was killed (out of memory?). Run the command again, it goes on "
            "from there; fewer --workers need less memory."
        ) from error
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def _start(start: Callable[..., None] | None, start_args: tuple[Any, ...]) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to answer
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
