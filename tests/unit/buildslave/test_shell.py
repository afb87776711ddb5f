"""The shell command, with real processes over a real connection."""

import os
import sys
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from buildslave.commands import process, shell
from buildslave.errors import BadArguments, OutsideBasedir, UnknownCommand

from .cases import SlaveCase

STUBBORN = "trap '' TERM INT; echo up; while :; do sleep 0.1; done"
FAMILY = "sleep 300 & echo $!; sleep 300 & echo $!; wait"


def alive(pid: int) -> bool:
    """True unless the process is gone or a zombie."""
    try:
        with open(f"/proc/{pid}/stat") as file:
            return file.read().rpartition(")")[2].split()[0] not in ("Z", "X")
    except OSError:
        return False


async def pause(seconds: float) -> None:
    await deferLater(reactor, seconds, lambda: None)


class Running(SlaveCase):
    async def test_output_and_exit_code_come_back(self) -> None:
        outcome = await self.master.run("1", "shell", command="echo out; echo err >&2; exit 3")
        log = self.master.log("1")
        self.assertEqual((outcome["rc"], outcome["reason"], outcome["signal"]), (3, None, None))
        self.assertEqual((log.text("stdout"), log.text("stderr")), (b"out\n", b"err\n"))
        self.assertIn(b"exit code 3", log.text("header"))
        self.assertTrue(self.slave.commands.idle)

    async def test_a_short_command_takes_one_call_of_output(self) -> None:
        await self.master.run("1", "shell", command=["true"])
        self.assertEqual(len(self.master.calls), 1)

    async def test_the_header_tells_what_is_run_where(self) -> None:
        await self.master.run("1", "shell", command=["echo", ("obfuscated", "s3c", "XXX")], env={"FOO": "bar"})
        header = self.master.log("1").text("header")
        self.assertIn(b"echo XXX\n in dir " + os.fsencode(self.basedir / "builder"), header)
        self.assertIn(b"  FOO=bar\n", header)
        self.assertIn(b"using PTY: False", header)
        self.assertNotIn(b"s3c", header)

    async def test_the_environment_is_not_shown_if_unwanted(self) -> None:
        await self.master.run("1", "shell", command=["true"], env={"FOO": "bar"}, logEnviron=False)
        self.assertNotIn(b"FOO", self.master.log("1").text("header"))

    async def test_workdir_is_made_and_used_and_env_is_set(self) -> None:
        await self.master.run("1", "shell", command="pwd; echo $FOO", workdir="build/deep", env={"FOO": ["a", "b"]})
        expected = f"{os.path.realpath(self.basedir)}/builder/build/deep\na:b\n".encode()
        self.assertEqual(self.master.log("1").text("stdout"), expected)

    async def test_streams_that_are_not_wanted_are_left_out(self) -> None:
        await self.master.run("1", "shell", command="echo out; echo err >&2", want_stdout=False, want_stderr=0)
        self.assertEqual({stream for stream, _ in self.master.log("1").pieces}, {"header"})

    async def test_initial_input_is_given_and_ended(self) -> None:
        text = "line\n" * 100_000
        await self.master.run("1", "shell", command=["cat"], initialStdin=text)
        self.assertEqual(self.master.log("1").text("stdout"), text.encode())

    async def test_input_that_nobody_reads_does_no_harm(self) -> None:
        outcome = await self.master.run("1", "shell", command=["true"], initialStdin="x" * 600_000)
        self.assertEqual(outcome["rc"], 0)

    async def test_without_input_a_reader_sees_the_end(self) -> None:
        self.assertEqual((await self.master.run("1", "shell", command=["cat"]))["rc"], 0)

    async def test_a_program_that_is_not_there_or_is_none_fails_by_itself(self) -> None:
        for command, rc in ((["/no/such/program"], 127), (["/etc/passwd"], 126), (["/bin"], 126)):
            outcome = await self.master.run(command[0], "shell", command=command)
            self.assertEqual((outcome["rc"], outcome["error"]), (rc, None))
            self.assertIn(command[0].encode(), self.master.log(command[0]).text("header").splitlines()[-1])

    async def test_a_program_that_cannot_be_started_for_another_reason_is_an_error(self) -> None:
        outcome = await self.master.run("1", "shell", command=["true", *["x" * 100_000] * 40])
        self.assertEqual(outcome["rc"], 126)
        self.assertIn("too long", outcome["error"])

    async def test_a_process_killed_by_somebody_says_so(self) -> None:
        outcome = await self.master.run("1", "shell", command="kill -9 $$")
        self.assertEqual((outcome["rc"], outcome["signal"], outcome["reason"]), (-1, 9, None))

    async def test_a_terminal_is_one(self) -> None:
        outcome = await self.master.run(
            "1", "shell", command="tty && test -t 0 -a -t 1 -a -t 2 && : < /dev/tty && echo yes", usePTY=True
        )
        self.assertEqual(outcome["rc"], 0)
        self.assertIn(b"yes\r\n", self.master.log("1").text("stdout"))

    async def test_a_terminal_can_be_read_and_ends(self) -> None:
        outcome = await self.master.run("1", "shell", command=["cat"], usePTY=True, initialStdin="hello\n")
        self.assertEqual(outcome["rc"], 0)
        self.assertIn(b"hello\r\n", self.master.log("1").text("stdout"))

    async def test_without_terminal_there_is_none(self) -> None:
        self.assertEqual((await self.master.run("1", "shell", command="test -t 1"))["rc"], 1)

    async def test_a_grandchild_that_keeps_the_pipe_does_not_hold_the_command(self) -> None:
        self.patch(process, "DRAIN_SILENCE_SECONDS", 0.5)
        await self.master.order("1", "shell", command="sleep 60 & echo $!")
        outcome = await self.master.ended("1")
        self.addCleanup(os.kill, int(self.master.log("1").text("stdout")), 9)
        self.assertEqual(outcome["rc"], 0)
        self.assertLess(outcome["elapsed"], 15)
        self.assertIn(b"keeps its output open", self.master.log("1").text("header"))

    async def test_bytes_of_every_kind_come_unchanged(self) -> None:
        program = "import os,sys; sys.stdout.buffer.write(bytes(range(256)) * 4000)"
        await self.master.run("1", "shell", command=[sys.executable, "-c", program])
        self.assertEqual(self.master.log("1").text("stdout"), bytes(range(256)) * 4000)


