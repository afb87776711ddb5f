"""What slaves of other eras may say of a command, and how commands are spelled for them."""

from __future__ import annotations

import errno
import posixpath
from typing import Any

from twisted.internet.defer import Deferred, ensureDeferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot.model import CommandID
from buildbot.process.slaveport import CommandRefused
from buildbot.slaves.oldcommand import AGAIN_SECONDS, LONGEST_TEXT, MOST_UPDATES, OlderCommand, pairs
from buildbot.slaves.session import BadMessage, UnknownCommand
from buildbot.slaves.spelling import DEEPEST, Part, Spelling, in_octets, in_text


class Sink:
    """Keeps what it is told, once the disk takes it."""

    def __init__(self) -> None:
        self.problem: Exception | None = None
        self.pieces: list[tuple[str, bytes]] = []
        self.outcome: dict[str, Any] = {}
        self.content = b""

    def _disk(self) -> None:
        if self.problem is not None:
            raise self.problem

    def held(self) -> int:
        return 0

    def output(self, pieces: list[tuple[str, bytes]]) -> None:
        self._disk()
        self.pieces += pieces

    def finished(self, outcome: dict[str, Any]) -> None:
        self._disk()
        self.outcome = outcome

    def write(self, offset: int, data: bytes) -> int:
        self._disk()
        self.content = self.content[:offset] + data
        return len(self.content)

    def read(self, offset: int, length: int) -> bytes:
        return self.content[offset : offset + length]


class CommandCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.sink = Sink()
        self.begun: list[Part] = []
        self.interrupted: list[str] = []
        self.held: list[bool] = []
        self.over = 0

    def command(self, name: str = "shell", *parts: Part) -> OlderCommand:
        async def begin(command: OlderCommand, part: Part) -> None:
            self.begun.append(part)

        async def interrupt(command: OlderCommand, why: str) -> None:
            self.interrupted.append(why)

        def over(command: OlderCommand) -> None:
            self.over += 1

        command = OlderCommand(
            id=CommandID(1),
            name=name,
            builddir="b",
            sink=self.sink,
            parts=parts or [Part(name, {})],
            begin=begin,
            idle=lambda command: None,
            over=over,
            interrupt=interrupt,
            hold=self.held.append,
            clock=self.clock,
        )
        self.successResultOf(ensureDeferred(command.begin()))
        return command

    def tell(self, command: OlderCommand, *updates: tuple[str, Any]) -> Deferred[None]:
        return ensureDeferred(command.updates(updates))


