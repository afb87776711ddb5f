"""Graceful shutdown: a slave that is to end its process is told so once nothing runs on it.

That it is to end is a row of `store.pauses`, and assigning gives it no builds. The row is gone when somebody takes it
back, or when a new process of the slave connects (`store.slaves.connected`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from twisted.logger import Logger

from buildbot.process.running import RunningBuilds
from buildbot.process.slaveport import CommandRefused, SlaveLost, SlaveSession
from buildbot.store import Store, builds, pauses

AGAIN_SECONDS = 30.0  # until a slave that is still here is told once more


class Retiring:
    """The doorbell's worker. `sessions` gives the connected slaves by name."""

    _log = Logger()

    def __init__(
        self, store: Store, running: RunningBuilds, sessions: Callable[[], Mapping[str, SlaveSession]]
    ) -> None:
        self._store = store
        self._running = running
        self._sessions = sessions

    async def run(self, now: float) -> float | None:
        """Tell every slave that is to end and has nothing to do."""
        told = False
        for pause in pauses.all_of(self._store, pauses.Kind.SLAVE).values():
            session = self._sessions().get(pause.name)
            if not pause.graceful or session is None or self._is_busy(session):
                continue
            told = True
            try:
                await session.shut_down()
            except SlaveLost:
                continue  # it is gone, as it should be
            except CommandRefused as refused:
                self._log.warn("slave {name} does not shut down: {why}", name=pause.name, why=str(refused))
            else:
                self._log.info("slave {name} was told to shut down, as {who} asked", name=pause.name, who=pause.who)
        return now + AGAIN_SECONDS if told else None

    def _is_busy(self, session: SlaveSession) -> bool:
        return bool(self._running.on_slave(session.name)) or builds.runs_on(self._store, session.id)
