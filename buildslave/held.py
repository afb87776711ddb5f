"""One command that the slave holds: it runs, or has run and its outcome is not yet acknowledged.

The command belongs to the slave, not to the connection. States, as docs/slave-protocol.md draws them: *running* until
the command's `run` ends; *finished* until the master answered True to `finished`; then it is forgotten. What no master
takes goes to disk; what is finished and not taken outlives even the slave's process.
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IDelayedCall, IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from buildslave.background import in_background
from buildslave.commands.base import Command, Outcome
from buildslave.running import run_to_end
from buildslave.session import Session, lost_with_connection
from buildslave.spool import Spool
from buildslave.spooldir import CommandFiles, Kept
from buildslave.uploading import Upload
from buildslave.window import Source, Window

PAUSE_BYTES = 1024 * 1024
RESUME_BYTES = 512 * 1024
FULL_SECONDS = 1.0
"""So often it is tried whether the disk has room again."""
FIRST_REPEAT_SECONDS = 1.0
LAST_REPEAT_SECONDS = 60.0


class State(StrEnum):
    """What `attach` answers. The words are the wire's."""

    RUNNING = "running"
    FINISHED = "finished"
    UNKNOWN = "unknown"


class HeldCommand:
    """A command, its unacknowledged output, and in the end its outcome. It is the command's `Channel`."""

    _log = Logger()

    def __init__(
        self,
        command_id: str,
        *,
        spool: Spool,
        files: CommandFiles,
        clock: IReactorTime,
        forget: Callable[["HeldCommand"], None],
    ) -> None:
        """`spool` is empty; `forget` is called when the master has everything."""
        self.command_id = command_id
        self.paused = False
        self._clock = clock
        self._forget = forget
        self._spool = spool
        self._files = files
        self._window = Window(clock=clock, source=self._spool, acknowledged=self._progressed, lost=self._lost_output)
        self._upload: Upload | None = None
        self._command: Command | None = None
        self._outcome: dict[str, Any] | None = None
        self._session: Session | None = None
        self._attached: list[Deferred[None]] = []
        self._full: IDelayedCall | None = None
        self._telling: Session | None = None
        self._repeat: IDelayedCall | None = None
        self._repeat_seconds = FIRST_REPEAT_SECONDS
        self._dropped = False
        self.ended: Deferred[None] = Deferred()
        """Fires when the command itself has ended, whether or not the master knows."""

    @classmethod
    def restored(
        cls, kept: Kept, *, clock: IReactorTime, forget: Callable[["HeldCommand"], None]
    ) -> "HeldCommand":
        """A command that ended in an earlier process of the slave."""
        made = cls(kept.command_id, spool=kept.spool, files=kept.files, clock=clock, forget=forget)
        made._outcome = kept.outcome
        made.ended.callback(None)
        return made

    @property
    def state(self) -> State:
        return State.RUNNING if self._outcome is None else State.FINISHED

    # -- the command's life

    def start(self, command: Command) -> None:
        """Run `command`; it was made with this object as its channel."""
        self._command = command
        _ = in_background(self._run(command), doing=f"running command {self.command_id}")

    async def _run(self, command: Command) -> None:
        self._end(await run_to_end(command, self))

    def _end(self, outcome: dict[str, Any]) -> None:
        self._outcome = outcome
        self._spool.close()
        self._window.pump()
        self._progressed()
        if self._session is None:
            self._keep()
        self.ended.callback(None)

    def interrupt(self, why: str) -> None:
        if self._outcome is None and self._command is not None:
            self._command.interrupt(why)

    def drop(self) -> None:
        """The master does not want it: kill it and keep nothing."""
        self._dropped = True
        self._disconnect()
        self._remove()
        waiting, self._attached = self._attached, []
        for each in waiting:
            each.callback(None)
        if self._outcome is None and self._command is not None:
            self._command.kill()
            self.paused = False
            self._command.resume()

    # -- the command's channel

    def write(self, stream: str, data: bytes) -> None:
        if self._dropped:
            return
        self._spool.write(stream, data)
        self._window.pump()
        self._regulate()

    def _regulate(self) -> None:
        """Let the command wait while there is no room for its output, in memory or on disk, and go on later."""
        self._cancel_full()
        if self._dropped or self._outcome is not None:
            return
        if self._session is None or self._spool.on_disk:
            crowded = not self._spool.relieve()
            if crowded:
                self._full = self._clock.callLater(FULL_SECONDS, self._regulate)
        else:
            crowded = self._spool.cost_from(self._window.sent) > (RESUME_BYTES if self.paused else PAUSE_BYTES)
        if crowded is self.paused:
            return
        self.paused = crowded
        if self._command is not None:
            if crowded:
                self._command.pause()
            else:
                self._command.resume()

    def _cancel_full(self) -> None:
        if self._full is not None and self._full.active():
            self._full.cancel()
        self._full = None

    def header(self, text: str) -> None:
        self.write("header", text.encode("utf-8", "backslashreplace"))

    async def ask(self, method: str, *args: Any) -> Any:
        while True:
            if self._dropped:
                raise CancelledError
            if self._session is None:
                attached: Deferred[None] = Deferred()
                self._attached.append(attached)
                await attached
                continue
            asked = self._session
            try:
                return await asked.call(method, self.command_id, *args)
            except CancelledError:
                raise
            except Exception:
                if not lost_with_connection(Failure()):
                    raise
            if self._session is asked:
                self.detach()

    def upload(self, source: Source) -> Deferred[None]:
        self._upload = Upload(source, self._clock)
        if self._session is not None:
            self._upload.attach(self._sender("write"))
        return self._upload.sent

    def upload_grew(self) -> None:
        if self._upload is not None:
            self._upload.grew()

    # -- the connection

    def attach(self, session: Session, held: int) -> State:
        """Go on over `session`, from `held` on. UNKNOWN if bytes that the master lacks are no longer here."""
        if session is self._session and held < self._spool.base:
            # Said before it had the answers to what it has acknowledged since, over the same connection.
            return self.state
        if not self._spool.base <= held <= self._spool.end:
            self._log.error(
                "command {id}: the master holds {held} bytes, here are {base} to {end}; giving the command up",
                id=self.command_id, held=held, base=self._spool.base, end=self._spool.end,
            )  # fmt: skip
            return State.UNKNOWN
        session.when_ready(lambda: self._go_on(session, held))
        return self.state

    def _go_on(self, session: Session, held: int) -> None:
        if self._dropped:
            return
        self._disconnect()
        self._session = session
        self._repeat_seconds = FIRST_REPEAT_SECONDS
        self._window.attach(self._sender("output"), max(held, self._spool.base))
        if self._upload is not None:
            self._upload.attach(self._sender("write"))
        waiting, self._attached = self._attached, []
        for each in waiting:
            each.callback(None)
        self._progressed()

    def detach(self) -> None:
        """No master takes anything now. What is not acknowledged is kept, on disk from now on."""
        self._disconnect()
        self._regulate()
        self._keep()

    def _disconnect(self) -> None:
        self._session = None
        self._telling = None
        self._window.detach()
        if self._upload is not None:
            self._upload.detach()
        if self._repeat is not None and self._repeat.active():
            self._repeat.cancel()
        self._repeat = None

    def _sender(self, method: str) -> Callable[[int, Any], Deferred[Any]]:
        session = self._session
        assert session is not None
        return lambda position, payload: session.call(method, self.command_id, position, payload)

    def _progressed(self) -> None:
        """The master holds more than before, or the command has ended."""
        self._regulate()
        if self._window.drained:
            self._tell_finished()

    def _lost_output(self, held: int, why: str) -> None:
        """The log cannot be made whole any more: say so, and end."""
        self._log.error("command {id}: output is lost: {why}", id=self.command_id, why=why)
        session = self._session
        if session is not None:
            outcome = Outcome(rc=-1, error=f"output is lost: {why}").to_wire(0.0)
            _ = session.call("finished", self.command_id, held, outcome).addErrback(lambda _: None)
        self._forget(self)
        self.drop()

    # -- the end

    def _tell_finished(self) -> None:
        session = self._session
        if self._outcome is None or session is None or self._telling is session or self._repeat is not None:
            return
        self._telling = session
        told = session.call("finished", self.command_id, self._spool.end, self._outcome)
        _ = told.addCallbacks(self._told, self._not_told, callbackArgs=(session,), errbackArgs=(session,))

    def _keep(self) -> None:
        """The command has ended and no master takes that: it must outlive this process."""
        if self._outcome is None or self._dropped:
            return
        try:
            self._files.keep(self._outcome, self._spool)
        except (OSError, ValueError) as error:
            self._log.error(
                "the end of command {id} cannot be stored ({why}): it is lost if this process ends before a master"
                " takes it", id=self.command_id, why=str(error),
            )  # fmt: skip

    def _remove(self) -> None:
        """Output and outcome are not needed any more."""
        self._cancel_full()
        self._files.forget()
        self._spool.discard()

    def _told(self, durable: object, session: Session) -> None:
        if session is not self._session:
            return
        if durable is True:
            self._disconnect()
            self._remove()
            self._forget(self)
        else:
            self._tell_again()

    def _not_told(self, failure: Failure, session: Session) -> None:
        if session is not self._session or lost_with_connection(failure):
            return
        self._log.warn(
            "the master could not take the end of command {id}: {why}; telling it again",
            id=self.command_id, why=failure.getErrorMessage(),
        )  # fmt: skip
        self._tell_again()

    def _tell_again(self) -> None:
        self._telling = None
        self._repeat = self._clock.callLater(self._repeat_seconds, self._repeat_now)
        self._repeat_seconds = min(self._repeat_seconds * 2, LAST_REPEAT_SECONDS)

    def _repeat_now(self) -> None:
        self._repeat = None
        self._tell_finished()