class Refusing(SlaveCase):
    async def refused(self, kind: type[Exception], name: str, builddir: str = "builder", **args: Any) -> None:
        order = {"id": "1", "name": name, "builddir": builddir, "args": args, "held": 0}
        try:
            await self.master.call("order", order)
        except Exception as error:
            self.assertIn(kind.__name__, str(error.remoteType))  # type: ignore[attr-defined]
        else:
            self.fail(f"{name} {args} was accepted")
        self.assertTrue(self.slave.commands.idle)

    async def test_what_makes_no_sense_is_refused_before_anything_runs(self) -> None:
        await self.refused(UnknownCommand, "svn")
        await self.refused(BadArguments, "shell")
        await self.refused(BadArguments, "shell", command=["true"], interruptSignal="NONSENSE")
        await self.refused(BadArguments, "shell", command=["true"], timeout="soon")
        await self.refused(BadArguments, "shell", command=["true"], logfiles={"x": 3})
        await self.refused(OutsideBasedir, "shell", command=["true"], workdir="../../x")
        await self.refused(OutsideBasedir, "shell", command=["true"], logfiles={"x": "../../../x"})
        await self.refused(OutsideBasedir, "shell", builddir="../x", command=["true"])
        await self.refused(OutsideBasedir, "mkdir", dir="../../x")
        await self.refused(OutsideBasedir, "rmdir", dir="..")
        await self.refused(OutsideBasedir, "uploadFile", slavesrc="/etc/passwd")

    async def test_an_absolute_workdir_is_the_masters_business(self) -> None:
        await self.master.run("1", "shell", command=["pwd"], workdir=str(self.basedir.parent))
        self.assertEqual(os.path.realpath(self.master.log("1").text("stdout").strip().decode()),
                         os.path.realpath(self.basedir.parent))  # fmt: skip

    async def test_the_same_order_again_starts_nothing(self) -> None:
        await self.master.order("1", "shell", command="echo x >> count; sleep 0.3")
        await self.master.order("1", "shell", command="echo x >> count; sleep 0.3")
        await self.master.ended("1")
        self.assertEqual((self.basedir / "builder" / "count").read_text(), "x\n")


