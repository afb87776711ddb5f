"""Slaves that people already run, unchanged, over Perspective Broker: each era with its real program on its Python."""

from __future__ import annotations

import io
import tarfile
from typing import ClassVar

from twisted.internet.defer import gatherResults

from buildbot.model import Result
from buildbot.process.buildstep import BuildStep
from buildbot.process.remotecommand import RemoteShellCommand
from buildbot.steps.shell import SetPropertyFromCommand, ShellCommand
from buildbot.steps.source.git import Git
from buildbot.steps.transfer import MultipleFileUpload
from buildbot.steps.worker import CopyDirectory, FileExists, MakeDirectory, RemoveDirectory
from tests.dialects.cases import SLAVE_TAC, Content, make_repository
from tests.dialects.catalogue.case import Here
from tests.dialects.catalogue.files import there_and_back
from tests.rig import Source


class AtOnce(BuildStep):
    """The first command ends when the second has run."""

    async def run(self) -> int:
        scripts = ("while [ ! -e go ]; do sleep .05; done; echo first", "touch go; echo second")
        given = [RemoteShellCommand("build", ["sh", "-c", script]) for script in scripts]
        await gatherResults([self.runCommand(command) for command in given], consumeErrors=True)
        return max(command.results() for command in given)


class Dialect(Here):
    """What every era can do, with one process of the slave."""

    version: ClassVar[str]
    greeting: ClassVar[str] = "héllo"
    basedir: ClassVar[bool | None] = True  # whether it says where it is
    tries_once: ClassVar[bool] = True  # a part of a file that the master does not take ends the upload

    async def test_steps_and_commands(self) -> None:
        await self.connect()
        await self._introduction()
        await self._programs()
        await self._limits()
        await self._files()
        await self._transfers()
        await self._catalogue()
        await self._at_once()
        await self._source()
        await self._interrupt()

    async def _introduction(self) -> None:
        session = self.rig.sessions.here["bot"]
        self.assertEqual(session.details["version"], self.version or session.details["version"])
        self.assertEqual(session.details["admin"], "Ann <ann@example.org>\n")
        self.assertEqual(session.details.get("basedir"), self.basedir and str(self.rig.base / "bot"))
        self.assertIsNotNone(session.command_version("shell"))
        self.assertIsNone(session.command_version("juggle"))

    async def _programs(self) -> None:
        script = (
            'echo out; echo err >&2; printf \'caf\\303\\251 %s\\n\' "$GREETING"; [ -z "${HOME+x}" ] && echo homeless; '
            "cat; echo one > followed.log; sleep .1; echo two >> followed.log; exit 3"
        )
        built = await self.run_steps(
            ShellCommand(
                name="it",
                command=["sh", "-c", [script]],
                env={"GREETING": self.greeting, "HOME": None},
                logfiles={"followed": "followed.log"},
                initialStdin="from stdin\n",
                decodeRC={3: 0},
            ),
            ShellCommand(name="string", command="echo $((6*7)) && pwd", workdir="deep/er"),
            SetPropertyFromCommand(name="property", property="answer", command=["echo", "42"]),
            ShellCommand(name="fails", command=["sh", "-c", "exit 5"]),
            ShellCommand(name="hides", command=["echo", ("obfuscated", "s3cret", "XXXX")]),
            ShellCommand(name="missing", command=["/no/such/program"]),
        )
        for text in ("out\n", "err\n", f"café {self.greeting}\n", "homeless\n", "from stdin\n"):
            self.assertIn(text, built.text("it"))
        self.assertEqual(built.text("it", "followed"), "one\ntwo\n")
        self.assertEqual(built.text("string"), f"42\n{self.there / 'deep' / 'er'}\n")
        self.assertEqual(built.properties["answer"], "42")
        self.assertEqual(built.text("hides"), "s3cret\n")
        self.assertNotIn("s3cret", built.everything("hides").replace("s3cret\n", "", 1))
        (fails,) = built.commands("fails")
        self.assertEqual((fails.outcome["rc"], fails.outcome["reason"], fails.outcome["error"]), (5, None, None))
        results = {name: result.name for name, result in built.results.items() if result is not None}
        self.assertEqual(results.pop("missing"), "FAILURE")
        self.assertEqual(results.pop("fails"), "FAILURE")
        self.assertEqual(set(results.values()), {"SUCCESS"})

    async def _limits(self) -> None:
        built = await self.run_steps(
            ShellCommand(name="silent", command=["sleep", "60"], timeout=1),
            ShellCommand(name="long", command=["sh", "-c", "while :; do echo x; sleep .2; done"], maxTime=1),
            ShellCommand(name="lines", command=["sh", "-c", "seq 500; sleep 60"], max_lines=100),
        )
        for step, reason in (
            ("silent", "timeout_without_output"),
            ("long", "timeout"),
            ("lines", "max_lines_failure"),
        ):
            (command,) = built.commands(step)
            self.assertEqual((command.outcome["reason"], command.outcome["rc"]), (reason, -1))
            self.assertIs(built.results[step], Result.FAILURE)

    async def _files(self) -> None:
        wanted = [
            ("mkdir", {"dir": ["one", "two/deep", "two/a/b/deep"]}),
            ("cpdir", {"fromdir": "two", "todir": "copy"}),
            ("stat", {"file": "deep", "workdir": "copy"}),
            ("stat", {"file": "none"}),
            ("listdir", {"dir": "."}),
            ("glob", {"path": "*o*"}),
            ("glob", {"path": "**/deep"}),
            ("rmdir", {"dir": ["one", "two"], "timeout": 60}),
            ("rmdir", {"dir": "never was"}),
            ("listdir", {"dir": ".", "workdir": "copy"}),
        ]
        (self.there / "a file").write_text("x")
        made, copied, found, absent, listed, globbed, deep, removed, never, left = await self.outcomes(*wanted)
        for outcome in (made, copied, found, listed, globbed, deep, removed, never, left):
            self.assertEqual((outcome["state"], outcome["rc"], outcome["error"]), ("finished", 0, None))
        self.assertEqual(len(found["result"]), 10)
        self.assertEqual(absent["rc"], 2)
        self.assertLessEqual({"a file", "one", "two", "copy"}, set(listed["result"]))
        self.assertEqual(listed["result"], sorted(listed["result"]))
        self.assertEqual(globbed["result"], sorted(globbed["result"]))
        self.assertIn(str(self.there / "copy"), globbed["result"])
        for name in ("two", "two/a/b", "copy", "copy/a/b"):
            self.assertIn(str(self.there / name / "deep"), deep["result"])
        self.assertEqual(left["result"], ["a", "deep"])
        self.assertFalse((self.there / "one").exists() or (self.there / "two").exists())
        one = ("rmfile", {"path": "a file"})
        gone, again, directory = await self.outcomes(one, one, ("rmfile", {"path": "copy"}))
        self.assertEqual((gone["rc"], again["rc"]), (0, 2))
        self.assertNotEqual(directory["rc"], 0)
        self.assertTrue((self.there / "copy").is_dir())
        (refused,) = await self.outcomes(("juggle", {}))
        self.assertRegex(
            refused["error"], r"slave bot \((buildslave|buildbot-worker) [0-9.a]+\) does not know the command 'juggle'"
        )

    async def _transfers(self) -> None:
        content = bytes(range(256)) * 600
        (self.there / "build").mkdir(parents=True, exist_ok=True)
        (self.there / "build" / "sent").write_bytes(content)
        taken = Content()
        args = {"workdir": "build", "slavesrc": "sent", "maxsize": None, "blocksize": 32768, "keepstamp": True}
        (sent,) = await self.outcomes(("uploadFile", args), files=taken)
        self.assertEqual((sent["rc"], sent["result"]["size"]), (0, len(content)))
        self.assertAlmostEqual(sent["result"]["mtime"], (self.there / "build" / "sent").stat().st_mtime, 1)
        self.assertEqual(taken.content, content)
        (cut,) = await self.outcomes(("uploadFile", {**args, "maxsize": 1000}), files=taken)
        self.assertEqual((cut["rc"], cut["result"]["size"]), (1, 1000))
        (absent,) = await self.outcomes(("uploadFile", {**args, "slavesrc": "none"}), files=taken)
        self.assertNotEqual((absent["rc"], absent["error"]), (0, None))
        if self.tries_once:
            (unwanted,) = await self.outcomes(("uploadFile", args))
            self.assertIn("sends a file, but nothing takes it", unwanted["error"])

        (self.there / "build" / "tree" / "deep").mkdir(parents=True)
        (self.there / "build" / "tree" / "deep" / "leaf").write_bytes(content)
        for compress in (None, "bz2", "gz"):
            args = {"workdir": "build", "slavesrc": "tree", "maxsize": None, "blocksize": 16384, "compress": compress}
            (sent,) = await self.outcomes(("uploadDirectory", args), files=(taken := Content()))
            self.assertEqual((sent["rc"], sent["result"]["size"]), (0, len(taken.content)))
            with tarfile.open(fileobj=io.BytesIO(taken.content)) as tar:
                leaf = tar.extractfile("deep/leaf")
                self.assertEqual(leaf and leaf.read(), content)

        args = {"workdir": "build", "slavedest": "new/fetched", "maxsize": None, "blocksize": 32768, "mode": 0o640}
        (fetched,) = await self.outcomes(("downloadFile", args), files=Content(content))
        self.assertEqual((fetched["rc"], fetched["result"]), (0, {"size": len(content)}))
        self.assertEqual((self.there / "build" / "new" / "fetched").read_bytes(), content)
        self.assertEqual((self.there / "build" / "new" / "fetched").stat().st_mode & 0o777, 0o640)

    async def _catalogue(self) -> None:
        """Steps that every one of them can do; the others are in the table."""
        self.begin()
        await there_and_back.run(self)

    async def _at_once(self) -> None:
        """A slave runs one command at a time for a builder; a step may want more."""
        built = await self.run_steps(AtOnce(name="both"))
        self.assertIs(built.result, Result.SUCCESS)
        self.assertEqual(sorted(built.text("both").split()), ["first", "second"])

    async def _source(self) -> None:
        repository = make_repository(self.rig.base / f"repository-{self.id()}")
        for wanted in ("incremental", "full"):
            built = await self.run_steps(Git(repourl=str(repository), mode=wanted, name="git"))
            self.assertIs(built.result, Result.SUCCESS, built.row)
            self.assertEqual((self.there / "build" / "README").read_text(), "read me\n")
        patch = b"--- README\n+++ README\n@@ -1 +1 @@\n-read me\n+read this\n"
        steps = [Git(repourl=str(repository), name="git"), ShellCommand(name="read", command=["cat", "README"])]
        built = await self.run_steps(*steps, sources=[Source(patch=(0, patch, ""))])
        self.assertEqual(built.text("read"), "read this\n", built.everything("git"))

    async def _interrupt(self) -> None:
        building = self.run_steps_later(ShellCommand(name="it", command="echo begun; sleep 60"))
        await self.rig.until_step_runs("it", "begun")
        (build,) = self.rig.running.by_id
        self.rig.control.stop_build(build, "tester", "enough")
        built = await building
        self.assertIs(built.result, Result.CANCELLED)
        (command,) = built.commands("it")
        self.assertEqual((command.outcome["reason"], command.outcome["rc"]), ("interrupted", -1))


