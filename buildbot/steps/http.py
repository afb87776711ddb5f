"""Steps that make an HTTP request from the master."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from inspect import signature
from typing import Any, ClassVar
from urllib.parse import urlsplit

from twisted.internet.defer import Deferred

from buildbot.config.errors import error
from buildbot.process.buildstep import BuildStep
from buildbot.process.results import CANCELLED, FAILURE, SUCCESS
from buildbot.steps.httpclient import Answer, Unreachable, ask
from buildbot.store.logfiles import Channel

METHODS = ("DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT")
OPTIONS_OF_REQUESTS = (
    "params",
    "data",
    "json",
    "headers",
    "cookies",
    "files",
    "auth",
    "timeout",
    "allow_redirects",
    "proxies",
    "verify",
    "cert",
)
SECRET_HEADERS = frozenset({"authorization", "cookie", "proxy-authorization", "set-cookie"})
TIMEOUT_SECONDS = 1200.0


class HTTPStep(BuildStep):
    """Make a request from the master. An answer below 400 is SUCCESS, one from there on FAILURE, as is none at all.

    url: renderable. method: DELETE, GET, HEAD, OPTIONS, POST or PUT. The options of the library requests, all
    renderable: params, data, json, headers, cookies, files, auth (a pair of name and password), timeout (seconds,
    default 1200), allow_redirects (default True; for HEAD False), proxies (for http), verify (False: do not look at the
    server's certificate; a path: of the certificates to trust), cert. `stream` is accepted and changes nothing.
    hide_request_headers, hide_response_headers: names of headers whose values the log does not show; those that carry
    passwords and cookies are never shown.

    After a restart of the master the request is made again, but for POST: then the build is tried again.
    """

    name = "HTTPStep"
    description: Any = "Requesting"
    descriptionDone: Any = "Requested"
    resumable = False
    renderables: ClassVar[Any] = ("url", "method", *OPTIONS_OF_REQUESTS)

    def __init__(
        self,
        url: Any,
        method: Any,
        hide_request_headers: Iterable[str] | None = None,
        hide_response_headers: Iterable[str] | None = None,
        params: Any = None,
        data: Any = None,
        json: Any = None,
        headers: Any = None,
        cookies: Any = None,
        files: Any = None,
        auth: Any = None,
        timeout: Any = None,
        allow_redirects: Any = None,
        proxies: Any = None,
        verify: Any = None,
        cert: Any = None,
        hooks: Any = None,
        stream: Any = None,
        **kwargs: Any,
    ) -> None:
        if hooks:
            error(f"{type(self).__name__} takes no hooks", "a subclass may override log_response(self, response)")
        self.url = url
        self.method = method
        self.hide_request_headers = frozenset(name.lower() for name in hide_request_headers or ())
        self.hide_response_headers = frozenset(name.lower() for name in hide_response_headers or ())
        self.params, self.data, self.json, self.headers, self.cookies = params, data, json, headers, cookies
        self.files, self.auth, self.timeout, self.allow_redirects = files, auth, timeout, allow_redirects
        self.proxies, self.verify, self.cert = proxies, verify, cert
        self.idempotent = isinstance(method, str) and method != "POST"
        self.response: Answer | None = None
        self._problem = ""
        self._asking: Deferred[Answer] | None = None
        super().__init__(**kwargs)
        if isinstance(method, str) and method not in METHODS:
            error(f"{type(self).__name__}: method is one of {', '.join(METHODS)}, not {method!r}")
        if isinstance(url, str) and urlsplit(url).scheme not in ("http", "https"):
            error(f"{type(self).__name__}: url is an address such as 'https://example.org/', not {url!r}")

    async def run(self) -> int:
        return await self.doRequest()

    async def doRequest(self) -> int:
        """Make the request, log it, and judge the answer."""
        options = {name: getattr(self, name) for name in OPTIONS_OF_REQUESTS if getattr(self, name) is not None}
        options.setdefault("timeout", TIMEOUT_SECONDS)
        options.setdefault("allow_redirects", self.method != "HEAD")
        if "auth" in options:
            options["auth"] = tuple(options["auth"])
        self.log_request(options)
        self._asking = Deferred.fromCoroutine(
            ask(self.build.services.reactor, str(self.method), str(self.url), options)
        )
        try:
            self.response = await self._asking
        except Unreachable as why:
            self._problem = str(why)
            await self.getLog("log").addStderr(f"{why}\n")
            return FAILURE
        except BaseException:
            if self.stopped:
                return CANCELLED
            raise
        finally:
            self._asking = None
        log_response: Any = self.log_response
        takes_log = len(signature(log_response).parameters) > 1  # that of 4.x does
        log_response(*([self.getLog("log")] if takes_log else []), self.response)
        return SUCCESS if self.response.status_code < 400 else FAILURE

    def log_request(self, options: Mapping[str, Any]) -> None:
        """Write what is asked for into the log `log`."""
        log = self.new_log("log")
        lines = [f"Performing {self.method} request to {self.url}"]
        if options.get("params"):
            lines.append(f"Params: {options['params']}")
        headers = {str(name): str(value) for name, value in (options.get("headers") or {}).items()}
        lines += ["Request Headers:", *_shown(headers, self.hide_request_headers)]
        sent = next((options[name] for name in ("data", "json") if options.get(name)), None)
        if isinstance(sent, (str, dict, list)):
            lines.append(f"Data: {sent}"[:10_000])
        log.write("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"), Channel.HEADER)

    def log_response(self, *log_and_response: Any) -> None:
        """Write the answer into the logs: its status and headers, and its body into `content`. An override takes the
        log and the answer, or the answer alone; and so does this."""
        log, response = self.getLog("log"), log_and_response[-1]
        lines = ["Response Headers:", *_shown(response.headers, self.hide_response_headers)]
        lines.append(f"Status: {response.status_code}")
        if response.left_out:
            lines.append(f"{response.left_out} bytes of the body are left out here")
        log.write("\n".join([*lines, ""]).encode("utf-8", "surrogateescape"), Channel.HEADER)
        if response.content:
            self.note_text("content", response.text)

    async def interrupt(self, reason: Any) -> None:
        await super().interrupt(reason)
        if self._asking is not None:
            self._asking.cancel()

    def getResultSummary(self) -> dict[str, str]:
        if self.response is not None:
            return {"step": self._with_suffix(f"Status code: {self.response.status_code}")}
        return {"step": self._problem} if self._problem else super().getResultSummary()


def _shown(headers: Mapping[str, str], hidden: frozenset[str]) -> list[str]:
    return [
        f"\t{name}: {'<hidden>' if name.lower() in hidden | SECRET_HEADERS else value}"
        for name, value in headers.items()
    ]


class _OneMethod(HTTPStep):
    verb: ClassVar[str]

    def __init__(self, url: Any, **kwargs: Any) -> None:
        super().__init__(url, self.verb, **kwargs)


class DELETE(_OneMethod):
    """HTTPStep with the method DELETE."""

    verb = "DELETE"


class GET(_OneMethod):
    """HTTPStep with the method GET."""

    verb = "GET"


class HEAD(_OneMethod):
    """HTTPStep with the method HEAD."""

    verb = "HEAD"


class OPTIONS(_OneMethod):
    """HTTPStep with the method OPTIONS."""

    verb = "OPTIONS"


class POST(_OneMethod):
    """HTTPStep with the method POST."""

    verb = "POST"


class PUT(_OneMethod):
    """HTTPStep with the method PUT."""

    verb = "PUT"
