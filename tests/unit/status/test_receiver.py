"""The promises of receivers: at least once, in order, with back-off, never slowing another."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot.doorbell import Doorbell
from buildbot.model import Event, EventKind
from buildbot.secrets.lookup import Secrets
from buildbot.status.receiver import (
    BATCH,
    LONGEST_DELAY_SECONDS,
    TELL_SECONDS,
    NotNow,
    ReceiverContext,
    Receivers,
    delay_after,
    with_names,
)
from buildbot.store import events
from tests.unit.status.builds import NOW, World


class Told:
    """A receiver that writes down what it is told, and does with the next tellings what a test has asked for."""

    def __init__(self, name: str = "told", kinds: tuple[EventKind, ...] = (EventKind.CHANGE_ADDED,)) -> None:
        self.name = name
        self.kinds = kinds
        self.events: list[int] = []
        self.next: list[Exception | Deferred[None]] = []
        self.memory: list[int] = []

    def wants(self, event: Event) -> bool:
        return event.kind in self.kinds

    async def tell(self, event: Event, context: ReceiverContext) -> None:
        context.memory["tries"] = context.memory.get("tries", 0) + 1
        self.memory.append(context.memory["tries"])
        if self.next:
            match self.next.pop(0):
                case Exception() as problem:
                    raise problem
                case waiting:
                    await waiting
        self.events.append(int(event.id))


class Served:
    name = "served"

    def __init__(self, works: bool = True) -> None:
        self.calls: list[str] = []
        self.works = works

    async def start(self, context: ReceiverContext) -> None:
        self.calls.append("start")
        if not self.works:
            raise OSError("the port is taken")

    async def stop(self) -> None:
        self.calls.append("stop")


class ReceiverTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.TemporaryDirectory()
        self.addCleanup(directory.cleanup)
        self.world = World(Path(directory.name))
        self.addCleanup(lambda: self.world.store.close())
        self.clock = Clock()
        self.clock.advance(NOW)
        self.begin()

    def begin(self) -> None:
        """A master's process: what it holds in memory is new."""
        self.bell = Doorbell(self.clock, self.clock.seconds)
        self.receivers = Receivers(
            self.bell,
            ReceiverContext(
                store=self.world.store,
                log_files=self.world.log_files,
                config=lambda: None,
                now=self.clock.seconds,
                reactor=self.clock,
                secrets=Secrets(self.clock),
            ),
        )
        self.bell.start()

    def sync(self, *wanted: Any) -> None:
        self.successResultOf(Deferred.fromCoroutine(self.receivers.sync(wanted)))
        self.pump()

    def pump(self, seconds: float = 0) -> None:
        self.clock.advance(seconds)
        for _ in range(20):
            self.clock.advance(0)

    def happen(self, kind: EventKind = EventKind.CHANGE_ADDED, count: int = 1) -> list[int]:
        ids = [self.world.event(kind) for _ in range(count)]
        self.bell.ring("receivers")
        self.pump()
        return ids

    def cursor(self, name: str = "told") -> Any:
        return events.cursor(self.world.store, name)

    def test_wanted_events_are_told_in_order(self) -> None:
        told = Told()
        self.sync(told)
        first, second, third = self.happen(), self.happen(EventKind.BUILD_STARTED), self.happen()
        assert told.events == first + third
        assert self.cursor().event_id == third[0]
        assert second[0] not in told.events

    def test_a_new_receiver_begins_with_what_happens_next(self) -> None:
        self.happen(count=3)
        told = Told()
        self.sync(told)
        assert told.events == []
        assert told.events == [] and self.happen() == told.events

    def test_after_a_restart_it_goes_on_where_it_was(self) -> None:
        self.sync(Told())
        self.happen()
        missed = [self.world.event(EventKind.CHANGE_ADDED) for _ in range(3)]  # nobody rang: the process died
        self.world.reopen()
        self.begin()
        later = Told()
        self.sync(later)
        assert later.events == missed

    def test_dying_before_the_cursor_moved_tells_it_again(self) -> None:
        told, waiting = Told(), Deferred[None]()
        told.next = [waiting]
        self.sync(told)
        (event,) = self.happen()
        self.world.reopen()
        self.begin()
        later = Told()
        self.sync(later)
        assert later.events == [event]

    def test_what_cannot_be_told_is_tried_again_later_and_later_and_says_why(self) -> None:
        told = Told()
        told.next = [NotNow("the server is away"), NotNow("still away"), NotNow("and now")]
        self.sync(told)
        ids = self.happen(count=2)
        assert (self.cursor().failures, self.cursor().last_error) == (1, "the server is away")
        self.happen(EventKind.BUILD_STARTED)  # a ring does not hurry it
        self.pump(4.9)
        assert len(told.memory) == 1
        self.pump(0.2)
        assert (self.cursor().failures, self.cursor().last_error) == (2, "still away")
        self.pump(10.1)
        self.pump(20.1)
        assert told.events == ids
        assert self.cursor()[2:] == (0, None, None)

    def test_the_delay_is_bounded(self) -> None:
        assert [delay_after(n) for n in (0, 1, 2)] == [5, 10, 20]
        assert delay_after(1000) == LONGEST_DELAY_SECONDS

    def test_a_failing_receiver_does_not_slow_another(self) -> None:
        stuck, hanging, told = Told("stuck"), Told("hanging"), Told("told")
        stuck.next = [NotNow("no")]
        hanging.next = [Deferred()]
        self.sync(stuck, hanging, told)
        ids = self.happen(count=3)
        assert told.events == ids
        assert stuck.events == hanging.events == []
        hanging.next.clear()

    def test_telling_has_a_deadline(self) -> None:
        told = Told()
        told.next = [Deferred()]
        self.sync(told)
        ids = self.happen()
        self.pump(TELL_SECONDS + 1)
        assert "not done" in self.cursor().last_error
        self.pump(6)
        assert told.events == ids

    def test_a_bug_in_a_receiver_is_logged_once_and_tried_again(self) -> None:
        told = Told()
        told.next = [ZeroDivisionError("oops"), ZeroDivisionError("oops")]
        self.sync(told)
        ids = self.happen()
        self.pump(5.1)
        self.pump(10.1)
        assert told.events == ids
        assert len(self.flushLoggedErrors(ZeroDivisionError)) == 1

    def test_memory_lasts_until_the_event_is_told(self) -> None:
        told = Told()
        told.next = [NotNow("x"), NotNow("x")]
        self.sync(told)
        self.happen(count=2)
        self.pump(5.1)
        self.pump(10.1)
        assert told.memory == [1, 2, 3, 1]

    def test_a_long_backlog_is_told_in_full(self) -> None:
        told = Told()
        self.sync(told)
        ids = self.happen(count=2 * BATCH + 5)
        for _ in range(5):
            self.pump(0.1)
        assert told.events == ids

    def test_unwanted_events_cost_one_write_in_a_hundred(self) -> None:
        told = Told()
        self.sync(told)
        before = self.cursor().event_id
        self.happen(EventKind.BUILD_STARTED, BATCH - 1)
        assert self.cursor().event_id == before
        (last,) = self.happen(EventKind.BUILD_STARTED)
        self.pump(0.1)
        assert self.cursor().event_id == last

    def test_stopping_while_it_tells_leaves_the_event_for_the_next_start(self) -> None:
        told = Told()
        told.next = [Deferred()]
        self.sync(told)
        before = self.cursor()
        self.happen()
        self.successResultOf(Deferred.fromCoroutine(self.bell.stop()))
        assert self.cursor() == before

    def test_a_reconfiguration_keeps_the_cursor(self) -> None:
        first, second = Told(), Told()
        self.sync(first)
        ids = self.happen()
        self.sync(second)
        ids += self.happen()
        assert (first.events, second.events) == (ids[:1], ids[1:])

    def test_a_removed_receiver_hears_no_more(self) -> None:
        told = Told()
        self.sync(told)
        self.sync()
        self.happen()
        assert told.events == []

    def test_listeners_are_started_once_and_stopped(self) -> None:
        served = Served()
        self.sync(served)
        self.sync(served)
        self.sync()
        assert served.calls == ["start", "stop"]

    def test_a_listener_that_cannot_start_does_not_hold_up_the_others(self) -> None:
        broken, served = Served(works=False), Served()
        self.sync(broken, served)
        assert len(self.flushLoggedErrors(OSError)) == 1
        assert served.calls == ["start"]

    def test_names_are_unique_and_the_same_after_a_restart(self) -> None:
        things = [Told("mail"), Told("mail"), Told("irc"), Told("mail")]
        assert list(with_names(things)) == ["mail", "mail-2", "irc", "mail-3"]
