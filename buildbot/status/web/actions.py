"""What people may do: force a build, stop one, build one again, cancel what waits, pause a builder or a slave.

The site has checked the form's token and the right before any of these runs. Each is durable and written down with who
did it; what it did is said on the page that comes next.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from buildbot.model import Builder, BuildRequestID, ChangeID, Slave
from buildbot.process.control import NoSuchBuild
from buildbot.schedulers.forcesched import FieldErrors, ForceScheduler, force
from buildbot.status.web import auth, urls
from buildbot.status.web.asked import Asked, BadRequest, User, whole
from buildbot.status.web.builder_page import find, force_schedulers, view_of
from buildbot.status.web.pages import Action, Forbidden, Master, NotFound, Redirect, Seen
from buildbot.status.web.places import find_build
from buildbot.store import builders, changes, requests, slaves
from buildbot.store.pauses import Kind

LONGEST_REASON = 500
OWN_FIELDS = ("token", "forcescheduler")


class Named(Protocol):
    """What is paused: anything with a name."""

    @property
    def name(self) -> str: ...


def why(asked: Asked) -> str:
    """What the person typed as the reason; 0.8's forms call it comments."""
    return (asked.filled("comments") or asked.filled("reason")).strip()[:LONGEST_REASON]


def pausing(
    kind: Kind, found: Callable[[Asked, Master], Named], page: Callable[[str], str]
) -> tuple[Callable[[Asked, Master, User], Seen], Callable[[Asked, Master, User], Seen]]:
    """What pauses one thing of this kind, and what lets it go on. found: the thing asked for; page: its address."""

    def pause(asked: Asked, master: Master, user: User) -> Seen:
        name = found(asked, master).name
        done = master.control.pause(kind, name, user.name, why(asked))
        return Redirect(page(name), f"{name} {'is' if done else 'was already'} paused.")

    def unpause(asked: Asked, master: Master, user: User) -> Seen:
        name = found(asked, master).name
        done = master.control.unpause(kind, name, user.name, why(asked))
        return Redirect(page(name), f"{name} {'goes on' if done else 'was not paused'}.")

    return pause, unpause


async def force_build(asked: Asked, master: Master, user: User) -> Seen:
    """Ask for a build by a ForceScheduler's form; with mistakes, the form comes again and says them."""
    builder = find(asked, master)
    known = {scheduler.name: scheduler for scheduler in force_schedulers(master, builder.name)}
    name = asked.filled("forcescheduler") or (next(iter(known)) if len(known) == 1 else "")
    if name not in known:
        raise BadRequest(f"No ForceScheduler called {name!r} may force {builder.name}.")
    scheduler, rules = known[name], master.config.validation
    try:
        await force(master.store, scheduler, [builder.name], _answers(asked, scheduler), user.name, asked.now, rules)
    except FieldErrors as error:
        return _with_mistakes(asked, master, builder, name, error.errors)
    return Redirect(urls.builder(builder.name), f"A build of {builder.name} was asked for.")


def _answers(asked: Asked, scheduler: ForceScheduler) -> dict[str, list[str]]:
    """What was typed, without the page's own fields. Scripts of 0.7 call the reason comments."""
    answers = {field: list(values) for field, values in asked.form.items() if field not in OWN_FIELDS}
    for name in scheduler.file_names:
        if name in asked.sent:
            answers[name] = [value.decode(errors="surrogateescape") for value in asked.sent[name]]
    reason = scheduler.reason_field.fullName
    if "comments" in answers and "comments" not in scheduler.full_names and reason not in answers:
        answers[reason] = answers.pop("comments")
    return answers


def _with_mistakes(asked: Asked, master: Master, builder: Builder, scheduler: str, errors: dict[str, str]) -> Seen:
    mistake = "Nothing was forced: " + "; ".join(f"{field}: {message}" for field, message in errors.items())
    return view_of(asked, master, builder, scheduler=scheduler, errors=errors, mistake=mistake)


def stop_build(asked: Asked, master: Master, user: User) -> Seen:
    builder, build = find_build(master.store, asked)
    done = master.control.stop_build(build.id, user.name, why(asked))
    said = "is being stopped" if done else "had ended already"
    return Redirect(urls.build(builder.name, build.number), f"Build {build.number} of {builder.name} {said}.")


