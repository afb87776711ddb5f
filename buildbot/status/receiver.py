"""Telling receivers what happened: each from its own cursor, at least once, in order, never slowing another.

A *receiver* (mail, and whatever else tells people) says which events it wants and tells one at a time. Its
`ReceiverWorker` is a worker of the doorbell. It reads the events after the receiver's cursor, tells the wanted ones
one after another, and moves the cursor when one is told. What cannot be told now stays where it is: it is tried
again after 5 s, then 10 s, 20 s ... at most 10 minutes, for as long as it takes, and the cursor's row says why.

If the process dies between the telling and the moving of the cursor, the event is told once more after the restart.

`Receivers` keeps the workers in step with the configuration. It also starts and stops those status objects which
listen by themselves (such as PBListener) and have no cursor.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Protocol, runtime_checkable

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.logger import Logger

from buildbot.doorbell import Doorbell
from buildbot.model import BuildID, Event, EventID
from buildbot.secrets.lookup import Secrets
from buildbot.store import events
from buildbot.store.logfiles import LogFiles
from buildbot.store.store import Store

GROUP = "receivers"
BATCH = 100  # events looked at in one run
FIRST_DELAY_SECONDS = 5.0
LONGEST_DELAY_SECONDS = 600.0
TELL_SECONDS = 300.0  # a receiver that has not told an event by then is interrupted
LONGEST_ERROR = 1000


class NotNow(Exception):
    """The event cannot be told at present; the text says why and is shown to people. It is tried again later."""


class Progress(Protocol):
    """Who hears of a running build's steps, which are not events."""

    def subscribe(self, call: Callable[[BuildID], object]) -> Callable[[], None]: ...


@dataclass(frozen=True, slots=True, kw_only=True)
class ReceiverContext:
    """What a receiver may use. `memory` is its own: it lasts until the event in hand is told, or the process ends."""

    store: Store
    log_files: LogFiles
    config: Callable[[], Any]
    now: Callable[[], float]
    reactor: Any
    secrets: Secrets
    pb: Any = None
    progress: Progress | None = None
    control: Any = None  # process.control.Control, for services that act
    memory: dict[str, Any] = field(default_factory=dict)


@runtime_checkable
class Receiver(Protocol):
    """Tells events to someone. `tell` raises NotNow (or anything else) when it must be tried again."""

    name: str

    def wants(self, event: Event) -> bool: ...

    async def tell(self, event: Event, context: ReceiverContext) -> None: ...


@runtime_checkable
class Listener(Protocol):
    """A status object that serves those who connect to it."""

    name: str

    async def start(self, context: ReceiverContext) -> None: ...

    async def stop(self) -> None: ...


def delay_after(failures: int) -> float:
    """Seconds until the next try, after so many earlier failures in a row."""
    return float(min(FIRST_DELAY_SECONDS * 2 ** min(failures, 20), LONGEST_DELAY_SECONDS))


