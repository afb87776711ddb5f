"""Uploads and downloads: whole, by offset, over lost connections."""

import io
import os
import socket
import tarfile
from pathlib import Path
from typing import Any

from twisted.internet import reactor
from twisted.internet.task import deferLater

from .cases import SlaveCase

CONTENT = os.urandom(3_000_000)


class Transfers(SlaveCase):
    def builder(self) -> Path:
        path = self.basedir / "builder" / "build"
        path.mkdir(parents=True, exist_ok=True)
        return path

    def parts(self) -> list[str]:
        return [path.name for path in self.builder().iterdir() if path.name.endswith(".part")]


class Uploads(Transfers):
    async def upload(self, content: bytes = CONTENT, **args: Any) -> dict[str, Any]:
        (self.builder() / "f").write_bytes(content)
        (self.builder() / "f").chmod(0o640)
        os.utime(self.builder() / "f", (1000, 2000))
        return await self.master.run("1", "uploadFile", workdir="build", slavesrc="f", **args)

    async def test_a_file_arrives_whole_with_its_mode_and_times(self) -> None:
        outcome = await self.upload(keepstamp=True)
        self.assertEqual(self.master.uploads["1"], CONTENT)
        expected = {"size": len(CONTENT), "mode": 0o640, "mtime": 2000, "atime": 1000}
        self.assertEqual((outcome["rc"], outcome["result"]), (0, expected))

    async def test_it_goes_on_at_the_offset_after_a_lost_connection(self) -> None:
        self.master.drop_upload_at = 1_000_000
        outcome = await self.upload()
        self.assertEqual((outcome["rc"], self.master.logins), (0, 2))
        self.assertEqual(self.master.uploads["1"], CONTENT)
        self.assertLess(sum(size for _, size in self.master.writes), len(CONTENT) + 2 * 8 * 64 * 1024)

    async def test_a_master_that_lost_a_part_gets_it_again(self) -> None:
        self.master.forget_upload_at, self.master.keep_of_upload = 1_500_000, 700_000
        outcome = await self.upload()
        self.assertEqual(outcome["rc"], 0)
        self.assertEqual(self.master.uploads["1"], CONTENT)

    async def test_an_empty_file_needs_no_call(self) -> None:
        outcome = await self.upload(b"")
        self.assertEqual((outcome["rc"], outcome["result"]["size"], self.master.writes), (0, 0, []))

    async def test_blocks_are_as_small_as_asked_for(self) -> None:
        await self.upload(b"x" * 5000, blocksize=1000)
        self.assertEqual([size for _, size in self.master.writes], [1000] * 5)

    async def test_more_than_maxsize_is_cut_and_told(self) -> None:
        outcome = await self.upload(maxsize=100_000)
        self.assertEqual(outcome["rc"], 1)
        self.assertIn("maxsize", outcome["error"])
        self.assertEqual(self.master.uploads["1"], CONTENT[:100_000])

    async def test_a_missing_file_and_a_directory_are_errors(self) -> None:
        self.builder()
        missing = await self.master.run("1", "uploadFile", workdir="build", workersrc="none")
        self.assertEqual(missing["rc"], 2)
        directory = await self.master.run("2", "uploadFile", slavesrc="build")
        self.assertEqual(directory["rc"], 1)


class DirectoryUploads(Transfers):
    def tree(self) -> Path:
        top = self.builder() / "d"
        (top / "sub" / "empty").mkdir(parents=True)
        (top / "sub" / "big").write_bytes(CONTENT)
        (top / "sub" / "run").write_text("#!/bin/sh")
        (top / "sub" / "run").chmod(0o750)
        os.utime(top / "sub" / "run", (1000, 2000))
        (top / "link").symlink_to("sub/run")
        return top

    def sent(self) -> dict[str, tarfile.TarInfo]:
        with tarfile.open(fileobj=io.BytesIO(self.master.uploads["1"])) as tar:
            big = tar.extractfile("sub/big")
            assert big is not None
            self.assertEqual(big.read(), CONTENT)
            return {entry.name: entry for entry in tar}

    async def upload(self, **args: Any) -> dict[str, Any]:
        return await self.master.run("1", "uploadDirectory", workdir="build", slavesrc="d", **args)

    async def test_a_tree_arrives_whole(self) -> None:
        top = self.tree()
        with socket.socket(socket.AF_UNIX) as unsendable:
            unsendable.bind(os.path.relpath(top / "socket"))
            outcome = await self.upload()
        found = self.sent()
        self.assertEqual(set(found), {"sub", "sub/empty", "sub/big", "sub/run", "link"})
        self.assertEqual(
            (found["sub/run"].mode, found["sub/run"].mtime, found["link"].linkname), (0o750, 2000, "sub/run")
        )
        self.assertEqual(outcome["result"], {"size": len(self.master.uploads["1"]), "entries": 5})
        self.assertIn(b"socket is no file", self.master.log("1").text("header"))

    async def test_compressed(self) -> None:
        self.tree()
        for compress, magic in (("gz", b"\x1f\x8b"), ("bz2", b"BZh")):
            self.master.uploads.clear()
            self.master.outcomes.clear()
            outcome = await self.master.run(
                "1" if compress == "gz" else "2", "uploadDirectory", workdir="build", slavesrc="d", compress=compress
            )
            (stream,) = self.master.uploads.values()
            self.assertEqual((outcome["rc"], stream[: len(magic)]), (0, magic))
            self.master.uploads["1"] = stream
            self.sent()

    async def test_it_goes_on_after_a_lost_connection_and_after_a_master_that_lost_a_part(self) -> None:
        self.tree()
        self.master.drop_upload_at = 1_000_000
        self.master.forget_upload_at, self.master.keep_of_upload = 2_000_000, 300_000
        outcome = await self.upload()
        self.assertEqual((outcome["rc"], self.master.logins), (0, 2))
        self.sent()

    async def test_more_than_maxsize_and_what_is_no_directory_are_errors(self) -> None:
        self.tree()
        outcome = await self.upload(maxsize=100_000)
        self.assertEqual(outcome["rc"], 1)
        self.assertIn("maxsize=100000", outcome["error"])
        missing = await self.master.run("2", "uploadDirectory", workdir="build", slavesrc="none")
        self.assertEqual(missing["rc"], 2)
        file = await self.master.run("3", "uploadDirectory", workdir="build", slavesrc="d/sub/run")
        self.assertEqual(file["rc"], 1)

    async def test_interrupted_it_leaves_nothing(self) -> None:
        self.tree()
        self.master.unanswered = []
        await self.master.order("1", "uploadDirectory", workdir="build", slavesrc="d")
        await self.master.until(lambda: self.master.unanswered)
        await self.master.call("interrupt", "1", "enough")
        self.assertEqual((await self.master.ended("1"))["reason"], "interrupted")
        self.assertEqual(list(self.basedir.glob(".upload-*")), [])


