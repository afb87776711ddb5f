"""What every scheduler is, and the one worker that drives any of them: judge the new changes, then decide.

*Judging* asks the user's callables, which may wait, and so happens outside of any transaction; each verdict is kept
with its reason in words. *Deciding* is one transaction: buildset, requests and the retirement of the changes that
went into them are there together or not at all. No attribute changes between runs: state is in the store.
"""

from __future__ import annotations

import json
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from inspect import isawaitable
from typing import Any, NamedTuple, Protocol

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildbot.config.arguments import configurable
from buildbot.config.errors import did_you_mean, error
from buildbot.model import BuildID, BuildsetID, Change, ChangeID, Property, SourceStampID, Verdict
from buildbot.process.properties import Properties, needs_rendering, render
from buildbot.process.userchange import UserChange
from buildbot.store import Store, builders, buildsets, changes, pauses, properties, schedulers
from buildbot.store.store import Queries

JUDGED_A_PASS = 100
JUDGING_SECONDS = 0.02
_LONGEST_REASON = 500
_STAMP_DEFAULTS = ("repository", "branch", "revision", "project")
_STAMP = ("codebase", *_STAMP_DEFAULTS)

_log = Logger()


class UserCodeFailed(Exception):
    """A callable of the configuration raised; the text says which one and what."""


class Settled(NamedTuple):
    """What a buildset gets from its scheduler, once nothing of it depends on the user's callables any more."""

    builder_names: tuple[str, ...]
    properties: tuple[Property, ...]
    priority: int


class Parent(NamedTuple):
    """The build whose Trigger step asks for a buildset."""

    build: BuildID
    relationship: str  # what the buildset is to it, in words
    waited_for: bool  # it does not go on before the buildset is complete


class Unsettled(NamedTuple):
    """There will be no buildset: the user's callables failed, or they want none (`verdict` says which)."""

    reason: str
    verdict: Verdict = Verdict.FAILED


Answers = Mapping[Any, Settled | Unsettled]  # by what each scheduler knows its decisions by


class Planned(Properties):
    """The properties of a buildset that is about to be made: what renderables of a scheduler are given.

    sourcestamps: a dictionary for each, with codebase, repository, project, branch and revision (also what `src:` of an
    Interpolate asks). changes: those that it is made of, files: the paths that these touch.
    """

    __slots__ = ("changes", "files", "sourcestamps")

    def __init__(self, sources: Sequence[Mapping[str, Any]], changes: Sequence[UserChange]) -> None:
        super().__init__()
        self.sourcestamps = [{**dict.fromkeys(_STAMP), **source} for source in sources]
        self.changes = list(changes)
        self.files = sorted({path for change in changes for path in change.files})

    def getSourceStamp(self, codebase: str = "") -> Mapping[str, Any] | None:
        return next((source for source in self.sourcestamps if source["codebase"] == codebase), None)


class Scheduler(Protocol):
    """What the master asks of a scheduler."""

    @property
    def name(self) -> str: ...

    @property
    def listens(self) -> bool:
        """Whether it judges changes at all."""

    @property
    def acknowledges(self) -> bool:
        """Whether somebody outside takes its decisions as done for good: they must survive a power loss."""

    def classify(
        self, change: Change, files: Sequence[str], properties: Sequence[Property]
    ) -> tuple[Verdict, str] | Awaitable[tuple[Verdict, str]]: ...

    async def ask(self, store: Store, now: float) -> Answers:
        """Ask the user's callables, outside of a transaction, about what is about to be decided."""

    def run(self, store: Store, now: float, answers: Answers = ...) -> float | None:
        """Decide, inside a transaction. Returns when to decide again (None: when something rings)."""

    def pass_over(self, store: Store, now: float) -> None:
        """It is paused: do not decide."""


