"""All slaves of the configuration: who may log in, who is here, and what happens when one comes or goes."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError, ensureDeferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.spread import pb

from buildbot.config.slave import BuildSlave
from buildbot.model import CommandID, SlaveID
from buildbot.process.slaveport import CommandRefused, SlaveLost
from buildbot.slaves.bridge import NoAnswer
from buildbot.slaves.guard import GuardedBroker
from buildbot.slaves.link import Link, LinkLost, PBLink, Refused
from buildbot.slaves.msgpacklink import MsgpackLink
from buildbot.slaves.oldmsgpack import OlderMsgpackSession
from buildbot.slaves.oldpb import OlderPBSession
from buildbot.slaves.pbport import PBPorts
from buildbot.slaves.ports import Registration
from buildbot.slaves.resumable import ResumableSession
from buildbot.slaves.session import BadMessage, Directories, NotOurDialect, Session, UnknownCommand, is_plain
from buildbot.slaves.spelling import in_text
from buildbot.slaves.websocket import WebSocket, WebSocketPorts
from buildbot.store import Store, commands, slaves

_ARGUMENTS = {"output": 3, "finished": 3, "write": 3, "read": 3}  # how many a message of our dialect has


class TwinIsHere(Exception):
    """Another process has logged in as the same slave and is still there; the text says where."""


class SlaveSessions:
    """The connected slaves by name (`here`), and the registrations that let them in.

    ports, sockets: where they log in, over Perspective Broker and over WebSocket.

    wanted(id): the commands that the slave is to keep when it connects. directories(name): what builds may use on a
    slave. came(session): it is here and takes orders.
    lost(session, why): a session that was here has ended. retire(name): somebody at the slave's machine wants it to be
    shut down.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        store: Store,
        ports: PBPorts,
        sockets: WebSocketPorts,
        clock: IReactorTime,
        now: Callable[[], float],
        wanted: Callable[[SlaveID], Collection[CommandID]],
        directories: Callable[[str], Directories],
        came: Callable[[Session], None],
        lost: Callable[[Session, str], None],
        retire: Callable[[str], object],
    ) -> None:
        self.retire = retire
        self.here: dict[str, Session] = {}
        self._store = store
        self._ports = ports
        self._sockets = sockets
        self._clock = clock
        self._now = now
        self._wanted = wanted
        self._directories = directories
        self._came = came
        self._lost = lost
        self._newest: dict[str, Link] = {}  # the last that logged in, taken or not yet
        self._registered: dict[tuple[str, str, bool], tuple[str, Registration]] = {}  # True: over WebSocket

    def sync(
        self,
        endpoints: Sequence[str],
        wanted: Sequence[BuildSlave],
        ids: Mapping[str, SlaveID],
        socket_endpoints: Sequence[str] = (),
    ) -> None:
        """Let these slaves in, on these ports or their own, and nobody else. Who is here and wanted is left alone."""
        every = (*endpoints, *socket_endpoints)
        passwords = {
            (endpoint, slave.name, endpoint in socket_endpoints): slave.password
            for slave in wanted
            for endpoint in slave.ports or every
        }
        for key, (password, registration) in list(self._registered.items()):
            if passwords.get(key) != password:
                del self._registered[key]
                registration.unregister()
        for key, password in passwords.items():
            if key not in self._registered:
                endpoint, name, over_socket = key
                if over_socket:
                    make = partial(SocketSlave, self, name, ids[name], self._clock)
                    registration = self._sockets.register(endpoint, name, password, make)
                else:
                    registration = self._ports.register(endpoint, name, password, self._avatar_maker(name, ids[name]))
                self._registered[key] = (password, registration)

    def stop(self) -> None:
        for session in list(self.here.values()):
            session.lose("the master stops")

    def _avatar_maker(self, name: str, id: SlaveID) -> Callable[[Any, GuardedBroker], SlaveAvatar]:
        return lambda mind, broker: SlaveAvatar(self, name, id, broker, self._clock)

    # -- for avatars

    def open(self, name: str, id: SlaveID, link: Link, introduced: Callable[[Session], None]) -> None:
        """A slave has logged in. A newer connection of the same slave wins; another process of its name is not taken
        while the one that is here answers. introduced: gets the session, once the slave has said what it speaks."""
        self._newest[name] = link

        async def introduce() -> None:
            session: Session | None = None
            try:
                details = await self._details(link)
                session = self._session(name, id, link, details)
                introduced(session)
                await session.introduce(details)
                await self._check_twin(session)
                self._take(session)
            except CancelledError:
                raise
            except (NotOurDialect, SlaveLost, CommandRefused, TwinIsHere, LinkLost, NoAnswer, Refused) as problem:
                self._log.warn("slave {name} is not taken: {problem}", name=name, problem=problem)
                self._send_away(name, link, session, str(problem))
            except Exception as bug:
                self._log.failure("taking slave {name} failed", name=name)
                self._send_away(name, link, session, str(bug))

        ensureDeferred(introduce())  # type: ignore[unused-awaitable]  # every error is handled in it

    async def _details(self, link: Link) -> dict[str, Any]:
        """What the slave tells about itself. Raises NotOurDialect, NoAnswer, LinkLost, Refused."""
        try:
            told = await link.ask("getSlaveInfo")  # of this version; it speaks its own dialect to who asks this first
        except Refused:  # workers of 0.9 and later
            told = await link.ask("getWorkerInfo")
        if not isinstance(told, dict):
            raise NotOurDialect("it does not say what it is; install this version's buildslave on that machine")
        return {str(in_text(key)): in_text(value) for key, value in told.items() if is_plain(in_text(value))}

    def _session(self, name: str, id: SlaveID, link: Link, details: dict[str, Any]) -> Session:
        common: dict[str, Any] = {
            "name": name,
            "id": id,
            "link": link,
            "clock": self._clock,
            "heard": self._is_heard,
            "gone": self._is_gone,
            "dropped": lambda command: self._store.transact(commands.let_go, command),
        }
        if isinstance(details.get("resumable"), dict):
            return ResumableSession(wanted=self._wanted, directories=self._directories, **common)
        if isinstance(link, MsgpackLink):
            left = partial(commands.left_of, self._store)
            return OlderMsgpackSession(directories=self._directories, left=left, retire=self.retire, **common)
        return OlderPBSession(directories=self._directories, **common)

    def _send_away(self, name: str, link: Link, session: Session | None, why: str) -> None:
        if session is not None:
            session.lose(why)
            return
        if self._newest.get(name) is link:
            del self._newest[name]
        link.close()

    async def _check_twin(self, session: Session) -> None:
        """Two that take each other's place in turn would end every build of both. Raises TwinIsHere."""
        older = self.here.get(session.name)
        if older is None or (older.incarnation is not None and older.incarnation == session.incarnation):
            return
        if await older.is_there() and self.here.get(session.name) is older:
            where = f"{older.address}, in {older.details.get('basedir')}"
            why = f"another slave of this name is connected from {where}, and answers; give each a name of its own"
            await session.say(f"not taken: {why}")
            raise TwinIsHere(why)

    def _take(self, session: Session) -> None:
        if session.lost_why is not None:
            return
        if self._newest.get(session.name, session.link) is not session.link:
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

    def _is_connected(self, store: Store, session: Session, unwanted: Collection[CommandID]) -> None:
        details = {key: value for key, value in session.details.items() if key != "environ"}
        found = slaves.connected(
            store,
            session.id,
            self._now(),
            incarnation=session.incarnation,
            version=str(session.details.get("version") or "") or None,
            details=_as_json(details),
        )
        session.learn(found)
        commands.let_go_of(store, session.id, list(unwanted))  # it has just dropped all else

    def _is_heard(self, session: Session) -> None:
        self._store.transact(slaves.heard, session.id, self._now())

    def _is_gone(self, session: Session, why: str) -> None:
        if self._newest.get(session.name) is session.link:
            del self._newest[session.name]
        if self.here.get(session.name) is session:
            del self.here[session.name]
            self._log.info("slave {name} is lost: {why}", name=session.name, why=why)
            self._lost(session, why)  # its builds must know, also when the store can take nothing
            self._store.transact(slaves.lost, session.id, self._now(), why)


