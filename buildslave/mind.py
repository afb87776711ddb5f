"""What the master may call on the slave. Each method checks, converts and delegates.

docs/slave-protocol.md lists them.
"""

from collections.abc import Callable
from typing import Any, Protocol

from twisted.logger import Logger
from twisted.spread import pb

from buildslave.errors import BadArguments
from buildslave.registry import Commands
from buildslave.session import Session


class Slave(Protocol):
    """What the mind needs of the whole slave."""

    commands: Commands

    def describe(self) -> dict[str, Any]: ...

    def make_builder_directories(self, builders: list[tuple[str, str]]) -> None: ...

    def stop_when_told(self) -> None: ...


class Mind(pb.Referenceable):
    """The slave as the master sees it over one connection."""

    _log = Logger()

    def __init__(self, slave: Slave, session: Session, heard: Callable[[], None]) -> None:
        """`heard` is told of each call: the master is alive."""
        self._slave = slave
        self._session = session
        self._heard = heard

    def remoteMessageReceived(self, broker: Any, message: str, args: Any, kw: Any) -> Any:
        self._heard()
        return super().remoteMessageReceived(broker, message, args, kw)

    def remote_getSlaveInfo(self) -> dict[str, Any]:
        return self._slave.describe()

    remote_getWorkerInfo = remote_getSlaveInfo

    def remote_getVersion(self) -> str:
        return str(self._slave.describe()["version"])

    def remote_getCommands(self) -> dict[str, str]:
        commands: dict[str, str] = self._slave.describe()["slave_commands"]
        return commands

    def remote_attach(self, wanted: dict[str, int | None]) -> dict[str, str]:
        if not isinstance(wanted, dict):
            raise BadArguments("attach: needs a dict of command ids and positions")
        return self._slave.commands.attach(self._session, wanted)

    def remote_resume(self, command_id: str, held: int) -> str:
        return self._slave.commands.resume(self._session, command_id, held)

    def remote_order(self, order: dict[str, Any]) -> bool | str:
        if not isinstance(order, dict):
            raise BadArguments("order: needs a dict")
        return self._slave.commands.order(self._session, order)

    def remote_interrupt(self, command_id: str, why: str) -> None:
        self._slave.commands.interrupt(command_id, str(why))

    def remote_disown(self, command_id: str) -> None:
        self._slave.commands.disown(command_id)

    def remote_setBuilderList(self, builders: list[tuple[str, str]]) -> bool:
        try:
            checked = [(str(name), str(builddir)) for name, builddir in builders]
        except (TypeError, ValueError):
            raise BadArguments("setBuilderList: needs a list of (name, builddir)") from None
        self._slave.make_builder_directories(checked)
        return True

    def remote_print(self, message: str) -> None:
        self._log.info("message from the master: {message}", message=message)

    def remote_shutdown(self) -> None:
        self._log.info("the master asks this slave to stop")
        self._slave.stop_when_told()
