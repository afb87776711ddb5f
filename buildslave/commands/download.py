"""`downloadFile`: a file of the master's comes here, by offset, into a temporary name that is renamed at the end."""

import os
import re
from collections import deque
from contextlib import suppress
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred

from buildslave.blocks import CHUNK
from buildslave.commands.base import Channel, Command, Order, Outcome, Reason, Site
from buildslave.paths import confined_target
from buildslave.window import CALLS_IN_FLIGHT


class TooBig(Exception):
    """The file has more bytes than `maxsize`."""


class Interrupted(Exception):
    """The master wants no more of it."""


class DownloadFile(Command):
    """Fetches one file."""

    def __init__(self, order: Order, site: Site, channel: Channel) -> None:
        super().__init__(order, site, channel)
        args = order.args
        self._target = confined_target(
            site.basedir, order.builddir, args.text("workdir", default=""), args.text("slavedest", "workerdest", "path")
        )
        self._most = args.count("maxsize")
        self._block = min(args.count("blocksize") or CHUNK, CHUNK)
        self._mode = args.count("mode")
        self._interrupted = False
        self._asked: deque[Deferred[Any]] = deque()

    async def run(self) -> Outcome:
        self.channel.header(f"fetching {self._target}\n")
        os.makedirs(self._target.parent, exist_ok=True)
        _remove_left_over(self._target)
        temporary = self._target.with_name(f".{self._target.name[:200]}.{os.getpid()}.{id(self):x}.part")
        # nobody for whom the file is not meant sees a part of it
        rights = 0o666 if self._mode is None else self._mode & 0o666
        descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, rights)
        try:
            try:
                size = await self._fetch(descriptor)
            finally:
                os.close(descriptor)
            if self._mode is not None:
                os.chmod(temporary, self._mode & 0o7777)
            os.replace(temporary, self._target)
        except BaseException as error:
            os.unlink(temporary)
            return self._failed(error)
        return Outcome(rc=0, result={"size": size})

    def _failed(self, error: BaseException) -> Outcome:
        if isinstance(error, TooBig):
            sentence = f"the file has more than maxsize={self._most} bytes"
            self.channel.header(sentence + "\n")
            return Outcome(rc=1, error=sentence)
        if isinstance(error, Interrupted) or self._interrupted:
            return Outcome(rc=-1, reason=Reason.INTERRUPTED)
        raise error

    async def _fetch(self, descriptor: int) -> int:
        """Ask for several blocks ahead. A short block means that those asked for after it begin at the wrong place."""
        offset = 0
        asked = self._asked
        try:
            while True:
                while len(asked) < CALLS_IN_FLIGHT:
                    asked.append(self._ask(offset + len(asked) * self._block))
                data = await asked[0]
                if self._interrupted:
                    raise Interrupted
                _ = asked.popleft()
                if not isinstance(data, bytes):
                    raise OSError(f"the master sent {type(data).__name__} instead of bytes")
                if not data:
                    return offset
                os.write(descriptor, data)
                offset += len(data)
                if self._most is not None and offset > self._most:
                    raise TooBig
                if len(data) != self._block:
                    _forget(asked)
        finally:
            _forget(asked)

    def _ask(self, offset: int) -> Deferred[Any]:
        return Deferred.fromCoroutine(self.channel.ask("read", offset, self._block))

    def interrupt(self, why: str) -> None:
        self._interrupted = True
        for each in list(self._asked):
            each.cancel()


def _remove_left_over(target: Path) -> None:
    """Take away what earlier processes of the slave have left of this file: they were killed, and are not there."""
    mine = re.compile(rf"{re.escape(f'.{target.name[:200]}.')}([0-9]+)\.[0-9a-f]+\.part")
    with suppress(OSError), os.scandir(target.parent) as entries:
        for entry in entries:
            found = mine.fullmatch(entry.name)
            if found is not None and int(found[1]) != os.getpid():
                os.unlink(entry.path)


def _forget(asked: deque[Deferred[Any]]) -> None:
    for each in asked:
        _ = each.addErrback(lambda _: None)
        each.cancel()
    asked.clear()
