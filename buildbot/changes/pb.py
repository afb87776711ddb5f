"""The change source that `buildbot sendchange` and the hook scripts speak to, over Perspective Broker.

    client -> avatar    addChange({...})    -> None once the change is durable; an error says why it is refused

The keys of the dictionary are those of `buildbot.changes.dialect`.
"""

from __future__ import annotations

from typing import Any

from twisted.logger import Logger
from twisted.spread import pb

from buildbot.changes.base import ChangeSource, SourceContext
from buildbot.changes.dialect import change_from, normalized, unknown_keys
from buildbot.config.arguments import configurable
from buildbot.config.errors import ConfigErrors, Problem, error, warning
from buildbot.config.ports import BadPort, endpoint_string
from buildbot.process.outside import BadInput
from buildbot.process.rendering import needs_rendering
from buildbot.slaves.guard import GuardedBroker
from buildbot.slaves.ports import Registration

DEFAULT_USER = "change"
DEFAULT_PASSWORD = "changepw"


class ChangeRefused(pb.Error):
    """The change was not stored; the text says why and what to do."""


@configurable
class PBChangeSource(ChangeSource):
    """Takes changes from `buildbot sendchange` and from hook scripts.

    user, passwd: what a client logs in with; 'change' and 'changepw' unless you say otherwise. Each may be a Secret.
    port: number or endpoint string of an own port; None: the ports of the slaves.
    prefix: of the files of a change, only those whose path begins with this count, and it is cut from their paths.
    sep: not needed any more; end the prefix with the separator.
    name: unique among the change sources; made from the other arguments when it is None.
    """

    _log = Logger()

    def __init__(
        self,
        user: Any = DEFAULT_USER,
        passwd: Any = DEFAULT_PASSWORD,
        port: int | str | None = None,
        prefix: str | None = None,
        sep: str | None = None,
        name: str | None = None,
    ) -> None:
        if name is None:
            name = ":".join(["PBChangeSource", *(str(part) for part in (prefix, port, user) if part is not None)])
        super().__init__(
            name=name, settings={"user": user, "passwd": passwd, "port": port, "prefix": prefix, "sep": sep}
        )
        for argument, value in (("user", user), ("passwd", passwd)):
            if not needs_rendering(value) and (not isinstance(value, str) or not value):
                error(f"PBChangeSource(): {argument} must be a non-empty string, not {type(value).__name__}")
        if sep is not None:
            warning(
                "PBChangeSource(): sep= is not needed any more", "end the prefix with the separator, as in 'trunk/'"
            )
        self.user = user
        self.passwd = passwd
        self.prefix = _with_separator(prefix, sep)
        self.port = _endpoint(port)
        self._registrations: list[Registration] = []

    async def start(self, context: SourceContext) -> None:
        """Raises `NameInUse` when a slave or another source has the same user name on the same port; SecretProblem."""
        ports = context.pb_ports if self.port is None else (self.port,)
        if not ports:
            raise ConfigErrors(
                [Problem(f"{self.name} has no port: give it port=, or set c['protocols'] to share the slaves'")]
            )

        user = await context.secrets.text(self.user, f"user of {self.name}")
        passwd = await context.secrets.text(self.passwd, f"passwd of {self.name}")

        def make_avatar(mind: pb.RemoteReference | None, broker: GuardedBroker) -> ChangeAvatar:
            return ChangeAvatar(self, context, broker)

        try:
            for port in ports:
                self._registrations.append(context.pb.register(port, user, passwd, make_avatar))
        except Exception:
            await self.stop()
            raise

    async def stop(self) -> None:
        registrations, self._registrations = self._registrations, []
        for registration in registrations:
            registration.unregister()

    def describe(self) -> str:
        where = "the slaves' port" if self.port is None else self.port
        prefix = "" if self.prefix is None else f" (prefix {self.prefix!r})"
        return f"changes sent by Perspective Broker to {where} as {self.user!r}{prefix}"


def _endpoint(port: int | str | None) -> str | None:
    try:
        return None if port is None else endpoint_string(port)
    except BadPort as problem:
        error(f"PBChangeSource(): {problem}")
        return None


def _with_separator(prefix: str | None, sep: str | None) -> str | None:
    if not prefix or not sep or prefix.endswith(sep):
        return prefix
    return prefix + sep


class ChangeAvatar:
    """A client that has logged in to send changes."""

    _log = Logger()

    def __init__(self, source: PBChangeSource, context: SourceContext, broker: GuardedBroker) -> None:
        self._source = source
        self._context = context
        self._broker = broker

    def attached(self, mind: pb.RemoteReference | None) -> None:
        """Clients offer nothing that we would call."""

    def detached(self) -> None:
        """A client that goes leaves nothing behind: each change is stored before it is acknowledged."""

    def perspective_addChange(self, described: Any) -> None:
        """Store the change. Returns when it is durable."""
        try:
            known = normalized(described)
            change = change_from(known, source=self._source.name, prefix=self._source.prefix)
        except BadInput as problem:
            self._log.warn(
                "{source}: refused a change from {address}: {problem}",
                source=self._source.name,
                address=self._broker.address,
                problem=problem,
            )
            raise ChangeRefused(f"the change is refused: {problem}") from None
        self._tell_unknown(unknown_keys(known))
        try:
            self._context.add_change(change)
        except Exception:
            self._log.failure("{source}: a change could not be stored", source=self._source.name)
            raise ChangeRefused(
                "the buildmaster could not store the change, and kept nothing of it: see its log, then send it again"
            ) from None

    def perspective_keepalive(self) -> None:
        """Some clients keep their connection open."""

    def _tell_unknown(self, keys: list[str]) -> None:
        if keys:
            self._log.warn(
                "{source}: a change from {address} has keys that nobody knows, which were ignored: {keys}",
                source=self._source.name,
                address=self._broker.address,
                keys=", ".join(keys)[:300],
            )
