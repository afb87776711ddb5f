"""The step that has other builders build: it triggers Triggerable schedulers, and may wait for what they make.

Everything that is triggered is made in one transaction with its entry in the step's journal: all of it or nothing, and
never twice, also when the step's code runs again after a restart.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from inspect import isawaitable
from typing import Any, ClassVar, NamedTuple
from urllib.parse import quote

from twisted.internet.defer import Deferred

from buildbot.config.errors import did_you_mean, error
from buildbot.model import JSON, BuildsetID, ChangeID, Property, SourceStamp
from buildbot.process.buildstep import BuildStep
from buildbot.process.oldstyle import drop_old_arguments
from buildbot.process.properties import Properties, needs_rendering
from buildbot.process.results import EXCEPTION, RETRY, SUCCESS, Results, worst_of
from buildbot.process.slaveport import SlaveLost
from buildbot.process.sourcestamp import SourceStamp as UserStamp
from buildbot.schedulers.base import Parent, Unsettled, why_paused
from buildbot.schedulers.stamps import NewPatch, Stamp
from buildbot.store import Store, builds, buildsets, requests, sourcestamps

SOURCE = "Trigger"
MOST_CHILDREN_LINKED = 200
_STAMP = ("codebase", "repository", "project", "branch", "revision")
_PATCH = {
    "patch_body": "body",
    "patch_level": "level",
    "patch_subdir": "subdir",
    "patch_author": "author",
    "patch_comment": "comment",
}


class CannotTrigger(Exception):
    """Nothing was triggered; the text says why."""


class _Call(NamedTuple):
    """One scheduler to be triggered, with the properties that its builds get."""

    scheduler: str
    properties: tuple[Property, ...]
    unimportant: bool


class Trigger(BuildStep):
    """Trigger schedulers, and perhaps wait for their builds.

    schedulerNames: names of Triggerable or NightlyTriggerable schedulers. waitForFinish: True: the step ends after
    the builds, with the worst result among them (default False: at once, with SUCCESS). set_properties: {name: value}
    for the builds. copy_properties: names of properties of this build to hand on, if they are set. updateSourceStamp:
    True (the default): the builds get this build's source at the revision that was checked out (property
    `got_revision`); False: as it was asked for. alwaysUseLatest: the newest source instead, as the scheduler's
    codebases say. sourceStamp, sourceStamps: this source instead; a SourceStamp, or a dictionary with codebase,
    repository, project, branch, revision, patch_body, patch_level, patch_subdir, patch_author, patch_comment; or a
    list of them.
    unimportantSchedulerNames: those whose results do not count. parent_relationship: what the builds are to this one,
    in words (default "Triggered from"). All of these may be renderables. The rest is as every step has it.
    """

    name = "trigger"
    flunkOnFailure = True
    renderables: ClassVar[Any] = (
        "schedulerNames",
        "waitForFinish",
        "set_properties",
        "copy_properties",
        "updateSourceStamp",
        "alwaysUseLatest",
        "sourceStamps",
        "unimportantSchedulerNames",
        "parent_relationship",
    )

    def __init__(
        self,
        schedulerNames: Any = None,
        sourceStamp: Any = None,
        sourceStamps: Any = None,
        updateSourceStamp: Any = None,
        alwaysUseLatest: Any = False,
        waitForFinish: Any = False,
        set_properties: Any = None,
        copy_properties: Any = None,
        parent_relationship: Any = "Triggered from",
        unimportantSchedulerNames: Any = None,
        **kwargs: Any,
    ) -> None:
        drop_old_arguments(self, kwargs)
        super().__init__(**kwargs)
        if sourceStamp is not None and sourceStamps is not None:
            error("Trigger() takes sourceStamp or sourceStamps, not both")
        self.schedulerNames = schedulerNames if schedulerNames is not None else []
        self.sourceStamps = [sourceStamp] if sourceStamp is not None else sourceStamps
        self.updateSourceStamp = updateSourceStamp
        self.alwaysUseLatest = alwaysUseLatest
        self.waitForFinish = waitForFinish
        self.set_properties = set_properties if set_properties is not None else {}
        self.copy_properties = copy_properties if copy_properties is not None else []
        self.parent_relationship = parent_relationship
        self.unimportantSchedulerNames = unimportantSchedulerNames if unimportantSchedulerNames is not None else []
        self.triggeredNames: list[str] = []
        self._problem = ""
        self._ended = self._children = 0
        self._changed: Deferred[None] | None = None
        self._look_soon: Any = None
        self._lost = ""
        self._check()

    def _check(self) -> None:
        names, unimportant = self.schedulerNames, self.unimportantSchedulerNames
        overridden = type(self).getSchedulersAndProperties is not Trigger.getSchedulersAndProperties
        if not needs_rendering(names) and not overridden and not _are_names(names):
            error(f"Trigger() needs schedulerNames, a list of names of schedulers, not {names!r}")
        if not needs_rendering(unimportant) and not _are_names(unimportant) and unimportant != []:
            error(f"Trigger(): unimportantSchedulerNames is a list of names, not {unimportant!r}")
        elif not needs_rendering([names, unimportant]) and not overridden and isinstance(names, (list, tuple)):
            for name in unimportant:
                if name not in names:
                    error(f"Trigger(): {name!r} of unimportantSchedulerNames is not one of schedulerNames")
        ways = {
            "sourceStamps": bool(self.sourceStamps),
            "alwaysUseLatest": self.alwaysUseLatest,
            "updateSourceStamp": self.updateSourceStamp,
        }
        given = [name for name, value in ways.items() if value]
        if len(given) > 1:
            error(f"Trigger() takes one of {' and '.join(given)}: each says which source is built")

    # -- for subclasses to write

    def getSchedulersAndProperties(self) -> Any:
        """Which schedulers are triggered with which properties. May be a coroutine or give a Deferred.

        A list of {"sched_name": name, "props_to_set": {name: value}, "unimportant": bool}, or of (name, properties).
        """
        return [
            {
                "sched_name": name,
                "props_to_set": self.set_properties,
                "unimportant": name in self.unimportantSchedulerNames,
            }
            for name in self.schedulerNames
        ]

    def createTriggerProperties(self, properties: Mapping[str, Any]) -> Any:
        """The Properties of the builds, made of what is to be set."""
        made = Properties()
        for name, value in properties.items():
            made.setProperty(name, value, SOURCE)
        return made

    # -- the step

    async def run(self) -> int:
        try:
            made = self.recall("trigger")
            if made is None:
                made = await self._trigger()
        except CannotTrigger as why:
            self._problem = str(why)
            self.note_text("err.text", f"{why}\n")
            return EXCEPTION
        if made is None:
            return SUCCESS  # stopped before anything was triggered; that is what it comes to
        self.triggeredNames = [entry["scheduler"] for entry in made["triggered"]]
        if not made["wait"]:
            self._link_requests(made["triggered"])
            return SUCCESS
        return await self._result_of_children(made["triggered"])

    async def _trigger(self) -> JSON:
        """Ask all that is the user's, then make the buildsets. None: the step was stopped meanwhile."""
        calls = await self._calls()
        given = self._stamps()
        priority = max((request.priority for request in self.build.requests), default=0)
        settled = []
        for call in calls:
            scheduler = self._scheduler(call.scheduler)
            answer = await scheduler.prepare(call.properties, priority, given)
            if isinstance(answer, Unsettled):
                raise CannotTrigger(f"scheduler {call.scheduler!r} cannot be triggered: {answer.reason}")
            settled.append((scheduler, answer, call.unimportant))
        if self.stopped:
            return None
        wait = bool(self.waitForFinish)
        parent = Parent(self.build.id, str(self.parent_relationship), wait)
        now = self.build.now()

        def work(store: Store) -> JSON:
            stamps = [_stored(store, stamp) for stamp in given]
            triggered = [
                {
                    "scheduler": scheduler.name,
                    "buildset": scheduler.trigger(store, answer, stamps, parent, now),
                    "unimportant": unimportant,
                }
                for scheduler, answer, unimportant in settled
            ]
            return {"wait": wait, "triggered": triggered}

        return self.remember("trigger", work)

    async def _calls(self) -> list[_Call]:
        asked = self.getSchedulersAndProperties()
        if isawaitable(asked):
            asked = await asked
        calls = []
        for entry in asked:
            name, values, unimportant = _entry(entry)
            given = values if isinstance(values, Properties) else self.createTriggerProperties(dict(values or {}))
            known = {name: (value, source) for name, (value, source) in self._copied().items()}
            known.update(given.asDict())
            shown = self.build.secrets.mask_data({key: list(found) for key, found in known.items()})
            properties = tuple(Property(key, value, source) for key, (value, source) in shown.items())
            calls.append(_Call(str(name), properties, bool(unimportant)))
        if not calls:
            raise CannotTrigger("no scheduler is to be triggered: schedulerNames is empty")
        return calls

    def _copied(self) -> dict[str, tuple[Any, str]]:
        known = self.build.getProperties().asDict()
        names = self.copy_properties
        return {name: (known[name][0], SOURCE) for name in names if name in known}

    def _scheduler(self, name: str) -> Any:
        services = self.build.services
        found = services.scheduler(name)
        if found is None:
            hint = did_you_mean(name, services.scheduler_names())
            raise CannotTrigger(f"there is no scheduler {name!r}" + (f"; {hint}" if hint else ""))
        if not callable(getattr(found, "trigger", None)):
            raise CannotTrigger(f"scheduler {name!r} is a {type(found).__name__}, and only a Triggerable is triggered")
        paused = why_paused(self.build.store, name)
        if paused:
            raise CannotTrigger(paused)
        return found

    # -- which source

    def _stamps(self) -> list[Stamp]:
        if self.sourceStamps:
            given = [_as_data(stamp) for stamp in self.sourceStamps]
            return [_stamp_of(stamp) for stamp in self.build.secrets.mask_data(given)]
        if self.alwaysUseLatest:
            return []
        rows = {stamp.id: stamp for stamp in sourcestamps.of_build(self.build.store, self.build.id)}
        update = True if self.updateSourceStamp is None else bool(self.updateSourceStamp)
        got = self.getProperty("got_revision") if update else None
        return [_same(rows[view.ssid], view.changes, got, len(rows)) for view in self.build.sources]

    def _link_requests(self, triggered: Sequence[Mapping[str, Any]]) -> None:
        """Nobody will be here to link the builds once they begin."""
        ids = [BuildsetID(entry["buildset"]) for entry in triggered if entry["buildset"] is not None]
        for builder, request in requests.of_buildsets(self.build.store, ids, MOST_CHILDREN_LINKED):
            _ = self.addURL(f"{builder}: request {request}", f"/buildrequests/{request}")

    # -- waiting

    async def _result_of_children(self, triggered: Sequence[Mapping[str, Any]]) -> int:
        waiting = [BuildsetID(entry["buildset"]) for entry in triggered if entry["buildset"] is not None]
        end = self.build.services.family.watch(waiting, self._heard)
        try:
            while True:
                changed = self._changed = Deferred()  # before looking: what happens from here on is heard
                if self._look(waiting):
                    break
                if self.stopped or self._lost:
                    self._stop_children()
                await changed
        finally:
            end()
            self._forget_waiting()
        if self._lost:
            raise SlaveLost(self._lost)
        results = buildsets.results(self.build.store, waiting)
        counted = [entry["buildset"] for entry in triggered if not entry["unimportant"]]
        return worst_of([SUCCESS if id is None else _result(results.get(id)) for id in counted] or [SUCCESS])

    def _heard(self) -> None:
        """Something happened to a child: look, once for all that happens at the same time."""
        if self._changed is not None and self._look_soon is None:
            self._look_soon = self.build.clock.callLater(0, self._look_now)

    def _look_now(self) -> None:
        self._look_soon = None
        changed, self._changed = self._changed, None
        if changed is not None:
            changed.callback(None)

    def _forget_waiting(self) -> None:
        if self._look_soon is not None:
            self._look_soon.cancel()
        self._look_soon = self._changed = None

    def _look(self, waiting: Sequence[BuildsetID]) -> bool:
        """Whether all are complete. Links what has begun."""
        store = self.build.store
        self._children = len(waiting)
        self._ended = len(waiting) - buildsets.count_open(store, waiting)
        known = {name for name, _ in self._urls}
        for builder, number in builds.of_buildsets(store, waiting, MOST_CHILDREN_LINKED):
            if f"{builder} #{number}" not in known:
                _ = self.addURL(f"{builder} #{number}", _path(builder, number))
        _ = self.updateSummary()
        return self._ended == self._children

    # -- ending it

    async def interrupt(self, reason: Any) -> None:
        """What is waited for ends with the step; the step ends after it."""
        await super().interrupt(reason)
        self._heard()

    def waits_for_builds(self) -> bool:
        return bool(self._children)

    def slave_is_lost(self, why: str) -> None:
        """The build ends as RETRY, and with it what it waits for: its next attempt triggers anew."""
        self._lost = why
        self._heard()

    def leave(self) -> None:
        super().leave()
        changed = self._changed
        self._forget_waiting()
        if changed is not None:
            changed.cancel()

    def _stop_children(self) -> None:
        parent = f"the build that triggered it, {self.build.builder_name}/{self.build.number}"
        self.build.services.family.stop_children(self.build.id, parent, self.stop_reason or self._lost)

    # -- what it says

    def getCurrentSummary(self) -> dict[str, str]:
        if not self._children:
            return {"step": self._with_suffix(f"triggering {', '.join(map(str, self.schedulerNames))}")}
        text = f"waiting for {', '.join(self.triggeredNames)}: {self._ended} of {self._children} complete"
        return {"step": self._with_suffix(text)}

    def getResultSummary(self) -> dict[str, str]:
        text = self._problem or f"triggered {', '.join(self.triggeredNames) or 'nothing'}"
        if self.results not in (SUCCESS, None):
            text += f" ({Results[self.results]})"
        return {"step": self._with_suffix(text)}


