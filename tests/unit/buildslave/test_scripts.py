"""The `buildslave` command, as a user runs it."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildslave.scripts.pidfile import AlreadyRunning, PidFile
from buildslave.scripts.tac import upgraded_tac

from .cases import temporary_directory
from .test_shell import alive

ROOT = Path(__file__).resolve().parents[3]
TAC_079 = """\
from twisted.application import service
from buildbot.slave.bot import BuildSlave

basedir = r'%s'
buildmaster_host = 'localhost'
port = 1
slavename = 'bot'
passwd = 'secret'
keepalive = 600
usepty = 1
umask = None

application = service.Application('buildslave')
s = BuildSlave(buildmaster_host, port, slavename, passwd, basedir,
               keepalive, usepty, umask=umask)
s.setServiceParent(application)
"""


class ScriptCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = temporary_directory(self)
        self.basedir = self.top / "slave"
        self.addCleanup(self.buildslave, "stop", "-q", str(self.basedir))

    def buildslave(self, *words: str) -> subprocess.CompletedProcess[str]:
        environ = {**os.environ, "PYTHONPATH": str(ROOT)}
        return subprocess.run(
            [sys.executable, "-m", "buildslave", *words],
            capture_output=True, text=True, check=False, cwd=self.top, env=environ, timeout=60,
        )  # fmt: skip

    def ok(self, *words: str) -> str:
        done = self.buildslave(*words)
        self.assertEqual((done.returncode, done.stderr), (0, ""), done.stdout)
        return done.stdout

    def fails(self, code: int, *words: str) -> str:
        done = self.buildslave(*words)
        self.assertEqual(done.returncode, code, done.stdout + done.stderr)
        return done.stderr

    def create(self, *options: str, host: str = "localhost:1") -> str:
        self.ok("create-slave", *options, str(self.basedir), host, "bot", "secret")
        return (self.basedir / "buildbot.tac").read_text()

    @property
    def pid(self) -> int:
        return int((self.basedir / "twistd.pid").read_text())


class Creating(ScriptCase):
    def values(self, *options: str, host: str = "localhost:1") -> dict[str, object]:
        text = self.create(*options, host=host)
        found: dict[str, object] = {"__file__": str(self.basedir / "buildbot.tac")}
        exec(compile(text, "buildbot.tac", "exec"), found)
        return found

    def test_every_option_is_a_variable(self) -> None:
        found = self.values(
            "-k", "60", "--usepty", "1", "--umask", "022", "-m", "30", "-s", "1000", "-l", "None", "-a", "file",
            "--numcpus", "3", "--maxretries", "9", "--use-tls", "--delete-leftover-dirs",
            "--spool-size", "5000", "--orphan-grace", "60", host="[::1]:77",
        )  # fmt: skip
        expected = {
            "basedir": str(self.basedir), "buildmaster_host": "::1", "port": 77, "slavename": "bot", "passwd": "secret",
            "keepalive": 60, "usepty": True, "umask": 0o22, "maxdelay": 30, "rotateLength": 1000,
            "maxRotatedFiles": None, "allow_shutdown": "file", "numcpus": 3, "maxretries": 9, "use_tls": True,
            "delete_leftover_dirs": True, "spool_size": 5000, "orphan_grace_seconds": 60,
        }  # fmt: skip
        self.assertEqual({name: found[name] for name in expected}, expected)

    def test_a_relocatable_one_names_no_directory(self) -> None:
        text = self.create("-r")
        self.assertIn("basedir = '.'", text)
        moved = self.basedir.rename(self.top / "moved")
        self.addCleanup(self.buildslave, "stop", "-q", str(moved))
        self.ok("start", "-q", str(moved))
        self.assertTrue((moved / "twistd.log").exists())

    def test_the_password_is_private_and_info_is_to_be_filled_in(self) -> None:
        self.create()
        self.assertEqual((self.basedir / "buildbot.tac").stat().st_mode & 0o777, 0o600)
        self.assertIn("Name", (self.basedir / "info" / "admin").read_text())
        self.assertIn("description", (self.basedir / "info" / "host").read_text())

    def test_without_log_rotation_there_is_none_in_the_tac(self) -> None:
        self.assertNotIn("LogFile", self.create("--no-logrotate"))

    def test_what_exists_is_kept_unless_forced(self) -> None:
        before = self.create()
        (self.basedir / "info" / "admin").write_text("me")
        self.assertEqual(self.create("-k", "5"), before)
        self.assertIn("keepalive = 5 ", (self.basedir / "buildbot.tac.new").read_text())
        self.assertNotEqual(self.create("-f", "-k", "5"), before)
        self.assertEqual((self.basedir / "buildbot.tac.old").read_text(), before)
        self.assertEqual((self.basedir / "info" / "admin").read_text(), "me")

    def test_quiet_says_nothing(self) -> None:
        self.assertEqual(self.ok("create-slave", "-q", str(self.basedir), "h", "bot", "pw"), "")

    def test_mistakes_are_usage_errors(self) -> None:
        target = str(self.basedir)
        for words in (
            [], ["fly"], ["create-slave"], ["create-slave", target, "h:port", "bot", "pw"],
            ["create-slave", "--umask", "9", target, "h", "bot", "pw"],
            ["create-slave", "-a", "magic", target, "h", "bot", "pw"],
            ["create-slave", "--spool-size", "-1", target, "h", "bot", "pw"],
            ["create-slave", "--orphan-grace", "0", target, "h", "bot", "pw"],
            ["create-slave", "-k", "often", target, "h", "bot", "pw"],
        ):  # fmt: skip
            self.fails(2, *words)
        self.assertFalse(self.basedir.exists())


class Upgrading(ScriptCase):
    def test_an_old_tac_is_rewritten_and_then_starts(self) -> None:
        self.basedir.mkdir()
        (self.basedir / "buildbot.tac").write_text(TAC_079 % self.basedir)
        self.ok("upgrade-slave", str(self.basedir))
        self.assertEqual((self.basedir / "buildbot.tac.old").read_text(), TAC_079 % self.basedir)
        self.assertTrue((self.basedir / "info" / "admin").exists())
        self.ok("start", str(self.basedir))
        self.assertIn("needs no change", self.ok("upgrade-slave", str(self.basedir)))

    def test_a_worker_is_a_slave(self) -> None:
        self.assertEqual(
            upgraded_tac("import os\nfrom buildbot_worker.bot import Worker\n"),
            "import os\nfrom buildslave.bot import Worker\n",
        )

    def test_python_2_is_told_with_its_line(self) -> None:
        self.basedir.mkdir()
        (self.basedir / "buildbot.tac").write_text("import os\nprint 'hello'\n")
        self.assertIn("line 2", self.fails(1, "upgrade-slave", str(self.basedir)))

    def test_a_directory_without_tac_is_no_slave(self) -> None:
        self.fails(1, "upgrade-slave", str(self.top))
        self.fails(1, "start", str(self.top))


class StartingAndStopping(ScriptCase):
    def test_start_stop_restart_without_any_master(self) -> None:
        self.create()
        self.assertIn("is started", self.ok("start", str(self.basedir)))
        first = self.pid
        self.assertIn(str(first), self.fails(3, "start", str(self.basedir)))
        self.assertEqual(self.ok("restart", "-q", str(self.basedir)), "")
        self.assertNotEqual(self.pid, first)
        second = self.pid
        self.ok("stop", str(self.basedir))
        self.assertFalse((self.basedir / "twistd.pid").exists())
        self.assertFalse(alive(second))
        self.assertIn("no buildslave is running", self.ok("stop", str(self.basedir)))
        self.assertIn("buildslave", (self.basedir / "twistd.log").read_text())

    def test_a_master_is_not_started(self) -> None:
        self.basedir.mkdir()
        text = "from buildbot.master import BuildMaster\napplication = None\nm = BuildMaster('.', 'master.cfg', None)\n"
        (self.basedir / "buildbot.tac").write_text(text)
        self.assertIn("is the directory of a master: use `buildbot`", self.fails(1, "start", str(self.basedir)))

    def test_a_stale_pid_is_nobody(self) -> None:
        self.create()
        (self.basedir / "twistd.pid").write_text(f"{os.getpid()}\n")
        self.ok("stop", str(self.basedir))
        self.ok("start", str(self.basedir))
        os.kill(self.pid, signal.SIGKILL)
        self.ok("start", str(self.basedir))

    def test_nonsense_in_the_pid_file_is_nobody(self) -> None:
        self.create()
        (self.basedir / "twistd.pid").write_text("garbage")
        self.ok("start", str(self.basedir))

    def test_a_broken_tac_is_told_at_once(self) -> None:
        self.create()
        (self.basedir / "buildbot.tac").write_text("import nosuchmodule\n")
        self.assertIn("nosuchmodule", self.fails(1, "start", str(self.basedir)))
        self.assertFalse((self.basedir / "twistd.pid").exists())

    def test_a_slave_that_cannot_start_is_not_called_started(self) -> None:
        self.create()
        tac = self.basedir / "buildbot.tac"
        broken = "\ns.startService = lambda: 1 / 0\n"
        tac.write_text(tac.read_text() + broken)
        self.assertIn("ZeroDivisionError", self.fails(1, "start", str(self.basedir)))

    def test_in_the_foreground_it_logs_and_gives_up_with_its_own_code(self) -> None:
        self.create("--maxretries", "0")
        done = self.buildslave("start", "--nodaemon", str(self.basedir))
        self.assertEqual(done.returncode, 4)
        self.assertIn("no connection to the master", done.stdout)
        self.assertFalse((self.basedir / "twistd.pid").exists())

    def test_the_daemon_keeps_nothing_of_its_starter(self) -> None:
        self.create()
        self.ok("start", str(self.basedir))
        links = [os.readlink(f"/proc/{self.pid}/fd/{number}") for number in (0, 1, 2)]
        self.assertEqual(links, ["/dev/null"] * 3)
        self.assertEqual(os.getsid(self.pid), self.pid)


class PidFiles(SynchronousTestCase):
    def setUp(self) -> None:
        self.basedir = temporary_directory(self)

    def test_a_second_one_is_refused_while_the_first_lives(self) -> None:
        first, second = PidFile(self.basedir), PidFile(self.basedir)
        first.acquire()
        self.assertRaises(AlreadyRunning, second.acquire)
        self.assertEqual(second.running(), os.getpid())
        first.release()
        self.assertIsNone(second.running())
        second.acquire()
        second.release()

    def test_a_slave_started_by_twistd_counts_though_it_holds_no_lock(self) -> None:
        fake = self.basedir / "twistd"
        fake.write_text("import time\ntime.sleep(60)\n")
        process = subprocess.Popen([sys.executable, str(fake)])
        self.addCleanup(process.wait)
        self.addCleanup(process.kill)
        (self.basedir / "twistd.pid").write_text(str(process.pid))
        deadline = time.monotonic() + 5
        while PidFile(self.basedir).running() is None and time.monotonic() < deadline:
            time.sleep(0.01)
        self.assertEqual(PidFile(self.basedir).running(), process.pid)
        self.assertRaises(AlreadyRunning, PidFile(self.basedir).acquire)