def rebuild(asked: Asked, master: Master, user: User) -> Seen:
    builder, build = find_build(master.store, asked)
    try:
        master.control.rebuild(build.id, user.name, why(asked))
    except NoSuchBuild as error:
        raise NotFound(f"It cannot be built again: {error}.") from None
    return Redirect(urls.builder(builder.name), f"Build {build.number} of {builder.name} will be built again.")


async def cancel_build(asked: Asked, master: Master, user: User) -> Seen:
    """Take requests out of this builder's queue: those that are ticked, one, or with the id `all` whatever waits."""
    builder = find(asked, master)
    back = urls.builder(builder.name)
    if asked.filled("id") == "all":
        if not await auth.may(master.config.www, user, auth.CANCEL_ALL, builder.name):
            raise Forbidden(f"{user.name} may not cancel all that waits: the configuration's authz says so.")
        count = await master.control.cancel_pending([builder.id], user.name, why(asked))
        return Redirect(back, f"{_count(count, 'request')} of {builder.name} cancelled.")
    if len(asked.form.get("id", ())) == 1:
        _, id = _request_of(asked, master)
        done = master.control.cancel_request(id, user.name, why(asked))
        said = "was cancelled" if done else "could not be cancelled: it was no longer waiting"
        return Redirect(back, f"Request {id} {said}.")
    ids = _ids(asked)
    for id in ids:
        request = requests.get(master.store, id)
        if request is None or request.builder_id != builder.id:
            raise BadRequest(f"Request {id} does not wait for {builder.name}.")
    return Redirect(back, await _cancel(master, ids, user, asked))


async def cancel_selected(asked: Asked, master: Master, user: User) -> Seen:
    """Cancel the ticked requests of the page of all that waits."""
    ids = _ids(asked)
    for builder in {request.builder_id for id in ids if (request := requests.get(master.store, id)) is not None}:
        found = builders.get(master.store, builder)
        if found is not None and not await auth.may(master.config.www, user, auth.CANCEL, found.name):
            raise Forbidden(f"{user.name} may not cancel requests of {found.name}: the configuration's authz says so.")
    return Redirect(urls.pending(), await _cancel(master, ids, user, asked))


async def _cancel(master: Master, ids: list[BuildRequestID], user: User, asked: Asked) -> str:
    done = await master.control.cancel_requests(ids, user.name, why(asked))
    late = len(ids) - done
    return f"{_count(done, 'request')} cancelled{f', {late} no longer waited' if late else ''}."


def _ids(asked: Asked) -> list[BuildRequestID]:
    ids = list(dict.fromkeys(BuildRequestID(whole(text, "id")) for text in asked.form.get("id", ())))
    if not ids:
        raise BadRequest("No request was chosen: tick some first.")
    return ids


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


async def cancel_everything(asked: Asked, master: Master, user: User) -> Seen:
    """Cancel whatever waits, for every builder."""
    waiting = list(requests.pending_counts(master.store))
    count = await master.control.cancel_pending(waiting, user.name, why(asked))
    return Redirect(urls.pending(), f"{_count(count, 'request')} cancelled.")


async def stop_change(asked: Asked, master: Master, user: User) -> Seen:
    """Cancel what waits for a change or its revision, and stop what builds it; of this builder, or of all."""
    id = ChangeID(whole(asked.filled("change"), "change"))
    if changes.get(master.store, id) is None:
        raise BadRequest(f"There is no change {id}.")
    builder = find(asked, master) if "builder" in asked.place else None
    cancelled, stopped = await master.control.stop_change(
        id, None if builder is None else builder.id, user.name, why(asked)
    )
    back = urls.change(id) if builder is None else urls.builder(builder.name)
    return Redirect(back, f"{_count(cancelled, 'request')} cancelled, {_count(stopped, 'build')} being stopped.")


def retry_build(asked: Asked, master: Master, user: User) -> Seen:
    """Try a request again that was parked after too many retries."""
    builder, id = _request_of(asked, master)
    done = master.control.retry_request(id, user.name, why(asked))
    said = "is tried again" if done else "does not need it: it was not parked"
    return Redirect(urls.builder(builder.name), f"Request {id} {said}.")


