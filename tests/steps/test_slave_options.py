"""The options of `buildslave create-slave`, with real slaves in processes of their own where they have an effect; and
buildbot.tac files of every era as they are.
"""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from tests.processes import Process, Processes
from tests.unit.buildslave.cases import temporary_directory
from tests.unit.buildslave.fake_master import FakeMaster


class OptionsCase(TestCase):
    """`self.start(options...)` makes a slave, starts it and waits until it has logged in to `self.master`."""

    timeout = 60

    def setUp(self) -> None:
        self.top = temporary_directory(self)
        self.basedir = self.top / "slave"
        self.processes = Processes(self.top / "processes")
        self.master = FakeMaster()
        self.master.listen()

    def tearDown(self) -> Any:
        return Deferred.fromCoroutine(self._tear_down())

    async def _tear_down(self) -> None:
        self.processes.stop_all()
        await self.master.until(lambda: self.master.avatar is None)
        await self.master.close()

    def buildslave(self, *words: str | Path) -> Process:
        return self.processes.python("-m", "buildslave", *words)

    def create(self, *options: str) -> str:
        done = self.buildslave("create-slave", *options, self.basedir, f"127.0.0.1:{self.master.port}", "bot", "secret")
        self.assertEqual(done.wait_for_exit(), 0, done.output())
        return done.output()

    async def run_it(self) -> Process:
        logins = self.master.logins
        process = self.buildslave("start", "--nodaemon", self.basedir)
        await self.master.until(lambda: self.master.logins > logins)
        await self.master.until(lambda: self.master.attached is not None)
        await self.master.call("print", "ready?")
        return process

    async def start(self, *options: str) -> Process:
        self.create(*options)
        return await self.run_it()

    async def output(self, command: str, id: str = "1") -> str:
        await self.master.run(id, "shell", command=command)
        return self.master.log(id).text("stdout").decode()

    def log(self) -> str:
        return (self.basedir / "twistd.log").read_text()


