"""Files to and from a master of another era, through the `writer` or `reader` that it has for a command.

Neither knows positions: what is written is added at the end, what is read comes from where the last reading ended.
"""

from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.python.failure import Failure

from buildslave.session import Remote, Session, lost_with_connection

UNPACK_SECONDS = 3600.0
"""The master unpacks a directory before it answers, and says nothing meanwhile."""

FILES = {"uploadFile": "writer", "uploadDirectory": "writer", "downloadFile": "reader"}
"""By command: what the master's file is to it."""


class Reader:
    """A file of the master's, read from its beginning to its end, each block once."""

    def __init__(self, session: Session, reference: Remote) -> None:
        self._session = session
        self._reference = reference
        self._turn = DeferredLock()
        self._start = 0
        self._data = bytearray()
        self._over = False

    async def read(self, offset: int, length: int) -> bytes:
        """Fewer than `length` bytes only at the end. `offset` may go forward alone."""
        await self._turn.acquire()
        try:
            while not self._over and self._start + len(self._data) < offset + length:
                self._add(await _answer(self._session, self._reference, "read", length))
            del self._data[: offset - self._start]
            self._start = offset
            return bytes(self._data[:length])
        finally:
            self._turn.release()

    async def close(self) -> None:
        await _answer(self._session, self._reference, "close")

    def _add(self, data: Any) -> None:
        if isinstance(data, str):  # at its end a master says "", or b""
            data = data.encode("utf-8", "surrogateescape")
        if data is None:  # that of 4.3 over WebSocket
            raise OSError("the master answers with nothing when it is asked for its file: use its port for PB")
        if not isinstance(data, bytes):
            raise OSError(f"the master sent {type(data).__name__} instead of bytes")
        self._over = not data
        self._data += data


class Transfer:
    """What one command has to do with the master's files."""

    def __init__(self, session: Session, command: str, file: Remote | None) -> None:
        """`file` is the master's, see FILES."""
        self._session = session
        self._command = command
        self._writer = file if FILES.get(command) == "writer" else None
        self._reader = Reader(session, file) if file is not None and FILES.get(command) == "reader" else None

    async def ask(self, method: str, *args: Any) -> Any:
        """What a command asks the master for: a block of the file that it fetches."""
        if method != "read" or self._reader is None:
            raise OSError(f"this master knows nothing of {method!r}")
        return await self._reader.read(*args)

    def write(self, data: bytes) -> Deferred[Any]:
        return self._session.call_on(self._writer, "write", data)

    async def finish(self, outcome: dict[str, Any], header: Callable[[str], None]) -> dict[str, Any]:
        """The command has ended: let the master close the file, or unpack the directory. What the master says against
        that is told by `header`, and becomes the outcome's."""
        try:
            await self._finish(outcome, header)
        except OSError as error:
            header(f"{error}\n")
            if outcome["rc"] == 0:
                return {**outcome, "rc": 1, "error": str(error)}
        return outcome

    async def _finish(self, outcome: Mapping[str, Any], header: Callable[[str], None]) -> None:
        if self._reader is not None:
            await self._reader.close()
        if self._writer is None:
            return
        if self._command == "uploadDirectory":
            if outcome["rc"] == 0:
                await _answer(self._session, self._writer, "unpack", seconds=UNPACK_SECONDS)
            return
        await _answer(self._session, self._writer, "close")
        times = outcome["result"] or {}
        if "mtime" in times:
            try:
                await _answer(self._session, self._writer, "utime", (times["atime"], times["mtime"]))
            except OSError as error:  # that of 4.3 never can over WebSocket
                header(f"the file is there, but not with its times: {error}\n")


async def _answer(
    session: Session, reference: Remote, method: str, *args: Any, seconds: float | None = None
) -> Any:
    """The master's answer. Raises OSError with what the master says against it, CancelledError if it is gone."""
    limit = {} if seconds is None else {"timeout_seconds": seconds}
    try:
        return await session.call_on(reference, method, *args, **limit)
    except CancelledError:
        raise
    except Exception as error:
        if lost_with_connection(Failure()):
            raise CancelledError from None
        raise OSError(f"the master refuses to {method}: {error}") from None
