"""From a request to its bytes: who asks, which route, may they, the template, and the headers of every answer."""

from __future__ import annotations

import gzip
import inspect
import json
import secrets
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.cookies import CookieError, SimpleCookie
from pathlib import Path
from typing import Any

from jinja2 import Environment
from twisted.internet.defer import CancelledError
from twisted.logger import Logger
from twisted.web.server import NOT_DONE_YET, Request
from twisted.web.static import File

from buildbot.model import JSON
from buildbot.process.cleanstop import Stopping
from buildbot.status.web import auth, urls
from buildbot.status.web.asked import Asked, BadRequest, User, parse_values
from buildbot.status.web.login_page import Login, LoginView
from buildbot.status.web.pages import Action, Forbidden, Json, Master, NotFound, Page, Raw, Redirect, Routes, Seen, View
from buildbot.status.web.posted import Sent, fields
from buildbot.status.web.sessions import Session, Sessions
from buildbot.status.web.static_files import StaticFiles, content_type, public_file

COMPRESS_FROM_BYTES = 860
LARGEST_AT_ONCE_BYTES = 1 << 20
SECURITY_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; "
    "font-src 'self'; connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Frame:
    """What the layout shows around every page, whoever made its record."""

    title: str
    title_url: str
    path: str
    back_to: str  # this page with its query, to come back to
    now: float
    user: User | None
    can_log_in: bool
    token: str  # what every POST form must send as `token`
    notices: list[str]
    stopping: Stopping | None  # a clean shutdown that is under way
    problem: str  # why the last change of the configuration was refused
    static: Callable[[str], str]
    might: Callable[..., bool]  # might(action, builder): whether to show a button for it


@dataclass(frozen=True, slots=True)
class Problem:
    """An error page's words."""

    status: int
    title: str
    text: str
    log_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ErrorView(View):
    text: str
    log_in: bool


class NotPossible(Exception):
    """This method means nothing at this address."""


