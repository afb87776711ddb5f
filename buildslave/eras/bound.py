"""Commands that are bound to the connection of the master that started them.

A master of another era knows no positions: each message is taken once or never, and a command of which the connection
is lost is retried elsewhere. So such a command is killed with its processes as soon as its connection is gone.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, DeferredList, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildslave.background import in_background
from buildslave.commands.base import Command
from buildslave.eras.spelling import Update, Updates
from buildslave.eras.transfer import Transfer
from buildslave.held import PAUSE_BYTES, RESUME_BYTES
from buildslave.running import run_to_end
from buildslave.segment import Segment
from buildslave.session import Remote, Session, lost_with_connection
from buildslave.spool import Spool
from buildslave.uploading import Upload
from buildslave.window import Source, Window

KILL_WAIT_SECONDS = 10.0


class NoFiles:
    """Output for such a master stays in memory: the process waits when there is too much."""

    def segment(self, start: int) -> Segment:
        raise OSError("output that is bound to a connection is not written to disk")


class BoundCommand:
    """One command, and its way to the step that waits for it. It is the command's `Channel`."""

    _log = Logger()

    def __init__(
        self,
        command_id: str,
        *,
        step: Remote,
        session: Session,
        clock: IReactorTime,
        transfer: Transfer,
        updates: Updates,
    ) -> None:
        """`step` is the master's object that takes `update` and `complete`."""
        self.command_id = command_id
        self.paused = False
        self._step = step
        self._session = session
        self._clock = clock
        self._transfer = transfer
        self._updates = updates
        self._number = 0
        self._spool = Spool(0, NoFiles())
        self._window = Window(clock=clock, source=self._spool, acknowledged=self._progressed, lost=self._lost_output)
        self._drained: Deferred[None] = Deferred()
        self._command: Command | None = None
        self._upload: Upload | None = None
        self._killed = False
        self.ended: Deferred[None] = Deferred()
        """Fires when the command itself has ended, whether or not the master was told."""
        self.over: Deferred[None] = Deferred()
        """Fires when the master was told, or cannot be told any more."""

    # -- the command's life

    def start(self, command: Command) -> None:
        """Run `command`; it was made with this object as its channel."""
        self._command = command
        self._window.attach(self._send, 0)
        _ = in_background(self._run(command), doing=f"running command {self.command_id}")

    async def _run(self, command: Command) -> None:
        try:
            outcome = await run_to_end(command, self)
            self.ended.callback(None)
            if not self._killed:
                await self._tell(await self._transfer.finish(outcome, self.header))
        finally:
            self.over.callback(None)

    async def _tell(self, outcome: dict[str, Any]) -> None:
        self._spool.close()
        self._window.pump()
        self._progressed()
        await self._drained
        self._window.detach()
        try:
            await self._update(self._updates.end(outcome))
            await self._session.call_on(self._step, "complete", None)
        except Exception as error:
            if not lost_with_connection(Failure()):
                self._log.error("the master could not take the end of command {id}: {why}",
                                id=self.command_id, why=str(error))  # fmt: skip

    def interrupt(self, why: str) -> None:
        if self._command is not None and not self.ended.called:
            self._command.interrupt(why)

    def kill(self) -> None:
        """The connection is gone: end it with its processes, and tell nobody."""
        self._killed = True
        self._window.detach()
        if not self._drained.called:
            self._drained.callback(None)
        if self._command is not None and not self.ended.called:
            self._command.kill()
            self.paused = False
            self._command.resume()

    # -- the command's channel

    def write(self, stream: str, data: bytes) -> None:
        if self._killed:
            return
        self._spool.write(stream, data)
        self._window.pump()
        self._regulate()

    def header(self, text: str) -> None:
        self.write("header", text.encode("utf-8", "backslashreplace"))

    async def ask(self, method: str, *args: Any) -> Any:
        return await self._transfer.ask(method, *args)

    def upload(self, source: Source) -> Deferred[None]:
        self._upload = upload = Upload(source, self._clock)

        def refused(failure: Failure) -> Failure:
            if not lost_with_connection(failure):
                upload.fail(OSError(f"the master refuses to take the file: {failure.getErrorMessage()}"))
            return failure

        def send(position: int, data: bytes) -> Deferred[int]:
            return self._transfer.write(data).addCallbacks(lambda _: position + len(data), refused)

        upload.attach(send)
        return upload.sent

    def upload_grew(self) -> None:
        if self._upload is not None:
            self._upload.grew()

    # -- output on its way

    def _send(self, position: int, pieces: Any) -> Deferred[int]:
        """A message is taken once: one that the master could not take is not sent again."""
        end = position + sum(len(data) for _, data in pieces)
        return self._update(self._updates.output(pieces)).addCallbacks(
            lambda _: end, self._not_taken, errbackArgs=(end,)
        )

    def _not_taken(self, failure: Failure, end: int) -> int | Failure:
        if lost_with_connection(failure):
            return failure
        self._log.error("the master could not take output of command {id}: {why}",
                        id=self.command_id, why=failure.getErrorMessage())  # fmt: skip
        return end

    def _update(self, updates: list[Update]) -> Deferred[Any]:
        if not updates:
            return succeed(None)
        numbered = []
        for each in updates:
            self._number += 1
            numbered.append([each, self._number])
        return self._session.call_on(self._step, "update", numbered)

    def _progressed(self) -> None:
        self._regulate()
        if self._window.drained and not self._drained.called:
            self._drained.callback(None)

    def _regulate(self) -> None:
        """Let the command wait while the master does not take what it has written."""
        if self._command is None or self._killed or self.ended.called:
            return
        crowded = self._spool.cost_from(self._window.acknowledged) > (RESUME_BYTES if self.paused else PAUSE_BYTES)
        if crowded is self.paused:
            return
        self.paused = crowded
        if crowded:
            self._command.pause()
        else:
            self._command.resume()

    def _lost_output(self, held: int, why: str) -> None:
        raise AssertionError(f"what is in memory cannot be lost: {why}")


class BoundCommands:
    """All commands of masters of other eras that run now, by the connection that they belong to."""

    def __init__(self, clock: IReactorTime) -> None:
        self._clock = clock
        self._running: dict[BoundCommand, Session] = {}

    @property
    def idle(self) -> bool:
        """True when nothing runs."""
        return not self._running

    def start(self, session: Session, bound: BoundCommand, make: Callable[[BoundCommand], Command]) -> None:
        """Run what `make` makes, with `bound` as its channel. Raises what `make` raises."""
        command = make(bound)
        self._running[bound] = session
        _ = bound.over.addCallback(lambda _: self._running.pop(bound))
        bound.start(command)

    def connection_lost(self, session: Session) -> None:
        """Nobody waits for its commands any more."""
        for bound in [bound for bound, its in self._running.items() if its is session]:
            bound.kill()

    async def stop(self) -> None:
        """The slave ends: so do all commands. Waits a little for their processes to be gone."""
        running = list(self._running)
        for bound in running:
            bound.kill()
        if running:
            gone = DeferredList([bound.ended for bound in running])
            _ = gone.addTimeout(KILL_WAIT_SECONDS, self._clock, onTimeoutCancel=lambda *_: None)
            await gone