class TestWorker43(Dialect):
    version = "4.3.0"


class TestWorker311(Dialect):
    peer_name = "worker-3.11.9"
    version = "3.11.9"


class TestWorker210(Dialect):
    peer_name = "worker-2.10.5"
    version = ""  # it says the day of its installation
    greeting = "hello"  # nothing else than ASCII comes to its programs


class TestWorker095(Dialect):
    peer_name = "worker-0.9.5"
    version = "0.9.5"


class TestSlave08(Dialect):
    peer_name = "slave-0.8.14"
    tac = SLAVE_TAC
    version = "0.8.14"


class TestSlave07(Dialect):
    """It has programs and files, and source commands of its own; it is told everything else that it lacks."""

    peer_name = "slave-0.7.12"
    tac = SLAVE_TAC.replace("buildslave.bot", "buildbot.slave.bot").replace(", maxdelay=1", "")
    version = "0.7.12"
    basedir = None

    async def test_steps_and_commands(self) -> None:
        await self.connect()
        await self._introduction()
        await self._limits()
        await self._at_once()
        (refused,) = await self.outcomes(("stat", {"file": "x"}))
        self.assertIn("slave bot (buildslave 0.7.12) does not know the command 'stat'", refused["error"])
        await self._refusals()
        content = Content(bytes(range(256)) * 600)
        args = {"workdir": "build", "maxsize": None, "blocksize": 32768}
        (fetched,) = await self.outcomes(("downloadFile", {**args, "slavedest": "file", "mode": 0o640}), files=content)
        (sent,) = await self.outcomes(("uploadFile", {**args, "slavesrc": "file"}), files=(taken := Content()))
        self.assertEqual((fetched["rc"], sent["rc"], taken.content), (0, 0, content.content))
        await self._interrupt()

    async def _refusals(self) -> None:
        """Steps that need what it lacks say so, and do nothing else."""
        refused = {
            "mkdir": MakeDirectory("build/x"),
            "cpdir": CopyDirectory("build", "copy"),
            "stat": FileExists("build/x"),
            "rmdir": RemoveDirectory("build/x"),
            "glob": MultipleFileUpload(["*"], "many", glob=True),
        }
        for command, step in refused.items():
            built = await self.run_steps(step)
            self.assertIs(built.result, Result.EXCEPTION, command)
            (told,) = built.steps
            said = "".join(built.everything(told.name) if log == "stdio" else built.text(told.name, log)
                           for log in built.logs(told.name))  # fmt: skip
            self.assertIn(f"slave bot (buildslave 0.7.12) does not know the command '{command}'", said)


class TestWorker43OverWebSocket(Dialect):
    version = "4.3.0"
    with_sockets = True
    options = "protocol='msgpack_experimental_v7'"


del Dialect, Here  # it has no slave of its own
