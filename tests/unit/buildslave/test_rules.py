"""Decisions without processes: paths, command lines, environments, hosts, limits, facts."""

import os

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildslave.address import split_host
from buildslave.commands.base import Reason
from buildslave.commands.commandline import parse_command
from buildslave.commands.environment import command_environment
from buildslave.commands.limits import Limits
from buildslave.errors import BadArguments, OutsideBasedir
from buildslave.facts import describe, os_release
from buildslave.leftovers import leftover_directories
from buildslave.paths import builder_directory, confined, confined_target

from .cases import temporary_directory


class Paths(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = temporary_directory(self)
        self.basedir = self.top / "slave"
        self.builddir = self.basedir / "b"
        self.builddir.mkdir(parents=True)

    def test_a_path_is_below_the_builder(self) -> None:
        self.assertEqual(confined(self.basedir, self.builddir, "build", "x"), self.builddir / "build" / "x")
        self.assertEqual(confined(self.basedir, self.builddir, "../c"), self.basedir / "c")
        self.assertEqual(confined(self.basedir, self.builddir, ""), self.builddir)

    def test_no_path_leads_out(self) -> None:
        for bad in ("../../x", "/etc/passwd", "a/../../../x", "../../slave2/x"):
            self.assertRaises(OutsideBasedir, confined, self.basedir, self.builddir, bad)

    def test_no_link_leads_out(self) -> None:
        (self.builddir / "out").symlink_to(self.top)
        self.assertRaises(OutsideBasedir, confined, self.basedir, self.builddir, "out/x")
        self.assertRaises(OutsideBasedir, confined_target, self.basedir, self.builddir, "out")

    def test_a_link_itself_may_be_removed(self) -> None:
        (self.builddir / "out").symlink_to(self.top)
        self.assertEqual(confined(self.basedir, self.builddir, "out"), self.builddir / "out")

    def test_the_builder_itself_may_be_on_another_disk(self) -> None:
        other = self.top / "disk"
        other.mkdir()
        (self.basedir / "linked").symlink_to(other)
        builder = self.basedir / "linked"
        self.assertEqual(confined_target(self.basedir, builder, "build/x"), builder / "build" / "x")

    def test_a_builder_is_below_the_base_directory(self) -> None:
        self.assertEqual(builder_directory(self.basedir, "b/c"), self.basedir / "b" / "c")
        for bad in ("", ".", "..", "../x", "/tmp/x", "b/..", "a\0b"):
            self.assertRaises(OutsideBasedir, builder_directory, self.basedir, bad)

    def test_only_real_unused_directories_are_left_over(self) -> None:
        for name in ("info", ".hidden", "old"):
            (self.basedir / name).mkdir()
        (self.basedir / "link").symlink_to(self.top)
        (self.basedir / "buildbot.tac").touch()
        self.assertEqual(leftover_directories(self.basedir, [self.builddir / "deep" / "er"]), [self.basedir / "old"])


class CommandLines(SynchronousTestCase):
    def test_a_string_is_for_the_shell(self) -> None:
        self.assertEqual(parse_command("a | b"), (["/bin/sh", "-c", "a | b"], "a | b"))

    def test_lists_are_flattened_and_shown_quoted(self) -> None:
        self.assertEqual(parse_command(["a", ["b c", ("d", [])], 4]), (["a", "b c", "d", "4"], "a 'b c' d 4"))

    def test_what_is_obfuscated_is_not_shown(self) -> None:
        line = parse_command(["login", ("obfuscated", "s3cret", "XXX")])
        self.assertEqual(line.argv, ["login", "s3cret"])
        self.assertEqual(line.shown, "login XXX")
        whole = parse_command(("obfuscated", "echo s3cret", "echo XXX"))
        self.assertEqual((whole.argv[-1], whole.shown), ("echo s3cret", "echo XXX"))

    def test_nonsense_is_refused(self) -> None:
        for bad in ([], None, [None], {"a": 1}, "a\0b", [["x", b"\0"]]):
            self.assertRaises(BadArguments, parse_command, bad)


class Environments(SynchronousTestCase):
    own = {"PATH": "/bin", "HOME": "/h", "PYTHONPATH": "/own"}

    def made(self, **given: object) -> dict[str, str]:
        return command_environment(self.own, given)

    def test_none_removes_and_the_rest_stays(self) -> None:
        self.assertEqual(self.made(HOME=None), {"PATH": "/bin", "PYTHONPATH": "/own"})

    def test_references_are_to_the_slaves_own(self) -> None:
        made = self.made(PATH="/x:${PATH}:${NONE}", HOME="$PATH")
        self.assertEqual((made["PATH"], made["HOME"]), ("/x:/bin:", "$PATH"))

    def test_lists_are_joined(self) -> None:
        self.assertEqual(self.made(PATH=["/a", "${PATH}"])["PATH"], os.pathsep.join(["/a", "/bin"]))

    def test_pythonpath_comes_before_the_slaves(self) -> None:
        self.assertEqual(self.made(PYTHONPATH="/x")["PYTHONPATH"], "/x:/own")
        self.assertEqual(command_environment({}, {"PYTHONPATH": ["/x", "/y"]})["PYTHONPATH"], "/x:/y")

    def test_nonsense_is_refused(self) -> None:
        for bad in ({"A=B": "x"}, {"A": {}}, {"A": "x\0"}, {3: "x"}, ["A"]):
            self.assertRaises(BadArguments, command_environment, self.own, bad)


class Hosts(SynchronousTestCase):
    def test_all_forms(self) -> None:
        for text, expected in {
            "h": ("h", 9989),
            "h:1": ("h", 1),
            "[::1]:7": ("::1", 7),
            "[::1]": ("::1", 9989),
            "fe80::1": ("fe80::1", 9989),
            "10.0.0.1:9": ("10.0.0.1", 9),
        }.items():
            self.assertEqual(split_host(text), expected)

    def test_nonsense_is_refused(self) -> None:
        for bad in ("", "h:", "h:x", "h:0", "h:65536", "[::1", "[::1]7", ":9", "a b", "h:²"):
            self.assertRaises(ValueError, split_host, bad)


class LimitRules(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.exceeded: list[Reason] = []

    def limits(self, silence: float | None = None, total: float | None = None, lines: int | None = None) -> Limits:
        limits = Limits(
            clock=self.clock,
            silence_seconds=silence,
            total_seconds=total,
            lines=lines,
            exceeded=lambda reason, sentence: self.exceeded.append(reason),
        )
        limits.start()
        return limits

    def test_silence_counts_from_the_last_output(self) -> None:
        limits = self.limits(silence=10)
        self.clock.advance(9)
        limits.heard(b"x", counted=True)
        self.clock.advance(9)
        self.assertEqual(self.exceeded, [])
        self.clock.advance(1)
        self.assertEqual(self.exceeded, [Reason.SILENT])

    def test_silence_does_not_count_while_the_slave_does_not_read(self) -> None:
        limits = self.limits(silence=10)
        limits.pause()
        self.clock.pump([5] * 100)
        limits.resume()
        self.clock.advance(9)
        self.assertEqual(self.exceeded, [])
        self.clock.pump([1] * 20)
        self.assertEqual(self.exceeded, [Reason.SILENT])

    def test_the_whole_time_counts_whatever_is_said(self) -> None:
        limits = self.limits(total=10)
        for _ in range(10):
            limits.heard(b"x", counted=True)
            self.clock.advance(1)
        self.assertEqual(self.exceeded, [Reason.TIMEOUT])

    def test_one_line_too_many_is_told_once(self) -> None:
        limits = self.limits(lines=2)
        limits.heard(b"1\n2\n", counted=True)
        limits.heard(b"f\n" * 9, counted=False)
        self.assertEqual(self.exceeded, [])
        limits.heard(b"3\n4\n", counted=True)
        limits.heard(b"5\n", counted=True)
        self.assertEqual(self.exceeded, [Reason.MAX_LINES])


class Facts(SynchronousTestCase):
    def test_info_files_and_the_machine_are_described(self) -> None:
        basedir = temporary_directory(self)
        (basedir / "info" / "sub").mkdir(parents=True)
        (basedir / "info" / "admin").write_bytes(b"me \xff\n")
        (basedir / "info" / "basedir").write_text("not the true one")
        told = describe(basedir, {"A": "\udcff"}, 7)
        self.assertEqual(told["admin"], "me \N{REPLACEMENT CHARACTER}\n")
        self.assertEqual((told["basedir"], told["numcpus"], told["environ"]), (str(basedir), 7, {"A": "?"}))
        self.assertNotIn("sub", told)

    def test_os_release_is_read(self) -> None:
        path = temporary_directory(self) / "os-release"
        path.write_text('# c\nID=debian\nVERSION_ID="12"\n')
        self.assertEqual(os_release(path), {"os_id": "debian", "os_version_id": "12"})
        self.assertEqual(os_release(path.with_name("none")), {})
