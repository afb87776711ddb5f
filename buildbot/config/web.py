"""The web status as configurations describe it: `c['www']`, or WebStatus and Waterfall objects in `c['status']`."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from buildbot.config.arguments import configurable
from buildbot.config.authz import ActionAuthz, Auth, Authz, HTPasswdAuth
from buildbot.config.errors import did_you_mean, error, is_broken, warning
from buildbot.config.ports import BadPort, endpoint_string

WWW_KEYS = frozenset(
    [
        "allowed_origins",
        "auth",
        "authz",
        "avatar_methods",
        "change_hook_auth",
        "change_hook_dialects",
        "cookie_expiration_time",
        "custom_templates_dir",
        "debug",
        "default_page",
        "graphql",
        "json_cache_seconds",
        "jsonp",
        "logRotateLength",
        "logfileName",
        "maxRotatedFiles",
        "plugins",
        "port",
        "project_widgets",
        "public_html",
        "rest_minimum_version",
        "theme",
        "ui_default_config",
        "users",
        "versions",
        "ws_ping_interval",
    ]
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Web:
    """What the web status is started with. Two equal ones need no restart."""

    port: str  # an endpoint string
    auth: Auth | None = None  # who can log in; None: nobody
    authz: Authz | ActionAuthz | None = None  # who may do what; None: whoever is logged in
    public_html: str | None = "public_html"  # files to serve, relative to the base directory
    change_hook_dialects: Mapping[str, Any] = field(default_factory=dict)
    change_hook_auth: Any = None
    options: Mapping[str, Any] = field(default_factory=dict)  # everything else that was given, by its own name


@configurable
class WebStatus:
    """The web server of 0.7 and 0.8, for c['status'].

    http_port: a number or endpoint string. authz (or allowForce with auth): who may act. public_html: a directory of
    files. change_hook_dialects: {dialect: options}. revlink, changecommentlink, projects, repositories: links.
    numbuilds, num_events, num_events_max: how much a page shows. provide_feeds: which feeds. logRotateLength,
    maxRotatedFiles: of http.log.
    """

    def __init__(
        self,
        http_port: Any = None,
        distrib_port: Any = None,
        allowForce: bool | None = None,
        public_html: str | None = "public_html",
        site: Any = None,
        numbuilds: int = 20,
        num_events: int = 200,
        num_events_max: int | None = None,
        auth: Any = None,
        order_console_by_time: bool = False,
        changecommentlink: Any = None,
        revlink: Any = None,
        projects: Any = None,
        repositories: Any = None,
        authz: Any = None,
        logRotateLength: int | None = None,
        maxRotatedFiles: int | None = None,
        change_hook_dialects: Any = None,
        provide_feeds: Any = None,
        jinja_loaders: Any = None,
        change_hook_auth: Any = None,
    ) -> None:
        given = {name: value for name, value in locals().items() if name != "self"}
        self.children: dict[str, Any] = {}
        self.allowForce = bool(allowForce)
        self.web: Web | None = None
        for name in ("distrib_port", "site"):
            if given.pop(name) is not None:
                error(f"WebStatus(): {name} is not in this version")
        if authz is not None and (allowForce is not None or auth is not None):
            error("WebStatus(): allowForce and auth are the older form of authz; give one of them")
        if authz is not None and not isinstance(authz, (ActionAuthz, Authz)):
            error(f"WebStatus(): authz must be an Authz, not {authz!r}")
            return
        self._make(given)

    def _make(self, given: dict[str, Any]) -> None:
        port, authz, auth = given.pop("http_port"), given.pop("authz"), given.pop("auth")
        allow_force = given.pop("allowForce")
        if authz is None and (allow_force is not None or auth is not None):
            authz = _from_allow_force(allow_force, auth)
        self.web = _web(
            "WebStatus(): http_port",
            port,
            auth=auth or getattr(authz, "auth", None),
            authz=authz,
            public_html=given.pop("public_html"),
            change_hook_dialects=given.pop("change_hook_dialects") or {},
            change_hook_auth=given.pop("change_hook_auth"),
            options={name: value for name, value in given.items() if value is not None},
        )

    def putChild(self, name: str, child: Any) -> None:
        """An extra page of the user's, under /name."""
        self.children[name] = child


@configurable
class Waterfall(WebStatus):
    """The web server of 0.7.5 and before: a waterfall as the first page, on which everybody may force builds."""

    def __init__(
        self,
        http_port: Any = None,
        distrib_port: Any = None,
        allowForce: bool = True,
        categories: Any = None,
        css: Any = None,
        favicon: Any = None,
        robots_txt: Any = None,
    ) -> None:
        WebStatus.__init__(self, http_port=http_port, distrib_port=distrib_port, allowForce=allowForce)
        self.categories = categories


def _from_allow_force(allow_force: bool | None, auth: Any) -> ActionAuthz:
    if auth is not None:
        return ActionAuthz(default_action="auth", auth=auth)
    return ActionAuthz(default_action=bool(allow_force))


def _web(what: str, port: Any, **settings: Any) -> Web | None:
    if port is None:
        return None
    try:
        endpoint = endpoint_string(port)
    except BadPort as bad:
        error(f"{what}: {bad}")
        return None
    auth = settings["auth"]
    if isinstance(auth, str):
        settings["auth"] = HTPasswdAuth(auth)
    elif auth is not None and not isinstance(auth, Auth):
        error(f"{what}: auth must be an object such as UserPasswordAuth([...]) or HTPasswdAuth('htpasswd')")
        return None
    return Web(port=endpoint, **settings)


def web_from_www(www: Any) -> Web | None:
    """The settings of c['www']; None when it starts no server. Mistakes are reported."""
    if not isinstance(www, Mapping):
        error(f"c['www'] must be a dict such as {{'port': 8010}}, not {www!r}")
        return None
    given = dict(www)
    for key in [key for key in given if key not in WWW_KEYS]:
        error(f"c['www'] has no key {key!r}", did_you_mean(str(key), WWW_KEYS))
        del given[key]
    authz = given.pop("authz", None)
    if authz is not None and not isinstance(authz, (Authz, ActionAuthz)):
        error(f"c['www']['authz'] must be an Authz, not {authz!r}")
        authz = None
    users = given.pop("users", None)
    return _web(
        "c['www']['port']",
        given.pop("port", None),
        auth=given.pop("auth", None) or users,
        authz=authz,
        public_html=given.pop("public_html", "public_html"),
        change_hook_dialects=given.pop("change_hook_dialects", None) or {},
        change_hook_auth=given.pop("change_hook_auth", None),
        options=given,
    )


def take_web(www: Any, status: list[Any]) -> tuple[Web | None, list[Any]]:
    """The one web server of a configuration, and the status receivers without those that describe it."""
    servers = [receiver for receiver in status if isinstance(receiver, WebStatus)]
    others = [receiver for receiver in status if not isinstance(receiver, WebStatus)]
    webs = [server.web for server in servers if not is_broken(server) and server.web is not None]
    if www is not None:
        from_www = web_from_www(www)
        if from_www is not None:
            webs.insert(0, from_www)
    if len(webs) > 1:
        warning(f"there is one web server: {webs[0].port} is used, {', '.join(web.port for web in webs[1:])} is not")
    return (webs[0] if webs else None), others