@configurable
class BaseScheduler:
    """What all schedulers take.

    name: unique among schedulers. builderNames: names of builders (or a renderable that gives them). properties:
    {name: value} set in each build. codebases: names, or {name: {"repository", "branch", "revision", "project"}}, all
    the codebases of a build (default: the unnamed one). priority: int, or a function (builderNames,
    {codebase: [change]}) -> int; higher goes first (default 0).
    """

    listens = True
    acknowledges = False

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        properties: Mapping[str, Any] | None = None,
        codebases: Any = None,
        priority: Any = None,
    ) -> None:
        self.name: str = name
        self.builderNames: Any = builderNames if is_dynamic(builderNames) else _builder_names(name, builderNames)
        self.properties = _properties(name, properties)
        self.codebases = _codebases(name, codebases)
        self.priority: int | Callable[..., Any] = 0 if priority is None else priority
        if not isinstance(name, str) or not name:
            error(f"a scheduler's name is a string that is not empty, not {name!r}")
        if not isinstance(self.priority, int) and not callable(self.priority):
            error(f"scheduler {name!r}: priority is an int or a function, not {priority!r}")
        self.asks = callable(self.priority) or is_dynamic(self.builderNames) or needs_rendering(self.properties)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.name!r}>"

    def listBuilderNames(self) -> list[str]:
        """The builders it names; empty when that depends on each build."""
        return [] if is_dynamic(self.builderNames) else list(self.builderNames)

    def classify(
        self, change: Change, files: Sequence[str], properties: Sequence[Property]
    ) -> tuple[Verdict, str] | Awaitable[tuple[Verdict, str]]:
        return Verdict.NOT_MINE, "this scheduler does not build changes"

    async def ask(self, store: Store, now: float) -> Answers:
        return {}

    def run(self, store: Store, now: float, answers: Answers | None = None) -> float | None:
        return None

    def pass_over(self, store: Store, now: float) -> None:
        """Somebody has paused it: what would be decided now is not, and what waits goes on waiting."""

    def times(self, remembered: Any, now: float, count: int) -> list[float]:
        """For people: when it fires next, if that is known; remembered: its state `LAST_TIME`."""
        return []

    # -- for the kinds

    def settle_plain(self) -> Settled:
        """What buildsets get when nothing depends on a callable (`asks` is false)."""
        assert isinstance(self.priority, int)
        return Settled(tuple(self.builderNames), self._own_properties(self.properties), self.priority)

    async def settle(
        self,
        changes_by_codebase: Mapping[str, Sequence[UserChange]],
        sources: Sequence[Mapping[str, Any]] = (),
        given: Sequence[Property] = (),
    ) -> Settled | Unsettled:
        """Render properties and builder names and ask for the priority. What is `given` goes over its properties.

        sources: what will be built of each codebase.
        """
        try:
            return await self._settle(changes_by_codebase, sources, given)
        except CancelledError:
            raise
        except Exception as wrong:
            _log.failure("scheduler {scheduler}: a function of its arguments failed", scheduler=self.name)
            text = str(wrong) if isinstance(wrong, UserCodeFailed) else in_words("properties or builderNames", wrong)
            return Unsettled(text)

    async def _settle(
        self,
        changes_by_codebase: Mapping[str, Sequence[UserChange]],
        sources: Sequence[Mapping[str, Any]],
        given: Sequence[Property],
    ) -> Settled:
        known = Planned(sources, [change for seen in changes_by_codebase.values() for change in seen])
        for change in known.changes:
            known.updateFromProperties(change.properties)
        _set(known, given)
        known.setProperty("scheduler", self.name, "Scheduler")
        values = await render(self.properties, known)
        known.update(values, "Scheduler")
        _set(known, given)
        names = tuple(_name_of(name) for name in await render(self.builderNames, known))
        priority = self.priority
        if callable(priority):
            priority = await ask_user("priority", priority, list(names), changes_by_codebase)
        own = {each.name: each for each in (*self._own_properties(values), *given)}
        own["scheduler"] = Property("scheduler", self.name, "Scheduler")
        return Settled(names, tuple(own.values()), int(priority))

    def _own_properties(self, values: Mapping[str, Any]) -> tuple[Property, ...]:
        own = {**values, "scheduler": self.name}
        return tuple(Property(name, value, "Scheduler") for name, value in own.items())

    def submit(
        self,
        store: Store,
        settled: Settled,
        stamps: Sequence[SourceStampID],
        *,
        newest: ChangeID | None,
        reason: str,
        now: float,
        external_id: str | None = None,
        parent: Parent | None = None,
    ) -> BuildsetID:
        """Make the buildset. Its properties: those of the newest change, and over them the scheduler's."""
        ids = []
        for name in settled.builder_names:
            builder = builders.by_name(store, name)
            if builder is None or builder.removed_at is not None:
                _log.error("scheduler {scheduler}: there is no builder {builder!r}", scheduler=self.name, builder=name)
            else:
                ids.append(builder.id)
        given = [] if newest is None else properties.of(store, "change", newest)
        buildset, _ = buildsets.submit(
            store,
            builders=list(dict.fromkeys(ids)),
            source_stamps=stamps,
            reason=reason,
            now=now,
            scheduler=self.name,
            given=[*given, *settled.properties],
            external_id=external_id,
            priority=settled.priority,
            waited_for=parent is not None and parent.waited_for,
            parent_build_id=None if parent is None else parent.build,
            parent_relationship=None if parent is None else parent.relationship,
        )
        return buildset