class Options(OptionsCase):
    async def test_what_commands_see(self) -> None:
        await self.start("--usepty=1", "--umask=027", "--numcpus=7", "--quiet")
        said = await self.output("touch made; mkdir in; umask")
        self.assertEqual(said, "0027\r\n")
        modes = [stat.S_IMODE((self.basedir / "builder" / name).stat().st_mode) for name in ("made", "in")]
        self.assertEqual(modes, [0o640, 0o750])
        info = await self.master.call("getSlaveInfo")
        self.assertEqual(info["numcpus"], 7)
        self.assertIn(b"using PTY: True", self.master.log("1").text("header"))

    async def test_without_options(self) -> None:
        await self.start()
        await self.output("test -t 1")
        self.assertEqual(self.master.outcomes["1"]["rc"], 1)
        info = await self.master.call("getSlaveInfo")
        self.assertEqual((info["numcpus"], info["delete_leftover_dirs"]), (os.cpu_count(), False))
        (self.basedir / "former").mkdir()
        await self.master.call("setBuilderList", [("a", "a")])
        self.assertTrue((self.basedir / "former").exists())

    async def test_a_sign_of_life_each_second(self) -> None:
        await self.start("--keepalive=1")
        await self.master.until(lambda: self.master.keepalives >= 1, 20)

    async def test_pauses_are_no_longer_than_maxdelay(self) -> None:
        process = await self.start("--maxdelay=1")
        port = self.master.port
        await self.master.close()
        await self.master.until(lambda: self.log().count("no connection to the master") >= 3)
        self.assertNotIn("trying again in 2 s", self.log())
        self.master.port = port
        logins = self.master.logins
        self.master.listen()
        await self.master.until(lambda: self.master.logins > logins)
        self.assertTrue(process.running)

    async def test_it_gives_up_after_maxretries(self) -> None:
        process = await self.start("--maxdelay=1", "--maxretries=1")
        await self.master.close()
        await self.master.until(lambda: not process.running)
        self.assertEqual(process.wait_for_exit(), 4)
        self.assertIn("no login after 2 attempts: giving up", self.log())

    async def test_small_logs_are_rotated_and_few_are_kept(self) -> None:
        await self.start("--log-size=1000", "--log-count=2")
        for number in range(60):
            await self.master.call("print", f"line {number} " + "x" * 100)
        logs = sorted(path.name for path in self.basedir.glob("twistd.log*"))
        self.assertEqual(logs, ["twistd.log", "twistd.log.1", "twistd.log.2"])
        self.assertLess((self.basedir / "twistd.log.1").stat().st_size, 1300)

    async def test_without_rotation_another_program_may_cut_the_log(self) -> None:
        await self.start("--no-logrotate", "--log-size=1000")
        for number in range(30):
            await self.master.call("print", f"line {number} " + "x" * 100)
        self.assertEqual([path.name for path in self.basedir.glob("twistd.log*")], ["twistd.log"])
        self.assertIn("line 0 ", self.log())
        os.truncate(self.basedir / "twistd.log", 0)
        await self.master.call("print", "after")
        self.assertEqual(self.log().count("\n"), 1)
        self.assertNotIn("\0", self.log())

    async def test_leftover_directories_are_removed(self) -> None:
        await self.start("--delete-leftover-dirs")
        (self.basedir / "former" / "deep").mkdir(parents=True)
        await self.master.call("setBuilderList", [("a", "a")])
        await self.master.until(lambda: not (self.basedir / "former").exists())
        self.assertTrue((self.basedir / "a").is_dir() and (self.basedir / "info").is_dir())

    async def test_a_relocatable_one_is_moved(self) -> None:
        self.create("--relocatable")
        moved = self.top / "else where"
        shutil.move(self.basedir, moved)
        self.basedir = moved
        await self.run_it()
        self.assertEqual(await self.output("pwd"), f"{os.path.realpath(moved)}/builder\n")
        self.assertIn("logged in to the master", self.log())

    async def test_a_signal_asks_for_retirement(self) -> None:
        process = await self.start("--allow-shutdown=signal")
        process.kill(1)
        await self.master.until(lambda: self.master.shutdown_requests == 1)
        await self.master.call("shutdown")
        await self.master.until(lambda: not process.running)
        self.assertEqual(process.wait_for_exit(), 0)

    async def test_a_touched_file_asks_for_retirement(self) -> None:
        await self.start("--allow-shutdown=file")
        (self.basedir / "shutdown.stamp").touch()
        await self.master.until(lambda: self.master.shutdown_requests == 1)  # it is looked at every ten seconds

    async def test_a_connection_string_is_used_instead_of_the_host(self) -> None:
        self.create(f"--connection-string=tcp:127.0.0.1:{self.master.port}")
        tac = self.basedir / "buildbot.tac"
        tac.write_text(tac.read_text().replace("'127.0.0.1'", "'nowhere.invalid'"))
        await self.run_it()

    def test_force_and_quiet(self) -> None:
        self.assertIn("the slave is configured", self.create())
        self.assertIn("is kept; compare it with", self.create("--keepalive=5"))
        self.assertNotIn("keepalive = 5 ", (self.basedir / "buildbot.tac").read_text())
        self.assertEqual(self.create("--keepalive=5", "--force", "-q"), "")
        self.assertIn("keepalive = 5 ", (self.basedir / "buildbot.tac").read_text())

    def test_refusals_say_what_to_do(self) -> None:
        where = (self.basedir, "h:1", "bot", "pw")
        for options, told in (
            (["--protocol=msgpack"], "does not speak 'msgpack': write 'pb', or 'msgpack_experimental_v7'"),
            (["--connection-string=tcp:h:1", "--proxy-connection-string=tcp:p:1"], "exclude each other"),
            (["--use-tls", "--connection-string=tcp:h:1"], "write --connection-string=tls:HOST:PORT"),
            (["--maxdelay=0"], "must be at least 1"),
        ):
            refused = self.buildslave("create-slave", *options, *where)
            self.assertEqual(refused.wait_for_exit(), 2)
            self.assertIn(told, refused.output())
        self.assertFalse(self.basedir.exists())


