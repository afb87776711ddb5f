"""Questions in threads, and checkpoints outside the reactor."""

from __future__ import annotations

import queue
import sqlite3
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from buildbot.store import Queries, Store, sources
from buildbot.store.readers import ThreadedReaders, checkpoint

T = TypeVar("T")


@implementer(IReactorFromThreads)
class Turns:
    """A reactor that only takes calls from threads, and makes them when the test lets it."""

    def __init__(self) -> None:
        self._calls: queue.Queue[Callable[[], object]] = queue.Queue()

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:
        self._calls.put(lambda: callable(*args, **kwargs))

    def take(self) -> None:
        self._calls.get(timeout=10)()


class ReadersCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp()).absolute()
        Store.open(self.path).close()
        self.turns = Turns()
        self.readers = ThreadedReaders(self.path, self.turns, threads=2)
        self.store = Store.open(self.path, readers=self.readers)
        self.addCleanup(self.store.close)

    def note(self, name: str) -> None:
        self.store.transact(sources.set_state, "test", name, "x" * 5000)

    def result(self, deferred: Deferred[T]) -> T:
        while not deferred.called:
            self.turns.take()
        return self.successResultOf(deferred)


def names(queries: Queries) -> list[str]:
    return queries.column("SELECT name FROM source_state ORDER BY name")


class TestThreadedReaders(ReadersCase):
    def test_a_question_runs_in_another_thread_and_sees_what_is_committed(self) -> None:
        self.note("a")
        here = threading.get_ident()
        there, seen = self.result(self.store.read(lambda queries: (threading.get_ident(), names(queries))))
        self.assertNotEqual(there, here)
        self.assertEqual(seen, ["a"])

    def test_what_is_not_committed_is_not_seen(self) -> None:
        def work(store: Store) -> list[str]:
            sources.set_state(store, "test", "a", 1)
            return self.result(store.read(names))

        self.assertEqual(self.store.transact(work), [])
        self.assertEqual(self.result(self.store.read(names)), ["a"])

    def test_all_that_one_question_reads_is_of_one_moment(self) -> None:
        begun, written = threading.Event(), threading.Event()

        def question(queries: Queries) -> tuple[list[str], list[str]]:
            first = names(queries)
            begun.set()
            written.wait(10)
            return first, names(queries)

        asked = self.store.read(question)
        self.assertTrue(begun.wait(10))
        self.note("a")
        written.set()
        self.assertEqual(self.result(asked), ([], []))
        self.assertEqual(self.result(self.store.read(names)), ["a"])

    def test_it_cannot_write(self) -> None:
        asked = self.store.read(lambda queries: queries.value("DELETE FROM source_state RETURNING name"))
        while not asked.called:
            self.turns.take()
        self.assertIn("readonly", str(self.failureResultOf(asked, sqlite3.OperationalError).value))

    def test_after_a_question_that_fails_others_are_answered(self) -> None:
        def fail(queries: Queries) -> None:
            names(queries)
            raise LookupError

        for _ in range(4):
            asked = self.store.read(fail)
            while not asked.called:
                self.turns.take()
            self.failureResultOf(asked, LookupError)
        self.note("a")
        self.assertEqual(self.result(self.store.read(names)), ["a"])

    def test_a_long_question_does_not_hold_up_the_writer(self) -> None:
        begun, over = threading.Event(), threading.Event()

        def question(queries: Queries) -> int:
            names(queries)
            begun.set()
            over.wait(10)
            return 1

        asked = self.store.read(question)
        begun.wait(10)
        started = time.perf_counter()
        self.note("a")
        self.assertLess(time.perf_counter() - started, 5)
        self.assertFalse(asked.called)
        over.set()
        self.assertEqual(self.result(asked), 1)

    def test_no_more_questions_run_at_once_than_there_are_threads(self) -> None:
        lock, running, most = threading.Lock(), [0], [0]

        def question(queries: Queries) -> None:
            with lock:
                running[0] += 1
                most[0] = max(most[0], running[0])
            time.sleep(0.01)
            with lock:
                running[0] -= 1

        for asked in [self.store.read(question) for _ in range(8)]:
            self.result(asked)
        self.assertLessEqual(most[0], 2)


class TestCheckpoint(ReadersCase):
    @property
    def wal(self) -> Path:
        return self.path.with_name(self.path.name + "-wal")

    def in_file(self) -> bytes:
        return self.path.read_bytes()

    def test_it_moves_what_was_written_into_the_file(self) -> None:
        self.store.checkpoint_elsewhere()
        self.store.transact(sources.set_state, "test", "a", "a word that is not in the schema")
        self.assertNotIn(b"a word that is not in the schema", self.in_file())
        self.assertIsNone(self.result(self.readers.checkpoint()))
        self.assertIn(b"a word that is not in the schema", self.in_file())

    def test_the_writer_does_none_by_itself_then(self) -> None:
        self.store.checkpoint_elsewhere()
        for number in range(1200):
            self.note(f"{number:04}")
        self.assertNotIn(b"x" * 1000, self.in_file())

    def test_it_does_not_wait_for_a_transaction_that_is_open(self) -> None:
        def work(store: Store) -> None:
            sources.set_state(store, "test", "a", 1)
            checkpoint(self.path)

        self.store.transact(work)
        self.assertEqual(names(self.store), ["a"])

    def test_the_log_is_used_again_after_it(self) -> None:
        self.store.checkpoint_elsewhere()
        for _ in range(20):
            self.note("a")
        size = self.wal.stat().st_size
        for _ in range(5):
            checkpoint(self.path)
            for _ in range(20):
                self.note("a")
        self.assertEqual(self.wal.stat().st_size, size)
