"""What runs for a master of another era, by the ids that the master gives."""

from collections.abc import Callable
from typing import NamedTuple

from twisted.logger import Logger

from buildslave.commands import make
from buildslave.commands.base import Order, Site
from buildslave.eras.bound import BoundCommand, BoundCommands
from buildslave.eras.spelling import Updates
from buildslave.eras.transfer import Transfer
from buildslave.session import Remote, Session


class Place(NamedTuple):
    """What all commands of one connection share."""

    site: Site
    commands: BoundCommands
    session: Session
    encoding: Callable[[], str | None]
    """That of output which is sent as text; None for a master that wants bytes."""
    stop: Callable[[], None]
    """Ends the slave's process."""


class Running:
    """Starts commands and ends them."""

    _log = Logger()

    def __init__(self, place: Place) -> None:
        self._place = place
        self._bound: dict[str, BoundCommand] = {}

    def __contains__(self, identifier: str) -> bool:
        return identifier in self._bound

    def begin(
        self, identifier: str, order: Order, *, shown: str, step: Remote, file: Remote | None, updates: Updates
    ) -> None:
        """`shown`: how the log names it. `step` takes the news of it, `file` is the master's for a transfer. Raises
        what the command refuses."""
        place = self._place
        bound = BoundCommand(
            shown,
            step=step,
            session=place.session,
            clock=place.site.clock,
            transfer=Transfer(place.session, order.name, file),
            updates=updates,
        )
        self._log.info("command {id}: {name} in {builddir}", id=shown, name=order.name, builddir=order.builddir.name)
        place.commands.start(place.session, bound, lambda channel: make(order, place.site, channel))
        self._bound[identifier] = bound
        _ = bound.over.addCallback(lambda _: self._forget(identifier, bound))

    def _forget(self, identifier: str, bound: BoundCommand) -> None:
        if self._bound.get(identifier) is bound:
            del self._bound[identifier]

    def interrupt(self, identifier: str, why: str) -> None:
        """Ids that are not known are ignored."""
        bound = self._bound.get(identifier)
        if bound is not None:
            self._log.info("command {id} is interrupted: {why}", id=bound.command_id, why=why)
            bound.interrupt(why)
