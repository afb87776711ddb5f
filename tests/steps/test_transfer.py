"""Files and directories between the slave and the master: with a real slave, over lost connections and restarts."""

from __future__ import annotations

import errno
import io
import json
import os
import shutil
import tarfile
from pathlib import Path
from threading import Event
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.trial.unittest import TestCase

from buildbot.model import CommandID, Result
from buildbot.process.factory import BuildFactory
from buildbot.process.properties import Interpolate, Secret
from buildbot.process.slaveport import CommandRefused
from buildbot.steps import uploading
from buildbot.steps.download_secret_to_worker import DownloadSecretsToWorker
from buildbot.steps.downloading import FileDownload, JSONPropertiesDownload, JSONStringDownload, StringDownload
from buildbot.steps.partfile import PartFile, recorded, remove
from buildbot.steps.shell import ShellCommand
from buildbot.steps.transfer import DirectoryUpload, FileUpload, MultipleFileUpload
from buildbot.steps.unpacking import BadStream, Stopped, unpack
from tests.rig import RigCase, Source

CONTENT = os.urandom(3_000_000)


class TransferCase(RigCase):
    async def setUp(self) -> None:  # type: ignore[override]
        await super().setUp()
        self.there = self.rig.slave_dir() / "build"
        self.there.mkdir(parents=True)

    def tree(self) -> Path:
        top = self.there / "tree"
        (top / "deep" / "er").mkdir(parents=True)
        (top / "deep" / "big").write_bytes(CONTENT)
        (top / "deep" / "run").write_text("#!/bin/sh\n")
        (top / "deep" / "run").chmod(0o755)
        (top / "deep" / "er" / "link").symlink_to("../run")
        return top

    def left(self) -> list[str]:
        """What builds that have ended have left in the records."""
        return [path.name for path in (self.rig.base / "uploads").glob("*")]

    def hidden(self, where: Path | None = None) -> list[str]:
        """What was left under names of its own."""
        top = where or self.rig.base
        return [path.name for path in top.iterdir() if path.name.startswith(".") and ".part" in path.name]