def shut_down_slave(asked: Asked, master: Master, user: User) -> Seen:
    """Let what runs on this slave come to its end, start nothing more there, then have its process end."""
    slave = _slave(asked, master)
    if slave.connected_at is None:
        said = f"{slave.name} is not connected: there is no process to shut down. Pause it to keep builds away."
        return Redirect(urls.slave(slave.name), said)
    done = master.control.pause(Kind.SLAVE, slave.name, user.name, why(asked), graceful=True)
    said = "will be shut down when nothing runs on it" if done else "was to be shut down already"
    return Redirect(urls.slave(slave.name), f"{slave.name} {said}.")


def give_up_slave(asked: Asked, master: Master, user: User) -> Seen:
    """Wait no longer for a slave that is away: its builds are tried again."""
    slave = _slave(asked, master)
    count = master.control.give_up_slave(slave.name, user.name, why(asked))
    said = f"{slave.name} is given up: {_count(count, 'build')} will be tried again." if count else ""
    return Redirect(urls.slave(slave.name), said or f"No build waits for {slave.name}.")


def free_slave(asked: Asked, master: Master, user: User) -> Seen:
    """Take it that what was given up on this slave does not run there any more."""
    slave = _slave(asked, master)
    count = master.control.free_slave(slave.name, user.name, why(asked))
    said = f"{slave.name} is free of {_count(count, 'command')}." if count else f"Nothing was left on {slave.name}."
    return Redirect(urls.slave(slave.name), said)


def shut_down(asked: Asked, master: Master, user: User) -> Seen:
    """Start nothing new, and stop the master when nothing runs."""
    done = master.control.clean_stop.begin(user.name, why(asked))
    return Redirect("/about", "The master shuts down." if done else "The master was shutting down already.")


def call_off_shutdown(asked: Asked, master: Master, user: User) -> Seen:
    done = master.control.clean_stop.call_off(user.name, why(asked))
    return Redirect("/about", "The master goes on." if done else "The master was not shutting down.")


def _slave(asked: Asked, master: Master) -> Slave:
    found = slaves.by_name(master.store, asked.place["slave"])
    if found is None:
        raise NotFound(f"There is no buildslave called {asked.place['slave']}.")
    return found


def _request_of(asked: Asked, master: Master) -> tuple[Builder, BuildRequestID]:
    builder = find(asked, master)
    id = BuildRequestID(whole(asked.filled("id"), "id"))
    request = requests.get(master.store, id)
    if request is None or request.builder_id != builder.id:
        raise BadRequest(f"Request {id} does not wait for {builder.name}.")
    return builder, id


pause_builder, unpause_builder = pausing(Kind.BUILDER, find, urls.builder)
pause_slave, unpause_slave = pausing(Kind.SLAVE, _slave, urls.slave)

ROUTES = (
    Action("/builders/{builder}/force", auth.FORCE, force_build, "force.html"),
    Action("/builders/{builder}/cancelbuild", auth.CANCEL, cancel_build),
    Action("/builders/{builder}/stopchange", auth.STOP_CHANGE, stop_change),
    Action("/builders/{builder}/pause", auth.PAUSE_BUILDER, pause_builder),
    Action("/builders/{builder}/unpause", auth.PAUSE_BUILDER, unpause_builder),
    Action("/builders/_all/cancelpendingall", auth.CANCEL_ALL, cancel_everything),
    Action("/builders/_all/stopchangeall", auth.STOP_CHANGE, stop_change),
    Action("/pendingbuildrequests/cancel", auth.CANCEL, cancel_selected),
    Action("/buildslaves/{slave}/pause", auth.PAUSE_SLAVE, pause_slave),
    Action("/buildslaves/{slave}/unpause", auth.PAUSE_SLAVE, unpause_slave),
    Action("/buildslaves/{slave}/shutdown", auth.GRACEFUL, shut_down_slave),
    Action("/buildslaves/{slave}/giveup", auth.GIVE_UP_SLAVE, give_up_slave),
    Action("/buildslaves/{slave}/free", auth.GIVE_UP_SLAVE, free_slave),
    Action("/shutdown", auth.CLEAN_SHUTDOWN, shut_down),
    Action("/cancel_shutdown", auth.CLEAN_SHUTDOWN, call_off_shutdown),
    Action("/builders/{builder}/retrybuild", auth.REBUILD, retry_build),
    Action("/builders/{builder}/builds/{number}/stop", auth.STOP, stop_build),
    Action("/builders/{builder}/builds/{number}/rebuild", auth.REBUILD, rebuild),
)
