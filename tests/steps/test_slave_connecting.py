"""How a slave reaches its master: TLS with and without client certificates, several ports, IPv6, proxies; and what both
sides say when it does not work.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.endpoints import TCP4ClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import deferLater
from twisted.logger import globalLogPublisher

from buildbot.config import BuildSlave as SlaveConfig
from buildbot.config.ports import slave_ports
from buildbot.process.factory import BuildFactory
from buildbot.steps.shell import ShellCommand
from buildbot.store import slaves
from buildslave import connection
from buildslave.bot import BuildSlave
from tests.certificates import Authority
from tests.processes import Processes, free_port
from tests.rig import RigCase
from tests.tools import require_tool

HERE = "interface=127.0.0.1"
clock: Any = reactor


class ConnectingCase(RigCase):
    """`self.listen(...)` opens ports; `self.connect(...)` starts a slave, which logs in or does not."""

    with_slave = False

    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.top = self.rig.base
        self.said: list[str] = []
        globalLogPublisher.addObserver(self._hear)
        self.addCleanup(globalLogPublisher.removeObserver, self._hear)
        self.processes = Processes(self.top / "processes")
        self.addCleanup(self.processes.stop_all)
        self.rig.config.slaves = []
        # What the machine trusts is the business of a process of its own; here it is said in each string.
        self.authority = Authority(self.top)
        self.server = self.authority.issue("server", "127.0.0.1", "::1", "localhost")
        (self.top / "trusted").mkdir()
        shutil.copy(self.authority.certificate, self.top / "trusted" / "authority.pem")

    def _hear(self, event: Any) -> None:
        text = event.get("log_format") or ""
        try:
            self.said.append(text.format(**event))
        except Exception:
            self.said.append(text)

    async def until_said(self, words: str) -> None:
        await self.rig.until(lambda: any(words in line for line in self.said), f"{words!r} in {self.said[-5:]}")

    async def listen(self, *ports: str, **own: str) -> list[int]:
        """Open these ports for the slave `bot`; `own`: slaves with ports of their own. Returns the numbers."""
        wanted = [SlaveConfig("bot", "secret"), *(SlaveConfig(name, "secret", port=port) for name, port in own.items())]
        self.rig.config.slaves = wanted
        ids = self.rig.store.transact(slaves.sync, [slave.name for slave in wanted], self.rig.now())
        self.rig.sessions.sync([end for port in ports for end in slave_ports(port)], wanted, ids)
        await self.rig.ports.ready()
        return [self.number(port) for port in ports]

    def number(self, port: str) -> int:
        (address,) = self.rig.ports.addresses(port)
        return int(getattr(address, "port"))  # noqa: B009

    def connect(self, name: str = "bot", **given: Any) -> BuildSlave:
        options = {"slavename": name, "passwd": "secret", "basedir": str(self.top / name), "maxdelay": 1}
        slave = BuildSlave(**{**options, "stop_process": lambda: None, **given})
        slave.startService()
        self.rig.slaves[name] = slave
        return slave

    def start_process(self, *options: str, where: str) -> None:
        """A slave as `create-slave` makes it, in a process that trusts the tests' authority."""
        env = {"SSL_CERT_FILE": str(self.authority.certificate)}
        basedir = str(self.top / "made")
        create = self.processes.python("-m", "buildslave", "create-slave", *options, basedir, where, "bot", "secret")
        self.assertEqual(create.wait_for_exit(), 0, create.output())
        self.processes.python("-m", "buildslave", "start", "--nodaemon", basedir, env=env)

    async def builds_on(self, name: str = "bot") -> str:
        """The address of the connection on which this slave has run a command."""
        await self.rig.until(lambda: name in self.rig.sessions.here, f"slave {name}; {self.said[-5:]}")

        self.rig.add_builder("b", BuildFactory([ShellCommand(command=["echo", "hello"], name="run")]), [name])
        built = await self.rig.build("b")
        self.assertEqual(built.text("run"), "hello\n")
        return str(self.rig.sessions.here[name].address)

    def ssl(self, more: str = "", port: int = 0) -> str:
        key = self.server.with_suffix(".key")
        return f"ssl:{port}:{HERE}:privateKey={key}:certKey={self.server}{more}"

    def client(self, port: int, more: str = "") -> str:
        return f"tls:127.0.0.1:{port}:trustRoots={self.top / 'trusted'}{more}"

    def certified(self, certificate: Path) -> str:
        return f":certificate={certificate}:privateKey={certificate.with_suffix('.key')}"


