"""buildbot-worker that speaks msgpack over WebSocket (`msgpack_experimental_v7`).

The worker has no builders: the master makes the directories, every path is absolute, and commands are known by their
ids, any number at once. Here a worker does not end a command when its connection is lost, so what was left on it is
interrupted by its id as soon as the worker is back.
"""

from __future__ import annotations

import stat
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from twisted.internet.defer import Deferred

from buildbot.model import CommandID, SlaveID
from buildbot.process.slaveport import CommandRefused
from buildbot.slaves.link import LinkLost, in_time
from buildbot.slaves.msgpacklink import MsgpackLink
from buildbot.slaves.oldcommand import OlderCommand, Update
from buildbot.slaves.older import OlderSession
from buildbot.slaves.session import BadMessage, UnknownCommand
from buildbot.slaves.spelling import COUNTS_LINES, Part, PathSpelling, shell_version

SETTINGS = {
    "buffer_size": 64 * 1024,
    "buffer_timeout": 1,  # seconds that output may wait for more
    "max_line_length": 4096,
    "newline_re": r"\r\n|\r(?=.)",
}


class OlderMsgpackSession(OlderSession):
    """A connected buildbot-worker, over WebSocket.

    left(slave): the commands that an earlier connection left on it. retire(name): it wants to be shut down. Other
    arguments as OlderSession.
    """

    link: MsgpackLink
    ping = ("keepalive",)

    def __init__(
        self,
        *,
        left: Callable[[SlaveID], Sequence[CommandID]],
        retire: Callable[[str], object],
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self._left = left
        self._retire = retire
        self._made: set[str] = {""}  # directories of builders; commands without one run where they all are
        self._running: dict[str, OlderCommand] = {}  # by the id that the worker knows
        self._own = 0  # of the last command that is not a step's
        self._awaited: set[Deferred[dict[str, Any]]] = set()

    async def introduce(self, details: dict[str, Any]) -> None:
        if not isinstance(details.get("basedir"), str):
            raise CommandRefused(f"slave {self.name} does not say where its directory is")
        environ = details.get("environ")
        home = environ.get("HOME") or environ.get("USERPROFILE") if isinstance(environ, dict) else None
        self._home = str(home or "~")
        self.link.hear = self._hear
        await super().introduce(details)

    def spelling(self, builddir: str) -> PathSpelling:
        windows = self.details.get("system") == "nt"
        basedir = str(self.details["basedir"])
        spelling = PathSpelling(
            root=basedir,
            home=self._home,
            counts_lines=shell_version(self.details) >= COUNTS_LINES,
            windows=windows,
        )
        spelling.root = spelling.path(builddir) if builddir else basedir
        return spelling

    # -- directories

    async def prepare(self) -> None:
        for id in self._left(self.id):
            await self._request("interrupt_command", command_id=str(id), why="nobody waits for it any more")
        await self._request("set_worker_settings", args=SETTINGS)
        wanted = [builddir for _, builddir in self._directories(self.name)]
        if self.details.get("delete_leftover_dirs"):
            await self._remove_leftovers({name.replace("\\", "/").partition("/")[0] for name in wanted} | {"info"})
        await self._make(wanted)

    async def _make(self, directories: Sequence[str]) -> None:
        if directories:
            made = await self._do("mkdir", {"dir": list(directories)})
            if made["rc"] != 0:
                raise CommandRefused(f"slave {self.name} cannot make {', '.join(directories)} ({made['rc']})")
        self._made.update(directories)

    async def _remove_leftovers(self, wanted: set[str]) -> None:
        found = (await self._do("listdir", {"dir": "."}))["result"]
        leftovers = []
        for name in found if isinstance(found, list) else []:
            if name not in wanted and not name.startswith("."):
                numbers = (await self._do("stat", {"file": name}))["result"]
                if isinstance(numbers, list) and numbers and stat.S_ISDIR(numbers[0]):
                    leftovers.append(name)
        if leftovers:
            command, _ = self._own_command("rmdir", {"dir": leftovers})
            await command.begin()  # nobody waits for its end

    async def _do(self, name: str, args: dict[str, Any]) -> dict[str, Any]:
        """What came of a command in the worker's own directory."""
        command, outcome = self._own_command(name, args)
        await command.begin()
        self._awaited.add(outcome)
        try:
            return await self.answer(lambda: in_time(outcome, name, self._clock))
        finally:
            self._awaited.discard(outcome)

    def _own_command(self, name: str, args: dict[str, Any]) -> tuple[OlderCommand, Deferred[dict[str, Any]]]:
        self._own -= 1
        outcome: Deferred[dict[str, Any]] = Deferred()
        command = self.command(CommandID(self._own), name, "", args, _Outcome(outcome))
        return command, outcome

    def forget(self) -> None:
        super().forget()
        awaited, self._awaited = self._awaited, set()
        for outcome in awaited:
            if not outcome.called:
                outcome.errback(LinkLost("the connection was lost"))

    # -- commands

    async def begin(self, command: OlderCommand, part: Part) -> None:
        if command.builddir not in self._made:  # of a builder that is new in the configuration
            await self._make([command.builddir])
        id = command.where = str(command.id)
        self._running[id] = command
        await self._request("start_command", command_id=id, command_name=part.name, args=part.args)

    def idle(self, command: OlderCommand) -> None:
        id, command.where = command.where, None
        self._running.pop(id or "", None)

    async def end(self, command: OlderCommand, why: str) -> None:
        if command.where is not None:
            await self._request("interrupt_command", command_id=command.where, why=why)

    async def _request(self, op: str, **fields: Any) -> Any:
        return await self.answer(lambda: self.link.request(op, timeout=self.patience, **fields))

    # -- what the worker says

    async def _hear(self, op: str, message: Mapping[str, Any]) -> Any:
        self.is_traffic()
        if op == "keepalive":
            return None
        if op == "shutdown":
            return self._retire(self.name) and None
        command = self._running.get(str(message.get("command_id")))
        if command is None:
            raise UnknownCommand("this command is not run by this master")
        args = message.get("args")
        match op:
            case "update":
                await command.updates(_updates(args))
            case "complete":
                await command.complete(None if args is None else str(args)[:2000] or "it failed")
            case "update_upload_file_write" | "update_upload_directory_write":
                await command.write(args)
            case "update_upload_file_utime":
                command.utime(message.get("access_time"), message.get("modified_time"))
            case "update_upload_file_close" | "update_read_file_close":
                command.close_transfer()
            case "update_upload_directory_unpack":
                command.unpack()
            case "update_read_file":
                return await command.read(message.get("length"))
            case _:
                raise BadMessage(f"there is no message {op[:100]!r} here")
        return None


class _Outcome:
    """Hears how a command that is not a step's has ended."""

    def __init__(self, outcome: Deferred[dict[str, Any]]) -> None:
        self._outcome = outcome

    def held(self) -> int:
        return 0

    def output(self, pieces: list[tuple[str, bytes]]) -> None:
        """It goes nowhere."""

    def finished(self, outcome: dict[str, Any]) -> None:
        if not self._outcome.called:
            self._outcome.callback(outcome)

    def write(self, offset: int, data: bytes) -> int:
        raise CommandRefused("nothing takes a file here")

    def read(self, offset: int, length: int) -> bytes:
        raise CommandRefused("there is no file here")


def _updates(given: object) -> list[Update]:
    """[[key, value], ...]; of texts also where their lines end and when they came, which the log finds by itself."""
    if not isinstance(given, list):
        raise BadMessage("update: not a list of updates")
    found: list[Update] = []
    for each in given:
        if not isinstance(each, list) or len(each) != 2 or not isinstance(each[0], str):
            raise BadMessage("update: not a list of [key, value]")
        key, value = each
        if key in ("stdout", "stderr", "header"):
            value = _text_of(value)
        elif key == "log" and isinstance(value, list) and len(value) == 2:
            value = [value[0], _text_of(value[1])]
        found.append((key, value))
    return found


def _text_of(value: object) -> object:
    return value[0] if isinstance(value, list) and value else value
