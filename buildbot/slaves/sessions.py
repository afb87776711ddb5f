"""All slaves of the configuration: who may log in, who is here, and what happens when one comes or goes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.spread import pb

from buildbot.config.slave import BuildSlave
from buildbot.model import CommandID, SlaveID
from buildbot.process.slaveport import CommandRefused, SlaveLost
from buildbot.slaves.guard import GuardedBroker
from buildbot.slaves.pbport import PBPorts, Registration
from buildbot.slaves.session import NotOurDialect, SlaveSession
from buildbot.store import Store, commands, slaves


class TwinIsHere(Exception):
    """Another process has logged in as the same slave and is still there; the text says where."""


class SlaveSessions:
    """The connected slaves by name (`here`), and the registrations that let them in.

    wanted(id): the commands that the slave is to keep when it connects. came(session): it is here and takes orders.
    lost(session, why): a session that was here has ended. retire(name): somebody at the slave's machine wants it to be
    shut down.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        store: Store,
        ports: PBPorts,
        clock: IReactorTime,
        now: Callable[[], float],
        wanted: Callable[[SlaveID], Collection[CommandID]],
        came: Callable[[SlaveSession], None],
        lost: Callable[[SlaveSession, str], None],
        retire: Callable[[str], object],
    ) -> None:
        self.retire = retire
        self.here: dict[str, SlaveSession] = {}
        self._store = store
        self._ports = ports
        self._clock = clock
        self._now = now
        self._wanted = wanted
        self._came = came
        self._lost = lost
        self._newest: dict[str, SlaveSession] = {}  # the last that logged in, taken or not yet
        self._registered: dict[tuple[str, str], tuple[str, Registration]] = {}

    def sync(self, endpoints: Sequence[str], wanted: Sequence[BuildSlave], ids: Mapping[str, SlaveID]) -> None:
        """Let these slaves in, on these ports, and nobody else. Who is here and still wanted is left alone."""
        passwords = {(endpoint, slave.name): slave.password for endpoint in endpoints for slave in wanted}
        for key, (password, registration) in list(self._registered.items()):
            if passwords.get(key) != password:
                del self._registered[key]
                registration.unregister()
        for (endpoint, name), password in passwords.items():
            if (endpoint, name) not in self._registered:
                registration = self._ports.register(endpoint, name, password, self._avatar_maker(name, ids[name]))
                self._registered[endpoint, name] = (password, registration)

    def stop(self) -> None:
        for session in list(self.here.values()):
            session.lose("the master stops")

    def _avatar_maker(self, name: str, id: SlaveID) -> Callable[[Any, GuardedBroker], SlaveAvatar]:
        return lambda mind, broker: SlaveAvatar(self, name, id, broker)

    # -- for avatars

    def open(self, name: str, id: SlaveID, mind: pb.RemoteReference, broker: GuardedBroker) -> SlaveSession:
        """A slave has logged in. A newer connection of the same slave wins; another process of its name is not taken
        while the one that is here answers."""
        session = SlaveSession(
            name=name,
            id=id,
            mind=mind,
            broker=broker,
            clock=self._clock,
            wanted=self._wanted,
            heard=self._is_heard,
            gone=self._is_gone,
            dropped=lambda command: self._store.transact(commands.let_go, command),
        )
        self._newest[name] = session

        async def introduce() -> None:
            try:
                await session.introduce()
                await self._check_twin(session)
                self._take(session)
            except CancelledError:
                raise
            except (NotOurDialect, SlaveLost, CommandRefused, TwinIsHere) as problem:
                self._log.warn("slave {name} is not taken: {problem}", name=name, problem=problem)
                session.lose(str(problem))
            except Exception as bug:
                self._log.failure("taking slave {name} failed", name=name)
                session.lose(str(bug))

        ensureDeferred(introduce())  # type: ignore[unused-awaitable]  # every error is handled in it
        return session

    async def _check_twin(self, session: SlaveSession) -> None:
        """Two that take each other's place in turn would end every build of both. Raises TwinIsHere."""
        older = self.here.get(session.name)
        if older is None or older.incarnation in (None, session.incarnation):
            return
        if await older.is_there() and self.here.get(session.name) is older:
            where = f"{older.address}, in {older.details.get('basedir')}"
            why = f"another buildslave of this name is connected from {where}, and answers; give each a name of its own"
            await session.say(f"not taken: {why}")
            raise TwinIsHere(why)

    def _take(self, session: SlaveSession) -> None:
        if session.lost_why is not None:
            return
        if self._newest.get(session.name, session) is not session:
            session.lose("a newer connection of the same slave has taken its place")
            return
        older = self.here.get(session.name)
        if older is not None:
            older.lose("a newer connection of the same slave has taken its place")
        self.here[session.name] = session
        unwanted = set(session.kept) - set(self._wanted(session.id))  # given up since it was told what to keep
        self._store.transact(self._is_connected, session, unwanted)
        self._log.info("slave {name} is connected", name=session.name)
        for command in unwanted:
            session.disown(command)
        self._came(session)

    def _is_connected(self, store: Store, session: SlaveSession, unwanted: Collection[CommandID]) -> None:
        details = {key: value for key, value in session.details.items() if key != "environ"}
        slaves.connected(
            store,
            session.id,
            self._now(),
            incarnation=session.incarnation,
            version=str(session.details.get("version") or "") or None,
            details=_as_json(details),
        )
        commands.let_go_of(store, session.id, list(unwanted))  # it has just dropped all else

    def _is_heard(self, session: SlaveSession) -> None:
        self._store.transact(slaves.heard, session.id, self._now())

    def _is_gone(self, session: SlaveSession, why: str) -> None:
        if self._newest.get(session.name) is session:
            del self._newest[session.name]
        if self.here.get(session.name) is session:
            del self.here[session.name]
            self._log.info("slave {name} is lost: {why}", name=session.name, why=why)
            self._lost(session, why)  # its builds must know, also when the store can take nothing
            self._store.transact(slaves.lost, session.id, self._now(), why)


class SlaveAvatar:
    """What a logged-in slave may call."""

    def __init__(self, sessions: SlaveSessions, name: str, id: SlaveID, broker: GuardedBroker) -> None:
        self._sessions = sessions
        self._name = name
        self._id = id
        self._broker = broker
        self._session: SlaveSession | None = None

    def attached(self, mind: pb.RemoteReference | None) -> None:
        if mind is None or not hasattr(mind, "callRemote"):
            raise CommandRefused("a slave must give an object of its own at login")
        set_no_delay = getattr(self._broker.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:  # small messages both ways would wait for each other's acknowledgement
            set_no_delay(True)
        self._session = self._sessions.open(self._name, self._id, mind, self._broker)

    def detached(self) -> None:
        if self._session is not None:
            self._session.lose("the connection was lost")

    @property
    def session(self) -> SlaveSession:
        assert self._session is not None
        return self._session

    def perspective_output(self, command: object, position: object, pieces: object) -> int:
        return self.session.output(command, position, pieces)

    def perspective_finished(self, command: object, position: object, outcome: object) -> bool:
        return self.session.finished(command, position, outcome)

    def perspective_write(self, command: object, offset: object, data: object) -> int:
        return self.session.write(command, offset, data)

    def perspective_read(self, command: object, offset: object, length: object) -> bytes:
        return self.session.read(command, offset, length)

    def perspective_keepalive(self) -> None:
        self.session.is_traffic()

    def perspective_shutdown(self) -> None:
        self.session.is_traffic()
        self._sessions.retire(self._name)


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value
