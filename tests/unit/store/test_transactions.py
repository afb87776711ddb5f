"""Transactions within transactions, listeners that fail, and what a slow transaction is said to have asked."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import Event, EventKind
from buildbot.store import Store, events, sources
from buildbot.store.store import SLOW_TRANSACTION_SECONDS
from tests.stores import new_store

NOW = 1_700_000_000.0


class Wrong(Exception):
    pass


def note(store: Store, name: str) -> None:
    sources.set_state(store, "test", name, True)


class TransactionCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.store = new_store(Path(self.mktemp()).absolute())
        self.addCleanup(self.store.close)

    def noted(self) -> list[str]:
        return self.store.column("SELECT name FROM source_state ORDER BY name")


class TestNesting(TransactionCase):
    def test_a_failure_of_the_inner_one_reverts_the_outer_one(self) -> None:
        def inner(store: Store) -> None:
            note(store, "inner")
            raise Wrong

        def outer(store: Store) -> None:
            note(store, "outer")
            store.transact(inner)

        with self.assertRaises(Wrong):
            self.store.transact(outer)
        self.assertEqual(self.noted(), [])

    def test_the_inner_one_must_not_wait_either_and_is_never_begun(self) -> None:
        async def inner(store: Store) -> None:
            raise AssertionError("begun")

        def outer(store: Store) -> None:
            note(store, "a")
            waiting: Awaitable[None] = store.transact(inner)
            del waiting

        with self.assertRaisesRegex(TypeError, "must not wait"):
            self.store.transact(outer)
        self.assertEqual(self.noted(), [])

    def test_nor_a_durable_one(self) -> None:
        def work(store: Store) -> Deferred[int]:
            note(store, "a")
            return succeed(1)

        with self.assertRaisesRegex(TypeError, "must not wait"):
            waiting = self.store.transact_durable(work)
            del waiting
        self.assertEqual(self.noted(), [])

    def test_an_ordinary_one_after_a_durable_one_does_not_count_as_durable(self) -> None:
        self.store.transact_durable(note, "a")
        with self.assertRaisesRegex(RuntimeError, "durable"):
            self.store.transact(lambda store: store.transact_durable(note, "b"))
        self.assertEqual(self.noted(), ["a"])


class TestListeners(TransactionCase):
    def setUp(self) -> None:
        super().setUp()
        self.heard: list[Event] = []

    def test_they_never_hear_of_what_was_reverted(self) -> None:
        self.store.event_listeners.append(self.heard.append)

        def work(store: Store, fail: bool) -> None:
            events.add(store, NOW, EventKind.CONFIG_LOADED, None, fail=fail)
            self.assertEqual(self.heard, [])
            if fail:
                raise Wrong

        with self.assertRaises(Wrong):
            self.store.transact(work, True)
        self.store.transact(work, False)
        self.assertEqual([event.detail for event in self.heard], [{"fail": False}])

    def test_one_that_fails_is_logged_and_the_others_hear(self) -> None:
        def fail(event: Event) -> None:
            raise Wrong

        self.store.event_listeners += [fail, self.heard.append]
        self.store.transact(lambda store: events.add(store, NOW, EventKind.CONFIG_LOADED))
        self.assertEqual(len(self.heard), 1)
        self.assertEqual(len(self.flushLoggedErrors(Wrong)), 1)

    def test_one_may_take_itself_off_the_list(self) -> None:
        def once(event: Event) -> None:
            self.heard.append(event)
            self.store.event_listeners.remove(once)

        self.store.event_listeners += [once, self.heard.append]
        for _ in range(2):
            self.store.transact(lambda store: events.add(store, NOW, EventKind.CONFIG_LOADED))
        self.assertEqual(len(self.heard), 3)


class TestSlowTransactions(TransactionCase):
    def said(self, work: Any) -> list[str]:
        with capturedLogs() as captured:
            self.store.transact(work)
        return [event["statements"] for event in captured if "a transaction took" in event["log_format"]]

    def test_a_question_may_be_what_was_slow(self) -> None:
        def work(store: Store) -> None:
            for number in range(30):  # one statement, asked often, does not hide the others
                note(store, str(number))
            store.value("SELECT  count(*)\nFROM changes")
            time.sleep(SLOW_TRANSACTION_SECONDS * 1.2)

        (statements,) = self.said(work)
        self.assertIn("INSERT INTO source_state", statements)
        self.assertIn("; SELECT count(*) FROM changes", statements)

    def test_what_was_asked_outside_of_it_is_not_held_against_it(self) -> None:
        self.store.execute("DELETE FROM patches")
        (statements,) = self.said(lambda store: time.sleep(SLOW_TRANSACTION_SECONDS * 1.2))
        self.assertEqual(statements, "")

    def test_a_quick_one_is_not_logged(self) -> None:
        self.assertEqual(self.said(lambda store: note(store, "a")), [])
