"""A web status without a port, and visitors who keep their cookies. For the pages' own tests."""

from __future__ import annotations

import io
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlencode

from treq.testing import RequestTraversalAgent
from twisted.internet import task
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.client import FileBodyProducer, readBody
from twisted.web.http_headers import Headers

from buildbot.config.authz import UserPasswordAuth
from buildbot.config.builder import BuilderConfig
from buildbot.config.web import Web
from buildbot.process.factory import BuildFactory
from buildbot.process.reattach import Away
from buildbot.status.web.site import WebSite
from buildbot.store import builders, slaves
from buildbot.store.logfiles import LogFiles
from tests.stores import new_store
from tests.unit.web.served import Asking, a_config

NOW = 1_700_000_000.0


class Control(Asking):
    """Remembers what it was asked."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[Any, ...]] = []
        self.answer = True

    def stop_build(self, build_id, who, why):
        self.asked.append(("stop", build_id, who, why))
        return self.answer

    def rebuild(self, build_id, who, why):
        self.asked.append(("rebuild", build_id, who, why))
        return 1

    def cancel_request(self, request_id, who, why):
        self.asked.append(("cancel", request_id, who, why))
        return self.answer


    async def cancel_requests(self, ids, who, why):
        self.asked.append(("cancel", tuple(ids), who, why))
        return len(ids)

    async def cancel_pending(self, wanted, who, why):
        self.asked.append(("cancel all", tuple(wanted), who, why))
        return 7

    async def stop_change(self, change, builder, who, why):
        self.asked.append(("stop change", change, builder, who, why))
        return 2, 1

    def pause(self, kind, name, who, why, *, graceful=False):
        self.asked.append(("retire" if graceful else "pause", kind, name, who, why))
        return self.answer

    def unpause(self, kind, name, who, why):
        self.asked.append(("unpause", kind, name, who, why))
        return self.answer

    def give_up_slave(self, name, who, why):
        self.asked.append(("give up", name, who, why))
        return 2 * self.answer

    def free_slave(self, name, who, why):
        self.asked.append(("free", name, who, why))
        return 1 * self.answer


class Answer:
    def __init__(self, response: Any, body: bytes) -> None:
        self.status: int = response.code
        self.headers = response.headers
        self.body = body

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def words(self) -> str:
        """What a person reads: no tags, single spaces."""
        return " ".join(re.sub(r"<[^>]*>", " ", self.text).split())

    def header(self, name: str) -> str | None:
        return (self.headers.getRawHeaders(name) or [None])[0]


class SiteCase(SynchronousTestCase):
    """A store, a site, and `self.visit(path)`. `self.log_in()` makes the visitor ada, password secret."""

    def setUp(self) -> None:
        self.basedir = Path(self.mktemp())
        self.basedir.mkdir(parents=True)
        self.now = NOW
        self.store = new_store(self.basedir / "state.sqlite")
        self.addCleanup(self.store.close)
        self.control = Control()
        self.away: dict[str, Away] = {}
        self.config = a_config()
        self.set_www(auth=UserPasswordAuth([("ada", "secret"), ("bob", "other")]))
        self.site = self.make_site()
        self.cookies: dict[str, str] = {}

    def make_site(self) -> WebSite:
        site = WebSite(
            self.store,
            LogFiles(self.basedir / "logs"),
            lambda: self.config,
            self.control,
            task.Clock(),
            lambda: self.now,
            in_thread=lambda call, *args: succeed(call(*args)),
            away=self.away,
        )
        self.addCleanup(site.streams.close)
        return site

    def set_www(self, **settings: Any) -> None:
        self.config = replace(self.config, www=Web(port="", **settings))

    def configure(self, slaves_of: dict[str, list[str]], **other: Any) -> None:
        """Builders and their slaves, in the store and in the configuration."""
        names = sorted({slave for its in slaves_of.values() for slave in its})
        tags = other.pop("tags", {})
        self.builders = self.store.transact(
            builders.sync, [(name, "", tags.get(name, ())) for name in slaves_of], self.now
        )
        self.slaves = self.store.transact(slaves.sync, names, self.now)
        known = tuple(
            BuilderConfig(name=name, slavenames=its, factory=BuildFactory()) for name, its in slaves_of.items()
        )
        self.config = replace(self.config, builders=known, **other)

    # -- asking

    def visit(
        self,
        path: str,
        method: str = "GET",
        form: dict[str, Any] | None = None,
        sent: bytes | None = None,
        **headers: str,
    ) -> Answer:
        agent = RequestTraversalAgent(self.site.resource)
        given = Headers({name.replace("_", "-"): [value] for name, value in headers.items()})
        if self.cookies:
            given.setRawHeaders("Cookie", ["; ".join(f"{name}={value}" for name, value in self.cookies.items())])
        body = None
        if form is not None:
            given.setRawHeaders("Content-Type", ["application/x-www-form-urlencoded"])
            body = FileBodyProducer(io.BytesIO(urlencode(form, doseq=True).encode()), cooperator=_AtOnce())
        if sent is not None:
            body = FileBodyProducer(io.BytesIO(sent), cooperator=_AtOnce())
        requested = agent.request(method.encode(), f"http://localhost{path}".encode(), given, body)
        agent.flush()
        for _ in range(20):
            agent.flush()
        response = self.successResultOf(requested)
        read = readBody(response)
        for _ in range(20):
            agent.flush()
        agent.flush()
        self._keep_cookies(response)
        return Answer(response, self.successResultOf(read))

    def post(self, path: str, **form: Any) -> Answer:
        return self.visit(path, "POST", form)

    def upload(self, path: str, files: dict[str, bytes], **form: str) -> Answer:
        """Send a form as browsers do when it has files."""
        parts = [(f'name="{name}"', value.encode()) for name, value in form.items()]
        parts += [(f'name="{name}"; filename="f"', content) for name, content in files.items()]
        lines = [b"--edge\r\nContent-Disposition: form-data; %s\r\n\r\n%s\r\n" % (a.encode(), b) for a, b in parts]
        kind = {"Content_Type": "multipart/form-data; boundary=edge"}
        return self.visit(path, "POST", sent=b"".join([*lines, b"--edge--\r\n"]), **kind)

    def _keep_cookies(self, response: Any) -> None:
        for text in response.headers.getRawHeaders("Set-Cookie", []):
            name, _, rest = text.partition("=")
            value = rest.partition(";")[0]
            if "Max-Age=0" in rest:
                self.cookies.pop(name, None)
            else:
                self.cookies[name] = value

    def log_in(self, name: str = "ada", password: str = "secret", back_to: str = "/about") -> Answer:
        page = self.visit("/login?" + urlencode({"next": back_to}))
        return self.post("/login", token=token_in(page.text), username=name, password=password, next=back_to)

    def token(self) -> str:
        """The token of the visitor's session, as any page's forms carry it."""
        return token_in(self.visit("/about").text)


class _AtOnce:
    """FileBodyProducer's cooperator, without a reactor."""

    def cooperate(self, iterator: Any) -> Any:
        for _ in iterator:
            pass
        return SimpleNamespace(
            whenDone=lambda: succeed(None), stop=lambda: None, pause=lambda: None, resume=lambda: None
        )


def token_in(page: str) -> str:
    """The token of the page's last form."""
    found = re.findall(r'name="token" value="([^"]*)"', page)
    assert found, page
    return found[-1]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name == "href" and value and tag == "a"]


def links_in(page: str) -> list[str]:
    parser = _Links()
    parser.feed(page)
    return parser.found
