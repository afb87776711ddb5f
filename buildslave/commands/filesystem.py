"""Commands about files and directories. What may take long runs in a thread and can be interrupted."""

import errno
import glob
import os
from collections.abc import Callable
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.threads import deferToThreadPool

from buildslave.commands.base import Channel, Command, Order, Outcome, Reason, Site
from buildslave.commands.trees import Stopped, copy_tree, remove_tree
from buildslave.errors import OutsideBasedir
from buildslave.paths import confined, confined_target

MOST_RESULT_BYTES = 1024 * 1024
"""A result goes to the master in one message."""


class FileCommand(Command):
    """A command that works on paths in the builder's directory."""

    def __init__(self, order: Order, site: Site, channel: Channel) -> None:
        super().__init__(order, site, channel)
        self._stop = Event()
        self._why: Reason | None = None
        self._workdir = order.args.text("workdir", default="")
        self._seconds: float | None = None
        self.check()

    def check(self) -> None:
        """Read and check the arguments."""

    def path(self, given: str) -> Path:
        return confined(self.site.basedir, self.order.builddir, self._workdir, given)

    def below_builder(self, given: str) -> Path:
        """A path that may be removed: not the directory that holds the slave's own files."""
        path = self.path(given)
        if path == self.site.basedir or self.site.basedir.is_relative_to(path):
            raise OutsideBasedir(f"{given!r} is the slave's base directory")
        return path

    async def run(self) -> Outcome:
        timer = None
        if self._seconds is not None:
            timer = self.site.clock.callLater(self._seconds, self._end, Reason.TIMEOUT)
        try:
            return Outcome(rc=0, result=await self.in_thread(self.work))
        except Stopped:
            reason = self._why or Reason.INTERRUPTED
            self.channel.header(f"{self.order.name} ended before it was done: {reason}\n")
            return Outcome(rc=-1, reason=reason)
        finally:
            if timer is not None and timer.active():
                timer.cancel()

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        done: Deferred[Any] = deferToThreadPool(self.site.reactor, self.site.reactor.getThreadPool(), work)
        return await done

    def work(self) -> Any:
        """What to do, in a thread; the answer is the outcome's result."""

    def interrupt(self, why: str) -> None:
        self._end(Reason.INTERRUPTED)

    def _end(self, reason: Reason) -> None:
        self._why = self._why or reason
        self._stop.set()


class MakeDirectory(FileCommand):
    """`mkdir`: one directory or several, with all parents. One that exists is well."""

    def check(self) -> None:
        self._paths = [self.path(each) for each in self.order.args.texts("dir")]

    def work(self) -> None:
        for path in self._paths:
            os.makedirs(path, exist_ok=True)


class RemoveDirectory(FileCommand):
    """`rmdir`: one tree or several."""

    def check(self) -> None:
        self._paths = [self.below_builder(each) for each in self.order.args.texts("dir")]
        self._seconds = self.order.args.seconds("timeout")

    def work(self) -> None:
        for path in self._paths:
            remove_tree(str(path), self._stop)


class CopyDirectory(FileCommand):
    """`cpdir`: a whole tree, links as links."""

    def check(self) -> None:
        self._source = self.path(self.order.args.text("fromdir"))
        self._target = self.path(self.order.args.text("todir"))
        if self._target == self._source or self._target.is_relative_to(self._source):
            raise self.order.args.refuse("todir", "lies in fromdir")
        self._seconds = self.order.args.seconds("maxTime")

    def work(self) -> None:
        copy_tree(str(self._source), str(self._target), self._stop)


class Stat(FileCommand):
    """`stat`: the ten numbers of os.stat; rc is the errno if there is no such file."""

    def check(self) -> None:
        self._path = self.path(self.order.args.text("file", "path"))

    def work(self) -> list[int]:
        return [int(each) for each in tuple(os.stat(self._path))]


class Glob(FileCommand):
    """`glob`: the paths that match a pattern, sorted; `**` goes through directories."""

    def check(self) -> None:
        pattern = self.order.args.text("path", "glob")
        self._pattern = str(self.path(pattern))

    def work(self) -> list[str]:
        found = sorted(glob.glob(self._pattern, recursive=True))
        return _bounded([_plain(each) for each in found])


class ListDirectory(FileCommand):
    """`listdir`: the names in a directory, sorted."""

    def check(self) -> None:
        self._path = confined_target(
            self.site.basedir, self.order.builddir, self._workdir, self.order.args.text("dir", "path")
        )

    def work(self) -> list[str]:
        return _bounded(sorted(_plain(each) for each in os.listdir(self._path)))


class RemoveFile(FileCommand):
    """`rmfile`: one file; rc is the errno if it is not there."""

    def check(self) -> None:
        self._path = self.below_builder(self.order.args.text("path", "file"))

    def work(self) -> None:
        os.unlink(self._path)


def _plain(name: str) -> str:
    """A name that can be sent: bytes that are no UTF-8 become escapes."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def _bounded(names: list[str]) -> list[str]:
    if sum(len(name) + 8 for name in names) > MOST_RESULT_BYTES:
        raise OSError(errno.E2BIG, f"{len(names)} names are too many to send")
    return names