class Uploads(TransferCase):
    async def test_a_file_comes_with_rights_times_and_a_link(self) -> None:
        (self.there / "made").write_bytes(CONTENT)
        os.utime(self.there / "made", (1000, 2000))
        step = FileUpload(
            workersrc=Interpolate("%(kw:n)s", n="made"), masterdest="up/load", mode=0o640, keepstamp=True,
            url="http://x.org/load", urlText="the load",
        )  # fmt: skip
        built = await self.run_steps(step)
        self.assertIs(built.result, Result.SUCCESS)
        found = self.rig.base / "up" / "load"
        kept = found.stat()
        self.assertEqual((kept.st_mode & 0o7777, kept.st_mtime, kept.st_atime), (0o640, 2000, 1000))
        self.assertEqual(found.read_bytes(), CONTENT)
        self.assertEqual(os.listdir(self.rig.base / "up"), ["load"])
        self.assertEqual(built.step("upload").state_text, "uploading made")

    async def test_what_is_missing_or_too_big_fails_and_changes_nothing(self) -> None:
        (self.there / "made").write_bytes(CONTENT)
        (self.rig.base / "old").write_text("old")
        built = await self.run_steps(
            FileUpload("none", "new", name="missing", haltOnFailure=False),
            FileUpload("made", "old", name="big", maxsize=1_000_000, haltOnFailure=False),
            FileUpload("made", "logs", name="directory", haltOnFailure=False),
            FileUpload("made", "old/below", name="file", haltOnFailure=False),
            FileUpload("made", "new", name="exact", maxsize=len(CONTENT)),
        )
        self.assertEqual([int(result or 0) for result in built.results.values()], [2, 2, 2, 2, 0])
        self.assertEqual((self.rig.base / "old").read_text(), "old")
        self.assertIn("maxsize=1000000", built.everything("big"))
        self.assertIn("is a directory", built.everything("directory"))
        self.assertEqual(self.hidden(), [])

    async def test_an_empty_file_comes_too(self) -> None:
        (self.there / "empty").touch()
        built = await self.run_steps(FileUpload("empty", "empty"))
        self.assertEqual((built.result, (self.rig.base / "empty").read_bytes()), (Result.SUCCESS, b""))

    async def test_a_lost_connection_costs_no_byte(self) -> None:
        (self.there / "made").write_bytes(CONTENT * 10)
        later = self.run_steps_later(FileUpload("made", "load"))
        await self.rig.until(lambda: self.hidden())
        self.rig.cut()
        built = await later
        self.assertIs(built.result, Result.SUCCESS)
        self.assertEqual((self.rig.base / "load").read_bytes(), CONTENT * 10)
        self.assertEqual(self.hidden(), [])

    async def test_a_stop_leaves_nothing(self) -> None:
        (self.there / "made").write_bytes(CONTENT * 20)
        later = self.run_steps_later(FileUpload("made", "load"))
        await self.rig.until(lambda: self.hidden())
        (build,) = self.rig.running.by_id.values()
        await build.stopBuild("enough")
        built = await later
        self.assertIs(built.result, Result.CANCELLED)
        self.assertEqual(self.left(), [])
        self.assertEqual((self.hidden(), (self.rig.base / "load").exists()), ([], False))

    async def test_a_tree_comes_over_what_is_there(self) -> None:
        self.tree()
        (self.rig.base / "dest").mkdir()
        (self.rig.base / "dest" / "stays").touch()
        for compress in (None, "gz", "bz2"):
            built = await self.run_steps(DirectoryUpload("tree", "dest", compress=compress))
            self.assertIs(built.result, Result.SUCCESS, built.everything("upload"))
            dest = self.rig.base / "dest"
            self.assertEqual(sorted(os.listdir(dest)), ["deep", "stays"])
            self.assertEqual((dest / "deep" / "big").read_bytes(), CONTENT)
            self.assertEqual((dest / "deep" / "run").stat().st_mode & 0o777, 0o755)
            self.assertEqual(os.readlink(dest / "deep" / "er" / "link"), "../run")
            self.assertEqual(self.hidden(), [])

    async def test_a_directory_waits_for_room_on_a_full_disk(self) -> None:
        self.tree()
        tries: list[Path] = []

        def full_at_first(stream: Path, target: Path, *args: Any) -> int:
            tries.append(stream)
            if len(tries) < 3:
                raise OSError(errno.ENOSPC, "No space left on device", str(target))
            return unpack(stream, target, *args)

        self.patch(uploading, "unpack", full_at_first)
        self.patch(uploading, "FULL_DISK_SECONDS", 0.01)
        built = await self.run_steps(DirectoryUpload("tree", "dest"))
        assert built.result is Result.SUCCESS
        assert len(tries) == 3
        assert (self.rig.base / "dest" / "deep" / "big").read_bytes() == CONTENT
        assert self.left() == []

    async def test_a_link_out_of_the_tree_is_refused(self) -> None:
        (self.tree() / "out").symlink_to("/etc/passwd")
        built = await self.run_steps(DirectoryUpload("tree", "dest"))
        self.assertIs(built.result, Result.FAILURE)
        self.assertIn("is refused", built.everything("upload"))
        self.assertFalse((self.rig.base / "dest" / "out").is_symlink())

    async def test_several_by_patterns_with_hooks(self) -> None:
        self.tree()
        for name in ("a.log", "b.log", "c.txt"):
            (self.there / name).write_text(name)
        told: list[Any] = []

        class Told(MultipleFileUpload):
            def uploadDone(self, result: int, source: str, masterdest: str) -> None:
                told.append((result, Path(source).name, masterdest))

            async def allUploadsDone(self, result: int, sources: list[str], masterdest: str) -> None:
                told.append((result, len(sources), masterdest))

        built = await self.run_steps(
            Told(workersrcs=["*.log", "tree"], masterdest="all", glob=True, mode=0o600),
            MultipleFileUpload(["c.txt", "none"], "all", name="some", haltOnFailure=False),
            MultipleFileUpload([], "all", name="nothing"),
        )
        self.assertEqual([int(result or 0) for result in built.results.values()], [0, 2, 3])
        self.assertEqual(sorted(os.listdir(self.rig.base / "all")), ["a.log", "b.log", "c.txt", "tree"])
        self.assertEqual((self.rig.base / "all" / "a.log").stat().st_mode & 0o777, 0o600)
        self.assertEqual((self.rig.base / "all" / "tree" / "deep" / "big").read_bytes(), CONTENT)
        where = str(self.rig.base / "all")
        named = [(0, name, f"{where}/{name}") for name in ("a.log", "b.log", "tree")]
        self.assertEqual(told, [*named, (0, 3, where)])