class ReceiverWorker:
    """Tells one receiver everything it wants, from where it was. Give it to the doorbell.

    The receiver may be exchanged for a newer one of the same name; what is being told goes on to its end.
    """

    _log = Logger()

    def __init__(self, name: str, receiver: Receiver, context: ReceiverContext) -> None:
        self.name = name
        self.receiver = receiver
        self._context = replace(context, memory={})
        self._looked_at = EventID(0)  # unwanted events are written down only now and then

    async def __call__(self, now: float) -> float | None:
        store = self._context.store
        cursor = events.cursor(store, self.name) or store.transact(events.start_cursor, self.name)
        if cursor.next_try_at is not None and cursor.next_try_at > now:
            return cursor.next_try_at
        told = cursor.event_id
        batch = events.after(store, EventID(max(told, self._looked_at)), BATCH)
        for event in batch:
            if self.receiver.wants(event):
                problem = await self._tell(event, cursor.failures)
                if problem is not None:
                    return self._put_off(event, told, problem)
                told = event.id
                store.transact(events.advance_cursor, self.name, told)
                self._context.memory.clear()
                cursor = cursor._replace(failures=0)
            self._looked_at = event.id
        if self._looked_at - told >= BATCH:
            store.transact(events.advance_cursor, self.name, self._looked_at)
        return now if len(batch) == BATCH else None

    async def _tell(self, event: Event, failures: int) -> str | None:
        """Tell one event; what went wrong, or None."""
        try:
            telling = Deferred.fromCoroutine(self.receiver.tell(event, self._context))
            await telling.addTimeout(TELL_SECONDS, self._context.reactor)
        except CancelledError:
            raise  # the master stops
        except NotNow as problem:
            return str(problem)
        except TimeoutError:
            return f"not done after {TELL_SECONDS:.0f} s"
        except Exception as error:
            if failures == 0:
                self._log.failure("{receiver} failed on event {event}", receiver=self.name, event=event.id)
            return f"{type(error).__name__}: {error}"
        return None

    def _put_off(self, event: Event, told: EventID, problem: str) -> float:
        store = self._context.store
        if self._looked_at > told:
            store.transact(events.advance_cursor, self.name, self._looked_at)
        cursor = events.cursor(store, self.name)
        delay = delay_after(cursor.failures if cursor else 0)
        next_try_at = self._context.now() + delay
        store.transact(events.note_failure, self.name, next_try_at, problem[:LONGEST_ERROR])
        self._log.warn(
            "{receiver}: event {event} ({kind}) is tried again in {delay:.0f} s: {problem}",
            receiver=self.name,
            event=event.id,
            kind=event.kind.value,
            delay=delay,
            problem=problem,
        )
        return next_try_at


def with_names(wanted: Sequence[Any]) -> dict[str, Any]:
    """Each status object under its name; of several with the same name, the later ones get a number.

    The name is the cursor's, so it must be the same after a restart: it depends on the order in the configuration.
    """
    named: dict[str, Any] = {}
    for thing in wanted:
        base = getattr(thing, "name", None) or type(thing).__name__
        name, number = base, 1
        while name in named:
            number += 1
            name = f"{base}-{number}"
        named[name] = thing
    return named


class Receivers:
    """The receivers and listeners of the configuration in force."""

    _log = Logger()

    def __init__(self, bell: Doorbell, context: ReceiverContext) -> None:
        self._bell = bell
        self._context = context
        self._workers: dict[str, ReceiverWorker] = {}
        self._listeners: dict[str, Listener] = {}

    def names(self) -> list[str]:
        """Who is told of events at present: the names of their cursors."""
        return list(self._workers)

    async def sync(self, wanted: Sequence[Any]) -> None:
        """Go on with these, and with no others. What compares equal to what is there keeps running untouched."""
        named = with_names(wanted)
        self._sync_workers({name: thing for name, thing in named.items() if isinstance(thing, Receiver)})
        await self._sync_listeners({name: thing for name, thing in named.items() if isinstance(thing, Listener)})

    async def stop(self) -> None:
        """End the listeners. The workers end with the doorbell."""
        await self._sync_listeners({})

    def _sync_workers(self, wanted: dict[str, Receiver]) -> None:
        for name in [name for name in self._workers if name not in wanted]:
            self._bell.remove(name)
            del self._workers[name]
        for name, receiver in wanted.items():
            if name not in self._workers:
                self._context.store.transact(events.start_cursor, name)
                self._workers[name] = ReceiverWorker(name, receiver, self._context)
                self._bell.add(name, self._workers[name], GROUP)
            elif self._workers[name].receiver != receiver:
                self._workers[name].receiver = receiver
                self._bell.ring(name)

    async def _sync_listeners(self, wanted: dict[str, Listener]) -> None:
        for name, listener in list(self._listeners.items()):
            if wanted.get(name) != listener:
                del self._listeners[name]
                await listener.stop()
        for name, listener in wanted.items():
            if name in self._listeners:
                continue
            try:
                await listener.start(self._context)
            except Exception:
                self._log.failure("{listener} could not be started; the others go on", listener=name)
            else:
                self._listeners[name] = listener
