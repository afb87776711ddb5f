"""A reactor that does one thing at a time, when it is told to. Its threads are none, and its ports listen to nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.interfaces import IReactorTCP, IReactorTime
from twisted.internet.task import Clock
from zope.interface import implementer


class Port:
    def __init__(self, number: int) -> None:
        self.number = number

    def getHost(self) -> IPv4Address:
        return IPv4Address("TCP", "127.0.0.1", self.number)

    def stopListening(self) -> None:
        pass


@implementer(IReactorTime, IReactorTCP)
class StepReactor(Clock):
    """`turn` makes the next call that is due; nothing happens by itself."""

    def __init__(self, seconds: float) -> None:
        super().__init__()
        self.rightNow = seconds

    def turn(self) -> bool:
        """Make one call. False if none is due."""
        if not self.calls or self.calls[0].getTime() > self.rightNow:
            return False
        call = self.calls.pop(0)
        call.called = 1
        call.func(*call.args, **call.kw)
        return True

    def next_at(self) -> float | None:
        return self.calls[0].getTime() if self.calls else None

    def getThreadPool(self) -> StepReactor:
        return self

    def callInThreadWithCallback(
        self, told: Callable[[bool, Any], object], work: Callable[..., Any], *args: Any, **kw: Any
    ) -> None:
        from twisted.python.failure import Failure

        try:
            value = work(*args, **kw)
        except Exception:
            told(False, Failure())
        else:
            told(True, value)

    def callFromThread(self, call: Callable[..., Any], *args: Any, **kw: Any) -> None:
        call(*args, **kw)

    def listenTCP(self, port: int, factory: Any, backlog: int = 50, interface: str = "") -> Port:
        return Port(port)

    def connectTCP(self, *args: Any, **kw: Any) -> None:
        raise NotImplementedError
