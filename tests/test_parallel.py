import itertools
import signal
import threading
import time
from concurrent.futures import Future

import pytest

from chexnet import parallel
from chexnet.parallel import break_as_interrupt, process_map, thread_map


def test_threads_give_results_in_order_and_work_only_so_far_ahead():
    began, gate = [], threading.Event()

    def square(number: int) -> int:
        began.append(number)
        if number == 0:
            gate.wait(10)  # the first is the last to be ready
        return number * number

    results = thread_map(square, range(100), threads=3)
    threading.Timer(0.1, gate.set).start()
    assert list(itertools.islice(results, 3)) == [0, 1, 4]
    time.sleep(0.05)
    assert max(began) <= 3 + parallel.AHEAD * 3
    results.close()
    assert len(began) < 20  # nobody asks any more


def test_an_error_in_a_thread_is_raised_where_its_result_is_asked_for():
    results = thread_map(lambda number: 1 // (2 - number), range(5), threads=2)
    assert [next(results), next(results)] == [0, 1]
    with pytest.raises(ZeroDivisionError):
        next(results)


@pytest.mark.skipif(not hasattr(signal, "SIGUSR1"), reason="SIGUSR1 stands in for Ctrl-Break")
def test_ctrl_break_is_answered_as_ctrl_c_is(monkeypatch):
    """Windows alone has SIGBREAK."""
    monkeypatch.setattr(signal, "SIGBREAK", signal.SIGUSR1, raising=False)
    before = signal.getsignal(signal.SIGUSR1)
    try:
        break_as_interrupt()
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGUSR1)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_windows_gets_no_more_processes_than_it_can_wait_for(monkeypatch):
    asked = []

    class Pool:
        def __init__(self, processes: int, *_: object) -> None:
            asked.append(processes)

        def submit(self, function, job):
            done = Future()
            done.set_result(function(job))
            return done

        def shutdown(self, **_: object) -> None:
            pass

    monkeypatch.setattr(parallel, "ProcessPoolExecutor", Pool)
    for system, expected in (("linux", 80), ("win32", 61)):
        monkeypatch.setattr(parallel.sys, "platform", system)
        assert list(process_map(abs, range(90), workers=80)) == list(range(90))
        assert asked.pop() == expected
