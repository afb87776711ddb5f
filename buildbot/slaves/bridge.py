"""Coroutines behind Perspective Broker methods, and calls to the peer that end.

Twisted answers a call with what the method returns, and a coroutine cannot be sent: `bridge` makes of an `async`
method one that returns a Deferred, for `remote_` methods of Twisted's Referenceable. Subclasses of `Served` and avatars
need no decorator: they may have plain and `async` methods alike.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine
from functools import wraps
from inspect import iscoroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar

from twisted.internet.defer import Deferred, TimeoutError, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.spread import pb

from buildbot.slaves.guard import GuardedBroker

Self = TypeVar("Self")
P = ParamSpec("P")
T = TypeVar("T")


class NoSuchMethod(pb.Error):
    """The buildmaster does not know this message."""


class WrongArguments(pb.Error):
    """The message was sent with arguments that it does not take."""


class Avatar(Protocol):
    """Whom a connection speaks to after its login; its `perspective_` methods are what the peer may call."""

    def attached(self, mind: pb.RemoteReference | None) -> None:
        """The login is done; `mind` is the peer's own object. Raising ends the connection."""

    def detached(self) -> None:
        """The connection is gone. Called once."""


class Served(pb.Referenceable):
    """A Referenceable whose `remote_` methods may be `async`, and whose caller is told when a call was wrong."""

    def remoteMessageReceived(self, broker: GuardedBroker, message: str, args: Any, kw: Any) -> Any:
        arguments, keywords = broker.unserialize(args), broker.unserialize(kw)
        method = self._method(message)
        if method is None:
            raise NoSuchMethod(f"there is no message {message[:100]!r} here")
        return broker.serialize(_call(method, message, arguments, keywords))

    def _method(self, message: str) -> Callable[..., Any] | None:
        return getattr(self, f"remote_{message}", None)


class AvatarReference(Served):
    """Lets the peer call `perspective_` methods of an avatar, `async` or not."""

    def __init__(self, avatar: Avatar) -> None:
        self._avatar = avatar

    def _method(self, message: str) -> Callable[..., Any] | None:
        return getattr(self._avatar, f"perspective_{message}", None)


def _call(method: Callable[..., Any], name: str, arguments: Any, keywords: Any) -> Any:
    if not isinstance(arguments, (list, tuple)) or not isinstance(keywords, dict):
        raise WrongArguments(f"{name}: not a list of arguments")
    try:
        named = {key.decode() if isinstance(key, bytes) else key: value for key, value in keywords.items()}
        result = method(*arguments, **named)
    except (TypeError, UnicodeDecodeError) as problem:
        if problem.__traceback__ is not None and problem.__traceback__.tb_next is None:
            raise WrongArguments(f"{name}: {problem}") from None  # raised here, so the method did not even begin
        raise
    return ensureDeferred(result) if iscoroutine(result) else result


def bridge(
    method: Callable[Concatenate[Self, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[Self, P], Deferred[T]]:
    """Decorator: an `async def` that Perspective Broker can call."""

    @wraps(method)
    def bridged(self: Self, /, *args: P.args, **kwargs: P.kwargs) -> Deferred[T]:
        return ensureDeferred(method(self, *args, **kwargs))

    return bridged


class NoAnswer(Exception):
    """The peer did not answer a call in time."""


async def call_remote(
    reference: pb.RemoteReference, name: str, *args: Any, clock: IReactorTime, timeout: float, **kwargs: Any
) -> Any:
    """Call the peer's method and wait for its answer for at most `timeout` seconds.

    Raises NoAnswer when it is late, `pb.RemoteError` when its method raised, and `pb.DeadReferenceError` or
    `pb.PBConnectionLost` when the connection is gone.
    """
    answer: Awaitable[Any] = reference.callRemote(name, *args, **kwargs).addTimeout(timeout, clock)
    try:
        return await answer
    except TimeoutError:
        raise NoAnswer(f"no answer to {name} within {timeout:g} s") from None
