"""Slaves of other eras over Perspective Broker: buildbot-worker from 0.9 on, and buildslave of 0.8 and older.

The slave's own object knows `getWorkerInfo` (older ones `getSlaveInfo`, `getVersion` and `getCommands`), `print`,
`shutdown` and `setBuilderList`, which gives an object for each builder: that one runs one command at a time, with
`startCommand(reference, id, name, args)` and `interruptCommand(id, why)`. The slave calls our reference:
`update([[{key: value}, 0], ...])`, answered when it is kept, and `complete(failure)`; for files it has a writer
(`write`, `close`, `utime`, `unpack`) or a reader (`read`, `close`).
"""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from twisted.internet.defer import ensureDeferred
from twisted.spread import pb

from buildbot.process.slaveport import CommandRefused
from buildbot.slaves.bridge import Served
from buildbot.slaves.guard import GuardedBroker, NotPlainData
from buildbot.slaves.link import PBLink
from buildbot.slaves.oldcommand import OlderCommand, pairs
from buildbot.slaves.older import OlderSession
from buildbot.slaves.spelling import COUNTS_LINES, Part, Spelling, in_octets, in_text, shell_version

SECRETS = ".secrets"  # where steps put keys and passwords for as long as they run: no leftover
MOST_LANES = 20  # of one directory: commands that do not end although they were told to hold one each


class _Lane:
    """A builder's object on the slave, which runs one command at a time."""

    def __init__(self, name: str, builddir: str, user: OlderCommand | None = None) -> None:
        self.name = name
        self.builddir = builddir
        self.user = user
        self.reference: pb.RemoteReference | None = None


class OlderPBSession(OlderSession):
    """A connected buildbot-worker or old buildslave."""

    link: PBLink
    ping = ("getCommands",)  # every era has it, and writes no line for it

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self._lanes: dict[str, _Lane] = {}

    async def introduce(self, details: dict[str, Any]) -> None:
        worker = "worker_commands" in details
        if not worker and "slave_commands" not in details:
            details["slave_commands"] = in_text(await self.ask("getCommands"))
            with suppress(CommandRefused):  # 0.7 has no version
                details["version"] = in_text(await self.ask("getVersion"))
        self._octets = not worker
        await super().introduce(details)
        self._spelling = Spelling(
            worker=worker,
            counts_lines=shell_version(details) >= COUNTS_LINES,
            removes_files=super().command_version("rmfile") is not None,
            windows=details.get("system") == "nt",
        )

    def spelling(self, builddir: str) -> Spelling:
        return self._spelling

    def command_version(self, command: str) -> str | None:
        """The first workers of 0.9, and all before, have no `rmfile`, but their `rmdir` removes files as well."""
        known = super().command_version(command)
        return self.command_version("rmdir") if known is None and command == "rmfile" else known

    # -- builders

    async def prepare(self) -> None:
        for name, builddir in self._directories(self.name):
            self._lanes.setdefault(name, _Lane(name, builddir))
        if self.details.get("delete_leftover_dirs"):
            self._lanes[SECRETS] = _Lane(SECRETS, SECRETS)
        await self._tell_lanes()

    async def _tell_lanes(self) -> None:
        """Have an object for each lane. The slave ends the commands of those that are left out: none ever is."""
        wanted = [(lane.name, lane.builddir) for lane in self._lanes.values()]
        given = await self._call("setBuilderList", wanted)
        if not isinstance(given, dict):
            raise CommandRefused(f"slave {self.name} gives no builders: {given!r:.100}")
        for name, reference in given.items():
            lane = self._lanes.get(in_text(name))
            if lane is not None and isinstance(reference, pb.RemoteReference):
                lane.reference = reference

    async def _lane_for(self, command: OlderCommand) -> _Lane:
        """An object that is free, and from now on its own. Raises CommandRefused, SlaveLost."""
        here = [lane for lane in self._lanes.values() if lane.builddir == command.builddir]
        lane = next((lane for lane in here if lane.user is None and lane.reference is not None), None)
        if lane is not None:
            lane.user = command
            return lane
        if len(here) >= MOST_LANES:
            raise CommandRefused(f"slave {self.name} does not end the commands that it was told to end; restart it")
        name = next(name for name in _names(command.builddir) if name not in self._lanes)
        lane = self._lanes[name] = _Lane(name, command.builddir, command)
        try:
            await self._tell_lanes()
            if lane.reference is None:
                raise CommandRefused(f"slave {self.name} gives no object for the directory {command.builddir!r}")
        except BaseException:
            lane.user = None
            raise
        return lane

    # -- commands

    async def begin(self, command: OlderCommand, part: Part) -> None:
        lane = command.where = await self._lane_for(command)
        args = dict(part.args)
        if command.name in ("uploadFile", "uploadDirectory"):
            args["writer"] = _Writer(self, command)
        elif command.name == "downloadFile":
            args["reader"] = _Reader(self, command)
        reference = _CommandReference(self, command)
        await self._call("startCommand", reference, str(command.id), part.name, args, of=lane.reference)

    def idle(self, command: OlderCommand) -> None:
        lane, command.where = command.where, None
        if lane is not None:
            lane.user = None

    async def end(self, command: OlderCommand, why: str) -> None:
        lane = command.where
        if lane is not None and lane.user is command:
            await self._call("interruptCommand", str(command.id), why, of=lane.reference)

    async def _call(self, name: str, *args: Any, of: pb.RemoteReference | None = None) -> Any:
        sent = in_octets(args) if self._octets else args
        return await self.answer(lambda: self.link.ask(name, *sent, of=of, timeout=self.patience))


