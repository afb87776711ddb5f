"""Forms taken apart: what browsers send, and what somebody sends who means ill."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.testing import StringTransportWithDisconnection
from twisted.trial.unittest import SynchronousTestCase
from twisted.web.resource import Resource
from twisted.web.server import Site

from buildbot.status.web.asked import BadRequest
from buildbot.status.web.posted import fields
from buildbot.status.web.site import LARGEST_FORM_BYTES, _Request

URLENCODED = "application/x-www-form-urlencoded"
MULTIPART = 'multipart/form-data; boundary="edge"'


def part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--edge\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value + b"\r\n"


def test_an_encoded_form() -> None:
    assert fields(f"{URLENCODED}; charset=utf-8", b"a=1&b=&a=%C3%BC+x&c=%FF") == {
        "a": (b"1", "ü x".encode()), "b": (b"",), "c": (b"\xff",),
    }  # fmt: skip


def test_a_form_with_files() -> None:
    file = b"\r\n--edg\xff\0\r\n\r\n"
    kind = '; filename="a; name=x"\r\nContent-Type: application/octet-stream'
    body = part("a", b"1") + part("file", file, kind) + part("a", b"") + b"--edge--\r\n"
    assert fields(MULTIPART, body) == {"a": (b"1", b""), "file": (file,)}
    assert fields("Multipart/Form-Data; boundary=edge", body)["file"] == (file,)


def test_what_is_no_form_has_no_fields() -> None:
    assert fields("application/json", b"a=1") == {}
    assert fields("", b"a=1") == {}


@pytest.mark.parametrize(
    ("kind", "body", "word"),
    [
        ("multipart/form-data", b"", "where its parts end"),
        (MULTIPART, b"", "cut off"),
        (MULTIPART, part("a", b"1"), "cut off"),
        (MULTIPART, b"--edge\r\n\r\nx\r\n--edge--", "no name"),
        (MULTIPART, b"--edge\r\n" + b"x" * 10_000 + b"\r\n\r\n\r\n--edge--", "no name"),
        (MULTIPART, part("a", b"") * 1001 + b"--edge--", "more than 1000"),
        (URLENCODED, b"&".join([b"a=1"] * 1001), "more than 1000"),
        (URLENCODED, b"a=" + b"%" * 300_000, "at most 262144"),
    ],
)
def test_what_is_wrong_is_told(kind: str, body: bytes, word: str) -> None:
    with pytest.raises(BadRequest, match=word):
        fields(kind, body)


@given(st.binary(max_size=80))
def test_every_value_comes_back_as_it_was(value: bytes) -> None:
    if b"\r\n--edge" not in b"\r\n" + value + b"\r\n":
        assert fields(MULTIPART, part("a", value) + b"--edge--") == {"a": (value,)}


class RequestTests(SynchronousTestCase):
    """What comes in over a connection, up to the resource that answers."""

    def setUp(self) -> None:
        seen = self.seen = []

        class Noting(Resource):
            isLeaf = True

            def render(self, request: Any) -> bytes:
                seen.append((dict(request.args), request.getHeader("content-type"), request.content.read()))
                return b"well"

        site = Site(Noting(), requestFactory=_Request)
        site.timeOut = None
        self.transport = StringTransportWithDisconnection()
        self.protocol: Any = site.buildProtocol(None)
        self.transport.protocol = self.protocol
        self.protocol.makeConnection(self.transport)

    def send(self, headers: bytes, *pieces: bytes) -> bytes:
        for piece in (b"POST /x HTTP/1.1\r\nHost: h\r\n" + headers + b"\r\n", *pieces):
            if self.transport.connected:
                self.protocol.dataReceived(piece)
        return self.transport.value()

    def test_twisted_does_not_take_forms_apart(self) -> None:
        for kind, body in ((MULTIPART, part("a", b"1") + b"--edge--"), (URLENCODED, b"a=1")):
            self.setUp()
            answer = self.send(f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n".encode(), body)
            self.assertIn(b"200 OK", answer)
            self.assertEqual(self.seen, [({}, kind, body)])

    def test_a_body_that_is_too_long_is_refused_before_it_comes(self) -> None:
        answer = self.send(f"Content-Length: {LARGEST_FORM_BYTES + 1}\r\n".encode())
        self.assertIn(b"400 Bad Request", answer)
        self.assertFalse(self.transport.connected)

    def test_one_whose_length_is_not_said_is_refused_as_it_comes(self) -> None:
        chunk = b"100000\r\n" + b"x" * (1 << 20) + b"\r\n"
        answer = self.send(b"Transfer-Encoding: chunked\r\n", *[chunk] * 12, b"0\r\n\r\n")
        self.assertIn(b"400 Bad Request", answer)
        self.assertFalse(self.transport.connected)
        self.assertEqual(self.seen, [])