class TLS(ConnectingCase):
    async def test_an_ssl_port(self) -> None:
        (port,) = await self.listen(self.ssl())
        self.connect(connection_string=self.client(port))
        self.assertEqual(await self.builds_on(), "127.0.0.1")

    async def test_a_directory_of_certificates(self) -> None:
        (self.top / "pems").mkdir()
        shutil.copy(self.server.with_suffix(".both.pem"), self.top / "pems" / "server.pem")
        number = free_port()
        string = f"tls:{self.top / 'pems'}:{number}"
        await self.listen(string)
        roots = self.top / "trusted"
        # Its certificates are found by the host's name.
        self.connect(connection_string=f"tls:localhost:{number}:trustRoots={roots}")
        self.assertEqual(await self.builds_on(), "::ffff:127.0.0.1")

    async def test_several_ports_at_once_and_one_of_a_slave_s_own(self) -> None:
        own = f"tcp:0:{HERE}:backlog=7"
        plain, secure = await self.listen(f"tcp:0:{HERE}", self.ssl(), other=own)
        self.connect(buildmaster_host="127.0.0.1", port=plain)
        await self.builds_on()
        await self.rig.stop_slave()
        await self.rig.until(lambda: not self.rig.sessions.here)
        self.connect(connection_string=self.client(secure))
        self.connect("other", buildmaster_host="127.0.0.1", port=self.number(own))
        await self.builds_on("bot")
        await self.builds_on("other")
        await self.rig.stop_slave("other")
        self.connect("other", buildmaster_host="127.0.0.1", port=plain)
        await self.until_said("refuses the login of 'other'")

    async def test_a_certificate_of_an_unknown_authority_is_not_taken(self) -> None:
        (port,) = await self.listen(self.ssl())
        (self.top / "others").mkdir()
        stranger = Authority(self.top / "others", "stranger")
        (stranger.certificate.with_suffix(".key")).unlink()
        (stranger.certificate.with_suffix(".both.pem")).unlink()
        self.connect(connection_string=f"tls:127.0.0.1:{port}:trustRoots={self.top / 'others'}")
        await self.until_said("no connection to the master: TLS: certificate verify failed")
        await self.until_said("failed in its TLS handshake")

    async def test_a_certificate_for_another_name_is_not_taken(self) -> None:
        self.server = self.authority.issue("elsewhere", "elsewhere.example.org")
        (port,) = await self.listen(self.ssl())
        self.connect(connection_string=self.client(port))
        await self.until_said("TLS: the master's certificate is for another name")

    async def test_a_string_without_it_is_told_of_when_it_was_asked_for(self) -> None:
        (port,) = await self.listen(f"tcp:0:{HERE}")
        self.connect(connection_string=f"tcp:127.0.0.1:{port}", useTls=True)
        await self.builds_on()
        await self.until_said("useTls has no effect: connection_string says")
        await self.rig.stop_slave()
        self.said.clear()
        (port,) = await self.listen(self.ssl())
        self.connect(connection_string=self.client(port), useTls=True)
        await self.builds_on()
        self.assertFalse(any("useTls" in line for line in self.said))

    async def test_plain_and_tls_do_not_meet_and_say_so(self) -> None:
        self.patch(connection, "LOGIN_SECONDS", 0.5)  # each of the two waits for the other to begin
        plain, secure = await self.listen(f"tcp:0:{HERE}", self.ssl())
        self.connect(buildmaster_host="127.0.0.1", port=secure)
        await self.until_said("the login was not answered (no answer in time). If that goes on:")
        await self.rig.stop_slave()
        self.said.clear()
        self.connect(connection_string=self.client(plain))
        await self.until_said("no connection to the master: ")