class Downloads(TransferCase):
    async def test_a_file_goes_over_a_lost_connection_with_its_rights(self) -> None:
        (self.rig.base / "given").write_bytes(CONTENT * 5)
        later = self.run_steps_later(FileDownload("given", workerdest="new/got", mode=0o750, blocksize=65536))
        await self.rig.until(lambda: list(self.there.glob("new/.got*")))
        self.rig.cut()
        built = await later
        self.assertIs(built.result, Result.SUCCESS)
        self.assertEqual((self.there / "new" / "got").read_bytes(), CONTENT * 5)
        self.assertEqual((self.there / "new" / "got").stat().st_mode & 0o777, 0o750)

    async def test_a_file_that_is_changed_meanwhile_is_sent_again(self) -> None:
        given = self.rig.base / "given"
        given.write_bytes(CONTENT * 5)
        later = self.run_steps_later(FileDownload("given", "got"))
        await self.rig.until(lambda: list(self.there.glob(".got*")))
        given.write_bytes(b"other")
        built = await later
        self.assertEqual((built.result, (self.there / "got").read_bytes()), (Result.SUCCESS, b"other"))
        self.assertIn("was changed while it was sent", built.everything("download"))
        self.flushLoggedErrors()

    async def test_what_is_missing_or_too_big_fails(self) -> None:
        (self.rig.base / "given").write_bytes(CONTENT)
        built = await self.run_steps(
            FileDownload("none", "got", name="missing", haltOnFailure=False),
            FileDownload("given", "got", maxsize=1000, name="big"),
            FileDownload("given", "got", name="not any more"),
        )
        self.assertEqual([int(result or 0) for result in built.results.values()], [2, 2])
        self.assertIn("the master has no file", built.everything("missing"))
        self.assertEqual(os.listdir(self.there), [])

    async def test_texts_and_data(self) -> None:
        built = await self.run_steps(
            StringDownload(Interpolate("hello %(prop:buildername)s"), slavedest="text", mode=0o644),
            JSONStringDownload({"a": [1, Interpolate("%(prop:buildnumber)s")]}, workerdest="data.json"),
            JSONPropertiesDownload(slavedest="build.json"),
            sources=[Source(revision="r7", branch="main")],
        )
        self.assertIs(built.result, Result.SUCCESS)
        self.assertEqual((self.there / "text").read_text(), "hello b")
        self.assertEqual(json.loads((self.there / "data.json").read_text()), {"a": [1, str(built.row.number)]})
        told = json.loads((self.there / "build.json").read_text())
        self.assertEqual((told["properties"]["buildername"], told["sourcestamps"][0]["revision"]), ("b", "r7"))
        self.assertEqual(told["sourcestamp"], told["sourcestamps"][0])


class Known:
    """A store of secrets (SecretSource)."""

    async def get(self, name: str) -> str:
        return {"key": "a key of\ntwo lines", "token": "hunter2hunter2"}[name]


class SecretFiles(TransferCase):
    async def test_they_are_there_for_the_steps_alone(self) -> None:
        self.rig.secrets = Known()
        keys = [("keys/one", Secret("key")), ("../two", Interpolate("pw %(secret:token)s"))]
        factory = BuildFactory()
        look = ["sh", "-c", "cat keys/one ../two; ls -l keys ../two; exit 1"]
        factory.addSteps([ShellCommand(command=look, haltOnFailure=True)], withSecrets=keys)
        with factory.withSecrets(keys) as same:
            same.addStep(ShellCommand(command=["true"], name="never"))
        self.rig.add_builder("b", factory)
        built = await self.rig.build("b")
        self.assertIs(built.result, Result.FAILURE)
        self.assertEqual(list(built.results), ["download secrets", "shell", "remove secrets", "remove secrets_1"])
        said = built.text("shell")
        self.assertIn("<key>pw <token>", said)
        self.assertEqual(said.count("-rw-------"), 2, said)
        self.assertEqual((os.listdir(self.there / "keys"), (self.there.parent / "two").exists()), ([], False))

    async def test_without_its_secret_a_build_is_halted(self) -> None:
        step = DownloadSecretsToWorker([("one", Secret("key"))])
        built = await self.run_steps(step, ShellCommand(command=["true"]))
        self.assertIs(built.result, Result.EXCEPTION)
        self.assertEqual(os.listdir(self.there), [])
        self.flushLoggedErrors()


