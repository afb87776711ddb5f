"""One builder: what it is, what runs, what waits and why, what it has built, and the forms that force a build."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot.model import Builder, OperatorAction
from buildbot.process.estimates import usual_seconds
from buildbot.process.waiting import Why
from buildbot.schedulers.forcesched import ForceScheduler
from buildbot.status.web import auth, glance, urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.force_forms import Field, fields_of
from buildbot.status.web.locks_page import ShownLock, locks_of_page
from buildbot.status.web.pages import Master, NotFound, Page, View
from buildbot.status.web.waits import Waits
from buildbot.store import actions, builders, pages

PAGE = 25
SHOWN_WAITING = 50
MOST_BUILDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One request in the queue, in words why it is there still, and about when it is built."""

    request: pages.WaitingRequest
    href: str
    why: Why


@dataclass(frozen=True, slots=True, kw_only=True)
class ForceForm:
    """One scheduler's form. Fields are as the scheduler describes them; with what was typed, and what is wrong."""

    scheduler: str
    label: str
    button: str
    fields: tuple[Field, ...]
    open: bool

    @property
    def sends_files(self) -> bool:
        return any(field.has_file for field in self.fields)


@dataclass(frozen=True, slots=True, kw_only=True)
class BuilderView(View):
    glance: glance.Glance
    usual_seconds: float | None
    waiting: tuple[Waiting, ...]
    builds: tuple[pages.RecentBuild, ...]
    older: str
    newest: str
    forms: tuple[ForceForm, ...]
    actions: tuple[OperatorAction, ...]
    locks: tuple[ShownLock, ...]
    may_cancel: bool
    may_retry: bool
    may_force: bool
    mistake: str


def find(asked: Asked, master: Master) -> Builder:
    """The builder that the address names, also one that is no longer configured. Raises NotFound."""
    found = builders.by_name(master.store, asked.place["builder"])
    if found is None:
        raise NotFound(f"There is no builder called {asked.place['builder']}.")
    return found


def builder_page(asked: Asked, master: Master) -> View:
    return view_of(asked, master, find(asked, master))


def view_of(
    asked: Asked,
    master: Master,
    builder: Builder,
    *,
    scheduler: str = "",
    errors: dict[str, str] | None = None,
    mistake: str = "",
) -> BuilderView:
    """The page; with a form that had mistakes, what was typed into it is kept."""
    glanced = glance.glances(master, [builder])[0]
    limit = asked.number("numbuilds", PAGE, 1, MOST_BUILDS)
    before = asked.maybe_number("before")
    found = pages.builds_of_builder(master.store, builder.id, before, limit + 1)
    more = len(found) > limit
    kept = [("numbuilds", limit if limit != PAGE else None)]
    finished = [recent.build for recent in found if recent.build.complete_at is not None]
    return BuilderView(
        title=builder.name,
        status=200 if not (errors or mistake) else 400,
        events=urls.with_query("/events", [("builder", builder.name)]) if before is None else "",
        glance=glanced,
        usual_seconds=usual_seconds(finished[:5]) if before is None else None,
        waiting=_waiting(master, builder, asked.now),
        builds=tuple(found[:limit]),
        older=urls.with_query(glanced.href, [*kept, ("before", found[limit - 1].build.number)]) if more else "",
        newest=urls.with_query(glanced.href, kept) if before is not None else "",
        forms=tuple(forms(master, builder, asked, scheduler, errors or {})),
        locks=tuple(locks_of_page(master, master.config.builder(builder.name))),
        actions=tuple(actions.about(master.store, f"builder {builder.name}")),
        may_cancel=auth.might(master.config.www, asked.user, auth.CANCEL, builder.name),
        may_retry=auth.might(master.config.www, asked.user, auth.REBUILD, builder.name),
        may_force=auth.might(master.config.www, asked.user, auth.FORCE, builder.name),
        mistake=mistake,
    )


def _waiting(master: Master, builder: Builder, now: float) -> tuple[Waiting, ...]:
    """The head of the queue, each request with why it waits."""
    found = pages.waiting(master.store, builder.id, SHOWN_WAITING)
    if not found:
        return ()
    waits = Waits(master, [builder.name], now)
    return tuple(
        Waiting(request=request, href=urls.request(request.id), why=waits.why(builder.name, request))
        for request in found
    )


def force_schedulers(master: Master, builder: str) -> list[ForceScheduler]:
    """The schedulers of the configuration by which people may force this builder."""
    return [s for s in master.config.schedulers if isinstance(s, ForceScheduler) and builder in s.builderNames]


def forms(master: Master, builder: Builder, asked: Asked, failed: str, errors: dict[str, str]) -> list[ForceForm]:
    configured = master.config.builder(builder.name)
    slaves = () if configured is None else configured.slavenames
    return [
        ForceForm(
            scheduler=scheduler.name,
            label=scheduler.label,
            button=scheduler.buttonName,
            fields=fields_of(
                scheduler.describe_fields(builder.name),
                asked.form if scheduler.name == failed else None,
                errors if scheduler.name == failed else {},
                slaves,
            ),
            open=scheduler.name == failed,
        )
        for scheduler in force_schedulers(master, builder.name)
    ]


ROUTES = (
    Page("/builders/{builder}", "builder.html", builder_page),
    Page("/builders/{builder}/force", "force.html", builder_page),
)
