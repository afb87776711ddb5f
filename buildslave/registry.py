"""All commands that the slave holds. They outlive connections; those that have ended outlive the slave's process, too.

The rules of docs/slave-protocol.md, "Commands": the master names on each connection what it wants to go on; what it
does not name is killed and forgotten; what nobody asks for during the grace time is killed, its outcome kept, and what
commands had left for those after them is taken away.
"""

from collections import deque
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import DeferredList
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from buildslave.arguments import Arguments, is_int
from buildslave.commands import make
from buildslave.commands.base import Order, Site
from buildslave.defaults import ORPHAN_GRACE_SECONDS
from buildslave.errors import BadArguments
from buildslave.held import HeldCommand, State
from buildslave.paths import builder_directory
from buildslave.session import Session
from buildslave.spool import Spool
from buildslave.spooldir import SpoolDirectory

KILL_WAIT_SECONDS = 10.0
REMEMBERED = 1000
"""So many commands that are over are known by their ids: an order that is repeated for one of them runs nothing."""
OVER = "over"


class Commands:
    """The commands by their id, and the session that they talk over."""

    _log = Logger()

    def __init__(
        self,
        site: Site,
        spool: SpoolDirectory,
        *,
        orphan_grace_seconds: float = ORPHAN_GRACE_SECONDS,
        forsaken: Callable[[], object] = lambda: None,
    ) -> None:
        """`spool` need not be open before `restore`. `forsaken` is called when no master has come during the grace
        time, and every command has been told to end."""
        self._site = site
        self._spool = spool
        self._grace_seconds = orphan_grace_seconds
        self._forsaken = forsaken
        self._held: dict[str, HeldCommand] = {}
        self._dropping: set[HeldCommand] = set()
        self._over: deque[str] = deque(maxlen=REMEMBERED)
        self._session: Session | None = None
        self._orphaned: IDelayedCall | None = None
        self._stopping = False

    @property
    def ids(self) -> list[str]:
        return sorted(self._held)

    def state(self, command_id: str) -> State:
        """What `attach` would say of it."""
        held = self._held.get(command_id)
        return State.UNKNOWN if held is None else held.state

    @property
    def idle(self) -> bool:
        """True when nothing is held: all is done and the master knows it."""
        return not self._held

    def restore(self) -> None:
        """Hold again what ended in an earlier process of this slave and was not acknowledged."""
        for kept in self._spool.kept():
            self._log.info("command {id} has ended before: its end is still to be told", id=kept.command_id)
            self._held[kept.command_id] = HeldCommand.restored(kept, clock=self._site.clock, forget=self._forget)

    def attach(self, session: Session, wanted: Mapping[str, Any]) -> dict[str, str]:
        """Keep the commands in `wanted`, and drop the others. Each goes on over `session` from the position that the
        master holds; where that is None, nothing is sent until `resume`."""
        for command_id, position in wanted.items():
            if not (position is None or is_int(position)):
                raise BadArguments(f"attach: {command_id!r}: {position!r} is not an id and a position")
        self._take_over(session)
        for command_id in [each for each in self._held if each not in wanted]:
            self._log.info("the master does not know command {id} any more", id=command_id)
            self.disown(command_id)
        return {command_id: self._attach_one(session, command_id, held).value for command_id, held in wanted.items()}

    def resume(self, session: Session, command_id: object, position: object) -> str:
        """Go on with one command over `session`, from the position that the master holds."""
        if not isinstance(command_id, str) or not is_int(position):
            raise BadArguments(f"resume: {command_id!r}: {position!r} is not an id and a position")
        self._take_over(session)
        return self._attach_one(session, command_id, position).value

    def _attach_one(self, session: Session, command_id: str, position: int | None) -> State:
        held = self._held.get(command_id)
        if held is None:
            return State.UNKNOWN
        if position is None:
            held.detach()
            return held.state
        state = held.attach(session, position)
        if state is State.UNKNOWN:
            self.disown(command_id)
        return state

    def detach(self, session: Session) -> None:
        """`session` is lost. Commands go on; those that nobody asks for in time are killed."""
        if self._session is not session:
            return
        self._session = None
        for held in self._held.values():
            held.detach()
        if not self._stopping:
            self._orphaned = self._site.clock.callLater(self._grace_seconds, self._kill_orphans)

    def order(self, session: Session, wanted: Mapping[str, Any]) -> bool | str:
        """Start a command. Nothing happens if it is held already: the master repeats what was not answered.

        The answer is True, or OVER if the command has been here before and the master has taken its end.
        """
        command_id, name, given, start = (wanted.get(key) for key in ("id", "name", "args", "held"))
        if not isinstance(command_id, str) or not command_id or not isinstance(name, str):
            raise BadArguments("an order needs an id and a command's name")
        if (
            not isinstance(given, dict)
            or not (start is None or is_int(start))
            or not isinstance(wanted.get("builddir"), str)
        ):
            raise BadArguments(f"{name}: an order needs args (a dict), builddir (a string) and held (a number)")
        if command_id in self._held:
            return True
        if command_id in self._over:
            return OVER
        builddir = builder_directory(self._site.basedir, wanted["builddir"])
        self._take_over(session)
        self._start(session, command_id, start or 0, name, builddir, given)
        return True

    def _start(
        self, session: Session, command_id: str, start: int, name: str, builddir: Path, given: dict[str, Any]
    ) -> None:
        files = self._spool.of(command_id)
        held = HeldCommand(
            command_id, spool=Spool(start, files), files=files, clock=self._site.clock, forget=self._forget
        )
        command = make(Order(name=name, builddir=builddir, args=Arguments(name, given)), self._site, held)
        self._held[command_id] = held
        held.attach(session, start)
        self._log.info("command {id}: {name} in {builddir}", id=command_id, name=name, builddir=builddir.name)
        held.start(command)

    def interrupt(self, command_id: str, why: str) -> None:
        held = self._held.get(command_id)
        if held is not None:
            self._log.info("command {id} is interrupted: {why}", id=command_id, why=why)
            held.interrupt(why)

    def disown(self, command_id: str) -> None:
        """Kill a command with its processes and forget it, output and outcome too."""
        held = self._held.get(command_id)
        if held is not None:
            self._forget(held)
            held.drop()

    async def stop(self) -> None:
        """The slave ends: no command may outlive it, but the ends that are not acknowledged do. Waits a little for the
        processes to be gone."""
        self._stopping = True
        self._cancel_orphan_timer()
        for command_id, held in list(self._held.items()):
            if held.state is State.RUNNING:
                self.disown(command_id)
            else:
                held.detach()
        if self._dropping:
            gone = DeferredList([held.ended for held in self._dropping])
            _ = gone.addTimeout(KILL_WAIT_SECONDS, self._site.clock, onTimeoutCancel=lambda *_: None)
            await gone

    def _take_over(self, session: Session) -> None:
        self._cancel_orphan_timer()
        if session is not self._session:
            if self._session is not None:
                for held in self._held.values():
                    held.detach()
            self._session = session

    def _cancel_orphan_timer(self) -> None:
        if self._orphaned is not None and self._orphaned.active():
            self._orphaned.cancel()
        self._orphaned = None

    def _kill_orphans(self) -> None:
        self._orphaned = None
        for command_id, held in self._held.items():
            if held.state is State.RUNNING:
                self._log.warn("no master asked for command {id} in time: killing it", id=command_id)
                held.interrupt(f"no master asked for it during {self._grace_seconds:.0f} s")
        self._forsaken()

    def _forget(self, held: HeldCommand) -> None:
        if self._held.pop(held.command_id, None) is None:
            return
        self._over.append(held.command_id)
        if held.state is State.RUNNING:
            self._dropping.add(held)
            _ = held.ended.addCallback(lambda _: self._dropping.discard(held))
