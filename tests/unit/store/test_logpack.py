"""Compressed logs: read as the plain ones are, by us and by zstd, and damaged ones are told."""

from __future__ import annotations

import random
import shutil
import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SkipTest, SynchronousTestCase

from buildbot.store import logpack
from buildbot.store.logfiles import Channel, LogFiles
from buildbot.store.logpack import NotReadable, PackedPart, open_part, pack, packed_path

PATH = "b/1/step-stdio.txt"


class TestPack(SynchronousTestCase):
    def setUp(self) -> None:
        self.path = Path(self.mktemp())
        self.data = b"".join(b"line %d %x\n" % (n, random.Random(n).getrandbits(64)) for n in range(40_000))
        self.path.write_bytes(self.data)

    def packed(self) -> PackedPart:
        self.assertTrue(pack(self.path))
        part = PackedPart(packed_path(self.path))
        self.addCleanup(part.close)
        return part

    def test_every_range_is_as_it_was(self) -> None:
        part = self.packed()
        self.assertEqual(part.size(), len(self.data))
        chance = random.Random(1)
        for _ in range(300):
            at, count = chance.randrange(len(self.data) + 10), chance.choice((1, 100, 70_000, 600_000))
            self.assertEqual(part.read(count, at), self.data[at : at + count])
        self.assertLess(packed_path(self.path).stat().st_size, len(self.data) * 0.7)

    def test_zstd_itself_reads_it(self) -> None:
        if shutil.which("zstd") is None:
            raise SkipTest("no zstd here")
        self.packed()
        told = subprocess.run(["zstd", "-dc", packed_path(self.path)], capture_output=True, check=True).stdout
        self.assertEqual(told, self.data)

    def test_an_empty_file(self) -> None:
        self.path.write_bytes(b"")
        part = self.packed()
        self.assertEqual((part.size(), part.read(10, 0)), (0, b""))

    def test_the_plain_one_goes_first(self) -> None:
        self.packed()
        self.path.write_bytes(b"plain")
        for expected in (b"plain", self.data[:5]):
            part = open_part(self.path)
            self.assertEqual(part.read(5, 0), expected)
            part.close()
            self.path.unlink(missing_ok=True)
        packed_path(self.path).unlink()
        self.assertRaises(FileNotFoundError, open_part, self.path)
        self.assertFalse(pack(self.path))

    def test_damage_is_told(self) -> None:
        self.packed()
        whole = packed_path(self.path).read_bytes()
        for damaged in (b"", whole[:-1], whole[: len(whole) // 2], whole[1:], whole[:-9] + b"\xff" + whole[-8:]):
            packed_path(self.path).write_bytes(damaged)
            self.assertRaises(NotReadable, PackedPart, packed_path(self.path))
        packed_path(self.path).write_bytes(whole[:1000] + bytes(8) + whole[1008:])
        part = PackedPart(packed_path(self.path))
        self.assertRaises(NotReadable, part.read, 10, 0)
        part.close()

    def test_a_full_disk_leaves_the_plain_one(self) -> None:
        def full(*args: object) -> None:
            raise OSError(28, "No space left on device")

        self.patch(logpack, "_write_packed", full)
        self.assertRaises(OSError, pack, self.path)
        self.assertEqual([path.name for path in self.path.parent.glob(f"{self.path.name}*")], [self.path.name])

    def test_what_does_not_say_the_same_is_not_taken(self) -> None:
        def wrong(source: object, target: object) -> None:
            real(self.path.parent.joinpath("other").open("rb"), target)

        real = logpack._write_packed
        (self.path.parent / "other").write_bytes(self.data[:-1] + b"!")
        self.patch(logpack, "_write_packed", wrong)
        self.assertRaises(NotReadable, pack, self.path)
        self.assertFalse(packed_path(self.path).exists())


class TestReader(SynchronousTestCase):
    """The reader's answers are the same before and after."""

    @settings(max_examples=30, deadline=None)
    @given(st.lists(st.tuples(st.sampled_from(Channel), st.sampled_from([b"a\n", b"bc", b"\n\n", b"x" * 50]))))
    def test_all_that_it_can_say(self, pieces: list[tuple[Channel, bytes]]) -> None:
        self.patch(logpack, "PIECE_BYTES", 16)
        files = LogFiles(Path(self.mktemp()))
        log = files.write(PATH)
        for number, (channel, data) in enumerate(pieces):
            log.append(data, channel, number % 3, 100.0 + number / 20)
        log.close()
        before = self.said(files)
        self.assertTrue(files.pack(PATH))
        self.assertEqual({path.suffix for path in (files.root / PATH).parent.iterdir()}, {".zst"})
        self.assertEqual(self.said(files), before)
        self.assertTrue(files.pack(PATH))
        files.remove(PATH)
        self.assertEqual(list(files.root.rglob("*.*")), [])

    def said(self, files: LogFiles) -> list[object]:
        with files.read(PATH) as log:
            return [
                log.size,
                log.problem(),
                list(log.runs),
                list(log.pieces(0, log.size)),
                log.line_count(),
                [log.offset_of_line(number) for number in range(8)],
                [log.line_at(at) for at in range(0, log.size, 7)],
                log.lines(1, 5),
                log.last_lines(3),
                [b"".join(log.channel(channel)) for channel in Channel],
            ]

    def test_an_index_that_does_not_cover_the_text(self) -> None:
        files = LogFiles(Path(self.mktemp()))
        log = files.write(PATH)
        for number in range(200):
            log.append(b"0123456789\n", Channel.STDOUT, 1, 100.0 + number)
        log.close()
        index = (files.root / PATH).with_suffix(".idx")
        whole = index.read_bytes()
        for data, said in (
            (whole, ""),
            (whole[:-1], "ends within a record"),
            (whole[:-40], "from 2189 on"),
            (whole[40:], "from 0 to 11"),
            (whole[:40] + bytes(40) + whole[80:], "no record where the 2th should be"),
        ):
            index.write_bytes(data)
            with files.read(PATH) as reader:
                self.assertIn(said, reader.problem())
                self.assertEqual(bool(said), bool(reader.problem()))
        index.unlink()
        with files.read(PATH) as reader:
            self.assertEqual(reader.problem(), "is missing")
