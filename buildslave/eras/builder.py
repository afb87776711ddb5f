"""One builder of this slave, as a master of another era calls it. Each method checks, converts and delegates."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from twisted.logger import Logger
from twisted.spread import pb

from buildslave.arguments import Arguments
from buildslave.commands.base import Order
from buildslave.eras.running import Place, Running
from buildslave.eras.spelling import Updates, as_text, our_arguments
from buildslave.eras.transfer import FILES
from buildslave.errors import BadArguments


class Builder(pb.Referenceable):
    """A builder's directory, and what runs in it."""

    _log = Logger()

    def __init__(self, name: str, directory: Path, place: Place) -> None:
        self.directory = directory
        self._name = name
        self._place = place
        self._running = Running(place)

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
        order = Order(name=name, builddir=self.directory, args=Arguments(name, our_arguments(name, given)))
        self._running.begin(
            str(identifier),
            order,
            shown=f"{self._name}/{identifier}",
            step=step,
            file=_file(name, given),
            updates=Updates(name, self._place.encoding()),
        )

    def remote_interruptCommand(self, command_id: object, why: object) -> None:
        self._running.interrupt(str(as_text(command_id)), str(as_text(why)))

    def remote_shutdown(self) -> None:
        self._log.info("the master asks this slave to stop")
        self._place.stop()


def _file(command: str, args: Mapping[str, Any]) -> pb.RemoteReference | None:
    """The master's file for this command, among the arguments. Raises BadArguments if the command needs one that is not
    there."""
    name = FILES.get(command)
    found = None if name is None else args.get(name)
    if name is not None and not isinstance(found, pb.RemoteReference):
        raise BadArguments(f"{command}: argument {name!r} must be an object of the master's, not {found!r}")
    return found


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