class ClientCertificates(ConnectingCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.clients = Authority(self.top, "clients")
        (self.port,) = await self.listen(self.ssl(f":clientCerts={self.clients.certificate}"))

    async def test_who_has_one_is_let_in(self) -> None:
        mine = self.clients.issue("bot.example.org")
        self.connect(connection_string=self.client(self.port, self.certified(mine)))
        await self.builds_on()

    async def test_who_has_none_is_told(self) -> None:
        self.connect(connection_string=self.client(self.port))
        await self.until_said("no connection to the master: TLS: ")
        await self.until_said("failed in its TLS handshake: peer did not return a certificate")
        self.assertEqual(self.rig.sessions.here, {})

    async def test_one_of_another_authority_is_refused(self) -> None:
        mine = self.authority.issue("bot.example.org")
        self.connect(connection_string=self.client(self.port, self.certified(mine)))
        await self.until_said("no connection to the master: TLS: ")
        await self.until_said("failed in its TLS handshake: certificate verify failed")
        self.assertEqual(self.rig.sessions.here, {})


class Addresses(ConnectingCase):
    async def test_ipv6(self) -> None:
        (port,) = await self.listen("tcp6:0:interface=\\:\\:1")
        self.connect(buildmaster_host=f"[::1]:{port}", port=None)
        self.assertEqual(await self.builds_on(), "::1")

    async def test_tls_over_ipv6_in_a_process_of_its_own(self) -> None:
        key = self.server.with_suffix(".key")
        (port,) = await self.listen(f"ssl:0:interface=\\:\\:1:privateKey={key}:certKey={self.server}")
        self.start_process("--use-tls", where=f"[::1]:{port}")
        self.assertEqual(await self.builds_on(), "::1")


class Proxies(ConnectingCase):
    def tinyproxy(self, *lines: str) -> int:
        program = require_tool("tinyproxy", "tinyproxy")
        port = free_port()
        config = self.top / "tinyproxy.conf"
        config.write_text("\n".join([f"Port {port}", "Listen 127.0.0.1", "Timeout 600", "Allow 127.0.0.1", *lines, ""]))
        self.processes.start([program, "-d", "-c", config], name="tinyproxy").wait_for_port(port)
        return port

    async def test_through_tinyproxy(self) -> None:
        (port,) = await self.listen(f"tcp:0:{HERE}")
        through = self.tinyproxy()
        self.connect(buildmaster_host="127.0.0.1", port=port, proxy_connection_string=f"tcp:127.0.0.1:{through}")
        await self.builds_on()
        (log,) = (self.top / "processes").glob("*tinyproxy*")
        self.assertIn(f"CONNECT 127.0.0.1:{port} HTTP/1.1", log.read_text())

    async def test_with_a_password(self) -> None:
        (port,) = await self.listen(f"tcp:0:{HERE}")
        through = self.tinyproxy("BasicAuth slave pass1")
        self.connect(buildmaster_host="127.0.0.1", port=port, proxy_connection_string=f"tcp:127.0.0.1:{through}")
        await self.until_said("the proxy does not connect us to the master: it says '407")
        await self.rig.stop_slave()
        string = f"http://slave:%70ass1@127.0.0.1:{through}"
        self.connect(buildmaster_host="127.0.0.1", port=port, proxy_connection_string=string)
        await self.builds_on()

    async def test_tls_through_it(self) -> None:
        (port,) = await self.listen(self.ssl())
        through = self.tinyproxy()
        self.start_process("--use-tls", f"--proxy-connection-string=tcp:127.0.0.1:{through}", where=f"127.0.0.1:{port}")
        await self.builds_on()

    async def test_one_that_is_away_is_told(self) -> None:
        self.connect(buildmaster_host="h", port=1, proxy_connection_string=f"tcp:127.0.0.1:{free_port()}")
        await self.until_said("no connection to the proxy: ")

    async def test_haproxy_tells_who_connects(self) -> None:
        program = require_tool("haproxy", "haproxy")
        inner = f"haproxy:tcp:0:{HERE}"
        (port,) = await self.listen(inner)
        outer = free_port()
        config = self.top / "haproxy.cfg"
        config.write_text(
            "defaults\n mode tcp\n timeout connect 5s\n timeout client 1m\n timeout server 1m\n"
            f"listen slaves\n bind 127.0.0.1:{outer}\n server master 127.0.0.1:{port} send-proxy\n"
        )
        self.processes.start([program, "-db", "-f", config]).wait_for_port(outer)
        self.connect(endpoint=TCP4ClientEndpoint(clock, "127.0.0.1", outer, bindAddress=("127.0.0.9", 0)))
        self.assertEqual(await self.builds_on(), "127.0.0.9")


class OverWebSocket(Proxies):
    """The same ways to a port for WebSocket."""

    async def listen(self, *ports: str, **own: str) -> list[int]:
        wanted = [SlaveConfig("bot", "secret")]
        self.rig.config.slaves = wanted
        ids = self.rig.store.transact(slaves.sync, ["bot"], self.rig.now())
        self.rig.sessions.sync([], wanted, ids, [end for port in ports for end in slave_ports(port)])
        await self.rig.sockets.ready()
        addresses: list[Any] = [address for port in ports for address in self.rig.sockets.addresses(port)]
        return [address.port for address in addresses]

    def connect(self, name: str = "bot", **given: Any) -> BuildSlave:
        return super().connect(name, protocol="msgpack_experimental_v7", **given)

    def start_process(self, *options: str, where: str) -> None:
        super().start_process("--protocol=msgpack_experimental_v7", *options, where=where)

    async def test_ipv6(self) -> None:
        (port,) = await self.listen("tcp6:0:interface=\\:\\:1")
        self.connect(buildmaster_host=f"[::1]:{port}", port=None)
        self.assertEqual(await self.builds_on(), "::1")

    async def test_a_string_with_tls(self) -> None:
        (port,) = await self.listen(self.ssl())
        self.connect(connection_string=self.client(port))
        self.assertEqual(await self.builds_on(), "127.0.0.1")

    async def test_plain_and_tls_do_not_meet_and_say_so(self) -> None:
        (port,) = await self.listen(self.ssl())
        self.connect(buildmaster_host="127.0.0.1", port=port)
        await self.until_said("no connection to the master: ")
        self.assertEqual(self.rig.sessions.here, {})


class Garbled(Protocol):
    """Answers whatever it is asked with what its factory has, a byte at a time."""

    def dataReceived(self, data: bytes) -> None:
        transport: Any = self.transport
        for byte in self.factory.answer:  # type: ignore[union-attr, attr-defined]
            transport.write(bytes([byte]))


class BadProxies(ConnectingCase):
    async def test_what_a_proxy_may_say(self) -> None:
        factory: Any = Factory.forProtocol(Garbled)
        listening: Any = clock.listenTCP(0, factory, interface="127.0.0.1")
        self.addCleanup(listening.stopListening)
        string = f"tcp:127.0.0.1:{listening.getHost().port}"
        for answer, told in (
            (b"SSH-2.0-x\r\n\r\n", "it is no HTTP proxy; it says 'SSH-2.0-x'"),
            (b"HTTP/1.1 403 Forbidden\r\nX: y\r\n\r\nbody", "it says '403 Forbidden'"),
            (b"x" * 17_000, "its answer is too long"),
        ):
            factory.answer = answer
            slave = self.connect(buildmaster_host="h", port=1, proxy_connection_string=string)
            await self.until_said(told)
            await slave.stopService()
            self.rig.slaves.clear()
        await deferLater(clock, 0.05)

    async def test_settings_that_exclude_each_other(self) -> None:
        for given, told in (
            ({"connection_string": "tcp:h:1", "proxy_connection_string": "tcp:p:2"}, "exclude each other"),
            ({"connection_string": "nonsense:h:1"}, "connection_string 'nonsense:h:1'"),
            ({"buildmaster_host": "h", "proxy_connection_string": "http://"}, "a proxy is written"),
            ({"buildmaster_host": "h", "proxy_connection_string": "no:h"}, "proxy_connection_string: Unknown endpoint"),
            ({"buildmaster_host": "h", "proxy_connection_string": "http://h:x"}, "proxy_connection_string: Port"),
            ({"buildmaster_host": "h", "protocol": "msgpack_experimental_v7", "path": "a b"}, "none of a URL"),
            ({"buildmaster_host": "h", "protocol": "msgpack_experimental_v7", "slavename": "a:b"}, "no colon"),
            ({"buildmaster_host": "h", "protocol": "msgpack"}, "write 'pb', or 'msgpack_experimental_v7'"),
        ):
            with self.assertRaisesRegex(ValueError, told):
                options: dict[str, Any] = {"slavename": "bot", "passwd": "x", "basedir": str(self.top / "bad"), **given}
                BuildSlave(**options)
