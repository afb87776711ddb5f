"""What a provider of secrets is, and what goes wrong with secrets."""

from __future__ import annotations

from typing import Any

from buildbot.config.errors import remember_place
from buildbot.process.rendering import RenderingError


class SecretProblem(RenderingError):
    """A secret cannot be had; the text says why and what to do, and never holds a value."""


class ProviderFailed(SecretProblem):
    """A provider could not say whether it knows a secret. Raised by providers; the text goes on from "NAME: "."""


class SecretProviderBase:
    """Base of every provider, and of users' own: write `get(entry)`.

    get(entry): the value of the secret of this name as a string, or None when this provider does not know it; it may
    be `async` or return a Deferred. Raise ProviderFailed, or anything else, when it cannot be told.

    A subclass may have its own `__init__`. Without one, the arguments go to `checkConfig(...)` while the configuration
    is read, which calls `buildbot.config.error(...)` for what is wrong, and to `reconfigService(...)`, which may be
    `async`, before the first secret is asked for. `self.reactor` is there from then on.
    """

    name: str | None = None
    reactor: Any = None

    def __init__(self, *args: Any, name: str | None = None, **kwargs: Any) -> None:
        remember_place(self)
        if name is not None:
            self.name = name
        self._arguments = (args, kwargs)
        self.checkConfig(*args, **kwargs)

    def checkConfig(self, *args: Any, **kwargs: Any) -> Any:
        """Say what is wrong with the arguments."""

    def reconfigService(self, *args: Any, **kwargs: Any) -> Any:
        """Make use of the arguments."""

    def setup(self, reactor: Any) -> Any:
        """Called once before the first secret is asked for."""
        self.reactor = reactor
        args, kwargs = getattr(self, "_arguments", ((), {}))
        return self.reconfigService(*args, **kwargs)

    def get(self, entry: str) -> Any:
        """The value, None, or a Deferred or coroutine of one of them."""
        raise NotImplementedError(f"{type(self).__name__} has no get(entry)")

    def __repr__(self) -> str:
        return f"<{self.name or type(self).__name__}>"  # never its arguments