class Downloads(Transfers):
    async def download(self, content: bytes = CONTENT, **args: Any) -> dict[str, Any]:
        self.master.downloads["1"] = content
        return await self.master.run("1", "downloadFile", workdir="build", slavedest="f", **args)

    def got(self) -> bytes:
        self.assertEqual(self.parts(), [])
        return (self.builder() / "f").read_bytes()

    async def test_a_file_arrives_whole_with_its_mode(self) -> None:
        outcome = await self.download(mode=0o751)
        self.assertEqual((outcome["rc"], outcome["result"]), (0, {"size": len(CONTENT)}))
        self.assertEqual(self.got(), CONTENT)
        self.assertEqual((self.builder() / "f").stat().st_mode & 0o777, 0o751)

    async def test_while_it_comes_it_has_no_more_rights_than_it_will_have(self) -> None:
        self.master.downloads["1"] = CONTENT
        await self.master.order("1", "downloadFile", workdir="build", slavedest="f", mode=0o600)
        await self.master.until(lambda: list(self.builder().glob(".f.*")))
        (part,) = self.builder().glob(".f.*")
        self.assertEqual(part.stat().st_mode & 0o777, 0o600)
        await self.master.ended("1")

    async def test_it_goes_on_at_the_offset_after_a_lost_connection(self) -> None:
        self.master.drop_read_at = 1_500_000
        outcome = await self.download()
        self.assertEqual((outcome["rc"], self.master.logins), (0, 2))
        self.assertEqual(self.got(), CONTENT)
        self.assertLess(len(self.master.reads), len(CONTENT) // (64 * 1024) + 40)

    async def test_what_a_killed_process_has_left_of_it_is_removed(self) -> None:
        for name in (".f.1.7f.part", ".g.1.7f.part"):
            (self.builder() / name).touch()
        await self.download(b"x")
        self.assertEqual(self.parts(), [".g.1.7f.part"])

    async def test_short_answers_leave_no_gap(self) -> None:
        self.master.short_reads = True
        await self.download(CONTENT[:700_000])
        self.assertEqual(self.got(), CONTENT[:700_000])

    async def test_an_empty_file_is_made(self) -> None:
        await self.download(b"")
        self.assertEqual(self.got(), b"")

    async def test_too_big_a_file_leaves_the_old_one(self) -> None:
        (self.builder() / "f").write_bytes(b"old")
        outcome = await self.download(maxsize=100_000)
        self.assertEqual(outcome["rc"], 1)
        self.assertEqual(self.got(), b"old")

    async def test_a_file_of_exactly_maxsize_is_not_too_big(self) -> None:
        self.assertEqual((await self.download(b"x" * 1000, maxsize=1000))["rc"], 0)

    async def test_an_error_of_the_master_leaves_nothing(self) -> None:
        await self.master.order("1", "downloadFile", workdir="build", slavedest="f")
        outcome = await self.master.ended("1")
        self.assertNotEqual(outcome["rc"], 0)
        self.assertEqual(list(self.builder().iterdir()), [])
        self.flushLoggedErrors()

    async def test_interrupted_without_a_connection_it_leaves_nothing(self) -> None:
        self.master.downloads["1"] = CONTENT * 20
        await self.master.order("1", "downloadFile", workdir="build", slavedest="f")
        await self.master.until(lambda: len(self.master.reads) > 3)
        await self.master.close()
        await deferLater(reactor, 0.1, lambda: None)
        self.slave.commands.interrupt("1", "enough")
        await self.master.until(lambda: self.parts() == [])
        self.master.listen()
        self.assertEqual((await self.master.ended("1"))["reason"], "interrupted")
