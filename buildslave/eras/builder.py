"""One builder of this slave, as a master of another era calls it. Each method checks, converts and delegates."""

from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from twisted.logger import Logger
from twisted.spread import pb

from buildslave.arguments import Arguments
from buildslave.commands import make
from buildslave.commands.base import Order, Site
from buildslave.eras.bound import BoundCommand, BoundCommands
from buildslave.eras.spelling import Updates, as_text, our_arguments
from buildslave.eras.transfer import Transfer
from buildslave.errors import BadArguments
from buildslave.session import Session


class Place(NamedTuple):
    """What the builders of one connection share."""

    site: Site
    commands: BoundCommands
    session: Session
    encoding: Callable[[], str | None]
    """That of output which is sent as text; None for a master that wants bytes."""
    stop: Callable[[], None]
    """Ends the slave's process."""


class Builder(pb.Referenceable):
    """A builder's directory, and what runs in it."""

    _log = Logger()

    def __init__(self, name: str, directory: Path, place: Place) -> None:
        self.directory = directory
        self._name = name
        self._place = place
        self._running: dict[str, BoundCommand] = {}

    def remote_setMaster(self, builder: object) -> None:
        """The master's side of this builder: nothing is ever told to it."""

    def remote_print(self, message: object) -> None:
        self._log.info("message from the master, to {name!r}: {message}", name=self._name, message=as_text(message))

    def remote_ping(self) -> None:
        """A sign of life, for masters of 0.7."""

    def remote_startBuild(self) -> None:
        """A build begins: nothing is to be done."""

    def remote_startCommand(self, step: object, command_id: object, command: object, args: object) -> None:
        name, given, identifier = as_text(command), as_text(args), as_text(command_id)
        if not isinstance(step, pb.RemoteReference) or not isinstance(name, str) or not isinstance(given, dict):
            raise BadArguments("startCommand: needs a step, an id, a command's name and its arguments")
        session = self._place.session
        bound = BoundCommand(
            f"{self._name}/{identifier}",
            step=step,
            session=session,
            clock=self._place.site.clock,
            transfer=Transfer(session, name, given),
            updates=Updates(name, self._place.encoding()),
        )
        order = Order(name=name, builddir=self.directory, args=Arguments(name, our_arguments(name, given)))
        self._log.info("command {id}: {name} in {builddir}", id=bound.command_id, name=name,
                       builddir=self.directory.name)  # fmt: skip
        self._place.commands.start(session, bound, lambda channel: make(order, self._place.site, channel))
        self._running[str(identifier)] = bound
        _ = bound.over.addCallback(lambda _: self._forget(str(identifier), bound))

    def _forget(self, identifier: str, bound: BoundCommand) -> None:
        if self._running.get(identifier) is bound:
            del self._running[identifier]

    def remote_interruptCommand(self, command_id: object, why: object) -> None:
        bound = self._running.get(str(as_text(command_id)))
        if bound is not None:
            self._log.info("command {id} is interrupted: {why}", id=bound.command_id, why=as_text(why))
            bound.interrupt(str(as_text(why)))

    def remote_shutdown(self) -> None:
        self._log.info("the master asks this slave to stop")
        self._place.stop()


class Builders:
    """The builders that the master of one connection has named."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._builders: dict[str, Builder] = {}

    def named(self, directories: dict[str, Path]) -> dict[str, Builder]:
        """The builders of these names and directories: the same objects as before, as far as they are there."""
        for name, directory in directories.items():
            known = self._builders.get(name)
            if known is None:
                self._builders[name] = Builder(name, directory, self._place)
            else:
                known.directory = directory
        self._builders = {name: self._builders[name] for name in directories}
        return self._builders