class SlaveAvatar:
    """What a logged-in slave may call."""

    def __init__(
        self, sessions: SlaveSessions, name: str, id: SlaveID, broker: GuardedBroker, clock: IReactorTime
    ) -> None:
        self._sessions = sessions
        self._name = name
        self._id = id
        self._broker = broker
        self._clock = clock
        self._session: Session | None = None
        self._gone = False

    def attached(self, mind: pb.RemoteReference | None) -> None:
        if mind is None or not hasattr(mind, "callRemote"):
            raise CommandRefused("a slave must give an object of its own at login")
        set_no_delay = getattr(self._broker.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:  # small messages both ways would wait for each other's acknowledgement
            set_no_delay(True)
        link = PBLink(mind, self._broker, self._clock)
        self._sessions.open(self._name, self._id, link, self._introduced)

    def _introduced(self, session: Session) -> None:
        self._session = session
        if self._gone:
            session.lose("the connection was lost")

    def detached(self) -> None:
        self._gone = True
        if self._session is not None:
            self._session.lose("the connection was lost")

    @property
    def session(self) -> ResumableSession:
        """For the messages of our own dialect."""
        if not isinstance(self._session, ResumableSession):
            raise UnknownCommand("this master runs no command on it")
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
        if self._session is not None:
            self._session.is_traffic()

    def perspective_shutdown(self) -> None:
        self.perspective_keepalive()
        self._sessions.retire(self._name)


class SocketSlave:
    """A slave that has logged in over WebSocket."""

    def __init__(self, sessions: SlaveSessions, name: str, id: SlaveID, clock: IReactorTime, socket: WebSocket) -> None:
        self._sessions = sessions
        self._name = name
        self._id = id
        self._link = MsgpackLink(socket, clock)
        self._session: Session | None = None
        self._gone = False

    def attached(self) -> None:
        self._sessions.open(self._name, self._id, self._link, self._introduced)

    def _introduced(self, session: Session) -> None:
        self._session = session
        if self._gone:
            session.lose("the connection was lost")

        if isinstance(session, ResumableSession):
            self._link.hear = partial(self._hear, session)

    async def _hear(self, session: ResumableSession, op: str, message: Mapping[str, Any]) -> Any:
        """A message of our own dialect."""
        if op == "shutdown":
            session.is_traffic()
            return self._sessions.retire(self._name) and None
        args = message.get("args")
        if not isinstance(args, list) or _ARGUMENTS.get(op) != len(args):
            raise BadMessage(f"{op[:100]!r} with these arguments is no message of the dialect")
        return getattr(session, op)(*args)

    def received(self, message: bytes) -> None:
        self._link.received(message)

    def detached(self) -> None:
        self._gone = True
        self._link.lost()
        if self._session is not None:
            self._session.lose("the connection was lost")


def _as_json(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    if isinstance(value, dict):
        return {str(key): _as_json(item) for key, item in value.items()}
    return [_as_json(item) for item in value] if isinstance(value, (list, tuple)) else value
