"""The store of a base directory as a running master holds it: open, read in threads, a checkpoint now and then."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, ensureDeferred
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from buildbot.store.logfiles import LogFiles
from buildbot.store.readers import ThreadedReaders
from buildbot.store.store import Store

CHECKPOINT_SECONDS = 10.0


class OpenedStore:
    """basedir: with `state.sqlite` and the directory of the logs; both are made if they are not there.

    hide: replaces secrets in the texts of people that are stored.
    """

    _log = Logger()

    def __init__(self, basedir: Path, reactor: Any, hide: Callable[[str], str]) -> None:
        path = basedir / "state.sqlite"
        self._readers = ThreadedReaders(path, reactor)  # opens the file only when it is asked
        try:
            self.store = Store.open(path, readers=self._readers)
        except BaseException:
            self._readers.close()
            raise
        self.store.hide = hide
        self.store.checkpoint_elsewhere()
        self.log_files = LogFiles(basedir / "logs")
        self._checkpoints = LoopingCall(self._checkpoint)
        self._checkpoints.clock = reactor
        self._checkpoints.start(CHECKPOINT_SECONDS, now=False)  # type: ignore[unused-awaitable]  # catches all

    def _checkpoint(self) -> Deferred[None]:
        return ensureDeferred(self._checkpoint_now())

    async def _checkpoint_now(self) -> None:
        try:
            await self._readers.checkpoint()
        except CancelledError:
            raise
        except Exception as problem:
            self.store.doubt_after(problem)
            self._log.failure("a checkpoint failed; it is tried again")

    def close(self) -> None:
        self._checkpoints.stop()
        self.store.close()
