"""Commands about files and directories."""

import errno
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import LoopingCall
from twisted.trial.unittest import SynchronousTestCase

from buildslave.commands.trees import Stopped, copy_tree, remove_tree

from .cases import SlaveCase, temporary_directory


class Files(SlaveCase):
    @property
    def builder(self) -> Path:
        path = self.basedir / "builder"
        path.mkdir(exist_ok=True)
        return path

    async def run_command(self, name: str, **args: Any) -> dict[str, Any]:
        command_id = f"{name}-{len(self.master.logs)}"
        return await self.master.run(command_id, name, **args)

    async def test_mkdir_makes_one_or_several_with_parents(self) -> None:
        self.assertEqual((await self.run_command("mkdir", dir="a/b"))["rc"], 0)
        self.assertEqual((await self.run_command("mkdir", dir=["a/b", "c"]))["rc"], 0)
        self.assertTrue((self.builder / "a" / "b").is_dir() and (self.builder / "c").is_dir())

    async def test_mkdir_where_a_file_is_fails_with_its_errno(self) -> None:
        (self.builder / "f").touch()
        outcome = await self.run_command("mkdir", dir="f")
        self.assertEqual(outcome["rc"], errno.EEXIST)
        self.assertIn("f", outcome["error"])

    async def test_rmdir_removes_a_tree_and_what_is_not_there(self) -> None:
        (self.builder / "a" / "b").mkdir(parents=True)
        self.assertEqual((await self.run_command("rmdir", dir=["a", "none"]))["rc"], 0)
        self.assertFalse((self.builder / "a").exists())

    async def test_rmdir_removes_the_whole_builder_but_never_the_slave(self) -> None:
        _ = self.builder
        self.assertEqual((await self.run_command("rmdir", dir="."))["rc"], 0)
        self.assertFalse((self.basedir / "builder").exists())

    async def test_rmdir_leaves_the_reactor_free_and_can_be_interrupted(self) -> None:
        for index in range(200):
            (self.builder / "big" / str(index)).mkdir(parents=True)
            for name in range(100):
                (self.builder / "big" / str(index) / str(name)).touch()
        turns: list[float] = []
        ticking = LoopingCall(lambda: turns.append(reactor.seconds()))
        _ = ticking.start(0.005)
        outcome = await self.run_command("rmdir", dir="big", timeout=60)
        ticking.stop()
        self.assertEqual(outcome["rc"], 0)
        self.assertLess(max(later - before for before, later in pairwise(turns)), 0.5)

    async def test_cpdir_keeps_links_modes_and_times(self) -> None:
        source = self.builder / "from"
        source.mkdir()
        (source / "run").write_text("x")
        (source / "run").chmod(0o750)
        os.utime(source / "run", (1000, 2000))
        (source / "link").symlink_to("/nowhere")
        self.assertEqual((await self.run_command("cpdir", fromdir="from", todir="to/here"))["rc"], 0)
        copied = (self.builder / "to" / "here" / "run").stat()
        self.assertEqual((copied.st_mode & 0o777, copied.st_mtime), (0o750, 2000))
        self.assertEqual(os.readlink(self.builder / "to" / "here" / "link"), "/nowhere")

    async def test_cpdir_of_nothing_fails(self) -> None:
        self.assertEqual((await self.run_command("cpdir", fromdir="none", todir="to"))["rc"], errno.ENOTDIR)

    async def test_stat_tells_the_ten_numbers_or_the_errno(self) -> None:
        (self.builder / "build").mkdir()
        (self.builder / "build" / "f").write_text("four")
        outcome = await self.run_command("stat", file="f", workdir="build")
        self.assertEqual(outcome["result"], [int(each) for each in tuple((self.builder / "build" / "f").stat())])
        self.assertEqual((await self.run_command("stat", file="none"))["rc"], errno.ENOENT)

    async def test_glob_and_listdir_are_sorted(self) -> None:
        for name in ("b.c", "a.c", "x.h"):
            (self.builder / name).touch()
        self.assertEqual(
            (await self.run_command("glob", path="*.c"))["result"],
            [str(self.builder / "a.c"), str(self.builder / "b.c")],
        )
        self.assertEqual((await self.run_command("listdir", dir="."))["result"], ["a.c", "b.c", "x.h"])
        self.assertEqual((await self.run_command("listdir", dir="none"))["rc"], errno.ENOENT)

    async def test_rmfile_removes_one_file(self) -> None:
        (self.builder / "f").touch()
        self.assertEqual((await self.run_command("rmfile", path="f"))["rc"], 0)
        self.assertEqual((await self.run_command("rmfile", path="f"))["rc"], errno.ENOENT)

    async def test_names_that_are_no_text_are_told_escaped(self) -> None:
        Path(os.fsdecode(os.fsencode(self.builder) + b"/\xff")).touch()
        self.assertEqual((await self.run_command("listdir", dir="."))["result"], ["\\xff"])