class Ending(SlaveCase):
    async def members(self, count: int) -> list[int]:
        log = self.master.log("1")
        await self.master.until(lambda: log.text("stdout").count(b"\n") >= count)
        return [int(word) for word in log.text("stdout").split()]

    async def test_interrupt_ends_the_whole_group(self) -> None:
        await self.master.order("1", "shell", command=FAMILY)
        pids = await self.members(2)
        self.assertTrue(all(map(alive, pids)))
        await self.master.call("interrupt", "1", "stop it")
        outcome = await self.master.ended("1")
        self.assertEqual((outcome["rc"], outcome["reason"], outcome["signal"]), (-1, "interrupted", 9))
        await self.master.until(lambda: not any(map(alive, pids)))
        self.assertIn(b"stop it", self.master.log("1").text("header"))

    async def test_members_that_let_go_of_the_pipe_are_ended_too(self) -> None:
        command = "(trap '' TERM; exec sleep 300 >/dev/null 2>&1) & echo $!; exec sleep 300"
        await self.master.order("1", "shell", command=command, sigtermTime=5)
        pids = await self.members(1)
        await pause(0.3)
        await self.master.call("interrupt", "1", "")
        await self.master.ended("1")
        await self.master.until(lambda: not any(map(alive, pids)))

    async def test_sigterm_comes_first_when_asked_for(self) -> None:
        await self.master.order(
            "1", "shell", command="trap 'echo bye; exit 7' TERM; echo up; while :; do sleep 0.1; done", sigtermTime=10
        )
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        await self.master.call("interrupt", "1", "")
        outcome = await self.master.ended("1", 8)
        self.assertEqual((outcome["rc"], outcome["reason"]), (-1, "interrupted"))
        self.assertIn(b"bye", self.master.log("1").text("stdout"))

    async def test_who_ignores_sigterm_is_killed(self) -> None:
        await self.master.order("1", "shell", command=STUBBORN, sigtermTime=0.3)
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        await self.master.call("interrupt", "1", "")
        outcome = await self.master.ended("1")
        self.assertEqual((outcome["rc"], outcome["signal"]), (-1, 9))

    async def test_another_signal_can_be_chosen(self) -> None:
        command = "trap 'exit 5' USR1; echo up; while :; do sleep 0.1; done"
        await self.master.order("1", "shell", command=command, interruptSignal="USR1")
        await self.master.until(lambda: self.master.log("1").text("stdout"))
        await self.master.call("interrupt", "1", "")
        self.assertEqual((await self.master.ended("1"))["rc"], -1)
        self.assertIn(b"exit code 5", self.master.log("1").text("header"))

    async def test_a_silent_command_is_ended(self) -> None:
        outcome = await self.master.run("1", "shell", command="echo x; sleep 300", timeout=0.5)
        self.assertEqual((outcome["rc"], outcome["reason"]), (-1, "timeout_without_output"))

    async def test_a_talking_command_is_not_silent(self) -> None:
        outcome = await self.master.run(
            "1", "shell", command="for i in 1 2 3 4 5; do echo $i; sleep 0.3; done", timeout=1.2
        )
        self.assertEqual((outcome["rc"], outcome["reason"]), (0, None))

    async def test_a_long_command_is_ended(self) -> None:
        outcome = await self.master.run("1", "shell", command="while :; do echo x; sleep 0.1; done", maxTime=0.5)
        self.assertEqual((outcome["rc"], outcome["reason"]), (-1, "timeout"))

    async def test_too_many_lines_end_it(self) -> None:
        outcome = await self.master.run("1", "shell", command=["yes"], maxLines=1000)
        self.assertEqual((outcome["rc"], outcome["reason"]), (-1, "max_lines_failure"))

    async def test_interrupting_what_is_over_or_unknown_does_nothing(self) -> None:
        await self.master.run("1", "shell", command=["true"])
        await self.master.call("interrupt", "1", "late")
        await self.master.call("interrupt", "never", "was")
        self.assertEqual(self.master.outcomes["1"]["rc"], 0)

    async def test_a_stopping_slave_leaves_no_process(self) -> None:
        await self.master.order("1", "shell", command=FAMILY)
        pids = await self.members(2)
        await self.slave.stopService()
        await self.master.until(lambda: not any(map(alive, pids)))


