"""A file or a stream on its way to the master, over one connection after another."""

from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from buildslave.window import Send, Source, Window


class Upload:
    """Sends a source through a window of its own, until the master holds all of it, or nobody wants it any more."""

    def __init__(self, source: Source, clock: IReactorTime) -> None:
        self.sent: Deferred[None] = Deferred()
        """Fires when the master holds all of it, fails if that cannot be. To be cancelled by who does not want it."""
        self._window = Window(clock=clock, source=source, acknowledged=self._progressed, lost=self._lost)
        _ = self.sent.addBoth(self._over)

    def attach(self, send: Send) -> None:
        """Go on over a connection."""
        if not self.sent.called:
            self._window.attach(send, self._window.acknowledged)
            self._progressed()

    def detach(self) -> None:
        """The connection is gone."""
        self._window.detach()

    def grew(self) -> None:
        """The source has more, or is complete now."""
        self._window.pump()
        self._progressed()

    def fail(self, error: Exception) -> None:
        """The master will not take it."""
        if not self.sent.called:
            self.sent.errback(error)

    def _progressed(self) -> None:
        if self._window.drained and not self.sent.called:
            self.sent.callback(None)

    def _lost(self, held: int, why: str) -> None:
        self.fail(OSError(why))

    def _over(self, result: Any) -> Any:
        """Sent, failed or cancelled: the source may be closed now."""
        self._window.detach()
        return result