def _are_names(names: Any) -> bool:
    return isinstance(names, (list, tuple)) and bool(names) and all(isinstance(name, str) for name in names)


def _entry(entry: Any) -> tuple[Any, Any, Any]:
    """Both eras' forms of one element of getSchedulersAndProperties."""
    if isinstance(entry, Mapping):
        return entry["sched_name"], entry.get("props_to_set"), entry.get("unimportant", False)
    name, values, *more = entry
    return name, values, more[0] if more else False


def _same(row: SourceStamp, changes: Sequence[Any], got: Any, count: int) -> Stamp:
    """The build's own source; at the revision that was checked out, when that is known."""
    if isinstance(got, Mapping):
        got = got.get(row.codebase)
    elif count > 1 and row.codebase != "":
        got = None  # with several codebases, a single revision is the unnamed one's
    return Stamp(
        row.codebase,
        row.repository,
        row.project,
        row.branch,
        row.revision if got in (None, "") else str(got),
        row.patch_id,
        tuple(ChangeID(change.changeid) for change in changes),
        whole=True,
    )


def _as_data(given: Any) -> Any:
    """A SourceStamp as the dictionary that says the same."""
    if not isinstance(given, UserStamp):
        return given
    said: dict[str, Any] = {name: value for name in _STAMP if (value := getattr(given, name))}
    if given.patch is not None:
        said |= {key: getattr(given.patch, name) for key, name in _PATCH.items()}
    return said