class Following(SlaveCase):
    """The files are looked at five times as often as usual, so that a test takes a fifth of the time."""

    def setUp(self) -> Any:
        self.patch(shell, "FOLLOW_SECONDS", 0.2)
        return super().setUp()

    async def followed(self, command: str, **given: Any) -> bytes:
        files = given or {"x": "x.log"}
        await self.master.run("1", "shell", command=command, logfiles=files)
        return self.master.log("1").text("log:x")

    def old(self, text: str) -> None:
        (self.basedir / "builder").mkdir()
        (self.basedir / "builder" / "x.log").write_text(text)

    async def test_a_file_made_late_is_read_to_its_end(self) -> None:
        self.assertEqual(await self.followed("sleep 0.5; echo a > x.log; sleep 0.5; echo b >> x.log"), b"a\nb\n")

    async def test_it_is_read_while_the_command_runs(self) -> None:
        await self.master.order("1", "shell", command="echo a > x.log; sleep 300", logfiles={"x": "x.log"})
        await self.master.until(lambda: self.master.log("1").text("log:x") == b"a\n")
        self.assertNotIn("1", self.master.outcomes)

    async def test_an_untouched_old_file_is_not_of_this_command(self) -> None:
        self.old("old\n")
        self.assertEqual(await self.followed("true"), b"")

    async def test_an_old_file_that_changes_is_read_whole_or_only_the_new(self) -> None:
        self.old("old\n")
        self.assertEqual(await self.followed("echo new >> x.log"), b"old\nnew\n")
        await self.master.run(
            "2", "shell", command="echo newer >> x.log", logfiles={"x": {"filename": "x.log", "follow": True}}
        )
        self.assertEqual(self.master.log("2").text("log:x"), b"newer\n")

    async def test_a_replaced_file_is_read_after_the_first(self) -> None:
        command = "echo a > x.log; sleep 0.5; echo b >> x.log; mv x.log x.1; echo c > x.log; sleep 0.5"
        self.assertEqual(await self.followed(command), b"a\nb\nc\n")

    async def test_a_cut_file_is_read_from_its_beginning(self) -> None:
        self.assertEqual(
            await self.followed("echo aaaaaa > x.log; sleep 0.5; echo b > x.log; sleep 0.5"), b"aaaaaa\nb\n"
        )

    async def test_a_big_file_comes_whole(self) -> None:
        text = await self.followed("seq 1 500000 > x.log")
        self.assertEqual(text, b"".join(b"%d\n" % number for number in range(1, 500001)))

    async def test_growing_file_is_no_silence(self) -> None:
        outcome = await self.master.run(
            "1", "shell", command="for i in 1 2 3 4 5 6 7; do echo $i >> x.log; sleep 0.25; done",
            logfiles={"x": "x.log"}, timeout=1.2,
        )  # fmt: skip
        self.assertEqual(outcome["rc"], 0)

    async def test_a_fifo_is_no_log_file(self) -> None:
        self.assertEqual(await self.followed("mkfifo x.log; sleep 1.2"), b"")
