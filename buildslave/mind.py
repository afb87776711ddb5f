"""What the master may call on the slave. Each method checks, converts and delegates.

docs/slave-protocol.md lists them. Which dialect the master speaks is seen from its calls: one that attaches or orders
speaks ours; one that names its builders without having attached is of another era, and gets an object for each.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from twisted.logger import Logger
from twisted.spread import pb

from buildslave.commands.base import Site
from buildslave.eras.bound import BoundCommands
from buildslave.eras.builder import Builders
from buildslave.eras.running import Place
from buildslave.eras.spelling import as_text
from buildslave.errors import BadArguments
from buildslave.registry import Commands
from buildslave.session import Session


class Slave(Protocol):
    """What the mind needs of the whole slave."""

    site: Site
    commands: Commands
    bound: BoundCommands
    encoding: str
    """Of output, for masters that want text."""

    def describe(self) -> dict[str, Any]: ...

    def make_builder_directories(self, builders: list[tuple[str, str]]) -> list[Path]: ...

    def stop_when_told(self) -> None: ...


class Mind(pb.Referenceable):
    """The slave as the master sees it over one connection."""

    _log = Logger()

    def __init__(self, slave: Slave, session: Session, heard: Callable[[], None]) -> None:
        """`heard` is told of each call: the master is alive."""
        self._slave = slave
        self._session = session
        self._heard = heard
        self._attached = False
        self._wants_text = False
        self._builders: Builders | None = None

    def remoteMessageReceived(self, broker: Any, message: str, args: Any, kw: Any) -> Any:
        self._heard()
        return super().remoteMessageReceived(broker, message, args, kw)

    def remote_getSlaveInfo(self) -> dict[str, Any]:
        return self._slave.describe()

    def remote_getWorkerInfo(self) -> dict[str, Any]:
        """Asked by masters of 0.9 and later, which take each key for a property of the worker, and by our own, which
        sees in `resumable` what this slave is."""
        self._wants_text = True
        told = self._slave.describe()
        return {name: told[name] for name in told if name != "slave_commands"}

    def remote_getVersion(self) -> str:
        return str(self._slave.describe()["version"])

    def remote_getCommands(self) -> dict[str, str]:
        commands: dict[str, str] = self._slave.describe()["slave_commands"]
        return commands

    def remote_attach(self, wanted: dict[str, int | None]) -> dict[str, str]:
        if not isinstance(wanted, dict):
            raise BadArguments("attach: needs a dict of command ids and positions")
        self._attached = True
        return self._slave.commands.attach(self._session, wanted)

    def remote_resume(self, command_id: str, held: int) -> str:
        return self._slave.commands.resume(self._session, command_id, held)

    def remote_order(self, order: dict[str, Any]) -> bool | str:
        if not isinstance(order, dict):
            raise BadArguments("order: needs a dict")
        self._attached = True
        return self._slave.commands.order(self._session, order)

    def remote_interrupt(self, command_id: object, why: object) -> None:
        self._slave.commands.interrupt(_id("interrupt", command_id), str(why))

    def remote_disown(self, command_id: object) -> None:
        self._slave.commands.disown(_id("disown", command_id))

    def remote_setBuilderList(self, builders: list[tuple[str, str]]) -> bool | dict[str, pb.Referenceable]:
        try:
            checked = [(str(as_text(name)), str(as_text(builddir))) for name, builddir in builders]
        except (TypeError, ValueError):
            raise BadArguments("setBuilderList: needs a list of (name, builddir)") from None
        directories = self._slave.make_builder_directories(checked)
        if self._attached:
            return True
        if self._builders is None:
            self._builders = Builders(self.meet_master_of_other_era())
        return {**self._builders.named({name: path for (name, _), path in zip(checked, directories, strict=True)})}

    def meet_master_of_other_era(self) -> Place:
        """The master has shown that it does not speak our dialect: what its commands run with."""
        self._slave.commands.attach(self._session, {})  # it cannot name what another master left here
        return Place(
            site=self._slave.site,
            commands=self._slave.bound,
            session=self._session,
            encoding=lambda: self._slave.encoding if self._wants_text else None,
            stop=self._slave.stop_when_told,
        )

    def remote_print(self, message: str | bytes) -> None:
        self._log.info("message from the master: {message}", message=as_text(message))

    def remote_shutdown(self) -> None:
        self._log.info("the master asks this slave to stop")
        self._slave.stop_when_told()


def _id(message: str, given: object) -> str:
    if not isinstance(given, str):
        raise BadArguments(f"{message}: {given!r:.100} is no command's id")
    return given