def why_paused(store: Queries, name: str) -> str | None:
    """A sentence that says who paused this scheduler; None: it is not paused."""
    pause = pauses.get(store, pauses.Kind.SCHEDULER, name)
    if pause is None:
        return None
    return f"scheduler {name!r} is paused by {pause.who}" + (f": {pause.why}" if pause.why else "")


# -- the worker


async def drive(scheduler: Scheduler, store: Store, now: float) -> float | None:
    """One run of one scheduler, for the doorbell: judge a bounded number of new changes, then decide."""
    more = await judge(scheduler, store, now) if scheduler.listens else False
    answers = await scheduler.ask(store, now)
    decide = store.transact_durable if scheduler.acknowledges else store.transact
    wake_at = decide(_decide, scheduler, now, answers)
    return now if more else wake_at


def _decide(store: Store, scheduler: Scheduler, now: float, answers: Answers) -> float | None:
    if not schedulers.is_present(store, scheduler.name):
        return None  # the configuration dropped it while its callables were waiting
    if not scheduler.listens:
        schedulers.skip(store, scheduler.name)  # when it does one day, it begins with the changes of that day
    if why_paused(store, scheduler.name):
        scheduler.pass_over(store, now)
        return None
    return scheduler.run(store, now, answers)


async def judge(scheduler: Scheduler, store: Store, now: float) -> bool:
    """Keep a verdict on the next changes; whether there are more. Stops early when the callables are slow."""
    new = schedulers.unclassified(store, scheduler.name, JUDGED_A_PASS)
    verdicts: list[tuple[ChangeID, Verdict, str]] = []
    started = time.perf_counter()
    for change in new:
        verdicts.append((change.id, *await _verdict(scheduler, store, change)))
        if time.perf_counter() - started > JUDGING_SECONDS:
            break
    if verdicts:
        store.transact(_keep, scheduler.name, verdicts, now)
    return len(verdicts) < len(new) or len(new) == JUDGED_A_PASS


async def _verdict(scheduler: Scheduler, store: Queries, change: Change) -> tuple[Verdict, str]:
    try:
        files, given = changes.files(store, change.id), properties.of(store, "change", change.id)
        verdict = scheduler.classify(change, files, given)
        return await verdict if isawaitable(verdict) else verdict
    except CancelledError:
        raise
    except Exception as wrong:
        _log.failure(
            "scheduler {scheduler} cannot judge change {change}; it goes on with the next one",
            scheduler=scheduler.name,
            change=change.id,
        )
        text = str(wrong) if isinstance(wrong, UserCodeFailed) else in_words("judging", wrong)
        return Verdict.FAILED, text


def _keep(store: Store, name: str, verdicts: Sequence[tuple[ChangeID, Verdict, str]], now: float) -> None:
    if schedulers.is_present(store, name):
        for change, verdict, reason in verdicts:
            schedulers.classify(store, name, change, verdict, reason, now)


# -- the user's callables


