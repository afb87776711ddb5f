"""One builder: what it is, what runs, what waits and why, what it has built, and the forms that force a build."""

from __future__ import annotations

from dataclasses import dataclass

from buildbot.model import Builder, OperatorAction
from buildbot.schedulers.forcesched import ForceScheduler
from buildbot.status.web import auth, glance, urls
from buildbot.status.web.asked import Asked
from buildbot.status.web.estimates import usual_seconds
from buildbot.status.web.force_forms import Field, fields_of
from buildbot.status.web.pages import Master, NotFound, Page, View
from buildbot.store import actions, builders, pages

PAGE = 25
SHOWN_WAITING = 50
MOST_BUILDS = 200


@dataclass(frozen=True, slots=True, kw_only=True)
class Waiting:
    """One request in the queue, and in words why it is there still."""

    request: pages.WaitingRequest
    why: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ForceForm:
    """One scheduler's form. Fields are as the scheduler describes them; with what was typed, and what is wrong."""

    scheduler: str
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
        waiting=tuple(_waiting(r, glanced) for r in pages.waiting(master.store, builder.id, SHOWN_WAITING)),
        builds=tuple(found[:limit]),
        older=urls.with_query(glanced.href, [*kept, ("before", found[limit - 1].build.number)]) if more else "",
        newest=urls.with_query(glanced.href, kept) if before is not None else "",
        forms=tuple(forms(master, builder, asked, scheduler, errors or {})),
        actions=tuple(actions.about(master.store, f"builder {builder.name}")),
        may_cancel=auth.might(master.config.www, asked.user, auth.CANCEL, builder.name),
        may_retry=auth.might(master.config.www, asked.user, auth.REBUILD, builder.name),
        may_force=auth.might(master.config.www, asked.user, auth.FORCE, builder.name),
        mistake=mistake,
    )


def _waiting(request: pages.WaitingRequest, glanced: glance.Glance) -> Waiting:
    if request.parked_reason is not None:
        why = f"parked: {request.parked_reason}"
    elif glanced.pause is not None:
        why = f"the builder is paused by {glanced.pause.who}"
    elif not glanced.slaves:
        why = "no slave of this builder is configured"
    elif not glanced.connected:
        why = "none of its slaves is connected"
    elif glanced.running:
        why = f"{len(glanced.running)} of its builds run now"
    else:
        why = "waits for a free slave"
    return Waiting(request=request, why=why)


def force_schedulers(master: Master, builder: str) -> list[ForceScheduler]:
    """The schedulers of the configuration by which people may force this builder."""
    return [s for s in master.config.schedulers if isinstance(s, ForceScheduler) and builder in s.builderNames]


def forms(master: Master, builder: Builder, asked: Asked, failed: str, errors: dict[str, str]) -> list[ForceForm]:
    configured = master.config.builder(builder.name)
    slaves = () if configured is None else configured.slavenames
    return [
        ForceForm(
            scheduler=scheduler.name,
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