def archive(*entries: tuple[str, bytes, str], mode: Any = "w") -> bytes:
    """A tar stream: (name, type, link) each."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode=mode) as tar:
        for name, kind, link in entries:
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname, entry.mode = kind, link, 0o6777
            entry.size = 4 if kind == tarfile.REGTYPE else 0
            tar.addfile(entry, io.BytesIO(b"text"))
    return made.getvalue()


FILE, DIRECTORY, LINK, SAME = tarfile.REGTYPE, tarfile.DIRTYPE, tarfile.SYMTYPE, tarfile.LNKTYPE


class Unpacking(TestCase):
    def setUp(self) -> None:
        self.base = Path(self.mktemp())
        self.base.mkdir()
        self.dest = self.base / "dest"

    def unpack(self, data: bytes, compress: str | None = None, stop: Event | None = None) -> int:
        stream = self.base / "stream"
        stream.write_bytes(data)
        return unpack(stream, self.dest, compress, stop or Event())

    def test_nothing_leads_out(self) -> None:
        (self.base / "there").write_text("there")
        wrong: list[list[tuple[str, bytes, str]]] = [
            [("../out", FILE, "")],
            [("a/../../out", FILE, "")],
            [("link", LINK, "..")],
            [("link", LINK, "/etc")],
            [("a/link", LINK, "../../there")],
            [("same", SAME, "../there")],
            [("dev", tarfile.CHRTYPE, "")],
            [("pipe", tarfile.FIFOTYPE, "")],
            [("d", DIRECTORY, ""), ("link", LINK, "d"), ("link/x", FILE, "")],
            [("f", FILE, ""), ("f/x", FILE, "")],
            [("d", DIRECTORY, ""), ("d", FILE, "")],
            [("link", LINK, "later"), ("same", SAME, "link")],
        ]
        for entries in wrong:
            with self.subTest(entries=entries):
                self.assertRaises((BadStream, OSError), self.unpack, archive(*entries))
                self.assertEqual(sorted(os.listdir(self.base)), ["dest", "stream", "there"])
                shutil.rmtree(self.dest)
        self.unpack(archive(("/absolute", FILE, "")))  # is taken for a name below
        self.assertEqual(os.listdir(self.dest), ["absolute"])

    def test_a_link_that_was_there_is_not_followed(self) -> None:
        self.dest.mkdir()
        (self.dest / "link").symlink_to("..")
        self.assertRaises(BadStream, self.unpack, archive(("link/out", FILE, "")))
        (self.dest / "inner").symlink_to("stays")
        self.unpack(archive(("inner", FILE, "")))
        self.assertEqual(sorted(os.listdir(self.dest)), ["inner", "link"])

    def test_rights_are_ordinary_and_names_of_one_file_are_files(self) -> None:
        self.assertEqual(self.unpack(archive(("f", FILE, ""), ("d/same", SAME, "f"), ("d/l", LINK, "same"))), 3)
        self.assertEqual((self.dest / "f").stat().st_mode & 0o7777, 0o755)
        self.assertEqual((self.dest / "d" / "same").read_text(), "text")
        self.assertEqual((self.dest / "d" / "l").read_text(), "text")

    def test_what_is_damaged_or_blown_up_is_refused(self) -> None:
        whole = archive(("f", FILE, ""), mode="w:gz")
        for data, compress in ((whole[:60], "gz"), (b"no tar" * 200, None), (whole, "bz2"), (b"", None)):
            with self.subTest(data=data[:10]):
                self.assertRaises(BadStream, self.unpack, data, compress)
        made = io.BytesIO()
        with tarfile.open(fileobj=made, mode="w:bz2") as tar:
            entry = tarfile.TarInfo("zeros")
            entry.size = 70 * 1024 * 1024
            with open("/dev/zero", "rb") as zeros:
                tar.addfile(entry, zeros)
        self.assertRaisesRegex(BadStream, "too many bytes", self.unpack, made.getvalue(), "bz2")
        long = tarfile.TarInfo("././@PaxHeader")
        long.type, long.size = tarfile.XHDTYPE, 1 << 30
        self.assertRaisesRegex(BadStream, "a header of", self.unpack, long.tobuf(tarfile.USTAR_FORMAT) + bytes(10240))

    def test_it_can_be_stopped(self) -> None:
        stop = Event()
        stop.set()
        self.assertRaises(Stopped, self.unpack, archive(("f", FILE, "")), None, stop)


class PartFiles(TestCase):
    def part(self, id: int = 7, **options: Any) -> PartFile:
        given: dict[str, Any] = {
            "records": self.records,
            "most": None,
            "id": lambda: CommandID(id),
            "in_thread": maybeDeferred,
        } | options
        return PartFile(self.target, failed=self.failed.append, **given)

    def setUp(self) -> None:
        self.target = Path(self.mktemp()).absolute() / "file"
        self.target.parent.mkdir()
        self.records = self.target.parent.with_name("uploads")
        self.failed: list[OSError] = []

    def test_pieces_may_come_twice_and_another_process_goes_on(self) -> None:
        part = self.part()
        self.assertEqual(
            [part.write(0, b"abc"), part.write(1, b"bcd"), part.write(9, b"x"), part.write(0, b"a")], [3, 4, 4, 4]
        )
        part.close()
        again = self.part()
        self.assertEqual(again.write(0, b""), 4)
        self.assertEqual(again.write(4, b"e"), 5)
        self.assertEqual(again.bring_to_disk(), 5)
        again.put_in_place(None, None)
        again.put_in_place(None, None)
        self.assertEqual((self.target.read_bytes(), os.listdir(self.target.parent)), (b"abcde", ["file"]))
        self.assertEqual(recorded(self.records), [])

    def test_after_a_loss_of_power_what_was_on_the_disk_is_held(self) -> None:
        part = self.part()
        part.write(0, b"x" * 100)
        part.bring_to_disk()
        part.write(100, b"y" * 100)
        part.close()
        mark = self.records / "7"
        synced, _, path = json.loads(mark.read_text())
        mark.write_text(json.dumps([synced, "another life of the machine", path]))
        self.assertEqual(self.part().write(200, b""), 100)
        mark.unlink()
        self.assertEqual(self.part().write(200, b""), 0)

    def test_what_a_disk_has_refused_is_not_held(self) -> None:
        waiting: list[Deferred[Any]] = []

        def later(work: Any, *args: Any) -> Deferred[Any]:
            waiting.append(Deferred())
            return waiting[-1]

        part = self.part(in_thread=later)
        block = bytes(1024 * 1024)
        for number in range(33):
            part.write(number * len(block), block)
        (sync,) = waiting
        waited = Deferred.fromCoroutine(part.quiet())
        self.assertNoResult(waited)
        sync.errback(OSError(5, "the disk is broken"))
        self.assertIsNone(self.successResultOf(waited))
        self.assertEqual(part.path.stat().st_size, 0)
        self.assertEqual(part.write(1 << 40, b""), 0)
        part.close()

    def test_more_than_may_come_is_refused_and_what_cannot_be_written_is_told(self) -> None:
        self.assertRaises(CommandRefused, self.part(most=3).write, 0, b"long")
        self.target.parent.rename(self.target.parent.with_name("away"))
        self.assertRaises(OSError, self.part().write, 0, b"x")
        self.assertEqual(len(self.failed), 1)

    def test_what_was_left_behind_is_known_and_removed(self) -> None:
        for id in (12, 13):
            part = self.part(id)
            part.write(0, b"x")
            part.close()
        (self.records / "note").touch()
        self.assertEqual(sorted(recorded(self.records)), [12, 13])
        remove(self.records, [CommandID(12)])
        self.assertEqual(os.listdir(self.target.parent), [".file.13.part"])
        self.assertEqual(recorded(self.records), [13])
        self.assertEqual(recorded(self.records / "none"), [])
