"""The two formats of subunit, in pieces of any size."""

from __future__ import annotations

import random
import time
from zlib import crc32

from buildbot.steps.subunitstream import MOST_DETAILS, Outcome, SubunitStream

TEXT = b"""time: 2020-01-01 00:00:00Z
test: a.good
success: a.good
test b.bad
failure: b.bad [
Traceback:
  it is \xc3\xb3 bad
]
some other output
test: c.skip
skip: c.skip [ no such thing
]
testing: test d
error: test d [ multipart
Content-Type: text/plain
reason
3\r
one0\r
]
test: e
xfail: e
uxsuccess: f
test: g.never.ends
"""


def number(value: int) -> bytes:
    if value < 64:
        return bytes([value])
    if value < 1 << 14:
        return (value | 0x4000).to_bytes(2, "big")
    return (value | 0x800000).to_bytes(3, "big")


def string(value: bytes) -> bytes:
    return number(len(value)) + value


def packet(status: int, test: bytes, content: bytes = b"", tags: tuple[bytes, ...] = ()) -> bytes:
    flags = 0x2000 | 0x0800 | 0x0200 | status | (0x0060 if content else 0) | (0x0080 if tags else 0)
    body = (5).to_bytes(4, "big") + number(0) + string(test)
    if tags:
        body += number(len(tags)) + b"".join(map(string, tags))
    if content:
        body += string(b"text/plain") + string(b"traceback") + string(content)
    size = 3 + len(body) + 4
    size += 1 if size + 1 < 64 else 2 if size + 2 < 1 << 14 else 3
    whole = b"\xb3" + flags.to_bytes(2, "big") + number(size) + body
    return whole + crc32(whole).to_bytes(4, "big")


def read(data: bytes, sizes: int = 1 << 20) -> list[tuple[str, Outcome, str]]:
    found: list[tuple[str, Outcome, str]] = []
    stream = SubunitStream(lambda *each: found.append(each))
    for at in range(0, len(data), sizes):
        stream.feed(data[at : at + sizes])
    stream.end()
    return found


def test_version_1() -> None:
    ends = [(label, outcome) for label, outcome, _ in read(TEXT)]
    assert ends == [
        ("a.good", Outcome.SUCCESS),
        ("b.bad", Outcome.FAILURE),
        ("c.skip [ no such thing", Outcome.SKIP),
        ("d", Outcome.FAILURE),
        ("e", Outcome.EXPECTED_FAILURE),
        ("f", Outcome.UNEXPECTED_SUCCESS),
        ("g.never.ends", Outcome.FAILURE),
    ]
    assert read(TEXT)[1][2] == "Traceback:\n  it is ó bad\n"
    assert "did not end" in read(TEXT)[-1][2]


def test_version_2() -> None:
    data = b"".join(
        [
            packet(2, b"a"),
            packet(3, b"a", tags=(b"worker-0", b"x")),
            b"a line between\n",
            packet(2, b"b"),
            packet(0, b"b", b"Traceback: " + b"x" * 300),
            packet(6, b"b"),
            packet(1, b"listed only"),
            packet(5, b"c"),
            b"half a line",
            packet(4, b"d"),
            packet(7, b"e"),
            packet(2, b"never ends"),
        ]
    )
    assert [(label, outcome) for label, outcome, _ in read(data)] == [
        ("a", Outcome.SUCCESS),
        ("b", Outcome.FAILURE),
        ("c", Outcome.SKIP),
        ("d", Outcome.UNEXPECTED_SUCCESS),
        ("e", Outcome.EXPECTED_FAILURE),
        ("never ends", Outcome.FAILURE),
    ]
    assert read(data)[1][2] == "Traceback: " + "x" * 300


def test_the_pieces_do_not_matter() -> None:
    data = TEXT + packet(6, b"v2", b"details") + "ó vs. \xb3 \n".encode() + b"success: last\n"
    whole = read(data)
    assert whole[-1][0] == "last"
    for size in (1, 2, 3, 7, 64):
        assert read(data, size) == whole


def test_a_damaged_packet_is_no_test() -> None:
    bad = bytearray(packet(6, b"a"))
    bad[-1] ^= 1
    assert read(bytes(bad) + b"\nsuccess: b\n") == [("b", Outcome.SUCCESS, "")]


def test_hostile_output_is_bounded() -> None:
    details = read(b"failure: a [\n" + b"x" * 100 + b"\n" * 10 + b"y\n" * 50_000 + b"]\n")[0][2]
    assert len(details) <= MOST_DETAILS + 1
    began = time.process_time()
    noise = random.Random(5).randbytes(1 << 16)
    read(noise)
    read((b"\xb3\x20\x00\xff\xff" + b"\xff" * 60) * 1000)
    read(b"\xb3\x20\x00\x80\xff\xf0" * 10_000, 4096)
    assert time.process_time() - began < 5


def test_packets_of_which_text_was_made_are_noticed() -> None:
    data = b"begin \xc3\xb3\n" + packet(2, b"t") + packet(6, b"t", b"bad\n")
    for given, damaged in (
        (data, False),
        (data.decode("utf-8", "replace").encode(), True),
        (b"test: a\nfailure: a [\n\xef\xbf\xbd( is what it said\n]\n", False),
    ):
        stream = SubunitStream(lambda *each: None)
        for at in range(len(given)):
            stream.feed(given[at : at + 1])
        stream.end()
        assert stream.damaged == damaged
