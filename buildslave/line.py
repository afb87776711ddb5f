"""What a connection to the master is, whatever is spoken on it: `overpb` and `oversocket` are the two kinds."""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from buildslave.mind import Mind
from buildslave.session import Remote


class Refused(Exception):
    """The master does not let this slave in."""


class Line(Protocol):
    """A connection that is made, and on which nothing was said yet."""

    def watch(self, heard: Callable[[], None], lost: Callable[[Failure], None]) -> None:
        """`heard()` is called whenever something comes; `lost(reason)` once, at the end."""

    def log_in(self, name: str, password: str, mind: Mind) -> "Deferred[Remote]":
        """Fires with the master's side of this slave, which is called from then on; `mind` is what the master may
        call. Fails with Refused."""

    def abort(self) -> None:
        """End it at once."""


Dial = Callable[[IStreamClientEndpoint], "Deferred[Line]"]


def prompt(transport: Any) -> None:
    """Have small messages leave at once, and the system look whether the peer is still there."""
    for option in ("setTcpNoDelay", "setTcpKeepAlive"):
        if hasattr(transport, option):
            getattr(transport, option)(True)