class TestUpdates(CommandCase):
    def test_become_output_and_one_outcome(self) -> None:
        command = self.command()
        told = self.tell(
            command,
            ("header", "h\n"),
            ("stdout", "é\n"),
            ("stderr", b"e\n"),
            ("log", ("a.log", "l\n")),
            ("rc", 3),
            ("elapsed", 1.5),
        )
        self.successResultOf(told)
        self.successResultOf(ensureDeferred(command.complete(None)))
        self.assertEqual(
            self.sink.pieces,
            [("header", b"h\n"), ("stdout", "é\n".encode()), ("stderr", b"e\n"), ("log:a.log", b"l\n")],
        )
        self.assertEqual(
            self.sink.outcome,
            {"rc": 3, "elapsed": 1.5, "reason": None, "signal": None, "error": None, "result": None},
        )
        self.assertEqual(self.over, 1)
        self.failureResultOf(self.tell(command, ("stdout", "late")), UnknownCommand)

    def test_words_of_slaves_that_have_no_other_way_to_say_it(self) -> None:
        for text, reason in (
            (
                "\ncommand timed out: 1200 seconds without output running ['x'], attempting to kill\n",
                "timeout_without_output",
            ),
            ("\ncommand timed out: 5 seconds elapsed running ['x'], attempting to kill\n", "timeout"),
        ):
            command = self.command()
            self.successResultOf(self.tell(command, ("header", text), ("header", "process killed by signal 9\n")))
            self.successResultOf(ensureDeferred(command.complete(None)))
            self.assertEqual((self.sink.outcome["reason"], self.sink.outcome["signal"]), (reason, 9))

    def test_output_does_not_say_them(self) -> None:
        command = self.command()
        self.successResultOf(self.tell(command, ("stdout", "command timed out: 5 seconds elapsed\n"), ("rc", 0)))
        self.successResultOf(ensureDeferred(command.complete(None)))
        self.assertIsNone(self.sink.outcome["reason"])

    def test_lines_are_counted_for_slaves_that_cannot(self) -> None:
        command = self.command("shell", Part("shell", {}, most_lines=3))
        self.successResultOf(self.tell(command, ("stdout", "1\n2\n3\n")))
        self.assertEqual(self.interrupted, [])
        self.successResultOf(self.tell(command, ("stdout", "4\n")))
        self.successResultOf(self.tell(command, ("stdout", "5\n")))
        self.assertEqual(self.interrupted, ["it wrote 4 lines; 3 are allowed"])
        self.successResultOf(ensureDeferred(command.complete(None)))
        self.assertEqual((self.sink.outcome["reason"], self.sink.outcome["rc"]), ("max_lines_failure", -1))

    def test_what_is_hidden_stays_hidden(self) -> None:
        command = self.command("shell", Part("shell", {}, hidden={"s3cret": "XXX"}))
        self.successResultOf(self.tell(command, ("header", " argv: ['s3cret']\n")))
        self.assertEqual(self.sink.pieces, [("header", b" argv: ['XXX']\n")])

    def test_garbage_is_refused(self) -> None:
        for garbage in (
            ("stdout", 5),
            ("stdout", "x" * (4 * LONGEST_TEXT + 1)),
            ("log", "x"),
            ("log", ("", "x")),
            ("log", ("n" * 300, "x")),
            ("stat", "x"),
            ("stat", ["x"]),
            ("stat", [float("nan")]),
            ("files", [1]),
            ("files", {}),
            ("other", float("inf")),
            ("other", "x" * 100_000),
            (7, "x"),
        ):
            self.failureResultOf(self.tell(self.command(), garbage), BadMessage)
        self.failureResultOf(self.tell(self.command(), *[("rc", 0)] * (MOST_UPDATES + 1)), BadMessage)
        command = self.command()
        for _ in range(100):
            self.successResultOf(self.tell(command, ("other", 1)))
        self.failureResultOf(self.tell(command, ("other", 1)), BadMessage)
        self.assertEqual(self.sink.pieces, [])

    def test_updates_over_perspective_broker(self) -> None:
        self.assertEqual(pairs([[{b"rc": 0}, 3], [{"stdout": "x"}, 0]]), ([("rc", 0), ("stdout", "x")], 3))
        for garbage in (None, 5, [5], [[{}]], [["x", 0]], [[{}, 0]] * (MOST_UPDATES + 1)):
            self.assertRaises(BadMessage, pairs, garbage)

    def test_what_other_commands_say_is_kept_by_its_name(self) -> None:
        command = self.command("git")
        self.successResultOf(self.tell(command, ("got_revision", b"abc"), ("rc", 0)))
        self.successResultOf(ensureDeferred(command.complete(None)))
        self.assertEqual(self.sink.outcome["updates"], {"got_revision": ["abc"]})

    def test_one_command_in_several_parts_ends_with_the_first_that_fails(self) -> None:
        parts = [Part("mkdir", {"dir": name}) for name in "abc"]
        command = self.command("mkdir", *parts)
        for rc in (0, 13):
            self.assertEqual(self.sink.outcome, {})
            self.successResultOf(self.tell(command, ("rc", rc)))
            self.successResultOf(ensureDeferred(command.complete(None)))
        self.assertEqual(self.begun, parts[:2])
        self.assertEqual((self.sink.outcome["rc"], self.over), (13, 1))