def _stamp_of(given: Any) -> Stamp:
    """What a dictionary of sourceStamps says."""
    if not isinstance(given, Mapping):
        raise CannotTrigger(f"sourceStamps holds dictionaries such as {{'branch': 'main'}}, not {given!r}")
    known = (*_STAMP, *_PATCH)
    for key in given:
        if key not in known:
            hint = did_you_mean(str(key), known)
            raise CannotTrigger(f"sourceStamps: there is no {key!r}" + (f"; {hint}" if hint else ""))
    said: dict[str, Any] = {key: str(given[key]) for key in _STAMP if given.get(key) is not None}
    patch = None
    if given.get("patch_body"):
        body = given["patch_body"]
        fields = {name: given[key] for key, name in _PATCH.items() if given.get(key) is not None}
        patch = NewPatch(**{**fields, "body": body if isinstance(body, bytes) else str(body).encode()})
    return Stamp(**said, patch=patch)


def _stored(store: Store, stamp: Stamp) -> Stamp:
    """With its patch in the store, once for all that is triggered."""
    if not isinstance(stamp.patch, NewPatch):
        return stamp
    return stamp._replace(patch=sourcestamps.add_patch(store, *stamp.patch))


def _path(builder: str, number: int) -> str:
    return f"/builders/{quote(builder, safe='')}/builds/{number}"


def _result(result: int | None) -> int:
    """What a child's result makes of the step. None: retention took the child away while it was waited for."""
    return EXCEPTION if result is None or result == RETRY else int(result)