class BuilderList(SlaveCase):
    def make_slave(self, **changes: Any):  # type: ignore[no-untyped-def]
        return super().make_slave(delete_leftover_dirs=True, **changes)

    async def test_directories_are_made_and_left_over_ones_removed(self) -> None:
        for name in ("info", "old"):
            (self.basedir / name).mkdir()
        self.assertIs(await self.master.call("setBuilderList", [("one", "one"), ("two", "deep/two")]), True)
        self.assertTrue((self.basedir / "deep" / "two").is_dir())
        await self.master.until(lambda: not (self.basedir / "old").exists())
        self.assertTrue((self.basedir / "info").is_dir())


class Trees(SynchronousTestCase):
    def setUp(self) -> None:
        self.top = str(temporary_directory(self))

    def test_a_protected_tree_is_removed_by_an_ordinary_user(self) -> None:
        """As root nothing is protected, so another user tries."""
        os.chmod(self.top, 0o777)
        program = (
            "import os, sys\n"
            "from threading import Event\n"
            "sys.path.insert(0, sys.argv[2])\n"
            "from buildslave.commands.trees import remove_tree\n"
            "if os.getuid() == 0: os.setgroups([]); os.setgid(65534); os.setuid(65534)\n"
            "tree = sys.argv[1] + '/tree'\n"
            "os.makedirs(tree + '/a/b')\n"
            "open(tree + '/a/b/f', 'w').close()\n"
            "os.symlink('/', tree + '/a/root')\n"
            "for path, mode in (('/a/b', 0o000), ('/a', 0o500), ('', 0o500)): os.chmod(tree + path, mode)\n"
            "remove_tree(tree, Event())\n"
            "assert not os.path.exists(tree)\n"
        )
        root = Path(__file__).resolve().parents[3]
        copy = os.path.join(self.top, "code", "buildslave")
        copy_tree(str(root / "buildslave"), copy, Event())
        done = subprocess.run(
            [sys.executable, "-B", "-c", program, self.top, os.path.dirname(copy)],
            capture_output=True, check=False, cwd="/",
        )  # fmt: skip
        self.assertEqual((done.returncode, done.stderr), (0, b""))

    def test_links_are_not_followed(self) -> None:
        outside = str(temporary_directory(self))
        Path(outside, "precious").touch()
        os.symlink(outside, os.path.join(self.top, "link"))
        remove_tree(self.top, Event())
        self.assertTrue(Path(outside, "precious").exists())
        self.assertFalse(os.path.exists(self.top))

    def test_a_very_deep_tree_is_removed(self) -> None:
        here = os.open(self.top, os.O_RDONLY)
        for _ in range(700):
            os.mkdir("d", dir_fd=here)
            below = os.open("d", os.O_RDONLY, dir_fd=here)
            os.close(here)
            here = below
        os.close(here)
        remove_tree(self.top, Event())
        self.assertFalse(os.path.exists(self.top))

    def test_it_stops_when_told(self) -> None:
        stop = Event()
        stop.set()
        Path(self.top, "f").touch()
        self.assertRaises(Stopped, remove_tree, self.top, stop)
        self.assertRaises(Stopped, copy_tree, self.top, self.top + ".copy", stop)
        self.assertTrue(os.path.exists(self.top))