class Answers:
    """Makes the answer to each request. Bugs are caught here, logged once, and shown as a page with their number."""

    _log = Logger()

    def __init__(
        self,
        *,
        master: Callable[[], Master],
        routes: Routes,
        environment: Environment,
        static: StaticFiles,
        public_html: Path,
        sessions: Sessions,
        login: Login,
        cookie_name: str,
        now: Callable[[], float],
    ) -> None:
        self._master_now = master
        self._routes = routes
        self._environment = environment
        self._static = static
        self._public_html = public_html
        self._sessions = sessions
        self._login = login
        self.cookie_name = cookie_name
        self._now = now
        self.problem = ""

    @property
    def _master(self) -> Master:
        return self._master_now()

    async def answer(self, request: Request) -> None:
        for name, value in SECURITY_HEADERS.items():
            request.setHeader(name, value)
        session = self.session_of(request)
        asked = Asked()
        try:
            asked = read_asked(request, session, self._now())
            await self._answer(request, asked, session)
            return
        except CancelledError:
            raise
        except NotFound as error:
            problem = Problem(404, "Not found", str(error))
        except Forbidden as error:
            problem = Problem(403, "Not allowed", str(error), log_in=session is None)
        except NotPossible as error:
            problem = Problem(405, "Not possible", str(error))
        except (BadRequest, UnicodeDecodeError) as error:
            problem = Problem(400, "This request cannot be understood", str(error))
        except Exception:
            number = secrets.token_hex(4)
            self._log.failure(
                "answering {method} {path} failed ({number})", method=asked.method, path=asked.path, number=number
            )
            problem = Problem(500, "Something went wrong here", f"It is our mistake; twistd.log says more at {number}.")
        if not request.startedWriting:
            self._send_problem(request, asked, session, problem)

    # -- finding who answers

    async def _answer(self, request: Request, asked: Asked, session: Session | None) -> None:
        segments = urls.segments_of(asked.path)
        if segments[0] == "static" and len(segments) == 2:
            self._send_static(request, segments[1])
        elif segments == ["login"]:
            await self._log_in(request, asked)
        elif segments == ["logout"]:
            self._log_out(request, asked, session)
        elif asked.method in ("GET", "HEAD"):
            await self._show(request, asked, session, segments)
        elif asked.method == "POST":
            await self._act(request, asked, session, segments)
        else:
            request.setHeader("Allow", "GET, HEAD, POST")
            raise NotPossible(f"{asked.method} is not something that can be done here.")

    async def _show(self, request: Request, asked: Asked, session: Session | None, segments: list[str]) -> None:
        found = self._routes.find(segments, (Page, Raw, Json))
        if found is None:
            self._send_other(request, asked, segments)
            return
        route, place = found
        asked = replace(asked, place=place)
        if not await auth.may(self._master.config.www, asked.user, auth.VIEW, place.get("builder")):
            raise Forbidden("These pages are shown only to people who are logged in and may see them.")
        if isinstance(route, Raw):
            done = route.answer(asked, self._master, request)
            if inspect.isawaitable(done):
                await done
            return
        if isinstance(route, Json):
            self._send_json(request, route.answer(asked, self._master))
            return
        assert isinstance(route, Page)
        self._send_seen(request, asked, session, await _waited(route.view(asked, self._master)), route.template)

    async def _act(self, request: Request, asked: Asked, session: Session | None, segments: list[str]) -> None:
        found = self._routes.find(segments, (Action,))
        if found is None:
            raise NotFound("Nothing can be sent to this address.")
        route, place = found
        assert isinstance(route, Action)
        asked = replace(asked, place=place)
        if session is None or asked.user is None:
            raise Forbidden("Only people who are logged in may do this.")
        self._check_form(request, asked, session)
        subject = place.get("builder") or place.get("slave") or place.get("scheduler")
        if not await auth.may(self._master.config.www, asked.user, route.needs, subject):
            raise Forbidden(f"{asked.user.name} may not do this ({route.needs}): the configuration's authz says so.")
        seen = await _waited(route.act(asked, self._master, asked.user))
        self._send_seen(request, asked, session, seen, route.template)

    def _check_form(self, request: Request, asked: Asked, session: Session) -> None:
        self._check_origin(request)
        if not session.owns(asked.filled("token")):
            raise Forbidden("This form is too old, or it came from another site. Load its page again and repeat.")

    # -- logging in and out

    async def _log_in(self, request: Request, asked: Asked) -> None:
        cookie = f"{self.cookie_name}_form"
        token = cookie_of(request, cookie)
        if asked.method != "POST":
            view: User | LoginView = self._login.form(asked, token)
        else:
            self._check_origin(request)
            address = getattr(request.getClientAddress(), "host", None) or "unknown"
            view = await self._login.submit(asked, self._master.config.www, address, token)
        if isinstance(view, LoginView):
            self._set_cookie(request, cookie, view.token)
            self.send_view(request, asked, None, view, "login.html")
            return
        self._sessions.end(cookie_of(request, self.cookie_name))
        self._set_cookie(request, self.cookie_name, self._sessions.start(view))
        back_to = asked.filled("next")
        self._send_seen(request, asked, None, Redirect(back_to if urls.is_local(back_to) else "/"), "")

    def _log_out(self, request: Request, asked: Asked, session: Session | None) -> None:
        if asked.method != "POST" or session is None:
            self._send_seen(request, asked, None, Redirect("/"), "")
            return
        self._check_form(request, asked, session)
        self._sessions.end(cookie_of(request, self.cookie_name))
        self._set_cookie(request, self.cookie_name, "")
        self._send_seen(request, asked, None, Redirect("/"), "")

    def _set_cookie(self, request: Request, name: str, value: str) -> None:
        """For this browser session, not readable by scripts, not sent along by other sites' forms."""
        secure = request.isSecure() or self._master.config.buildbot_url.startswith("https://")
        text = f"{name}={value}; Path=/; HttpOnly; SameSite=Lax{'; Secure' if secure else ''}"
        request.cookies.append((text if value else f"{text}; Max-Age=0").encode())

    def _check_origin(self, request: Request) -> None:
        """Browsers say from which site a form comes; another site's is refused even with a good token."""
        origin = request.getHeader("origin")
        host = request.getHeader("host")
        if origin and origin.rpartition("//")[2] not in (host, self._own_host()):
            raise Forbidden("This form came from another site.")

    def _own_host(self) -> str:
        return self._master.config.buildbot_url.partition("//")[2].partition("/")[0]

    # -- sessions

    def session_of(self, request: Request) -> Session | None:
        return self._sessions.find(cookie_of(request, self.cookie_name))

    # -- sending

    def frame(self, asked: Asked, session: Session | None) -> Frame:
        config = self._master.config
        query = [(name, value) for name, values in asked.query.items() for value in values]
        return Frame(
            title=config.title,
            title_url=config.title_url,
            path=asked.path,
            back_to=urls.with_query(asked.path, query) if asked.method in ("GET", "HEAD") else "/",
            now=asked.now,
            user=asked.user,
            can_log_in=config.www is not None and config.www.auth is not None,
            token=session.token if session else "",
            notices=session.take_notices() if session and not asked.live else [],
            stopping=self._master.control.clean_stop.under_way,
            problem=self.problem,
            static=self._static.address,
            might=lambda action, builder=None: auth.might(config.www, asked.user, action, builder),
        )

    def _send_seen(
        self, request: Request, asked: Asked, session: Session | None, seen: Seen, template: str
    ) -> None:
        if isinstance(seen, Redirect):
            if session is not None:
                session.add_notice(seen.notice)
            request.setResponseCode(303)
            request.setHeader("Location", seen.path)
            self.send(request, b"", "text/plain; charset=utf-8")
            return
        self.send_view(request, asked, session, seen, template)

    def send_view(self, request: Request, asked: Asked, session: Session | None, view: View, template: str) -> None:
        page = self._environment.get_template(template).render(view=view, frame=self.frame(asked, session))
        request.setResponseCode(view.status)
        request.setHeader("Cache-Control", "no-store" if session else "no-cache")
        request.setHeader("Vary", "Accept-Encoding, Cookie")
        self.send(request, page.encode(errors="replace"), "text/html; charset=utf-8")

    def send(self, request: Request, body: bytes, content_type: str) -> None:
        """Send a whole body, compressed when the browser can read that."""
        request.setHeader("Content-Type", content_type)
        if len(body) >= COMPRESS_FROM_BYTES and accepts_gzip(request):
            body = gzip.compress(body, 5, mtime=0)
            request.setHeader("Content-Encoding", "gzip")
        send_bytes(request, body)

    def _send_json(self, request: Request, data: JSON) -> None:
        request.setHeader("Cache-Control", "no-cache")
        request.setHeader("Vary", "Accept-Encoding, Cookie")
        self.send(request, json.dumps(data, indent=1).encode(), "application/json")

    def _send_problem(self, request: Request, asked: Asked, session: Session | None, problem: Problem) -> None:
        view = ErrorView(title=problem.title, status=problem.status, text=problem.text, log_in=problem.log_in)
        self.send_view(request, asked, session, view, "error.html")

    def _send_static(self, request: Request, name: str) -> None:
        file = self._static.get(name)
        if file is None:
            raise NotFound(f"There is no file {name}.")
        request.setHeader("Vary", "Accept-Encoding")
        named = request.args.get(b"v", [b""])[-1].decode("ascii", "replace") == file.digest
        request.setHeader("Cache-Control", "public, max-age=31536000, immutable" if named else "no-cache")
        if request.setETag(f'"{file.digest}"'.encode()):
            request.finish()
            return
        request.setHeader("Content-Type", file.content_type)
        body = file.body
        if accepts_gzip(request) and len(file.gzipped) < len(body):
            request.setHeader("Content-Encoding", "gzip")
            body = file.gzipped
        send_bytes(request, body)

    def _send_public(self, request: Request, path: Path) -> None:
        """A user's own file: small ones at once, large ones as fast as the browser takes them."""
        status = path.stat()
        request.setHeader("Cache-Control", "no-cache")
        if status.st_size > LARGEST_AT_ONCE_BYTES:
            done: Any = File(str(path)).render_GET(request)
            if done is not NOT_DONE_YET:
                send_bytes(request, done)
        elif request.setETag(f'"{status.st_mtime_ns:x}-{status.st_size:x}"'.encode()):
            request.finish()
        else:
            self.send(request, path.read_bytes(), content_type(path.name))

    def _send_other(self, request: Request, asked: Asked, segments: list[str]) -> None:
        """A file of public_html; or the page without its trailing slash."""
        found = public_file(self._public_html, segments)
        if found is not None:
            self._send_public(request, found)
        elif len(segments) > 1 and not segments[-1] and self._routes.find(segments[:-1], (Page,)):
            self._send_seen(request, asked, None, Redirect(asked.path.rstrip("/")), "")
        else:
            raise NotFound("There is no page at this address.")


