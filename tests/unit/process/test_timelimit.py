"""Work that is broken off at its limit."""

from __future__ import annotations

import gc
import hashlib
import re
import signal
import threading
import time
from typing import Any

import pytest

from buildbot.process.timelimit import LIMIT, TookTooLong

CATASTROPHE = re.compile(r"(a+)+$")


def test_what_is_in_time_gives_what_it_gives_and_raises_what_it_raises() -> None:
    assert LIMIT.within(1, lambda: 3) == 3
    with pytest.raises(ZeroDivisionError):
        LIMIT.within(1, lambda: 1 // 0)


def test_a_match_that_would_not_end_is_broken_off() -> None:
    for _ in range(2):
        began = time.process_time()
        with pytest.raises(TookTooLong):
            LIMIT.within(0.01, lambda: CATASTROPHE.match("a" * 60 + "b"))
        assert time.process_time() - began < 5


def test_nothing_in_it_can_keep_it_from_ending() -> None:
    def stubborn() -> None:
        while True:
            try:
                CATASTROPHE.match("a" * 60 + "b")
            except Exception:
                continue

    with pytest.raises(TookTooLong):
        LIMIT.within(0.01, stubborn)


def test_a_signal_that_comes_late_does_nothing() -> None:
    LIMIT.within(1, lambda: None)
    assert signal.getitimer(signal.ITIMER_VIRTUAL) == (0, 0)
    signal.raise_signal(signal.SIGVTALRM)


def test_what_the_garbage_collector_does_does_not_count() -> None:
    collected: list[float] = []

    def collecting() -> None:
        while sum(collected) < 0.1:
            began = time.thread_time()
            gc.collect()
            collected.append(time.thread_time() - began)

    LIMIT.within(0.04, collecting)

    def and_computing() -> None:
        gc.collect()
        CATASTROPHE.match("a" * 60 + "b")

    with pytest.raises(TookTooLong):
        LIMIT.within(0.01, and_computing)


def test_what_other_threads_compute_does_not_count() -> None:
    over = threading.Event()

    def busy() -> None:
        while not over.is_set():
            hashlib.pbkdf2_hmac("sha256", b"x", b"y", 5000)  # without the interpreter's lock

    def some_work() -> int:
        end = time.thread_time() + 0.04
        while time.thread_time() < end:
            pass
        return 5

    threads = [threading.Thread(target=busy) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        assert [LIMIT.within(0.05, some_work) for _ in range(3)] == [5, 5, 5]
    finally:
        over.set()
        for thread in threads:
            thread.join()


def test_in_another_thread_there_is_no_limit() -> None:
    found: list[Any] = []
    thread = threading.Thread(target=lambda: found.append(LIMIT.within(1e-6, lambda: sum(range(100_000)))))
    thread.start()
    thread.join()
    assert found == [sum(range(100_000))]