class TestDisk(CommandCase):
    def test_what_cannot_be_kept_is_tried_again_and_acknowledged_then(self) -> None:
        command = self.command()
        self.sink.problem = OSError(errno.ENOSPC, "no space left on device")
        told = [self.tell(command, ("stdout", text), ("rc", 0)) for text in ("one", "two")]
        ended = ensureDeferred(command.complete(None))
        self.clock.advance(AGAIN_SECONDS)
        for each in (*told, ended):
            self.assertNoResult(each)
        self.assertEqual(self.held, [True])
        self.sink.problem = None
        self.clock.advance(AGAIN_SECONDS)
        for each in (*told, ended):
            self.successResultOf(each)
        self.assertEqual(self.sink.pieces, [("stdout", b"one"), ("stdout", b"two")])
        self.assertEqual((self.sink.outcome["rc"], self.held), (0, [True, False]))

    def test_nothing_is_tried_when_nobody_wants_it_any_more(self) -> None:
        command = self.command()
        self.sink.problem = OSError(errno.ENOSPC, "no space left on device")
        told = self.tell(command, ("stdout", "one"))
        command.forget()
        self.failureResultOf(told, UnknownCommand)
        self.assertEqual(self.clock.getDelayedCalls(), [])


class TestFiles(CommandCase):
    def test_pieces_come_in_their_order(self) -> None:
        command = self.command("uploadFile")
        for piece in (b"abc", b"de"):
            self.successResultOf(ensureDeferred(command.write(piece)))
        command.utime(1.5, 2)
        command.close_transfer()
        self.assertRaises(BadMessage, command.unpack)
        self.failureResultOf(ensureDeferred(command.read(5)), BadMessage)
        self.failureResultOf(ensureDeferred(command.write(5)), BadMessage)
        self.successResultOf(self.tell(command, ("rc", 0)))
        self.successResultOf(ensureDeferred(command.complete(None)))
        self.assertEqual(self.sink.content, b"abcde")
        self.assertEqual(self.sink.outcome["result"], {"size": 5, "atime": 1.5, "mtime": 2.0})
        self.failureResultOf(ensureDeferred(command.write(b"late")), UnknownCommand)

    def test_a_disk_that_takes_a_part_of_a_piece_is_given_the_rest(self) -> None:
        command = self.command("uploadFile")

        def write(offset: int, data: bytes) -> int:
            self.sink.content = self.sink.content[:offset] + data[:2]
            return len(self.sink.content)

        self.sink.write = write  # type: ignore[method-assign]
        self.successResultOf(ensureDeferred(command.write(b"abcde")))
        self.successResultOf(ensureDeferred(command.write(b"fgh")))
        self.assertEqual((self.sink.content, self.interrupted), (b"abcdefgh", []))

    def test_a_file_that_cannot_be_written_ends_the_command_with_that_reason(self) -> None:
        command = self.command("uploadFile")
        self.sink.problem = PermissionError(errno.EACCES, "not yours")
        self.successResultOf(ensureDeferred(command.write(b"abc")))
        self.successResultOf(ensureDeferred(command.write(b"def")))
        self.assertEqual(len(self.interrupted), 1)
        self.sink.problem = None
        self.successResultOf(self.tell(command, ("rc", 1)))
        self.successResultOf(ensureDeferred(command.complete(None)))
        self.assertIn("not yours", self.sink.outcome["error"])

    def test_a_download_is_read_to_its_end(self) -> None:
        command = self.command("downloadFile")
        self.sink.content = b"abcde"
        pieces = [self.successResultOf(ensureDeferred(command.read(3))) for _ in range(3)]
        self.assertEqual(pieces, [b"abc", b"de", b""])
        for length in (None, -1, True, "3"):
            self.failureResultOf(ensureDeferred(command.read(length)), BadMessage)