async def _waited(value: Any) -> Seen:
    seen: Seen = await value if inspect.isawaitable(value) else value
    return seen


def send_bytes(request: Request, body: bytes) -> None:
    request.setHeader("Content-Length", str(len(body)))
    request.write(body)
    request.finish()


def accepts_gzip(request: Request) -> bool:
    for part in (request.getHeader("accept-encoding") or "").split(","):
        name, _, weight = part.partition(";")
        if name.strip().lower() == "gzip":
            return weight.replace(" ", "") not in ("q=0", "q=0.0")
    return False


def cookie_of(request: Request, name: str) -> str:
    try:
        morsel = SimpleCookie(request.getHeader("cookie") or "").get(name)
    except CookieError:
        return ""
    return morsel.value if morsel is not None else ""


def read_asked(request: Request, session: Session | None, now: float) -> Asked:
    """The request's values, the query and the form apart. Raises BadRequest."""
    path, _, query = request.uri.decode("ascii", "replace").partition("?")
    if not path.startswith("/"):
        path = "/" + path.partition("//")[2].partition("/")[2]
    method = request.method.decode("ascii", "replace")
    names = ("x-live", "if-none-match", "range", "if-range", "accept-language", "accept", "last-event-id")
    sent = _sent(request) if method == "POST" else {}
    headers = {name: value for name in names if (value := request.getHeader(name)) is not None}
    return Asked(
        method=method,
        path=path,
        query=parse_values(query),
        form={name: tuple(value.decode(errors="replace") for value in values) for name, values in sent.items()},
        sent=sent,
        headers=headers,
        user=session.user if session else None,
        now=now,
        live=headers.get("x-live") == "1",
    )


def _sent(request: Request) -> Sent:
    content: Any = request.content
    content.seek(0)
    return fields(request.getHeader("content-type") or "", content.read())
