"""What people may do: force a build, stop one, build one again, take a request out of the queue.

The site has checked the form's token and the right before any of these runs. Each is durable and written down with who
did it; what it did is said on the page that comes next.
"""

from __future__ import annotations

from buildbot.model import Builder, BuildRequestID
from buildbot.process.control import NoSuchBuild
from buildbot.schedulers.forcesched import FieldErrors, ForceScheduler, force
from buildbot.status.web import auth, urls
from buildbot.status.web.asked import Asked, BadRequest, User, whole
from buildbot.status.web.builder_page import find, force_schedulers, view_of
from buildbot.status.web.pages import Action, Master, NotFound, Redirect, Seen
from buildbot.status.web.places import find_build
from buildbot.store import requests

LONGEST_REASON = 500
OWN_FIELDS = ("token", "forcescheduler")


def why(asked: Asked) -> str:
    """What the person typed as the reason; 0.8's forms call it comments."""
    return (asked.filled("comments") or asked.filled("reason")).strip()[:LONGEST_REASON]


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


def cancel_build(asked: Asked, master: Master, user: User) -> Seen:
    """Take one request out of this builder's queue."""
    builder, id = _request_of(asked, master)
    done = master.control.cancel_request(id, user.name, why(asked))
    said = "was cancelled" if done else "could not be cancelled: it was no longer waiting"
    return Redirect(urls.builder(builder.name), f"Request {id} {said}.")


def retry_build(asked: Asked, master: Master, user: User) -> Seen:
    """Try a request again that was parked after too many retries."""
    builder, id = _request_of(asked, master)
    done = master.control.retry_request(id, user.name, why(asked))
    said = "is tried again" if done else "does not need it: it was not parked"
    return Redirect(urls.builder(builder.name), f"Request {id} {said}.")


def _request_of(asked: Asked, master: Master) -> tuple[Builder, BuildRequestID]:
    builder = find(asked, master)
    id = BuildRequestID(whole(asked.filled("id"), "id"))
    request = requests.get(master.store, id)
    if request is None or request.builder_id != builder.id:
        raise BadRequest(f"Request {id} does not wait for {builder.name}.")
    return builder, id


ROUTES = (
    Action("/builders/{builder}/force", auth.FORCE, force_build, "builder.html"),
    Action("/builders/{builder}/cancelbuild", auth.CANCEL, cancel_build),
    Action("/builders/{builder}/retrybuild", auth.REBUILD, retry_build),
    Action("/builders/{builder}/builds/{number}/stop", auth.STOP, stop_build),
    Action("/builders/{builder}/builds/{number}/rebuild", auth.REBUILD, rebuild),
)