TAC_07 = """
from twisted.application import service
from buildbot.slave.bot import BuildSlave

# set your basedir appropriately
basedir = r'{basedir}'
buildmaster_host = '127.0.0.1'
port = {port}
slavename = 'bot'
passwd = 'secret'
keepalive = 600
usepty = 1
umask = 022

application = service.Application('buildslave')
s = BuildSlave(buildmaster_host, port, slavename, passwd, basedir,
               keepalive, usepty, umask=umask)
s.setServiceParent(application)
"""
TAC_08 = """
import os

from buildslave.bot import BuildSlave
from twisted.application import service

basedir = '.'
rotateLength = 10000000
maxRotatedFiles = 10

# if this is a relocatable tac file, get the directory containing the TAC
if basedir == '.':
    import os.path
    basedir = os.path.abspath(os.path.dirname(__file__))

# note: this line is matched against to check that this is a buildslave
# directory; do not edit it.
application = service.Application('buildslave')

try:
  from twisted.python.logfile import LogFile
  from twisted.python.log import ILogObserver, FileLogObserver
  logfile = LogFile.fromFullPath(os.path.join(basedir, "twistd.log"), rotateLength=rotateLength,
                                 maxRotatedFiles=maxRotatedFiles)
  application.setComponent(ILogObserver, FileLogObserver(logfile).emit)
except ImportError:
  # probably not yet twisted 8.2.0 and beyond, can't set log yet
  pass

buildmaster_host = '127.0.0.1'
port = {port}
slavename = 'bot'
passwd = 'secret'
keepalive = 600
usepty = 0
umask = None
maxdelay = 300
allow_shutdown = None

s = BuildSlave(buildmaster_host, port, slavename, passwd, basedir,
               keepalive, usepty, umask=umask, maxdelay=maxdelay,
               allow_shutdown=allow_shutdown)
s.setServiceParent(application)
"""
TAC_43 = """
import os

from buildbot_worker.bot import Worker
from twisted.application import service
from twisted.python.log import ILogObserver, FileLogObserver
from twisted.python.logfile import LogFile

basedir = r'{basedir}'
rotateLength = 10000000
maxRotatedFiles = 10

application = service.Application('buildbot-worker')
logfile = LogFile.fromFullPath(os.path.join(basedir, "twistd.log"), rotateLength=rotateLength,
                               maxRotatedFiles=maxRotatedFiles)
application.setComponent(ILogObserver, FileLogObserver(logfile).emit)

buildmaster_host = {host}
port = {port43}
connection_string = {string}
workername = 'bot'
passwd = 'secret'
keepalive = 600
umask = None
maxdelay = 300
numcpus = None
allow_shutdown = None
maxretries = None
use_tls = 0
delete_leftover_dirs = 0
proxy_connection_string = None
protocol = 'pb'

s = Worker(buildmaster_host, port, workername, passwd, basedir,
           keepalive, umask=umask, maxdelay=maxdelay,
           numcpus=numcpus, allow_shutdown=allow_shutdown,
           maxRetries=maxretries, protocol=protocol, useTls=use_tls,
           delete_leftover_dirs=delete_leftover_dirs,
           connection_string=connection_string,
           proxy_connection_string=proxy_connection_string)
s.setServiceParent(application)
"""


class Eras(OptionsCase):
    """A tac runs as it is, without `upgrade-slave`."""

    async def runs(self, tac: str, **values: Any) -> str:
        self.basedir.mkdir()
        text = tac.format(basedir=self.basedir, port=self.master.port, **values)
        (self.basedir / "buildbot.tac").write_text(text)
        await self.run_it()
        said = await self.output("umask; test -t 1 && echo terminal")
        self.assertEqual((self.basedir / "buildbot.tac").read_text(), text)
        return said.replace("\r", "")

    async def test_0_7(self) -> None:
        self.assertEqual(await self.runs(TAC_07), "0022\nterminal\n")

    async def test_0_8(self) -> None:
        self.assertNotIn("terminal", await self.runs(TAC_08))

    async def test_4_3(self) -> None:
        port = self.master.port
        self.assertNotIn("terminal", await self.runs(TAC_43, host="'127.0.0.1'", port43=port, string=None))

    async def test_4_3_with_a_connection_string(self) -> None:
        string = repr(f"tcp:127.0.0.1:{self.master.port}")
        self.assertNotIn("terminal", await self.runs(TAC_43, host=None, port43=None, string=string))