class TestSpelling(SynchronousTestCase):
    def parts(self, name: str, worker: bool = True, windows: bool = False, **args: Any) -> list[dict[str, Any]]:
        spelling = Spelling(worker=worker, counts_lines=worker, removes_files=worker, windows=windows)
        return [part.args for part in spelling.parts(name, args)]

    def test_shell(self) -> None:
        given = {
            "command": ["a", ["b", 3], ("obfuscated", "x", "y")],
            "workdir": "build",
            "initialStdin": "in",
            "maxLines": 5,
            "usePTY": None,
        }
        (args,) = self.parts("shell", **given)
        self.assertEqual(args["command"], ["a", "b", "3", ("obfuscated", "x", "y")])
        (numbers,) = self.parts("shell", command="x", workdir="", env={"N": 5, "P": ["a", 1], "X": None})
        self.assertEqual(numbers["env"], {"N": "5", "P": ["a", "1"], "X": None})
        self.assertEqual((args["initial_stdin"], args["max_lines"], args["usePTY"]), ("in", 5, False))
        old = Spelling(worker=False, counts_lines=False).parts("shell", given)[0]
        self.assertEqual((old.most_lines, old.args["usePTY"]), (5, "slave-config"))
        self.assertNotIn("max_lines", old.args)
        self.assertEqual(self.parts("shell", command="a b", workdir="w")[0]["command"], "a b")

    def test_files_are_named_from_the_builders_directory_on(self) -> None:
        self.assertEqual(self.parts("mkdir", dir=["a", "b"], workdir="w"), [{"dir": "w/a"}, {"dir": "w/b"}])
        self.assertEqual(self.parts("stat", file="f", workdir="w"), [{"file": "w/f"}])
        self.assertEqual(self.parts("listdir", dir="d", workdir="w", windows=True), [{"dir": "w\\d"}])
        self.assertEqual(self.parts("rmfile", path="/abs"), [{"path": "/abs"}])
        (removing,) = self.parts("rmdir", dir="d", timeout=5)
        self.assertEqual((removing["dir"], removing["timeout"], removing["maxTime"]), ("d", 5, 5))
        with self.assertRaisesRegex(CommandRefused, "stat needs file, a string"):
            self.parts("stat", file=None)
        for nothing in ([], None):
            with self.assertRaisesRegex(CommandRefused, "rmdir needs dir"):
                self.parts("rmdir", dir=nothing)

    def test_a_glob_through_directories_asks_for_each_depth(self) -> None:
        for worker, directory in ((False, ""), (False, "w")):
            found = [args["path"] for args in self.parts("glob", worker, path="a/**/b", workdir=directory)]
            self.assertEqual(found[:3], [posixpath.join(directory, each) for each in ("a/b", "a/*/b", "a/*/*/b")])
            self.assertEqual(len(found), DEEPEST + 1)
        self.assertEqual(self.parts("glob", path="a/**/b"), [{"path": "a/**/b"}])  # it is on Python 3
        self.assertEqual(len(self.parts("glob", worker=False, path="a**/b")), 1)

    def test_transfers(self) -> None:
        (args,) = self.parts("uploadFile", worker=False, slavesrc="f", workdir="w", blocksize=1 << 20)
        self.assertEqual((args["slavesrc"], args["blocksize"], args["maxsize"]), ("f", 65536, None))
        self.assertEqual(self.parts("uploadDirectory", slavesrc="f")[0]["workersrc"], "f")
        self.assertEqual(self.parts("downloadFile", workerdest="f")[0]["workerdest"], "f")
        self.assertEqual(self.parts("downloadFile", workerdest="f", worker=False)[0]["slavedest"], "f")

    def test_other_commands_are_sent_as_they_are(self) -> None:
        self.assertEqual(self.parts("juggle", balls=3), [{"balls": 3}])

    def test_text_for_python_2(self) -> None:
        given = {"a": ["é", ("obfuscated", "x", 1)], "n": None}
        there = in_octets(given)
        self.assertEqual(there, {b"a": ["é".encode(), (b"obfuscated", b"x", 1)], b"n": None})
        self.assertEqual(in_text(there), {"a": ["é", ["obfuscated", "x", 1]], "n": None})
