"""A program that runs on the master, for a step: its output as it comes, its end with all that it has started.

It leads a session of its own, so that one signal reaches its whole group. Whoever starts it ends it: a process of the
master that is killed leaves it running, which is why such a step is not `resumable`.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IDelayedCall
from twisted.internet.protocol import ProcessProtocol
from twisted.python.failure import Failure

from buildbot.store.logfiles import Channel

_REFERENCE = re.compile(r"\$\{([0-9A-Za-z_]*)\}")
_SETSID = "import os, sys; os.setsid(); os.execvp(sys.argv[1], sys.argv[1:])"


def session_words() -> tuple[str, ...]:
    """A command line that runs the rest of its words as leader of a new session: no terminal to ask on, and one group
    to signal. setsid(1) is a millisecond, a Python is thirty."""
    setsid = shutil.which("setsid")
    return (setsid,) if setsid else (sys.executable, "-I", "-S", "-c", _SETSID)


def environment(own: Mapping[str, str], given: Mapping[str, Any] | None) -> dict[str, str]:
    """`own`, with each variable of `given` set: None removes one, a list is joined with the path separator, and
    `${NAME}` is the variable of `own` (nothing if there is none)."""
    environ = dict(own)
    for name, value in (given or {}).items():
        if value is None:
            environ.pop(name, None)
            continue
        text = os.pathsep.join(str(part) for part in value) if isinstance(value, (list, tuple)) else str(value)
        environ[name] = _REFERENCE.sub(lambda found: own.get(found.group(1), ""), text)
    return environ


class Ended(NamedTuple):
    """How a program ended: its exit code, or the number of the signal; both None when it was given up."""

    code: int | None
    signal: int | None


class GroupLeader(ProcessProtocol):
    """A process of the master that leads a group of its own: how it is ended, and when it is over.

    A subclass takes what it writes, and is told once, with `over`. What holds the output of a process open that has
    ended is waited for `grace_seconds`, which is also the time from a signal to SIGKILL, and from that to giving up.
    """

    grace_seconds = 5.0

    def __init__(self, reactor: Any) -> None:
        self.running = True
        self.stopping = False
        self._reactor = reactor
        self._pid: int | None = None
        self._timer: IDelayedCall | None = None

    def over(self, how: Ended) -> None:
        """It has ended, or was given up."""
        raise NotImplementedError

    def stop(self, number: int) -> None:
        """Signal its group, and some seconds later end it for certain. Only the first stop counts."""
        if self.running and not self.stopping:
            self.stopping = True
            self._signal(number)
            self._plan(self._end_for_certain)

    # -- told by Twisted

    def connectionMade(self) -> None:
        transport: Any = self.transport
        self._pid = transport.pid

    def processExited(self, reason: Failure) -> None:
        if not self.stopping:
            self._plan(self._let_go)

    def processEnded(self, reason: Failure) -> None:
        if self.stopping:
            self._signal(signal.SIGKILL)  # what it had started
        self._ended(Ended(getattr(reason.value, "exitCode", None), getattr(reason.value, "signal", None)))

    # -- inside

    def _end_for_certain(self) -> None:
        self._signal(signal.SIGKILL)
        self._let_go()
        self._plan(lambda: self._ended(Ended(None, None)))

    def _let_go(self) -> None:
        transport: Any = self.transport
        transport.loseConnection()

    def _ended(self, how: Ended) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        if self.running:
            self.running = False
            self.over(how)

    def _plan(self, call: Callable[[], None]) -> None:
        if self._timer is not None and self._timer.active():
            self._timer.cancel()
        self._timer = self._reactor.callLater(self.grace_seconds, call)

    def _signal(self, number: int) -> None:
        if self._pid is None:
            return
        try:
            os.killpg(self._pid, number)
        except OSError:
            transport: Any = self.transport
            with suppress(Exception):  # not yet the leader of its group, or gone
                transport.signalProcess(number)


class MasterProgram(GroupLeader):
    """One program. `ended` fires with `Ended`, or fails when `output` raised; the program is then ended.

    reactor: starts it, and its clock. output: takes what it writes. Nothing is written to its input.
    """

    def __init__(self, reactor: Any, output: Callable[[Channel, bytes], None]) -> None:
        super().__init__(reactor)
        self.ended: Deferred[Ended] = Deferred()
        self._output = output
        self._problem: Failure | None = None

    def start(self, argv: Sequence[str], environ: Mapping[str, str], directory: str, *, terminal: bool = False) -> None:
        """Raises OSError when it cannot be started. terminal: it gets a terminal of its own."""
        if not os.path.isdir(directory):
            raise NotADirectoryError(20, "there is no such directory on the master", directory)
        program = os.path.join(directory, argv[0]) if os.sep in argv[0] else argv[0]
        if shutil.which(program, path=environ.get("PATH")) is None:
            raise FileNotFoundError(2, "there is no such program on the master", argv[0])
        words = [os.fsencode(word) for word in ((*argv,) if terminal else (*session_words(), *argv))]
        self._reactor.spawnProcess(
            self,
            words[0],
            words,
            env={os.fsencode(name): os.fsencode(value) for name, value in environ.items()},
            path=os.fsencode(directory),
            usePTY=terminal,
        )

    def end(self, name: str = "KILL") -> None:
        """Signal its group, and some seconds later do it for certain."""
        self.stop(getattr(signal, f"SIG{name.removeprefix('SIG')}"))

    def connectionMade(self) -> None:
        super().connectionMade()
        transport: Any = self.transport
        with suppress(AttributeError):  # a terminal has no end of its input of its own
            transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self._take(Channel.STDOUT, data)

    def errReceived(self, data: bytes) -> None:
        self._take(Channel.STDERR, data)

    def over(self, how: Ended) -> None:
        if self._problem is None:
            self.ended.callback(how)
        else:
            self.ended.errback(self._problem)

    def _take(self, channel: Channel, data: bytes) -> None:
        if self._problem is not None or not self.running:
            return
        try:
            self._output(channel, data)
        except Exception:
            self._problem = Failure()
            self.end()
