"""Compresses finished logs when they are old enough, one at a time, in a thread.

A doorbell worker. The compressed file is made, checked and on the disk before the plain one goes, and only then does
the row say so; the reader takes whichever is there. Whatever moment the process dies at, the next run does the rest.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial

from twisted.logger import Logger

from buildbot.config.retention import Packing
from buildbot.model import Log
from buildbot.store import Store, logs
from buildbot.store.logfiles import LogFiles

AFTER_SECONDS = 86400.0  # until then people may look at the plain file
LOOK_AGAIN_SECONDS = 600.0
AT_ONCE = 20
PACKED, LEFT = "zstd", "raw"


class LogPacking:
    """packing: what the configuration in force says. in_thread: runs a function elsewhere."""

    _log = Logger()

    def __init__(
        self,
        store: Store,
        log_files: LogFiles,
        in_thread: Callable[[Callable[[], bool]], Awaitable[bool]],
        packing: Callable[[], Packing],
    ) -> None:
        self._store = store
        self._files = log_files
        self._in_thread = in_thread
        self._packing = packing

    async def run(self, now: float) -> float | None:
        """Some of the logs that are due."""
        packing = self._packing()
        if not packing.wanted:
            return None
        due = logs.to_pack(self._store, now - AFTER_SECONDS, AT_ONCE)
        small = [log for log in due if (log.size or 0) < packing.smallest]
        self._store.transact(_all_left, small)
        for log in due:
            if log not in small:
                await self._pack(log)
        return now if len(due) == AT_ONCE else now + LOOK_AGAIN_SECONDS

    async def _pack(self, log: Log) -> None:
        try:
            packed = await self._in_thread(partial(self._files.pack, log.path))
        except OSError as error:
            self._log.warn("log {log} is not compressed: {error}", log=log.path, error=error)
            packed = False
        if not self._store.transact(logs.set_packed, log.id, PACKED if packed else LEFT) and packed:
            self._files.remove(log.path)  # retention took it away meanwhile, and could not know of the new file


def _all_left(store: Store, small: list[Log]) -> None:
    for log in small:
        logs.set_packed(store, log.id, LEFT)