async def ask_user(what: str, function: Callable[..., Any], *args: Any) -> Any:
    """Call a function of the configuration and wait for its answer. Raises UserCodeFailed when it fails."""
    try:
        answer = function(*args)
        return await _told_apart(answer) if isawaitable(answer) else answer
    except CancelledError:
        raise
    except Exception as wrong:
        raise UserCodeFailed(in_words(what, wrong)) from wrong


def in_words(what: str, wrong: Exception) -> str:
    """One line that says what failed and how."""
    text = " ".join(f"{what} failed: {type(wrong).__name__}: {wrong}".split())
    return text.rstrip(": ") if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON]}..."


def _told_apart(answer: Awaitable[Any]) -> Deferred[Any]:
    """The answer, with a cancellation of the user's own making told apart from ours (we are stopping)."""
    inner: Deferred[Any] = answer if isinstance(answer, Deferred) else ensureDeferred(_awaiting(answer))
    stopping = False

    def stop(_: Deferred[Any]) -> None:
        nonlocal stopping
        stopping = True
        inner.cancel()

    def failed(failure: Failure) -> None:
        outer.errback(Failure(UserCodeFailed("it was cancelled")) if not stopping and by_user(failure) else failure)

    def by_user(failure: Failure) -> bool:
        return failure.check(CancelledError) is not None

    outer: Deferred[Any] = Deferred(stop)
    _ = inner.addCallbacks(outer.callback, failed)
    return outer


async def _awaiting(answer: Awaitable[Any]) -> Any:
    return await answer


# -- checks of arguments


def is_dynamic(names: Any) -> bool:
    """Whether builderNames is something that gives the names of each build only when asked."""
    return needs_rendering(names)


def _set(known: Properties, given: Sequence[Property]) -> None:
    for each in given:
        known.setProperty(each.name, each.value, each.source)


def _name_of(builder: Any) -> str:
    return builder if isinstance(builder, str) else str(builder.name)


def _builder_names(scheduler: str, names: Any) -> list[str]:
    if isinstance(names, str) or not isinstance(names, (list, tuple, set, frozenset)):
        error(f"scheduler {scheduler!r}: builderNames is a list of names of builders, not {names!r}")
        return []
    wrong = [name for name in names if not isinstance(name, str) and not isinstance(getattr(name, "name", None), str)]
    for name in wrong:
        error(f"scheduler {scheduler!r}: {name!r} in builderNames is not the name of a builder")
    return [_name_of(name) for name in names if name not in wrong]


def _properties(scheduler: str, values: Any) -> dict[str, Any]:
    if values is None:
        return {}
    if not isinstance(values, Mapping):
        error(f"scheduler {scheduler!r}: properties is a dictionary, not {values!r}")
        return {}
    for name, value in values.items():
        if not isinstance(name, str):
            error(f"scheduler {scheduler!r}: the name of a property is a string, not {name!r}")
        elif not needs_rendering(value):
            try:
                json.dumps(value, allow_nan=False)
            except (TypeError, ValueError):
                error(f"scheduler {scheduler!r}: property {name!r} must be plain data as in JSON, not {value!r}")
    return dict(values)


def _codebases(scheduler: str, codebases: Any) -> dict[str, dict[str, Any]]:
    if codebases is None:
        return {"": {}}
    if isinstance(codebases, (list, tuple)):
        codebases = {name: {} for name in codebases}
    if not isinstance(codebases, Mapping) or not codebases:
        error(f"scheduler {scheduler!r}: codebases is a list of names, or a dictionary of them, not {codebases!r}")
        return {"": {}}
    for name, defaults in codebases.items():
        if not isinstance(name, str) or not isinstance(defaults, Mapping):
            error(f"scheduler {scheduler!r}: codebase {name!r} needs a dictionary of defaults, not {defaults!r}")
            return {"": {}}
        for key in defaults:
            if key not in _STAMP_DEFAULTS:
                error(
                    f"scheduler {scheduler!r}: codebase {name!r} has no default {key!r}",
                    did_you_mean(key, _STAMP_DEFAULTS),
                )
    return {name: dict(defaults) for name, defaults in codebases.items()}
