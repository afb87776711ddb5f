"""The connection to one slave, whatever it speaks: questions that are answered, refused, or end in time."""

from __future__ import annotations

from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred, TimeoutError
from twisted.internet.interfaces import IReactorTime
from twisted.spread import pb

from buildbot.slaves.bridge import NoAnswer, call_remote
from buildbot.slaves.guard import GuardedBroker

T = TypeVar("T")

ANSWER_SECONDS = 20.0
_LOST = (pb.DeadReferenceError, pb.PBConnectionLost)


class LinkLost(Exception):
    """The connection is gone."""


class Refused(Exception):
    """The slave answered with an error; its text is what the slave said."""


class Link(Protocol):
    """One connection. `ask` raises NoAnswer (of `bridge`), LinkLost, Refused."""

    @property
    def address(self) -> str:
        """Where the slave has connected from."""

    async def ask(self, what: str, *args: Any, timeout: float | None = None) -> Any:
        """Put a question to the slave. timeout: seconds for the answer (ANSWER_SECONDS)."""

    def close(self) -> None:
        """End the connection when what was written is sent."""

    def abort(self) -> None:
        """End the connection at once."""

    def hold(self, held: bool) -> None:
        """Read nothing more from it, until it is to go on."""


async def in_time(answer: Deferred[T], what: str, clock: IReactorTime, timeout: float | None = None) -> T:
    """The answer, if it comes within `timeout` seconds (ANSWER_SECONDS). Raises NoAnswer."""
    seconds = ANSWER_SECONDS if timeout is None else timeout
    try:
        return await answer.addTimeout(seconds, clock)
    except TimeoutError:
        raise NoAnswer(f"no answer to {what} within {seconds:g} s") from None


class PBLink:
    """Perspective Broker: `mind` is the slave's own object."""

    def __init__(self, mind: pb.RemoteReference, broker: GuardedBroker, clock: IReactorTime) -> None:
        self._mind = mind
        self._broker = broker
        self._clock = clock

    @property
    def address(self) -> str:
        return self._broker.address

    async def ask(
        self, what: str, *args: Any, timeout: float | None = None, of: pb.RemoteReference | None = None
    ) -> Any:
        """of: another object of the slave's."""
        seconds = ANSWER_SECONDS if timeout is None else timeout
        try:
            return await call_remote(self._mind if of is None else of, what, *args, clock=self._clock, timeout=seconds)
        except (CancelledError, NoAnswer):
            raise
        except _LOST as lost:
            raise LinkLost(str(lost) or "the connection was lost") from None
        except Exception as refused:
            raise Refused(str(refused)[:2000] or type(refused).__name__) from None

    def close(self) -> None:
        self._broker.close()

    def abort(self) -> None:
        self._broker.abort()

    def hold(self, held: bool) -> None:
        self._broker.hold(held)