class _CommandReference(Served):
    """What the slave tells about a command."""

    def __init__(self, session: OlderPBSession, command: OlderCommand) -> None:
        self._session = session
        self._command = command

    def remoteMessageReceived(self, broker: GuardedBroker, message: str, args: Any, kw: Any) -> Any:
        self._session.is_traffic()
        if message != "complete":
            return super().remoteMessageReceived(broker, message, args, kw)
        try:  # a failure is no plain data
            return super().remoteMessageReceived(broker, message, broker.with_errors_as_text(args), kw)
        except NotPlainData as problem:  # whatever it says: it has ended
            ending = self._command.complete(f"the slave failed, and does not say how ({problem})")
            return broker.serialize(ensureDeferred(ending))

    async def remote_update(self, updates: object) -> int:
        found, highest = pairs(updates)
        await self._command.updates(found)
        return highest

    async def remote_complete(self, failure: object = None) -> None:
        await self._command.complete(None if failure is None else str(in_text(failure))[:2000] or "it failed")


class _Transfer(Served):
    def __init__(self, session: OlderPBSession, command: OlderCommand) -> None:
        self._session = session
        self._command = command

    def remoteMessageReceived(self, broker: GuardedBroker, message: str, args: Any, kw: Any) -> Any:
        self._session.is_traffic()
        return super().remoteMessageReceived(broker, message, args, kw)

    def remote_close(self) -> None:
        self._command.close_transfer()


class _Writer(_Transfer):
    """Takes a file, or a directory as a tar stream."""

    async def remote_write(self, data: object) -> None:
        await self._command.write(data)

    def remote_utime(self, times: object) -> None:
        accessed, modified = times if isinstance(times, (list, tuple)) and len(times) == 2 else (None, None)
        self._command.utime(accessed, modified)

    def remote_unpack(self) -> None:
        self._command.unpack()


class _Reader(_Transfer):
    """Gives a file."""

    async def remote_read(self, length: object) -> bytes:
        return await self._command.read(length)


def _names(builddir: str) -> Any:
    yield builddir
    for number in range(2, MOST_LANES + 100):
        yield f"{builddir} ({number})"
