"""Files that pass through objects of a custom step's own. Commands of Buildbot 0.7 to 2 name them in their arguments: a
`writer` with `remote_write(data)`, or a `reader` with `remote_read(length)`.

Such objects know nothing of offsets. After a restart of the master they begin empty, so a step that uses them has to
begin anew, too: see `TransferBuildStep` of buildbot.steps.transferring.
"""

from __future__ import annotations

from typing import Any

from buildbot.process.slaveport import CommandRefused


class OwnWriter:
    """What the slave sends goes to `writer` (UploadTarget). most: bytes, None for no limit."""

    def __init__(self, writer: Any, most: int | None) -> None:
        self._writer = writer
        self._most = most
        self._held = 0

    def write(self, offset: int, data: bytes) -> int:
        if offset > self._held:
            raise CommandRefused("the beginning of the file was given to a step of a master that has ended")
        data = data[self._held - offset :]
        if self._most is not None and self._held + len(data) > self._most:
            raise CommandRefused(f"the file is longer than {self._most} bytes")
        if data:
            self._writer.remote_write(data)
            self._held += len(data)
        return self._held

    def ended(self, outcome: dict[str, Any]) -> None:
        """The command is over."""
        modified = outcome.get("mtime")
        if isinstance(modified, (int, float)) and hasattr(self._writer, "remote_utime"):
            self._writer.remote_utime((outcome.get("atime", modified), modified))
        if hasattr(self._writer, "remote_close"):
            self._writer.remote_close()


class OwnReader:
    """What `reader` gives goes to the slave (DownloadSource)."""

    def __init__(self, reader: Any) -> None:
        self._reader = reader
        self._last = b""  # may be asked for again
        self._last_at = 0

    def read(self, offset: int, length: int) -> bytes:
        end = self._last_at + len(self._last)
        if offset == end:
            given = self._reader.remote_read(length)
            data: bytes = given.encode() if isinstance(given, str) else bytes(given)
            self._last, self._last_at = data[:length], end
            return self._last
        if self._last_at <= offset < end:
            return self._last[offset - self._last_at :][:length]
        raise CommandRefused("a step of a master that has ended gave the beginning of the file")

    def ended(self, outcome: dict[str, Any]) -> None:
        """The command is over."""
        if hasattr(self._reader, "remote_close"):
            self._reader.remote_close()


def own_writer(args: dict[str, Any]) -> OwnWriter | None:
    """The writer among a command's arguments, out of which it is taken."""
    writer = args.get("writer")
    if not hasattr(writer, "remote_write"):
        return None
    del args["writer"]
    most = args.get("maxsize")
    return OwnWriter(writer, most if isinstance(most, int) else None)


def own_reader(args: dict[str, Any]) -> OwnReader | None:
    """The same of a reader."""
    reader = args.get("reader")
    if not hasattr(reader, "remote_read"):
        return None
    del args["reader"]
    return OwnReader(reader)
